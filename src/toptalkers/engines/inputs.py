"""From what a user names to the files that are read: files, folders, globs, standard input, manifests."""

import glob
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from toptalkers.errors import UsageError

STDIN_NAME = "standard input"

YOUNGEST_S = 2.0
"""From this age on a file's times tell one content from the next, on every file system."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of flow logs.

    Attributes:
        name: how messages call it.
        size_bytes: as stored, packed or not; 0 when it is not known beforehand.
        open: opens it for reading, as stored.
        prefetch: called some files before it is opened, so that what is far away can be on its way.
        version: what changes when the content does, as it is now; empty when that cannot be known.

    """

    name: str
    size_bytes: int
    open: Callable[[], BinaryIO]
    prefetch: Callable[[], None] = lambda: None
    version: Callable[[], str] = lambda: ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that was left out: its name and why, one line; no failure when it is no flow log by intent."""

    name: str
    reason: str
    is_failure: bool = True


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was found, and what was not.

    Attributes:
        files: the files to read, each once, in the order of their names within an argument.
        problems: arguments that give no file.
        repeated: how many times a file was named again; it is read once.

    """

    files: tuple[InputFile, ...]
    problems: tuple[Problem, ...]
    repeated: int = 0

    def __add__(self, other: "Inputs") -> "Inputs":
        """Both, one after the other."""
        return Inputs(self.files + other.files, self.problems + other.problems, self.repeated + other.repeated)


def find_inputs(paths: Iterable[str]) -> Inputs:
    """Find the files that paths name; see `Inputs`.

    A folder is taken with all below it, but for names that begin with `.` or `_` (as Hadoop's FileInputFormat
    leaves out: markers and unfinished files). A name with `*`, `?` or `[` that is no file itself is a glob; `**`
    goes through folders.
    """
    files: dict[str, InputFile] = {}
    problems: list[Problem] = []
    repeated = 0
    for path in paths:
        if path == "-":
            found = [_standard_input()]
        elif Path(path).exists() or not glob.has_magic(path):
            found, problem = _files_at(Path(path))
            problems += problem
        else:
            found = []
            for match in sorted(glob.glob(path, recursive=True)):
                if Path(match).is_file():
                    found.append(_file(Path(match)))
                elif "**" not in path:
                    below, problem = _files_at(Path(match))
                    found += below
                    problems += problem
            if not found:
                problems.append(Problem(path, "no file matches"))
        for file in found:
            key = file.name if file.name == STDIN_NAME else os.path.realpath(file.name)
            if key in files:
                repeated += 1
            else:
                files[key] = file
    return Inputs(tuple(files.values()), tuple(problems), repeated)


def read_manifest(manifest: Path) -> list[InputFile]:
    """Read a list of files, a path a line; blank lines mean nothing.

    Each counts as often as it stands there, which is how much is asked of a machine by few files. Paths are taken
    from the current folder, as `xargs` takes them.

    Raises:
        UsageError: the manifest cannot be read.

    """
    try:
        lines = manifest.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a list of paths"
        raise UsageError(f"--manifest: cannot read {manifest}: {reason}") from error
    files = {line: _file(Path(line)) for line in set(lines)}
    return [files[line] for line in lines if line.strip()]


MANY = 5
"""So many names are given of what is left out for one reason; of more, how many they are."""


def format_problems(problems: Iterable[Problem]) -> Iterator[str]:
    """Write what was left out or passed over: a line for each name, or one for a reason that many share."""
    groups: dict[tuple[bool, str], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((not problem.is_failure, re.sub("[0-9][0-9,]*", "0", problem.reason)), []).append(problem)
    for (is_harmless, _), group in groups.items():
        if is_harmless:
            reason = f"passed over, no flow logs ({group[0].reason})"
            more = f" and {len(group) - MANY:,} more" if len(group) > MANY else ""
            yield f"{reason}: {', '.join(problem.name for problem in group[:MANY])}{more}"
        elif len(group) > 2 * MANY:
            names = ", ".join(problem.name for problem in group[:MANY])
            yield f"left out: {len(group):,} files, {names} and {len(group) - MANY:,} more: {group[0].reason}"
        else:
            yield from (f"left out: {problem.name}: {problem.reason}" for problem in group)


def _files_at(path: Path) -> tuple[list[InputFile], list[Problem]]:
    try:
        if path.is_dir():
            found = []
            unlistable: list[Problem] = []
            for folder, folders, names in os.walk(path, onerror=lambda error: unlistable.append(_problem(error))):
                folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
                found += [_file(Path(folder, name)) for name in sorted(names) if not name.startswith((".", "_"))]
            if not found and not unlistable:
                return [], [Problem(str(path), "the folder holds no files")]
            return found, unlistable
        if path.exists():
            return [_file(path)], []
    except OSError as error:
        return [], [Problem(str(path), error.strerror or str(error))]
    return [], [Problem(str(path), "no such file or folder")]


def _problem(error: OSError) -> Problem:
    return Problem(str(error.filename), error.strerror or str(error))


def _file(path: Path) -> InputFile:
    try:
        size = path.stat().st_size
    except OSError:
        size = 0  # opening it will say what is wrong
    return InputFile(str(path), size, lambda: path.open("rb", buffering=0), version=lambda: _version(path))


def _version(path: Path) -> str:
    """What the file system knows of a content: size, times of change (the second of which nobody can set), inode.

    Empty when the file is so young that it could change once more within what the clock of the file system can tell.
    """
    try:
        status = path.stat()
    except OSError:
        return ""
    if time.time() - status.st_ctime < YOUNGEST_S:
        return ""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _standard_input() -> InputFile:
    return InputFile(STDIN_NAME, 0, lambda: sys.stdin.buffer)
