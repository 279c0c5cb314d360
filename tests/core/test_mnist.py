"""MNIST as tensors: the right images in the right parts, and one sentence when a file is not what it should be."""

from __future__ import annotations

import dataclasses
import gc
import gzip
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
import weakref
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dropclust.core import mnist
from dropclust.core.mnist import Data
from dropclust.core.paths import cache_folder

FILES = ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"]
# Counts of the digits 0 to 9, as LeCun, Cortes and Burges publish them.
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def archive(name: str) -> Path:
    return cache_folder() / "MNIST" / "raw" / name


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A root of its own, whose files are links to the real ones."""
    raw = tmp_path / "root" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FILES:
        (raw / name).symlink_to(archive(name).resolve())
    return tmp_path / "root"


def test_parts_have_their_sizes_types_and_range(data: Data) -> None:
    for x, y, n in (
        (data.train_x, data.train_y, 55_000),
        (data.held_x, data.held_y, 5_000),
        (data.test_x, data.test_y, 10_000),
    ):
        assert x.shape == (n, 784)
        assert y.shape == (n,)
        assert x.dtype == torch.float32
        assert y.dtype == torch.int64
        assert x.is_contiguous()
        assert (float(x.min()), float(x.max())) == (0.0, 1.0)
        assert (int(y.min()), int(y.max())) == (0, 9)


def test_labels_are_as_many_as_published(data: Data) -> None:
    assert torch.cat([data.train_y, data.held_y]).bincount().tolist() == TRAIN_COUNTS
    assert data.test_y.bincount().tolist() == TEST_COUNTS


def test_images_and_labels_are_those_of_the_files_in_their_order(data: Data) -> None:
    raw = [np.frombuffer(gzip.decompress(archive(name).read_bytes()), np.uint8) for name in FILES]
    train_x, train_y, test_x, test_y = (
        torch.from_numpy(part[16 if at % 2 == 0 else 8 :].copy()) for at, part in enumerate(raw)
    )
    train_x, test_x = train_x.view(-1, 784), test_x.view(-1, 784)
    assert torch.equal((data.train_x * 255).round().byte(), train_x[:55_000])
    assert torch.equal((data.held_x * 255).round().byte(), train_x[55_000:])
    assert torch.equal((data.test_x * 255).round().byte(), test_x)
    assert torch.equal(data.train_y, train_y[:55_000].long())
    assert torch.equal(data.held_y, train_y[55_000:].long())
    assert torch.equal(data.test_y, test_y.long())
    assert torch.equal(data.test_x, test_x.float() / 255)


def test_live_pixels_are_those_that_a_training_image_lights(data: Data) -> None:
    live = set(data.live.tolist())
    assert len(live) == 717
    lit = [bool((data.train_x[:, pixel] > 0).any()) for pixel in range(784)]
    assert live == {pixel for pixel in range(784) if lit[pixel]}
    x = data.held_x
    for images, rows in ((data.train_x, data.train_lit.float() / 255), (x, data.lit(x, torch.float32))):
        assert rows.shape == (len(images), 720)
        assert torch.equal(rows[:, :717], images[:, data.live])
        assert bool((rows[:, 717] == 1).all())
        assert not bool(rows[:, 718:].any())
    assert data.train_lit is data.train_lit


def test_it_is_read_once_a_process(data: Data) -> None:
    assert mnist.load() is data
    assert mnist.load(cache_folder()) is data


def test_the_files_and_their_checksums_are_torchvisions() -> None:
    from torchvision.datasets import MNIST

    assert list(mnist.FILES.items()) == MNIST.resources


# -- one copy a machine -------------------------------------------------------------------------------------------------


@pytest.fixture
def own_cache(copy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own that holds the original files and nothing else."""
    monkeypatch.setenv("DROPCLUST_CACHE", str(copy))
    monkeypatch.setattr(mnist, "_load", cache(mnist._load.__wrapped__))
    return copy


def same(one: Data, other: Data) -> bool:
    parts = ("train", "train_y", "held", "held_y", "test", "test_y", "live", "train_lit")
    return all(torch.equal(getattr(one, part), getattr(other, part)) for part in parts)


def test_floats_are_made_when_asked_for_and_gone_when_nobody_holds_them(data: Data) -> None:
    assert data.train.dtype == data.held.dtype == data.test.dtype == torch.uint8
    data = dataclasses.replace(data)  # whose floats no other test holds
    first = data.test_x
    assert data.test_x is first
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None


