"""Text from outside (addresses, file and tensor names), made safe to stand in a sentence that Streamlit reads as Markdown."""

from __future__ import annotations

import re

_MARKS = re.compile(r"[\\`*_\[\]<>$~#|!&:]")
_LINK = re.compile(r"(?i)(?<=://)|(?<=www\.)")
_JOINER = "\N{WORD JOINER}"  # has no width


def as_text(text: str) -> str:
    r"""The same text in Markdown that shows it letter for letter: no picture, link, formula or colour comes of it.

    Examples
    --------
    >>> print(as_text("rate must be below 1; got '![a](b.png)'"))
    rate must be below 1; got '\!\[a\](b.png)'
    >>> as_text("got -0.1")
    'got -0.1'
    """
    spaced = " ".join(text.split())
    # A bare address becomes a link whatever is escaped, unless its letters are parted.
    return _MARKS.sub(r"\\\g<0>", _LINK.sub(_JOINER, spaced))
