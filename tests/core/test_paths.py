"""Where the data lie, in a checkout and in an installed package, on each system."""

from pathlib import Path

import pytest

from dropclust.core import paths

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An installed package that brought one table, and a user with an empty home."""
    package = tmp_path / "package"
    (package / "cache" / "results").mkdir(parents=True)
    (package / "cache" / "results" / "table.csv").write_text("shipped")
    monkeypatch.setattr(paths, "_INSTALLED", package)
    for name in ("DROPCLUST_CACHE", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return package


def test_a_checkout_holds_its_own_data(monkeypatch):
    monkeypatch.delenv("DROPCLUST_CACHE", raising=False)
    assert paths.app_folder() == ROOT
    assert paths.cache_folder() == ROOT / "cache"
    assert paths.shipped_folder() is None
    assert paths.find("results", "none.csv") == ROOT / "cache" / "results" / "none.csv"


def test_a_folder_that_is_named_is_the_only_one_of_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path))
    assert paths.cache_folder() == tmp_path
    assert paths.find("results", "table2-modern.csv") == tmp_path / "results" / "table2-modern.csv"


@pytest.mark.parametrize(
    ("platform", "variable", "folder"),
    [
        ("linux", None, "home/.local/share/dropclust"),
        ("linux", "XDG_DATA_HOME", "data/dropclust"),
        ("darwin", None, "home/Library/Application Support/dropclust"),
        ("win32", None, "home/AppData/Local/dropclust"),
        ("win32", "LOCALAPPDATA", "data/dropclust"),
    ],
)
def test_an_installed_package_writes_to_the_users_folder(installed, tmp_path, monkeypatch, platform, variable, folder):
    monkeypatch.setattr(paths.sys, "platform", platform)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "data"))
    assert paths.cache_folder() == tmp_path / folder


def test_what_the_user_has_comes_before_what_was_shipped(installed, tmp_path, monkeypatch):
    shipped = installed / "cache" / "results" / "table.csv"
    own = paths.cache_folder() / "results" / "table.csv"
    assert paths.find("results", "table.csv") == shipped
    own.parent.mkdir(parents=True)
    own.write_text("own")
    assert paths.find("results", "table.csv") == own
    assert paths.find("results", "none.csv") == own.with_name("none.csv")
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path / "named"))
    assert paths.find("results", "table.csv") == shipped
