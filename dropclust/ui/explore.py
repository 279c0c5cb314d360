"""Blocks of the Explore page: the explorer and its guess, what stands in its place without it, training what is not stored."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from typing import NamedTuple
from urllib.parse import parse_qs

import streamlit as st

from dropclust.core.spec import RECIPES
from dropclust.experiments import results, table2
from dropclust.findings import explorer as findings
from dropclust.findings import guess, network
from dropclust.findings.series import SideBySide
from dropclust.findings.table2 import Table2, by_recipe
from dropclust.findings.tour import MERGED, STEPS
from dropclust.service import runs
from dropclust.service.jobs import ENDED
from dropclust.service.parameter import Parameter
from dropclust.ui import controls, live, shell, state
from dropclust.ui.explorer import SKIPPED, Scene, Seen, explorer, export
from dropclust.ui.figures.guess import compared_figure
from dropclust.ui.figures.lines import curves
from dropclust.ui.figures.network import neuron_sheet
from dropclust.ui.figures.once import draw_once

WAITING_HEIGHT = "85vh"  # about as high as the explorer
PAGES = frozenset(address.partition("?")[0] for step in STEPS for _, address in step.links)  # to which the tour leads
WAYS = ("rand", "adjusted", "twins", "accuracy")  # what is drawn against the rate


class Shown(NamedTuple):
    """Which networks and clusters the page shows."""

    recipe: str
    layer: int
    k: int
    seed: int


def dragged(scene: Scene, shown: Shown, rate: Parameter, view: Parameter, step: Parameter, asking: Parameter) -> None:
    """Show the explorer as the address says, and write into the address what the viewer let go at.

    A component keeps what it was let go at. After Back or Forward, and as a presentation begins or ends, the address decides,
    for a new one takes its place. Who comes from another page, whose address has no rate, finds it as it was left; a link that
    says what is shown asks for no guess.
    """
    before, presented = st.session_state.get("explorer's turn", (0, shell.presenting()))
    turn = before + (state.by_history() or presented != shell.presenting())
    st.session_state["explorer's turn"] = turn, shell.presenting()
    key = f"explorer-{turn}"
    start = Seen(scene.rates.index(state.value(rate)), state.value(view), state.value(step))
    if key not in st.session_state:
        left: Seen | None = st.session_state.get("explorer as it was left")
        linked = state.linked()
        told = {rate.name, view.name, step.name} & linked
        if left and not state.by_history() and not told:
            start = replace(left, index=min(start.index if rate.name in st.query_params else left.index, len(scene.rates) - 1))
        if start.step and rate.name not in linked:  # a link to a step alone
            now = STEPS[start.step - 1]
            start = replace(start, index=start.index if now.rate is None else scene.rates.index(now.rate), view=now.view)
        without = scene.readings[0]
        st.session_state["explorer asks"] = (
            findings.question(without)
            if state.asks(asking)
            and "guessed" not in st.session_state
            and not start.step
            and (not told or asking.name in linked)
            and without.with_twin is not None
            else None
        )
    question = st.session_state["explorer asks"]
    seen = explorer(scene, start, key, question, shell.presenting(), table2.shown_spec(MERGED, shown.recipe, shown.seed).key)
    st.session_state["explorer as it was left"] = replace(seen, go="")
    if question and seen.guess is not None and "guessed" not in st.session_state:
        _guessed(shown, scene, seen.guess, question)
    state.put_all({rate: scene.rates[seen.index], view: seen.view, step: seen.step})
    page, _, query = seen.go.partition("?")
    if page in PAGES:  # as the app's own links go: the session, with its guess and its step, goes along
        st.session_state[shell.LED] = page, seen.step
        state.go(f"pages/{page}.py", parse_qs(query))


def is_asking() -> bool:
    """Whether the question is open: nothing on the page may answer it."""
    return st.session_state.get("explorer asks") is not None and "guessed" not in st.session_state


def _guessed(shown: Shown, scene: Scene, value: int, question: findings.Question) -> None:
    """Remember what the viewer guessed; who skips is asked nothing more on any page."""
    if value == SKIPPED:
        state.ask_no_more()
        st.session_state["guessed"] = None
        return
    live.guesses(shown.recipe, shown.layer).add(value)
    answer = scene.readings[scene.rates.index(question.rate)].with_twin
    st.session_state["guessed"] = (shown.recipe, shown.layer), value, answer


def answered() -> None:
    """The guess that was made beside the answer; the class's guesses come in while one looks at them."""
    if st.session_state.get("guessed") is None:
        return
    st.markdown(f":material/lightbulb: {_compared().sentence}")
    folded = st.expander("All guesses here, as they come in", key="class-guesses", on_change="rerun")
    if folded.open:
        with folded:
            st.fragment(_class, run_every=2.0)()


