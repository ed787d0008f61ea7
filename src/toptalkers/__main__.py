"""The command `toptalkers`, also as `python -m toptalkers`."""

import contextlib
import gc
import os


def main() -> None:
    """Run the command line, and exit."""
    received: int | None = None
    # Imports create some hundred thousand lasting objects; searching them for garbage takes a tenth of the start time.
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
        # Before the command started or after it ended: there is nothing to clean up. An interrupted import may
        # raise something other than KeyboardInterrupt.
        if received is None and not isinstance(error, KeyboardInterrupt):
            raise
        with contextlib.suppress(OSError):
            os.write(2, b"Stopped.\n")
        raise SystemExit(128 + (received or 2)) from None
    finally:
        # CPython remembers an interrupt that came during an exec (creating a dataclass runs one) until the next exec.
        # If it still remembers one when it exits, it ends by SIGINT, whatever the exit code should be.
        exec("")  # noqa: S102 - an empty text


if __name__ == "__main__":
    main()
