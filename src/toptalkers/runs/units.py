"""Durations and sizes as people read them."""


def format_elapsed(seconds: float) -> str:
    """Write a duration as `0:07:12`."""
    whole = max(0, int(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def format_size(size_bytes: int) -> str:
    """Write a size in the unit that suits it."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"