def _class() -> None:
    info = _compared()
    st.plotly_chart(draw_once(compared_figure, info), key="guess", alt=info.sentence, config={"displayModeBar": False})
    st.caption(info.sentence)


def _compared() -> guess.Compared:
    (recipe, layer), value, answer = st.session_state["guessed"]
    what = f"Neurons with a twin at dropout {findings.ASKED_RATE:g}, {recipe} recipe, layer {layer}"
    return guess.compare(what, value, answer, None, live.guesses(recipe, layer).others(value), digits=0)


def numbers(shown: Shown, said: Table2, reading: findings.Reading, command: str) -> None:
    """What was measured at the rate that is shown, in words, and of all rates as a table; what the words mean."""
    st.markdown(f"{reading.sentence} {compared(shown)}")
    if said.twins is None:
        no_twins(command)
    of_all = SideBySide.of([info for way in WAYS if (info := getattr(said, way))])
    widths = "-".join(map(str, table2.shown_spec(0.0).widths))
    with st.expander("Dropout, twins, Rand: what the words mean", icon=":material/help:"):
        st.markdown(
            "**Dropout** switches hidden units, the **neurons**, off at random while a network learns: here MNIST's "
            f"digits, with {widths} units. The paper says that they become **copies**: cluster a layer by its neurons' "
            "incoming weights, and again by their outgoing ones, and the two clusterings agree more the higher the rate. "
            "The **Rand index** is the share of pairs of neurons that both clusterings treat alike, together or apart. "
            "Much of it is chance; **adjusted Rand** takes that out: 0 is chance, 1 is equal. **Twins** need no clusters: "
            "two neurons whose activations on held-out images rise and fall together, with a correlation above .9. A "
            "neuron is drawn as **the ink that excites it**: the mean of the held-out images, weighted by its activation, "
            "less the mean of all; only where it has more ink than the mean image. **Scaled**: the noise is off, as "
            "networks are used. **Sampled**: the mean over many random masks. A neuron counts as **agreeing** when it is "
            "in the same cluster by incoming and by outgoing weights, clusters of the two being matched one to one, those "
            "of a single neuron too."
        )
        st.caption(of_all.sentence)
    controls.behind(of_all, "explore", command)


def take_home(shown: Shown) -> None:
    """The explorer as one file that opens without a server, made when it is asked for."""
    st.download_button(
        "Take it home: one HTML file", partial(_exported, shown.recipe, shown.seed), export.FILE_NAME, "text/html",
        on_click="ignore", icon=":material/download:",
    )  # fmt: skip


def _exported(recipe: str, seed: int) -> bytes:
    scenes = [live.scene(recipe, seed, layer, export.K) for layer in table2.LAYERS]
    return export.html([scene for scene in scenes if scene]).encode()


def drawn(shown: Shown) -> Scene | None:
    """What the explorer shows; where that is not there, what can be done about it, or what is waited for."""
    if not live.table(results.file_name("table2-neurons", shown.recipe)):
        return None
    waiting = st.empty()  # its place is held while the first viewer of a choice waits a second or two
    before = st.session_state.get("scene shown") == shown
    if not before:
        waiting.html(f'<div role="status" style="min-height:{WAITING_HEIGHT}">Laying out the neurons …</div>')
    try:
        scene = live.scene(shown.recipe, shown.seed, shown.layer, shown.k)
        st.session_state["scene shown"] = shown if scene else None
        return scene
    except LookupError:
        offer(shown)
    except FileNotFoundError as error:
        st.warning(f"The neurons of seed {shown.seed} cannot be looked at: {error}", icon=":material/image_not_supported:")
    finally:
        if not before:
            waiting.empty()
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


def plain(said: Table2, rate: float, command: str) -> None:
    """The curves of all seeds, which need no network."""
    for column, name in zip(st.columns(len(WAYS)), WAYS, strict=True):
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
