"""pyarrow, which reads and writes Parquet. It is large, and so an extra of the package: `toptalkers[parquet]`."""

import contextlib
import importlib.util
import threading

from toptalkers.errors import ToptalkersError


def require_pyarrow(purpose: str) -> None:
    """Check that pyarrow is installed; ToptalkersError if not, which says what it is for: `writing Parquet`."""
    try:
        import pyarrow.parquet  # noqa: F401 - whether it is there
    except ImportError as error:
        raise _missing(purpose) from error


def prepare_pyarrow(purpose: str) -> None:
    """Begin to import pyarrow in another thread, so that counting need not wait; ToptalkersError if it is missing."""
    if importlib.util.find_spec("pyarrow") is None:
        raise _missing(purpose)
    threading.Thread(target=_import_pyarrow, name="import").start()


def _import_pyarrow() -> None:
    with contextlib.suppress(ImportError):  # whoever needs it says so
        import pyarrow.parquet  # noqa: F401


def _missing(purpose: str) -> ToptalkersError:
    return ToptalkersError(f"{purpose} needs pyarrow", hint="pip install 'toptalkers[parquet]'")
