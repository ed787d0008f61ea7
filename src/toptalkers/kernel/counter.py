"""The counter of this machine: the compiled kernel's, or the one in Python where the kernel cannot be loaded."""

import importlib
from typing import TYPE_CHECKING

from toptalkers.errors import ToptalkersError
from toptalkers.machine import compiled

WHY_PURE = compiled.WHY_NOT
"""Why the counter is the one in Python; empty for the compiled kernel."""

if TYPE_CHECKING:
    from toptalkers.kernel import door as chosen
else:
    try:
        chosen = importlib.import_module(f"toptalkers.kernel.{'pure' if WHY_PURE else 'door'}")
    except ToptalkersError as error:
        WHY_PURE = error.message
        from toptalkers.kernel import pure as chosen

CODE, PARTS, ROW_BYTES = chosen.CODE, chosen.PARTS, chosen.ROW_BYTES
Conversations = chosen.Conversations
Counter = chosen.Counter
Misfit = chosen.Misfit
SpilledSums = chosen.SpilledSums
keep_freed_memory = chosen.keep_freed_memory
merge_rankings = chosen.merge_rankings
