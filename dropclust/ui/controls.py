"""Blocks that all pages share: a declared parameter becomes its widget, a chart's object its chart, sentence and table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Literal, Protocol, TypeVar

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dropclust.core.spec import MAIN_RECIPES, RECIPES, RunSpec
from dropclust.findings.outside import as_text
from dropclust.findings.words import Number
from dropclust.service import runs
from dropclust.service.files import SUFFIXES, Described, InputScale, to_bytes
from dropclust.service.parameter import Parameter
from dropclust.service.store import Store
from dropclust.service.stored import Summary
from dropclust.ui import shell, state
from dropclust.ui.figures.fit import fitted, projected
from dropclust.ui.figures.once import draw_once

# Of every chart: buttons for the full screen and a picture, nothing that zooms: a finger scrolls the page.
CHART = {"displayModeBar": True, "displaylogo": False, "scrollZoom": False, "doubleClick": False, "showTips": False}
LISTED = 100  # finished runs that the list offers
RECIPE = Parameter(
    "recipe", "Recipe", RunSpec().recipe, MAIN_RECIPES,
    help="How the networks were trained. " + " ".join(f"{name.capitalize()}: {RECIPES[name]}." for name in MAIN_RECIPES),
)  # fmt: skip


class Info(Protocol):
    """What stands behind a chart."""

    @property
    def sentence(self) -> str:
        """What to see."""

    def table(self) -> pd.DataFrame:
        """Its numbers."""


Shown = TypeVar("Shown", bound=Info)


def brief(info: Info) -> str:
    """What to see in at most 15 words; all of it where an object has no shorter word."""
    return getattr(info, "brief", "") or info.sentence


def _left_out(parameter: Parameter) -> bool:
    """Whether the link leaves the control out: it then keeps the value that the address gives it."""
    shell.saw(parameter)
    return shell.hidden(parameter.name)


def choose(parameter: Parameter) -> Any:
    """A few options side by side, held by the address."""
    if _left_out(parameter):
        return state.value(parameter)
    return st.segmented_control(
        parameter.label, parameter.options, default=parameter.default, format_func=parameter.show, key=parameter.name,
        bind="query-params", required=True, help=parameter.help, wrap=True,
    )  # fmt: skip


def slide(parameter: Parameter) -> Any:
    """A slider over the options, held by the address."""
    if _left_out(parameter):
        return state.value(parameter)
    return st.select_slider(
        parameter.label, parameter.options, value=parameter.default, format_func=parameter.show, key=parameter.name,
        bind="query-params", help=parameter.help,
    )  # fmt: skip


def drag(parameter: Parameter) -> Any:
    """A slider between its limits, held by the address."""
    if _left_out(parameter):
        return state.value(parameter)
    return st.slider(
        parameter.label, parameter.low, parameter.high, parameter.default, parameter.step, key=parameter.name,
        bind="query-params", help=parameter.help,
    )  # fmt: skip


def number(parameter: Parameter) -> Any:
    """A number, within its limits unless it is `typed`, held by the address."""
    if _left_out(parameter):
        return state.value(parameter)
    kind = type(parameter.default)
    low, high, step = (None if limit is None else kind(limit) for limit in (parameter.low, parameter.high, parameter.step))
    if parameter.typed:
        low = high = None
    return st.number_input(
        parameter.label, low, high, parameter.default, step, key=parameter.name, bind="query-params", help=parameter.help
    )


def chart(
    info: Shown, draw: Callable[..., go.Figure], key: str, command: str | None = None, whole: bool = False, **options: object
) -> None:
    """A figure, under it what to see, and one click away how sure, its table, its files and the command behind it.

    It is ``draw(info, **options)``, drawn once for all viewers, and larger in presentation mode. Its alt text is the whole
    sentence; under it stands that in brief, unless it is asked for as a ``whole``.
    """
    plot(info, draw, key, **options)
    st.markdown(info.sentence if whole else brief(info))
    behind(info, key, command, drawn=True)


def plot(info: Shown, draw: Callable[..., go.Figure], key: str, **options: object) -> None:
    """The figure of `chart` alone: buttons for the full screen and a PNG; its sentence is its alt text, and said aloud."""
    figure = draw_once(draw, info, projected if shell.presenting() else fitted, **options)
    shell.say(info.sentence)
    st.plotly_chart(figure, key=key, alt=info.sentence, config={**CHART, "toImageButtonOptions": {"filename": key, "scale": 2}})


def further(
    question: str, info: Shown, draw: Callable[..., go.Figure], key: str, command: str | None = None, **options: object
) -> None:
    """A further figure, behind a line that asks and answers in brief."""
    fold(f"**{question}** {brief(info)}", key, lambda: chart(info, draw, key, command, whole=True, **options))


def table(info: Any, key: str, command: str | None = None, note: str = "") -> None:
    """A table for people, ``info.formatted()``, what to see and a ``note`` below it, and its numbers."""
    st.table(info.formatted())
    st.caption(f"{info.sentence} {note}")
    behind(info, key, command)


def fold(label: str, key: str, body: Callable[[], object], opened: bool = False) -> None:
    """What is behind a line, ``opened`` at first or not; it is made when it is open, so that others' reruns cost nothing."""
    # To Streamlit a line with another label is another one: it begins as the one before it was left.
    lines: dict[str, tuple[str, bool, bool]] = st.session_state.setdefault("lines", {})
    before, begins, was_open = lines.get(key, (label, opened, opened))
    begins = begins if before == label else was_open
    expander = st.expander(label, begins, key=f"{key}-fold", on_change="rerun")
    lines[key] = label, begins, bool(expander.open)
    if expander.open:
        with expander:
            body()


