"""Chooses where an adaptive softmax is cut, by the cost of drawing a word on a CPU.

Grave et al., "Efficient softmax approximation for GPUs" (2017), order the vocabulary by frequency
and cut it into a head and tail clusters, so that a training batch takes the least time; they model
the time of a matrix product by its sizes. Here the same is done for the most frequent use of the
weights, drawing words for `SLOTS` texts at once. The unit is a multiply-add of a large product:

- the head is computed for every slot: (words + clusters) (D + `LOGIT`), where `LOGIT` is the cost
  of a logit after the product (exponentials, sums, the choice);
- a tail of k words and width d is computed for groups of `GROUP` slots that propose it. A group
  costs k (d max(GROUP, `READ`) + GROUP LOGIT) + GROUP D d + `START`: with few columns a product
  takes as long as reading its weights, which is the time of `READ` columns, and each group has a
  fixed cost;
- a slot proposes a cluster of share p at T = 0.8 with the probability p^(1/T) divided by the sum of
  all proposals' weights (see `generation.adaptive_softmax`), so there are E[ceil(n / GROUP)]
  groups, where n is binomial.

All shares are the words' frequencies in the training part. By cost alone, the head would have only
a few words. `LEAST_HEAD` is the smallest head whose perplexity was as good as a dense output's. The
constants were measured on a CPU with AVX-512; see docs/benchmarks.md. The cost is flat around its
minimum, so the constants of other CPUs would change little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from textmill.model.settings import MOST_TAILS, NetworkSettings
from textmill.model.text.vocabulary import RESERVED

SLOTS = 64
# Slots that a tail is computed for at a time. The bits of a column's products must not depend on
# its place in the group or on the other columns, which a test checks.
GROUP = 8
LOGIT, READ, START = 300, 24, 4_000_000
TEMPERATURE = 0.8
LEAST_WIDTH = 32
LEAST_HEAD = 0.6  # smallest share of all words of a text that the head must hold
# `auto` takes an adaptive output if there are this many words and it is this many times as fast.
AUTO_WORDS, PAYS = 10_000, 1.5
_GRID = 96  # most places for a cut


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A head and its tails.

    Attributes:
        cutoffs: as in `NetworkSettings`; empty for a dense output.
        widths: as `tail_widths` in `NetworkSettings`; empty for a dense output.
        cost: multiply-adds of the output layer for one step of all slots.
    """

    cutoffs: tuple[int, ...]
    widths: tuple[int, ...]
    cost: float


def tail_width(embedding: int, head: int, first: int) -> int:
    """Gives the width of a tail cluster that begins at the id `first`, after `head` head words.

    It is a quarter of the embedding's if the cluster follows the head, and half of that at four
    times the id. (The paper divides by 4 for each cluster, but has fewer and larger clusters.)
    """
    width = embedding / 4 * math.sqrt(head / first)
    return min(max(math.ceil(width), LEAST_WIDTH), embedding)


def choose_cut(
    counts: Sequence[int], embedding: int, *, grid: int = _GRID, least_head: float = LEAST_HEAD
) -> Cut:
    """Finds the cheapest head and tails, at least one, for words with these counts.

    It searches all choices of up to `MOST_TAILS` cut-offs among `grid` places, which are evenly
    spread on a logarithmic scale, by dynamic programming from the last word to the first.

    Args:
        counts: how often each word was seen, in the order of ids.
        embedding: D.
        grid: most places for a cut.
        least_head: smallest share of a text's words that the head must hold.

    Raises:
        ValueError: there are fewer than two words besides the reserved ones.
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
        # costs[i, j] is the cost of a cluster from begins[i] to stops[j].
        chance = (mass[stops][None] - mass[begins][:, None]).clip(0) ** (1 / TEMPERATURE) / total
        groups = _groups(chance.clip(0, 1))
        size = stops[None] - begins[:, None]
        widths = np.array([tail_width(embedding, head, first) for first in begins])
        costs = groups * _group_cost(size, embedding, widths[:, None])
        costs[size <= 0] = np.inf
        for clusters in range(1, MOST_TAILS + 1):
            rest = np.full(len(stops) + 1, np.inf)  # cost of all clusters from each place on
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
    """Gives the expected groups in a step for a cluster that a slot proposes with this chance."""
    groups, below = np.zeros_like(chance), np.zeros_like(chance)
    for n in range(SLOTS):
        below += math.comb(SLOTS, n) * chance**n * (1 - chance) ** (SLOTS - n)
        if n % GROUP == 0:
            groups += 1 - below.clip(0, 1)
    return groups


def choose_output(output: str, counts: Sequence[int], sizes: NetworkSettings) -> NetworkSettings:
    """Adds cut-offs to the sizes if `output` is `adaptive`, or `auto` and it is fast enough.

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
