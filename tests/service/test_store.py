"""The store keeps what it was given, whole, whatever happens to the disk, the process or the file."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from dropclust.core.spec import RunSpec
from dropclust.service.files.common import MAX_FILE_BYTES, MAX_HEADER_BYTES
from dropclust.service.files.safetensors import pack
from dropclust.service.store import STALE_SECONDS, Store, StoreError
from dropclust.service.stored import POINT, Stored
from tests.service import faults
from tests.service.faults import run, same

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def test_a_run_comes_back_as_it_went_in(store: Store) -> None:
    stored = run(7)
    path = store.put(stored)
    assert path == store.root / stored.key[:2] / f"{stored.key}.safetensors"
    assert same(stored, Store(store.root).get(stored.key))
    assert store.get(run(8).key) is None
    assert store.reports == ()


def test_the_file_is_plain_safetensors_with_one_sorted_text(store: Store) -> None:
    stored = run(7)
    with safe_open(store.put(stored), "numpy") as file:
        assert sorted(file.keys()) == sorted(f"{kind}.{layer}" for kind in ("weights", "biases") for layer in range(4))
        for layer in range(4):
            np.testing.assert_array_equal(file.get_tensor(f"weights.{layer}"), stored.weights[layer])
            np.testing.assert_array_equal(file.get_tensor(f"biases.{layer}"), stored.biases[layer])
        metadata = file.metadata()
    assert list(metadata) == ["dropclust"]
    facts = json.loads(metadata["dropclust"])
    assert metadata["dropclust"] == json.dumps(facts, sort_keys=True, separators=(",", ":"))
    assert facts["spec"] == json.loads(stored.spec.to_json())
    assert facts["curve"] == {"step": [1], "examples": [128], "loss": [2.25], "accuracy": [0.125], "seconds": [0.5]}


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    one, other = (Store(tmp_path / name).put(run(3)) for name in ("a", "b"))
    assert one.read_bytes() == other.read_bytes()
    backwards = replace(run(3), metrics=dict(reversed(run(3).metrics.items())))
    assert Store(tmp_path / "b").put(backwards).read_bytes() == one.read_bytes()


def test_reading_a_run_imports_no_torch(store: Store) -> None:
    store.put(run(1))
    program = (
        "import sys; from dropclust.service.store import Store; s = Store(sys.argv[1])\n"
        "assert s.get(s.list()[0].key).metrics['rand'] == 0.75 and not s.reports\n"
        "assert not {'torch', 'onnx', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(store.root)], check=True, cwd=ROOT)


def test_numbers_that_are_not_finite_come_back_as_nan(store: Store) -> None:
    point = {"step": 1, "examples": 1, "loss": math.inf, "accuracy": 0.1, "seconds": 0.0}
    store.put(run(1, metrics={"p_value": math.nan, "rand": 0.5}, curve=[point]))
    found = store.get(run(1).key)
    assert found is not None
    assert math.isnan(found.metrics["p_value"])
    assert math.isnan(found.curve[0]["loss"])
    assert found.metrics["rand"] == 0.5
    assert math.isnan(store.list()[0].metrics["p_value"])


@pytest.mark.parametrize(
    "key", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "../" + "a" * 61, "a" * 64 + "\n", None, b"a" * 64]
)
def test_what_is_no_key_never_becomes_a_path(store: Store, key: object) -> None:
    with pytest.raises(ValueError, match=r"^key must be 64 lowercase hex digits; got [^\n]*$"):
        store.get(key)  # type: ignore[arg-type]


def test_a_list_is_read_again_only_when_a_folder_changed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    full = Store._list
    monkeypatch.setattr(Store, "_list", lambda self: read.append(self) or full(self))
    one, two = run(seed=1), run(seed=2)
    store.put(one)
    assert [summary.key for summary in store.list()] == [one.key]
    assert [summary.key for summary in store.list()] == [one.key]
    assert len(read) == 2  # what has just changed may change again within one tick of the clock
    long_ago = time.time() - 60
    for folder in (store.root, *filter(Path.is_dir, store.root.iterdir())):
        os.utime(folder, (long_ago, long_ago))
    listed = store.list()
    listed.clear()  # a caller's own
    assert [summary.key for summary in store.list()] == [one.key]
    assert len(read) == 3
    store.put(two)
    assert {summary.key for summary in store.list()} == {one.key, two.key}
    assert len(read) == 4


def test_limit_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="limit_bytes must be 1 or more; got 0"):
        Store(tmp_path, 0)


# Damage


def test_no_truncation_is_accepted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = run(1, hidden=(1, 1, 1))
    path = store.put(stored)
    content = path.read_bytes()
    with faults.read_only(monkeypatch):  # the store cannot move what it finds, which is quicker, and answers the same
        for length in reversed(range(len(content))):
            os.truncate(path, length)
            assert store.get(stored.key) is None, length
        path.write_bytes(content + b"\0")
        assert store.get(stored.key) is None
        os.truncate(path, len(content))
        assert same(stored, store.get(stored.key))


def test_no_flipped_bit_is_accepted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bit of the header and 1,000 of the data by `get`; 1,000 of the header by `list`, which reads no more than that."""
    stored = run(1, hidden=(1, 1, 1))
    path = store.put(stored)
    content = path.read_bytes()
    begins = 8 * (8 + int.from_bytes(content[:8], "little"))
    random_ = random.Random(0)
    bits = [(bit, False) for bit in (*range(begins), *random_.sample(range(begins, 8 * len(content)), 1000))]
    with faults.read_only(monkeypatch), path.open("r+b", buffering=0) as file:

        def write(at: int, byte: int) -> None:
            file.seek(at)
            file.write(bytes([byte]))

        for bit, listing in bits + [(bit, True) for bit in random_.sample(range(begins), 1000)]:
            write(bit // 8, content[bit // 8] ^ 1 << bit % 8)
            assert not (Store(store.root).list() if listing else store.get(stored.key)), bit
            write(bit // 8, content[bit // 8])
        assert same(stored, store.get(stored.key))
        assert [summary.key for summary in store.list()] == [stored.key]


def test_damage_is_set_aside_reported_once_and_trained_again(store: Store) -> None:
    stored = run(1)
    path = store.put(stored)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert [summary.key for summary in store.list()] == [stored.key]  # its header is whole
    for _ in range(3):
        assert store.get(stored.key) is None
    assert store.list() == []
    (report,) = store.reports
    assert "weights do not match their checksum; it was moved to the folder damaged" in report
    (aside,) = (store.root / "damaged").iterdir()
    assert aside.read_bytes() == content
    store.put(stored)
    assert same(stored, store.get(stored.key))
    assert len(store.reports) == 1


def sealed(stored: Stored, tensors: dict[str, np.ndarray] | None = None, **facts: object) -> bytes:
    """A file with valid checksums whose facts or tensors are others."""
    plain = {
        "format": "dropclust run 1",
        "spec": json.loads(stored.spec.to_json()),
        "curve": {name: [point[name] for point in stored.curve] for name in POINT},
        "metrics": stored.metrics,
        "status": stored.status,
        "steps": stored.steps,
        "seconds": stored.seconds,
        "created": stored.created,
        "versions": stored.versions,
    }
    return pack({**plain, **facts}, stored.tensors if tensors is None else tensors)


FOREIGN = {
    "empty": b"",
    "text": b"hello, world",
    "zeros": bytes(5000),
    "a header of 4 GB": (4 * 2**30).to_bytes(8, "little") + b"{}",
    "a header just too long": (MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b" " * (MAX_HEADER_BYTES + 1),
    "deep": (200_000).to_bytes(8, "little") + b"[" * 200_000,
    "no object": (2).to_bytes(8, "little") + b"[]",
    "safetensors of others": (2).to_bytes(8, "little") + b"{}",
    "another version": sealed(run(1), format="dropclust run 2"),
    "one fact more": sealed(run(1), more=1),
    "another run": sealed(run(2)),
    "weights of another run": sealed(run(1), spec=json.loads(RunSpec(hidden=(8, 6, 4), seed=1).to_json())),
    "a rate of 2": sealed(run(1), spec={"dropout": [2, 2, 2]}),
    "spec is a list": sealed(run(1), spec=[]),
    "metrics is null": sealed(run(1), metrics=None),
    "versions is null": sealed(run(1), versions=None),
    "metrics is a list": sealed(run(1), metrics=[1]),
    "an unknown status": sealed(run(1), status="diverged"),
    "no date": sealed(run(1), created=5),
}
# What only `get` can see: `list` does not look at weights or curves.
FOREIGN_INSIDE = {
    "infinite weights": sealed(run(1), tensors={name: np.full_like(array, np.inf) for name, array in run(1).tensors.items()}),
    "curve is null": sealed(run(1), curve=None),
    "curve has a column less": sealed(run(1), curve={"step": [1]}),
    "curve has unequal columns": sealed(run(1), curve={name: [1] * (name == "step") for name in POINT}),
    "curve has words": sealed(run(1), curve={name: ["high"] for name in POINT}),
}


@pytest.mark.parametrize("name", [*FOREIGN, *FOREIGN_INSIDE])
def test_a_foreign_file_counts_as_absent(store: Store, name: str) -> None:
    path = store.put(run(1))
    for read in [lambda: store.get(run(1).key), store.list][: 2 if name in FOREIGN else 1]:
        path.write_bytes((FOREIGN | FOREIGN_INSIDE)[name])
        assert not read()
        assert not path.exists()
    assert 1 <= len(store.reports) <= 2
    assert all(report.count("\n") == 0 and len(report) < 400 for report in store.reports)


def test_what_is_no_file_counts_as_absent_and_is_not_followed(store: Store, tmp_path: Path) -> None:
    stored = run(1)
    path = store.put(stored)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    kept = path.rename(elsewhere / path.name)
    makers = [
        lambda: path.symlink_to(kept),
        lambda: path.symlink_to("/dev/zero"),
        lambda: path.symlink_to(tmp_path / "nowhere"),
        lambda: path.mkdir(),
        lambda: os.mkfifo(path),
    ]
    for make in makers:
        for read in (lambda: store.get(stored.key), store.list):
            make()
            assert not read()
            assert not path.is_symlink()
            assert not path.exists()
        make()
        store.put(stored)
        assert same(stored, store.get(stored.key))
        path.unlink()
    assert len(store.reports) == 3 * len(makers)
    for make_shard in (lambda: path.parent.symlink_to(elsewhere), lambda: path.parent.write_bytes(b"file")):
        for read in (lambda: store.get(stored.key), store.list):
            path.parent.is_dir() and path.parent.rmdir()
            make_shard()
            assert not read()
            assert not path.parent.is_symlink()
            assert not path.parent.exists()
        make_shard()
        store.put(stored)
        assert same(stored, store.get(stored.key))
        path.unlink()
        path.parent.rmdir()
    assert kept.exists()


def test_a_huge_file_is_not_read(store: Store) -> None:
    path = store.put(run(1))
    os.truncate(path, MAX_FILE_BYTES + 1)  # a hole: it takes no room on the disk
    assert store.get(run(1).key) is None
    assert "more than a run's" in store.reports[0]
    (store.root / "damaged").joinpath(next((store.root / "damaged").iterdir())).unlink()


def test_files_that_are_not_runs_are_left_alone_and_misplaced_ones_set_aside(store: Store) -> None:
    path = store.put(run(1))
    for other in (store.root / "README", path.parent / "notes.txt", store.root / "SHIPPED"):
        other.write_text("")
    misplaced = [path.parent / "copy.safetensors", path.parent / f"{'0' if path.name[0] != '0' else '1'}{path.name[1:]}"]
    for wrong in misplaced:
        wrong.write_bytes(path.read_bytes())
    assert [summary.key for summary in store.list()] == [run(1).key]
    assert not any(wrong.exists() for wrong in misplaced)
    assert len(store.reports) == 2
    assert (path.parent / "notes.txt").exists()


def test_a_read_only_store_reads_and_reports_damage_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = run(1), run(2)
    store.put(good)
    path = store.put(bad)
    path.write_bytes(path.read_bytes()[:-1])
    with faults.read_only(monkeypatch):
        again = Store(store.root)
        for _ in range(3):
            assert same(good, again.get(good.key))
            assert again.get(bad.key) is None
            assert [summary.key for summary in again.list()] == [good.key]
        assert len(again.reports) == 1
        assert "it could not be moved away" in again.reports[0]
        with pytest.raises(StoreError, match=r"^the run [0-9a-f]{12} could not be stored: Read-only file system$"):
            again.put(good)


def test_what_is_in_the_way_of_storing_is_said_before_anybody_trains(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.obstacle() is None  # also before its folder was made
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda path, mode: False)
        assert re.fullmatch(r"networks cannot be stored: the folder .* cannot be written", store.obstacle() or "")
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=3_000_000))
    assert store.obstacle() == "networks cannot be stored: 3 MB are free on the disk, and 50 are needed"


def test_a_file_that_cannot_be_read_now_is_reported_and_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store.put(run(1))
    for code in (errno.EIO, errno.EACCES):
        with faults.failing(monkeypatch, 1, code, ("open",)):
            assert Store(store.root).get(run(1).key) is None
    with faults.failing(monkeypatch, 1, errno.EIO, ("open",)):
        assert store.get(run(1).key) is None
    assert "could not be read: Input/output error" in store.reports[0]
    assert path.exists()
    assert same(run(1), store.get(run(1).key))


# Listing


def test_list_is_newest_first_and_tells_what_the_header_tells(store: Store) -> None:
    assert store.list() == []
    dates = ["2026-01-02T03:04:05.678+00:00", "2026-03-01T00:00:00.000+00:00", "2025-12-31T23:59:59.999+00:00"]
    paths = [store.put(run(seed, created=date)) for seed, date in enumerate(dates)]
    (store.root / "SHIPPED").write_text(f"{run(2).key}\n\nnonsense\n")
    summaries = store.list()
    assert [summary.spec.seed for summary in summaries] == [1, 0, 2]
    first = summaries[0]
    assert (first.spec, first.key, first.status, first.metrics, first.steps, first.seconds, first.created) == (
        *(run(1).spec, run(1).key, "done", run(1).metrics, 2500, 1.5, dates[1]),
    )
    assert first.bytes == paths[1].stat().st_size
    assert [summary.shipped for summary in summaries] == [False, False, True]
    assert store.shipped_keys == {run(2).key}
    assert store.reports == ("The list of shipped runs holds 'nonsense', which is no run's key.",)


def test_list_reads_a_header_again_only_when_its_file_changed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(4):
        store.put(run(seed))
    assert len(store.list()) == 4
    with faults.failing(monkeypatch, 0, 0, ("open",)) as made:
        assert len(store.list()) == 4
    assert made == []
    store.put(run(2, metrics={"accuracy": 0.5}))
    with faults.failing(monkeypatch, 0, 0, ("open",)) as made:
        assert {summary.spec.seed: summary.metrics.get("accuracy") for summary in store.list()}[2] == 0.5
    assert made == ["open"]
    store._path(run(3).key).unlink()
    assert len(store.list()) == 3


# Which run replaces which, and what goes when there is no room


def test_done_replaces_stopped_and_stopped_never_done(store: Store) -> None:
    first, second = run(1, status="stopped", steps=10), run(1, status="stopped", steps=20)
    done, later = run(1), run(1, seconds=9.0)
    for stored, kept in ((first, first), (second, second), (done, done), (first, done), (later, later), (second, later)):
        path = store.put(stored)
        assert path.exists()
        assert same(kept, store.get(stored.key))
    assert sorted(child.name for child in path.parent.iterdir()) == [path.name]  # and no temporary file


def test_a_stopped_run_replaces_a_damaged_one(store: Store) -> None:
    path = store.put(run(1))
    path.write_bytes(path.read_bytes()[:-1])
    stopped = run(1, status="stopped")
    store.put(stopped)
    assert same(stopped, store.get(stopped.key))


def test_beyond_the_limit_the_oldest_go_but_no_shipped_one_and_not_the_newest(store: Store) -> None:
    paths = [store.put(run(seed)) for seed in range(6)]
    for age, path in enumerate(paths):
        os.utime(path, ns=(10**18 + age, 10**18 + age))
    (store.root / "SHIPPED").write_text(run(0).key)
    one = max(path.stat().st_size for path in paths)
    Store(store.root, limit_bytes=4 * one + one // 2).put(run(6))
    assert {summary.spec.seed for summary in store.list()} == {0, 4, 5, 6}
    Store(store.root, limit_bytes=1).put(run(7))
    assert {summary.spec.seed for summary in store.list()} == {0, 7}
    assert store.reports == ()


def test_what_was_set_aside_goes_before_any_run(store: Store) -> None:
    kept, broken = store.put(run(1)), store.put(run(2))
    size = kept.stat().st_size
    broken.write_bytes(b"\0" * size)
    assert store.get(run(2).key) is None
    Store(store.root, limit_bytes=2 * size + size // 2).put(run(3))
    assert {summary.spec.seed for summary in store.list()} == {1, 3}
    assert list((store.root / "damaged").iterdir()) == []


def test_nothing_goes_while_the_list_of_shipped_runs_cannot_be_read(store: Store) -> None:
    store.put(run(1))
    (store.root / "SHIPPED").mkdir()
    small = Store(store.root, limit_bytes=1)
    small.put(run(2))
    assert len(small.list()) == 2
    assert any("could not be tidied" in report for report in small.reports)


def test_only_old_temporary_files_are_removed(store: Store) -> None:
    folder = store.put(run(1)).parent
    lonely = store.root / ("00" if folder.name != "00" else "01")
    lonely.mkdir()
    old, fresh = [lonely / ".dropclust-1-0.tmp", folder / ".dropclust-2-0.tmp"], [folder / ".dropclust-3-0.tmp"]
    for path in old + fresh:
        path.write_bytes(b"half")
    for path in old:
        os.utime(path, (time.time() - STALE_SECONDS - 60,) * 2)
    store.put(run(2))
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in fresh)


# Runs that came with an installed package


def test_shipped_runs_are_read_from_their_own_folder_and_never_written(store: Store, tmp_path: Path) -> None:
    there = Store(tmp_path / "package")
    for seed in (1, 2):
        there.put(run(seed))
    (there.root / "SHIPPED").write_text(f"{run(1).key}\n{run(2).key}\n")
    before = {path: path.read_bytes() for path in there.root.rglob("*") if path.is_file()}
    both = Store(store.root, shipped=there.root)
    both.put(run(3))
    assert same(run(1), both.get(run(1).key))
    assert same(run(3), both.get(run(3).key))
    assert both.get(run(4).key) is None
    assert {summary.spec.seed: summary.shipped for summary in both.list()} == {1: True, 2: True, 3: False}
    assert {path: path.read_bytes() for path in there.root.rglob("*") if path.is_file()} == before


def test_a_run_of_ones_own_hides_the_shipped_one_but_not_when_it_was_stopped(store: Store, tmp_path: Path) -> None:
    there = Store(tmp_path / "package")
    there.put(run(1))
    both = Store(store.root, shipped=there.root)
    both.put(run(1, status="stopped", seconds=5.0))
    assert same(run(1), both.get(run(1).key))
    both.put(run(1, seconds=7.0))
    assert same(run(1, seconds=7.0), both.get(run(1).key))
    [summary] = both.list()
    assert summary.seconds == 7.0


def test_a_damaged_shipped_run_is_said_and_can_be_trained_again(store: Store, tmp_path: Path) -> None:
    path = Store(tmp_path / "package").put(run(1))
    path.write_bytes(path.read_bytes()[:-1])
    both = Store(store.root, shipped=tmp_path / "package")
    assert both.get(run(1).key) is None
    assert len(both.reports) == 1
    both.put(run(1))
    assert same(run(1), both.get(run(1).key))


# Failing disks, killed processes, many writers


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES], ids=errno.errorcode.get)
@pytest.mark.parametrize("replacing", [False, True], ids=["first", "replacing"])
def test_the_nth_system_call_of_a_save_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, replacing: bool
) -> None:
    """For every n the old run or the new one, whole; without an error the new one; temporary files go if they can."""
    old, new = (run(1, fill=1.0) if replacing else None), run(1, fill=2.0)
    failed = set()
    for number in range(1, 200):
        store = Store(tmp_path / str(number))
        if old is not None:
            store.put(old)
        error = None
        with faults.failing(monkeypatch, number, code) as made:
            try:
                store.put(new)
            except StoreError as caught:
                error = caught
                failed.add(made[number - 1])
        if number > len(made):
            assert error is None
            break
        if error is not None:
            assert str(error) == f"the run {new.key[:12]} could not be stored: {os.strerror(code)}"
        reader = Store(store.root)
        found = reader.get(new.key)
        assert reader.reports == ()
        assert (found is None and old is None) or same(new, found) or (old is not None and same(old, found))
        if error is None:
            assert same(new, found)
        if made[number - 1] != "unlink":
            assert list(store.root.glob("*/.dropclust-*")) == []
    else:
        pytest.fail("the save never ended")
    assert {"open", "write", "fsync", "replace"} <= failed


