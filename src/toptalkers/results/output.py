"""Where an answer is written: standard output, or a file that is whole or not there."""

import gzip
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from toptalkers.errors import ToptalkersError


def write_output(chunks: Iterable[bytes], output: Path | None) -> None:
    """Write chunks to a file, gzipped when it is so named, or to standard output when there is none.

    The file is written under a temporary name beside it and renamed, so that it never is half a file.

    Raises:
        ToptalkersError: the file cannot be written.

    """
    if output is None:
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return
    try:
        handle, temporary = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                if output.suffix == ".gz":
                    with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0) as packed:
                        for chunk in chunks:
                            packed.write(chunk)
                else:
                    file.writelines(chunks)
            Path(temporary).chmod(0o666 & ~_umask())
            Path(temporary).replace(output)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ToptalkersError(f"cannot write {output}: {error.strerror or error}") from error


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
