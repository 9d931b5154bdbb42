"""What augmentation gains: edits, rows of a model, texts with the judges' labels, for classifiers.

    python benchmarks/augmentation.py FOLDER --cache DIR [--sets trec ...] [--sizes 5 20 100 500]
        [--seeds 0 1 2 3 4] [--methods none eda aeda generated pseudo ...]
        [--classifiers tfidf tfidf+weights vectors lstm judge judge+unlabelled] [--minutes N]

FOLDER holds trec/train.tsv, snips/train.tsv, sst2/train.tsv (label, tab, text) and
ag_news/train.csv (text, label). Of the different texts of a file a thousand, always the same, are
the test rows (`TEST_SEED`); a seed draws the labelled rows from the others: 5, 20 or 100 of each
label (all there are, where they are fewer) or 500 in all. What is left over is text without labels
for the methods that take it.

Methods: `eda` is swap + delete. `generated` is augment without --unlabelled, `pseudo` is augment
with it. `-before` is the same with the judge of before: only TF-IDF of the rows. `rewritten` is
augment --with rewritten. With `generated+unlabelled` the language model learns from the texts
without labels first (augment --unlabelled F --with generated).

Classifiers: `tfidf` is a logistic regression on TF-IDF; `+weights` gives added rows a tenth of a
real row's weight. `vectors` is one on the word vectors that the judges use. `lstm` is the mean of
three trainings with other seeds, as one alone moves by two points and more. `judge` are the judges
of the filters together, as they judge a text that came from no row; with `judge+unlabelled` they
have seen the texts without labels, too. Of the judges a table says how far their confidence is to
be believed.

An interval is Student's over the seeds, for gains over paired differences; the test rows are the
same for all seeds, so it says nothing on other test rows.

Each result is a file in DIR, and so is each augmented table: a run that was stopped goes on, and
two runs with other --sets may share a folder, one on each core. --minutes ends a run at the next
cell.

Tuning, on seeds from 100 that are not reported: --per-example says how many rows a method adds for
each real one, --augment gives options to textmill augment, --penalty and --lstm set the classifiers
(NAME=VALUE each); results of each stand beside the others. The test rows are those of the report,
so what was chosen was chosen by them, too. What was chosen, and how, stands in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from table import machine

SETS = ("trec", "sst2", "ag_news", "snips")
SIZES = (5, 20, 100, 500)  # of each label, but the last is in all
IN_ALL = 500
EDITS = "eda", "aeda"
BEFORE = "-before"
MADE = (
    "generated", "generated-before", "pseudo", "pseudo-before", "rewritten", "generated+unlabelled",
)  # fmt: skip
METHODS = ("none", *EDITS, *MADE)
ASKED_FOR = 2  # the last ones, which take minutes more each, only when asked for
JUDGES = ("judge", "judge+unlabelled")  # only without added rows
CLASSIFIERS = ("tfidf", "tfidf+weights", "vectors", "lstm", *JUDGES)
TRAININGS = 3  # of the LSTM in a cell
BINS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01)  # of the judges' confidence
MINUTES = 2  # of a language model's training, at most
TEST_ROWS, TEST_SEED = 1000, 20
# Added for each real row, by size: of the edits what was tuned, of the others the default.
PER_EXAMPLE = {
    "eda": {5: 4, 20: 4, 100: 4, 500: 4},
    "aeda": {5: 4, 20: 4, 100: 1, 500: 1},
    **dict.fromkeys(MADE, dict.fromkeys(SIZES, 10)),
}
Row = tuple[str, str]  # text, label
# `textmill` with judges that know the rows' words only, and learn from no other texts.
WITH_THE_JUDGE_OF_BEFORE = """
import sys
from textmill.pipeline.augment import candidates, judge
candidates.word_vectors = lambda: None
def judges(*rows, unlabelled=(), **more):
    return judge.judges(*rows, **more)
