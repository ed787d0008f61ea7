"""Where the nodes of a picture stand: the same network always gives the same places, without a browser's help.

Each node stands beside the one that it has the most to do with. A small network is then pulled into shape by forces.
"""

import math
from collections.abc import Iterable, Sequence

SPACE = 46.0
"""The distance between the centres of two small neighbours, in the picture's units (pixels when it is not zoomed)."""

MOST_PULLED = 90
"""The largest network, in nodes, that forces pull into shape: each round looks at all pairs."""

ROUNDS = 160

Point = tuple[float, float]


def place(count: int, links: Iterable[tuple[int, int]]) -> list[Point]:
    """Return where `count` nodes stand.

    `links` are pairs of numbers of nodes, those with the most traffic first. The largest node has number 0.
    """
    known = [pair for pair in links if pair[0] != pair[1]]
    points: list[Point] = [(0.0, 0.0)] * count
    circles = []
    for root, children in _trees(count, known):
        inside: dict[int, Point] = {}
        radius = _ring(root, children, inside)
        circles.append((radius, inside))
    if len(circles) == 1 and 2 < count <= MOST_PULLED:
        places = _pull([circles[0][1][node] for node in range(count)], known)
        return [(round(x, 1), round(y, 1)) for x, y in places]
    for (x, y), (_, inside) in zip(_side_by_side([radius for radius, _ in circles]), circles, strict=True):
        if 2 < len(inside) <= MOST_PULLED:
            inside = _pulled_within(inside, known)
        for node, (a, b) in inside.items():
            points[node] = (round(x + a, 1), round(y + b, 1))
    return points


def _trees(count: int, links: Sequence[tuple[int, int]]) -> list[tuple[int, list[list[int]]]]:
    """Return the heaviest tree of each connected part, as its root and the children of every node.

    The root is the part's node with the most links.
    """
    leader = list(range(count))

    def find(node: int) -> int:
        while leader[node] != node:
            leader[node] = leader[leader[node]]
            node = leader[node]
        return node

    beside: list[list[int]] = [[] for _ in range(count)]
    for one, other in links:
        first, second = find(one), find(other)
        if first != second:
            leader[second] = first
            beside[one].append(other)
            beside[other].append(one)
    parts: dict[int, list[int]] = {}
    for node in range(count):
        parts.setdefault(find(node), []).append(node)
    found = []
    children: list[list[int]] = [[] for _ in range(count)]
    for part in sorted(parts.values(), key=lambda nodes: (-len(nodes), nodes[0])):
        root = max(part, key=lambda node: (len(beside[node]), -node))
        waiting = [(root, -1)]
        while waiting:
            node, parent = waiting.pop()
            children[node] = [other for other in beside[node] if other != parent]
            waiting.extend((other, node) for other in children[node])
        found.append((root, children))
    return found


def _ring(root: int, children: Sequence[Sequence[int]], places: dict[int, Point]) -> float:
    """Put a tree's nodes in rings around their parents; return the radius of the circle that holds them all."""
    order = [root]
    for node in order:
        order.extend(children[node])
    radius: dict[int, float] = {}
    offset: dict[int, Point] = {root: (0.0, 0.0)}
    for node in reversed(order):
        largest_last = sorted(children[node], key=lambda child: (radius[child], child))
        outer = SPACE / 2
        at = 0
        while at < len(largest_last):
            widest = radius[largest_last[at]]
            ring: list[int] = []
            angle = 0.0
            distance = outer + widest
            for child in largest_last[at:]:
                far = outer + radius[child]
                wide = 2 * math.asin(min(1.0, radius[child] / far))
                # A larger child moves its ring outwards, where the others need less of the angle: this is a safe bound.
                if ring and angle + wide > 2 * math.pi:
                    break
                ring.append(child)
                angle += wide
                widest, distance = radius[child], far
            at += len(ring)
            spare = max(0.0, 2 * math.pi - angle) / len(ring)
            turn = 0.6 * len(ring)
            for child in ring:
                half = math.asin(min(1.0, radius[child] / (outer + radius[child])))
                turn += half + spare / 2
                offset[child] = (distance * math.cos(turn), distance * math.sin(turn))
                turn += half + spare / 2
            outer = distance + widest
        radius[node] = outer
    for node in order:
        x, y = offset[node] if node == root else places[node]
        places[node] = (x, y)
        for child in children[node]:
            a, b = offset[child]
            places[child] = (x + a, y + b)
    return radius[root]


def _side_by_side(radii: Sequence[float]) -> list[Point]:
    """Return the centres of circles in rows of about the width of a screen, the largest first."""
    area = sum((2 * radius) ** 2 for radius in radii)
    width = max([math.sqrt(area * 1.6), *(2 * radius for radius in radii)])
    centres = []
    x = y = high = 0.0
    for radius in radii:
        if x and x + 2 * radius > width:
            x, y, high = 0.0, y + high, 0.0
        centres.append((x + radius, y + radius))
        x += 2 * radius
        high = max(high, 2 * radius)
    return centres


def _pulled_within(inside: dict[int, Point], links: Sequence[tuple[int, int]]) -> dict[int, Point]:
    """Pull one of several parts into shape, without making it larger than it was."""
    nodes = list(inside)
    number = {node: at for at, node in enumerate(nodes)}
    own = [(number[one], number[other]) for one, other in links if one in number and other in number]
    pulled = _pull([inside[node] for node in nodes], own)
    middle_x = sum(x for x, _ in pulled) / len(pulled)
    middle_y = sum(y for _, y in pulled) / len(pulled)
    was = max(math.hypot(x, y) for x, y in inside.values())
    now = max(math.hypot(x - middle_x, y - middle_y) for x, y in pulled) or 1.0
    less = min(1.0, was / now)
    return {node: ((x - middle_x) * less, (y - middle_y) * less) for node, (x, y) in zip(nodes, pulled, strict=True)}


def _pull(places: Sequence[Point], links: Sequence[tuple[int, int]]) -> list[Point]:
    """Let linked nodes attract each other and all others repel, as Fruchterman and Reingold (1991) describe.

    The picture becomes wider than it is high, because its texts are.
    """
    count = len(places)
    xs = [x for x, _ in places]
    ys = [y for _, y in places]
    apart = 3.0 * SPACE
    pairs = sorted({(min(pair), max(pair)) for pair in links})
    for turn in range(ROUNDS):
        heat = apart * (1 - turn / ROUNDS) ** 1.5 + 0.5
        moves_x = [0.0] * count
        moves_y = [0.0] * count
        for one in range(count):
            x, y = xs[one], ys[one]
            for other in range(one):
                dx, dy = x - xs[other], y - ys[other]
                push = apart * apart / (dx * dx + dy * dy + 1e-3)
                moves_x[one] += dx * push
                moves_y[one] += dy * push
                moves_x[other] -= dx * push
                moves_y[other] -= dy * push
        for one, other in pairs:
            dx, dy = xs[one] - xs[other], ys[one] - ys[other]
            draw = math.hypot(dx, dy) / apart
            moves_x[one] -= dx * draw
            moves_y[one] -= dy * draw
            moves_x[other] += dx * draw
            moves_y[other] += dy * draw
        for one in range(count):
            # A weak pull to the middle keeps those with few links from drifting away.
            dx, dy = moves_x[one] - 0.06 * xs[one], moves_y[one] - 0.1 * ys[one]
            far = math.hypot(dx, dy) or 1.0
            step = min(far, heat)
            xs[one] += dx / far * step
            ys[one] += dy / far * step
    return [(1.35 * x, 0.9 * y) for x, y in zip(xs, ys, strict=True)]
