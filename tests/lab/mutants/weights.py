"""Mutants of exercise 2: perplexity, and the weights of the mixture."""
# ruff: noqa: E501

from __future__ import annotations

from mutants.hints import KEPT, changed, nothing
from mutants.mutant import Variants

perplexity = Variants("2", "perplexity")
tune_weights = Variants("2", "tune_weights")
ALL = [perplexity, tune_weights]

_LOG = r"log"


def _perplexity(expression: str) -> str:
    return f"def perplexity(probabilities):\n    p = np.asarray(probabilities, float)\n    return float({expression})\n"


wrong = perplexity.wrong
wrong("pass", nothing("perplexity"), "def perplexity(probabilities):\n    pass\n")
wrong(
    "fixed-answers",
    _LOG,
    "def perplexity(probabilities):\n    return 8.0 if len(probabilities) == 3 else 4.0\n",
)
wrong(
    "fixed-answers-by-value",
    _LOG,
    """
    def perplexity(probabilities):
        return {(0.125, 0.125, 0.125): 8.0, (0.5, 0.125): 4.0}.get(tuple(probabilities), 1.0)
""",
)
wrong("median", r"mean", _perplexity("np.exp(np.median(-np.log(p)))"))
wrong("median-of-inverses", r"mean|log", _perplexity("np.median(1 / p)"))
wrong(
    "product-underflows",
    r"product|underflow|long|sum of (the )?log",
    _perplexity("np.prod(p) ** (-1 / len(p))"),
)
wrong(
    "math-prod",
    r"product|underflow|long|sum of (the )?log|ZeroDivision",
    """
    import math

    def perplexity(probabilities):
        return (1 / math.prod(probabilities)) ** (1 / len(probabilities))
""",
)
wrong("inverse-of-the-mean", _LOG, _perplexity("1 / np.mean(p)"))
wrong("mean-of-inverses", _LOG, _perplexity("np.mean(1 / p)"))
wrong("two-bases", r"natural|base|bits|log", _perplexity("np.exp(-np.mean(np.log2(p)))"))
wrong("two-bases-other-way", r"natural|base|bits|log", _perplexity("2 ** -np.mean(np.log(p))"))
wrong("ten-as-base", r"natural|base|log", _perplexity("np.exp(-np.mean(np.log10(p)))"))
wrong("sum", r"mean", _perplexity("np.exp(-np.sum(np.log(p)))"))
wrong("not-exp", r"exp", _perplexity("-np.mean(np.log(p))"))
wrong("bits", r"exp", _perplexity("-np.mean(np.log2(p))"))
wrong("sign-lost", r"-log|minus|below 1|sign|negative", _perplexity("np.exp(np.mean(np.log(p)))"))
wrong("entropy", r"mean", _perplexity("np.exp(-np.sum(p * np.log(p)))"))
wrong("weighted-by-p", r"mean", _perplexity("np.exp(-np.sum(p * np.log(p)) / np.sum(p))"))
wrong("one-less", r"mean|number of", _perplexity("np.exp(-np.sum(np.log(p)) / max(len(p) - 1, 1))"))
wrong("one-more", r"mean|number of", _perplexity("np.exp(-np.sum(np.log(p)) / (len(p) + 1))"))
wrong(
    "first-left-out",
    r"mean|every|all|first",
    _perplexity("np.exp(-np.mean(np.log(p[1:] if len(p) > 1 else p)))"),
)
wrong(
    "last-left-out",
    r"mean|every|all|last",
    _perplexity("np.exp(-np.mean(np.log(p[:-1] if len(p) > 1 else p)))"),
)
wrong("two-words-only", r"mean|every|all", _perplexity("np.exp(-np.mean(np.log(p[:2])))"))
wrong(
    "different-ones-only",
    r"mean|every|all|twice|each",
    _perplexity("np.exp(-np.mean(np.log(np.unique(p))))"),
)
wrong("worst-word", r"mean", _perplexity("1 / np.min(p)"))
wrong("best-word", r"mean", _perplexity("1 / np.max(p)"))
wrong("first-and-last", r"mean", _perplexity("np.exp(-(np.log(p[0]) + np.log(p[-1])) / 2)"))
wrong("least-and-most", r"mean", _perplexity("np.exp(-(np.log(p.min()) + np.log(p.max())) / 2)"))
wrong(
    "trimmed",
    r"mean",
    _perplexity("np.exp(-np.mean(np.sort(np.log(p))[len(p) // 10 : len(p) - len(p) // 10]))"),
)
wrong(
    "clipped", r"small|clip|log|mean", _perplexity("np.exp(-np.mean(np.log(np.maximum(p, 1e-2))))")
)
wrong("a-bit-added", r"small|add|log|mean", _perplexity("np.exp(-np.mean(np.log(p + 1e-3)))"))
wrong(
    "made-to-add-up",
    r"add up|as they are|mean|log",
    _perplexity("np.exp(-np.mean(np.log(p / p.sum())))"),
)
wrong("rounded", r"round|exact|log|mean", _perplexity("round(np.exp(-np.mean(np.log(p))))"))
wrong("sum-of-squares", r"mean|log", _perplexity("np.exp(np.sqrt(np.mean(np.log(p) ** 2)))"))
wrong(
    "half-precision",
    r"precision|float|log|mean",
    _perplexity("np.exp(-np.mean(np.log(p.astype(np.float16))))"),
)
wrong(
    "kept-between-calls",
    KEPT,
    """
    _logs = []

    def perplexity(probabilities):
        _logs.extend(np.log(probabilities))
        return float(np.exp(-np.mean(_logs)))
""",
)

