"""A run of a billion texts, simulated.

    python benchmarks/scaling.py --out docs

Draws the pictures of docs/scaling.md and prints its tables: a discrete-event simulation of workers
that take shards from one queue, are slow, are lost and are replaced.
"""

from __future__ import annotations

import argparse
import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from table import print_table

# Okabe and Ito's colours, told apart by everyone; lines differ in their dashes too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
DASHES = ("-", "--", "-.", ":")
SHARD_COST = 1.0  # seconds besides the words: reading, encoding, five requests for each file
SPREAD = 0.1  # of shards' seconds


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Workers that take shards from one queue.

    Attributes:
        workers: how many. start: seconds until one has a shard in hand, at first and when replaced.
        lost: workers lost in an hour, for each worker; a new one is started in its place.
        slow: share of the workers that take `slowness` times as long.
    """

    workers: int
    start: float = 0.0
    lost: float = 0.0
    slow: float = 0.0
    slowness: float = 3.0


@dataclass(frozen=True)
class Outcome:
    """A simulated run.

    Attributes:
        seconds: from the workers' start to the last shard. done: shards, in the order they ended.
        lost: shards whose worker was lost. wasted: seconds spent on those.
        spans: start and end of every attempt, [attempts, 2].
    """

    seconds: float
    done: tuple[int, ...]
    lost: int
    wasted: float
    spans: np.ndarray


def simulate(seconds: Sequence[float], cluster: Cluster, *, seed: int = 0) -> Outcome:
    """Runs shards of so many seconds each; those of a lost worker go to the end of the queue."""
    random = np.random.default_rng(seed)
    speed = np.where(random.random(cluster.workers) < cluster.slow, cluster.slowness, 1.0)

    def life() -> float:
        return random.exponential(3600 / cluster.lost) if cluster.lost else math.inf

    dies = [cluster.start + life() for _ in range(cluster.workers)]
    queue, idle = deque(range(len(seconds))), []
    # When what happens to which worker: it is ready, or its shard is done or lost.
    events = [(cluster.start, i, i, -1, True) for i in range(cluster.workers)]
    order, now = cluster.workers, 0.0
    done: list[int] = []
    spans: list[tuple[float, float]] = []
    wasted = 0.0

    def give(worker: int) -> None:
        nonlocal order
        if dies[worker] <= now:  # lost and replaced while there was nothing to do
            dies[worker] = now + life()
        shard = queue.popleft()
        end = now + seconds[shard] * speed[worker]
        whole = end <= dies[worker]
        end = end if whole else dies[worker]
        spans.append((now, end))
        heapq.heappush(events, (end, order, worker, shard, whole))
        order += 1
        if not whole:
            nonlocal wasted
            wasted += end - now

    while len(done) < len(seconds):
        now, _, worker, shard, whole = heapq.heappop(events)
        if not whole:
            queue.append(shard)
            dies[worker] = now + cluster.start + life()
            heapq.heappush(events, (now + cluster.start, order, worker, -1, True))
            order += 1
            if idle:
                give(idle.pop())
            continue
        if shard >= 0:
            done.append(shard)
        if queue:
            give(worker)
        else:
            idle.append(worker)
    return Outcome(now, tuple(done), len(spans) - len(done), wasted, np.array(spans))


def shards_of(work: float, seconds: float, *, seed: int = 0) -> np.ndarray:
    """Seconds of the shards that so many seconds of work are cut into, with their fixed cost."""
    count = max(1, round(work / seconds))
    sigma = math.sqrt(math.log1p(SPREAD**2))
    factors = np.random.default_rng(seed).lognormal(-(sigma**2) / 2, sigma, count)
    return work / count * factors + SHARD_COST


def waste(work: float, outcome: Outcome, workers: int) -> float:
    """Worker time paid beyond the work, as a share of it."""
    return outcome.seconds * workers / work - 1


# -- pictures --------------------------------------------------------------------------------------

SIZES = (10, 20, 30, 60, 120, 180, 300, 600, 1200, 1800, 3600)
RATES = (0.0, 0.05, 0.2, 1.0)


def _axes() -> Any:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update(
        {"svg.fonttype": "none", "svg.hashsalt": "textmill", "font.size": 11, "axes.grid": True,
         "grid.alpha": 0.3, "axes.spines.top": False, "axes.spines.right": False}
    )  # fmt: skip
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(7, 4), layout="constrained")


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
    figure.clf()


def sizes_and_losses(work: float, workers: int, start: float, out: Path) -> list[tuple[str, str]]:
    """Waste by a shard's seconds and the rate of lost workers: a picture and rows of a table."""
    figure, axes = _axes()
    rows = []
    for rate, colour, dash in zip(RATES, COLOURS, DASHES, strict=True):
        found = []
        for size in SIZES:
            cluster = Cluster(workers=workers, start=start, lost=rate)
            outcome = simulate(shards_of(work, size).tolist(), cluster)
            found.append(100 * waste(work, outcome, workers))
            if size in (10, 60, 180, 300, 1800):
                rows.append(
                    (
                        f"shards of {size:,} s, {rate:g} of the workers lost an hour",
                        f"{found[-1]:.1f} % waste, {outcome.lost:,} shards lost, "
                        f"{outcome.seconds / 3600:.2f} h",
                    )
                )
        axes.plot(SIZES, found, dash, color=colour, marker="o", markersize=4,
                  label=f"{rate:g} of the workers lost an hour")  # fmt: skip
    axes.axvspan(60, 300, color="#999999", alpha=0.2, label="1 to 5 minutes")
    axes.set(xscale="log", ylim=(0, 60), xlabel="seconds of a shard", ylabel="waste, % of the work")
    axes.set_xticks([10, 30, 60, 180, 300, 600, 1800, 3600])
    axes.set_xticklabels(["10", "30", "60", "180", "300", "600", "1800", "3600"])
    axes.minorticks_off()
    axes.legend()
    _save(figure, out / "scaling-shards.svg")
    return rows


