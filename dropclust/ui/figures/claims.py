"""Claims drawn: the intervals of one, whole or small enough for a cell, and the table of all."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Sequence
from html import escape
from textwrap import wrap

import plotly.graph_objects as go

from dropclust.findings import forest as forests
from dropclust.findings import words
from dropclust.findings.forest import Forest
from dropclust.findings.meaning import Meaning
from dropclust.findings.verdicts import SHAPES, Finding, Row, by_author, outcomes, recipe_name, requirement, tiles_read
from dropclust.ui.figures import lines
from dropclust.ui.style import style

_WIDTH, _ROW, _EDGE = 240, 18, 7  # of a small picture, in its own units
KEY = (
    "In each picture the line is the 95 % interval over seeds, its dot the mean, the square below it the control, the thin "
    "line zero; shaded is where the claim holds."
)
_LINE = 38  # letters of a label that a phone shows in one line
_ABOVE, _LETTERS = 13, 25  # pixels from a row's middle up to its label, and of a label's line
_BAND, _CLEAR = 84, 22  # pixels of a row at the least, and between a label and the interval of the row before


def forest(info: Forest) -> go.Figure:
    """Draw the intervals one below the other, the name of each above it, so that a phone has the whole width for the axis."""
    figure = go.Figure()
    zone = style(Meaning.CLAIM)
    figure.add_vrect(*info.zone, fillcolor=zone.colour, opacity=0.16, line_width=0, layer="below")
    labels = [wrap(escape(info.text(mark)), _LINE) for mark in info.marks]
    band = max(_BAND, _ABOVE + _CLEAR + _LETTERS * max(map(len, labels), default=1))
    lines.upright(figure, 0, _beside(labels, band), {"color": style(Meaning.CHANCE).colour, "width": 1})
    for place, mark in enumerate(info.marks):
        look = style(mark.meaning)
        known = not math.isnan(mark.interval.low)
        figure.add_scatter(
            x=[mark.interval.mean], y=[-place], mode="markers", showlegend=False, name=mark.name,
            marker={"symbol": look.marker, "size": 13, "color": look.colour, "line": {"width": 2, "color": look.colour}},
            error_x={
                "type": "data", "symmetric": False, "color": look.colour, "thickness": 3, "width": 6,
                "array": [mark.interval.high - mark.interval.mean if known else 0],
                "arrayminus": [mark.interval.mean - mark.interval.low if known else 0],
            },
            hovertemplate=f"{escape(info.text(mark))}<extra></extra>",
        )  # fmt: skip
        figure.add_annotation(
            x=0, xref="paper", xanchor="left", y=-place, yshift=_ABOVE, yanchor="bottom", text="<br>".join(labels[place]),
            align="left", showarrow=False, font={"size": lines.TEXT},
        )  # fmt: skip
    lines.lay_out(figure, "", "<br>".join(wrap(info.axis, _LINE - 6)), "", 130 + band * max(1, len(info.marks)))
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(range=[info.low, info.high], zeroline=False)
    return figure.update_yaxes(range=[0.6 - len(info.marks), 0.85], showticklabels=False, showgrid=False, zeroline=False)


def _beside(labels: Sequence[Sequence[str]], band: int) -> list[tuple[float, float]]:
    """The part of each row that neither its own label, above it, nor the next row's reaches; rows stand at 0, -1, -2."""
    own = 0.8 * _ABOVE / band
    tops = [(_ABOVE + _LETTERS * len(label)) / band for label in labels[1:]]
    ends = [min(own, top - 1) for top in [*tops, 0.65]]
    return [(own - place, end - place) for place, end in enumerate(ends[: len(labels)])]


def small(info: Forest) -> str:
    """Draw the intervals as an SVG picture without words; shaded is where the claim holds, the thin line is zero."""
    height = _ROW * max(1, len(info.marks))

    def x(value: float) -> str:
        share = (min(max(value, info.low), info.high) - info.low) / (info.high - info.low)
        return f"{_EDGE + share * (_WIDTH - 2 * _EDGE):.1f}"

    zone, zero = style(Meaning.CLAIM).colour, style(Meaning.CHANCE).colour
    begin, end = (x(value) for value in info.zone)
    parts = [
        f'<rect x="{begin}" y="0" width="{float(end) - float(begin):.1f}" height="{height}" fill="{zone}" fill-opacity=".22"/>',
        f'<path d="M{x(0)} 0V{height}" stroke="{zero}" stroke-width="1.5"/>',
    ]
    for place, mark in enumerate(info.marks):
        colour, y = style(mark.meaning).colour, _ROW * place + _ROW / 2
        if not math.isnan(mark.interval.low):
            parts.append(
                f'<path d="M{x(mark.interval.low)} {y}H{x(mark.interval.high)}" stroke="{colour}" stroke-width="3.5"/>'
            )
        middle = float(x(mark.interval.mean))
        square = mark.meaning is Meaning.CONTROL
        parts.append(
            f'<rect x="{middle - 4.5:.1f}" y="{y - 4.5}" width="9" height="9" fill="{colour}"/>' if square
            else f'<circle cx="{middle:.1f}" cy="{y}" r="5" fill="{colour}"/>'
        )  # fmt: skip
    drawn = "".join(parts)
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{drawn}</svg>'


