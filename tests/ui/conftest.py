"""What all tests of pages share."""

from __future__ import annotations

import pytest

from dropclust.service import work
from dropclust.ui import live
from tests.ui.inline import Inline


@pytest.fixture(autouse=True)
def tasks(monkeypatch) -> Inline:
    """Whatever a page asks the workers for is answered in its own process, at once."""
    inline = Inline()
    work._opened.cache_clear()
    monkeypatch.setattr(live, "tasks", lambda: inline)
    return inline
