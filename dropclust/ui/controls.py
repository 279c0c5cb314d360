"""Blocks that all pages share: a declared parameter becomes its widget, a chart's object its chart, sentence and table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dropclust.core.spec import MAIN_RECIPES, RECIPES, RunSpec
from dropclust.findings.network import STATES
from dropclust.service.files import TORCH_FREE, Described, to_bytes
from dropclust.service.store import Store
from dropclust.service.stored import Summary
from dropclust.ui import runs, shell, state
from dropclust.ui.figures.lines import fitted, projected
from dropclust.ui.figures.once import draw_once
from dropclust.ui.outside import as_text
from dropclust.ui.state import Parameter

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


def chart(info: Shown, draw: Callable[..., go.Figure], key: str, command: str | None = None, **options: object) -> None:
    """A figure, under it what to see (also its alt text), and one click away its table, its files and the command behind it.

    It is ``draw(info, **options)``, drawn once for all viewers, and larger in presentation mode.
    """
    plot(info, draw, key, **options)
    st.markdown(info.sentence)
    behind(info, key, command, drawn=True)


def plot(info: Shown, draw: Callable[..., go.Figure], key: str, **options: object) -> None:
    """The figure of `chart` alone: buttons for the full screen and a PNG; its sentence is its alt text, and said aloud."""
    figure = draw_once(draw, info, projected if shell.presenting() else fitted, **options)
    shell.say(info.sentence)
    st.plotly_chart(figure, key=key, alt=info.sentence, config={**CHART, "toImageButtonOptions": {"filename": key, "scale": 2}})


def picture(info: Shown, draw: Callable[[Shown], bytes], key: str, command: str | None = None) -> None:
    """A picture as wide as the page, with what a chart has: its sentence, also its alt text, and its numbers."""
    st.image(draw_once(draw, info), alt=info.sentence, width="stretch")
    st.markdown(info.sentence)
    behind(info, key, command)


@st.fragment
def behind(info: Info, key: str, command: str | None = None, drawn: bool = False) -> None:
    """The numbers behind a picture: a table that a screen reader can enter, files, and the command that makes it again.

    It unfolds where it stands, so that a keyboard comes to it next; what it holds is made when it is asked for.

    Parameters
    ----------
    drawn
        Whether ``key`` is a chart's on this page, of which the browser makes files.
    """
    folded = st.expander("Numbers", icon=":material/table:", key=f"{key}-numbers", on_change="rerun")
    if not folded.open:
        return
    with folded:
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


def damage(store: Store) -> None:
    """Say, once a session, which stored runs were found damaged and set aside."""
    said: set[str] = st.session_state.setdefault("damage_said", set())
    for sentence in store.reports:
        if sentence not in said:
            said.add(sentence)
            st.warning(as_text(sentence), icon=":material/healing:")


def downloads(network: Described, name: str, proof: Mapping[str, Any]) -> None:
    """A network to take home, with what is known about it; a file is made when it is asked for."""
    st.caption("Take the network home")
    for column, suffix in zip(st.columns(len(TORCH_FREE)), TORCH_FREE, strict=True):
        column.download_button(
            suffix,
            partial(to_bytes, network, suffix, proof),
            f"dropclust-{name}{suffix}",
            key=f"download{suffix}",
            on_click="ignore",
            icon=":material/download:",
            width="stretch",
        )


def finished(summaries: list[Summary]) -> None:
    """The finished runs: one or more put on the chart above, each a link."""
    st.header("Finished runs")
    if not summaries:
        st.caption("None yet.")
        return
    listed = {summary.key: summary for summary in summaries[:LISTED]}
    shown = [key for key in dict.fromkeys(st.query_params.get_all("run")) if key in listed]
    st.session_state["finished"] = shown

    def put() -> None:
        st.query_params["run"] = st.session_state["finished"]

    st.multiselect(
        "On the chart", listed, format_func=lambda key: runs.title(listed[key]), key="finished", on_change=put,
        placeholder="One run, or several to compare",
    )  # fmt: skip
    with st.expander(f"All of them, newest first ({len(listed)} of {len(summaries)})"):
        st.table(
            pd.DataFrame(
                {
                    "run": [f"[{runs.title(each)}](?run={key})" for key, each in listed.items()],
                    "test accuracy": [f"{each.metrics.get('test_accuracy', float('nan')):.4f}" for each in listed.values()],
                    "status": [STATES[each.status] for each in listed.values()],
                    "finished": [each.created[:16].replace("T", " ") for each in listed.values()],
                    "shipped": ["yes" if each.shipped else "" for each in listed.values()],
                }
            )
        )


@dataclass(frozen=True)
class SideBySide:
    """The numbers of several charts over one x, in one table."""

    infos: tuple[Info, ...]
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row an x, the columns of all charts."""
        first, *rest = (info.table() for info in self.infos)
        for other in rest:
            first = first.merge(other, how="outer", on=first.columns[0], suffixes=("", " again"))
        return first


def side_by_side(infos: Sequence[Info]) -> SideBySide:
    """Charts that share their x."""
    return SideBySide(tuple(infos), " ".join(info.sentence for info in infos))


def choose_run(summaries: Sequence[Summary], default: str) -> Summary | None:
    """One stored run, the viewer's own or a shipped one, held by the address; None, with a sentence, when there is none."""
    listed = {summary.key: summary for summary in summaries}
    if not listed:
        st.info("No network is stored yet: train one on the Train page.")
        return None
    asked = st.query_params.get("run")
    if asked is not None and asked not in listed:
        st.warning(f"No run {as_text(asked[:12])} is known here. Shown instead: another.", icon=":material/link_off:")
        state.drop("run")
    usual = default if default in listed else next(iter(listed))
    st.session_state["network"] = asked if asked in listed else usual

    def put() -> None:
        # The usual one leaves the address clean: writing it there would add an entry to the browser's history.
        if st.session_state["network"] == usual:
            st.query_params.pop("run", None)
        else:
            st.query_params["run"] = st.session_state["network"]

    st.selectbox("Network", list(listed), format_func=lambda key: runs.title(listed[key]), key="network", on_change=put)
    return listed[st.session_state["network"]]
