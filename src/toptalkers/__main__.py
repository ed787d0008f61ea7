"""The command `toptalkers`, also as `python -m toptalkers`."""

import contextlib
import gc
import os


def main() -> None:
    """Run the command line; exits."""
    received: int | None = None
    # Imports make some hundred thousand objects that stay: looking for garbage among them takes a tenth of the start.
    gc.set_threshold(100_000, 20, 100)
    try:
        from toptalkers.cli import signals, streams

        try:
            streams.open_closed_streams()
            streams.show_any_text()
            signals.stop_on_signals()
            from toptalkers.cli.main import cli

            cli(prog_name="toptalkers")
        finally:
            received = signals.last_signal()
            signals.stop_no_more()
    except (KeyboardInterrupt, Exception) as error:
        # Before there was a command, or after its end: there is nothing to clean up. Not every import that is
        # interrupted raises KeyboardInterrupt.
        if received is None and not isinstance(error, KeyboardInterrupt):
            raise
        with contextlib.suppress(OSError):
            os.write(2, b"Stopped.\n")
        raise SystemExit(128 + (received or 2)) from None
    finally:
        # CPython remembers an interrupt that came through exec, as of a dataclass that is made, until the next exec;
        # remembering one at its end, it ends by SIGINT, whatever the exit code was to be.
        exec("")  # noqa: S102 - an empty text


if __name__ == "__main__":
    main()
