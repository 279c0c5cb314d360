"""MNIST as tensors, through torchvision: read once a process, checked against torchvision's own checksums, never downloaded."""

from __future__ import annotations

import gzip
import math
import shutil
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dropclust.core.noise import generator
from dropclust.core.paths import find
from dropclust.core.spec import INPUTS, TRAIN_IMAGES

LEVELS = 255  # the brightest a pixel of the original files can be
MAX_IDX_BYTES = 784 * 10**6  # a million pictures


@dataclass(frozen=True, eq=False)
class Data:
    """The three parts of MNIST: pixels are float32 in [0, 1], labels int64 from 0 to 9.

    Training uses ``train_*`` only, every choice (scale, number of clusters, ridge) ``held_*`` only, and a result is
    measured on ``test_*`` only.
    """

    train_x: Tensor  # [55000, 784]
    train_y: Tensor  # [55000]
    held_x: Tensor  # [5000, 784], the last images of the training set
    held_y: Tensor  # [5000]
    test_x: Tensor  # [10000, 784]
    test_y: Tensor  # [10000]

    @cached_property
    def classes(self) -> int:
        """How many labels there are, from 0 on: 10 for MNIST."""
        return int(max(labels.max() for labels in (self.train_y, self.held_y, self.test_y))) + 1

    @cached_property
    def live(self) -> Tensor:
        """Indices of the pixels that some training image lights: 717 of MNIST's 784."""
        return (self.train_x.amax(0) > 0).nonzero().flatten()

    def lit(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        """Images ``[n, 784]`` as the engine multiplies them: live pixels, a column of ones, zeros up to a multiple of 16."""
        n, live = len(images), len(self.live)
        rows = torch.zeros(n, -(-(live + 1) // 16) * 16, dtype=dtype, device=images.device)
        rows[:, :live] = images[:, self.live]
        rows[:, live] = 1
        return rows

    @cached_property
    def train_lit(self) -> Tensor:
        """The training images as `lit` makes them, in their original levels: uint8, of which `LEVELS` stands for 1."""
        return self.lit(self.train_x, torch.float32).mul_(LEVELS).round_().to(torch.uint8)

    def on(self, device: torch.device) -> Data:
        """The same data on another device, copied there once."""
        if device == self.train_x.device:
            return self
        if device not in self._elsewhere:
            parts = (self.train_x, self.train_y, self.held_x, self.held_y, self.test_x, self.test_y)
            self._elsewhere[device] = Data(*(part.to(device) for part in parts))
        return self._elsewhere[device]

    @cached_property
    def _elsewhere(self) -> dict[torch.device, Data]:
        return {}


def load(root: Path | None = None) -> Data:
    """Read the four original files below ``root`` (default: the project's cache folder), once a process.

    Raises
    ------
    FileNotFoundError
        When a file is missing or damaged: which one, and how torchvision can fetch it.
    """
    return _load((root or find("MNIST").parent).resolve())


@cache
def _load(root: Path) -> Data:
    from torchvision.datasets import MNIST
    from torchvision.datasets.utils import check_integrity

    raw = root / "MNIST" / "raw"
    for name, md5 in MNIST.resources:
        if not check_integrity(raw / name, md5):
            what = "is damaged" if (raw / name).exists() else "is missing"
            raise FileNotFoundError(
                f"the MNIST file {name} {what} in {raw}; delete what is there and let torchvision fetch it: "
                f'python -c "from torchvision.datasets import MNIST; MNIST({str(root)!r}, download=True)"'
            )
    # torchvision unpacks beside the archives and trusts what it finds unpacked. A folder of our own keeps two processes
    # that start together, or one killed half way, from leaving a short file behind; it also serves a read-only checkout.
    with tempfile.TemporaryDirectory(prefix="dropclust-mnist-") as folder:
        copy = Path(folder) / "MNIST" / "raw"
        copy.mkdir(parents=True)
        for name, _ in MNIST.resources:
            try:
                (copy / name).symlink_to(raw / name)
            except OSError:  # no symbolic links here
                shutil.copyfile(raw / name, copy / name)
        train, test = (MNIST(folder, train=part, download=True) for part in (True, False))
    x, y = train.data.view(-1, INPUTS).float().div_(LEVELS), train.targets
    return Data(
        x[:TRAIN_IMAGES], y[:TRAIN_IMAGES], x[TRAIN_IMAGES:], y[TRAIN_IMAGES:],
        test.data.view(-1, INPUTS).float().div_(LEVELS), test.targets,
    )  # fmt: skip


def load_folder(folder: Path) -> Data:
    """Read another set of pictures of 28 x 28 in MNIST's own format (IDX, also gzipped), such as Fashion-MNIST or EMNIST.

    Parameters
    ----------
    folder
        Holds one file each whose name has ``train-images``, ``train-labels``, ``t10k-images`` or ``test-images``, and
        ``t10k-labels`` or ``test-labels``. The last twelfth of the training images is held out. Labels that begin at 1, as
        those of EMNIST letters, are counted from 0.

    Raises
    ------
    ValueError
        One sentence, when a file is missing or is none of IDX.
    """
    found = {}
    for part, words in (("train", ("train",)), ("test", ("t10k", "test"))):
        for kind in ("images", "labels"):
            paths = sorted(path for word in words for path in folder.glob(f"*{word}-{kind}*") if path.is_file())
            if not paths:
                raise ValueError(f"data must be a folder of IDX files; {folder} has no file {' or '.join(words)}-{kind}")
            found[part, kind] = _idx(paths[0])
    tensors = {}
    for part in ("train", "test"):
        images, labels = found[part, "images"], found[part, "labels"]
        if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1] or len(images) < 100:
            raise ValueError(
                f"data must hold 100 or more pictures of 28 x 28 with a label each; the {part} part of {folder} has "
                f"{list(images.shape)} and {list(labels.shape)}"
            )
        tensors[part] = torch.from_numpy(images).view(-1, INPUTS).float().div_(LEVELS), torch.from_numpy(labels).long()
    (x, y), (test_x, test_y) = tensors["train"], tensors["test"]
    first, kept = int(y.min()), len(x) - len(x) // 12
    return Data(x[:kept], y[:kept] - first, x[kept:], y[kept:] - first, test_x, test_y - first)


def _idx(path: Path) -> np.ndarray:
    """The bytes of one IDX file, in its shape."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(MAX_IDX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"data must be a folder of IDX files; {path.name} could not be read") from error
    dims = content[3] if content[:3] == b"\0\0\x08" else 0
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, 4 + 4 * dims, 4)]
    if dims not in (1, 3) or 4 + 4 * dims + math.prod(shape) != len(content):
        raise ValueError(f"data must be a folder of IDX files; {path.name} is none, or is cut short")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dims).reshape(shape).copy()


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
