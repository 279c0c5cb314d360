"""MNIST as tensors, through torchvision: read once a process, checked against torchvision's own checksums, never downloaded."""

from __future__ import annotations

import gzip
import io
import math
import re
import shutil
import tempfile
import zipfile
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
from dropclust.core.spec import INPUTS, MAX_OUTPUTS, TRAIN_IMAGES

LEVELS = 255  # the brightest a pixel of the original files can be
MAX_IDX_BYTES = 784 * 200_000  # of a file, unpacked: pixels of 200,000 pictures


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
    """Levels from 0 to 255, or numbers from 0 to 1, as pixels float32 ``[n, 784]``."""
    if images.dtype.kind == "f":
        if not (images.min() >= 0 and images.max() <= 1):  # NaN fails both
            raise ValueError("data must hold levels from 0 to 255 as whole numbers, or pixels from 0 to 1")
        return torch.from_numpy(images.astype(np.float32)).view(-1, INPUTS)
    levels = _whole(images)
    if levels.min() < 0 or levels.max() > LEVELS:
        raise ValueError("data must hold levels from 0 to 255 as whole numbers, or pixels from 0 to 1")
    return torch.from_numpy(levels.astype(np.uint8)).view(-1, INPUTS).float().div_(LEVELS)


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
