"""Write what was really sent in a sample as JSON, one conversation per line, so that a list can be compared with it.

```json
{"toptalkers": "truth", "version": 1, "seed": 1, "records": 1000000, "layout": "rich",
"conversations": [
{"client": "10.0.20.54", "server": "10.0.21.55", "port": 5432, "protocol": 6, "bytes": 3, "packets": 2,
 "connections": 1, "bytes_to_server": 2, "bytes_to_client": 1, "packets_to_server": 1, "packets_to_client": 1}],
"denied": [],
"lost": {"eni-0f6b2b4e9b8a1c2d3": 3}, "duplicates": 120, "lacking_answer_note": "..."}
```

The conversations with most bytes (both ways) come first. A conversation is between the hosts that really talk: the one
that asks, and the one that answers on the port; ICMP has port 0. A load balancer that ends the connections of its
clients has conversations of its own with the servers behind it. `denied` are attempts that the server's side rejected,
in the same shape. `lost` says how many records of an interface are missing, and `duplicates` how many are exact copies.
"""

from collections.abc import Iterable, Iterator

from toptalkers.flowlog.truth import TRUTH_HEAD
from toptalkers.sample.traffic import Sent, Truth

_NOTE = (
    "A client in the VPC logs the request of a denied attempt as accepted, without an answer: only the server's side"
    " rejects it. Such records are in denied, not in conversations."
)


def format_truth(truth: Truth, *, seed: int, records: int, layout: str) -> Iterator[bytes]:
    """Yield the lines of the file, with line ends; the arguments are those of `write_sample`."""
    yield TRUTH_HEAD
    yield f', "version": 1, "seed": {seed}, "records": {records}, "layout": "{layout}",\n'.encode()
    yield from _list("conversations", truth.conversations)
    yield from _list("denied", truth.denied)
    lost = ", ".join(f'"{interface}": {number}' for interface, number in sorted(truth.lost.items()))
    end = f'"lost": {{{lost}}}, "duplicates": {truth.duplicates},\n"lacking_answer_note": "{_NOTE}"}}\n'
    yield end.encode()


def _list(name: str, conversations: Iterable[Sent]) -> Iterator[bytes]:
    yield f'"{name}": ['.encode()
    separator = "\n"
    for one in conversations:
        client, server, port, protocol = one.talk
        line = (
            f'{separator}{{"client": "{client}", "server": "{server}", "port": {port}, "protocol": {protocol}'
            f', "bytes": {one.bytes_to_server + one.bytes_to_client}'
            f', "packets": {one.packets_to_server + one.packets_to_client}, "connections": {one.connections}'
            f', "bytes_to_server": {one.bytes_to_server}, "bytes_to_client": {one.bytes_to_client}'
            f', "packets_to_server": {one.packets_to_server}, "packets_to_client": {one.packets_to_client}}}'
        )
        yield line.encode()
        separator = ",\n"
    yield b"],\n"
