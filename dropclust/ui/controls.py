"""Blocks that all pages share: a declared parameter becomes its widget, a chart's object its chart, sentence and table."""

from __future__ import annotations

from typing import Any, Protocol

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dropclust.ui.state import Parameter


class Info(Protocol):
    """What stands behind a chart."""

    sentence: str

    def table(self) -> pd.DataFrame:
        """Its numbers."""


def choose(parameter: Parameter) -> Any:
    """A few options side by side, held by the address."""
    return st.segmented_control(
        parameter.label, parameter.options, default=parameter.default, format_func=parameter.show, key=parameter.name,
        bind="query-params", required=True, help=parameter.help,
    )  # fmt: skip


def slide(parameter: Parameter) -> Any:
    """A slider over the options, held by the address."""
    return st.select_slider(
        parameter.label, parameter.options, value=parameter.default, format_func=parameter.show, key=parameter.name,
        bind="query-params", help=parameter.help,
    )  # fmt: skip


def number(parameter: Parameter) -> Any:
    """A number within its limits, held by the address."""
    kind = type(parameter.default)
    low, high, step = (None if limit is None else kind(limit) for limit in (parameter.low, parameter.high, parameter.step))
    return st.number_input(
        parameter.label, low, high, parameter.default, step, key=parameter.name, bind="query-params", help=parameter.help
    )


def chart(info: Info, figure: go.Figure, key: str, command: str | None = None) -> None:
    """A figure, under it what to see (also its alt text), and one click away its table, CSV and the command behind it."""
    st.plotly_chart(figure, key=key, alt=info.sentence, config={"displayModeBar": False, "scrollZoom": False})
    st.caption(info.sentence)
    behind(info, key, command)


def behind(info: Info, key: str, command: str | None = None) -> None:
    """The numbers behind a picture: a table that a screen reader can enter, its CSV, and the command that makes it again."""
    with st.popover("Numbers", icon=":material/table:"):
        table = info.table()
        st.download_button(
            "CSV", table.to_csv(index=False), f"{key}.csv", "text/csv", key=f"{key}-csv", on_click="ignore",
            icon=":material/download:",
        )  # fmt: skip
        if command:
            st.caption("Made again by")
            st.code(command, language="bash", wrap_lines=True)
        st.table(table.round(4))
