"""Numbers for keys, in the order in which they appear."""

from typing import TypeVar

Key = TypeVar("Key")


class Numbers(dict[Key, int]):
    """Gives each key that is asked for a number of its own, from 0."""

    def __missing__(self, key: Key) -> int:
        """Number a new key."""
        number = self[key] = len(self)
        return number
