"""Every word of the glossary is in the code, once, with a plain sentence."""

import dataclasses
import importlib
import re
from pathlib import Path

import pytest

from dropclust.findings import glossary


@pytest.mark.parametrize("term", glossary.TERMS, ids=lambda term: term.term)
def test_the_code_has_that_name(term):
    module, _, path = term.code.partition(":")
    there = importlib.import_module(module)
    for name in path.split("."):
        fields = {field.name for field in dataclasses.fields(there)} if dataclasses.is_dataclass(there) else set()
        there = None if name in fields else getattr(there, name)


@pytest.mark.parametrize("term", glossary.TERMS, ids=lambda term: term.term)
def test_a_term_has_a_place_and_one_sentence(term):
    assert term.place == glossary.OURS or term.place.startswith("section ")
    assert term.sentence.endswith(".")
    assert term.sentence.count(". ") == 0


def test_no_term_stands_twice_and_all_stand_in_both_tables():
    names = [term.term for term in glossary.TERMS]
    assert len(set(names)) == len(names)
    assert glossary.table()["term"].tolist() == names
    assert all(f"| {name} |" in glossary.markdown() for name in names)


def test_every_page_explains_its_words_where_they_are_first_met():
    explained = {}
    for page in (Path(__file__).resolve().parents[2] / "pages").glob("*.py"):
        [title] = re.findall(r"st\.title\(.*help=glossary\.explained\((.*?)\)\)", page.read_text(encoding="utf-8"))
        explained[page.stem] = re.findall(r'"([^"]+)"', title)
    assert all(explained.values())
    words = {word for page in explained.values() for word in page}
    assert len(words) == 14
    for word in words:
        [term] = [term for term in glossary.TERMS if term.term == word]
        assert glossary.explained(word) == f"**{word}** ({term.source}): {term.sentence}"


def test_a_word_that_nobody_explains_is_an_error():
    with pytest.raises(KeyError):
        glossary.explained("flux")
