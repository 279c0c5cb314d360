"""What holds for the project as a whole: the floors, the public names, and what a first look may cost."""

import subprocess
import sys
from pathlib import Path

import pytest

import dropclust

ROOT = Path(__file__).resolve().parents[1]


def test_floors_import_only_downwards():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", dropclust.__all__)
def test_every_public_name_is_there(name):
    assert getattr(dropclust, name) is not None
    assert name in dir(dropclust)


def test_another_name_is_not():
    with pytest.raises(AttributeError, match="no attribute 'clump'"):
        _ = dropclust.clump


@pytest.mark.parametrize(
    "statement",
    [
        "import dropclust",
        "from dropclust import RunSpec",
        "from dropclust.experiments import get; [get(name) for name in ('table2',)]",
        "from dropclust.experiments import results; from dropclust.service import store, jobs, reproduce, dashboard",
        "import dropclust.ui.charts, dropclust.ui.live, dropclust.ui.controls, dropclust.ui.runs",
        "import dropclust.ui.claims, dropclust.ui.report; from dropclust.service import fresh, sensitivity, verdicts",
        "import dropclust.ui.digit, dropclust.ui.drawing",
        "from dropclust.core import similarity, intervals, spec, cost, paths",
    ],
)
def test_reading_results_loads_no_torch(statement, subprocess_environment):
    program = f"import sys; {statement}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, env=subprocess_environment)


def test_every_file_says_in_its_first_line_why_it_exists():
    files = [file for folder in ("dropclust", "pages") for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 20
    for file in [*files, ROOT / "app.py"]:
        first = file.read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith('"""'), file
        assert first.endswith('"""') or len(first) > 40, file
