"""A leaderboard for a class: `python -m lab.leaderboard FOLDER --text FILE --minutes N`.

Each submission's network of exercise 4 is trained on the first nine tenths of the text for equal
minutes, one after the other, and foretells the words after them. The order is that of perplexity.
Tokens, vocabulary, windows and sizes are the same for all: those of textmill, not the student's.

A submission is FOLDER/NAME.py or FOLDER/NAME/exercises.py. Each result is kept in
FOLDER-leaderboard.json as it comes, and FOLDER-leaderboard.csv and .html are made anew, so a run
that was stopped goes on where it was. What went wrong, or has another file now, is tried again.

The code runs shut in, as when it is graded, so it cannot read the text on your disk, and each
held-out word reaches it only when its guess is back. It could only know the text beforehand.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lab.language import add_option, say, spoken
from lab.sandbox.contest import PRIMED, Failed, Measured, Task, compete
from lab.sandbox.run import readable
from textmill.model.errors import TextmillError
from textmill.model.pages.escaping import escape
from textmill.model.pages.pieces import STYLE, html_page, table
from textmill.model.small_files import json_object, read_small
from textmill.model.visible import visible

_VERSION = 2
_BATCH = _STEPS = 32  # as in the notebook
_LEAST_WORDS, _MOST_WORDS = 4096, 8_000_000  # what one message to a student's process holds
_START_SECONDS = 20.0  # a guess for what each takes beside its minutes, until one is done


@dataclass(frozen=True)
class Text:
    """The teacher's text, cut into what is learned and what is to be foretold.

    Attributes:
        name: name of the file.
        hash: SHA-256 of the words' ids.
        size: V.
        inputs: windows of the training part, int32 [W, B, T].
        targets: the words after those.
        primed: the training part's last words.
        held_out: the words to foretell, which follow them.
        unknown: share of these that is not in the vocabulary.
        baselines: perplexity of counting, by names of the ways.
    """

    name: str
    hash: str
    size: int
    inputs: np.ndarray
    targets: np.ndarray
    primed: np.ndarray
    held_out: np.ndarray
    unknown: float
    baselines: dict[str, float]


@dataclass(frozen=True)
class Row:
    """A submission's place.

    Attributes:
        name: its name.
        file: SHA-256 of its file.
        results: one for each seed that is done, in the order of the seeds.
        failed: what went wrong, one line; empty if nothing did.
    """

    name: str
    file: str
    results: tuple[Measured, ...] = ()
    failed: str = ""

    @property
    def perplexity(self) -> float:
        """Exponential of the mean over words and seeds of -log p; infinite if there is none."""
        if self.failed or not self.results:
            return math.inf
        return math.exp(float(np.mean([each.nats for each in self.results])))


def read_text(file: Path, *, encoding: str | None, words: int) -> Text:
    """Reads a text and cuts it with textmill's tokenizer.

    Args:
        file: the text.
        encoding: its encoding; None means UTF-8.
        words: the most words that are held out.

    Raises:
        TextmillError: it cannot be read, or is too short.
    """
    from lab.books import read_book
    from textmill.model.settings import VocabularySettings
    from textmill.model.text.dataset import StreamBatches
    from textmill.model.text.vocabulary import EOS, RESERVED, UNKNOWN, Vocabulary, tokenize_texts
    from textmill.model.training.baselines import KneserNey

    found = tokenize_texts(read_book(file, encoding=encoding).split("\n"), "word")
    cut = len(found.ids) * 9 // 10
    if cut < _LEAST_WORDS:
        raise TextmillError(
            f"{file} has {len(found.ids):,} words; {_LEAST_WORDS * 10 // 9:,} are the least"
        )
    if cut > _MOST_WORDS:
        raise TextmillError(f"{file} has {len(found.ids):,} words: take a part of it, 8,000,000")
    counts = np.bincount(found.ids[:cut], minlength=len(found.words))
    vocabulary = Vocabulary.build(found.words, counts, VocabularySettings())
    ids = vocabulary.lookup(found.words)[found.ids]
    train, held_out = ids[:cut], ids[cut : cut + words]
    # The lab's vocabulary has no padding and no end of a text: `<unk>` is 0.
    shift = len(RESERVED) - 1
    own = np.where(ids == UNKNOWN, 0, ids - shift).astype(np.int32)
    windows = list(StreamBatches(own[:cut], _BATCH, _STEPS, seed=0).batches(0))
    size = len(vocabulary) - shift
    once = np.bincount(train, minlength=len(vocabulary)) + 1.0
    once = once[held_out] / (len(train) + size)
    counting = KneserNey(np.concatenate([[EOS], train]), vocabulary=len(vocabulary))
    # Five words need the four before each, so those of the end are read first.
    counted = counting.probabilities(np.concatenate([ids[cut - PRIMED : cut], held_out]))[PRIMED:]
    return Text(
        name=file.name,
        hash=hashlib.sha256(own.astype("<i4").tobytes()).hexdigest(),
        size=size,
        inputs=np.stack([given["ids"] for given, _, _ in windows]),
        targets=np.stack([following for _, following, _ in windows]).astype(np.int32),
        primed=own[cut - PRIMED : cut],
        held_out=own[cut : cut + words],
        unknown=float(np.mean(held_out == UNKNOWN)),
        baselines={
            "how often each word occurs": _perplexity(once),
            "counting up to five words (Kneser-Ney)": _perplexity(counted),
        },
    )


def _perplexity(p: np.ndarray) -> float:
    return float(np.exp(-np.mean(np.log(p))))


class Board:
    """The results so far, and the files that show them.

    Args:
        folder: the folder of submissions.
        settings: what all submissions share, by name; results of others do not count.

    Raises:
        TextmillError: the kept results are damaged, or of other settings.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], text: Text):
        place = folder.resolve()
        self._files = {
            ending: place.with_name(f"{place.name}-leaderboard.{ending}")
            for ending in ("json", "csv", "html")
        }
        self.settings, self._text = settings, text
        self.rows: dict[str, Row] = {}
        file = self._files["json"]
        if not file.exists():
            return
        cure = "remove it, or give --again"
        found = json_object(read_small(file), name=file, cure=cure)
        if found.get("version") != _VERSION or not isinstance(found.get("settings"), dict):
            raise TextmillError(f"{file} is of another version of the leaderboard; {cure}")
        for name, value in settings.items():
            before = found["settings"].get(name)
            if before != value:
                raise TextmillError(
                    f"{file} has results with other settings: {name} ({visible(before)[:60]} "
                    f"instead of {visible(value)[:60]}), which cannot be compared; {cure}"
                )
        try:
            for name, row in found["rows"].items():
                results = tuple(Measured(**each) for each in row["results"])
                numbers = [value for each in results for value in asdict(each).values()]
                if not all(isinstance(value, int | float) for value in numbers):
                    raise TypeError
                self.rows[name] = Row(name, str(row["file"]), results, str(row["failed"]))
        except (AttributeError, KeyError, TypeError):
            raise TextmillError(f"{file} is damaged; {cure}") from None

    def keep(self, row: Row) -> None:
        """Adds or replaces a row, and writes all files."""
        self.rows[row.name] = row
        told = {name: {k: v for k, v in asdict(r).items() if k != "name"}
                for name, r in self.rows.items()}  # fmt: skip
        whole = {"version": _VERSION, "settings": self.settings, "rows": told}
        self._write("json", json.dumps(whole, indent=1))
        self.show()

    def show(self) -> list[Path]:
        """Writes the table and the page; gives their paths."""
        self._write("csv", as_csv(self.ranked()))
        self._write("html", as_html(self.ranked(), self._text, self.settings))
        return [self._files["csv"], self._files["html"]]

    def ranked(self) -> list[Row]:
        """Gives the rows, the lowest perplexity first; equal ones by name."""
        return sorted(self.rows.values(), key=lambda row: (row.perplexity, row.name))

    def _write(self, ending: str, text: str) -> None:
        out = self._files[ending]
        part = out.with_name(out.name + ".part")
        # A name from an old archive may be no Unicode.
        part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
        part.replace(out)  # whole, or not at all


