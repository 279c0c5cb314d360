"""What holds for the project as a whole: the floors, the public names, and what a first look may cost."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
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
        "import dropclust.ui.figures.once, dropclust.ui.live, dropclust.ui.controls, dropclust.service.runs",
        "import dropclust.ui.claims, dropclust.ui.report; from dropclust.service import fresh, sensitivity, verdicts",
        "import dropclust.ui.digit, dropclust.ui.sample, dropclust.ui.drawing",
        "from dropclust.findings import figure1, settling, reading, reliability; figure1.read()",
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


def imported(*files: Path) -> set[str]:
    """The packages from elsewhere that these files import, as registries call them."""
    names = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    known = packages_distributions()
    outside = names - sys.stdlib_module_names - {"dropclust", "tests"}
    return {plain(known[name][0]) for name in outside}


def listed(path: str) -> set[str]:
    """The packages that a requirements file lists itself."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    return {plain(re.match(r"[\w.-]+", line)[0]) for line in lines if line[:1].isalpha()}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_what_is_imported_is_listed_and_nothing_else():
    files = [*(ROOT / "dropclust").rglob("*.py"), *(ROOT / "pages").glob("*.py"), ROOT / "app.py"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    optional = {plain(re.match(r"[\w.-]+", line)[0]) for lines in extras.values() for line in lines}
    assert optional.isdisjoint(listed("requirements.txt"))
    by_hand = {"torchvision"}  # nothing imports it: where MNIST is missing, the page gives the command that fetches it so
    assert "torchvision" in (ROOT / "dropclust/core/mnist.py").read_text(encoding="utf-8")
    assert imported(*files) | by_hand == listed("requirements.txt") | optional


def test_what_the_tests_import_is_listed():
    files = [file for file in (ROOT / "tests").rglob("*.py") if "benchmarks" not in file.parts]
    assert imported(*files) <= listed("requirements.txt") | listed("tests/requirements.txt")
