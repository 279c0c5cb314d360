"""The report: whole, needing no other file, what failed first."""

import re

from dropclust.findings import account, verdicts
from dropclust.ui import report


def test_it_needs_no_other_file_and_says_every_claim():
    rows = verdicts.rows(with_variations=False)
    html = report.html(rows)
    assert html.startswith("<!doctype html>")
    assert "@media print" in html
    assert not re.search(r'(?:href|src)="(?!data:)', html)
    assert not re.search(r"<script|<link|@import|url\(", html)
    text = re.sub(r"<[^>]*>", " ", html)
    places = [text.index(row.claim.statement.replace("'", "&#x27;")) for row in verdicts.worst_first(rows)]
    assert places == sorted(places)
    for sentence in account.not_reproduced(rows):
        assert sentence.replace("'", "&#x27;") in text


def test_without_any_table_it_is_a_report_all_the_same(tmp_path):
    assert "no result here" in report.html(verdicts.rows(tmp_path))
