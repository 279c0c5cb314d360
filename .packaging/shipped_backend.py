"""The step that pyproject.toml cannot say: what stands at the top of a checkout goes into the package, to be found there."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import Command
from setuptools.build_meta import *  # noqa: F403  # all hooks of the build are those of setuptools
from setuptools.command.build import build

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "dropclust/shipped"


def shipped() -> list[str]:
    """The app, its pages and settings, and the data that came with them; of the stored runs those that ``SHIPPED`` lists."""
    keys = (ROOT / "cache/runs/SHIPPED").read_text(encoding="ascii").split()
    names = ["app.py", ".streamlit/config.toml", "cache/runs/SHIPPED"]
    names += [f"cache/runs/{key[:2]}/{key}.safetensors" for key in keys]
    results = [f"cache/results/*.{suffix}" for suffix in ("csv", "json", "drawing")]
    for pattern in ("pages/*.py", "cache/MNIST/raw/*.gz", *results):
        names += sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern))
    return names


class BuildShipped(Command):
    """A step of ``build``, in the form that setuptools asks of one."""

    editable_mode = False

    def initialize_options(self) -> None:
        """Nothing is known yet."""
        self.build_lib = None

    def finalize_options(self) -> None:
        """The folder that becomes the wheel is the one of all other steps."""
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))

    def run(self) -> None:
        """Copy; an editable install finds the files where they are."""
        if not self.editable_mode:
            for target, source in self.get_output_mapping().items():
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def get_output_mapping(self) -> dict[str, str]:
        """Where each file goes."""
        return {f"{self.build_lib}/{FOLDER}/{name}": name for name in shipped()}

    def get_outputs(self) -> list[str]:
        """What is made."""
        return list(self.get_output_mapping())

    def get_source_files(self) -> list[str]:
        """What a source distribution needs."""
        return shipped()


build.sub_commands.append(("build_shipped", None))
