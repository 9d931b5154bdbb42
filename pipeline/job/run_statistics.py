"""Figures of a run, which are counted for each shard and added up at the end.

Histograms have fixed bins, so nothing here needs more memory than one shard.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

# Lower edges of the bins. For words: one bin for each number, then eight for each doubling.
WORD_EDGES = (*range(16), *(2**k * (8 + i) // 8 for k in range(4, 17) for i in range(8)))
LOGPROB_EDGES = tuple(-20 + i / 4 for i in range(81))


@dataclass(frozen=True)
class Statistics:
    """Counts of records and rejected rows, which can be added up.

    Attributes:
        finish: number of records by how they ended.
        reasons: number of rejected rows by reason.
        words: number of records by bin of `WORD_EDGES`.
        logprobs: number of records by bin of `LOGPROB_EDGES`; the first bin also holds those below.
        seconds: seconds spent in the generator, over all workers.
    """

    finish: dict[str, int]
    reasons: dict[str, int]
    words: dict[str, int]
    logprobs: dict[str, int]
    seconds: float

    @classmethod
    def of(
        cls, records: Sequence[Mapping[str, Any]], reasons: Iterable[str], *, seconds: float
    ) -> Statistics:
        """Counts a shard's records and the reasons of its rejected rows."""
        return cls(
            dict(Counter(row["finish"] for row in records)),
            dict(Counter(reasons)),
            _bins((row["words"] for row in records), WORD_EDGES),
            _bins((row["logprob"] for row in records), LOGPROB_EDGES),
            round(seconds, 3),
        )

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Statistics:
        """Reads what `asdict` gave, after a way through JSON.

        Raises:
            ValueError, TypeError, AttributeError: it is something else.
        """
        made = cls(**fields)
        bins = (("words", WORD_EDGES), ("logprobs", LOGPROB_EDGES))
        if any(int(i) not in range(len(e)) for name, e in bins for i in getattr(made, name)):
            raise ValueError("a bin that there is not")
        for counts in (made.finish, made.reasons, made.words, made.logprobs):
            if any(type(count) is not int for count in counts.values()):
                raise ValueError("a count that is no whole number")
        float(made.seconds)
        return made

    @classmethod
    def total(cls, parts: Iterable[Statistics]) -> Statistics:
        """Adds statistics up."""
        parts = list(parts)

        def add(field: str) -> dict[str, int]:
            counts: Counter[str] = Counter()
            for part in parts:
                counts.update(getattr(part, field))
            return dict(sorted(counts.items()))

        return cls(
            add("finish"), add("reasons"), add("words"), add("logprobs"),
            round(sum(part.seconds for part in parts), 3),
        )  # fmt: skip

    def as_json(self, counts: Mapping[str, int]) -> dict[str, Any]:
        """Gives what stats.json holds: these figures and a run's counts."""
        figures = asdict(self)
        return {
            "prompts": counts["prompts"],
            "samples": counts["records"],
            "words": counts["words"],
            "finish": figures["finish"],
            "rejected": {"rows": counts["rejected"], "by_reason": figures["reasons"]},
            "words_a_sample": {
                "mean": _ratio(counts["words"], counts["records"]),
                "histogram": _histogram(self.words, WORD_EDGES),
            },
            "logprob": {"histogram": _histogram(self.logprobs, LOGPROB_EDGES)},
            "generator_seconds": self.seconds,
            "words_a_second_and_worker": _ratio(counts["words"], self.seconds),
        }


NO_FIGURES = Statistics({}, {}, {}, {}, 0.0)


def _bins(values: Iterable[float], edges: Sequence[float]) -> dict[str, int]:
    # Keys are texts, because they go through JSON.
    return dict(Counter(str(max(bisect_right(edges, value) - 1, 0)) for value in values))


def _histogram(bins: Mapping[str, int], edges: Sequence[float]) -> list[dict[str, float | None]]:
    return [
        {
            "from": edges[i],
            "to": edges[i + 1] if i + 1 < len(edges) else None,
            "count": bins[str(i)],
        }
        for i in sorted(map(int, bins))
    ]


def _ratio(a: float, b: float) -> float | None:
    return round(a / b, 2) if b else None
