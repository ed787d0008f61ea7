"""A quick check whether a file contains plain lines: most do, and need no other module to be loaded."""

import re

from toptalkers.flowlog.fields import FIELDS

LOOK_BYTES = 64 << 10
"""How much of a file's beginning is examined."""

_BLANKS_BYTES = 1 << 10

_PLAIN = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z )?"
    rb"(?:(?:\d+|(?:eni|vpc|subnet|i)-[0-9a-f]+|\d+\.\d+\.\d+\.\d+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*|ACCEPT|REJECT|OK)"
    rb" [!-~]+(?: [!-~]+)*"
    rb"|([a-z][a-z0-9-]*)(?: [a-z][a-z0-9_-]*)+)[\r\n]"
)
"""A first line as AWS writes it, or as CloudWatch exports it; the engines know both."""


def is_plain(head: bytes) -> bool:
    """Whether a file that begins like this has lines as AWS writes them, so that it can pass untouched."""
    if b'"' in head or b"\t" in head or b"{" in head or b"," in head:
        return False
    start = head[:_BLANKS_BYTES]
    if b"  " in start or b" \n" in start or b" \r" in start:
        return False
    match = _PLAIN.match(head)
    return match is not None and (match[1] is None or match[1].decode() in FIELDS)
