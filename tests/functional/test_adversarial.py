"""Traffic that misleads: for each kind a few records, and what `--count once --pairs` says of them."""

from dataclasses import dataclass, replace

import pytest

from tests import truth
from tests.functional.test_engines_agree import run_engine
from toptalkers.engines import local
from toptalkers.flowlog.fields import FIELDS
from toptalkers.question.clauses import Address
from toptalkers.question.query import Query

COLUMNS = "start end interface-id srcaddr dstaddr srcport dstport protocol packets bytes action log-status"
MIDNIGHT = 1793491200
ONCE = replace(Query.parse(metric="bytes", ports="all"), count="once", pairs=True)


@dataclass(frozen=True)
class Traffic:
    """Records, and the pairs that are expected of them.

    Attributes:
        name: what it is.
        records: lines of `INTERFACE SOURCE PORT DESTINATION PORT PROTOCOL BYTES START-END FLAGS`, with the times in
            seconds after midnight, and then the packet's source and destination if they are others.
        pairs: lines of `CLIENT SERVER PORT PROTOCOL BYTES BYTES_TO_SERVER BYTES_TO_CLIENT HOW`.
        without_flags: the same for a format without `tcp-flags`; None if they are the same.
        address: the clause `--address`.

    """

    name: str
    records: str
    pairs: str
    without_flags: str | None = None
    address: Address | None = None

    def content(self, *, has_flags: bool, has_packet: bool = True) -> bytes:
        """A file of the records."""
        columns = f"{COLUMNS}{' tcp-flags' * has_flags}{' pkt-srcaddr pkt-dstaddr' * has_packet}"
        lines = [columns]
        for record in self.records.strip().splitlines():
            interface, source, port, destination, to_port, protocol, size, times, flags, *packet = record.split()
            start, end = (MIDNIGHT + int(time) for time in times.split("-"))
            texts = [start, end, interface, source, destination, port, to_port, protocol, int(size) // 100, size]
            texts += ["ACCEPT", "OK", *([flags] * has_flags), *((packet or [source, destination]) * has_packet)]
            lines.append(" ".join(map(str, texts)))
        return "\n".join([*lines, ""]).encode()


def short(lines: bytes) -> list[str]:
    """Of each line of an answer, the columns that are compared."""
    rows = [line.split("\t") for line in lines.decode().splitlines()]
    return [" ".join([*row[:5], *row[7:9], row[13]]) for row in rows]


NTP = Traffic(
    "NTP among equal ports, asked by three",
    """
    eni-a 10.0.0.1 123 10.0.0.9 123 17 300 0-60 0
    eni-a 10.0.0.9 123 10.0.0.1 123 17 200 0-60 0
    eni-b 10.0.0.99 123 10.0.0.9 123 17 100 0-60 0
    eni-b 10.0.0.9 123 10.0.0.99 123 17 100 0-60 0
    """,
    """
    10.0.0.1 10.0.0.9 123 17 500 300 200 peers
    10.0.0.99 10.0.0.9 123 17 200 100 100 peers
    """,
)
NTP_OF_TWO = Traffic(
    "two NTP servers that ask each other, of which nothing tells",
    """
    eni-a 10.0.0.1 123 10.0.0.2 123 17 300 0-60 0
    eni-a 10.0.0.2 123 10.0.0.1 123 17 200 0-60 0
    """,
    "10.0.0.1 10.0.0.2 123 17 500 300 200 ?",
)
DNS_OVER_TCP = Traffic(
    "DNS over UDP and over TCP, which are two conversations",
    """
    eni-a 10.0.0.1 40000 10.0.0.53 53 17 100 0-60 0
    eni-a 10.0.0.53 53 10.0.0.1 40000 17 400 0-60 0
    eni-a 10.0.0.1 40000 10.0.0.53 53 6 300 0-60 2
    eni-a 10.0.0.53 53 10.0.0.1 40000 6 4000 0-60 18
    """,
    """
    10.0.0.1 10.0.0.53 53 6 4300 300 4000 syn
    10.0.0.1 10.0.0.53 53 17 500 100 400 ports
    """,
    """
    10.0.0.1 10.0.0.53 53 6 4300 300 4000 ports
    10.0.0.1 10.0.0.53 53 17 500 100 400 ports
    """,
)
FTP_DATA = Traffic(
    "active FTP: the data come from port 20, and whoever opens the connection is the client",
    """
    eni-a 10.0.0.21 20 10.0.0.1 50010 6 9000 0-60 2
    eni-a 10.0.0.1 50010 10.0.0.21 20 6 300 0-60 18
    eni-a 10.0.0.1 40000 10.0.0.21 21 6 200 0-60 2
    eni-a 10.0.0.21 21 10.0.0.1 40000 6 200 0-60 18
    """,
    """
    10.0.0.21 10.0.0.1 50010 6 9300 9000 300 syn
    10.0.0.1 10.0.0.21 21 6 400 200 200 syn
    """,
    """
    10.0.0.1 10.0.0.21 20 6 9300 300 9000 ports
    10.0.0.1 10.0.0.21 21 6 400 200 200 ports
    """,
)
NFS = Traffic(
    "NFS, whose clients have the lower ports",
    """
    eni-n 10.0.0.1 700 10.0.0.9 2049 6 100 0-60 2
    eni-n 10.0.0.9 2049 10.0.0.1 700 6 9000 0-60 18
    eni-n 10.0.0.2 811 10.0.0.9 2049 6 100 0-60 0
    eni-n 10.0.0.9 2049 10.0.0.2 811 6 7000 0-60 0
    """,
    """
    10.0.0.1 10.0.0.9 2049 6 9100 100 9000 syn
    10.0.0.2 10.0.0.9 2049 6 7100 100 7000 syn
    """,
    """
    10.0.0.1 10.0.0.9 2049 6 9100 100 9000 peers
    10.0.0.2 10.0.0.9 2049 6 7100 100 7000 peers
    """,
)
SCAN = Traffic(
    "a scan of low ports from one port, which answers from many ports do not make a server",
    """
    eni-a 198.51.100.66 40000 10.0.0.1 21 6 100 0-60 2
    eni-a 10.0.0.1 21 198.51.100.66 40000 6 100 0-60 4
    eni-a 198.51.100.66 40000 10.0.0.1 22 6 200 0-60 2
    eni-a 10.0.0.1 22 198.51.100.66 40000 6 100 0-60 18
    eni-a 198.51.100.66 40000 10.0.0.1 23 6 300 0-60 2
    eni-a 10.0.0.1 23 198.51.100.66 40000 6 100 0-60 4
    """,
    """
    198.51.100.66 10.0.0.1 23 6 400 300 100 syn
    198.51.100.66 10.0.0.1 22 6 300 200 100 syn
    198.51.100.66 10.0.0.1 21 6 200 100 100 syn
    """,
    """
    198.51.100.66 10.0.0.1 23 6 400 300 100 ports
    198.51.100.66 10.0.0.1 22 6 300 200 100 ports
    198.51.100.66 10.0.0.1 21 6 200 100 100 ports
    """,
)
SERVER_ON_50000 = Traffic(
    "a server on port 50000, whose clients have lower and higher ports",
    """
    eni-s 10.0.0.1 40001 10.0.0.9 50000 6 100 0-60 0
    eni-s 10.0.0.9 50000 10.0.0.1 40001 6 900 0-60 0
    eni-s 10.0.0.2 60000 10.0.0.9 50000 6 100 0-60 2
    eni-s 10.0.0.9 50000 10.0.0.2 60000 6 500 0-60 18
    """,
    """
    10.0.0.1 10.0.0.9 50000 6 1000 100 900 syn
    10.0.0.2 10.0.0.9 50000 6 600 100 500 syn
    """,
    """
    10.0.0.1 10.0.0.9 50000 6 1000 100 900 peers
    10.0.0.2 10.0.0.9 50000 6 600 100 500 peers
    """,
)
FIXED_CLIENT = Traffic(
    "a client that always has port 5000: without flags nothing tells, and that is said",
    """
    eni-a 10.0.0.1 5000 10.0.0.8 8080 6 100 0-60 2
    eni-a 10.0.0.8 8080 10.0.0.1 5000 6 900 0-60 18
    eni-a 10.0.0.1 5000 10.0.0.9 8080 6 100 0-60 2
    eni-a 10.0.0.9 8080 10.0.0.1 5000 6 800 0-60 18
    """,
    """
    10.0.0.1 10.0.0.8 8080 6 1000 100 900 syn
    10.0.0.1 10.0.0.9 8080 6 900 100 800 syn
    """,
    """
    10.0.0.8 10.0.0.1 5000 6 1000 900 100 ?
    10.0.0.9 10.0.0.1 5000 6 900 800 100 ?
    """,
)
MOVED_ADDRESS = Traffic(
    "an address that moves to another interface within the hour adds up; its peer's interface logs the same again",
    """
    eni-old 10.0.0.1 40000 10.0.0.9 443 6 1000 0-600 2
    eni-new 10.0.0.1 40000 10.0.0.9 443 6 2000 1200-1800 0
    eni-s 10.0.0.1 40000 10.0.0.9 443 6 1000 0-600 2
    eni-s 10.0.0.1 40000 10.0.0.9 443 6 2000 1200-1800 0
    eni-s 10.0.0.2 40000 10.0.0.9 443 6 50 0-600 2
    """,
    """
    10.0.0.1 10.0.0.9 443 6 3000 3000 0 syn
    10.0.0.2 10.0.0.9 443 6 50 50 0 syn
    """,
    """
    10.0.0.1 10.0.0.9 443 6 3000 3000 0 ports
    10.0.0.2 10.0.0.9 443 6 50 50 0 ports
    """,
)
TWO_VPCS = Traffic(
    "two VPCs with the same addresses: each sends its own, and both add up",
    """
    eni-a1 10.0.0.1 40000 10.0.0.9 443 6 1000 0-60 0
    eni-a9 10.0.0.1 40000 10.0.0.9 443 6 1000 0-60 0
    eni-b1 10.0.0.1 40000 10.0.0.9 443 6 500 0-60 0
    eni-b9 10.0.0.1 40000 10.0.0.9 443 6 500 0-60 0
    eni-a1 10.0.0.1 40000 10.0.0.53 53 17 30 0-60 0
    eni-b1 10.0.0.1 40000 10.0.0.53 53 17 20 0-60 0
    eni-a9 10.0.0.9 40000 10.0.0.53 53 17 10 0-60 0
    eni-b9 10.0.0.9 40000 10.0.0.53 53 17 10 0-60 0
    """,
    """
    10.0.0.1 10.0.0.9 443 6 1500 1500 0 ports
    10.0.0.1 10.0.0.53 53 17 50 50 0 ports
    10.0.0.9 10.0.0.53 53 17 20 20 0 ports
    """,
)
NAT_GATEWAY = Traffic(
    "a NAT gateway: four legs, and the client's interface, are one conversation",
    """
    eni-a 10.0.0.1 40000 198.51.100.7 443 6 1000 0-60 2
    eni-a 198.51.100.7 443 10.0.0.1 40000 6 5000 0-60 18
    eni-n 10.0.0.1 40000 10.0.1.9 443 6 1000 0-60 2 10.0.0.1 198.51.100.7
    eni-n 10.0.1.9 22222 198.51.100.7 443 6 1000 0-60 2
    eni-n 198.51.100.7 443 10.0.1.9 22222 6 5000 0-60 18
    eni-n 10.0.1.9 443 10.0.0.1 40000 6 5000 0-60 18 198.51.100.7 10.0.0.1
    """,
    "10.0.0.1 198.51.100.7 443 6 6000 1000 5000 syn",
    "10.0.0.1 198.51.100.7 443 6 6000 1000 5000 peers",
)
NAT_GATEWAY_BY_INTERFACE = replace(
    NAT_GATEWAY,
    name="a NAT gateway with --address eni: each leg is a conversation of its own",
    address="eni",
    pairs="""
    10.0.0.1 10.0.1.9 443 6 6000 1000 5000 syn
    10.0.0.1 198.51.100.7 443 6 6000 1000 5000 syn
    10.0.1.9 198.51.100.7 443 6 6000 1000 5000 syn
    """,
    without_flags="""
    10.0.0.1 10.0.1.9 443 6 6000 1000 5000 peers
    10.0.0.1 198.51.100.7 443 6 6000 1000 5000 peers
    10.0.1.9 198.51.100.7 443 6 6000 1000 5000 peers
    """,
)
HIGHER_SERVER = Traffic(
    "a server above its client's port, whose one interface logs the SYN in a window of its own",
    """
    eni-a 10.0.0.1 40000 10.0.0.9 50000 6 1000 0-600 2
    eni-b 10.0.0.1 40000 10.0.0.9 50000 6 400 0-59 2
    eni-b 10.0.0.1 40000 10.0.0.9 50000 6 600 60-600 0
    """,
    "10.0.0.1 10.0.0.9 50000 6 1000 1000 0 syn",
    "10.0.0.9 10.0.0.1 40000 6 1000 0 1000 ports",
)
NAT_OF_HIGH_PORTS = Traffic(
    "a gateway's leg says the same server as the client's interface, which knows more of the other end",
    """
    eni-a 10.0.0.1 40000 198.51.100.7 33000 17 1000 0-60 0
    eni-a 10.0.0.1 40001 198.51.100.7 33000 17 10 0-60 0
    eni-n 10.0.0.1 40000 10.0.1.9 33000 17 1000 0-60 0 10.0.0.1 198.51.100.7
    eni-n 198.51.100.8 50000 10.0.1.9 33000 17 5 0-60 0 198.51.100.8 10.0.0.1
    """,
    """
    10.0.0.1 198.51.100.7 33000 17 1010 1010 0 peers
    198.51.100.8 10.0.0.1 33000 17 5 5 0 ports
    """,
)
PINGS_THROUGH_NAT = Traffic(
    "pings through a gateway: by its own address, the leg would have another server",
    """
    eni-a 10.0.0.1 0 0.0.0.9 0 1 100 0-60 0
    eni-n 10.0.0.1 0 10.0.1.9 0 1 100 0-60 0 10.0.0.1 0.0.0.9
    eni-n 10.0.1.9 0 0.0.0.9 0 1 100 0-60 0
    """,
    "0.0.0.9 10.0.0.1 0 1 100 0 100 ?",
)
BALANCER = Traffic(
    "a balancer that keeps the client's address: its leg and the target's are one conversation",
    """
    eni-lb 198.51.100.7 40000 10.0.1.8 443 6 1000 0-60 2 198.51.100.7 10.0.0.5
    eni-lb 10.0.1.8 443 198.51.100.7 40000 6 3000 0-60 18 10.0.0.5 198.51.100.7
    eni-t 198.51.100.7 40000 10.0.0.5 443 6 1000 0-60 2
    eni-t 10.0.0.5 443 198.51.100.7 40000 6 3000 0-60 18
    """,
    "198.51.100.7 10.0.0.5 443 6 4000 1000 3000 syn",
    "198.51.100.7 10.0.0.5 443 6 4000 1000 3000 ports",
)
SECONDARY_ADDRESS = Traffic(
    "a secondary address: its interface logs the first one instead, with the packet's beside it",
    """
    eni-c 10.0.0.1 40000 10.0.0.10 443 6 1000 0-60 2
    eni-c 10.0.0.10 443 10.0.0.1 40000 6 3000 0-60 18
    eni-s 10.0.0.1 40000 10.0.0.9 443 6 1000 0-60 2 10.0.0.1 10.0.0.10
    eni-s 10.0.0.9 443 10.0.0.1 40000 6 3000 0-60 18 10.0.0.10 10.0.0.1
    eni-s 10.0.0.2 40000 10.0.0.9 443 6 500 0-60 2
    """,
    """
    10.0.0.1 10.0.0.10 443 6 4000 1000 3000 syn
    10.0.0.2 10.0.0.9 443 6 500 500 0 syn
    """,
    """
    10.0.0.1 10.0.0.10 443 6 4000 1000 3000 ports
    10.0.0.2 10.0.0.9 443 6 500 500 0 ports
    """,
)
OVER_THE_HOUR = Traffic(
    "a window of 600 s over an hour's edge, beside windows of 60 s: the hours do not add up to more than was sent",
    """
    eni-a 10.0.0.1 40000 10.0.0.9 443 6 500 3300-3600 2
    eni-a 10.0.0.1 40000 10.0.0.9 443 6 500 3600-3900 0
    eni-s 10.0.0.1 40000 10.0.0.9 443 6 1000 3300-3900 2
    """,
    "10.0.0.1 10.0.0.9 443 6 1000 1000 0 syn",
    "10.0.0.1 10.0.0.9 443 6 1000 1000 0 ports",
)
SKIPPED_AT_ONE_SIDE = Traffic(
    "each interface loses records in another hour: of each hour the larger sum counts",
    """
    eni-a 10.0.0.1 40000 10.0.0.9 443 6 900 0-600 2
    eni-s 10.0.0.1 40000 10.0.0.9 443 6 400 0-600 2
    eni-a 10.0.0.1 40000 10.0.0.9 443 6 300 7200-7800 0
    eni-s 10.0.0.1 40000 10.0.0.9 443 6 800 7200-7800 0
    """,
    "10.0.0.1 10.0.0.9 443 6 1700 1700 0 syn",
    "10.0.0.1 10.0.0.9 443 6 1700 1700 0 ports",
)

ONE_MOUNT = Traffic(
    "a single NFS mount: without flags the lower port is taken for the server's, which is wrong",
    """
    eni-n 10.0.0.1 700 10.0.0.9 2049 6 100 0-60 2
    eni-n 10.0.0.9 2049 10.0.0.1 700 6 9000 0-60 18
    """,
    "10.0.0.1 10.0.0.9 2049 6 9100 100 9000 syn",
    "10.0.0.9 10.0.0.1 700 6 9100 9000 100 ports",
)
HIGH_SCAN = Traffic(
    "a scan of ports from 1024 on, from one port, that is answered: without flags the scanner is taken for a server",
    """
    eni-a 198.51.100.66 40000 10.0.0.1 8001 6 100 0-60 2
    eni-a 10.0.0.1 8001 198.51.100.66 40000 6 100 0-60 4
    eni-a 198.51.100.66 40000 10.0.0.1 8002 6 200 0-60 2
    eni-a 10.0.0.1 8002 198.51.100.66 40000 6 100 0-60 4
    """,
    """
    198.51.100.66 10.0.0.1 8002 6 300 200 100 syn
    198.51.100.66 10.0.0.1 8001 6 200 100 100 syn
    """,
    "10.0.0.1 198.51.100.66 40000 6 500 200 300 peers",
)
RESOLVER = Traffic(
    "a resolver that asks others from port 53: it has more peers than they, and is taken for the server",
    """
    eni-r 10.0.0.1 40000 10.0.0.53 53 17 100 0-60 0
    eni-r 10.0.0.2 40001 10.0.0.53 53 17 100 0-60 0
    eni-r 10.0.0.53 53 198.51.100.1 53 17 300 0-60 0
    eni-r 198.51.100.1 53 10.0.0.53 53 17 900 0-60 0
    """,
    """
    198.51.100.1 10.0.0.53 53 17 1200 900 300 peers
    10.0.0.1 10.0.0.53 53 17 100 100 0 peers
    10.0.0.2 10.0.0.53 53 17 100 100 0 peers
    """,
)
TWO_WINDOWS = Traffic(
    "two flow logs of one interface with other windows: their records are no copies, and count twice",
    """
    eni-a 10.0.0.1 40000 10.0.0.9 443 6 1000 0-600 0
    eni-a 10.0.0.1 40000 10.0.0.9 443 6 400 0-59 0
    eni-a 10.0.0.1 40000 10.0.0.9 443 6 600 60-600 0
    """,
    "10.0.0.1 10.0.0.9 443 6 2000 2000 0 ports",
)
ON_THE_WAY = Traffic(
    "an interface on the way all of whose records have one address: it looks like a second one of that address",
    """
    eni-a 10.0.0.1 40000 10.0.0.9 443 6 1000 0-60 0
    eni-a 10.0.0.1 40000 10.0.0.8 443 6 500 0-60 0
    eni-t 10.0.0.1 40000 10.0.0.9 443 6 1000 0-60 0
    eni-t 10.0.0.1 40000 10.0.0.8 443 6 500 0-60 0
    """,
    """
    10.0.0.1 10.0.0.9 443 6 2000 2000 0 ports
    10.0.0.1 10.0.0.8 443 6 1000 1000 0 ports
    """,
)
OTHER_PORT = Traffic(
    "a balancer with another port than its targets: two conversations",
    """
    eni-lb 198.51.100.7 40000 10.0.1.8 443 6 1000 0-60 2 198.51.100.7 10.0.0.5
    eni-t 198.51.100.7 40000 10.0.0.5 8443 6 1000 0-60 2
    """,
    """
    198.51.100.7 10.0.0.5 443 6 1000 1000 0 syn
    198.51.100.7 10.0.0.5 8443 6 1000 1000 0 syn
    """,
    """
    198.51.100.7 10.0.0.5 443 6 1000 1000 0 ports
    198.51.100.7 10.0.0.5 8443 6 1000 1000 0 ports
    """,
)
MISLED = [ONE_MOUNT, HIGH_SCAN, RESOLVER, TWO_WINDOWS, ON_THE_WAY, OTHER_PORT]
"""Where the rules are wrong, and where more is counted than was sent, as docs/conversations.md says."""

ALL = [
    *(NTP, NTP_OF_TWO, DNS_OVER_TCP, FTP_DATA, NFS, SCAN, SERVER_ON_50000, FIXED_CLIENT, MOVED_ADDRESS, TWO_VPCS),
    *(HIGHER_SERVER, NAT_OF_HIGH_PORTS, PINGS_THROUGH_NAT),
    *(NAT_GATEWAY, NAT_GATEWAY_BY_INTERFACE, BALANCER, SECONDARY_ADDRESS, OVER_THE_HOUR, SKIPPED_AT_ONE_SIDE),
    *MISLED,
]


@pytest.mark.parametrize("has_flags", [True, False], ids=["with flags", "without flags"])
@pytest.mark.parametrize("traffic", ALL, ids=lambda traffic: traffic.name)
def test_who_talks_to_whom(traffic: Traffic, has_flags: bool) -> None:
    """The oracle and the local engine say what is written in the table."""
    content = traffic.content(has_flags=has_flags)
    expected = traffic.pairs if has_flags or traffic.without_flags is None else traffic.without_flags
    query = replace(ONCE, address=traffic.address)
    lines = b"".join(truth.answer(query, [content], set(FIELDS)).lines)
    assert short(lines) == [line.strip() for line in expected.strip().splitlines()]
    assert run_engine(local, query, [content])[0] == lines


def test_overlapping_flow_logs_of_two_formats() -> None:
    """Two flow logs of the same interfaces, one without flags and packet addresses, count once, with what both know."""
    content = [NAT_GATEWAY.content(has_flags=is_rich, has_packet=is_rich) for is_rich in (True, False)]
    expected = truth.answer(ONCE, content, set(FIELDS))
    assert short(b"".join(expected.lines)) == ["10.0.0.1 198.51.100.7 443 6 6000 1000 5000 syn"]
    assert (expected.duplicates, expected.relayed, expected.collapsed) == (6, 2, 2)
    lines, answer, _ = run_engine(local, ONCE, content)
    assert lines == b"".join(expected.lines)
    assert (answer.quality.duplicates, answer.quality.relayed, answer.quality.collapsed) == (6, 2, 2)
    assert answer.tally.skipped["duplicate"] == 6
