"""Texts that an attacker might choose, to forge a line or to control a terminal."""

from hypothesis import strategies as st

HARMFUL = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA1)),
    *"\u200b\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\u3000\ud800\udc1b\udcff\U000e0001",
    "\x1b]0;title\x07",
    "\r\x1b[2K",
    "\nError: all is lost",
    "[red]",
    ":100:",
]

pieces = st.one_of(st.sampled_from(HARMFUL), st.text(min_size=1, max_size=5))
texts = st.lists(pieces, min_size=1, max_size=6).map("".join)
"""Any text; most contain something that a terminal would obey."""


def is_harmless(text: str) -> bool:
    """Whether a terminal only shows the characters of some lines."""
    return all(line.isprintable() for line in text.split("\n"))