def test_floats_made_while_measuring_can_be_trained_on(data: Data) -> None:
    with torch.inference_mode():
        x = data.held_x
    weight = torch.zeros(784, 1, requires_grad=True)
    (data.held_x @ weight).sum().backward()
    assert weight.grad is not None
    assert data.held_x is x


def test_the_mapped_file_holds_what_the_original_files_hold(own_cache: Path) -> None:
    made = mnist.load()
    assert mnist.mapped_file() == own_cache / "MNIST" / mnist.MAPPED
    mnist._load.cache_clear()
    mapped = mnist.load()
    assert mapped is not made
    assert same(mapped, made)
    exact = Data(made.train_x, made.train_y, made.held_x, made.held_y, made.test_x, made.test_y)
    assert torch.equal(exact.train_lit, mapped.train_lit)
    assert list((own_cache / "MNIST").glob(".*")) == []


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells what is mapped")
def test_the_images_are_mapped_and_not_copied(own_cache: Path) -> None:
    data = mnist.load()
    float(data.train.sum()), float(data.train_lit.sum())
    maps = Path("/proc/self/smaps").read_text().split("VmFlags")
    ours = [part for part in maps if str(own_cache / "MNIST" / mnist.MAPPED) in part]
    assert len(ours) == 1
    sizes = dict(re.findall(r"^(\w+): +(\d+) kB", ours[0], re.MULTILINE))
    assert int(sizes["Rss"]) > 80_000
    assert int(sizes["Anonymous"]) == 0


def test_what_a_process_writes_into_its_images_is_its_own(own_cache: Path, data: Data) -> None:
    mnist.load().test.fill_(7)
    mnist._load.cache_clear()
    assert torch.equal(mnist.load().test, data.test)


@pytest.mark.parametrize("damage", ["a flipped bit", "cut short", "a folder of the name"])
def test_a_damaged_mapped_file_is_made_again_or_done_without(own_cache: Path, data: Data, damage: str) -> None:
    mnist.load()
    mnist._load.cache_clear()
    path = mnist.mapped_file()
    if damage == "a folder of the name":
        path.unlink()
        path.mkdir()
    else:
        content = bytearray(path.read_bytes())
        if damage == "a flipped bit":
            content[50_000_000] ^= 1
        else:
            del content[-1:]
        path.write_bytes(content)
    assert same(mnist.load(), data)
    assert path.is_dir() or mnist._is_intact(path)


