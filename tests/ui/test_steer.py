"""The Live page without a browser: a run is started and found by its link, and a bad link costs a sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dropclust.service.bounds import LIVE_RUNS
from dropclust.service.jobs import Jobs
from dropclust.service.shared import forget
from dropclust.service.steering import Steering
from dropclust.ui import live, steering
from dropclust.ui.steer import MEANINGS
from dropclust.ui.style import style

PAGE = Path(__file__).resolve().parents[2] / "pages" / "live.py"


class Still(Jobs):
    """A queue that never starts a cluster: what is started waits."""

    def start(self) -> None:
        """Nothing."""


class MemoryStore:
    """As much of a store as is asked here."""

    def get(self, key: str) -> None:
        """Nothing is stored."""


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch):
    """The live runs of this process, none of which ever gets a worker."""
    st.cache_resource.clear()
    forget()
    queue = Still(MemoryStore(), workers=1)  # type: ignore[arg-type]
    made = Steering(queue, MemoryStore())  # type: ignore[arg-type]
    monkeypatch.setattr(live, "queue", lambda: queue)
    monkeypatch.setattr(steering, "steering", lambda: made)
    yield made
    made.close()


def open_page(**query: str) -> AppTest:
    app = AppTest.from_file(str(PAGE), default_timeout=120)
    app.query_params.update(query)
    return app.run()


def start(app: AppTest) -> str:
    next(button for button in app.button if button.label == "Start").click().run()
    assert not app.exception, app.exception
    name = app.query_params["live"]
    return name if isinstance(name, str) else name[0]


def mounted(app: AppTest) -> dict[str, Any]:
    """What the component is given."""
    [found] = [each for each in app.main if each.type == "bidi_component"]
    given: dict[str, Any] = json.loads(found.proto.json)
    return given


def test_a_run_is_started_with_dropout_off_and_its_link_is_the_address(runs):
    app = open_page(seed="7", recipe="paper")
    name = start(app)
    assert re.fullmatch(r"[0-9a-f]{16}", name)
    assert runs.state(name) == "waiting"
    spec = runs._records[name].spec
    assert (spec.hidden, spec.dropout, spec.recipe, spec.seed) == ((100, 100, 100), (0.0, 0.0, 0.0), "paper", 7)
    assert "Start" not in [button.label for button in app.button]


def test_who_started_it_has_the_token_and_who_follows_the_link_has_none(runs):
    app = open_page()
    name = start(app)
    assert mounted(app)["token"] == runs._records[name].token
    other = mounted(open_page(live=name))
    assert (other["name"], other["token"], other["feed"]) == (name, "", f"/live-run/{name}")
    assert runs._records[name].token not in str(other)


def test_the_one_run_under_way_is_shown_to_others_and_several_are_offered(runs):
    first = start(open_page())
    other = open_page()
    assert (mounted(other)["name"], mounted(other)["token"]) == (first, "")
    latest = start(open_page())
    assert mounted(other.run())["name"] == first  # who watches it goes on
    other = open_page()
    for name in (first, latest):
        assert any(f"?live={name}" in caption.value for caption in other.caption)
    assert not other.get("bidi_component")  # none of strangers' runs stands for one's own
    assert "Start" in [button.label for button in other.button]
    assert mounted(open_page(live=latest))["name"] == latest


def test_a_bad_link_costs_a_sentence_and_another_run_can_be_started(runs):
    app = open_page(live="../../etc/passwd")
    [warning] = app.warning
    assert "is known here" in warning.value
    start(app)


def test_as_many_runs_as_the_bound_says(runs, monkeypatch):
    monkeypatch.setenv(LIVE_RUNS.variable, "1")
    start(open_page())
    app = open_page()
    next(button for button in app.button if button.label == "Start").click().run()
    assert [warning.value for warning in app.warning] == [
        "At most 1 live runs may be under way, and so many are: watch one, or try again later."
    ]


def test_a_seed_that_is_not_allowed_costs_a_sentence(runs):
    app = open_page(seed="-1")
    assert [error.value for error in app.error] == ["First seed must be a whole number from 0 to 2,147,483,647; got -1."]


@pytest.mark.parametrize(("asked", "layer"), [({}, 2), ({"layer": "1"}, 1), ({"layer": "3"}, 3)])
def test_the_address_says_which_layer_is_seen_first(runs, asked, layer):
    app = open_page(**asked)
    start(app)
    assert mounted(app)["layer"] == layer
    assert not app.warning


def test_a_layer_that_no_network_has_costs_a_sentence(runs):
    app = open_page(layer="<b>4</b>")
    [warning] = app.warning
    assert warning.value.startswith("Hidden layer must be one of 1, 2, 3; the address gave ")
    assert warning.value.endswith("Shown instead: 2.")
    start(app)
    assert mounted(app)["layer"] == 2


def test_strips_look_as_on_every_other_chart(runs):
    app = open_page()
    start(app)
    looks = mounted(app)["looks"]
    assert {name: look["colour"] for name, look in looks.items()} == {name: style(of).colour for name, of in MEANINGS.items()}
