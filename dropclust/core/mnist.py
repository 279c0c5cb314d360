"""MNIST as tensors: checked against the checksums that torchvision publishes, never downloaded, one copy a machine.

The images are unpacked once into one file of the cache folder, a byte a pixel, and every process maps that file: however many
processes read it, the machine holds it once. Floats are made when they are asked for, and go when nobody holds them.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import math
import os
import re
import tempfile
import time
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from dropclust.core.noise import generator
from dropclust.core.paths import cache_folder, find
from dropclust.core.spec import INPUTS, MAX_OUTPUTS, TRAIN_IMAGES

LEVELS = 255  # the brightest a pixel of the original files can be
MAX_IDX_BYTES = 784 * 200_000  # of a file, unpacked: pixels of 200,000 pictures

# The original files and their MD5, as in torchvision.datasets.MNIST.resources, whose import would cost each worker 160 MB.
FILES = MappingProxyType(
    {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    }
)
MAPPED = "mnist.bytes"  # all images, then all labels, then the training images as the engine takes them
MAPPED_CRC32 = 0x28F9138
_HELD, _TEST, _LIT = 5_000, 10_000, 720
_BYTES = (TRAIN_IMAGES + _HELD + _TEST) * (INPUTS + 1) + TRAIN_IMAGES * _LIT
_STALE_SECONDS = 3600.0  # a temporary file older than this belongs to a writer that died


@dataclass(frozen=True, eq=False)
class Data:
    """The three parts of MNIST: images and their labels, int64 from 0 to 9.

    Training uses ``train`` only, every choice (scale, number of clusters, ridge) ``held`` only, and a result is measured on
    ``test`` only. Images are given as uint8, levels of which `LEVELS` stands for 1, or as float32 in [0, 1]; ``train_x``,
    ``held_x`` and ``test_x`` are always float32. Those of uint8 images are made when they are asked for, are shared by all who
    hold them, and are gone when nobody does: 170 MB for the training images, which few need.
    """

    train: Tensor  # [55000, 784]
    train_y: Tensor  # [55000]
    held: Tensor  # [5000, 784], the last images of the training set
    held_y: Tensor  # [5000]
    test: Tensor  # [10000, 784]
    test_y: Tensor  # [10000]

    @property
    def train_x(self) -> Tensor:
        """The training images, float32 ``[55000, 784]`` in [0, 1]."""
        return self._floats("train", self.train)

    @property
    def held_x(self) -> Tensor:
        """The held-out images, float32 ``[5000, 784]`` in [0, 1]."""
        return self._floats("held", self.held)

    @property
    def test_x(self) -> Tensor:
        """The test images, float32 ``[10000, 784]`` in [0, 1]."""
        return self._floats("test", self.test)

    def _floats(self, part: str, images: Tensor) -> Tensor:
        made = self._made.get(part)
        if made is None:
            made = self._made[part] = as_floats(images)
        return made

    @cached_property
    def _made(self) -> WeakValueDictionary[str, Tensor]:
        return WeakValueDictionary()

    @cached_property
    def classes(self) -> int:
        """How many labels there are, from 0 on: 10 for MNIST."""
        return int(max(labels.max() for labels in (self.train_y, self.held_y, self.test_y))) + 1

    @cached_property
    def live(self) -> Tensor:
        """Indices of the pixels that some training image lights: 717 of MNIST's 784."""
        return (self.train.amax(0) > 0).nonzero().flatten()

    def lit(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        """Images ``[n, 784]`` as the engine multiplies them: live pixels, a column of ones, zeros up to a multiple of 16."""
        n, live = len(images), len(self.live)
        rows = torch.zeros(n, -(-(live + 1) // 16) * 16, dtype=dtype, device=images.device)
        rows[:, :live] = images[:, self.live]
        rows[:, live] = LEVELS if images.dtype == torch.uint8 else 1
        return rows

    @cached_property
    def train_lit(self) -> Tensor:
        """The training images as `lit` makes them, in their original levels: uint8, of which `LEVELS` stands for 1."""
        if self.train.dtype == torch.uint8:
            return self.lit(self.train, torch.uint8)
        return self.lit(self.train, torch.float32).mul_(LEVELS).round_().to(torch.uint8)

    def on(self, device: torch.device) -> Data:
        """The same data on another device, copied there once."""
        if device == self.train.device:
            return self
        if device not in self._elsewhere:
            parts = (self.train, self.train_y, self.held, self.held_y, self.test, self.test_y)
            self._elsewhere[device] = Data(*(part.to(device) for part in parts))
        return self._elsewhere[device]

    @cached_property
    def _elsewhere(self) -> dict[torch.device, Data]:
        return {}


def as_floats(images: Tensor) -> Tensor:
    """Levels uint8 as float32 in [0, 1]; what is no level is one already."""
    if images.dtype != torch.uint8:
        return images
    with torch.inference_mode(False):  # whoever asks first may be measuring, and the next may be training with autograd
        return images.float().div_(LEVELS)


def load(root: Path | None = None) -> Data:
    """MNIST from the four original files below ``root`` (default: the project's cache folder), once a process.

    Raises
    ------
    FileNotFoundError
        When a file is missing or damaged: which one, and how torchvision can fetch it.
    """
    return _load((root or find("MNIST").parent).resolve())


@cache
def _load(root: Path) -> Data:
    _check(root)
    path = mapped_file()
    if not _is_intact(path):
        content = _unpacked(root)
        try:
            _write(path, content)
        except OSError:  # a cache folder that cannot be written: then this process has a copy of its own, in memory
            return _parts(content)
    # Private: a page that a process should write to becomes its own, and never reaches the file.
    return _parts(torch.from_file(str(path), shared=False, size=_BYTES, dtype=torch.uint8))


def mapped_file() -> Path:
    """Where the file lies that all processes map: beside the original files, or where there are none, in the cache folder."""
    beside = cache_folder() / "MNIST"
    return (beside if beside.is_dir() else cache_folder()) / MAPPED


def _check(root: Path) -> None:
    raw = root / "MNIST" / "raw"
    for name, md5 in FILES.items():
        path = raw / name
        if not path.is_file() or hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != md5:
            what = "is damaged" if path.exists() else "is missing"
            raise FileNotFoundError(
                f"the MNIST file {name} {what} in {raw}; delete what is there and let torchvision fetch it: "
                f'python -c "from torchvision.datasets import MNIST; MNIST({str(root)!r}, download=True)"'
            )


def _unpacked(root: Path) -> Tensor:
    """What the mapped file holds, from the original files."""
    arrays = [torch.from_numpy(_idx(name, (root / "MNIST" / "raw" / name).read_bytes())) for name in FILES]
    (train, train_y, test, test_y) = arrays
    images = torch.cat([train.view(-1, INPUTS), test.view(-1, INPUTS)])
    labels = torch.cat([train_y, test_y])
    lit = Data(images[:TRAIN_IMAGES], labels, images, labels, images, labels).train_lit
    return torch.cat([images.flatten(), labels, lit.flatten()])


def _parts(content: Tensor) -> Data:
    n = TRAIN_IMAGES + _HELD + _TEST
    images, labels = content[: n * INPUTS].view(n, INPUTS), content[n * INPUTS : n * (INPUTS + 1)].long()
    at = TRAIN_IMAGES + _HELD
    data = Data(
        images[:TRAIN_IMAGES], labels[:TRAIN_IMAGES], images[TRAIN_IMAGES:at], labels[TRAIN_IMAGES:at], images[at:], labels[at:]
    )
    data.__dict__["train_lit"] = content[n * (INPUTS + 1) :].view(TRAIN_IMAGES, _LIT)  # made already
    return data


def _is_intact(path: Path) -> bool:
    """Whether it is the file we write, whole; read past the mapping, so that no process holds what it only checks."""
    checksum = 0
    try:
        with path.open("rb") as file:
            while piece := file.read(2**20):
                checksum = zlib.crc32(piece, checksum)
    except OSError:
        return False
    return checksum == MAPPED_CRC32


def _write(path: Path, content: Tensor) -> None:
    """Whole or not at all: processes that start together may each write it, and one may be killed half way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{MAPPED}-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                left.unlink()
    descriptor, name = tempfile.mkstemp(prefix=f".{MAPPED}-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.numpy().data)
        temporary.chmod(0o644)  # others of this machine may read it
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise


def load_folder(folder: Path) -> Data:
    """Read another set of pictures of 28 x 28, such as Fashion-MNIST or EMNIST, from a folder or one .npz.

    Parameters
    ----------
    folder
        A folder whose files `from_files` takes, or such an .npz.

    Raises
    ------
    ValueError
        One sentence, when a file is missing or is none of these.
    """
    paths = sorted(folder.iterdir()) if folder.is_dir() else [folder]
    try:
        found = [
            (path.name, path.read_bytes())
            for path in paths
            if path.is_file() and path.stat().st_size <= MAX_IDX_BYTES and (len(paths) == 1 or _part(path.name))
        ]
    except OSError as error:
        raise ValueError(f"data must be a folder of IDX files or an npz; {folder} could not be read") from error
    return from_files(found)


def from_files(files: Sequence[tuple[str, bytes]]) -> Data:
    """Another set of pictures of 28 x 28, from the names and contents of its files.

    Parameters
    ----------
    files
        MNIST's own format (IDX, also gzipped) or .npz of one array each: one file each whose name has ``train-images``,
        ``train-labels``, ``t10k-images`` or ``test-images``, ``t10k-labels`` or ``test-labels``. Or one .npz with the arrays
        ``x_train``, ``y_train``, ``x_test``, ``y_test``, as Keras has them. The last twelfth of the training images is held
        out. Labels that begin at 1, as those of EMNIST letters, are counted from 0.

    Raises
    ------
    ValueError
        One sentence, when a part is missing or a file is none of these.
    """
    found: dict[tuple[str, str], np.ndarray] = {}
    for name, content in files:
        arrays = _npz(name, content) if name.lower().endswith(".npz") else {name: _idx(name, content)}
        for array_name, array in arrays.items():
            part = _part(array_name) or _part(name)
            if part is not None:
                found.setdefault(part, array)
    tensors = {}
    for half in ("train", "test"):
        for kind in ("images", "labels"):
            if (half, kind) not in found:
                words = f"{half}-{kind}" if half == "train" else f"t10k or test-{kind}"
                raise ValueError(f"data must be IDX files or an npz with both parts; there is no {words}")
        images, labels = found[half, "images"], found[half, "labels"].reshape(-1)
        images = images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images
        images = images.reshape(len(images), 28, 28) if images.shape[1:] == (INPUTS,) else images
        if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1] or len(images) < 100:
            raise ValueError(
                f"data must hold 100 or more pictures of 28 x 28 with a label each; the {half} part has "
                f"{list(images.shape)} and {list(labels.shape)}"
            )
        tensors[half] = _pixels(images), torch.from_numpy(_whole(labels))
    (x, y), (test_x, test_y) = tensors["train"], tensors["test"]
    first, kept = int(y.min()), len(x) - len(x) // 12
    if not 0 <= first <= min(1, int(test_y.min())) or max(int(y.max()), int(test_y.max())) - first >= MAX_OUTPUTS:
        raise ValueError(f"data must have labels from 0, or from 1, to at most {MAX_OUTPUTS} of them")
    return Data(x[:kept], y[:kept] - first, x[kept:], y[kept:] - first, test_x, test_y - first)


def _part(name: str) -> tuple[str, str] | None:
    """Which part a file or an array is, by its name; None where the name does not say."""
    name = name.lower()
    part = "train" if "train" in name else "test" if re.search(r"t10k|test", name) else None
    kind = (
        "images" if re.search(r"image|img|(?<![a-z])x_", name) else "labels" if re.search(r"label|(?<![a-z])y_", name) else None
    )
    return (part, kind) if part and kind else None


def _pixels(images: np.ndarray) -> Tensor:
    """Levels from 0 to 255 as uint8 ``[n, 784]``, or pixels from 0 to 1 as float32 ``[n, 784]``."""
    if images.dtype.kind == "f":
        if not (images.min() >= 0 and images.max() <= 1):  # NaN fails both
            raise ValueError("data must hold levels from 0 to 255 as whole numbers, or pixels from 0 to 1")
        return torch.from_numpy(images.astype(np.float32)).view(-1, INPUTS)
    levels = _whole(images)
    if levels.min() < 0 or levels.max() > LEVELS:
        raise ValueError("data must hold levels from 0 to 255 as whole numbers, or pixels from 0 to 1")
    return torch.from_numpy(levels.astype(np.uint8)).view(-1, INPUTS)


def _whole(numbers: np.ndarray) -> np.ndarray:
    if numbers.dtype.kind not in "iu" or numbers.dtype.itemsize > 8:
        raise ValueError(f"data must have whole numbers for labels; got {numbers.dtype}")
    return numbers if numbers.dtype == np.uint8 and numbers.ndim > 1 else numbers.astype(np.int64)


def _idx(name: str, content: bytes) -> np.ndarray:
    """The bytes of one IDX file, in its shape."""
    try:
        if content[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(MAX_IDX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"data must be IDX files or an npz; {name[:80]} could not be read") from error
    dims = content[3] if content[:3] == b"\0\0\x08" else 0
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, 4 + 4 * dims, 4)]
    if dims not in (1, 3) or 4 + 4 * dims + math.prod(shape) != len(content):
        raise ValueError(f"data must be IDX files or an npz; {name[:80]} is none, or is cut short")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dims).reshape(shape).copy()


def _npz(name: str, content: bytes) -> dict[str, np.ndarray]:
    """The arrays of an .npz of pictures, none larger than it says and all within the bound."""
    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if len(members) > 16 or sum(member.file_size for member in members) > MAX_IDX_BYTES:
                raise ValueError(f"data must have at most {MAX_IDX_BYTES:,} bytes in 16 arrays; {name[:80]} has more")
            for member in members:
                with archive.open(member) as file:
                    version = np.lib.format.read_magic(file)
                    head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                    shape, fortran, dtype = head(file)
                    if dtype.hasobject or math.prod(shape) * dtype.itemsize > member.file_size:
                        raise ValueError(f"data must hold plain numbers; {member.filename[:80]} does not")
                    numbers = np.frombuffer(file.read(math.prod(shape) * dtype.itemsize), dtype)
                    arrays[member.filename.removesuffix(".npy")] = numbers.reshape(shape, order="F" if fortran else "C")
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        if str(error).startswith("data must"):
            raise
        raise ValueError(f"data must be IDX files or an npz; {name[:80]} could not be read") from error
    return arrays


def subset(seed: int, size: int, n: int = TRAIN_IMAGES) -> Tensor:
    """Which training images a run learns from: all in their order, or ``size`` of ``n`` drawn by ``seed``, sorted.

    Returns int64 ``[size]`` (paper 4.2 draws 10,000 at random for each model).
    """
    if size >= n:
        return torch.arange(n)
    return torch.randperm(n, generator=generator(seed, "subset"))[:size].sort().values


def check_images(x: Tensor) -> Tensor:
    """Images as every function takes them.

    Raises
    ------
    ValueError
        Unless ``x`` is float32 ``[n, 784]`` with at least one image and every value in [0, 1].
    """
    shape: Sequence[int] = getattr(x, "shape", ())
    if not isinstance(x, Tensor) or x.dtype != torch.float32 or x.ndim != 2 or shape[1] != INPUTS or shape[0] == 0:
        raise ValueError(
            f"x must be float32 images [n, {INPUTS}], one or more; got {getattr(x, 'dtype', type(x))} {list(shape)}"
        )
    if not (x.min() >= 0 and x.max() <= 1):  # NaN fails both
        raise ValueError(f"x must hold pixels from 0 to 1; got values from {x.min():g} to {x.max():g}")
    return x
