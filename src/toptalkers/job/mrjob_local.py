"""mrjob's local runner, with tasks that can be stopped.

mrjob runs tasks in a pool of multiprocessing. Terminating a pool sometimes waits for ever: a worker that is killed may
hold one of the locks that it shares with the others.
"""

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection, wait

from mrjob.local import LocalMRJobRunner


class LocalRunner(LocalMRJobRunner):  # type: ignore[misc]  # mrjob has no types
    """Runs each task in a process and a process group of its own."""

    def _sort_bin(self) -> list[str]:
        """Sort by whole lines, because a key may have several columns."""
        return ["sort"]

    def _run_multiple(self, funcs: Iterable[Callable[[], object]], num_processes: int | None = None) -> None:
        """Run functions, one per core at a time; the first error ends the others and is raised."""
        waiting = list(reversed([*funcs]))
        running: dict[Connection, Process] = {}
        try:
            while waiting or running:
                while waiting and len(running) < (num_processes or self._num_cores()):
                    receiver, sender = Pipe(duplex=False)
                    process = Process(target=_run, args=(waiting.pop(), sender), daemon=True)
                    process.start()
                    sender.close()
                    running[receiver] = process
                # Not for their ends: a process does not end before its error, which may be long, is received.
                ready = wait(list(running))
                for receiver in [one for one in running if one in ready]:
                    error = _receive(receiver)
                    process = running.pop(receiver)
                    receiver.close()
                    process.join()
                    if error:
                        raise error
        finally:
            for receiver, process in running.items():
                assert process.pid is not None  # noqa: S101 - it was started
                with suppress(ProcessLookupError):  # it may not lead its group yet
                    os.killpg(process.pid, signal.SIGKILL)
                process.kill()
                process.join()
                receiver.close()


def _receive(receiver: Connection) -> Exception | None:
    """Receive what `_run` sends; an error, too, if the process ended without it."""
    try:
        error: Exception | None = receiver.recv()
    except EOFError:
        return RuntimeError("a task was killed")
    return error


def _run(func: Callable[[], object], sender: Connection) -> None:
    """Run a task, and send its error, or None."""
    try:
        os.setpgid(0, 0)
        func()
        sender.send(None)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent raises it
        try:
            sender.send(error)
        except Exception:  # noqa: BLE001 - an error that cannot be sent
            sender.send(RuntimeError(repr(error)))
    except BaseException:  # noqa: BLE001 - a signal; the parent has it, too
        os._exit(1)
