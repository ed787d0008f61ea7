"""pyarrow, which reads and writes Parquet. It is large, and so an extra of the package: `toptalkers[parquet]`."""

from toptalkers.errors import ToptalkersError


def require_pyarrow(purpose: str) -> None:
    """Check that pyarrow is installed; ToptalkersError if not, which says what it is for: `writing Parquet`."""
    try:
        import pyarrow.parquet  # noqa: F401 - whether it is there
    except ImportError as error:
        raise ToptalkersError(f"{purpose} needs pyarrow", hint="pip install 'toptalkers[parquet]'") from error