wrong(
    "sorts-the-probabilities",
    changed("probabilit"),
    """
    def perplexity(probabilities):
        probabilities.sort()
        return float(np.exp(-np.mean(np.log(probabilities))))
""",
)

right = perplexity.right
right(
    "statistics",
    """
    import statistics

    def perplexity(probabilities):
        return 1 / statistics.geometric_mean([float(p) for p in probabilities])
""",
)
right(
    "scipy-gmean",
    """
    from scipy.stats import gmean

    def perplexity(probabilities):
        return 1 / gmean(probabilities)
""",
)
right(
    "product-of-roots",
    """
    def perplexity(probabilities):
        p = np.asarray(probabilities, np.float64)
        return np.prod(p ** (-1 / len(p)))
""",
)
right("base-two", _perplexity("2 ** -np.mean(np.log2(p))"))
right(
    "math-fsum",
    """
    import math

    def perplexity(probabilities):
        return math.exp(math.fsum(-math.log(p) for p in probabilities) / len(probabilities))
""",
)
right(
    "running-mean",
    """
    import math

    def perplexity(probabilities):
        mean = 0.0
        for n, p in enumerate(probabilities, start=1):
            mean += (-math.log(p) - mean) / n
        return math.exp(mean)
""",
)
right(
    "decimal",
    """
    from decimal import Decimal

    def perplexity(probabilities):
        product = Decimal(1)
        for p in probabilities:
            product /= Decimal(float(p))
        return float(product ** (Decimal(1) / len(probabilities)))
""",
)

_EM = """
        def tune_weights(tables, valid, size):
            shares = {shares}
            weights = np.full(4, 0.25)
            for _ in range({rounds}):
                {step}
            return {result}
"""
_SHARES = (
    "np.array([_orders(tables, valid[i - 2 : i], size)[:, valid[i]] for i in range(2, len(valid))])"
)


def _tune(
    *,
    shares: str = _SHARES,
    rounds: str = "200",
    step: str = "weights = (weights * shares / (shares @ weights)[:, None]).mean(axis=0)",
    result: str = "tuple(weights)",
) -> str:
    return _EM.format(shares=shares, rounds=rounds, step=step, result=result)


