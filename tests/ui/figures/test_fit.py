"""A chart suits its width: names at the ends of lines or a legend, in a box of one height."""

import re
from itertools import pairwise

import plotly.graph_objects as go
import pytest

from dropclust.findings.meaning import Meaning
from dropclust.findings.own import OwnRun
from dropclust.findings.series import Curves, Series
from dropclust.ui.figures import fit
from dropclust.ui.figures.lines import TEXT, add_own, curves

ENDS = {"first": 0.1, "second": 0.12, "third, with a name that takes two lines": 0.8}
MEANINGS = (Meaning.MEASURED, Meaning.CONTROL, Meaning.PAPER)


def lines(ends=ENDS, at=(0.0, 0.5, 1.0)) -> go.Figure:
    series = [
        Series.plain(name, {x: y * (1 + x) / 2 for x in at} | {at[-1]: y}, meaning)
        for (name, y), meaning in zip(ends.items(), MEANINGS, strict=False)
    ]
    return curves(Curves("title", "x", "y", tuple(series), ""))


def shown(figure, which):
    """The chart after the browser's choice."""
    changed = go.Figure(figure)
    for key, value in figure.layout.meta[which].items():
        if place := re.fullmatch(r"annotations\[(\d+)\]\.visible", key):
            changed.layout.annotations[int(place[1])].visible = value
        elif key == "meta.shown":
            changed.layout.meta = {**changed.layout.meta, "shown": value}
        else:
            changed.update_layout({key.replace(".", "_"): value})
    return changed


@pytest.mark.parametrize("make", [fit.fitted, fit.projected])
def test_each_line_is_named_where_it_ends_in_its_colour(make):
    figure = make(lines())
    named = {re.sub("<[^>]*>", " ", each.text).strip(): each for each in figure.layout.annotations}
    assert set(named) == set(ENDS)
    for trace in figure.data:
        name = named[trace.name.replace("<br>", " ")]
        assert (name.x, name.y) == (trace.x[-1], trace.y[-1])
        assert trace.line.color in name.text
        assert name.font.size == figure.layout.font.size == TEXT * (fit.PROJECTED if make is fit.projected else 1)


def test_names_stand_in_the_order_of_their_lines_and_beside_the_plot():
    figure = fit.fitted(lines())
    layout = figure.layout
    height = layout.height - layout.margin.t - layout.margin.b
    low, high = layout.yaxis.range
    at = [(height * (high - each.y) / (high - low) + each.ay, each.text.count("<br>") + 1) for each in layout.annotations]
    assert [each.y for each in layout.annotations] == sorted(ENDS.values(), reverse=True)
    for (upper, more), (lower, fewer) in pairwise(at):
        assert lower - upper >= 0.5 * TEXT * 1.2 * (more + fewer)
    assert all(0 <= place <= height for place, _ in at)
    assert {each.ax for each in layout.annotations} == {layout.xaxis.range[1]}


@pytest.mark.parametrize("make", [fit.fitted, fit.projected])
def test_both_layouts_are_as_high_and_tell_every_name_once(make):
    figure = make(lines())
    wide, narrow = shown(figure, "wide").layout, shown(figure, "narrow").layout
    assert figure.layout.meta["shown"] == wide.meta["shown"] == "wide"
    assert narrow.meta["shown"] == "narrow"
    assert wide.height == narrow.height == figure.layout.meta["least"][1]
    assert (wide.showlegend, {each.visible for each in wide.annotations}) == (False, {True})
    assert (narrow.showlegend, {each.visible for each in narrow.annotations}) == (True, {False})
    assert wide.margin.b < narrow.margin.b
    assert wide.margin.r > narrow.margin.r
    assert set(figure.layout.meta["wide"]) == set(figure.layout.meta["narrow"])  # so that each undoes the other