candidates.judges = judges
from textmill.pipeline.command.cli import main
sys.exit(main())
"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What differs from the tuned choice, for tuning."""

    per_example: int | None = None
    penalty: float | None = None
    lstm: tuple[str, ...] = ()
    augment: tuple[str, ...] = ()

    def each(self, cell: Cell) -> int:
        """Rows to add for each real one."""
        return self.per_example or PER_EXAMPLE[cell.method][cell.size]

    def tag(self, cell: Cell) -> str:
        """The ending of a cell's file, so that results of other options have other files."""
        parts = []
        if self.per_example is not None and cell.method != "none":
            parts.append(f"x{self.per_example}")
        if self.penalty is not None and cell.classifier != "lstm":
            parts.append(f"penalty={self.penalty:g}")
        if cell.classifier == "lstm":
            parts += self.lstm
        if cell.method in MADE:
            parts += self.augment
        return "".join(f"-{part}" for part in parts)


@dataclass(frozen=True)
class Cell:
    """One training."""

    seed: int
    set: str
    size: int
    method: str
    classifier: str

    def path(self, cache: Path, options: Options) -> Path:
        name = f"{self.set}-{self.size}-{self.seed}-{self.method}-{self.classifier}"
        return cache / f"{name}{options.tag(self)}.json"


# -- the data --------------------------------------------------------------------------------------


def read_rows(folder: Path, name: str) -> list[Row]:
    """The different texts of a set, in the order of the file."""
    if name == "ag_news":
        with open(folder / name / "train.csv", encoding="utf-8", newline="") as file:
            rows = [(row[0], row[1]) for row in csv.reader(file)]
    else:
        lines = (folder / name / "train.tsv").read_text("utf-8").splitlines()
        rows = [(text, label) for label, _, text in (line.partition("\t") for line in lines)]
    rows = [(" ".join(text.split()), label) for text, label in rows]
    return list({text.casefold(): (text, label) for text, label in reversed(rows)}.values())[::-1]


def split(rows: Sequence[Row], size: int, seed: int) -> tuple[list[Row], list[Row], list[Row]]:
    """The labelled rows of a seed, the rows that are left over, and the test rows."""
    order = np.random.default_rng(TEST_SEED).permutation(len(rows)).tolist()
    test, pool = [rows[i] for i in order[:TEST_ROWS]], [rows[i] for i in order[TEST_ROWS:]]
    shuffled = [pool[i] for i in np.random.default_rng([seed, size]).permutation(len(pool))]
    if size == IN_ALL:
        return shuffled[:size], shuffled[size:], test
    taken: dict[str, int] = {}
    labelled: list[Row] = []
    left: list[Row] = []
    for row in shuffled:
        taken[row[1]] = taken.get(row[1], 0) + 1
        (labelled if taken[row[1]] <= size else left).append(row)
    return labelled, left, test


# -- one cell --------------------------------------------------------------------------------------


