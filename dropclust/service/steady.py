"""What Streamlit finds out anew at every run of a page though it stays the same: found out once, by the server's process.

Nothing here changes what is shown. Where Streamlit is not as it is known here, its own way is kept.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

IMAGES = 64  # pictures of which the kind is remembered, and none larger than this: the memory holds them, 16 MiB at most
IMAGE_BYTES = 1 << 18  # a hundred neurons have 180 kB


def find_out_once() -> None:
    """Replace what is found out at every run; for the process that serves pages, before it starts."""
    import plotly.io
    import streamlit
    from streamlit import config
    from streamlit.delta_generator import DeltaGenerator
    from streamlit.elements.lib import image_utils
    from streamlit.runtime import memory_media_file_storage

    if not config.get_option("browser.gatherUsageStats"):
        for owner in (*DeltaGenerator.__mro__, streamlit):
            call_uncounted(owner)
    utils: Any = image_utils
    if not hasattr(utils._validate_image_format_string, "__wrapped__"):
        utils._validate_image_format_string = _of_picture(utils._validate_image_format_string)
        utils._ensure_image_size_and_format = _sized(utils._ensure_image_size_and_format)
    storage: Any = memory_media_file_storage
    if not hasattr(storage._calculate_file_id, "__wrapped__"):
        storage._calculate_file_id = _of_file(storage._calculate_file_id)
    if not hasattr(plotly.io.to_json, "__wrapped__"):
        plotly.io.to_json = _written(plotly.io.to_json)


def call_uncounted(owner: Any) -> int:
    """Let a module's or a class's commands be called without the count that Streamlit makes of them when it reports on its use.

    Returns
    -------
    int
        How many were counted until now.
    """
    from streamlit.runtime import metrics_util

    counted = 0
    for name, command in list(vars(owner).items()):
        function = command.__func__ if inspect.ismethod(command) else command
        plain = getattr(function, "__wrapped__", None) if inspect.isfunction(function) else None
        if plain is None or function.__code__.co_filename != metrics_util.__file__:
            continue
        setattr(owner, name, plain.__get__(command.__self__) if inspect.ismethod(command) else plain)
        counted += 1
    return counted


def _of_picture(kind_of: Callable[[Any, str], str]) -> Callable[[Any, str], str]:
    """The kind of picture that bytes are, for which Pillow opens them."""
    known = lru_cache(maxsize=IMAGES)(kind_of)

    @wraps(kind_of)
    def kind(image: Any, wanted: str) -> str:
        return known(image, wanted) if type(image) is bytes and len(image) <= IMAGE_BYTES else kind_of(image, wanted)

    return kind


def _sized(fit: Callable[[bytes, Any, str], bytes]) -> Callable[[bytes, Any, str], bytes]:
    """The bytes of a picture that fits its place, for which Pillow opens it."""

    class Place:
        """All that is looked at of a layout."""

        def __init__(self, width: Any) -> None:
            self.width = width

    @lru_cache(maxsize=IMAGES)
    def known(image: bytes, width: Any, kind: str) -> bytes:
        return fit(image, Place(width), kind)

    @wraps(fit)
    def fitted(image: bytes, layout: Any, kind: str) -> bytes:
        return known(image, layout.width, kind) if len(image) <= IMAGE_BYTES else fit(image, layout, kind)

    return fitted


def _of_file(name_of: Callable[..., str]) -> Callable[..., str]:
    """The name of a file by its content, for which all of it is hashed; a quarter as many are remembered."""
    known = lru_cache(maxsize=IMAGES // 4)(name_of)

    @wraps(name_of)
    def name(data: bytes, *told: Any) -> str:
        return known(data, *told) if type(data) is bytes and len(data) <= IMAGE_BYTES else name_of(data, *told)

    return name


def _written(write: Callable[..., str]) -> Callable[..., str]:
    """A figure as JSON: where its data carry what was written of them, that."""

    @wraps(write)
    def to_json(figure: Any, *args: Any, **options: Any) -> str:
        known = getattr(figure, "written", None) if options == {"validate": False} and not args else None
        return known if isinstance(known, str) else write(figure, *args, **options)

    return to_json
