"""The explorer with its tour as one HTML file that needs no server: the component's own html, css and js, and its data."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from dropclust.ui.explorer import script, text

if TYPE_CHECKING:
    from dropclust.ui.explorer.scene import Scene

FILE_NAME = "explorer.html"
K = 10  # clusters of what is taken home
LAYER = 2  # shown first, as on the page
_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --header: 0px; --page: 4em; --st-font: system-ui, sans-serif;
  --st-background-color: #ffffff;  --st-text-color: #22262e; --st-primary-color: #0072b2; font-size: 18px; }
@media (prefers-color-scheme: dark) { :root { --st-background-color: #0e1117; --st-text-color: #fafafa;
  --st-primary-color: #56b4e9; } }
body { margin: 0 auto; max-width: 110rem; padding: 0.75rem clamp(1rem, 4vw, 4rem) 2rem; background: var(--st-background-color);
  color: var(--st-text-color); font-family: var(--st-font); }
h1 { margin: 0 0 0.3rem; font-size: clamp(1.4rem, 3.4vw, 2.2rem); line-height: 1.15; }
.present { --page: 4.6em; font-size: clamp(18px, min(1.786vw, 2.778vh), 48px); }
.present body { max-width: none; padding: 0.5rem 1.2rem 1rem; }
.present h1 { font-size: 1.6rem; }
.layers { margin: 1rem 0 0; }
.layers button { min-height: 44px; min-width: 44px; margin-right: 0.4rem; border: 1.5px solid; border-radius: 0.55em;
  background: none; color: inherit; font: inherit; cursor: pointer; }
.layers button[aria-pressed="true"] { background: var(--st-primary-color); color: var(--st-background-color); }
footer { margin-top: 1rem; font-size: 0.9rem; }
$css
</style>
</head>
<body>
<h1>$title</h1>
<main>
$html
</main>
<p class="layers">Hidden layer</p>
<footer>$footer</footer>
<script type="module">
$js
// ---- what Streamlit does on the page ----
const scenes = $scenes;
const parentElement = document.querySelector("main");
const query = new URLSearchParams(location.search);
const asked = Number(query.get("step") ?? 0);
let at = scenes.findIndex((scene) => scene.first);
const step = scenes[at].steps[asked - 1];
const start = { index: step?.index ?? scenes[at].start, view: step?.view ?? "twins", step: step ? asked : 0 };
const show = () => mount({
  parentElement,
  setStateValue() {},
  data: { start, ask: null, links: null, present: query.get("present") === "1", ...scenes[at].files },
});
const buttons = scenes.map(({ layer }, i) => {
  const button = document.createElement("button");
  button.textContent = layer;
  button.addEventListener("click", () => ((at = i), press(), show()));
  return button;
});
const press = () => buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === at)));
document.querySelector(".layers").append(" ", ...buttons);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
document.documentElement.classList.toggle("present", query.get("present") === "1");
press();
show();
</script>
</body>
</html>
""")


def _inside(content: bytes, kind: str) -> str:
    """A file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def html(scenes: Sequence[Scene]) -> str:
    """Write the file.

    Parameters
    ----------
    scenes
        What it shows, a hidden layer each, of one recipe and seed.

    Raises
    ------
    ValueError
        When there is no scene.
    """
    from dropclust.experiments import paper
    from dropclust.findings import tour
    from dropclust.findings.explorer import QUESTION

    if not scenes:
        raise ValueError("scenes must be at least one; got none")
    shown = [
        {
            "layer": scene.layer,
            "first": scene.layer == LAYER or len(scenes) == 1,
            "steps": [{"index": step["index"], "view": step["view"]} for step in tour.told(scene.readings)],
            "start": min(range(len(scene.rates)), key=lambda at: abs(scene.rates[at] - 0.4)),
            "files": {
                "layer": _inside(scene.files.layer, "application/gzip"),
                "clusters": _inside(scene.files.clusters, "application/gzip"),
                "pictures": [_inside(content, "image/webp") for content in scene.files.pictures],
            },
        }
        for scene in scenes
    ]
    return _PAGE.substitute(
        title=QUESTION,
        css=text("explorer.css"),
        html=text("explorer.html"),
        js=script(),
        scenes=json.dumps(shown, separators=(",", ":")),
        footer=(
            f"{scenes[0].recipe.capitalize()} recipe, {scenes[0].units} neurons a layer, MNIST. Paper: {paper.CITATION}. "
            "More, with training and every claim checked: python -m dropclust dashboard"
        ),
    )


def export(path: Path, recipe: str) -> None:
    """Write the shipped networks of a recipe to a file; they are drawn first where they are not yet.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When a table is missing or damaged.
    FileNotFoundError
        When MNIST is not there.
    ValueError
        When a network is not stored here.
    """
    from dropclust.experiments import table2
    from dropclust.findings.table2 import read
    from dropclust.service import atomic, drawn
    from dropclust.service.store import open_store
    from dropclust.ui.explorer.scene import build_scene

    layers = [drawn.shipped(recipe, layer) for layer in table2.LAYERS]
    if None in layers:
        drawn.make(recipe, open_store())
        layers = [drawn.shipped(recipe, layer) for layer in table2.LAYERS]
    scenes = [
        build_scene(read(recipe, layer=layer.number, k=K), layer, groupings[K]) for layer, groupings in filter(None, layers)
    ]
    atomic.write(path, html(scenes).encode())
