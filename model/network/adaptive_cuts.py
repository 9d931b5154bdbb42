"""Where an adaptive softmax is cut, by what a drawn word costs on a CPU.

Grave et al., "Efficient softmax approximation for GPUs" (2017), cut the vocabulary, in the order of
frequency, into a head and tail clusters so that the time of a training batch is least, by a model
of a matrix product's time in its sizes. Here the same is done for what the weights are used for
most, drawing words for `SLOTS` texts side by side. The unit is a multiply-add of a large product:

- the head is computed for every slot: (words + clusters) (D + `LOGIT`), where `LOGIT` is what is
  done to a logit after the product (exponentials, sums, the choice);
- a tail of k words and width d is computed for groups of `GROUP` slots that propose it, each
  k (d max(GROUP, `READ`) + GROUP LOGIT) + GROUP D d + `START`: for few columns a product takes the
  time of reading its weights, which is that of `READ` columns, and a group has a fixed price;
- a slot proposes a cluster of share p at T = 0.8 with the chance p^(1/T) over the sum of all
  proposals' weights (see `generation.adaptive_softmax`), so there are E[ceil(n / GROUP)] groups, n
  binomial.

All shares are the words' frequencies in the training part. By cost alone the head would be a few
words. `LEAST_HEAD` bounds it where perplexity was found as good as with a dense output; the
constants were measured on a CPU with AVX-512. Both stand in docs/benchmarks.md. The cost is flat
around its least, so the constants of other CPUs would change little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from textmill.model.settings import MOST_TAILS, NetworkSettings
from textmill.model.text.vocabulary import RESERVED

SLOTS = 64
# Slots that a tail is computed for at a time. The products of a column must be the same bits
# wherever it stands in the group and whatever stands beside it, which a test checks.
GROUP = 8
LOGIT, READ, START = 300, 24, 4_000_000
TEMPERATURE = 0.8
LEAST_WIDTH = 32
LEAST_HEAD = 0.6  # of all words of a text
# `auto` asks for so many words, and for so many times the words a second of a dense output.
AUTO_WORDS, PAYS = 10_000, 1.5
_GRID = 96  # places for a cut at most


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A head and its tails.

    Attributes:
        cutoffs, widths: as in `NetworkSettings`; empty for a dense output.
        cost: multiply-adds of the output layer for one step of all slots.
    """

    cutoffs: tuple[int, ...]
    widths: tuple[int, ...]
    cost: float


def tail_width(embedding: int, head: int, first: int) -> int:
    """Width of a tail cluster that begins at the id `first`, behind a head of `head` words.

    A quarter of the embedding where the head ends, and half as much for words of a fourth of the
    frequency. (The paper divides by 4 from cluster to cluster, for fewer and larger ones.)
    """
    width = embedding / 4 * math.sqrt(head / first)
    return min(max(math.ceil(width), LEAST_WIDTH), embedding)


def choose_cut(
    counts: Sequence[int], embedding: int, *, grid: int = _GRID, least_head: float = LEAST_HEAD
) -> Cut:
    """The cheapest head and tails, at least one, for words of these counts in the order of ids.

    Searches all choices of up to `MOST_TAILS` cut-offs among `grid` places, evenly spread in the
    logarithm, by dynamic programming from the last word back.

    Raises:
        ValueError: fewer than two words beside the reserved ones.
    """
    words = len(counts)
    first = len(RESERVED) + 1
    if words <= first:
        raise ValueError("a vocabulary without words has no place for a cut")
    places = np.unique(np.geomspace(first, words - 1, grid).round().astype(int))
    share = (np.array(counts, np.float64) + 1) / (sum(counts) + words)
    mass = np.concatenate([[0.0], np.cumsum(share)])
    power = np.concatenate([[0.0], np.cumsum(share ** (1 / TEMPERATURE))])
    best = Cut(cutoffs=(), widths=(), cost=math.inf)
    ends = np.append(places, words)
    for start, head in enumerate(places):
        if mass[head] < least_head:
            continue
        total = power[head] + (1 - mass[head]) ** (1 / TEMPERATURE)
        begins, stops = ends[start:-1], ends[start + 1 :]
        # costs[i, j] of a cluster from begins[i] to stops[j], but for its width's share.
        chance = (mass[stops][None] - mass[begins][:, None]).clip(0) ** (1 / TEMPERATURE) / total
        groups = _groups(chance.clip(0, 1))
        size = stops[None] - begins[:, None]
        widths = np.array([tail_width(embedding, head, first) for first in begins])
        costs = groups * _group_cost(size, embedding, widths[:, None])
        costs[size <= 0] = np.inf
        for clusters in range(1, MOST_TAILS + 1):
            rest = np.full(len(stops) + 1, np.inf)  # cost of all clusters from a place on
            rest[-1] = 0.0
            ways: list[np.ndarray] = []
            for _ in range(clusters):
                ways.insert(0, (costs + rest[1:]).argmin(axis=1))
                rest = np.append((costs + rest[1:]).min(axis=1), np.inf)
            cost = rest[0] + SLOTS * (head + clusters) * (embedding + LOGIT)
            if cost < best.cost:
                cutoffs, at = [], 0
                for way in ways:
                    cutoffs.append(int(begins[at]))
                    at = int(way[at]) + 1
                chosen = tuple(tail_width(embedding, cutoffs[0], first) for first in cutoffs)
                best = Cut(cutoffs=tuple(cutoffs), widths=chosen, cost=float(cost))
    return best


def _group_cost(words: np.ndarray, embedding: int, width: np.ndarray) -> np.ndarray:
    product = words * (width * max(GROUP, READ) + GROUP * LOGIT)
    return product + GROUP * embedding * width + START


def _groups(chance: np.ndarray) -> np.ndarray:
    """Expected groups a step for a cluster that a slot proposes with this chance."""
    groups, below = np.zeros_like(chance), np.zeros_like(chance)
    for n in range(SLOTS):
        below += math.comb(SLOTS, n) * chance**n * (1 - chance) ** (SLOTS - n)
        if n % GROUP == 0:
            groups += 1 - below.clip(0, 1)
    return groups


def choose_output(output: str, counts: Sequence[int], sizes: NetworkSettings) -> NetworkSettings:
    """The sizes with cut-offs where `output` is `adaptive`, or `auto` and it pays.

    `auto` compares the cost of a whole step, LSTM layers included, with that of a dense output.
    """
    least = AUTO_WORDS if output == "auto" else len(RESERVED) + 2
    if output == "dense" or sizes.vocabulary < least:
        return sizes
    cut = choose_cut(counts, sizes.embedding)
    inputs = sizes.embedding + (sizes.layers - 1) * sizes.hidden
    lstm = SLOTS * 4 * sizes.hidden * (inputs + sizes.layers * sizes.hidden)
    dense = SLOTS * sizes.vocabulary * (sizes.embedding + LOGIT)
    if output == "auto" and lstm + dense < PAYS * (lstm + cut.cost):
        return sizes
    return NetworkSettings(**{**vars(sizes), "cutoffs": cut.cutoffs, "tail_widths": cut.widths})