def image(info: Forest) -> str:
    """The small picture as an HTML image that needs no other file, its sentence as alt text."""
    content = b64encode(small(info).encode()).decode()
    return f'<img src="data:image/svg+xml;base64,{content}" alt="{escape(info.sentence)}"/>'


# Of the table of claims, on the page and on paper. On a phone a claim is its verdicts' shapes and its statement, which opens
# the rest.
CSS = """
.claims { border-collapse: collapse; width: 100%; }
.claims th, .claims td { text-align: left; vertical-align: top; padding: .6em .8em .6em 0; border-bottom: 1px solid #8886; }
.claims a { color: inherit; }
.claims .place { opacity: .8; font-size: .85em; display: block; margin-top: .2em; }
.claims .verdict { font-weight: 600; display: block; }
.claims .shape { display: inline-block; width: 1.3em; text-align: center; }
.claims .number { font-size: .85em; display: block; }
.claims img { display: block; width: 100%; max-width: 240px; height: auto; margin: .25em 0; }
.claims td { width: 30%; } .claims td:first-child { width: 40%; }
.claims caption { display: none; }
@media (max-width: 700px) {
  .claims caption { display: table-caption; padding: 0 0 .3em; font-size: .9em; text-align: left; }
  .claims thead, .claims .word { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .claims .place, .claims .number, .claims img { display: none; }
  .claims tr { display: flex; align-items: center; min-height: 44px; border-bottom: 1px solid #8886; }
  .claims td, .claims td:first-child { width: auto; border: none; padding: 0; }
  .claims td:first-child { order: 1; flex: 1; padding-left: .5em; font-size: .9em; line-height: 1.35; }
  .claims td:first-child a { display: block; min-height: 44px; align-content: center; }
}
"""


def table(rows: Sequence[Row], link: Callable[[str], str] | None = None) -> str:
    """Draw a table of claims as HTML, a row a claim: statement, and for each recipe verdict, picture and number.

    Parameters
    ----------
    rows
        In the order in which they are shown.
    link
        From a claim's key to the address that opens it; none on paper.
    """
    recipes = [words.capital(recipe_name(recipe)) for recipe in rows[0].findings] if rows else []
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("Claim", *recipes))
    body = "".join(_row(row, link) for row in rows)
    order = f"<caption>The verdicts before each claim: {escape(', '.join(recipes))}.</caption>" if recipes else ""
    return f'<table class="claims">{order}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


TILES = """
.tiles { display: grid; grid-template-columns: auto 1fr; gap: .35em 1em; align-items: center; margin: .2em 0; }
.tiles ul { display: flex; flex-wrap: wrap; gap: .3em; list-style: none; margin: 0; padding: 0; }
.tiles strong { grid-column: 1 / -1; }
.tiles a { display: block; padding: 0 .4em; height: 1.8em; line-height: 1.8em; text-align: center; border-radius: .3em; }
.tiles a { color: inherit; text-decoration: none; border: 1px solid #8886; white-space: nowrap; }
.tiles b { font-weight: 600; margin-right: .15em; }
@media (pointer: coarse) { .tiles a { min-width: 44px; height: 44px; line-height: 42px; } }
@media (max-width: 700px) { .tiles { grid-template-columns: 1fr; gap: .2em; } }
"""


def tiles(rows: Sequence[Row], link: Callable[[str], str]) -> str:
    """Draw every claim as a tile with its number and its verdicts' shapes, grouped as the headline counts; it links to it."""
    drawn = []
    for whose, theirs in by_author(rows).items():
        drawn.append(f"<strong>{escape(words.capital(whose))}{words.count(len(theirs), 'claim')}</strong>")
        for what, group in outcomes(theirs, list(theirs[0].findings)).items():
            cells = "".join(
                f'<li><a href="{escape(link(row.claim.key))}" title="{escape(row.verdicts)}" '
                f'aria-label="{row.number}. {escape(row.verdicts)}"><b>{row.number}</b> {row.shapes}</a></li>'
                for row in sorted(group, key=lambda row: row.number)
            )
            drawn.append(f"<span>{escape(what)}</span><ul>{cells}</ul>")
    return f'<div class="tiles">{"".join(drawn)}</div><p class="key">{escape(tiles_read(rows))}</p>'


def _row(row: Row, link: Callable[[str], str] | None) -> str:
    claim, said = row.claim, f"{row.number}. {escape(row.claim.statement)}"
    statement = said if link is None else f'<a href="{escape(link(claim.key))}">{said}</a>'
    place = f'<span class="place">{escape(words.capital(claim.place))}. Asked for: {escape(requirement(claim))}.</span>'
    cells = "".join(_cell(finding) for finding in row.findings.values())
    return f"<tr><td>{statement}{place}</td>{cells}</tr>"


def _cell(finding: Finding) -> str:
    shape = f'<span class="shape" aria-hidden="true">{SHAPES[finding.verdict]}</span>'
    drawn = "" if finding.judged.why else image(forests.small(finding))
    recipe = escape(words.capital(recipe_name(finding.recipe)))
    return (
        f'<td data-recipe="{recipe}"><span class="verdict">{shape} <span class="word">{escape(finding.verdict.value)}</span>'
        f"</span>{drawn}"
        f'<span class="number">{escape("; ".join(filter(None, [finding.number, finding.beside])))}</span></td>'
    )
