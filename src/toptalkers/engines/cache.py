"""The counts of files that were read before, so that a second run reads only new files.

Each entry is a file, for one input file and one question: a line with the HMAC-SHA256 of everything after it, a line of
JSON (input file, version, question, code, tally and quality), and the packed sums of the kernel. An entry is valid only
for the same file in the same version (size, times, inode; or ETag), the same question and the same code. Damaged
entries, and those of other users, are ignored. Entries of a changed file or of older code are replaced.

The HMAC's key belongs to the user and is not in the cache. So nobody who can write to the folder, or hands one over,
can put sums into an answer.
"""

import fcntl
import functools
import hashlib
import hmac
import json
import os
import secrets
import stat
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from toptalkers import __version__
from toptalkers.answer.answer import Tally
from toptalkers.answer.quality import Quality
from toptalkers.errors import ToptalkersError
from toptalkers.flowlog.reasons import REASONS
from toptalkers.kernel.counter import CODE, Counter
from toptalkers.machine.whole_file import remove_leftovers, whole_file
from toptalkers.question.conversations import counted_question
from toptalkers.question.query import Query
from toptalkers.records.files import InputFile

_PACKAGE = Path(__file__).parents[1]
_CODE = (
    *CODE,
    *(_PACKAGE / "engines" / name for name in ("cache.py", "local.py")),
    *(_PACKAGE / "flowlog" / name for name in ("neighbours.py", "truth.py")),
    *sorted((_PACKAGE / "records").glob("*.py")),
)

KEY_BYTES = 32

_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class CountCache:
    """The counts of files for one question, in a folder. Any number of threads may use it.

    Attributes:
        known: how many files were found in the cache.
        damaged: how many entries were damaged, and ignored.

    """

    def __init__(self, folder: Path, query: Query) -> None:
        """Create the folder if needed.

        Raises:
            ToptalkersError: the folder or the key cannot be created, or others may write to it.

        """
        self.known = 0
        self.damaged = 0
        self._lock = threading.Lock()
        self._folder = folder
        self._question = counted_question(query).mapper_arguments()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = folder.stat()
        except OSError as error:
            raise ToptalkersError(f"--cache: cannot make {folder}: {error.strerror or error}") from error
        if status.st_uid != os.geteuid() or status.st_mode & _OTHERS_MAY_WRITE:
            raise ToptalkersError(
                f"--cache: others than you may write to {folder}", hint="name a folder of your own, of mode 0700"
            )
        remove_leftovers(folder)
        self._key = _own_key(key_path())

    def load(self, file: InputFile, version: str, counter: Counter) -> Tally | None:
        """Add the counts of a version of a file to a counter, and return its tally; None if they are not known."""
        try:
            content = _read_regular(self._path(file))
            checksum, _, rest = content.partition(b"\n")
            if not hmac.compare_digest(checksum, self._sign(rest)):
                raise ValueError("not written by us")  # noqa: TRY301 - as good as any other damage
            head, _, packed = rest.partition(b"\n")
            whose = json.loads(head)
            tally = _parse_tally(whose.pop("tally"))
            quality = Quality.parse(whose.pop("quality"))
            if whose != self._whose(file, version):
                return None
            counter.add_packed(packed)
            counter.quality += quality
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            with self._lock:
                self.damaged += 1
            return None
        with self._lock:
            self.known += 1
        return tally

    def save(self, file: InputFile, version: str, packed: bytes, tally: Tally, quality: Quality) -> None:
        """Keep the packed sums, the tally and the quality of a version of a file, unless the file has changed since.

        Raises:
            ToptalkersError: the folder cannot be written.

        """
        if not version or file.version() != version:
            return
        head = {**self._whose(file, version), "tally": asdict(tally), "quality": quality.noted()}
        rest = json.dumps(head).encode() + b"\n" + packed
        path = self._path(file)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with whole_file(path, mode=0o600, folder=self._folder) as out:
                out.write(self._sign(rest) + b"\n" + rest)
        except OSError as error:
            raise ToptalkersError(
                f"--cache: cannot write {self._folder}: {error.strerror or error}",
                hint="the folder may be deleted at any time; without --cache nothing is kept",
            ) from error

    def _sign(self, rest: bytes) -> bytes:
        return hmac.new(self._key, rest, hashlib.sha256).hexdigest().encode()

    def _whose(self, file: InputFile, version: str) -> dict[str, object]:
        name = _full_name(file)
        return {"name": name, "version": version, "question": self._question, "code": _fingerprint()}

    def _path(self, file: InputFile) -> Path:
        text = json.dumps([_full_name(file), self._question])
        name = hashlib.sha256(text.encode()).hexdigest()
        return self._folder / name[:2] / name


def key_path() -> Path:
    """The path of the user's key: below `XDG_STATE_HOME`, or `~/.local/state`."""
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if Path(state).is_absolute() else Path("~/.local/state").expanduser()
    return folder / "toptalkers" / "cache.key"


def _own_key(path: Path) -> bytes:
    """The user's key, created if there is none; ToptalkersError if it cannot be, or if others may read or write it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        with os.fdopen(handle, "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # if several processes start at once, one creates it
            status = os.fstat(handle)
            if status.st_uid != os.geteuid() or status.st_mode & 0o077 or not stat.S_ISREG(status.st_mode):
                raise ToptalkersError(
                    f"--cache: its key {path} is not a file that you alone may read",
                    hint="remove it; a new one is created, and all files are counted again",
                )
            key = file.read(KEY_BYTES) or b""
            if len(key) < KEY_BYTES:
                key = secrets.token_bytes(KEY_BYTES)
                file.seek(0)
                file.write(key)
            return key
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ToptalkersError(
            f"--cache: cannot keep its key at {path}: {reason}", hint="XDG_STATE_HOME may point to another folder"
        ) from error


def _read_regular(path: Path) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError(f"{path} is no file")
        return file.read()


def _parse_tally(given: Mapping[str, object]) -> Tally:
    """The tally that `asdict` and JSON were made of; ValueError, KeyError or TypeError for anything else."""
    skipped = given["skipped"]
    if not isinstance(skipped, dict) or not set(skipped) <= set(REASONS):
        raise ValueError("no tally")
    numbers = [given[name] for name in ("records_read", "counted", "files_read", "files_unreadable")]
    read, counted, files_read, unreadable = (_count(number) for number in numbers)
    return Tally(read, counted, {reason: _count(number) for reason, number in skipped.items()}, files_read, unreadable)


def _count(number: object) -> int:
    if type(number) is not int or number < 0:
        raise ValueError("no count")
    return number


def _full_name(file: InputFile) -> str:
    return file.name if file.name.startswith("s3://") else os.path.realpath(file.name)


@functools.cache
def _fingerprint() -> str:
    """A hash of the code on which counts depend."""
    code = hashlib.sha256(__version__.encode())
    for path in _CODE:
        code.update(path.read_bytes())
    return code.hexdigest()
