"""Writes what became of the claims where it is shipped: the verdicts beside the tables, README's sections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dropclust.experiments import results
from dropclust.findings import account, glossary, shipped
from dropclust.findings.verdicts import Row
from dropclust.service.atomic import sync_folder, write_temporary

README = Path(__file__).resolve().parents[2] / "README.md"


def write(rows: Sequence[Row], root: Path | None = None) -> Path:
    """Write the verdicts down beside the tables; returns the file."""
    return write_text(results.place(shipped.NAME, root), shipped.text(rows))


def write_readme(rows: Sequence[Row], readme: Path = README) -> Path:
    """Write README's findings and glossary between their marks; returns the file.

    Raises
    ------
    ValueError
        When it has not each mark once.
    OSError
        When there is no README, as where only the package is installed.
    """
    text = readme.read_text(encoding="utf-8")
    for section, begin, end in sections(rows):
        text = account.put(text, section, begin, end)
    return write_text(readme, text)


def sections(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """What of README is written and not typed: each section, and its two marks."""
    return [(account.markdown(rows), account.BEGIN, account.END), (glossary.markdown(), glossary.BEGIN, glossary.END)]


def differences(rows: Sequence[Row], root: Path | None = None, readme: Path = README) -> list[str]:
    """Where the verdicts written down, or README, do not follow from the tables: one sentence each."""
    try:
        found = shipped.differences(shipped.read(root), rows)
    except results.ResultError as error:
        found = [str(error)]
    if readme.exists():
        text = readme.read_text(encoding="utf-8")
        try:
            same = all(account.between(text, begin, end) == section for section, begin, end in sections(rows))
        except ValueError as error:
            found.append(f"{readme.name}: {error}")
        else:
            found += [] if same else [f"{readme.name} does not say what the tables say; write it with: {account.COMMAND}"]
    return found


def write_text(path: Path, text: str) -> Path:
    """Write a text, whole or not at all; returns the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_temporary(path.parent, text.encode()).replace(path)
    sync_folder(path.parent)
    return path
