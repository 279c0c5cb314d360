"""A file is the old one or the new one, whole, and no temporary file is left."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from dropclust.service import atomic
from tests.service import faults


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
def test_the_nth_system_call_of_a_write_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    for number in range(1, 100):
        path = tmp_path / str(number) / "table.csv"
        path.parent.mkdir()
        atomic.write(path, b"old")
        error = None
        with faults.failing(monkeypatch, number, code) as made:
            try:
                atomic.write(path, b"new")
            except OSError as caught:
                error = caught
        assert path.read_bytes() == b"new" or (error and path.read_bytes() == b"old")
        assert list(path.parent.iterdir()) == [path]
        if number > len(made):
            assert error is None
            break
    assert number > 5


def test_a_write_reaches_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faults.failing(monkeypatch, 0, 0, ("write", "fsync", "replace")) as made:
        atomic.write(tmp_path / "table.csv", b"new")
    assert made == ["write", "fsync", "replace", "fsync"]


def test_a_temporary_file_has_a_name_of_its_own(tmp_path: Path) -> None:
    one, other = (atomic.write_temporary(tmp_path, b"half") for _ in range(2))
    assert one != other
    assert atomic.is_temporary(one)
    assert not atomic.is_temporary(tmp_path / "table.csv")
    atomic.discard(one)
    atomic.discard(one)  # gone already
    assert list(tmp_path.iterdir()) == [other]
