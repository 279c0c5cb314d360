"""What became of the claims as one HTML file that needs no other: to read, to send, to print."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from dropclust.experiments import paper
from dropclust.findings import account
from dropclust.findings.verdicts import HOW, Row, summary, worst_first
from dropclust.ui.figures import claims as figures

TITLE = "Clustering Phenomena in Dropout: does it hold?"
_CSS = """
body { font: 16px/1.45 system-ui, sans-serif; color: #111; background: #fff; }
body { margin: 2em auto; max-width: 60em; padding: 0 1em; }
h1 { font-size: 1.5em; margin-bottom: .2em; } h2 { font-size: 1.15em; }
@page { size: A4; margin: 6mm; }
@media print {
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { font-size: 5.8pt; line-height: 1.1; margin: 0; padding: 0; max-width: none; }
  p, ul { margin: .25em 0; } h1 { font-size: 10pt; } h2 { font-size: 8pt; margin: .3em 0; }
  .claims th, .claims td { padding: .5pt 5pt .5pt 0; }
  .claims thead { position: static; } .claims tr { display: table-row; break-inside: avoid; }
  .claims td, .claims td:first-child { display: table-cell; width: 31%; border-bottom: .5pt solid #999; }
  .claims td:first-child { width: 38%; } .claims td[data-recipe]::before { content: none; }
  .claims img { float: right; width: 40pt; margin: 0 0 0 4pt; }
  .claims .verdict { display: inline; } .claims .place::before, .claims .number::before { content: " "; }
  .claims .place, .claims .number { display: inline; margin: 0; }
}
"""


def html(rows: Sequence[Row]) -> str:
    """The report: what was not reproduced, how it was judged, and every claim, what failed first."""
    missed = "".join(f"<li>{escape(sentence)}</li>" for sentence in account.not_reproduced(rows))
    first = f"<h2>Not reproduced</h2><ul>{missed}</ul>" if missed else ""
    recipes = list(rows[0].findings) if rows else []
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(TITLE)}</title><style>{figures.CSS}{_CSS}</style></head><body>"
        f"<h1>{escape(TITLE)}</h1><p>{escape(paper.CITATION)}.</p>{first}"
        f"<p>{escape(summary(rows, recipes))} {escape(HOW)}</p>"
        f"<p>{escape(figures.KEY)}</p>"
        f"{figures.table(worst_first(rows))}</body></html>\n"
    )