def test_where_the_cache_folder_cannot_be_written_images_are_read_into_memory(
    copy: Path, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, no_folder = tmp_path / "scratch", tmp_path / "file"
    scratch.mkdir()
    no_folder.touch()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setenv("DROPCLUST_CACHE", str(no_folder))
    assert same(mnist.load(copy), data)
    assert list(scratch.iterdir()) == []


def test_what_a_killed_writer_left_goes_after_an_hour(own_cache: Path) -> None:
    old, young = (own_cache / "MNIST" / f".{mnist.MAPPED}-{name}" for name in ("old", "young"))
    old.touch()
    young.touch()
    os.utime(old, (time.time() - 7_200,) * 2)
    mnist.load()
    assert (old.exists(), young.exists()) == (False, True)


# -- what is missing or damaged -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / "MNIST" / "raw" / name).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        mnist.load(copy)
    said = str(caught.value)
    assert said.startswith(f"the MNIST file {name} is missing in {copy / 'MNIST' / 'raw'}; ")
    assert f"MNIST({str(copy)!r}, download=True)" in said
    assert "torchvision" in said
    assert "\n" not in said


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["a flipped bit", "cut short", "empty"])
def test_a_damaged_file_is_named(copy: Path, name: str, damage: str) -> None:
    content = bytearray(archive(name).read_bytes())
    if damage == "a flipped bit":
        content[len(content) // 2] ^= 1
    else:
        del content[0 if damage == "empty" else -1 :]
    (copy / "MNIST" / "raw" / name).unlink()
    (copy / "MNIST" / "raw" / name).write_bytes(content)
    with pytest.raises(FileNotFoundError, match=f"^the MNIST file {name} is damaged in "):
        mnist.load(copy)


def test_no_folder_at_all_is_said_as_well(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"^the MNIST file {FILES[0]} is missing in "):
        mnist.load(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_repaired_folder_is_read_without_a_restart(copy: Path, data: Data) -> None:
    moved = copy / "MNIST" / "raw" / FILES[3]
    target = moved.readlink()
    moved.unlink()
    with pytest.raises(FileNotFoundError):
        mnist.load(copy)
    moved.symlink_to(target)
    assert torch.equal(mnist.load(copy).test_y, data.test_y)


def test_a_read_only_root_is_left_as_it_is_and_no_temporary_file_stays(
    copy: Path, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    raw = copy / "MNIST" / "raw"
    folders = (copy, copy / "MNIST", raw)
    before = [folder.stat().st_mtime_ns for folder in folders]
    for folder in folders:
        folder.chmod(0o555)
    try:
        loaded = mnist.load(copy)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert torch.equal(loaded.held_y, data.held_y)
    assert sorted(path.name for path in raw.iterdir()) == sorted(FILES)
    assert [folder.stat().st_mtime_ns for folder in folders] == before  # a superuser could have written: nobody did
    assert list(scratch.iterdir()) == []


def test_two_processes_load_at_once(copy: Path, data: Data, subprocess_environment: dict[str, str]) -> None:
    subprocess_environment = subprocess_environment | {"DROPCLUST_CACHE": str(copy)}
    code = (
        "import sys, hashlib, pathlib; from dropclust.core import mnist; sys.stdin.readline(); "
        "data = mnist.load(pathlib.Path(sys.argv[1])); "
        "print(hashlib.sha256(data.test_x.numpy().tobytes() + data.held_y.numpy().tobytes()).hexdigest())"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(copy)],
            env=subprocess_environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120) for process in processes]
    expected = hashlib.sha256(data.test_x.numpy().tobytes() + data.held_y.numpy().tobytes()).hexdigest()
    assert said == [(expected + "\n", "")] * 2


# -- subsets ------------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), n=st.integers(2, 3_000), share=st.floats(0, 1))
def test_a_subset_is_of_its_size_sorted_distinct_and_the_same_again(seed: int, n: int, share: float) -> None:
    size = max(1, round(share * n))
    chosen = mnist.subset(seed, size, n)
    assert chosen.shape == (size,)
    assert chosen.dtype == torch.int64
    assert bool((chosen.diff() > 0).all())
    assert 0 <= int(chosen[0]) <= int(chosen[-1]) < n
    assert torch.equal(chosen, mnist.subset(seed, size, n))


def test_all_of_them_are_all_of_them_in_order() -> None:
    assert torch.equal(mnist.subset(3, 55_000), torch.arange(55_000))
    assert torch.equal(mnist.subset(3, 60, 50), torch.arange(50))


def test_subsets_of_different_seeds_differ_and_every_image_is_as_likely() -> None:
    assert not torch.equal(mnist.subset(0, 10_000), mnist.subset(1, 10_000))
    times = torch.zeros(40)
    for seed in range(2_000):
        times[mnist.subset(seed, 10, 40)] += 1
    # Binomial(2000, 1/4): mean 500, standard deviation 19.4; four of them
    assert float((times - 500).abs().max()) < 4 * (2_000 * 0.25 * 0.75) ** 0.5


# -- images at the door -------------------------------------------------------------------------------------------------

ONE_OR_MORE = "x must be float32 images [n, 784], one or more; got {}"


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (torch.zeros(784), ONE_OR_MORE.format("torch.float32 [784]")),
        (torch.zeros(2, 28, 28), ONE_OR_MORE.format("torch.float32 [2, 28, 28]")),
        (torch.zeros(2, 783), ONE_OR_MORE.format("torch.float32 [2, 783]")),
        (torch.zeros(0, 784), ONE_OR_MORE.format("torch.float32 [0, 784]")),
        (torch.tensor(1.0), ONE_OR_MORE.format("torch.float32 []")),
        (torch.zeros(2, 784, dtype=torch.float64), ONE_OR_MORE.format("torch.float64 [2, 784]")),
        (torch.zeros(2, 784, dtype=torch.uint8), ONE_OR_MORE.format("torch.uint8 [2, 784]")),
        (np.zeros((2, 784), np.float32), ONE_OR_MORE.format("float32 [2, 784]")),
        ("seven", ONE_OR_MORE.format("<class 'str'> []")),
        (None, ONE_OR_MORE.format("<class 'NoneType'> []")),
        (torch.full((1, 784), 255.0), "x must hold pixels from 0 to 1; got values from 255 to 255"),
        (torch.full((1, 784), -0.5), "x must hold pixels from 0 to 1; got values from -0.5 to -0.5"),
        (torch.eye(2, 784).log() * 0, "x must hold pixels from 0 to 1; got values from nan to nan"),
        (torch.full((1, 784), float("inf")), "x must hold pixels from 0 to 1; got values from inf to inf"),
    ],
    ids=range(14),
)  # fmt: skip
def test_images_of_another_kind_are_refused_in_one_sentence(x: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^x must") as caught:
        mnist.check_images(x)
    assert str(caught.value) == sentence


def test_good_images_pass_unchanged(data: Data) -> None:
    x = data.test_x
    assert mnist.check_images(x) is x


def idx(array: np.ndarray) -> bytes:
    """An IDX file of bytes."""
    return b"\0\0\x08" + bytes([array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape) + array.tobytes()


def test_another_set_in_the_same_format_is_read(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (240, 28, 28), np.uint8), (np.arange(240) % 26 + 1).astype(np.uint8)
    (tmp_path / "emnist-letters-train-images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "emnist-letters-train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    (tmp_path / "emnist-letters-test-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images[:100])))
    with pytest.raises(ValueError, match=r"^data must be .* with both parts; there is no t10k or test-labels$"):
        mnist.load_folder(tmp_path)
    (tmp_path / "emnist-letters-test-labels-idx1-ubyte").write_bytes(idx(labels[:100]))
    data = mnist.load_folder(tmp_path)
    assert (len(data.train_x), len(data.held_x), len(data.test_x), data.classes) == (220, 20, 100, 26)
    assert torch.equal(data.held_y, torch.from_numpy(labels[220:].astype(np.int64) - 1))
    assert torch.equal((data.test_x * 255).round().byte().reshape(-1, 28, 28), torch.from_numpy(images[:100]))
    (tmp_path / "emnist-letters-test-labels-idx1-ubyte").write_bytes(idx(labels[:100])[:-1])
    with pytest.raises(ValueError, match="is none, or is cut short"):
        mnist.load_folder(tmp_path)


def test_another_set_comes_as_an_npz_too(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (240, 28, 28), np.uint8), (np.arange(240) % 10).astype(np.int64)
    parts = {"x_train": images, "y_train": labels, "x_test": images[:120], "y_test": labels[:120]}
    for changed in (
        parts, parts | {"x_test": images[:120].reshape(-1, 784)}, parts | {"x_train": (images / 255)[..., None]},
        parts | {"y_train": labels[:, None].astype(np.int32)},
    ):  # fmt: skip
        np.savez_compressed(tmp_path / "fashion.npz", **changed)
        data = mnist.load_folder(tmp_path / "fashion.npz")
        assert (len(data.train_x), len(data.held_x), len(data.test_x), data.classes) == (220, 20, 120, 10)
        assert torch.equal((data.train_x * 255).round().byte().reshape(-1, 28, 28), torch.from_numpy(images[:220]))
        assert torch.equal(data.held_y, torch.from_numpy(labels[220:]))
    for name, array in (("train-imgs", images), ("train-labels", labels), ("test-imgs", images), ("test-labels", labels)):
        (tmp_path / "kmnist").mkdir(exist_ok=True)
        np.savez(tmp_path / "kmnist" / f"kmnist-{name}.npz", array)
    assert len(mnist.load_folder(tmp_path / "kmnist").test_x) == 240
    for changed, match in (
        (parts | {"x_train": images * 2.5}, "levels from 0 to 255"),
        (parts | {"x_train": images.astype(object)}, "plain numbers"),
        (parts | {"x_train": images[:, :14]}, "pictures of 28 x 28"),
        (parts | {"y_train": labels * 1.5}, "whole numbers"),
        (parts | {"y_train": labels + 5000}, "labels from 0, or from 1"),
        ({"x_train": images, "x_test": images}, "there is no train-labels"),
    ):
        np.savez(tmp_path / "bad.npz", **changed)
        with pytest.raises(ValueError, match=f"^data must [^\n]*{match}"):
            mnist.load_folder(tmp_path / "bad.npz")
    (tmp_path / "bad.npz").write_bytes((tmp_path / "fashion.npz").read_bytes()[:-40])
    with pytest.raises(ValueError, match="could not be read"):
        mnist.load_folder(tmp_path / "bad.npz")