def as_csv(rows: Sequence[Row]) -> str:
    """Writes a line for each submission, in the order of the ranks."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["rank", "name", "perplexity", "lowest", "highest", "seeds", "seconds_trained",
                     "seconds_measured", "epochs", "parameters", "failed"])  # fmt: skip
    for rank, row in enumerate(rows, start=1):
        # Spreadsheets take a cell that begins with one of these for a formula.
        safe, failed = (
            "'" + text if text[:1] in tuple("=+-@\t\r") else text for text in (row.name, row.failed)
        )
        if row.perplexity == math.inf:
            writer.writerow(["", safe, *[""] * 8, failed])
            continue
        each = [math.exp(one.nats) for one in row.results]
        writer.writerow(
            [rank, safe, f"{row.perplexity:.2f}", f"{min(each):.2f}", f"{max(each):.2f}", len(each),
             f"{np.mean([one.trained for one in row.results]):.1f}",
             f"{np.mean([one.measured for one in row.results]):.1f}",
             f"{np.mean([one.epochs for one in row.results]):.1f}",
             row.results[0].parameters, failed]
        )  # fmt: skip
    return out.getvalue()


_OWN_STYLE = f"""{STYLE}
body {{ max-width: 60rem; }}
.numbers td.name, .numbers th:nth-child(2) {{ text-align: left; white-space: normal;
  overflow-wrap: anywhere; min-width: 8rem; }}
