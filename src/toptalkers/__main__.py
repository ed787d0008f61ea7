"""The command `toptalkers`, also as `python -m toptalkers`."""

from toptalkers.cli.main import cli


def main() -> None:
    """Run the command line; exits."""
    cli(prog_name="toptalkers")


if __name__ == "__main__":
    main()