def test_where_names_do_not_fit_the_lines_have_a_legend():
    figure = go.Figure(layout=curves(Curves("", "", "", (), ""), height=160).layout)
    for number in range(5):
        name = f"a name of as many words as number {number} of these has"
        figure.add_scatter(x=[0, 1], y=[0, 0.1], name=name, mode="lines", line={"color": "#0072B2"})
    own = lines()
    add_own(own, [OwnRun("a", "k", None, 0.5, 0.5)], "cross_entropy", "accuracy", Meaning.MEASURED, "in the middle")
    points = go.Figure(lines()).update_traces(mode="markers")
    for each in (figure, own, points):
        said = fit.fitted(each)
        assert not said.layout.annotations
        assert said.layout.showlegend is not False
        for which in ("wide", "narrow"):
            layout = shown(said, which).layout
            assert layout.height == said.layout.height
            below = -layout.legend.y * (layout.height - layout.margin.t - layout.margin.b)
            assert 0 < below < layout.margin.b


@pytest.mark.parametrize("names", [2, 3])
def test_a_chart_of_its_own_height_is_high_enough_for_names(names):
    ends = dict(list({**ENDS, "third": 0.8}.items())[-names:])
    for make in (fit.fitted, fit.projected):
        made = make(lines(ends))
        assert made.layout.meta["least"][1] <= made.layout.height < made.layout.meta["least"][1] + 1


@pytest.mark.parametrize("make", [fit.fitted, fit.projected])
def test_lines_that_end_at_one_point_have_a_legend(make):
    together = go.Figure()
    for number in range(4):
        together.add_scatter(x=[0, 1], y=[number / 10, 1], name=f"line {number}", mode="lines", line={"color": "#0072B2"})
    together.update_layout(curves(Curves("title", "x", "y", (), "")).layout)
    two = go.Figure(together.data[:2], together.layout)
    said, named = make(together), make(two)
    assert not said.layout.annotations
    assert said.layout.showlegend is not False
    assert "range" not in said.layout.yaxis.to_plotly_json()  # plotly chooses it, as for any chart with a legend
    assert len(named.layout.annotations) == 2  # each beside the point, in its line's colour


@pytest.mark.parametrize("make", [fit.fitted, fit.projected])
def test_a_title_beside_the_y_axis_is_no_longer_than_the_plot_is_high(make):
    title = "model variance of logits and of all that follows (log axis)"
    alone = curves(Curves("title", "x", title, (), ""), height=300)
    figure = lines().update_yaxes(title_text=title)
    made, bare = make(figure), make(alone)
    for layout in (shown(made, "wide").layout, shown(made, "narrow").layout, bare.layout):
        below = max(layout.margin.b, 80 * layout.font.size / TEXT)  # the axis's own room
        high = layout.height - layout.margin.t - below
        written = layout.yaxis.title.text.split("<br>")
        assert " ".join(written) == title
        assert max(map(len, written)) * 7 * layout.font.size / TEXT <= high
    assert shown(made, "narrow").layout.yaxis.title.text.count("<br>") >= shown(made, "wide").layout.yaxis.title.text.count(
        "<br>"
    )


def test_one_line_needs_neither():
    figure = fit.fitted(lines({"alone": 1.0}))
    assert not figure.layout.annotations
    assert figure.layout.meta is None


def test_names_follow_a_logarithmic_axis():
    figure = lines({"low": 0.01, "high": 100.0}, at=(1.0, 10.0, 100.0)).update_xaxes(type="log").update_yaxes(type="log")
    fit.fitted(figure)
    assert [(each.x, each.y) for each in figure.layout.annotations] == [(2, 2), (2, -2)]
    low, high = figure.layout.yaxis.range
    assert low < -2 < 2 < high


def test_an_axis_reaches_all_that_is_drawn():
    figure = lines()
    figure.add_scatter(x=[0, 1], y=[2, None], error_y={"array": [1, 0], "arrayminus": [4, 0]}, mode="markers")
    assert fit.reach(figure, "y") == pytest.approx((-2 - 0.25, 3 + 0.25))
    assert fit.reach(figure.update_yaxes(range=[0, None]), "y") == pytest.approx((0, 3.25))
    assert fit.reach(figure.update_yaxes(range=[0, 5]), "y") == (0, 5)
    assert fit.reach(lines().update_yaxes(rangemode="tozero"), "y") == pytest.approx((0, 0.84))
    assert fit.reach(lines().update_yaxes(autorangeoptions={"include": [-1, 1]}), "y") == pytest.approx((-1.1, 1.1))
    assert fit.reach(go.Figure(), "y") == pytest.approx((-0.05, 1.05))
