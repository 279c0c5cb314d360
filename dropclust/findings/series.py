"""Lines over a common x, as data: what any line chart shows before it is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dropclust.core.intervals import Interval, mean_interval
from dropclust.findings.meaning import Meaning


@dataclass(frozen=True)
class Series:
    """One line of a chart: a mean with its interval at each x; ``low`` and ``high`` are NaN where there is none."""

    name: str
    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: int
    meaning: Meaning

    @classmethod
    def of(cls, name: str, table: pd.DataFrame, x: str, y: str, meaning: Meaning) -> Series:
        """Mean and 95 % Student t interval of column ``y`` at each value of ``x``; missing values are left out."""
        places, values = table[x].to_numpy(), table[y].to_numpy(dtype=float)  # as arrays: pandas takes ten times as long
        groups = [(at, values[(places == at) & ~np.isnan(values)]) for at in np.unique(places).tolist()]
        intervals = {at: mean_interval(measured) for at, measured in groups if len(measured)}
        return cls.from_intervals(name, intervals, meaning)

    @classmethod
    def from_intervals(cls, name: str, intervals: Mapping[float, Interval], meaning: Meaning) -> Series:
        """A line through intervals by their x."""
        means, lows, highs = (
            tuple(getattr(interval, end) for interval in intervals.values()) for end in ("mean", "low", "high")
        )
        n = max((interval.n for interval in intervals.values()), default=0)
        return cls(name, tuple(intervals), means, lows, highs, n, meaning)

    @classmethod
    def plain(cls, name: str, values: Mapping[float, float], meaning: Meaning) -> Series:
        """A line without intervals."""
        nothing = (math.nan,) * len(values)
        return cls(name, tuple(values), tuple(values.values()), nothing, nothing, 1, meaning)

    def until(self, x: float) -> Series:
        """The part of the line that does not lie beyond an x."""
        kept = sum(at <= x for at in self.x)
        return replace(self, x=self.x[:kept], mean=self.mean[:kept], low=self.low[:kept], high=self.high[:kept])

    def at(self, x: float) -> Interval:
        """Mean and interval at one of its x.

        Raises
        ------
        ValueError
            When the line has no such x.
        """
        where = self.x.index(x)
        return Interval(self.mean[where], self.low[where], self.high[where], self.n, 0.95)


@dataclass(frozen=True)
class Curves:
    """A chart of lines over a common x.

    ``points`` are the paper's values, ``marker`` the x that a viewer has chosen, ``sentence`` what to see, also the alt text,
    ``brief`` the same in at most 15 words. The y axis is ``y_range``, or spans ``y_spans`` at least, so that choices can be
    compared.
    """

    title: str
    x_title: str
    y_title: str
    series: tuple[Series, ...]
    sentence: str
    points: Mapping[float, float] | None = None
    marker: float | None = None
    y_range: tuple[float, float] | None = None
    y_spans: tuple[float, float] | None = None
    brief: str = ""

    def marked(self, x: float) -> Curves:
        """The same with the x that a viewer has chosen."""
        return replace(self, marker=x)

    def table(self) -> pd.DataFrame:
        """What the chart shows, a row an x."""
        columns: dict[str, dict[float, float]] = {}
        for line in self.series:
            for suffix, values in (("", line.mean), (" low", line.low), (" high", line.high)):
                if not all(map(math.isnan, values)):
                    columns[line.name + suffix] = dict(zip(line.x, values, strict=True))
        if self.points:
            columns["paper"] = dict(self.points)
        return pd.DataFrame(columns).rename_axis(self.x_title).sort_index().reset_index()


@dataclass(frozen=True)
class SideBySide:
    """The numbers of several charts over one x, in one table."""

    charts: tuple[Curves, ...]
    sentence: str

    @classmethod
    def of(cls, charts: Sequence[Curves]) -> SideBySide:
        """Charts that share their x."""
        return cls(tuple(charts), " ".join(chart.sentence for chart in charts))

    def table(self) -> pd.DataFrame:
        """A row an x, the columns of all charts."""
        first, *rest = (chart.table() for chart in self.charts)
        for other in rest:
            first = first.merge(other, how="outer", on=first.columns[0], suffixes=("", " again"))
        return first
