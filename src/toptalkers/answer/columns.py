"""The lines of an answer as columns of numbers: a million lines are added up without an object for each value.

A `Column` has a number per line. `Texts` gives texts their numbers, and `Rows` rows of numbers, so that Python asks for
the name of each address once. What goes through all lines is done by the compiled library (`compiled_columns.py`), or
in Python where that cannot be loaded (`pure_columns.py`).
"""

import importlib
from typing import TYPE_CHECKING

from toptalkers.answer.pure_columns import Column, Facts
from toptalkers.errors import ToptalkersError
from toptalkers.machine.compiled import WHY_NOT

if TYPE_CHECKING:
    from toptalkers.answer import compiled_columns as chosen
else:
    try:
        chosen = importlib.import_module(f"toptalkers.answer.{'pure' if WHY_NOT else 'compiled'}_columns")
    except ToptalkersError:
        from toptalkers.answer import pure_columns as chosen

__all__ = ["Column", "Facts", "Rows", "Texts", "add", "keep_largest", "split"]

Texts = chosen.Texts
Rows = chosen.Rows
split = chosen.split
add = chosen.add
keep_largest = chosen.keep_largest
