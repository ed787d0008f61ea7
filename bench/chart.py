"""Line charts on two logarithmic axes, written as SVG: a few panels and a legend, for light and dark pages."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 300, 220
LEFT, RIGHT, TOP, BOTTOM = 54, 14, 30, 40
LEGEND = 30

STYLE = """
  text { font: 11px system-ui, sans-serif; fill: #57606a }
  .title { font-size: 12px; font-weight: 600; fill: #1f2328 }
  .page { fill: #ffffff }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .line { fill: none; stroke-width: 2 }
  .a { stroke: #0969da } .dot.a { fill: #0969da }
  .b { stroke: #bc4c00; stroke-dasharray: 5 3 } .dot.b { fill: #bc4c00; stroke-dasharray: none }
  .c { stroke: #1a7f37; stroke-dasharray: 2 3 } .dot.c { fill: #1a7f37; stroke-dasharray: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 } .title { fill: #f0f6fc } .page { fill: #0d1117 } .grid { stroke: #3d444d }
    .a { stroke: #58a6ff } .dot.a { fill: #58a6ff }
    .b { stroke: #f0883e } .dot.b { fill: #f0883e }
    .c { stroke: #3fb950 } .dot.c { fill: #3fb950 }
  }
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: the labels of its axes, and the points of each line by its name (both coordinates above 0)."""

    title: str
    x_label: str
    y_label: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


def draw(panels: Sequence[Panel], columns: int) -> str:
    """Draw panels in rows of `columns`; a name has the same colour in all panels."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    classes = {name: "abc"[number % 3] for number, name in enumerate(names)}
    width, height = WIDTH * columns, HEIGHT * -(-len(panels) // columns) + LEGEND
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}" rx="6"/>',
    ]
    for number, name in enumerate(names):
        x = LEFT + 220 * number
        parts.append(f'<path class="line {classes[name]}" d="M{x} 18H{x + 28}"/>')
        parts.append(f'<text x="{x + 34}" y="22">{escape(name)}</text>')
    for number, panel in enumerate(panels):
        x, y = number % columns * WIDTH, number // columns * HEIGHT + LEGEND
        parts += [f'<g transform="translate({x} {y})">', *_draw_panel(panel, classes), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _draw_panel(panel: Panel, classes: Mapping[str, str]) -> list[str]:
    points = [point for line in panel.lines.values() for point in line]
    xs, ys = sorted({x for x, _ in points}), [y for _, y in points]
    x_ticks, y_ticks = _round_values(xs[0], xs[-1]), _round_values(min(ys), max(ys))
    x_low, x_high = min(xs[0], x_ticks[0]) / 1.15, max(xs[-1], x_ticks[-1]) * 1.15
    y_low, y_high = min(*ys, *y_ticks) / 1.15, max(*ys, *y_ticks) * 1.15

    def at_x(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(x / x_low) / math.log(x_high / x_low)

    def at_y(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log(y / y_low) / math.log(y_high / y_low)

    parts = [f'<text class="title" x="{LEFT}" y="{TOP - 12}">{escape(panel.title)}</text>']
    for y in y_ticks:
        parts.append(f'<path class="grid" d="M{LEFT} {at_y(y):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at_y(y) + 4:.1f}" text-anchor="end">{_short(y)}</text>')
    for x in x_ticks:
        parts.append(f'<path class="grid" d="M{at_x(x):.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{at_x(x):.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{_short(x)}</text>')
    middle_x, middle_y = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text x="{middle_x}" y="{HEIGHT - 8}" text-anchor="middle">{escape(panel.x_label)}</text>')
    parts.append(
        f'<text transform="translate(13 {middle_y}) rotate(-90)" text-anchor="middle">{escape(panel.y_label)}</text>'
    )
    for name, line in panel.lines.items():
        path = "L".join(f"{at_x(x):.1f} {at_y(y):.1f}" for x, y in line)
        parts.append(f'<path class="line {classes[name]}" d="M{path}"/>')
        for x, y in line:
            parts.append(
                f'<circle class="dot {classes[name]}" cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3">'
                f"<title>{escape(name)}: {_short(x)} {escape(panel.x_label)}, {y:.3g} {escape(panel.y_label)}</title>"
                "</circle>"
            )
    return parts


def _round_values(low: float, high: float) -> list[float]:
    """Return at least two ticks: powers of ten for a wide range, else 1, 2, 5 of each; if needed, outside the range."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    fine = [digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)]
    inside = [value for value in fine if low <= value <= high]
    tens = [value for value in inside if math.log10(value) == round(math.log10(value))]
    if len(tens) >= 3:
        return tens
    if len(inside) >= 2:
        return inside
    below = max(value for value in fine if value <= low)
    return [
        below,
        *(value for value in inside if value > below),
        min(value for value in [*fine, 10.0 ** (last + 1)] if value >= high and value > below),
    ]


def _short(value: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