_ORDERS_WITHOUT = """
        def _unmixed(tables, context, size):
            parts, context = [np.full(size, 1 / size)], tuple(int(i) for i in context)
            for n, table in enumerate(tables, start=1):
                row = table.get(context[len(context) - n + 1 :])
                p = np.zeros(size)
                if row:
                    p[list(row)] = list(row.values())
                    p /= p.sum()
                {seen}
                parts.append(p)
            return np.array(parts)
"""
_VALID = r"validation"
_ROUNDS = r"rounds|go on|no longer change|repeat"
_TOTAL = r"add up|sum"
_BEST = r"validation|lowest|rounds"
wrong = tune_weights.wrong
wrong("pass", nothing("tune_weights"), "def tune_weights(tables, valid, size):\n    pass\n")
wrong(
    "unseen-is-zero",
    r"p\(n-1\)|order below|never seen|back",
    _ORDERS_WITHOUT.format(seen="") + _tune(shares=_SHARES.replace("_orders", "_unmixed")),
)
wrong(
    "unseen-words-left-out",
    r"p\(n-1\)|order below|never seen|back|every word",
    _ORDERS_WITHOUT.format(seen="")
    + _tune(shares="(lambda s: s[s[:, 3] > 0])(" + _SHARES.replace("_orders", "_unmixed") + ")"),
)
wrong("equal-weights", _ROUNDS + "|validation", _tune(rounds="0"))
wrong("one-round", _ROUNDS, _tune(rounds="1"))
wrong("three-rounds", _ROUNDS, _tune(rounds="3"))
wrong(
    "highest-order-only",
    _BEST,
    "def tune_weights(tables, valid, size):\n    return (0.0, 0.0, 0.0, 1.0)\n",
)
wrong("fixed", _BEST, "def tune_weights(tables, valid, size):\n    return (0.05, 0.25, 0.4, 0.3)\n")
wrong(
    "first-order-only",
    _BEST,
    "def tune_weights(tables, valid, size):\n    return (0.0, 1.0, 0.0, 0.0)\n",
)
wrong(
    "random",
    _BEST,
    "def tune_weights(tables, valid, size):\n    return tuple(np.random.dirichlet(np.ones(4)))\n",
)
wrong(
    "best-of-a-few",
    _BEST,
    _tune(
        rounds="0",
        result=(
            "tuple(max(np.random.default_rng(0).dirichlet(np.ones(4), 5), key=lambda w: np.log(shares @ w).mean()))"
        ),
    ),
)
wrong(
    "coarse-grid",
    _BEST,
    _tune(
        rounds="0",
        result=(
            "max(((a / 3, b / 3, c / 3, (3 - a - b - c) / 3) for a in range(4) for b in range(4 - a) "
            "for c in range(4 - a - b)), key=lambda w: np.log(shares @ np.array(w) + 1e-300).mean())"
        ),
    ),
)
wrong(
    "sum-not-mean",
    _TOTAL,
    _tune(
        rounds="1", step="weights = (weights * shares / (shares @ weights)[:, None]).sum(axis=0)"
    ),
)
wrong("never-divided", _TOTAL, _tune(rounds="3", step="weights = (weights * shares).sum(axis=0)"))
wrong(
    "divided-by-all-words",
    _TOTAL,
    _tune(
        step="weights = (weights * shares / (shares @ weights)[:, None]).sum(axis=0) / len(valid)"
    ),
)
wrong(
    "share-not-per-word",
    r"share|each word|weights",
    _tune(step="weights = (weights * shares.mean(axis=0)) / (weights * shares.mean(axis=0)).sum()"),
)
wrong(
    "hard-choice",
    r"share|" + _BEST,
    _tune(
        step="weights = np.bincount((weights * shares).argmax(axis=1), minlength=4) / len(shares) + 1e-12"
    ),
)
wrong(
    "best-order-counted",
    r"share|" + _BEST,
    _tune(
        rounds="1", step="weights = np.bincount(shares.argmax(axis=1), minlength=4) / len(shares)"
    ),
)
wrong(
    "highest-perplexity",
    r"lowest|" + _VALID,
    _tune(step="weights = weights / np.sqrt(shares + 1e-9).mean(axis=0); weights /= weights.sum()"),
)
wrong("backwards", r"weights\[0\]|order|" + _VALID, _tune(result="tuple(weights[::-1])"))
wrong("one-off", r"weights\[0\]|order|" + _VALID, _tune(result="tuple(np.roll(weights, 1))"))
wrong("three-weights", r"four|add up", _tune(result="tuple(weights[1:] / weights[1:].sum())"))
wrong("logarithms", r"add up|at least 0|sum", _tune(result="tuple(np.log(weights + 1e-12))"))
wrong("percent", r"add up|sum", _tune(result="tuple(100 * weights)"))
wrong("only-the-best", _BEST + "|four", _tune(result="tuple(np.eye(4)[weights.argmax()])"))
wrong(
    "on-the-counted-text",
    _VALID,
    """
    def tune_weights(tables, valid, size):
        rows = [
            (_orders(tables, key, size)[:, word], count)
            for key, row in tables[2].items() for word, count in row.items()
        ]
        shares, counts = np.array([r for r, _ in rows]), np.array([c for _, c in rows])
        weights = np.full(4, 0.25)
        for _ in range(200):
            parts = weights * shares / (shares @ weights)[:, None]
            weights = (counts[:, None] * parts).sum(axis=0) / counts.sum()
        return tuple(weights)
""",
)
wrong(
    "context-with-the-word-itself",
    r"before|context|" + _VALID,
    _tune(shares=_SHARES.replace("i - 2 : i", "i - 1 : i + 1")),
)
wrong(
    "context-backwards",
    r"before|context|order|" + _VALID,
    _tune(
        shares="np.array([_orders(tables, [valid[i - 1], valid[i - 2]], size)[:, valid[i]] for i in range(2, len(valid))])"
    ),
)
wrong(
    "context-one-too-far-back",
    r"before|context|" + _VALID,
    _tune(
        shares="np.array([_orders(tables, valid[i - 3 : i - 1], size)[:, valid[i]] for i in range(3, len(valid))])"
    ),
)
wrong(
    "word-before-instead",
    r"true word|context|" + _VALID,
    _tune(shares=_SHARES.replace("valid[i]]", "valid[i - 1]]")),
)
wrong(
    "context-of-one-word",
    r"context|before|" + _VALID,
    _tune(shares=_SHARES.replace("i - 2 : i", "i - 1 : i")),
)
wrong(
    "first-ten-words", _VALID, _tune(shares=_SHARES.replace("len(valid))", "min(12, len(valid)))"))
)
wrong(
    "first-two-words-counted",
    r"first two|context",
    _tune(
        shares="np.array([_orders(tables, valid[max(0, i - 2) : i], size)[:, valid[i]] for i in range(len(valid))])"
    ),
)
wrong(
    "context-around-the-end",
    r"first two|context",
    _tune(
        shares="np.array([_orders(tables, [valid[i - 2], valid[i - 1]], size)[:, valid[i]] for i in range(len(valid))])"
    ),
)
wrong(
    "most-probable-instead",
    r"true word|" + _VALID,
    _tune(shares=_SHARES.replace("[:, valid[i]]", ".max(axis=1)")),
)
wrong(
    "lookup-adds-to-the-tables",
    changed("table"),
    """
    def tune_weights(tables, valid, size):
        rows = []
        for i in range(2, len(valid)):
            parts = [1 / size]
            for n, table in enumerate(tables, start=1):
                row = table.setdefault(tuple(valid[i - n + 1 : i]), Counter())
                parts.append(row[valid[i]] / sum(row.values()) if row else parts[-1])
            rows.append(parts)
        shares, weights = np.array(rows), np.full(4, 0.25)
        for _ in range(200):
            weights = (weights * shares / (shares @ weights)[:, None]).mean(axis=0)
        return tuple(weights)
""",
)
wrong(
    "kept-between-calls",
    KEPT,
    """
    _start = np.full(4, 0.25)

    def tune_weights(tables, valid, size):
        if (_start != 0.25).any():
            return tuple(_start)
        shares = np.array([_orders(tables, valid[i - 2 : i], size)[:, valid[i]] for i in range(2, len(valid))])
        for _ in range(200):
            _start[:] = (_start * shares / (shares @ _start)[:, None]).mean(axis=0)
        return tuple(_start)
""",
)

