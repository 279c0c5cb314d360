"""Writes what became of the claims where it is shipped: the verdicts beside the tables, README's section, a report to print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dropclust.experiments import results
from dropclust.findings import account, shipped
from dropclust.findings.verdicts import Row
from dropclust.service.export import sync_folder, write_temporary

README = Path(__file__).resolve().parents[2] / "README.md"


def write(rows: Sequence[Row], root: Path | None = None) -> Path:
    """Write the verdicts down beside the tables; returns the file."""
    return _write(results.place(shipped.NAME, root), shipped.text(rows))


def write_readme(rows: Sequence[Row], readme: Path = README) -> Path:
    """Write README's findings between their marks; returns the file.

    Raises
    ------
    ValueError
        When it has not each mark once.
    OSError
        When there is no README, as where only the package is installed.
    """
    return _write(readme, account.put(readme.read_text(encoding="utf-8"), account.markdown(rows)))


def differences(rows: Sequence[Row], root: Path | None = None, readme: Path = README) -> list[str]:
    """Where the verdicts written down, or README, do not follow from the tables: one sentence each."""
    try:
        found = shipped.differences(shipped.read(root), rows)
    except results.ResultError as error:
        found = [str(error)]
    if readme.exists():
        try:
            section = account.between(readme.read_text(encoding="utf-8"))
        except ValueError as error:
            found.append(f"{readme.name}: {error}")
        else:
            if section != account.markdown(rows):
                found.append(f"{readme.name} does not say what the tables say; write it with: {account.COMMAND}")
    return found


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_temporary(path.parent, text.encode()).replace(path)
    sync_folder(path.parent)
    return path
