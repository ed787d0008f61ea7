"""The command `toptalkers`, also as `python -m toptalkers`."""

from toptalkers.cli.signals import last_signal, stop_on_signals
from toptalkers.cli.streams import open_closed_streams, show_any_text


def main() -> None:
    """Run the command line; exits."""
    open_closed_streams()
    show_any_text()
    try:
        stop_on_signals()
        from toptalkers.cli.main import cli

        cli(prog_name="toptalkers")
    except KeyboardInterrupt:
        # Before there was a command, or after its end: there is nothing to clean up.
        raise SystemExit(128 + (last_signal() or 2)) from None


if __name__ == "__main__":
    main()
