"""Find the files that a user names: files, folders, globs, standard input, manifests."""

import fnmatch
import glob
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from toptalkers.errors import UsageError
from toptalkers.flowlog.truth import HEAD_BYTES, has_sample_name, is_beside_sample

STDIN_NAME = "standard input"

LONGEST_LINK_BYTES = 1023
"""The longest target of a link on any system that makes links."""

YOUNGEST_S = 2.0
"""A younger file may change again without a visible change of its times (on the coarsest file systems: 2 s)."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of flow logs.

    Attributes:
        name: its name in messages.
        size_bytes: as stored, compressed or not; 0 if it is not known beforehand.
        open: opens it for reading, as stored.
        prefetch: called a few files before it is opened, to begin fetching a remote file.
        version: returns a text that changes when the content changes; empty if that cannot be known.
        identity: equal for all names of one file.

    """

    name: str
    size_bytes: int
    open: Callable[[], BinaryIO]
    prefetch: Callable[[], None] = lambda: None
    version: Callable[[], str] = lambda: ""
    identity: object = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A file, part or argument that is left out.

    Attributes:
        name: its name.
        reason: why, in one line.
        is_failure: whether it may be a flow log; false if it is not meant as one.
        is_of_machine: whether the reason is this machine, and so the same for all such files.

    """

    name: str
    reason: str
    is_failure: bool = True
    is_of_machine: bool = False


@dataclass(frozen=True, slots=True)
class Inputs:
    """The files that were found, and what was left out.

    Attributes:
        files: the files to read, each once, in the order of their names within an argument.
        problems: arguments without a file, and files that are left out.
        repeated: how many times a file was named again; it is read only once.

    """

    files: tuple[InputFile, ...]
    problems: tuple[Problem, ...]
    repeated: int = 0

    def __add__(self, other: "Inputs") -> "Inputs":
        """Both, one after the other."""
        return Inputs(self.files + other.files, self.problems + other.problems, self.repeated + other.repeated)


def find_inputs(paths: Iterable[str]) -> Inputs:
    """Find the files that paths name; see `Inputs`.

    A folder means all files below it, also in linked folders. Names that begin with `.` or `_` are passed over
    (as Hadoop's FileInputFormat does: markers and unfinished files), and so are pipes and devices; `problems` names
    both. `truth.json` and `snapshot.json` of `toptalkers sample` are passed over without a word. A name with `*`, `?`
    or `[` that is not a file itself is a glob; `**` goes through folders. No folder is searched twice for one path,
    whatever links lead to it. A file is read once, whatever names it has.
    """
    files: dict[object, InputFile] = {}
    problems: list[Problem] = []
    repeated = 0
    for path in paths:
        if path == "-":
            found = [InputFile(STDIN_NAME, 0, _open_standard_input, identity=STDIN_NAME)]
        elif os.path.lexists(path) or not glob.has_magic(path):
            found, problem = _files_at(path)
            problems += problem
        else:
            found = []
            for match in _matches(path):
                if (kind := _special(match)) is not None:
                    problems.append(Problem(match, kind, is_failure=False))
                elif not Path(match).is_dir():
                    if not _is_beside_sample(match):
                        found.append(_file(match))
                elif "**" not in path:
                    below, problem = _files_at(match)
                    found += below
                    problems += problem
            if not found:
                problems.append(Problem(path, "no file matches"))
        for file in found:
            if (key := file.identity) in files:
                repeated += 1
            else:
                files[key] = file
    return Inputs(tuple(files.values()), tuple(problems), repeated)


def read_manifest(manifest: Path) -> list[InputFile]:
    """Read a list of files, one path per line; blank lines are ignored.

    A file counts as often as it is listed, so a few files can make a large test. Relative paths start at the current
    folder, as with `xargs`. A path may contain any character except a line feed.

    Raises:
        UsageError: the manifest cannot be read.

    """
    try:
        content = manifest.read_bytes()
    except OSError as error:
        raise UsageError(f"--manifest: cannot read {manifest}: {error.strerror or error}") from error
    if b"\0" in content or content.startswith(b"\x1f\x8b"):
        raise UsageError(f"--manifest: cannot read {manifest}: not a list of paths")
    lines = [os.fsdecode(line.removesuffix(b"\r")) for line in content.split(b"\n")]
    files = {line: _file(line) for line in set(lines)}
    return [files[line] for line in lines if line.strip()]


MANY = 5
"""The most names that are given for one reason; of the rest only the number."""


def format_problems(problems: Iterable[Problem]) -> Iterator[str]:
    """Yield one line per file that was left out or passed over, or one line for a reason that many files share."""
    groups: dict[tuple[bool, str], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((not problem.is_failure, re.sub("[0-9][0-9,]*", "0", problem.reason)), []).append(problem)
    for (is_harmless, _), group in groups.items():
        if is_harmless:
            reason = f"passed over, no flow logs ({group[0].reason})"
            more = f" and {len(group) - MANY:,} more" if len(group) > MANY else ""
            yield f"{reason}: {', '.join(problem.name for problem in group[:MANY])}{more}"
        elif len(group) > 2 * MANY or (len(group) > 1 and group[0].is_of_machine):
            names = ", ".join(problem.name for problem in group[:MANY])
            more = f" and {len(group) - MANY:,} more" if len(group) > MANY else ""
            yield f"left out: {len(group):,} files, {names}{more}: {group[0].reason}"
        else:
            yield from (f"left out: {problem.name}: {problem.reason}" for problem in group)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is passed over for its name, as by Hadoop's FileInputFormat: a marker, or unfinished."""
    return name.startswith((".", "_"))


def _files_at(path: str) -> tuple[list[InputFile], list[Problem]]:
    """The files that a path is or holds, and what it holds beside them."""
    if not Path(path).is_dir():
        if os.path.lexists(path):
            return [_file(path)], []  # opening it will say what is wrong
        return [], [Problem(path, "no such file or folder")]
    found: list[InputFile] = []
    problems: list[Problem] = []
    for entry in _walk(path, problems):
        if is_hidden(entry.name):
            problems.append(Problem(entry.path, "a name that begins with . or _", is_failure=False))
        elif not _is(entry.is_file) and (kind := _special(entry.path)) is not None:
            problems.append(Problem(entry.path, kind, is_failure=False))
        elif not _is_beside_sample(entry.path):
            found.append(_file(entry.path))
    if not found and not any(problem.is_failure for problem in problems):
        problems.append(Problem(path, "the folder holds no files"))
    return found, problems


def _walk(top: str, problems: list[Problem]) -> Iterator["os.DirEntry[str]"]:
    """All entries below a folder except the folders that are entered; each folder once, linked ones too."""
    seen = {_identity(top)}
    waiting = [top]
    while waiting:
        folders = []
        for entry in _entries(waiting.pop(), problems):
            folder = None
            if not is_hidden(entry.name):
                folder = entry.path if _is(entry.is_dir) else _linked_by_text(entry)
            if folder is None:
                yield entry
            elif (own := _identity(folder)) not in seen:
                seen.add(own)
                folders.append(folder)
        waiting += reversed(folders)


def _linked_by_text(entry: "os.DirEntry[str]") -> str | None:
    """The target folder of a link that was copied as text; None for any other file.

    Git writes such files where the system has no links (`core.symlinks`), and so do some archives: the file contains
    only the target, without a line end.
    """
    try:
        if not entry.is_file() or not 0 < entry.stat().st_size <= LONGEST_LINK_BYTES:
            return None
        text = os.fsdecode(Path(entry.path).read_bytes())
    except OSError:
        return None
    if "/" not in text or text.startswith("/") or not text.isprintable() or text != text.strip():
        return None
    folder = os.path.normpath(_join(os.path.dirname(entry.path), text))  # noqa: PTH120 - like `_join`
    return folder if Path(folder).is_dir() else None


def _entries(folder: str, problems: list[Problem] | None = None) -> "list[os.DirEntry[str]]":
    """List a folder in the order of names; a folder that cannot be listed is a problem, and counts as empty."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        if problems is not None:
            problems.append(Problem(str(error.filename), error.strerror or str(error)))
        return []


def _is(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except OSError:
        return False


def _is_beside_sample(path: str) -> bool:
    """Whether a file is one beside the records of a sample; others with its name are not read further here."""
    if not has_sample_name(path):
        return False
    try:
        with _open(Path(path)) as file:
            return is_beside_sample(path, file.read(HEAD_BYTES))
    except OSError:
        return False


def _special(path: str) -> str | None:
    """The kind of a path that is neither a file nor a folder; None for these, and if it cannot be read."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return None
    kinds = {stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket", stat.S_ISCHR: "a device", stat.S_ISBLK: "a device"}
    return next((what for is_kind, what in kinds.items() if is_kind(mode)), None)


def _matches(pattern: str) -> list[str]:
    """The paths that a glob matches, like `glob.glob`, except that `**` enters no folder twice, so that it ends."""
    bases = ["/" if pattern.startswith("/") else ""]
    parts = [part for part in pattern.split("/") if part]
    for number, part in enumerate(parts):
        found: dict[str, None] = {}
        for base in bases:
            if part == "**":
                found.update(dict.fromkeys(_below(base, files=number == len(parts) - 1)))
            elif glob.has_magic(part):
                fits = re.compile(fnmatch.translate(part)).match
                for entry in _entries(base or "."):
                    if fits(entry.name) and (part.startswith(".") or not entry.name.startswith(".")):
                        found[_join(base, entry.name)] = None
            elif os.path.lexists(_join(base, part)):
                found[_join(base, part)] = None
        bases = list(found)
    return sorted(base for base in bases if base)


def _below(base: str, *, files: bool) -> Iterator[str]:
    """A folder and all folders below it, each once, without hidden ones; with `files`, their files too."""
    seen = {_identity(base or ".")}
    waiting = [base]
    while waiting:
        folder = waiting.pop()
        yield folder
        for entry in _entries(folder or "."):
            path = _join(folder, entry.name)
            if entry.name.startswith("."):
                continue
            if not _is(entry.is_dir):
                if files:
                    yield path
            elif (own := _identity(path)) not in seen:
                seen.add(own)
                waiting.append(path)


def _join(folder: str, name: str) -> str:
    return f"{folder}{name}" if not folder or folder.endswith("/") else f"{folder}/{name}"


def _identity(path: str) -> object:
    """A value that is the same for all names of a folder."""
    try:
        status = Path(path).stat()
    except OSError:
        return os.path.realpath(path)
    return status.st_dev, status.st_ino


def _file(name: str) -> InputFile:
    path = Path(name)
    try:
        status = path.stat()
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        identity: object = (status.st_dev, status.st_ino)
    except OSError:
        size, identity = 0, os.path.realpath(name)  # opening it will say what is wrong
    return InputFile(str(path), size, lambda: _open(path), version=lambda: _version(path), identity=identity)


def _open(path: Path) -> BinaryIO:
    """Open a file; open a pipe without waiting for its writer, so that the wait can be stopped."""

    def opener(name: str, flags: int) -> int:
        # No effect on files. On other systems than Linux, a pipe without a writer would seem to be at its end.
        return os.open(name, flags | (os.O_NONBLOCK if sys.platform == "linux" else 0))

    return open(path, "rb", buffering=0, opener=opener)


def _version(path: Path) -> str:
    """The version of a file's content: size, times of change (nobody can set the second one), inode.

    Empty for a file so young that it could change again without a change of these times.
    """
    try:
        status = path.stat()
    except OSError:
        return ""
    if time.time() - status.st_ctime < YOUNGEST_S:
        return ""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _open_standard_input() -> BinaryIO:
    """Standard input without Python's buffer: a waiting thread would hold the buffer's lock to the end."""
    if sys.stdin is None:
        raise OSError("it is closed")
    try:
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    except (OSError, ValueError):  # not one of the system's files
        return sys.stdin.buffer
