"""Equal content has equal names, and a frozen object is gone through once."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from dropclust.findings.meaning import Meaning
from dropclust.findings.series import Curves, Series
from dropclust.service import digest

CURVES = Curves("t", "x", "y", (Series("line", (0.0, 1.0), (1.0, 2.0), (0.5, 1.5), (1.5, 2.5), 20, Meaning.MEASURED),), "Seen.")


def test_read_only_mappings_have_a_digest_of_what_they_show():
    assert digest.digest(MappingProxyType({"a": 1})) == digest.digest(MappingProxyType({"a": 1}))
    assert digest.digest(MappingProxyType({"a": 1})) != digest.digest(MappingProxyType({"a": 2}))


def test_a_frozen_object_is_gone_through_once_and_another_of_equal_content_has_its_digest(monkeypatch: pytest.MonkeyPatch):
    seen: list[object] = []
    whole = digest.digest
    monkeypatch.setattr(digest, "digest", lambda content: seen.append(content) or whole(content))
    info = replace(CURVES, title="Gone through")
    assert digest.digest_of(info) == digest.digest_of(info) == whole(info)
    assert len(seen) == 1
    assert digest.digest_of(replace(info)) == whole(info)
    assert len(seen) == 2
    changed = [1]
    first = digest.digest_of(changed)
    changed.append(2)
    assert digest.digest_of(changed) != first
    number = id(info)
    assert number in digest._digests
    del info
    seen.clear()
    assert number not in digest._digests