def seldom(label: str, key: str, parameters: Sequence[Parameter], icon: str | None = None) -> tuple[DeltaGenerator, bool]:
    """A line behind which stand controls that few change: where they go, and whether they are to be made.

    They are while the line is open, and as long as one of them is not at its default, in the address or by hand, so that none
    forgets what was chosen.
    """
    held = set(st.query_params)
    asked = any(each.name in held or st.session_state.get(each.name, each.default) != each.default for each in parameters)
    # To Streamlit a line that begins otherwise is another one.
    begins: dict[str, bool] = st.session_state.setdefault("lines begin", {})
    folded = st.expander(label, begins.setdefault(key, asked), icon=icon, key=f"{key}-fold", on_change="rerun")
    for each in parameters:
        shell.saw(each)
    return folded, bool(folded.open) or asked


def picture(
    info: Shown, draw: Callable[..., bytes], key: str, command: str = "", halves: bool = False, **options: object
) -> None:
    """A picture as wide as its place, or ``halves`` that a phone shows one below the other, its sentence and its numbers."""
    if halves:
        for half, place in enumerate(st.columns(2)):
            alt = "The rest of these tiles." if half else info.sentence
            place.image(draw_once(draw, info, None, half=half, **options), alt=alt, width="stretch")
    else:
        st.image(draw_once(draw, info, None, **options), alt=info.sentence, width="stretch")
    st.markdown(brief(info))
    behind(info, key, command)


def behind(info: Info, key: str, command: str | None = None, drawn: bool = False) -> None:
    """The numbers behind a picture: a table that a screen reader can enter, files, and the command that makes it again.

    It unfolds where it stands, so that a keyboard comes to it next; what it holds is made when it is asked for. It is no
    fragment: Streamlit copies all that stands around one, at every rerun, and the page that opens it costs less.

    Parameters
    ----------
    drawn
        Whether ``key`` is a chart's on this page, of which the browser makes files.
    """
    folded = st.expander("Numbers", icon=":material/table:", key=f"{key}-numbers", on_change="rerun")
    if not folded.open:
        return
    with folded:
        if brief(info) != info.sentence:
            st.markdown(info.sentence)
        table = info.table()
        with st.container(horizontal=True, vertical_alignment="center"):
            st.download_button(
                "CSV", table.to_csv(index=False), f"{key}.csv", "text/csv", key=f"{key}-csv", on_click="ignore",
                icon=":material/download:",
            )  # fmt: skip
            for kind in ("svg", "png") if drawn else ():
                name = kind.upper()
                st.html(
                    f'<button class="picture-of" data-chart="{key}" data-format="{kind}" '
                    f'aria-label="Chart as {name}">{name}</button>',
                    width="content",
                )
        if command:
            st.caption("Made again by")
            st.code(command, language="bash", wrap_lines=True)
        st.table(table.round(4))


