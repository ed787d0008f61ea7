"""The package's library in C, which is built from `kernel/`. Where it cannot be loaded, the same is done in Python."""

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path

from toptalkers.errors import ToptalkersError

LIBRARY = Path(__file__).parents[1] / "kernel/kernel.so"

WHY_NOT = "TOPTALKERS_PURE is set" if os.environ.get("TOPTALKERS_PURE") == "1" else ""
"""Why it is not to be used; empty if it is."""


def load(functions: Mapping[str, tuple[type | None, tuple[type, ...]]]) -> ctypes.CDLL:
    """Load the library.

    Args:
        functions: the functions that will be called, each with the types of its result and of its arguments.

    Raises:
        ToptalkersError: there is no library, or it is of another version.

    """
    try:
        library = ctypes.CDLL(str(LIBRARY), use_errno=True)
        for name, (result, arguments) in functions.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:  # AttributeError: a library of an older version
        raise ToptalkersError(
            f"the counting kernel cannot be loaded: {error}",
            hint="it is built when toptalkers is installed: pip install --force-reinstall toptalkers",
        ) from error
    return library
