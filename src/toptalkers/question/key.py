"""A talker: source address, destination address and destination port, and how it is printed.

The key of every engine is made from these three, here and in `job/count_flows.py` (a parity test
watches). IPv6 addresses stand in brackets, as in a URI (RFC 3986, section 3.2.2), so that the last colon
outside of brackets always begins the port.
"""

import re
from typing import NamedTuple

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_GROUP = r"[0-9A-Fa-f]{1,4}"
_ADDRESS_IPV4 = re.compile(_IPV4)
_ADDRESS_IPV6_GROUP = re.compile(_GROUP)
_TALKER = re.compile(r"(?:\[([^\[\]\s]+)\]|([0-9.]+)):(?:\[([^\[\]\s]+)\]|([0-9.]+)):(0|[1-9][0-9]{0,4})")

HIGHEST_PORT = 65535


class Talker(NamedTuple):
    """Who talks to whom, on which port. Addresses as they were logged."""

    src: str
    dst: str
    port: int


def is_ipv4(text: str) -> bool:
    """Whether a text is a dotted IPv4 address (four numbers below 256, no leading zeros)."""
    return _ADDRESS_IPV4.fullmatch(text) is not None


def is_ipv6(text: str) -> bool:
    """Whether a text is an IPv6 address (RFC 4291, section 2.2), without a zone."""
    head, gap, tail = text.partition("::")
    if gap:
        groups = (head.split(":") if head else []) + (tail.split(":") if tail else [])
    else:
        groups = text.split(":")
    width = len(groups)
    if groups and is_ipv4(groups[-1]) and (tail or not gap):
        # The last 32 bits may be written as an IPv4 address; they stand for two groups.
        groups.pop()
        width += 1
    if not all(_ADDRESS_IPV6_GROUP.fullmatch(group) for group in groups):
        return False
    return width <= 7 if gap else width == 8


def is_address(text: str) -> bool:
    """Whether a text is an IP address, of either family."""
    return is_ipv4(text) or is_ipv6(text)


def parse_port(text: str) -> int:
    """Read a port; ValueError unless it is a plain decimal from 0 to 65535."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,4}", text) or int(text) > HIGHEST_PORT:
        raise ValueError(f"not a port: {text!r}")
    return int(text)


def format_talker(talker: Talker) -> str:
    """Print a talker: `192.0.2.1:198.51.100.7:443`, `[2001:db8::1]:[2001:db8::2]:443`."""
    src = f"[{talker.src}]" if ":" in talker.src else talker.src
    dst = f"[{talker.dst}]" if ":" in talker.dst else talker.dst
    return f"{src}:{dst}:{talker.port}"


def parse_talker(text: str) -> Talker:
    """Read a printed talker; ValueError when it is not one."""
    match = _TALKER.fullmatch(text)
    if match is None:
        raise ValueError(f"not a talker: {text!r}")
    src6, src4, dst6, dst4, port = match.groups()
    valid = (is_ipv6(src6) if src6 else is_ipv4(src4)) and (is_ipv6(dst6) if dst6 else is_ipv4(dst4))
    if not valid:
        raise ValueError(f"not a talker: {text!r}")
    try:
        return Talker(src6 or src4, dst6 or dst4, parse_port(port))
    except ValueError:
        raise ValueError(f"not a talker: {text!r}") from None
