"""Whether probabilities mean what they say, and where to cut them: of any classifier, on held-out data."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

BINS = 10
Reliability = list[tuple[float, float, int]]
"""Per bin with data: mean probability, share of positives, how many."""


def reliability(probability: Tensor, positive: Tensor) -> Reliability:
    """The table over ten equal bins of ``probability`` (n,); ``positive`` bool (n,)."""
    which = (probability * BINS).long().clamp(max=BINS - 1)
    bins = [which == i for i in range(BINS)]
    return [
        (float(probability[b].mean()), float(positive[b].float().mean()), int(b.sum())) for b in bins if bool(b.any())
    ]


def calibration_error(table: Sequence[tuple[float, float, int]]) -> float:
    """Mean distance of probability from frequency, weighted by the bins' sizes (ECE, arXiv 1706.04599, eq. 3)."""
    return sum(n * abs(p - f) for p, f, n in table) / sum(n for _, _, n in table)


def best_temperature(logits: Tensor, positive: Tensor) -> float:
    """Of a grid from 0.1 to 20, the temperature at which the data are likeliest (arXiv 1706.04599, sec. 4.2)."""
    grid = torch.logspace(-1.0, 1.3, 200)
    wanted = positive.float()
    errors = [nn.functional.binary_cross_entropy_with_logits(logits / t, wanted) for t in grid]
    return float(grid[torch.stack(errors).argmin()])


def threshold_for(precision: float, probability: Tensor, positive: Tensor, least: float = 0.0) -> float | None:
    """The lowest, of ``least`` or more, at which ``precision`` of what is called is positive, halfway to the next value
    below; None where no threshold reaches it."""
    ranked, order = probability.sort(descending=True)
    reached = positive[order].float().cumsum(0) / torch.arange(1, len(order) + 1)
    below = torch.cat([ranked[1:], ranked.new_zeros(1)])
    possible = torch.nonzero((reached >= precision) & (ranked > below) & (ranked >= least))
    if len(possible) == 0:
        return None
    last = int(possible[-1])
    return max(0.5 * float(ranked[last] + below[last]), least)
