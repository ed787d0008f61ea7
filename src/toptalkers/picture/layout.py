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
    Parts that are not connected stand side by side, the largest first.
    """
    known = [pair for pair in links if pair[0] != pair[1]]
    parts = []
    for order, children in _trees(count, known):
        places = _rings(order, children)
        if 2 < len(order) <= MOST_PULLED:
            number = {node: at for at, node in enumerate(order)}
            own = [(number[one], number[other]) for one, other in known if one in number]
            places = dict(zip(order, _pull([places[node] for node in order], own), strict=True))
        parts.append(places)
    points: list[Point] = [(0.0, 0.0)] * count
    for (x, y), places in zip(_side_by_side([_box(places) for places in parts]), parts, strict=True):
        left, top, _, _ = _box(places)
        for node, (a, b) in places.items():
            points[node] = (round(x + a - left, 1), round(y + b - top, 1))
    return points


def _trees(count: int, links: Iterable[tuple[int, int]]) -> list[tuple[list[int], dict[int, list[int]]]]:
    """Return each connected part, the largest first: its nodes, nearest to the root first, and their children.

    The root is the node with the most neighbours. Each other node is the child of the neighbour that is nearest to the
    root; of several, the one with which it has the most traffic.
    """
    beside: list[dict[int, None]] = [{} for _ in range(count)]
    for one, other in links:
        beside[one][other] = None
        beside[other][one] = None
    left = dict.fromkeys(sorted(range(count), key=lambda node: (-len(beside[node]), node)))
    found = []
    while left:
        root = next(iter(left))
        del left[root]
        order = [root]
        children: dict[int, list[int]] = {root: []}
        level = [root]
        while level:
            known = set(level)
            reached = dict.fromkeys(other for node in level for other in beside[node] if other in left)
            for node in reached:
                del left[node]
                children[node] = []
                children[next(other for other in beside[node] if other in known)].append(node)
            order.extend(reached)
            level = list(reached)
        found.append((order, children))
    return sorted(found, key=lambda part: (-len(part[0]), part[0][0]))


def _rings(order: Sequence[int], children: dict[int, list[int]]) -> dict[int, Point]:
    """Return the places of a tree's nodes: the root in the middle, each generation around the one before it.

    A node stands in the direction of its parent. A generation that has many nodes takes several rings.
    """
    depth = {order[0]: 0}
    for node in order:
        for child in children[node]:
            depth[child] = depth[node] + 1
    size = dict.fromkeys(order, 1)
    for node in reversed(order):
        size[node] += sum(size[child] for child in children[node])
    angle = {order[0]: 0.0}
    begin = {order[0]: (0.0, 2 * math.pi)}
    generations: dict[int, list[int]] = {}
    for node in order:
        generations.setdefault(depth[node], []).append(node)
        start, wide = begin[node]
        for child in children[node]:
            share = wide * size[child] / (size[node] - 1)
            angle[child] = start + share / 2
            begin[child] = (start, share)
            start += share
    places = {order[0]: (0.0, 0.0)}
    radius = SPACE
    for generation in range(1, len(generations)):
        nodes = sorted(generations[generation], key=lambda node: (angle[node], node))
        rings = 1
        while sum(2 * math.pi * (radius + ring * SPACE) / SPACE for ring in range(rings)) < len(nodes):
            rings += 1
        for at, node in enumerate(nodes):
            # Half of the way to an even distribution, so that nodes do not pile up in one direction.
            turn = (angle[node] + 2 * math.pi * at / len(nodes)) / 2
            far = radius + (at * 7 % rings if rings % 7 else at % rings) * SPACE
            places[node] = (1.3 * far * math.cos(turn), far * math.sin(turn))
        radius += (rings + 0.4) * SPACE
    return places


def _box(places: dict[int, Point]) -> tuple[float, float, float, float]:
    """Return the left, the top, the width and the height of what these places take, with room for texts."""
    left, right = min(x for x, _ in places.values()), max(x for x, _ in places.values())
    top, bottom = min(y for _, y in places.values()), max(y for _, y in places.values())
    return left - SPACE, top - SPACE, right - left + 2 * SPACE, bottom - top + 2 * SPACE


def _side_by_side(boxes: Sequence[tuple[float, float, float, float]]) -> list[Point]:
    """Return the upper left corners of boxes in rows, of about the form of a screen, in their order."""
    area = sum(width * height for _, _, width, height in boxes)
    most = max([math.sqrt(area * 2), *(width for _, _, width, _ in boxes)])
    corners = []
    x = y = high = 0.0
    for _, _, width, height in boxes:
        if x and x + width > most * 1.05:
            x, y, high = 0.0, y + high, 0.0
        corners.append((x, y))
        x += width
        high = max(high, height)
    return corners


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
