"""Pictures that a viewer brings to choose and to prove on: their files as one piece of bytes for a worker, opened there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dropclust.core.mnist import Data


def packed(files: Sequence[tuple[str, bytes]]) -> bytes:
    """Names and contents of files as one piece of bytes.

    Examples
    --------
    >>> packed([("train-images.gz", b"abc")])[8:]
    b'[["train-images.gz", 3]]abc'
    """
    header = json.dumps([[name, len(content)] for name, content in files]).encode("ascii")
    return b"".join([len(header).to_bytes(8, "little"), header, *(content for _, content in files)])


@lru_cache(maxsize=1)  # a set takes some 200 MB once it is open
def opened(content: bytes) -> Data:
    """What `packed` made, read as `dropclust.core.mnist.from_files` does; raises as that."""
    from dropclust.core import mnist

    begin = 8 + int.from_bytes(content[:8], "little")
    files = []
    for name, size in json.loads(content[8:begin]):
        files.append((name, content[begin : begin + size]))
        begin += size
    return mnist.from_files(files)
