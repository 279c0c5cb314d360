"""A rerun of a page in which nothing changed makes nothing anew, which makes it cheap: told in counts, not in seconds."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dropclust.experiments import NAMES, results
from dropclust.service import store as stores
from dropclust.service.jobs import Jobs
from dropclust.service.shared import forget
from dropclust.service.store import Store
from dropclust.ui import live
from dropclust.ui.figures import once
from tests.ui.inline import Inline

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path.name for path in (ROOT / "pages").glob("*.py"))
WARM = 3  # runs after which all that a page keeps is there


class Still(Jobs):
    """A queue that never starts a cluster."""

    def start(self) -> None:
        """Nothing."""


class Counting(once.Kept):
    """Keeps drawings and counts those that are made."""

    def __init__(self, counts: Counter[str]) -> None:
        super().__init__()
        self.counts = counts

    def get(self, key: object, make: Any) -> Any:
        def counted() -> Any:
            self.counts["drawings"] += 1
            return make()

        return super().get(key, counted)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch, tasks: Inline) -> Counter[str]:
    """How often something was read, said, drawn or asked of a worker."""
    st.cache_data.clear()
    st.cache_resource.clear()
    forget()
    kept = Store(ROOT / "cache" / "runs")
    queue = Still(kept, workers=2)
    monkeypatch.setattr(live, "store", lambda: kept)
    monkeypatch.setattr(live, "queue", lambda: queue)
    counted: Counter[str] = Counter()

    def count(owner: object, name: str, what: str) -> None:
        called = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            counted[what] += 1
            return called(*args, **kwargs)

        monkeypatch.setattr(owner, name, wrapped)

    monkeypatch.setattr(once, "_KEPT", Counting(counted))
    count(go.Figure, "__init__", "figures")
    count(pd.DataFrame, "__init__", "tables made")
    count(results, "read", "tables read")
    count(stores, "_read_file", "runs read")
    for name in NAMES:
        count(importlib.import_module(f"dropclust.findings.{name}"), "read", "findings")
    ask = tasks.ask

    def asked(*args: Any, **kwargs: Any) -> Any:
        before = len(tasks.asked)
        task = ask(*args, **kwargs)
        counted["tasks"] += len(tasks.asked) - before
        return task

    monkeypatch.setattr(tasks, "ask", asked)
    return counted


@pytest.mark.parametrize("page", PAGES)
def test_a_rerun_in_which_nothing_changed_reads_says_and_draws_nothing(page: str, counts: Counter[str]):
    app = AppTest.from_file(str(ROOT / "pages" / page), default_timeout=120)
    for _ in range(WARM):
        assert not app.run().exception
    counts.clear()
    assert not app.run().exception
    assert not +counts, counts
