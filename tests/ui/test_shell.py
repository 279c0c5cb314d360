"""What stands around every page: groups, the next question, presentation mode, hidden controls, the link and its QR code."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from streamlit.testing.v1 import AppTest

from dropclust.ui import shell

ROOT = Path(__file__).resolve().parents[2]


def page() -> None:
    import streamlit as st

    from dropclust.ui import controls, shell
    from dropclust.ui.state import Parameter

    shell.enter()
    parameter = Parameter("colour", "Colour", "red", ("red", "blue"))
    st.text(controls.choose(parameter))
    shell.say("The first finding.")
    shell.say("The second.")


def run(**query: str) -> AppTest:
    app = AppTest.from_function(page, default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def test_a_hidden_control_keeps_the_value_of_the_link():
    app = run(colour="blue", hide="colour,other")
    assert app.text[0].value == "blue"
    assert not app.segmented_control
    assert run(colour="blue").segmented_control


def test_presentation_mode_is_kept_by_the_session_when_a_page_forgets_the_address():
    app = run(present="1")
    assert app.session_state["presenting"]
    app.query_params.clear()
    app.run()
    assert app.session_state["presenting"]
    app.query_params["present"] = "0"
    app.run()
    assert not app.session_state["presenting"]


def test_a_wrong_presentation_mode_costs_one_sentence():
    [warning] = run(present="yes").warning
    assert "Presentation mode must be one of 0, 1; the address gave 'yes'" in warning.value


def test_the_first_finding_is_said():
    assert run().session_state["said aloud"] == "The first finding."


@pytest.mark.parametrize(
    ("page", "listens", "expected"),
    [
        ("http://localhost:8501/train", "0.0.0.0", "http://10.0.0.7:8501/train?hide=k%2Crecipe"),
        ("http://127.0.0.1:8501/train", "localhost", "http://127.0.0.1:8501/train?hide=k%2Crecipe"),
        ("https://school.example/course/train", "0.0.0.0", "https://school.example/course/train?hide=k%2Crecipe"),
    ],
)
def test_a_class_reaches_the_address_of_a_link(page: str, listens: str, expected: str):
    assert shell.address(page, {"hide": ["k,recipe"]}, listens, "10.0.0.7") == expected


def test_without_a_network_the_address_is_this_machines():
    assert shell.address("http://localhost:8501/", {}, "0.0.0.0", None) == "http://localhost:8501/"


def test_the_qr_code_is_one_picture_that_scales_and_asks_nobody():
    drawn = ElementTree.fromstring(shell.qr("http://10.0.0.7:8501/train?rate=0.4"))
    assert drawn.tag.endswith("svg")
    assert drawn.get("viewBox")
    assert drawn.get("width") is None
    assert "href" not in shell.qr("http://10.0.0.7:8501")


def test_every_page_is_in_the_navigation_once_in_groups_that_stand_together():
    imports_and_pages = [
        node
        for node in ast.parse((ROOT / "app.py").read_text()).body
        if isinstance(node, ast.ImportFrom) or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PAGES")
    ]
    names: dict[str, Any] = {}
    exec(compile(ast.Module(imports_and_pages, []), "app.py", "exec"), names)  # not the rest, which serves a page
    entries = names["PAGES"]
    assert sorted(entry.file for entry in entries) == sorted(path.stem for path in (ROOT / "pages").glob("*.py"))
    groups = [entry.group for entry in entries]
    assert list(dict.fromkeys(groups)) == ["See", "Do", "Check"]
    assert groups == sorted(groups, key=["See", "Do", "Check"].index)
    assert all(entry.question.endswith("?") for entry in entries)
