"""Every parameter of every page's address with values that nobody should send: one sentence of ours, never a fault."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dropclust.service.jobs import Jobs
from dropclust.service.parameter import Parameter
from dropclust.service.shared import forget
from dropclust.service.store import Store
from dropclust.ui import live, state

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path.stem for path in (ROOT / "pages").glob("*.py"))
PICTURE = "![a](http://stranger.example/b.png)"
HOSTILE = [
    "", " ", "1e999", "-1e999", "9" * 400, "9" * 5_000, "inf", "-inf", "nan", "NaN", "-1", "0x10", "1_0_0", "0.1.2", "None",
    "[]", "\x00", "٣٣", PICTURE, "<script>alert(1)</script>", ":material/home: :red[a] $x^2$", "../../etc/passwd",
]  # fmt: skip
WORST = ["", "1e999", "9" * 400, "nan", PICTURE]  # those by which whole pages used to end
# What else has to be in the address for more of the page's widgets to be there.
OPEN: dict[str, list[dict[str, str]]] = {
    "train": [{"each": "true"}],
    "sample": [{"guess": "off"}, {"drop": "all layers"}],
    "digit": [{"digit": "half-way"}, {"digit": "hard image"}],
    "explore": [{"guess": "off", "plain": "on"}],
}
# A sentence of ours says what must be, what is not known, or what is not there.
OURS = re.compile(r"must be|does not know|is known here|is called")


class Still(Jobs):
    """A queue that never starts a cluster."""

    def start(self) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The shipped results, runs and images."""
    cache = tmp_path_factory.mktemp("cache")
    for name in ("results", "runs", "MNIST"):
        shutil.copytree(ROOT / "cache" / name, cache / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DROPCLUST_CACHE", str(cache))
        st.cache_data.clear()
        st.cache_resource.clear()
        forget()
        store = Store(cache / "runs")
        queue = Still(store, workers=2)
        patch.setattr(live, "store", lambda: store)
        patch.setattr(live, "queue", lambda: queue)
        yield


@pytest.fixture(scope="module")
def declared(shipped: None) -> dict[str, tuple[list[Parameter], list[str]]]:
    """What each page declares its address to hold: checked at once, and checked later."""
    found: dict[str, tuple[list[Parameter], list[str]]] = {}
    enter = state.enter
    with pytest.MonkeyPatch.context() as patch:
        for page in PAGES:

            def note(parameters: list[Parameter], also: Any = (), page: str = page) -> None:
                found[page] = list(parameters), list(also)
                enter(parameters, also)

            patch.setattr(state, "enter", note)
            open_page(page, {})
    return found


def open_page(page: str, query: dict[str, Any]) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / f"{page}.py"), default_timeout=180)
    app.query_params.update(query)
    return app.run()


def sound(app: AppTest) -> list[str]:
    """The sentences in boxes, after a look that nothing worse is on the page."""
    assert not app.exception, app.exception
    boxes = [box.value for kind in (app.warning, app.error) for box in kind]
    for text in boxes:
        assert OURS.search(text), text
        assert "![" not in text.replace("\\!\\[", "")
        assert "\n" not in text
    return boxes


def widgets(parameters):
    """A page that has nothing but a widget for each parameter."""
    import streamlit as st

    from dropclust.ui import controls, state

    state.enter(parameters)
    for parameter in parameters:
        if isinstance(parameter.default, bool):
            st.toggle(parameter.label, parameter.default, key=parameter.name, bind="query-params")
        elif parameter.options and parameter.step:
            controls.slide(parameter)
        elif parameter.options:
            controls.choose(parameter)
        elif isinstance(parameter.default, float):
            controls.drag(parameter)
        else:
            controls.number(parameter)


def test_each_page_declares_its_address(declared: dict[str, tuple[list[Parameter], list[str]]]):
    assert sorted(declared) == PAGES
    for parameters, also in declared.values():
        names = [*(parameter.name for parameter in parameters), *also]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value[:20]))
@pytest.mark.parametrize("page", PAGES)
def test_no_widget_sees_what_is_refused(declared, page: str, value: str):
    parameters, _ = declared[page]
    app = AppTest.from_function(widgets, kwargs={"parameters": parameters})
    app.query_params.update({parameter.name: value for parameter in parameters})
    boxes = sound(app.run())
    refused = 0
    for parameter in parameters:
        try:
            parameter.parse(value)
        except ValueError:
            refused += 1
            assert app.session_state[parameter.name] == parameter.default
    assert len(boxes) == refused


@pytest.mark.parametrize("value", WORST, ids=lambda value: repr(value[:20]))
@pytest.mark.parametrize("page", PAGES)
def test_no_page_ends_over_an_address(declared, page: str, value: str):
    parameters, also = declared[page]
    names = [*(parameter.name for parameter in parameters), *also]
    app = open_page(page, dict.fromkeys(names, value))
    assert sound(app)
    assert app.title


@pytest.mark.parametrize("value", WORST, ids=lambda value: repr(value[:20]))
@pytest.mark.parametrize(("page", "opened"), [(page, opened) for page, every in OPEN.items() for opened in every])
def test_nor_over_what_only_some_of_its_choices_show(declared, page: str, opened: dict[str, str], value: str):
    parameters, also = declared[page]
    names = [*(parameter.name for parameter in parameters), *also]
    assert sound(open_page(page, dict.fromkeys(names, value) | opened))


def test_what_no_page_knows_is_named_for_a_while_and_no_more(shipped: None, monkeypatch: pytest.MonkeyPatch):
    app = open_page("train", {"rat": "0.5", PICTURE: "x", **{f"more{i}": "1" for i in range(20)}})
    [warning] = sound(app)
    assert "'rat', " in warning
    assert "and 17 more" in warning
    assert sound(app.run()) == [warning]  # a page that runs again at once
    monkeypatch.setattr(state, "SAID_SECONDS", 0.0)
    assert not sound(app.run())


def test_what_another_page_left_in_the_address_is_not_named(declared):
    assert not sound(open_page("train", {"guess": "off", "digit_masks": "5"}))