.numbers td.counting {{ color: var(--faint); font-style: italic; }}
.wrong th {{ padding-right: 1.5rem; overflow-wrap: anywhere; min-width: 6rem; }}
"""


def as_html(rows: Sequence[Row], text: Text, settings: dict[str, Any]) -> str:
    """Makes the page; it escapes all text from submissions."""
    done = [row for row in rows if row.perplexity < math.inf]
    # Counting has no rank: it stands where it would be.
    lines = [(row.perplexity, _cells(rank, row)) for rank, row in enumerate(done, start=1)]
    for name, perplexity in text.baselines.items():
        shown = f'<td class="name counting">{escape(say(name))}</td>'
        number = f'<td class="counting">{perplexity:,.1f}</td>'
        lines.append((perplexity, ["<td></td>", shown, number, *["<td></td>"] * 4]))
    lines.sort(key=lambda line: line[0])
    head = [
        say("rank"), say("name"), say("perplexity"), say("lowest to highest"), say("trained"),
        say("passes"), say("parameters"),
    ]  # fmt: skip
    about = say(
        f"{text.name}: {text.inputs.size:,} words to train on, {len(text.held_out):,} held out, "
        f"vocabulary {text.size:,}; {text.unknown:.1%} of the held-out words are unknown. Each "
        f"network had {settings['seconds'] / 60:g} min on the same machine, and "
        f"{_seeds(settings['seeds'])}, of {settings['units']} units."
    )
    counts = say(
        "Perplexity is of the held-out words; lower is better. A difference that is smaller than "
        "the one between seeds is chance. The two ways of counting are no networks, and stand "
        "where they would be."
    )
    body = [
        f"<p>{escape(about)}</p>",
        f"<p>{counts}</p>",
        table(say("The order"), head, [cells for _, cells in lines], style="numbers"),
    ]
    wrong = [row for row in rows if row.failed]
    if wrong:
        told = [
            [f'<th scope="row">{escape(row.name)}</th>', f"<td>{escape(say(row.failed))}</td>"]
            for row in wrong
        ]
        body += [
            f"<h2>{say('Not measured')}</h2>",
            table(say("What went wrong"), [say("name"), say("what")], told, style="wrong"),
        ]
    return html_page(say("Leaderboard"), "\n".join(body), style=_OWN_STYLE, language=spoken())


def _cells(rank: int, row: Row) -> list[str]:
    each = [math.exp(one.nats) for one in row.results]
    spread = say(f"{min(each):,.1f} to {max(each):,.1f}" if len(each) > 1 else "one seed")
    return [
        f"<td>{rank}</td>",
        f'<td class="name">{escape(row.name)}</td>',
        f"<td>{row.perplexity:,.1f}</td>",
        f"<td>{spread}</td>",
        f"<td>{np.mean([one.trained for one in row.results]):,.0f} s</td>",
        f"<td>{np.mean([one.epochs for one in row.results]):,.1f}</td>",
        f"<td>{row.results[0].parameters:,}</td>",
    ]


def _seeds(count: int) -> str:
    return "one seed, 0" if count == 1 else f"{count} seeds, 0 to {count - 1}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def _hash(file: Path) -> str:
    """Hash of a file; of one that cannot be read, no hash that another has."""
    try:
        return hashlib.sha256(read_small(file)).hexdigest()
    except TextmillError:
        return ""


def run(board: Board, found: dict[str, Path], task: Task, *, seeds: int) -> None:
    """Measures the submissions that are not yet; keeps each result as it comes.

    Args:
        board: where results are kept.
        found: files of submissions by name.
        task: what all are given.
        seeds: how many times each is trained.
    """
    rows = {name: Row(name, _hash(file)) for name, file in found.items()}
    for name, row in rows.items():
        before = board.rows.pop(name, None)
        if before is not None and not before.failed and row.file and before.file == row.file:
            rows[name] = before
    board.rows = {name: row for name, row in rows.items() if row.results}
    left = [(name, seed) for name in found for seed in range(len(rows[name].results), seeds)]
    kept = len(found) * seeds - len(left)
    each = task.seconds + _START_SECONDS
    took: list[float] = []
    if kept:
        print(say(f"{kept} of {len(found) * seeds} trainings are kept from before"))
    print(say(f"{len(left)} trainings, about {_duration(each * len(left))}"), flush=True)
    for number, (name, seed) in enumerate(left, start=1):
        row = board.rows.get(name, rows[name])
        if row.failed:  # with the seed before
            continue
        begun = time.monotonic()
        try:
            result = compete(found[name], task, seed=seed)
            row = Row(name, row.file, (*row.results, result))
            said = f"perplexity {math.exp(result.nats):,.1f}"
        except Failed as failed:
            row = Row(name, row.file, row.results, visible(failed))
            said = row.failed
        board.keep(row)
        took.append(time.monotonic() - begun)
        rest = float(np.mean(took)) * (len(left) - number)
        more = say(f"; about {_duration(rest)} left") if number < len(left) else ""
        line = say(f"{number} of {len(left)}: {name}, seed {seed}: {said}")
        print(visible(f"{line}{more}"), flush=True)


def _table(rows: Sequence[Row], text: Text) -> str:
    """The order as lines for a terminal."""
    lines = [(p, "", say(name)) for name, p in text.baselines.items()]
    for rank, row in enumerate(rows, start=1):
        if row.perplexity < math.inf:
            lines.append((row.perplexity, str(rank), row.name))
    told = [f"{rank:>4}  {p:>10,.1f}  {name}" for p, rank, name in sorted(lines)]
    wrong = [f"   -           -  {row.name}: {say(row.failed)}" for row in rows if row.failed]
    return "\n".join(map(visible, [say("rank  perplexity  name"), *told, *wrong]))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status is 0, 1 if it cannot, or 130 if it was stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.leaderboard",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--text", type=Path, required=True, metavar="FILE",
                        help="a text that no submission was trained on")  # fmt: skip
    parser.add_argument("--encoding", help="of the text, such as latin-1 (default: utf-8)")
    parser.add_argument("--minutes", type=float, required=True, metavar="N",
                        help="for each training, with what building the network takes")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=1, metavar="N",
                        help="how often each is trained (default: 1)")  # fmt: skip
    parser.add_argument("--units", type=int, default=256, metavar="N",
                        help="what build_model is given, half of it as the embedding's width "
                        "(default: 256)")  # fmt: skip
    parser.add_argument("--words", type=int, default=5000, metavar="N",
                        help="the most words that are held out (default: 5000)")  # fmt: skip
    parser.add_argument("--memory", type=float, default=8.0, metavar="GIB",
                        help="for a submission (default: 8)")  # fmt: skip
    parser.add_argument("--again", action="store_true", help="leave out what is kept from before")
    add_option(parser)
    args = parser.parse_args(argv)
    for name, least in (("minutes", 0), ("seeds", 1), ("units", 2), ("words", 100), ("memory", 0)):
        if not least <= getattr(args, name) < math.inf or getattr(args, name) == 0:
            allowed = f"at least {least}" if least else "more than 0"
            parser.error(say(f"--{name} must be {allowed}"))
    from lab.grade import submissions, warn

    try:
        handed_in = submissions(args.folder)
    except (ValueError, OSError) as error:
        parser.error(say(str(error)))
    for name, each in handed_in.items():
        if each.fault:
            print(visible(say(f"{name} is left out: {each.fault}")), file=sys.stderr)
    found = {name: each.file for name, each in handed_in.items() if not each.fault}
    if not found:
        parser.error(say(f"{args.folder} holds neither NAME.py nor NAME/exercises.py"))
    warn()
    try:
        text = read_text(args.text, encoding=args.encoding, words=args.words)
        task = Task(
            text.inputs, text.targets, text.primed, text.held_out, size=text.size,
            embedding=args.units // 2, units=args.units, seconds=args.minutes * 60,
            memory=args.memory,
        )  # fmt: skip
        settings = {
            "text": text.hash, "words": args.words, "seconds": task.seconds, "units": args.units,
            "seeds": args.seeds,
        }  # fmt: skip
        if args.again:
            place = args.folder.resolve()
            place.with_name(f"{place.name}-leaderboard.json").unlink(missing_ok=True)
        board = Board(args.folder, settings, text)
        if readable(args.text):
            print(
                visible(
                    say(f"a student's code could read {args.text}: put it into a folder of yours")
                ),
                file=sys.stderr,
            )
        run(board, found, task, seeds=args.seeds)
    except (TextmillError, OSError) as error:
        print(say(f"lab.leaderboard: error: {error}"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(say("\nstopped; the same command goes on from here"), file=sys.stderr)
        return 130
    print(_table(board.ranked(), text))
    for path in board.show():
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
