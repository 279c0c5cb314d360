"""How pages wait for the workers: what they say, that nothing chosen is forgotten, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest
from streamlit.testing.v1 import AppTest

from dropclust.service.bounds import SESSIONS, WAITING_OF_ONE, BoundReached
from dropclust.service.tasks import Task
from dropclust.ui import live
from tests.ui.test_compress import cache, open_page, said  # noqa: F401
from tests.ui.test_pages import Still


def asking() -> None:
    """A page that asks one question."""
    import streamlit as st

    from dropclust.service.requests import Request
    from dropclust.ui import live

    try:
        found = live.ask(Request("similarity", {}, label="Clustering"), height=200)
    except ValueError as error:
        st.error(f"Wrong: {error}")
    else:
        st.markdown(f"The answer is {found}.")


class Scripted:
    """Tasks that are what the test says, one after another; the last for ever."""

    again = 0.2  # seconds

    def __init__(self, *tasks):
        self.tasks = list(tasks)

    def ask(self, request, asker="", patience=0.0):
        task = self.tasks.pop(0) if len(self.tasks) > 1 else self.tasks[0]
        if isinstance(task, Exception):
            raise task
        return task


def opened(monkeypatch, *tasks) -> AppTest:
    scripted = Scripted(*tasks)
    monkeypatch.setattr(live, "tasks", lambda: scripted)
    return AppTest.from_function(asking, default_timeout=60).run()


def test_a_page_says_what_it_waits_for_and_at_which_place(monkeypatch):
    app = opened(monkeypatch, Task("k", "Clustering", "waiting", 3))
    assert [caption.value for caption in app.caption] == [":material/hourglass_top: Clustering, number 3 in the queue"]
    assert "The answer is None." in said(app)


def test_a_page_says_that_the_workers_are_only_starting(monkeypatch):
    app = opened(monkeypatch, Task("k", "Clustering", "waiting", 1, starting=True))
    shown = ":material/hourglass_top: Clustering: the workers are starting"
    assert [caption.value for caption in app.caption] == [shown]


@pytest.mark.parametrize(("height", "framed"), [(64, False), (200, True)])
def test_the_place_of_a_large_answer_is_seen_while_it_is_waited_for(monkeypatch, height, framed):
    def asking_for(height: int) -> None:
        from dropclust.service.requests import Request
        from dropclust.ui import live

        live.ask(Request("similarity", {}, label="Clustering"), height=height)

    monkeypatch.setattr(live, "tasks", lambda: Scripted(Task("k", "Clustering", "waiting", 1)))
    app = AppTest.from_function(asking_for, args=(height,), default_timeout=60).run()
    [place] = [block for block in app.main.children.values() if block.children]
    assert place.proto.height_config.pixel_height == height
    assert place.proto.flex_container.border == framed


@pytest.mark.parametrize(("seconds", "shown"), [(0.4, "Clustering"), (2.6, "Clustering, 3 s")])
def test_a_page_says_for_how_long_a_worker_is_at_it(monkeypatch, seconds, shown):
    app = opened(monkeypatch, Task("k", "Clustering", "working", 0, seconds))
    assert app.caption[0].value == f":material/hourglass_top: {shown}"


def test_an_answer_that_comes_while_it_waits_is_shown_at_once(monkeypatch):
    app = opened(monkeypatch, Task("k", "Clustering", "working"), Task("k", "Clustering", "done", answer=42))
    assert "The answer is 42." in said(app)
    assert not app.caption


def test_what_the_function_refuses_is_raised_as_it_was(monkeypatch):
    app = opened(monkeypatch, Task("k", "Clustering", "failed", error="ValueError", message="k must be 2 or more"))
    assert [error.value for error in app.error] == ["Wrong: k must be 2 or more"]


def test_what_else_fails_the_page_says(monkeypatch):
    app = opened(monkeypatch, Task("k", "Clustering", "failed", error="Exception", message="its worker was lost 2 times"))
    assert [error.value for error in app.error] == ["Clustering: its worker was lost 2 times."]


def test_a_bound_is_said_and_the_page_goes_on(monkeypatch):
    app = opened(monkeypatch, BoundReached("At most 20 tasks of one session may wait."))
    assert [warning.value for warning in app.warning] == ["Clustering: At most 20 tasks of one session may wait."]
    assert "The answer is None." in said(app)


def test_what_was_chosen_is_not_forgotten_while_a_page_waits(cache, tasks):  # noqa: F811
    app = open_page(image="5", tolerance="2.0", method="fold")
    assert "Test image 5 shows a 1." in said(app)
    tasks.held = {"smaller", "chosen_units", "controls_of"}
    app.session_state["units"] = 7
    app.run()
    assert "Merging neurons, and proving it, number 1 in the queue" in said(app)
    assert "Test image 5" not in said(app)
    app.run()
    tasks.held = set()
    app.run()
    assert "30 neurons become 7" in said(app)
    assert "Test image 5 shows a 1." in said(app)
    assert "at most 2 points" in said(app)


def training() -> None:
    """A page that asks for three runs."""
    import streamlit as st

    from dropclust.core.spec import RunSpec
    from dropclust.ui import live

    st.code(len(live.submit([RunSpec(seed=seed) for seed in range(3)])))


def test_more_runs_than_the_bound_are_refused_with_a_sentence_that_says_it(cache, monkeypatch):  # noqa: F811
    queue = Still(live.store(), workers=2)
    monkeypatch.setattr(live, "queue", lambda: queue)
    monkeypatch.setattr(live, "session", lambda: "ann")
    monkeypatch.setenv(WAITING_OF_ONE.variable, "2")
    app = AppTest.from_function(training, default_timeout=60).run()
    assert app.code[0].value == "2"
    [warning] = [warning.value for warning in app.warning]
    assert warning.startswith("At most 2 runs of one session may wait")
    assert warning.endswith("Taken: 2 of 3.")
    assert len(queue.asked_by("ann")) == 2


def test_no_torch_is_needed_to_import_what_serves_pages(subprocess_environment):
    pages = "claims, compress, digit, explore, onset, power, sample, shell, similar, steering, trained, training"
    program = f"import sys; from dropclust.ui import {pages}; assert 'torch' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", program], env=subprocess_environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def admitting() -> None:
    """A page behind the door."""
    import streamlit as st

    from dropclust.ui import live

    live.admit()
    st.markdown("Come in.")


def test_beyond_so_many_sessions_a_new_one_is_told_so(cache, monkeypatch):  # noqa: F811
    monkeypatch.setenv(SESSIONS.variable, "2")
    connected = {"ann", "bob", "eve"}
    monkeypatch.setattr(live, "_connected", connected.__contains__)

    def come(who: str) -> AppTest:
        monkeypatch.setattr(live, "session", lambda: who)
        return AppTest.from_function(admitting, default_timeout=60).run()

    for who in ("ann", "bob", "ann"):
        assert said(come(who)) == "Come in."
    refused = "At most 2 browser sessions are served at once, and so many are open: try again in a moment."
    assert said(come("eve")) == refused
    connected.remove("ann")
    assert said(come("eve")) == "Come in."
    assert said(come("bob")) == "Come in."
