"""AWS's published ranges: the file https://ip-ranges.amazonaws.com/ip-ranges.json, which the user fetches.

Its format is in the VPC user guide, "AWS IP address ranges". Nothing is fetched here.
"""

import ipaddress
from pathlib import Path
from typing import Any

from toptalkers.errors import ToptalkersError
from toptalkers.names.snapshot import Range, read_file, read_json

ADDRESS = "https://ip-ranges.amazonaws.com/ip-ranges.json"

_LISTS = (("prefixes", "ip_prefix"), ("ipv6_prefixes", "ipv6_prefix"))


def read_ip_ranges(path: Path) -> tuple[Range, ...]:
    """Read AWS's published ranges of both families, each once, in the order of the file; gzip is unpacked.

    Raises:
        ToptalkersError: the file cannot be read, or is none of AWS's ranges; the error names it.

    """
    found = read_json(read_file(path), str(path))
    if not isinstance(found, dict) or not any(isinstance(found.get(name), list) for name, _ in _LISTS):
        raise ToptalkersError(f"{path} does not have AWS's published ranges", hint=f"they are at {ADDRESS}")
    ranges: dict[Range, None] = {}
    for name, key in _LISTS:
        entries = found.get(name, [])
        for number, one in enumerate(entries if isinstance(entries, list) else [entries]):
            ranges[_parse_range(one, key, f"{path}: {name}[{number}]")] = None
    return tuple(ranges)


def _parse_range(one: Any, key: str, place: str) -> Range:
    try:
        network, service, region = one[key], one["service"], one["region"]
        if isinstance(network, str) and isinstance(service, str) and isinstance(region, str):
            return Range(str(ipaddress.ip_network(network)), service, region)
    except (KeyError, TypeError, ValueError):
        pass
    raise ToptalkersError(f"{place} is not a range with its service and Region", hint=f"the file is at {ADDRESS}")
