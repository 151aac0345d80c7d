"""Statistics over few runs, as rliable has them (Agarwal et al. 2021, arXiv 2108.13264)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

Statistic = Callable[[np.ndarray], float]
RESAMPLES = 2_000


def iqm(scores: np.ndarray) -> float:
    """Interquartile mean: the mean without the lowest and the highest quarter of all runs."""
    values = np.sort(np.asarray(scores, float), axis=None)
    cut = int(0.25 * values.size)
    return float(values[cut : values.size - cut].mean())


def interval(runs: Mapping[str, Sequence[float]], statistic: Statistic = iqm, seed: int = 0) -> tuple[float, float]:
    """95 % interval of a statistic over all runs by the stratified percentile bootstrap: each task's ``runs`` (by
    name) are drawn anew among themselves."""
    rng = np.random.default_rng(seed)
    drawn = [rng.choice(np.asarray(values, float), (RESAMPLES, len(values))) for values in runs.values()]
    found = [statistic(row) for row in np.concatenate(drawn, axis=1)]
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)


def probability_of_improvement(mine: Mapping[str, Sequence[float]], theirs: Mapping[str, Sequence[float]]) -> float:
    """How likely a run of one method beats a run of another, mean over the tasks that both have; ties count half.
    ValueError without such a task."""
    common = [name for name in mine if name in theirs]
    if not common:
        raise ValueError("the two methods were not run on a common task")
    shares = []
    for name in common:
        difference = np.subtract.outer(np.asarray(mine[name], float), np.asarray(theirs[name], float))
        shares.append(np.mean(difference > 0) + 0.5 * np.mean(difference == 0))
    return float(np.mean(shares))
