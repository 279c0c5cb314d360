"""The work behind the Compress page: timed in turns, and wide layers one after another."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from dropclust.ui import compressing


def test_passes_are_timed_in_pairs_with_turns():
    calls = []
    found = compressing.timed(lambda: calls.append("a"), lambda: calls.append("b"), pairs=3)
    assert len(found) == 3
    assert "".join(calls) == "abba" + "abba"
    slow, fast = zip(*compressing.timed(lambda: sum(range(20_000)), lambda: None, pairs=5), strict=True)
    assert np.median(slow) > np.median(fast)


def test_a_wide_layer_waits_for_another_and_a_narrow_one_does_not():
    wide, narrow = (SimpleNamespace(hidden=(width,)) for width in (compressing.WIDE + 1, compressing.WIDE))
    with compressing._at_work(wide, 1):
        assert compressing._turn().locked()
        with compressing._at_work(narrow, 1):
            pass
    assert not compressing._turn().locked()