def test_a_save_reaches_the_disk_before_the_name_and_the_name_before_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(run(1, fill=1.0))
    with faults.failing(monkeypatch, 0, 0, ("write", "fsync", "replace")) as made:
        store.put(run(1, fill=2.0))
    assert made == ["write", "fsync", "replace", "fsync"]


def test_a_writer_waits_for_another_process(store: Store) -> None:
    """What another process has locked the folder for, it finishes first."""
    path = store.put(run(1, fill=1.0))
    before = path.read_bytes()
    holder = "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX); print(flush=True); input()"
    command = [sys.executable, "-c", holder, str(store.root / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        writer = threading.Thread(target=store.put, args=(run(1, fill=2.0),))
        writer.start()
        writer.join(0.3)
        assert writer.is_alive()
        assert path.read_bytes() == before
        other.communicate("\n")
        writer.join()
    assert same(run(1, fill=2.0), store.get(run(1).key))


def test_short_writes_are_continued(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:1000]))
    store.put(run(1))
    assert same(run(1), store.get(run(1).key))


def test_two_hundred_kills_during_saves(tmp_path: Path) -> None:
    """A real process saves in a loop and is killed with -9: every file under a run's name is whole, each time."""
    root = tmp_path / "runs"
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.service.faults", "serve", str(root)]
    moments = random.Random(0)
    half_written = checked = 0
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        for kill in range(200):
            server.stdin.write("\n")
            server.stdin.flush()
            started = {server.stdout.readline().strip(), server.stdout.readline().strip()} - {"saved"}
            time.sleep(0.02 * moments.random())
            os.kill(int(*started), 9)
            assert server.stdout.readline() == "ended -9\n"
            half_written += len(list(root.glob("*/.dropclust-*")))
            reader = Store(root)
            for path in root.glob("*/*.safetensors"):
                found = reader.get(path.stem)
                assert found is not None, reader.reports
                assert same(found, run(found.spec.seed, fill=found.metrics["accuracy"]))
                assert found.metrics["accuracy"] // 1000 <= kill
                checked += 1
            assert reader.reports == ()
            for path in root.glob("*/.dropclust-*"):
                path.unlink()
    assert half_written > 0  # kills did fall into saves
    assert checked >= 1 + 2 + 198 * 3
    Store(root).put(run(1))  # and no lock outlives its process
    assert same(run(1), Store(root).get(run(1).key))


