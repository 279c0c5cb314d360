"""Blocks that all pages share, each alone: a chart drawn once for two viewers, its numbers made when they are opened."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest


def page() -> None:
    import pandas as pd
    import plotly.graph_objects as go
    import streamlit as st

    from dropclust.ui import controls

    class Info:
        sentence = "What to see."

        def __reduce__(self) -> str | tuple[object, ...]:
            return str, ("the content",)

        def table(self) -> pd.DataFrame:
            st.session_state["tables"] = st.session_state.get("tables", 0) + 1
            return pd.DataFrame({"x": [1.23456]})

    def draw(info: Info) -> go.Figure:
        st.session_state["drawn"] = st.session_state.get("drawn", 0) + 1
        return go.Figure([go.Scatter(x=[1, 2], y=[3, 4])])

    controls.chart(Info(), draw, "key", "python -m dropclust")


@pytest.fixture
def viewer() -> AppTest:
    return AppTest.from_function(page, default_timeout=60)


def test_a_figure_is_drawn_once_for_two_viewers_and_all_reruns(viewer: AppTest, monkeypatch: pytest.MonkeyPatch):
    from dropclust.ui.figures import once

    monkeypatch.setattr(once, "_KEPT", once.Kept())
    viewer.run().run()
    other = AppTest.from_function(page, default_timeout=60).run()
    assert not viewer.exception
    assert not other.exception
    assert viewer.session_state["drawn"] == 1
    assert "drawn" not in other.session_state
    assert [len(each.get("plotly_chart")) for each in (viewer, other)] == [1, 1]


def test_numbers_are_made_when_they_are_opened_and_not_before(viewer: AppTest):
    viewer.run()
    assert "tables" not in viewer.session_state
    assert len(viewer.table) == 0
    viewer.session_state["key-numbers"] = True
    viewer.run()
    assert viewer.session_state["tables"] == 1
    assert viewer.table[0].value["x"].tolist() == [1.2346]
    assert viewer.code[0].value == "python -m dropclust"
    assert len(viewer.get("download_button")) == 1
    viewer.session_state["key-numbers"] = False
    viewer.run()
    assert len(viewer.table) == 0
    assert viewer.session_state["tables"] == 1


def folded() -> None:
    import streamlit as st

    from dropclust.ui import controls

    n = st.slider("n", 0, 9, 1)
    controls.fold(f"Question. The answer is {n}.", "question", lambda: st.markdown(f"Made for {n}."))


def test_what_is_behind_a_line_is_made_when_it_is_opened_and_stays_open_when_its_answer_changes():
    app = AppTest.from_function(folded, default_timeout=60).run()
    assert not app.markdown
    app.session_state["question-fold"] = True
    assert app.run().markdown[0].value == "Made for 1."
    app.slider[0].set_value(5).run()
    assert [line.label for line in app.expander] == ["Question. The answer is 5."]
    assert app.markdown[0].value == "Made for 5."


def seldom_changed() -> None:
    import streamlit as st

    from dropclust.service.parameter import Parameter
    from dropclust.ui import controls

    depth = Parameter("depth", "Depth", 3, low=1, high=9, step=1)
    line, made = controls.seldom("More", "more", [depth])
    value = depth.default
    if made:
        with line:
            value = controls.number(depth)
    st.text(str(value))


def test_controls_that_few_change_are_made_when_opened_and_stay_as_long_as_one_is_not_at_its_default():
    app = AppTest.from_function(seldom_changed, default_timeout=60).run()
    assert not app.number_input
    assert app.text[0].value == "3"
    app.session_state["more-fold"] = True
    app.run().number_input[0].set_value(5).run()
    app.session_state["more-fold"] = False
    assert app.run().text[0].value == "5"
    assert app.number_input[0].value == 5
    app.number_input[0].set_value(3).run()
    assert app.run().text[0].value == "3"
    assert not app.number_input


def test_controls_that_few_change_are_there_for_a_link_that_holds_one():
    app = AppTest.from_function(seldom_changed, default_timeout=60)
    app.query_params["depth"] = "4"
    assert app.run().text[0].value == "4"
    assert app.expander[0].proto.expanded