def metrics(numbers: Sequence[Number], width: int | Literal["content"] = "content") -> None:
    """Numbers side by side as far as the page is wide; each has so many pixels, or what it needs."""
    with st.container(horizontal=True, gap="large" if width == "content" else "small"):
        for each in numbers:
            st.metric(
                each.name, each.value, each.change or None, each.better, help=each.about or None, width=width,
                delta_arrow="off" if each.better == "off" else "auto",
            )  # fmt: skip


def damage(store: Store) -> None:
    """Say, once a session, which stored runs were found damaged and set aside."""
    said: set[str] = st.session_state.setdefault("damage_said", set())
    for sentence in store.reports:
        if sentence not in said:
            said.add(sentence)
            st.warning(as_text(sentence), icon=":material/healing:")


def downloads(
    network: Described, name: str, proof: Mapping[str, Any], input_scale: InputScale | None = None, card: str | None = None
) -> None:
    """A network to take home, with what is known about it; a file is made when it is asked for.

    ``input_scale`` is what the file's network takes, None for pixels from 0 to 1; ``card`` the text of a model card beside it.
    """
    st.caption("Take the network home")
    with st.container(horizontal=True, gap="small"):
        for suffix in SUFFIXES:
            st.download_button(
                suffix,
                partial(to_bytes, network, suffix, proof, input_scale),
                f"dropclust-{name}{suffix}",
                key=f"download{suffix}",
                on_click="ignore",
                icon=":material/download:",
            )
        if card is not None:
            st.download_button(
                "Model card",
                card,
                f"dropclust-{name}.md",
                key="download.md",
                on_click="ignore",
                icon=":material/description:",
                help="What the network is, what it takes, and its proof in words.",
            )


def compare(summaries: Sequence[Summary]) -> None:
    """Put one finished run or more on the chart above."""
    listed = {summary.key: summary for summary in summaries[:LISTED]}
    shown = [key for key in dict.fromkeys(st.query_params.get_all("run")) if key in listed]
    st.session_state["finished"] = shown

    def put() -> None:
        st.query_params["run"] = st.session_state["finished"]

    st.multiselect(
        "On the chart", listed, format_func=lambda key: runs.title(listed[key]), key="finished", on_change=put,
        placeholder="A finished run, or several to compare",
    )  # fmt: skip


def finished(summaries: Sequence[Summary]) -> None:
    """The finished runs, each a link."""
    shown = summaries[:LISTED]
    fold(
        f"**Finished runs, newest first** ({len(shown)} of {len(summaries)})", "finished-runs",
        lambda: st.table(runs.table(shown)),
    )  # fmt: skip


def choose_run(summaries: Sequence[Summary], default: str) -> Summary | None:
    """One stored run, the viewer's own or a shipped one, held by the address; None, with a sentence, when there is none."""
    listed = {summary.key: summary for summary in summaries}
    if not listed:
        st.info("No network is stored yet: train one on the Train page.")
        return None
    titles = {key: runs.title(summary) for key, summary in listed.items()}
    usual = default if default in listed else next(iter(listed))
    return listed[one_of("Network", titles, "run", usual, lambda run: f"No run {run[:12]} is known here")]


def one_of(
    label: str, listed: Mapping[str, str], name: str, usual: Any, unknown: Callable[[str], str], placeholder: str | None = None,
    with_it: Collection[str] = (),
) -> Any:  # fmt: skip
    """One of many, shown by what stands beside each key and held by the address as ``name``; the usual one leaves that clean.

    ``unknown`` says that one is not listed; ``with_it`` leaves the address with each choice; no usual one means all of them.
    """
    asked = st.query_params.get(name)
    if asked is not None and asked not in listed:
        instead = "another" if usual else "all of them"
        st.warning(f"{as_text(unknown(asked))}. Shown instead: {instead}.", icon=":material/link_off:")
        state.drop(name)
    key = f"one of {name}"
    st.session_state[key] = asked if asked in listed else usual

    def put() -> None:
        for other in with_it:
            st.query_params.pop(other, None)
        if (chosen := st.session_state[key]) == usual:  # which, written there, would add an entry to the browser's history
            st.query_params.pop(name, None)
        else:
            st.query_params[name] = chosen

    index = 0 if usual else None
    st.selectbox(label, list(listed), index, listed.__getitem__, key=key, on_change=put, placeholder=placeholder)
    return st.session_state[key]