def test_processes_and_threads_write_and_read_the_same_runs(tmp_path: Path) -> None:
    """Whoever reads meanwhile sees one writer's run whole, never a mixture and never damage."""
    root = tmp_path / "runs"
    command = [sys.executable, "-m", "tests.service.faults", "put", str(root)]
    writers = [subprocess.Popen([*command, str(writer), "60"], cwd=ROOT) for writer in (1, 2)]
    shared = Store(root)
    threads = [
        threading.Thread(target=lambda writer=writer: [shared.put(run(turn % 3, fill=float(writer))) for turn in range(40)])
        for writer in (3, 4)
    ]
    for thread in threads:
        thread.start()
    reads = 0
    while any(thread.is_alive() for thread in threads) or any(writer.poll() is None for writer in writers):
        for seed in range(3):
            found = shared.get(run(seed).key)
            if found is not None:
                assert found.metrics["accuracy"] in (1.0, 2.0, 3.0, 4.0)
                assert same(found, run(seed, fill=found.metrics["accuracy"]))
                reads += 1
        shared.list()
    for thread in threads:
        thread.join()
    assert [writer.wait() for writer in writers] == [0, 0]
    assert reads > 20
    assert shared.reports == ()
    assert len(shared.list()) == 3
    assert list(root.glob("*/.dropclust-*")) == []


