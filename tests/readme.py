"""The README's programs, for the tests that run them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def readme_lines(word: str) -> str:
    """The indented lines of the README among which ``word`` stands."""
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", README.read_text(encoding="utf-8"), re.MULTILINE)
    [found] = [block for block in blocks if word in block]
    return textwrap.dedent(found)
