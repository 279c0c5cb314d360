"""What Streamlit finds out at every run is the same when it is found out once: against its own ways."""

from __future__ import annotations

import io
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from streamlit.elements.lib import image_utils
from streamlit.elements.lib.layout_utils import LayoutConfig
from streamlit.runtime import memory_media_file_storage
from streamlit.runtime.metrics_util import gather_metrics

from dropclust.service import steady


def picture(kind: str, mode: str, width: int = 8) -> bytes:
    written = io.BytesIO()
    Image.new(mode, (width, 6)).save(written, kind)
    return written.getvalue()


def test_counted_commands_are_called_as_they_are_and_nothing_else_is_touched() -> None:
    class Commands:
        @gather_metrics("said")
        def said(self, text: str) -> str:
            return f"{self.name} {text}"

        def plain(self) -> str:
            return "plain"

        name = "main"

    main = Commands()
    plain = Commands.plain
    module = SimpleNamespace(
        said=main.said, free=gather_metrics("free", lambda text: text), len=len, __code__="none", main=main
    )
    assert steady.call_uncounted(Commands) == 1
    assert steady.call_uncounted(module) == 2
    assert Commands.plain is plain
    assert main.said("a") == module.said("a") == "main a"
    assert module.free("b") == "b"
    assert "metrics_util" not in Commands.said.__code__.co_filename + module.free.__code__.co_filename
    assert steady.call_uncounted(Commands) == steady.call_uncounted(module) == 0


@pytest.mark.parametrize("content", [picture("PNG", "L"), picture("PNG", "RGBA"), picture("JPEG", "RGB"), picture("GIF", "P")])
@pytest.mark.parametrize("wanted", ["auto", "PNG", "jpg"])
@pytest.mark.parametrize("width", ["stretch", 4])
def test_a_picture_is_sent_as_streamlit_sends_it_and_opened_once(content: bytes, wanted: str, width: Any) -> None:
    utils: Any = image_utils
    calls: list[object] = []

    def kind_of(image: Any, wanted: str) -> str:
        calls.append(image)
        return str(utils._validate_image_format_string(image, wanted))

    def fit(image: bytes, layout: Any, kind: str) -> bytes:
        calls.append(image)
        return bytes(utils._ensure_image_size_and_format(image, layout, kind))

    kind, fitted, layout = steady._of_picture(kind_of), steady._sized(fit), LayoutConfig(width=width)
    sent = [fitted(content, layout, kind(content, wanted)) for _ in range(3)]
    expected = utils._validate_image_format_string(content, wanted)
    assert set(sent) == {utils._ensure_image_size_and_format(content, layout, expected)}
    assert len(calls) == 2


def test_a_picture_that_is_large_or_no_bytes_is_looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "IMAGE_BYTES", 10)
    calls: list[object] = []
    kind = steady._of_picture(lambda image, wanted: calls.append(image) or "PNG")
    fitted = steady._sized(lambda image, layout, wanted: calls.append(image) or image)
    content = picture("PNG", "L")
    for _ in range(2):
        assert kind(content, "auto") == kind(Image.new("L", (2, 2)), "auto") == "PNG"
        assert fitted(content, LayoutConfig(width=1), "PNG") == content
    assert len(calls) == 6


def test_a_file_has_the_name_that_streamlit_gives_it_and_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = memory_media_file_storage._calculate_file_id
    calls: list[bytes] = []

    def name_of(data: bytes, *told: Any) -> str:
        calls.append(data)
        return hashed(data, *told)

    name, content = steady._of_file(name_of), picture("PNG", "L")
    for told in ("image/png",), ("image/png", "a.png"), ("image/jpeg", None):
        assert {name(content, *told) for _ in range(3)} == {hashed(content, *told)}
    assert len(calls) == 3
    monkeypatch.setattr(steady, "IMAGE_BYTES", 10)
    large, changing = bytes(11), bytearray(3)
    for data in large, large, changing, changing:
        assert name(data, "image/png") == hashed(bytes(data), "image/png")
    assert calls[3:] == [large, large, changing, changing]


def test_only_what_carries_its_json_is_not_written_again() -> None:
    to_json = steady._written(lambda figure, *args, **options: f"written {sorted(options)}")
    carried: Any = type("Carried", (dict,), {})()
    carried.written = "carried"
    assert to_json(carried, validate=False) == "carried"
    assert to_json({}, validate=False) == "written ['validate']"
    assert to_json(carried, validate=False, pretty=True) == "written ['pretty', 'validate']"


def test_streamlits_commands_pictures_and_plotlys_json_are_found_and_replaced_once() -> None:
    """In a process of its own, for nothing puts Streamlit back as it was."""
    program = """
import streamlit, plotly.io
from streamlit.elements.lib import image_utils
from streamlit.runtime import memory_media_file_storage
from streamlit.delta_generator import DeltaGenerator
from dropclust.service import steady
streamlit.config.set_option("browser.gatherUsageStats", True)
before = streamlit.markdown
steady.find_out_once()
assert streamlit.markdown is before or streamlit.markdown.__func__ is before.__func__, "who is counted stays counted"
streamlit.config.set_option("browser.gatherUsageStats", False)
steady.find_out_once()
for command in (streamlit.markdown, streamlit.container, DeltaGenerator.button, streamlit.set_page_config, streamlit.fragment):
    assert "metrics_util" not in command.__code__.co_filename, command
assert streamlit.markdown.__self__ is before.__self__
def replaced():
    images = image_utils._validate_image_format_string, image_utils._ensure_image_size_and_format
    return *images, memory_media_file_storage._calculate_file_id, plotly.io.to_json
first = replaced()
assert all(function.__module__ != steady.__name__ and function.__wrapped__ for function in first)
steady.find_out_once()
assert first == replaced()
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