def test_a_good_run_written_meanwhile_is_not_set_aside(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reader finds damage, writer replaces the file, reader moves it away: it must not be the new one."""
    path = store.put(run(1))
    path.write_bytes(path.read_bytes()[:-1])
    real = store._set_aside

    def late(suspect: Path, status: os.stat_result, problem: str) -> None:
        Store(store.root).put(run(1, seconds=7.0))
        real(suspect, status, problem)

    monkeypatch.setattr(store, "_set_aside", late)
    assert store.get(run(1).key) is None
    monkeypatch.undo()
    assert same(run(1, seconds=7.0), store.get(run(1).key))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    metrics=st.dictionaries(
        st.text(max_size=20), st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70)
    ),
    versions=st.dictionaries(st.text(max_size=20), st.text(max_size=20)),
    status=st.sampled_from(["done", "stopped"]),
    seconds=st.floats(0, 1e9),
)
def test_any_facts_come_back(tmp_path: Path, metrics: dict, versions: dict, status: str, seconds: float) -> None:
    stored = run(1, metrics=metrics, versions=versions, status=status, seconds=seconds)
    store = Store(tempfile.mkdtemp(dir=tmp_path))
    store.put(stored)
    assert same(stored, store.get(stored.key))
    assert store.list()[0].metrics == metrics
    assert store.reports == ()
