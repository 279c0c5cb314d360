"""The explorer's data as small files; it knows no page."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Any


def packed(part: Mapping[str, Any]) -> bytes:
    """Plain lists, numbers and text as compressed JSON; equal parts, equal bytes.

    Raises
    ------
    ValueError
        When a number is not finite, which JSON does not have.

    Examples
    --------
    >>> json.loads(gzip.decompress(packed({"k": 10})))
    {'k': 10}
    """
    return gzip.compress(json.dumps(part, separators=(",", ":"), allow_nan=False).encode(), compresslevel=9, mtime=0)