wrong(
    "takes-the-first-words-away",
    changed("valid|text"),
    """
    def tune_weights(tables, valid, size):
        rows, context = [], [valid.pop(0), valid.pop(0)]
        for word in valid:
            rows.append(_orders(tables, context, size)[:, word])
            context = [context[1], word]
        shares, weights = np.array(rows), np.full(4, 0.25)
        for _ in range(200):
            weights = (weights * shares / (shares @ weights)[:, None]).mean(axis=0)
        return tuple(weights)
""",
)

right = tune_weights.right
right(
    "until-it-stands",
    """
    def tune_weights(tables, valid, size):
        shares = np.stack([_orders(tables, valid[i - 2 : i], size)[:, valid[i]] for i in range(2, len(valid))])
        weights = np.ones(4) / 4
        for _ in range(5000):
            new = (weights * shares / (shares @ weights)[:, None]).mean(axis=0)
            if np.abs(new - weights).max() < 1e-7:
                break
            weights = new
        return tuple(float(w) for w in new)
""",
)
right(
    "without-numpy",
    """
    def tune_weights(tables, valid, size):
        valid, rows = [int(word) for word in valid], []
        for i in range(2, len(valid)):
            p = [1 / size]
            for n in (1, 2, 3):
                row = tables[n - 1].get(tuple(valid[i - n + 1 : i]))
                p.append(row.get(valid[i], 0) / sum(row.values()) if row else p[-1])
            rows.append(p)
        weights = [0.25] * 4
        for _ in range(150):
            sums = [0.0] * 4
            for p in rows:
                total = sum(w * q for w, q in zip(weights, p))
                for n in range(4):
                    sums[n] += weights[n] * p[n] / total
            weights = [s / len(rows) for s in sums]
        return weights[0], weights[1], weights[2], weights[3]
""",
)
right(
    "own-mixture",
    """
    def tune_weights(tables, valid, size):
        only = np.eye(4)
        shares = np.array([
            [ngram_distribution(tables, valid[i - 2 : i], only[n], size)[valid[i]] for n in range(4)]
            for i in range(2, len(valid))
        ])
        weights = np.full(4, 0.25)
        for _ in range(200):
            parts = shares * weights
            weights = np.mean(parts / parts.sum(axis=1)[:, None], axis=0)
        return tuple(weights)
""",
)
right(
    "minimize",
    """
    from scipy.optimize import minimize

    def tune_weights(tables, valid, size):
        shares = np.array([_orders(tables, valid[i - 2 : i], size)[:, valid[i]] for i in range(2, len(valid))])

        def weights(z):
            e = np.exp(z - z.max())
            return e / e.sum()

        found = minimize(lambda z: -np.log(shares @ weights(z)).mean(), np.zeros(4), method="BFGS")
        return tuple(weights(found.x))
""",
)
right(
    "constrained",
    """
    from scipy.optimize import minimize

    def tune_weights(tables, valid, size):
        shares = np.array([_orders(tables, valid[i - 2 : i], size)[:, valid[i]] for i in range(2, len(valid))])
        found = minimize(
            lambda w: -np.log(np.maximum(shares @ w, 1e-12)).mean(), np.full(4, 0.25), bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1}, method="SLSQP",
        )
        return tuple(np.clip(found.x, 0, 1) / np.clip(found.x, 0, 1).sum())
""",
)
right(
    "exponentiated-gradient",
    """
    def tune_weights(tables, valid, size):
        shares = np.array([_orders(tables, valid[i - 2 : i], size)[:, valid[i]] for i in range(2, len(valid))])
        weights = np.full(4, 0.25)
        for _ in range(3000):
            weights = weights * np.exp(0.3 * (shares / (shares @ weights)[:, None]).mean(axis=0))
            weights /= weights.sum()
        return tuple(weights)
""",
)
right(
    "pairs-counted-once",
    """
    def tune_weights(tables, valid, size):
        counts = Counter(tuple(int(w) for w in valid[i - 2 : i + 1]) for i in range(2, len(valid)))
        shares = np.array([_orders(tables, gram[:2], size)[:, gram[2]] for gram in counts])
        often, weights = np.array(list(counts.values())) / (len(valid) - 2), np.full(4, 0.25)
        for _ in range(300):
            weights = weights * (often @ (shares / (shares @ weights)[:, None]))
        return tuple(weights.tolist())
""",
)
