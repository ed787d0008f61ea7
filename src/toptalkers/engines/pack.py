"""Files packed one by one for engines that read folders: whole, in gzip, so that nothing cuts them apart."""

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

from toptalkers.engines.inputs import InputFile, Problem
from toptalkers.engines.unpack import UnreadableError, read_blocks

_BLOCK_BYTES = 4 << 20


def pack_files(
    files: Sequence[InputFile],
    folder: Path,
    *,
    on_read: Callable[[int], None],
    on_problem: Callable[[Problem], None],
) -> list[Path]:
    """Write each readable file as a gzip file of its own into a folder; gives their paths, in the files' order.

    A plain file would be split by lines or blocks, and its header reach only the first of its mappers; a damaged
    one would fail the whole job. Those are left out, and `on_problem` is called for each.
    """
    packed = []
    for number, file in enumerate(files):
        path = folder / f"{number:06d}.gz"
        try:
            with gzip.open(path, "wb", compresslevel=1) as stream:
                for block in read_blocks(file, _BLOCK_BYTES, on_read):
                    stream.write(block)
        except UnreadableError as error:
            path.unlink()
            on_problem(Problem(file.name, str(error)))
        else:
            packed.append(path)
    return packed
