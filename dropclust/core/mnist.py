"""MNIST as tensors, through torchvision: read once a process, checked against torchvision's own checksums, never downloaded."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import torch
from torch import Tensor

from dropclust.core.noise import generator
from dropclust.core.paths import find
from dropclust.core.spec import INPUTS, TRAIN_IMAGES

LEVELS = 255  # the brightest a pixel of the original files can be


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
