"""Mutants of exercise 6: the sampler."""
# ruff: noqa: E501

from __future__ import annotations

from mutants.hints import KEPT, changed, nothing
from mutants.mutant import Variants

sample = Variants("6", "sample")
ALL = [sample]

_DRAW = """
        def sample(logits, temperature, uniform):
            {logits}
            if {zero}:
                return {best}
            {weights}
            sums = np.cumsum(weights)
            return {drawn}
"""


def _sample(
    *,
    logits: str = "logits = np.asarray(logits, np.float64)",
    zero: str = "temperature == 0",
    best: str = "int(np.argmax(logits))",
    weights: str = "weights = np.exp((logits - logits.max()) / temperature)",
    drawn: str = 'int(np.searchsorted(sums, uniform * sums[-1], side="right"))',
) -> str:
    return _DRAW.format(logits=logits, zero=zero, best=best, weights=weights, drawn=drawn)


_NORMAL = (
    "weights = np.exp((logits - logits.max()) / temperature)\n            weights /= weights.sum()"
)
_ZERO = r"temperature 0|T = 0|\b0\b"
_SMALL = r"temperature 0 only|at temperature 0|low temperature|small|below 0\.\d|temperature as it is|largest logit is taken"
_OFF_END = r"round|fall|end|last|probability 0|below 1"
_ORDER = r"order|as they stand|go through"
_ABOVE = r"above"
wrong = sample.wrong
wrong("pass", nothing("sample"), "def sample(logits, temperature, uniform):\n    pass\n")
wrong("zero-divides", _ZERO, _sample(zero="False"))
wrong(
    "zero-fails",
    _ZERO + "|ZeroDivision",
    """
    import math

    def sample(logits, temperature, uniform):
        most = max(float(z) for z in logits)
        weights = [math.exp((float(z) - most) / float(temperature)) for z in logits]
        left = uniform * sum(weights)
        for word, weight in enumerate(weights):
            left -= weight
            if left < 0:
                return word
        return int(np.argmax(weights))
""",
)
wrong(
    "zero-as-one",
    _ZERO,
    _sample(
        zero="False", weights="weights = np.exp((logits - logits.max()) / (temperature or 1.0))"
    ),
)
wrong("zero-is-uniform", _ZERO, _sample(best="int(uniform * len(logits))"))
wrong("zero-is-the-first", _ZERO, _sample(best="0"))
wrong("zero-is-the-least", _ZERO, _sample(best="int(np.argmin(logits))"))
wrong("zero-is-none", _ZERO + "|None", _sample(best="None"))
wrong("zero-is-the-logit", _ZERO, _sample(best="float(np.max(logits))"))
wrong("greedy-below-a-tenth", _SMALL, _sample(zero="temperature < 0.1"))
wrong("greedy-up-to-a-tenth", _SMALL, _sample(zero="temperature <= 0.1"))
wrong("greedy-below-a-half", _SMALL, _sample(zero="temperature < 0.5"))
wrong("greedy-below-one", _SMALL, _sample(zero="temperature < 1"))
wrong("greedy-below-a-hundredth", _SMALL, _sample(zero="temperature < 0.02"))
wrong("always-greedy", _SMALL, _sample(zero="True"))
wrong(
    "least-temperature-a-tenth",
    _SMALL + "|as it is|divide|T\\b",
    _sample(weights="weights = np.exp((logits - logits.max()) / max(temperature, 0.1))"),
)
wrong(
    "temperature-at-most-one",
    r"temperature|T\b",
    _sample(weights="weights = np.exp((logits - logits.max()) / min(temperature, 1.0))"),
)
wrong(
    "temperature-a-bit-more",
    r"T\b.*(add|exactly|itself|alone|as it is)|add(ed|s)? to (T|the temperature)|temperature (itself|as it is|alone|exactly)|nothing (is )?added",
    _sample(
        zero="False", weights="weights = np.exp((logits - logits.max()) / (temperature + 0.01))"
    ),
)
wrong(
    "temperature-a-tenth-more",
    r"add|exactly|itself|alone|as it is",
    _sample(weights="weights = np.exp((logits - logits.max()) / (temperature + 0.1))"),
)
wrong(
    "multiplied",
    r"divide",
    _sample(weights="weights = np.exp((logits - logits.max()) * temperature)"),
)
wrong(
    "ignored",
    r"no effect|not used|softmax\(logits / T\)",
    _sample(weights="weights = np.exp(logits - logits.max())"),
)
wrong(
    "squared",
    r"softmax\(logits / T\)|divide|square",
    _sample(weights="weights = np.exp((logits - logits.max()) / temperature**2)"),
)
wrong(
    "root",
    r"softmax\(logits / T\)|divide|root|temperature as it is",
    _sample(weights="weights = np.exp((logits - logits.max()) / np.sqrt(temperature))"),
)
wrong(
    "after-the-softmax",
    r"after the softmax|softmax\(logits / T\)",
    _sample(
        weights="weights = np.exp(logits - logits.max())\n            weights = np.exp(weights / weights.sum() / temperature)"
    ),
)
wrong(
    "probabilities-divided",
    r"after the softmax|softmax\(logits / T\)",
    _sample(
        weights="weights = np.exp(logits - logits.max())\n            weights /= weights.sum() * temperature",
        drawn="min(int(np.searchsorted(sums, uniform, side='right')), len(logits) - 1)",
    ),
)
wrong(
    "twice-softmax",
    r"softmax",
    _sample(weights=_NORMAL + "\n            weights = np.exp(weights)"),
)
wrong(
    "base-two",
    r"exp|softmax",
    _sample(weights="weights = 2.0 ** ((logits - logits.max()) / temperature)"),
)
wrong(
    "base-ten",
    r"exp|softmax",
    _sample(weights="weights = 10.0 ** ((logits - logits.max()) / temperature)"),
)
wrong(
    "no-exp",
    r"exp|softmax",
    _sample(
        weights="weights = (logits - logits[np.isfinite(logits)].min() + 1e-9) / temperature\n"
        "            weights = np.where(np.isfinite(weights), weights, 0)"
    ),
)
wrong(
    "sigmoid", r"softmax|exp", _sample(weights="weights = 1 / (1 + np.exp(-logits / temperature))")
)
wrong(
    "sign",
    r"softmax|largest|probable|sign:",
    _sample(
        weights="weights = np.exp(-(logits - logits[np.isfinite(logits)].min()) / temperature)\n"
        "            weights = np.where(np.isfinite(logits), weights, 0)"
    ),
)
wrong(
    "overflow",
    r"overflow|infinite|largest logit",
    _sample(weights="weights = np.exp(logits / temperature)"),
)
wrong(
    "largest-off-too-late",
    r"overflow|infinite|largest logit",
    _sample(weights="weights = np.exp(logits / temperature) / np.exp(logits / temperature).max()"),
)
wrong(
    "mean-off",
    r"overflow|infinite|largest logit",
    _sample(
        weights="weights = np.exp((logits - logits[np.isfinite(logits)].mean()) / temperature)"
    ),
)
wrong(
    "first-off",
    r"overflow|infinite|largest logit",
    _sample(weights="weights = np.exp((logits - logits[0]) / temperature)"),
)
wrong(
    "clipped",
    r"overflow|infinite|largest logit|large|clip",
    _sample(weights="weights = np.exp(np.clip(logits / temperature, -500, 500))"),
)
wrong(
    "half-precision",
    r"float|precision|softmax|order|above|shares|probabilit",
    _sample(logits="logits = np.asarray(logits, np.float16)"),
)
wrong(
    "falls-off-the-end",
    _OFF_END,
    _sample(weights=_NORMAL, drawn="next((i for i, s in enumerate(sums) if s > uniform), None)"),
)
wrong(
    "off-the-end-is-len",
    _OFF_END,
    _sample(weights=_NORMAL, drawn="int(np.searchsorted(sums, uniform, side='right'))"),
)
wrong(
    "off-the-end-fails",
    _OFF_END,
    _sample(weights=_NORMAL, drawn="next(i for i, s in enumerate(sums) if s > uniform)"),
)
wrong(
    "off-the-end-is-the-last-word",
    _OFF_END,
    _sample(
        weights=_NORMAL,
        drawn="min(int(np.searchsorted(sums, uniform, side='right')), len(sums) - 1)",
    ),
)
wrong(
    "off-the-end-is-the-first-word",
    _OFF_END,
    _sample(weights=_NORMAL, drawn="int(np.argmax(sums > uniform))"),
)
wrong(
    "single-precision-off-the-end",
    _OFF_END + "|float",
    _sample(
        weights=_NORMAL + "\n            weights = weights.astype(np.float32)",
        drawn="next((i for i, s in enumerate(sums) if s > uniform), None)",
    ),
)
wrong(
    "loop-off-the-end",
    _OFF_END,
    """
    import math

    def sample(logits, temperature, uniform):
        if temperature == 0:
            return max(range(len(logits)), key=lambda i: logits[i])
        top = max(logits)
        weights = [math.exp((z - top) / temperature) for z in logits]
        total, so_far = sum(weights), 0.0
        for word, weight in enumerate(weights):
            so_far += weight / total
            if so_far > uniform:
                return word
""",
)
wrong(
    "loop-off-the-end-is-the-last",
    _OFF_END,
    """
    import math

    def sample(logits, temperature, uniform):
        if temperature == 0:
            return max(range(len(logits)), key=lambda i: logits[i])
        top = max(logits)
        weights = [math.exp((z - top) / temperature) for z in logits]
        total, so_far = sum(weights), 0.0
        for word, weight in enumerate(weights):
            so_far += weight / total
            if so_far > uniform:
                break
        return word
""",
)
wrong(
    "not-above-but-equal",
    _ABOVE,
    _sample(drawn="int(np.searchsorted(sums, uniform * sums[-1], side='left'))"),
)
wrong(
    "word-before",
    _ABOVE + "|first",
    _sample(drawn="max(int(np.searchsorted(sums, uniform * sums[-1], side='right')) - 1, 0)"),
)
wrong(
    "word-after",
    _ABOVE + "|first",
    _sample(
        drawn="min(int(np.searchsorted(sums, uniform * sums[-1], side='right')) + 1, len(sums) - 1)"
    ),
)
wrong(
    "not-summed",
    r"sum|add up",
    _sample(
        weights=_NORMAL,
        drawn="next((i for i, w in enumerate(weights) if w > uniform), int(np.argmax(weights)))",
    ),
)
wrong(
    "not-made-to-add-up",
    r"add up|divide|softmax|sum",
    _sample(drawn="min(int(np.searchsorted(sums, uniform, side='right')), len(sums) - 1)"),
)
wrong(
    "most-probable-first",
    _ORDER,
    _sample(
        weights=_NORMAL
        + "\n            order = np.argsort(-weights, kind='stable')\n            weights = weights[order]",
        drawn="int(order[np.searchsorted(sums, uniform * sums[-1], side='right')])",
    ),
)
wrong(
    "least-probable-first",
    _ORDER,
    _sample(
        weights=_NORMAL
        + "\n            order = np.argsort(weights, kind='stable')\n            weights = weights[order]",
        drawn="int(order[np.searchsorted(sums, uniform * sums[-1], side='right')])",
    ),
)
wrong(
    "from-the-end",
    _ORDER,
    _sample(
        weights=_NORMAL + "\n            weights = weights[::-1]",
        drawn="len(sums) - 1 - int(np.searchsorted(sums, uniform * sums[-1], side='right'))",
    ),
)
wrong(
    "uniform-from-above",
    _ORDER + "|`uniform`|above",
    _sample(
        drawn="min(int(np.searchsorted(sums, (1 - uniform) * sums[-1], side='right')), len(sums) - 1)"
    ),
)
wrong(
    "own-random-number",
    r"draw nothing|own|`uniform`",
    _sample(drawn="int(np.searchsorted(sums, np.random.random() * sums[-1], side='right'))"),
)
wrong(
    "numpy-choice",
    r"draw nothing|own|`uniform`",
    _sample(weights=_NORMAL, drawn="int(np.random.choice(len(weights), p=weights))"),
)
wrong(
    "seeded-choice",
    r"draw nothing|own|`uniform`",
    _sample(
        weights=_NORMAL,
        drawn="int(np.random.default_rng(int(uniform * 2**32)).choice(len(weights), p=weights))",
    ),
)
wrong(
    "gumbel",
    r"draw nothing|own|`uniform`",
    _sample(drawn="int(np.argmax(logits / temperature + np.random.gumbel(size=len(logits))))"),
)
wrong(
    "uniform-not-used",
    r"`uniform`|always|random",
    _sample(drawn="int(np.argmax(sums > 0.5 * sums[-1]))"),
)
wrong("all-equally-likely", r"softmax|probabilit|logits", _sample(drawn="int(uniform * len(sums))"))
wrong(
    "ten-best-only",
    r"every word|all words|probabilit|left out|softmax|shares|above",
    _sample(
        weights="weights = np.exp((logits - logits.max()) / temperature)\n"
        "            weights = np.where(logits >= np.sort(logits)[-min(10, len(logits))], weights, 0)"
    ),
)
wrong(
    "rare-words-left-out",
    r"every word|all words|probabilit|left out|softmax|shares|above",
    _sample(weights=_NORMAL + "\n            weights = np.where(weights < 0.01, 0, weights)"),
)
wrong(
    "without-unk",
    r"\b0\b|<unk>|every word|all words|probabilit|above",
    _sample(
        weights="weights = np.exp((logits - logits.max()) / temperature)\n            weights[0] = weights[0] * (weights[1:].sum() == 0)"
    ),
)
wrong(
    "minus-infinity-not-a-number",
    r"-inf|minus infinity|probability 0|never drawn",
    _sample(
        weights="weights = np.exp((logits - logits.max()) / temperature)\n"
        "            weights = np.exp(logits - logits.min()) if np.isinf(logits).any() else weights"
    ),
)
wrong(
    "minus-infinity-made-a-number",
    r"-inf|minus infinity|probability 0|never drawn",
    _sample(logits="logits = np.maximum(np.asarray(logits, np.float64), -10)"),
)
wrong(
    "a-bit-for-everyone",
    r"-inf|minus infinity|probability 0|never drawn|above|softmax",
    _sample(weights=_NORMAL + " / (1 + 0.01)\n            weights = weights + 0.01 / len(weights)"),
)
wrong(
    "changes-logits",
    changed("logits"),
    _sample(
        logits="",
        weights="logits -= logits.max()\n            weights = np.exp(logits / temperature)",
    ),
)
wrong(
    "divides-logits-in-place",
    changed("logits"),
    _sample(
        logits="",
        weights="logits /= temperature\n            weights = np.exp(logits - logits.max())",
    ),
)
wrong(
    "sorts-logits-in-place",
    changed("logits"),
    _sample(
        logits="",
        best="int(np.argmax(logits))",
        weights="weights = np.exp((logits - logits.max()) / temperature)\n            logits.sort()",
    ),
)
wrong(
    "exp-in-place",
    changed("logits"),
    _sample(
        logits="",
        weights="weights = logits\n            weights -= weights.max()\n            weights /= temperature\n"
        "            np.exp(weights, out=weights)",
    ),
)
wrong(
    "best-blocked-in-place",
    changed("logits"),
    """
    def sample(logits, temperature, uniform):
        if temperature == 0:
            best = int(np.argmax(logits))
            logits[best] = -np.inf
            return best
        weights = np.exp((logits - logits.max()) / temperature)
        sums = np.cumsum(weights)
        return int(np.searchsorted(sums, uniform * sums[-1], side="right"))
""",
)
wrong(
    "probability-not-word",
    r"word|id|whole number",
    _sample(
        weights=_NORMAL,
        drawn="float(weights[np.searchsorted(sums, uniform * sums[-1], side='right')])",
    ),
)
wrong(
    "kept-between-calls",
    KEPT,
    """
    _weights = {}

    def sample(logits, temperature, uniform):
        logits = np.asarray(logits, np.float64)
        if temperature == 0:
            return int(np.argmax(logits))
        key = (len(logits), temperature)
        if key not in _weights:
            _weights[key] = np.exp((logits - logits.max()) / temperature)
        sums = np.cumsum(_weights[key])
        return int(np.searchsorted(sums, uniform * sums[-1], side="right"))
""",
)
wrong(
    "last-word-blocked",
    KEPT,
    """
    _last = [None]

    def sample(logits, temperature, uniform):
        logits = np.array(logits, np.float64)
        if temperature == 0:
            return int(np.argmax(logits))
        if _last[0] is not None and _last[0] < len(logits) and np.isfinite(logits).sum() > 2:
            logits[_last[0]] = -np.inf
        sums = np.cumsum(np.exp((logits - logits.max()) / temperature))
        _last[0] = int(np.searchsorted(sums, uniform * sums[-1], side="right"))
        return _last[0]
""",
)

