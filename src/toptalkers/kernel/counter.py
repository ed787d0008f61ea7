"""The counter of this machine: the compiled kernel's, or the one in Python where the kernel cannot be loaded."""

import os
from typing import TYPE_CHECKING

from toptalkers.errors import ToptalkersError

__all__ = [
    "CODE",
    "PARTS",
    "ROW_BYTES",
    "WHY_PURE",
    "Counter",
    "Misfit",
    "SpilledSums",
    "keep_freed_memory",
    "merge_rankings",
]

FORCE_PURE = "TOPTALKERS_PURE"
"""An environment variable: set to 1, the counter in Python is taken."""

WHY_PURE = f"{FORCE_PURE} is set" if os.environ.get(FORCE_PURE) == "1" else ""
"""Why the counter is the one in Python; empty when it is the compiled kernel's."""

if not TYPE_CHECKING and not WHY_PURE:
    try:
        import toptalkers.kernel.door  # noqa: F401 - whether it can be loaded
    except ToptalkersError as error:
        WHY_PURE = error.message

if TYPE_CHECKING or not WHY_PURE:
    from toptalkers.kernel.door import (
        CODE,
        PARTS,
        ROW_BYTES,
        Counter,
        Misfit,
        SpilledSums,
        keep_freed_memory,
        merge_rankings,
    )
else:
    from toptalkers.kernel.pure import (
        CODE,
        PARTS,
        ROW_BYTES,
        Counter,
        Misfit,
        SpilledSums,
        keep_freed_memory,
        merge_rankings,
    )
