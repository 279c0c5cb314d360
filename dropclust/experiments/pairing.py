"""Values of a table by seed, so that settings compare seed by seed: nets of one seed share images, weights and draws."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd


def by_seed(table: pd.DataFrame, column: str, **where: object) -> pd.Series[float]:
    """One column of the rows that have the given values, indexed by seed; seeds without a value are left out.

    Parameters
    ----------
    table
        Tidy rows with a column ``seed``.
    column
        What to take.
    where
        Column and value; a row must have all of them.

    Raises
    ------
    ValueError
        When a seed has several rows: something that tells them apart was not given.

    Examples
    --------
    >>> by_seed(pd.DataFrame({"seed": [1, 0], "rate": [0.5, 0.5], "loss": [2.0, 1.0]}), "loss", rate=0.5).to_dict()
    {0: 1.0, 1: 2.0}
    """
    values = table[column].to_numpy(dtype=float)  # as arrays: pages ask this a hundred times for one chart
    rows = ~np.isnan(values)
    for name, value in where.items():
        rows &= (table[name] == value).to_numpy()
    seeds = table["seed"].to_numpy()[rows]
    order = np.argsort(seeds, kind="stable")
    if (np.diff(seeds[order]) == 0).any():
        raise ValueError(f"a seed must have one {column} where {where}; got several")
    return pd.Series(values[rows][order], index=pd.Index(seeds[order], name="seed"), name=column)


def paired(*values: pd.Series[float]) -> tuple[npt.NDArray[np.float64], ...]:
    """The values of the seeds that all have, in the order of seeds.

    Examples
    --------
    >>> paired(pd.Series({0: 1.0, 1: 2.0}), pd.Series({1: 3.0, 2: 4.0}))
    (array([2.]), array([3.]))
    """
    if any(not each.index.equals(values[0].index) for each in values) or not values[0].index.is_monotonic_increasing:
        joined = pd.concat(values, axis=1, join="inner").sort_index()
        values = tuple(joined.iloc[:, number] for number in range(len(values)))
    return tuple(np.asarray(each, dtype=np.float64) for each in values)


def by_seed_and(table: pd.DataFrame, column: str, over: str, **where: object) -> pd.DataFrame:
    """One column ``[seeds, values of over]`` of the rows that have the given values; seeds that lack one are left out.

    Raises
    ------
    ValueError
        When a seed has several rows for one value.

    Examples
    --------
    >>> rows = pd.DataFrame({"seed": [0, 0, 1], "rate": [0.0, 0.5, 0.0], "loss": [1.0, 2.0, 3.0]})
    >>> by_seed_and(rows, "loss", "rate").to_dict()
    {0.0: {0: 1.0}, 0.5: {0: 2.0}}
    """
    rows = pd.Series(True, index=table.index)
    for name, value in where.items():
        rows &= table[name] == value
    return table[rows].pivot(index="seed", columns=over, values=column).sort_index(axis=1).dropna().astype(float)


def settings_of(wide: pd.DataFrame) -> list[float]:
    """The numbers that are the columns of `by_seed_and`."""
    return [float(column) for column in wide.columns.to_numpy(dtype=float)]