right = sample.right
right(
    "scipy-softmax",
    """
    from scipy.special import softmax

    def sample(logits, temperature, uniform):
        if temperature == 0:
            return int(np.argmax(logits))
        sums = np.cumsum(softmax(np.asarray(logits, np.float64) / temperature))
        return int(np.argmax(sums > min(uniform, np.nextafter(sums[-1], 0))))
""",
)
right(
    "scipy-softmax-all-imported",
    """
    import scipy.special

    def sample(logits, temperature, uniform):
        z = np.array(logits, dtype=np.float64)
        if not temperature:
            return int(z.argmax())
        p = scipy.special.softmax(z / temperature)
        sums = p.cumsum()
        return int(np.searchsorted(sums, uniform * sums[-1], "right"))
""",
)
right(
    "logsumexp",
    """
    from scipy.special import logsumexp

    def sample(logits, temperature, uniform):
        z = np.asarray(logits, np.float64)
        if temperature == 0:
            return int(np.argmax(z))
        z = z / temperature
        p = np.exp(z - logsumexp(z))
        above = np.flatnonzero(np.cumsum(p) > uniform)
        return int(above[0]) if len(above) else int(np.flatnonzero(p)[-1])
""",
)
right(
    "loop",
    """
    import math

    def sample(logits, temperature, uniform):
        logits = [float(z) for z in logits]
        top = max(logits)
        if temperature == 0:
            return logits.index(top)
        weights = [math.exp((z - top) / temperature) for z in logits]
        total, so_far, last = math.fsum(weights), 0.0, 0
        for word, weight in enumerate(weights):
            so_far += weight / total
            if weight > 0:
                last = word
            if so_far > uniform:
                return word
        return last
""",
)
right(
    "bisect",
    """
    from bisect import bisect_right
    from itertools import accumulate
    from math import exp

    def sample(logits, temperature, uniform):
        top = max(logits)
        if temperature == 0:
            return list(logits).index(top)
        sums = list(accumulate(exp((z - top) / temperature) for z in logits))
        return bisect_right(sums, uniform * sums[-1])
""",
)
right(
    "scaled-first",
    """
    def sample(logits, temperature, uniform):
        if temperature == 0:
            return int(np.argmax(logits))
        z = np.asarray(logits, dtype=float) / temperature
        z = z - np.max(z)
        sums = np.exp(z).cumsum()
        return int((sums <= uniform * sums[-1]).sum())
""",
)
right(
    "last-sum-made-one",
    """
    def sample(logits, temperature, uniform):
        z = np.asarray(logits, np.float64)
        if temperature == 0:
            return int(np.argmax(z))
        p = np.exp((z - z.max()) / temperature)
        possible = np.flatnonzero(p)
        sums = np.cumsum(p[possible] / p.sum())
        sums[-1] = 1.0
        return int(possible[np.searchsorted(sums, uniform, side="right")])
""",
)
right(
    "one-hot-at-zero",
    """
    def _probabilities(logits, temperature):
        z = np.asarray(logits, np.float64)
        if temperature == 0:
            return np.arange(len(z)) == np.argmax(z)
        p = np.exp((z - z.max()) / temperature)
        return p / p.sum()

    def sample(logits, temperature, uniform):
        p = _probabilities(logits, temperature)
        left = uniform
        for word in range(len(p)):
            if p[word] and left < p[word]:
                return word
            left -= p[word]
        return int(np.flatnonzero(p)[-1])
""",
)
right(
    "numpy-integer",
    """
    def sample(logits, temperature, uniform):
        if temperature == 0:
            return np.argmax(logits)
        p = np.exp((logits - np.max(logits)) / temperature)
        sums = np.cumsum(p, dtype=np.float64)
        return np.searchsorted(sums, uniform * sums[-1], side="right")
""",
)