def stragglers(work: float, workers: int, start: float, out: Path) -> list[tuple[str, str]]:
    """Busy workers near the end, some of them slow: a picture and rows of a table."""
    figure, axes = _axes()
    rows = []
    for size, colour, dash in zip((30, 180, 1800), COLOURS, DASHES, strict=False):
        cluster = Cluster(workers=workers, start=start, slow=0.02, slowness=3.0)
        outcome = simulate(shards_of(work, size).tolist(), cluster)
        begins, ends = np.sort(outcome.spans[:, 0]), np.sort(outcome.spans[:, 1])
        times = np.linspace(0, outcome.seconds, 2000)
        busy = np.searchsorted(begins, times, "right") - np.searchsorted(ends, times, "right")
        axes.plot(times / 3600, busy, dash, color=colour, label=f"shards of {size:,} s")
        full = float(ends[max(len(ends) - workers, 0)])
        rows.append(
            (
                f"shards of {size:,} s, 2 % of the workers three times as slow",
                f"{outcome.seconds / 3600:.2f} h, of them {(outcome.seconds - full) / 60:.1f} min "
                f"with idle workers; {100 * waste(work, outcome, workers):.1f} % waste",
            )
        )
    axes.set(xlabel="hours since the start", ylabel="busy workers", ylim=(0, workers * 1.05))
    axes.legend(loc="lower left")
    _save(figure, out / "scaling-stragglers.svg")
    return rows


def more_workers(work: float, start: float, size: float, out: Path) -> list[tuple[str, str]]:
    """Hours by the number of workers: a picture and rows of a table."""
    figure, axes = _axes()
    rows, hours = [], []
    numbers = (10, 30, 100, 300, 1000, 3000, 10_000)
    shards = shards_of(work, size).tolist()
    for workers in numbers:
        cluster = Cluster(workers=workers, start=start, lost=0.05, slow=0.02)
        outcome = simulate(shards, cluster)
        hours.append(outcome.seconds / 3600)
        rows.append(
            (
                f"{workers:,} workers, shards of {size:,.0f} s, 0.05 lost an hour, 2 % slow",
                f"{hours[-1]:.2f} h, {100 * waste(work, outcome, workers):.1f} % waste",
            )
        )
    axes.plot(numbers, hours, "-", color=COLOURS[0], marker="o", label="simulated")
    ideal = [work / 3600 / n for n in numbers]
    axes.plot(numbers, ideal, "--", color=COLOURS[1], label="work over workers")
    axes.set(xscale="log", yscale="log", xlabel="workers", ylabel="hours")
    axes.legend()
    _save(figure, out / "scaling-workers.svg")
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--texts", type=float, default=1e9)
    parser.add_argument("--text-seconds", type=float, default=0.008, help="of one worker")
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--start", type=float, default=60.0, help="seconds to start a worker")
    parser.add_argument("--shard-seconds", type=float, default=160.0, help="where workers vary")
    args = parser.parse_args(argv)
    work = args.texts * args.text_seconds
    args.out.mkdir(parents=True, exist_ok=True)
    rows = [
        (
            "the work",
            f"{args.texts:,.0f} texts of {1000 * args.text_seconds:g} ms: {work / 3600:,.0f} hours "
            f"of one worker; {args.workers:,} workers, {args.start:g} s to start one, "
            f"{SHARD_COST:g} s more for each shard",
        ),
        *sizes_and_losses(work, args.workers, args.start, args.out),
        *stragglers(work, args.workers, args.start, args.out),
        *more_workers(work, args.start, args.shard_seconds, args.out),
    ]
    print_table(rows)


if __name__ == "__main__":
    main()
