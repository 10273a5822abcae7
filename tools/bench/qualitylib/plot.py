"""Draws loss over size as a small SVG picture, the Pareto front in it."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from qualitylib.measure import Row
from qualitylib.report import pareto_front
from qualitylib.settings import BITSANDBYTES, EMBER, FAMILIES, LLAMA, LLAMA_IMPORTANCE

WIDTH, HEIGHT = 900, 560
LEFT, RIGHT, TOP, BOTTOM = 76, 24, 58, 62
LETTER = 6.1  # mean width of a letter of a label

# Colours of Okabe and Ito, which the colour-blind tell apart as well; shapes differ too.
MARKS = {EMBER: ("#d55e00", "circle"), LLAMA: ("#0072b2", "square"),
         LLAMA_IMPORTANCE: ("#009e73", "diamond"), BITSANDBYTES: ("#7f7f7f", "triangle")}

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Axis:
    """Values to pixels: linear, or logarithmic where they span more than a factor of 30."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        if self.logarithmic:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            every = [factor * 10.0**decade for decade in decades for factor in (1, 2, 5)]
        else:
            raw = (self.high - self.low) / 8
            power = 10 ** math.floor(math.log10(raw))
            step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
            first = math.ceil(self.low / step)
            every = [step * number for number in range(first, int(self.high / step) + 1)]
        return [tick for tick in every if self.low <= tick <= self.high * (1 + 1e-9)]


def size_axis(rows: Sequence[Row]) -> Axis:
    sizes = [row.file_bytes / 1e6 for row in rows]
    space = 0.06 * (max(sizes) - min(sizes)) or 0.05 * max(sizes)
    return Axis(min(sizes) - space, max(sizes) + 1.5 * space, LEFT, WIDTH - RIGHT, False)


def loss_axis(rows: Sequence[Row]) -> Axis:
    losses = [row.loss for row in rows]
    highest = max(*losses, 0.01)
    positive = [loss for loss in losses if loss > 0]
    if positive and highest > 30 * min(positive):
        # What is lost in the errors of measurement need not stretch the axis.
        low = max(min(positive), highest / 1e5, 0.01) / 1.5
        return Axis(low, highest * 1.6, HEIGHT - BOTTOM, TOP, True)
    low = min(*losses, 0.0)
    space = 0.08 * (highest - low)
    return Axis(low - space, highest + space, HEIGHT - BOTTOM, TOP, False)


def svg(rows: Sequence[Row], subject: str) -> str:
    """The picture; files of full precision are what the others are compared with, and not in it."""
    shown = [row for row in rows if not row.baseline]
    if not shown:
        raise SystemExit("--plot: expected files to draw, found none")
    x, y = size_axis(shown), loss_axis(shown)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11">',
        f"<title>{escape(subject)}: loss over file size</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        *_axes(x, y), *_legend(subject, shown), *_front(pareto_front(shown), x, y)]
    points = [(x(row.file_bytes / 1e6), y(row.loss)) for row in shown]
    for row, (left, top) in zip(shown, points, strict=True):
        lines += _error_bar(row, left, y)
        colour, shape = MARKS[row.family]
        lines.append(_mark(shape, left, top, colour))
    lines += _labels(shown, points)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _text(left: float, top: float, text: str, more: str = "") -> str:
    return f'<text x="{left:.1f}" y="{top:.1f}"{more}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
            f' stroke="{colour}"{more}/>')


