"""k-means of the neurons of a layer, all of its starts at once: the labels of scikit-learn's `KMeans` in a fifth of its time.

A layer has few neurons and many weights. All that k-means asks of the weights are inner products of neurons, which are one
product made once. scikit-learn stays the reference, in the tests.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from dropclust.core.arrays import Floats, Ints

MAX_ITERATIONS, TOLERANCE = 300, 1e-4  # scikit-learn's
_TIE = 1e-12  # relative
_MAX_GRAM = 2_048  # points whose inner products are all kept: 32 MiB
_VALUES = 4_000_000  # of one array of the starts that are made together


def k_means(points: Floats, weights: npt.NDArray[Any], k: int, n_init: int, seed: int) -> Ints:
    """Label of each point, of the best of some starts of k-means++; fewer than k labels may occur.

    Parameters
    ----------
    points
        Distinct points, float64 ``[points, d]``, more than k.
    weights
        How often each occurs, ``[points]``.
    k, n_init
        Clusters and starts.
    seed
        Decides the starts, number for number as `sklearn.cluster.KMeans` draws them; ties alone are broken otherwise.

    Returns
    -------
    numpy.ndarray
        Labels ``[points]``, 0 to k - 1.

    References
    ----------
    Arthur and Vassilvitskii (2007), k-means++: the advantages of careful seeding, SODA. Lloyd (1982), Least squares
    quantization in PCM, IEEE Transactions on Information Theory 28(2), doi:10.1109/TIT.1982.1056489.

    Examples
    --------
    >>> k_means(np.array([[0.0], [0.1], [5.0]]), np.array([1, 1, 1]), k=2, n_init=1, seed=0).tolist() in ([0, 0, 1], [1, 1, 0])
    True
    """
    space = _Space(points, weights.astype(np.float64))
    together = max(1, _VALUES // (len(points) * k))
    random_state, least = np.random.RandomState(seed), math.inf
    best: Ints | None = None
    for start in range(0, n_init, together):
        centres = space.draw(k, min(together, n_init - start), random_state)
        for labels, within in zip(*space.settle(centres, k), strict=True):
            # The same clusters found again may lie below by rounding alone.
            if best is None or (within < least and not _same(labels, best)):
                best, least = labels, within
    assert best is not None
    return best


def _same(labels: Ints, others: Ints) -> bool:
    """Whether two labellings are the same clusters."""
    pairs = np.unique(np.stack([labels, others]), axis=1).shape[1]
    return bool(pairs == len(np.unique(labels)) == len(np.unique(others)))


class _Space:
    """Points and their inner products, about their mean."""

    def __init__(self, points: Floats, weights: Floats) -> None:
        self._points, self._weights = points - points.mean(axis=0), weights
        self._lengths = np.einsum("ij,ij->i", self._points, self._points)  # squared
        # All inner products, where that is less than to make the centres themselves again and again.
        few = len(points) <= 2 * points.shape[1] and len(points) <= _MAX_GRAM
        self._gram = self._points @ self._points.T if few else None
        self._still = TOLERANCE * float(self._lengths.mean()) / points.shape[1]

    def _distances(self, chosen: Ints) -> Floats:
        """Squared distances of chosen points ``[..., points]``."""
        products = self._points[chosen] @ self._points.T if self._gram is None else self._gram[chosen]
        squares: Floats = self._lengths - 2 * products
        squares += self._lengths[chosen][..., None]
        np.maximum(squares, 0, out=squares)
        return squares

    def draw(self, k: int, starts: int, random_state: np.random.RandomState) -> Ints:
        """Points drawn by greedy k-means++ ``[starts, k]``: each the best of a few drawn by their squared distance."""
        weights, trials, each = self._weights, 2 + int(math.log(k)), np.arange(starts)
        numbers = random_state.random_sample((starts, 1 + (k - 1) * trials))
        chance = np.cumsum(weights / weights.sum())
        chosen = np.empty((starts, k), dtype=np.intp)
        chosen[:, 0] = np.searchsorted(chance / chance[-1], numbers[:, 0], side="right")
        closest = self._distances(chosen[:, 0])  # [starts, points]
        potential = closest @ weights  # [starts]
        for centre in range(1, k):
            drawn = numbers[:, 1 + (centre - 1) * trials : 1 + centre * trials] * potential[:, None]  # [starts, trials]
            reached = np.cumsum(weights * closest, axis=1)
            candidates = np.count_nonzero(reached[:, None] < drawn[..., None], axis=-1)
            np.minimum(candidates, len(weights) - 1, out=candidates)  # rounding may take it past the last
            nearer = np.minimum(self._distances(candidates), closest[:, None])  # [starts, trials, points]
            potentials = nearer @ weights
            # Two neighbours save the same when they weigh the same; the first drawn is taken then, not what rounding prefers.
            best = (potentials <= potentials.min(axis=1, keepdims=True) * (1 + _TIE)).argmax(axis=1)
            chosen[:, centre] = candidates[each, best]
            closest, potential = nearer[each, best], potentials[each, best]
        return chosen

    def settle(self, chosen: Ints, k: int) -> tuple[Ints, Floats]:
        """Move centres until no label or hardly a centre changes: labels ``[starts, points]``, squares within ``[starts]``."""
        (starts, _), n = chosen.shape, len(self._weights)
        final, within = np.empty((starts, n), dtype=np.intp), np.empty(starts)
        moving = np.arange(starts)  # the starts that have not settled
        shares = np.zeros((starts, k, n))  # a centre is a mean of points: what each of them has in it
        np.put_along_axis(shares, chosen[..., None], 1.0, axis=-1)
        products, lengths = self._products(shares)
        before = np.full((starts, n), -1)
        for iteration in range(MAX_ITERATIONS):
            distances = lengths[..., None] - 2 * products  # [moving, k, points], less each point's own length
            labels = distances.argmin(axis=1)  # [moving, points]
            renewed = self._centres(labels, distances)
            products, new_lengths = self._products(renewed)
            shift = (new_lengths + lengths - 2 * np.einsum("skn,skn->sk", shares, products)).sum(axis=1)
            shares, lengths = renewed, new_lengths
            strictly = (labels == before).all(axis=1)
            done = strictly | (shift <= self._still) | (iteration == MAX_ITERATIONS - 1)
            if done.any():
                distances = lengths[done, :, None] - 2 * products[done]
                ended = np.where(strictly[done, None], labels[done], distances.argmin(axis=1))
                nearest = np.take_along_axis(distances, ended[:, None], axis=1)[:, 0] + self._lengths
                final[moving[done]], within[moving[done]] = ended, nearest @ self._weights
                if done.all():
                    break
                shares, products, lengths = shares[~done], products[~done], lengths[~done]
                labels, moving = labels[~done], moving[~done]
            before = labels
        return final, within

    def _products(self, shares: Floats) -> tuple[Floats, Floats]:
        """Inner products of centres and points ``[starts, k, points]``, and the centres' squared lengths ``[starts, k]``."""
        rows = shares.reshape(-1, shares.shape[-1])
        products = (rows @ self._points) @ self._points.T if self._gram is None else rows @ self._gram
        return products.reshape(shares.shape), np.einsum("cn,cn->c", rows, products).reshape(shares.shape[:2])

    def _centres(self, labels: Ints, distances: Floats) -> Floats:
        """The means of the clusters as shares of the points; an empty cluster takes the point farthest from its centre."""
        (starts, n), k = labels.shape, distances.shape[1]
        shares = np.zeros((starts, k, n))
        np.put_along_axis(shares, labels[:, None], self._weights, axis=1)
        sizes = shares.sum(axis=2)
        for start in np.flatnonzero((sizes == 0).any(axis=1)):
            empty = np.flatnonzero(sizes[start] == 0)
            away = distances[start, labels[start], np.arange(n)] + self._lengths
            far = np.argpartition(away, -len(empty))[: -len(empty) - 1 : -1]
            shares[start][:, far] = 0
            shares[start, empty, far] = self._weights[far]
            sizes[start] = shares[start].sum(axis=1)
        shares /= sizes[..., None]
        return shares
