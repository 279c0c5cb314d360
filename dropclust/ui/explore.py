"""Blocks of the Explore page: the guess, the neurons as explorer or still picture, curves, and training what is not stored."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import streamlit as st

from dropclust.core.spec import RECIPES
from dropclust.experiments import results, table2
from dropclust.findings import guess, network, words
from dropclust.findings.table2 import Table2, by_recipe
from dropclust.service import runs
from dropclust.service.jobs import ENDED
from dropclust.ui import controls, live, state
from dropclust.ui.explorer import Scene, explorer
from dropclust.ui.figures.guess import compared_figure
from dropclust.ui.figures.lines import curves
from dropclust.ui.figures.network import neuron_sheet
from dropclust.ui.figures.once import draw_once

ASKED_RATE = 0.5
WAYS = ("rand", "adjusted", "twins", "accuracy")  # what is drawn against the rate


class Shown(NamedTuple):
    """Which networks and clusters the page shows."""

    recipe: str
    layer: int
    k: int
    seed: int

    @property
    def question(self) -> tuple[str, int, int]:
        """What a guess is about: curves are of all seeds."""
        return self.recipe, self.layer, self.k


def ask(shown: Shown, said: Table2) -> bool:
    """Ask for a guess before the answer is shown, once a session; says whether the question is still open."""
    if "guessed" in st.session_state:
        return False
    rand, chance = said.rand.series
    with st.container(border=True):
        st.markdown(
            f"**Guess first.** {words.capital(shown.recipe)} recipe, layer {shown.layer}, {shown.k} clusters: without dropout "
            f"the Rand index of the two clusterings is **{words.number(rand.at(0.0).mean)}**; chance alone gives "
            f"{words.number(chance.at(0.0).mean)}, and equal clusterings give 1. Where will it be at dropout {ASKED_RATE:g}?"
        )
        where, yes, no = st.columns([4, 2, 1], vertical_alignment="bottom")
        value = where.slider("Rand index that I expect", 0.5, 1.0, 0.75, 0.01)
        if yes.button("That is my guess", type="primary", width="stretch"):
            live.guesses(*shown.question).add(value)
            st.session_state["guessed"] = shown.question, value
            st.rerun()
        if no.button("Skip", width="stretch"):
            st.session_state["guessed"] = None, None
            st.rerun()
    return True


def answered(shown: Shown, said: Table2) -> None:
    """The guess that was made of what is shown, beside the answer: a line, and the rest a click away."""
    question, value = st.session_state.get("guessed", (None, None))
    if question != shown.question:
        return
    rand, chance = (line.at(ASKED_RATE).mean for line in said.rand.series)
    others = live.guesses(*question).others(value)
    info = guess.compare(f"Rand index at dropout {ASKED_RATE:g}", value, rand, chance, others)
    with st.popover(f"You expected {words.number(value)}; it is {words.number(rand)}", icon=":material/lightbulb:"):
        st.plotly_chart(draw_once(compared_figure, info), key="guess", alt=info.sentence, config={"displayModeBar": False})
        st.caption(info.sentence)


def dragged(scene: Scene, rate: float, veiled: bool) -> float:
    """Show the explorer at a rate; returns the one that the viewer let go at.

    A component that stays on the page keeps what it was let go at. After Back or Forward the address decides, so a new one
    takes its place.
    """
    turn = st.session_state.get("explorer's turn", 0) + state.by_history()
    st.session_state["explorer's turn"] = turn
    return scene.rates[explorer(scene, scene.rates.index(rate), f"explorer-{turn}", veiled)]


def drawn(shown: Shown) -> Scene | None:
    """What the explorer shows; where that is not there, what can be done about it, or what is waited for."""
    if not live.table(results.file_name("table2-neurons", shown.recipe)):
        return None
    try:
        return live.scene(shown.recipe, shown.seed, shown.layer, shown.k)
    except LookupError:
        offer(shown)
    except FileNotFoundError as error:
        st.warning(f"The neurons of seed {shown.seed} cannot be looked at: {error}", icon=":material/image_not_supported:")
    return None


def still(shown: Shown, rate: float, command: str) -> None:
    """The neurons of one rate as a still picture, for browsers that cannot run the explorer."""
    stored = live.network(table2.shown_spec(rate, shown.recipe, shown.seed).key)
    if stored is None:
        return
    every = live.neurons(shown.recipe, shown.seed, shown.layer, shown.k)
    if every is None:
        return
    part = every[every["dropout"].round(4) == rate].sort_values("neuron")
    sheet = network.neurons(
        stored.weights, shown.layer, part["incoming"].tolist(), part["outgoing"].tolist(), (part["agree"] == 1).tolist(),
        int(part["dead"].sum()),
    )  # fmt: skip
    controls.picture(sheet, neuron_sheet, "neurons", command)
    if "twin" in part:
        st.markdown(f"With dropout {rate:g}, {(part['twin'] >= 0).sum()} of {len(part)} neurons have a twin.")


def plain(said: Table2, rate: float, names: tuple[str, ...], command: str) -> None:
    """The curves of all seeds, which need no network."""
    for column, name in zip(st.columns(len(names)), names, strict=True):
        info = getattr(said, name)
        with column:
            if info is None:
                no_twins(command)
            else:
                controls.chart(info.marked(rate), curves, name, command)


def no_twins(command: str) -> None:
    """Twins are a column that tables of before do not have."""
    st.info(f"Twins: no result here. The stored table does not have them; make it again with: `{command}`")


def compared(shown: Shown) -> str:
    """What every recipe's table says, in one sentence; one that cannot be read is left out."""
    told = {}
    for name in sorted(RECIPES, key=lambda name: name != shown.recipe):
        with contextlib.suppress(results.ResultError):
            told[name] = live.table_2(name, shown.layer, shown.k, table2.HIDDEN[shown.layer - 1]).adjusted
    return by_recipe(told)


def offer(shown: Shown) -> None:
    """What is not stored here is one click to train."""
    absent = live.missing(shown.recipe, shown.seed)
    waiting = [run for spec in absent if (run := live.queue().get(spec.key)) and run.state not in ENDED]
    speed = live.calibration()
    about = f", about {runs.duration(sum(map(speed.seconds, absent)) / live.queue().workers)}" if speed else ""
    st.info(
        f"{len(absent)} of the {len(table2.RATES)} networks of seed {shown.seed} under the {shown.recipe} recipe are not "
        "stored here."
    )
    if waiting:
        st.fragment(watch, run_every=0.5)(shown)
    elif st.button(f"Train them{about}", type="primary", icon=":material/play_arrow:") and len(live.submit(absent)) == len(
        absent
    ):
        st.rerun()


def watch(shown: Shown) -> None:
    """How many of the missing networks are trained by now."""
    left = len(live.missing(shown.recipe, shown.seed))
    st.progress(1 - left / len(table2.RATES), f"{len(table2.RATES) - left} of {len(table2.RATES)} networks are trained.")
    if not left:
        st.rerun()