def _axes(x: Axis, y: Axis) -> Iterator[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for tick in x.ticks():
        yield _line(x(tick), TOP, x(tick), bottom, "#ececec")
        yield _text(x(tick), bottom + 17, f"{tick:g}", ' text-anchor="middle"')
    for tick in y.ticks():
        yield _line(LEFT, y(tick), right, y(tick), "#bbbbbb" if tick == 0 else "#ececec")
        yield _text(LEFT - 7, y(tick) + 4, f"{tick:g}", ' text-anchor="end"')
    yield (f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#444444"/>')
    yield _text((LEFT + right) / 2, HEIGHT - 22, "file, MB", ' text-anchor="middle" font-size="13"')
    middle = (TOP + bottom) / 2
    yield _text(20, middle, "loss: perplexity over F16, %" + (", logarithmic" if y.logarithmic
                                                              else ""),
                f' text-anchor="middle" font-size="13" transform="rotate(-90 20 {middle:.1f})"')


def _legend(subject: str, rows: Sequence[Row]) -> Iterator[str]:
    yield _text(LEFT, 24, subject, ' font-size="15" font-weight="bold"')
    left = float(LEFT + 6)
    for family in FAMILIES:
        if any(row.family == family for row in rows):
            colour, shape = MARKS[family]
            yield _mark(shape, left, 41, colour)
            yield _text(left + 10, 45, family)
            left += 34 + 6.6 * len(family)
    yield _line(left, 41, left + 22, 41, "#333333", ' stroke-dasharray="5 3"')
    yield _text(left + 28, 45, "front: no file is smaller and loses less; bars: ± paired error")


def _front(front: Sequence[Row], x: Axis, y: Axis) -> Iterator[str]:
    """Steps: at each size the least loss to be had."""
    place = [(x(row.file_bytes / 1e6), y(row.loss)) for row in front]
    path = f"M{place[0][0]:.1f} {TOP}V{place[0][1]:.1f}"
    for left, top in place[1:]:
        path += f"H{left:.1f}V{top:.1f}"
    yield (f'<path d="{path}H{WIDTH - RIGHT}" fill="none" stroke="#333333"'
           ' stroke-dasharray="5 3"/>')


def _error_bar(row: Row, left: float, y: Axis) -> Iterator[str]:
    colour = MARKS[row.family][0]
    high, low = y(row.loss + row.error), y(row.loss - row.error)
    yield _line(left, high, left, low, colour, ' stroke-opacity="0.45" stroke-width="1.5"')
    if row.loss < y.low:
        # Below the axis: drawn at its foot, with an arrow.
        foot = HEIGHT - BOTTOM
        yield (f'<path d="M{left - 4:.1f} {foot + 7}h8l-4 6z" fill="{colour}"/>')


def _mark(shape: str, left: float, top: float, colour: str) -> str:
    paths: dict[str, Callable[[], str]] = {
        "square": lambda: f"M{left - 4:.1f} {top - 4:.1f}h8v8h-8z",
        "diamond": lambda: f"M{left:.1f} {top - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
        "triangle": lambda: f"M{left:.1f} {top - 5:.1f}l5.5 9h-11z"}
    if shape == "circle":
        return f'<circle cx="{left:.1f}" cy="{top:.1f}" r="5" fill="{colour}"/>'
    return f'<path d="{paths[shape]()}" fill="{colour}"/>'


def _labels(rows: Sequence[Row], points: Sequence[tuple[float, float]]) -> Iterator[str]:
    """Each name where it hides least: beside its mark, or further away with a line to it."""
    taken: list[Box] = [(left - 6, top - 6, left + 6, top + 6) for left, top in points]
    for row, (left, top) in sorted(zip(rows, points, strict=True), key=lambda pair: pair[1]):
        wide = LETTER * len(row.name)
        box = min(_places(left, top, wide), key=lambda place: _cost(place, left, top, taken))
        taken.append(box)
        colour = MARKS[row.family][0]
        near_left = min(max(left, box[0]), box[2])
        near_top = min(max(top, box[1]), box[3])
        if math.hypot(near_left - left, near_top - top) > 14:
            yield _line(left, top, near_left, near_top, colour, ' stroke-opacity="0.5"')
        yield _text(box[0], box[3] - 3, row.name,
                    f' fill="{colour}" stroke="#ffffff" stroke-width="3" paint-order="stroke"')


def _places(left: float, top: float, wide: float) -> Iterator[Box]:
    for distance in (9, 22, 36, 52, 70):
        for angle in range(0, 360, 30):
            x = left + distance * math.cos(math.radians(angle))
            y = top - distance * math.sin(math.radians(angle))
            start = x if math.cos(math.radians(angle)) > 0.3 else (
                x - wide if math.cos(math.radians(angle)) < -0.3 else x - wide / 2)
            yield start, y - 7, start + wide, y + 7


def _cost(box: Box, left: float, top: float, taken: Sequence[Box]) -> float:
    hidden = sum(
        max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
        * max(0.0, min(box[3], other[3]) - max(box[1], other[1])) for other in taken)
    outside = max(0.0, LEFT - box[0]) + max(0.0, box[2] - WIDTH + RIGHT) \
        + max(0.0, TOP - box[1]) + max(0.0, box[3] - HEIGHT + BOTTOM)
    middle = math.hypot((box[0] + box[2]) / 2 - left, (box[1] + box[3]) / 2 - top)
    return 20 * hidden + 100 * outside + middle
