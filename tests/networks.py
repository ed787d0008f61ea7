"""A made network of any size, for tests and the bench of what shows one."""

import random

from toptalkers.picture.network import Edge, Network, Node, Row, View

KINDS = ("instance", "rds", "load-balancer", "lambda", "elasticache", "public", "aws", "private", "ecs-task")
SERVICES = ("https", "postgresql", "redis", "domain/udp", "8443/tcp", "ssh", "mysql", "ntp/udp")
HOURS = tuple(1_795_000_000 // 3600 * 3600 + 3600 * hour for hour in range(24))


def made_view(by: str, count: int, *, seed: int = 1, with_hours: bool = True) -> View:
    """Return a view of `count` edges: hubs with many neighbours, every eighth edge rejected."""
    draw = random.Random(f"{by} {count} {seed}")
    wanted = max(4, count // 2)
    kinds = {f"{by}-{number}": draw.choice(KINDS) for number in range(wanted)}
    labels = list(kinds)
    edges: dict[tuple[str, str, str, bool], Edge] = {}
    while len(edges) < count:
        source = labels[int(wanted * draw.random() ** 3)]
        target = labels[int(wanted * draw.random())]
        key = (source, target, draw.choice(SERVICES), draw.random() < 0.125)
        hours = (
            tuple((hour, int(draw.paretovariate(0.4) * 1000)) for hour in HOURS if draw.random() < 0.5)
            if with_hours
            else ()
        )
        whole = sum(value for _, value in hours) or int(draw.paretovariate(0.4) * 10_000)
        sums = (whole, whole // 700 + 1)
        number = min(20, len(edges) % 23)
        rows = tuple(
            Row(
                f"10.{draw.randrange(4)}.{draw.randrange(256)}.{draw.randrange(256)}",
                f"192.0.2.{draw.randrange(256)}",
                key[2],
                (whole // (2 + at), 1 + at),
            )
            for at in range(number + 1)
        )
        edges[key] = Edge(*key, sums=sums, hours=hours, rows=rows, rest=number // 4)
    ordered = tuple(sorted(edges.values(), key=lambda edge: (-edge.sums[0], edge.source, edge.target, edge.service)))
    of: dict[str, int] = {}
    for edge in ordered:
        for label in {edge.source, edge.target}:
            of[label] = of.get(label, 0) + edge.sums[0]
    nodes = tuple(Node(label, kinds[label]) for label in sorted(of, key=lambda label: (-of[label], label)))
    rest = (123_456, 78)
    totals = tuple(sum(edge.sums[at] for edge in ordered) + rest[at] for at in range(2))
    by_both = f"src.{by},dst.{by},service"
    command = f"toptalkers run-local flowlogs/ --names network.json.gz --by {by_both} --metric bytes --action ALL"
    return View(by, nodes, ordered, 17, rest, totals, command)


def made_network(*views: View, hours: tuple[int, ...] = HOURS, title: str = "Who talks to whom") -> Network:
    """Return a network of these views."""
    quality = "1,000,000 records read, 3 skipped (malformed)\nsampling: none <b>"
    return Network(title, views, ("bytes", "packets"), hours, quality, "Made 2026-11-23 18:00 UTC by toptalkers 1.0.0")