def added_rows(
    cell: Cell, labelled: Sequence[Row], left: Sequence[Row], cache: Path, options: Options
) -> list[Any]:
    """The candidates that a method adds."""
    from textmill.pipeline.augment.edits import AUGMENTERS, Candidate

    if cell.method == "none":
        return []
    texts, labels = [text for text, _ in labelled], [label for _, label in labelled]
    if cell.method in MADE:
        table = _textmill(cell, labelled, left, cache, options)
        with open(table, encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["origin"] != "real"]
        return [
            Candidate(
                row["text"],
                row["label"],
                row["origin"],
                int(row["source"]) - 1 if row["source"] else None,
            )
            for row in rows
        ]
    counts = {label: options.each(cell) * labels.count(label) for label in sorted(set(labels))}
    names = ("swap", "delete") if cell.method == "eda" else (cell.method,)
    shares = [{label: (n + i) // len(names) for label, n in counts.items()} for i in range(2)]
    return [
        candidate
        for name, share in zip(names, shares, strict=False)
        for candidate in AUGMENTERS[name](texts, labels, share, seed=cell.seed)
    ]


def table_path(cell: Cell, cache: Path, options: Options) -> Path:
    """The path of an augmented table."""
    parts = [cell.set, cell.size, cell.seed, cell.method, f"x{options.each(cell)}"]
    name = "-".join(map(str, [*parts, *options.augment]))
    return cache / "tables" / name / "augmented.csv"


def _textmill(
    cell: Cell,
    labelled: Sequence[Row],
    left: Sequence[Row],
    cache: Path,
    options: Options,
) -> Path:
    """The table that `textmill augment` writes, made once for both classifiers.

    In a process of its own: what its training leaves behind in TensorFlow ends with it.
    """
    out = table_path(cell, cache, options)
    place = out.parent
    if out.exists():
        return out
    place.mkdir(parents=True, exist_ok=True)
    with open(place / "rows.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *labelled])
    command = [
        sys.executable, "-m", "textmill", "augment", str(place / "rows.csv"),
        "--text", "text", "--label", "label", "--out", str(out), "--seed", str(cell.seed),
        "--per-example", str(options.each(cell)), "--minutes", str(MINUTES),
    ]  # fmt: skip
    for option in options.augment:  # of an option that is there twice argparse takes the last
        name, _, value = option.partition("=")
        command += [f"--{name}", value]
    kind = cell.method.removesuffix(BEFORE)
    if kind in ("rewritten", "generated+unlabelled"):
        command += ["--with", kind.removesuffix("+unlabelled")]
    if kind in ("pseudo", "generated+unlabelled"):
        (place / "left.txt").write_text("\n".join(text for text, _ in left) + "\n", "utf-8")
        command += ["--unlabelled", str(place / "left.txt")]
    other = kind
    if cell.method != kind:
        command[1:3] = ["-c", WITH_THE_JUDGE_OF_BEFORE]
    else:
        other += BEFORE
    if other in METHODS:
        _borrow(table_path(replace(cell, method=other), cache, options), out)
    if Path(f"{out}.augment").exists():
        command.append("--resume")
    with open(place / "log.txt", "w", encoding="utf-8") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)
    return out


def _borrow(made: Path, out: Path) -> None:
    """Takes over the texts that a model wrote for the same rows: only the judge differs."""
    folder, own = Path(f"{made}.augment"), Path(f"{out}.augment")
    if (folder / "generated" / "manifest.json").exists() and not own.exists():
        shutil.copytree(
            folder, own, ignore=shutil.ignore_patterns("augment.json", "rejected.jsonl")
        )


class Vectors:
    """A logistic regression on the word vectors that the judges use."""

    def fit(self, texts: Sequence[str], labels: Sequence[str], **_: Any) -> None:
        from sklearn.linear_model import LogisticRegression

        from textmill.pipeline.augment.word_vectors import word_vectors

        self._vectors = word_vectors()
        assert self._vectors is not None, "install wordllama"
        x = self._vectors.of(texts)
        self._mean = x.mean(axis=0)
        self._model = LogisticRegression(C=500 / len(texts), max_iter=300, tol=1e-3)
        self._model.fit(x - self._mean, labels)
        self.labels = self._model.classes_.tolist()

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        assert self._vectors is not None
        return np.asarray(self._model.predict_proba(self._vectors.of(texts) - self._mean))


class Judges:
    """The judges of the filters, as one classifier."""

    def __init__(self, cell: Cell, left: Sequence[Row]):
        self._seed = cell.seed
        self._left = [text for text, _ in left] if cell.classifier != "judge" else []

    def fit(self, texts: Sequence[str], labels: Sequence[str], **_: Any) -> None:
        from textmill.pipeline.augment.judge import judges
        from textmill.pipeline.augment.word_vectors import word_vectors

        self._fitted = judges(
            texts, labels, vectors=word_vectors(), seed=self._seed, unlabelled=self._left
        )
        self.labels = self._fitted[0][0].labels

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        return np.mean([judge.probabilities(texts) for judge, _ in self._fitted], axis=0)


def run(cell: Cell, rows: Sequence[Row], cache: Path, options: Options) -> dict[str, Any]:
    """Trains and tests; seconds are those of this call, the making of the rows included."""
    from textmill.pipeline.augment.classifiers import LstmClassifier, TfidfClassifier
    from textmill.pipeline.augment.gain import accuracy

    started = time.monotonic()
    labelled, left, test = split(rows, cell.size, cell.seed)
    added = added_rows(cell, labelled, left, cache, options)
    classifiers: list[Any]
    if cell.classifier in JUDGES:
        classifiers = [Judges(cell, left)]
    elif cell.classifier == "vectors":
        classifiers = [Vectors()]
    elif cell.classifier.startswith("tfidf"):
        more: Any = {} if options.penalty is None else {"penalty": options.penalty}
        if not cell.classifier.endswith("+weights"):
            more["added_weight"] = 1.0
        classifiers = [TfidfClassifier(seed=cell.seed, **more)]
    else:
        from textmill.pipeline.augment.lstm_classifier import LstmSettings

        named = dict(option.split("=") for option in options.lstm)
        kinds = {name: type(value) for name, value in asdict(LstmSettings()).items()}
        settings = LstmSettings(**{name: kinds[name](value) for name, value in named.items()})
        seeds = range(TRAININGS * cell.seed, TRAININGS * (cell.seed + 1))
        classifiers = [LstmClassifier(seed=seed, settings=settings) for seed in seeds]
    texts, names = [text for text, _ in test], [label for _, label in test]
    accuracies = []
    for classifier in classifiers:
        classifier.fit(
            [text for text, _ in labelled] + [row.text for row in added],
            [label for _, label in labelled] + [row.label for row in added],
            sources=[row.source for row in added],
        )
        accuracies.append(accuracy(classifier, texts, names))
    found = {
        **asdict(cell),
        "accuracy": float(np.mean(accuracies)),
        "accuracies": accuracies,
        "rows": len(labelled),
        "added": len(added),
        "seconds": round(time.monotonic() - started, 2),
    }
    if cell.classifier in JUDGES:
        p = classifiers[0].probabilities(texts)
        best = [classifiers[0].labels[i] for i in p.argmax(axis=1)]
        right = [label == name for label, name in zip(best, names, strict=True)]
        found["sure"] = [p.max(axis=1).round(4).tolist(), right]
    return found


# -- all of them -----------------------------------------------------------------------------------


def seconds_left(missing: Iterable[Cell], done: Iterable[dict[str, Any]]) -> float:
    """What the missing cells will take, by those that are done and most like them."""
    seen: dict[tuple[Any, ...], list[float]] = {}

    def kinds(method: str, classifier: str, name: str, size: int) -> list[tuple[Any, ...]]:
        whole = (method, classifier, name, size)
        return [whole, whole[:3], whole[:2], whole[1:2], ()]

    for found in done:
        for kind in kinds(found["method"], found["classifier"], found["set"], found["size"]):
            seen.setdefault(kind, []).append(found["seconds"])
    total = 0.0
    for cell in missing:
        known = kinds(cell.method, cell.classifier, cell.set, cell.size)
        total += float(np.mean(next((seen[kind] for kind in known if kind in seen), [0.0])))
    return total


def text_of(values: Sequence[float], *, signed: bool = False) -> str:
    """Mean and 95 % interval."""
    from textmill.pipeline.augment.gain import interval

    form = "+.1f" if signed else ".1f"
    if len(values) < 2:
        return format(values[0], form) if values else ""
    mean, low, high = interval(values, ratio=0)
    if not signed:
        return f"{mean:.1f} ± {high - mean:.1f}"
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def print_tables(found: Sequence[dict[str, Any]], methods: Sequence[str]) -> None:
    """For each classifier and size: accuracy without, and the gain of each method, by set."""
    scores = {
        (f["classifier"], f["size"], f["set"], f["method"], f["seed"]): f["accuracy"] for f in found
    }
    added = [method for method in methods if method != "none"]
    sets = [name for name in SETS if any(f["set"] == name for f in found)]
    print(f"{machine()}\n")
    print(f"| classifier | rows | set | seeds | none | {' | '.join(added)} |")
    print("|---|---|---|---|---|" + "---|" * len(added))

    def gains(classifier: str, size: int, names: Sequence[str], method: str) -> list[float]:
        """The mean over the sets, for each seed that has all of them."""
        out = []
        for seed in sorted({f["seed"] for f in found}):
            pairs = [
                [scores.get((classifier, size, name, m, seed)) for m in ("none", method)]
                for name in names
            ]
            if all(None not in pair for pair in pairs):
                known: Any = pairs
                bare, value = (float(np.mean(part)) for part in zip(*known, strict=True))
                out.append(value if method == "none" else value - bare)
        return out

    for classifier in CLASSIFIERS:
        for size in SIZES:
            if not any((f["classifier"], f["size"]) == (classifier, size) for f in found):
                continue
            groups = [[name] for name in sets]
            for names in groups if len(sets) == 1 else [*groups, sets]:
                without = gains(classifier, size, names, "none")
                row = [
                    classifier,
                    f"{size} in all" if size == IN_ALL else f"{size} a label",
                    names[0] if len(names) == 1 else "mean",
                    str(len(without)),
                    text_of(without),
                    *(text_of(gains(classifier, size, names, m), signed=True) for m in added),
                ]
                print(f"| {' | '.join(row)} |")


def print_reliability(found: Sequence[dict[str, Any]]) -> None:
    """How often the judges are right, by their confidence; both are the same if it is calibrated.

    The last column is the mean distance of both over all texts (expected calibration error).
    """
    told = [f for f in found if "sure" in f]
    if not told:
        return
    names = [f"{low:.1f} to {min(high, 1):.1f}" for low, high in pairwise(BINS)]
    print(f"\n| judge | rows | {' | '.join(names)} | mean distance |")
    print("|---|---|" + "---|" * (len(names) + 1))
    for classifier, size in sorted({(f["classifier"], f["size"]) for f in told}):
        some = [f["sure"] for f in told if (f["classifier"], f["size"]) == (classifier, size)]
        sure, right = (np.concatenate([pair[i] for pair in some]) for i in range(2))
        cells, distance = [], 0.0
        for low, high in pairwise(BINS):
            here = (sure >= low) & (sure < high)
            if here.any():
                said, was = sure[here].mean(), right[here].mean()
                cells.append(f"{said:.2f}: {was:.2f}")
                distance += here.mean() * abs(said - was)
            else:
                cells.append("")
        shown = f"{size} in all" if size == IN_ALL else f"{size} a label"
        print(f"| {classifier} | {shown} | {' | '.join(cells)} | {distance:.3f} |")


def print_quality(
    cells: Iterable[Cell], rows: dict[str, list[Row]], cache: Path, options: Options
) -> None:
    """Of augmented tables: labels, copies and seconds, measured here from the texts alone.

    Right is a label that a classifier of all rows of the set gives, too. Copies are looked for in
    the rows learned from: runs of eight words or more, and the largest Jaccard similarity.
    """
    from textmill.pipeline.augment.classifiers import TfidfClassifier

    judges: dict[str, TfidfClassifier] = {}
    groups: dict[tuple[int, str, str], list[tuple[float, ...]]] = {}
    looked_at = ("generated-before", "generated", "pseudo-before", "pseudo")
    made = {table_path(c, cache, options): c for c in cells if c.method in looked_at}
    made = {out: cell for out, cell in made.items() if out.exists()}
    if not made:
        return
    print(
        "\n| rows | set | method | kept of wanted | label right | with 8 words copied "
        "| most alike | s |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for out, cell in made.items():
        with open(out, encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file))
        real = [row["text"].casefold().split() for row in table if row["origin"] == "real"]
        kept = [(row["text"], row["label"]) for row in table if row["origin"] != "real"]
        if cell.set not in judges:
            texts, labels = zip(*rows[cell.set], strict=True)
            judges[cell.set] = TfidfClassifier().fit(texts, labels)
        runs = {tuple(words[i : i + 8]) for words in real for i in range(len(words) - 7)}
        sets = [set(words) for words in real]
        copied, alike, right = 0, 0.0, 0.0
        for text, _ in kept:
            words = text.casefold().split()
            copied += any(tuple(words[i : i + 8]) in runs for i in range(len(words) - 7))
            own = set(words)
            alike = max(alike, max(len(own & other) / len(own | other) for other in sets))
        if kept:
            judge = judges[cell.set]
            best = judge.probabilities([text for text, _ in kept]).argmax(axis=1)
            pairs = zip(best, kept, strict=True)
            right = float(np.mean([judge.labels[i] == label for i, (_, label) in pairs]))
        about = json.loads((Path(f"{out}.augment") / "augment.json").read_text("utf-8"))
        groups.setdefault((cell.size, cell.set, cell.method), []).append(
            (
                len(kept) / max(about["counts"]["wanted"], 1),
                right,
                copied / max(len(kept), 1),
                alike,
                sum(about["seconds"].values()),
            )
        )
    for (size, name, method), found in sorted(groups.items()):
        share, right, copied, _, seconds = np.mean(found, axis=0)
        alike = max(one[3] for one in found)
        shown = f"{size} in all" if size == IN_ALL else f"{size} a label"
        print(
            f"| {shown} | {name} | {method} | {share:.0%} | {right:.1%} | {copied:.1%} "
            f"| {alike:.2f} | {seconds:.0f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--sizes", nargs="+", type=int, choices=SIZES, default=SIZES)
    parser.add_argument("--seeds", nargs="+", type=int, default=range(5))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS[:-ASKED_FOR])
    parser.add_argument("--classifiers", nargs="+", choices=CLASSIFIERS, default=CLASSIFIERS)
    parser.add_argument("--minutes", type=float, help="start no cell after so many")
    parser.add_argument("--per-example", type=int)
    parser.add_argument("--penalty", type=float, help="of tfidf")
    parser.add_argument("--lstm", nargs="+", default=(), metavar="NAME=NUMBER")
    parser.add_argument("--augment", nargs="+", default=(), metavar="NAME=VALUE",
        help="options of textmill augment")  # fmt: skip
    args = parser.parse_args()
    from textmill.model.tensorflow_setup import use_one_thread

    use_one_thread()
    options = Options(
        per_example=args.per_example,
        penalty=args.penalty,
        lstm=tuple(args.lstm),
        augment=tuple(args.augment),
    )
    cells = [
        Cell(seed, name, size, method, classifier)
        for seed in args.seeds
        for name in args.sets
        for size in args.sizes
        for method in args.methods
        for classifier in args.classifiers
        if method == "none" or classifier not in JUDGES
    ]
    args.cache.mkdir(parents=True, exist_ok=True)
    rows = {name: read_rows(args.folder, name) for name in args.sets}
    found, missing = [], []
    for cell in cells:
        place = cell.path(args.cache, options)
        if place.exists():
            found.append(json.loads(place.read_text()))
        else:
            missing.append(cell)
    started, made = time.monotonic(), []
    for i, cell in enumerate(missing):
        if args.minutes is not None and time.monotonic() - started > 60 * args.minutes:
            print(f"{len(missing) - i} cells are missing; run again", file=sys.stderr)
            break
        made.append(run(cell, rows[cell.set], args.cache, options))
        place = cell.path(args.cache, options)
        temporary = place.with_suffix(".tmp")
        temporary.write_text(json.dumps(made[-1]) + "\n")
        temporary.rename(place)
        left = seconds_left(missing[i + 1 :], found + made) / 60
        print(
            f"{len(found) + i + 1} of {len(cells)}: {place.stem} {made[-1]['accuracy']:.1f}, "
            f"{made[-1]['seconds']:.0f} s; about {left:.0f} min left",
            file=sys.stderr,
            flush=True,
        )
    print_tables(found + made, args.methods)
    print_reliability(found + made)
    print_quality(cells, rows, args.cache, options)


if __name__ == "__main__":
    main()
