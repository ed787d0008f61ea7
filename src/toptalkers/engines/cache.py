"""What was counted of a file before, so that a second look reads only new files.

An entry is a file of its own, for one file and one question: a line with the SHA-256 of all that follows, a line of
JSON (whose counts these are, and the tally), and the sums as the kernel packs them. It is written under a temporary
name and renamed. An entry counts only when file, version of the file (size, times, inode; or ETag), question and
code are those of now; one that is damaged is as good as none. Entries of a changed file or an older code are written
over.
"""

import functools
import hashlib
import json
import os
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path

from toptalkers import __version__
from toptalkers.answer import Tally
from toptalkers.engines.inputs import InputFile
from toptalkers.engines.native import LIBRARY
from toptalkers.errors import ToptalkersError
from toptalkers.query import Query

_ROOM = Path(__file__).parent
_CODE = (
    LIBRARY,
    *(_ROOM / f"{name}.py" for name in ("cache", "local", "native", "unpack")),
    *sorted((_ROOM.parent / "records").glob("*.py")),
    _ROOM.parent / "flowlog" / "neighbours.py",
)


class CountCache:
    """The counts of files for one question, in a folder; for any number of threads.

    Attributes:
        known: how many files' counts were there.
        damaged: how many entries were damaged, and count for nothing.

    """

    def __init__(self, folder: Path, query: Query) -> None:
        """Take the folder, made when it is not there, and the question."""
        self.known = 0
        self.damaged = 0
        self._lock = threading.Lock()
        self._folder = folder
        self._question = query.mapper_arguments()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ToptalkersError(f"--cache: cannot make {folder}: {error.strerror or error}") from error

    def load(self, file: InputFile, version: str) -> tuple[bytes, Tally] | None:
        """Give the packed sums and the tally of a file in a version; None when they are not known."""
        try:
            content = self._path(file).read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            self._note_damage()
            return None
        checksum, _, rest = content.partition(b"\n")
        if checksum != hashlib.sha256(rest).hexdigest().encode():
            self._note_damage()
            return None
        head, _, packed = rest.partition(b"\n")
        whose = json.loads(head)
        tally = Tally(**whose.pop("tally"))
        if whose != self._whose(file, version):
            return None
        with self._lock:
            self.known += 1
        return packed, tally

    def save(self, file: InputFile, version: str, packed: bytes, tally: Tally) -> None:
        """Keep the packed sums and the tally of a file that was read in a version, unless it is another by now.

        Raises:
            ToptalkersError: the folder cannot be written.

        """
        if not version or file.version() != version:
            return
        head = {**self._whose(file, version), "tally": asdict(tally)}
        rest = json.dumps(head).encode() + b"\n" + packed
        path = self._path(file)
        try:
            path.parent.mkdir(exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
            try:
                with os.fdopen(handle, "wb") as out:
                    out.write(hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise ToptalkersError(
                f"--cache: cannot write {self._folder}: {error.strerror or error}",
                hint="the folder may be deleted at any time; without --cache nothing is kept",
            ) from error

    def _note_damage(self) -> None:
        with self._lock:
            self.damaged += 1

    def _whose(self, file: InputFile, version: str) -> dict[str, object]:
        name = _full_name(file)
        return {"name": name, "version": version, "question": self._question, "code": _fingerprint()}

    def _path(self, file: InputFile) -> Path:
        text = json.dumps([_full_name(file), self._question])
        name = hashlib.sha256(text.encode()).hexdigest()
        return self._folder / name[:2] / name


def _full_name(file: InputFile) -> str:
    return file.name if file.name.startswith("s3://") else os.path.realpath(file.name)


@functools.cache
def _fingerprint() -> str:
    """What changes when the counting does."""
    code = hashlib.sha256(__version__.encode())
    for path in _CODE:
        code.update(path.read_bytes())
    return code.hexdigest()
