"""Inclusive ranges of numbers."""

from collections.abc import Iterable

Ranges = tuple[tuple[int, int], ...]
"""The lowest and the highest number of each range, ascending, with gaps between them."""


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sort ranges, and join those that overlap or touch."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)
