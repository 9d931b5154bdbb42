"""The options of the `textmill` command. Loads nothing heavy: `--help` must answer at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, NoReturn, TypeVar

from textmill.model.settings import (
    AUTO,
    LEVELS,
    MODES,
    OUTPUTS,
    PRECISIONS,
    PRESETS,
    SCHEDULES,
    GenerationSettings,
    TrainSettings,
    VocabularySettings,
)
from textmill.pipeline.command.status import WRONG_USE
from textmill.pipeline.job.dataflow import PRESETS as DATAFLOW

Command = Callable[[argparse.Namespace], int]
Settings = TypeVar("Settings")


class _Parser(argparse.ArgumentParser):
    def __init__(self, **kwargs: Any):
        super().__init__(**{**kwargs, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USE, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """The command line's parser; `args.run` is the function that does the work.

    Args:
        commands: a function for each command by name.
    """
    top = _Parser(
        prog="textmill",
        description="Trains an LSTM language model on any text and writes text with it in bulk.",
    )
    subparsers = top.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_train(subparsers, commands["train"])
    _add_evaluate(subparsers, commands["evaluate"])
    _add_sample(subparsers, commands["sample"])
    _add_generate(subparsers, commands["generate"])
    _add_augment(subparsers, commands["augment"])
    _add_verify(subparsers, commands["verify"])
    _add_report(subparsers, commands["report"])
    _add_bench(subparsers, commands["bench"])
    _add_plan(subparsers, commands["plan"])
    _add_play(subparsers, commands["play"])
    _add_demo(subparsers, commands["demo"])
    return top


def settings_of(kind: type[Settings], args: argparse.Namespace, **given: Any) -> Settings:
    """Makes settings from the parsed options that have the names of their fields.

    A field without an option, or whose option was left out, keeps its default.

    Args:
        kind: a dataclass.
        given: fields that follow from more than one option.

    Raises:
        SettingError: a value is not allowed.
    """
    values = {}
    for field in fields(kind):  # type: ignore[arg-type]
        value = getattr(args, field.name, None)
        if value is not None:
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**{**values, **given})


def _command(subparsers: Any, name: str, run: Command, summary: str) -> argparse.ArgumentParser:
    command = subparsers.add_parser(name, help=summary, description=summary)
    command.set_defaults(run=run)
    return command


def _add_train(subparsers: Any, run: Command) -> None:
    add = _command(subparsers, "train", run, "train a model on texts").add_argument
    add("corpus", nargs="+", metavar="CORPUS", help="text files or patterns; tables with --labels")
    add("--out", required=True, metavar="MODEL", help="directory to make")
    add("--mode", choices=MODES, help="stream: one long text (default); lines: each line its own "
        "(default for tables)")  # fmt: skip
    add("--level", choices=LEVELS, default="word", help="what a token is (default: word)")
    add("--preset", choices=[AUTO, *PRESETS], default=AUTO, help="network size (default: auto, by "
        "corpus and budget)")  # fmt: skip
    add("--output", choices=OUTPUTS, default="auto", help="softmax over all words, or over the "
        "frequent ones and clusters of the others (default: auto, what is faster)")  # fmt: skip
    add("--labels", metavar="COLUMN", help="column of labels, by name or number: table, not text")
    add("--text", metavar="COLUMN", help="column of texts (default: text): table, not text")
    add("--minutes", type=float, metavar="N", help="budget in minutes")
    add("--epochs", type=int, metavar="N", help="passes at most (default: 40, none with --minutes)")
    add("--seed", type=int, default=0, metavar="N", help="of weights, dropout, order (default: 0)")
    add("--encoding", metavar="NAME", help="of the files (default: UTF-8, or by byte-order mark)")
    add("--no-unwrap", dest="unwrap", action="store_false", help="a paragraph is one line")
    add("--min-count", type=int, metavar="N", help="rarer words are unknown (default: 2; char and "
        "whitespace 1)")  # fmt: skip
    add("--max-size", type=int, default=VocabularySettings.max_size, metavar="N",
        help="most entries of the vocabulary (default: %(default)s)")  # fmt: skip
    add("--dropout", type=float, metavar="X", help="share of features dropped; this and the next "
        "five are chosen by corpus and budget")  # fmt: skip
    add("--weight-drop", type=float, metavar="X", help="share of the recurrent weights dropped")
    add("--word-dropout", type=float, metavar="X", help="share of the vocabulary dropped as inputs")
    add("--activation-penalty", type=float, metavar="X",
        help="times the mean square of the last layer, added to the loss")  # fmt: skip
    add("--slowness-penalty", type=float, metavar="X",
        help="times the mean square of its changes, added to the loss")  # fmt: skip
    add("--learning-rate", type=float, metavar="X", help="peak rate")
    add("--schedule", choices=SCHEDULES, default=TrainSettings.schedule, help="how the rate falls "
        "(default: %(default)s)")  # fmt: skip
    add("--weight-decay", type=float, default=TrainSettings.weight_decay, metavar="X",
        help="of AdamW (default: %(default)g)")  # fmt: skip
    add("--clip", type=float, default=TrainSettings.clip, metavar="X",
        help="largest norm of a gradient (default: %(default)g)")  # fmt: skip
    add("--no-average", dest="average", action="store_false",
        help="keep the weights themselves, not running means of them")  # fmt: skip
    add("--precision", choices=PRECISIONS, default=TrainSettings.precision, help="of matrix "
        "products; bfloat16 is for GPUs (default: %(default)s)")  # fmt: skip
    add("--checkpoint-minutes", type=float, default=TrainSettings.checkpoint_minutes, metavar="N",
        help="between two checkpoints (default: %(default)g)")  # fmt: skip
    add("--init-from", metavar="MODEL", help="begin with words, sizes and weights of this model; "
        "new words and labels are added")  # fmt: skip
    add("--resume", action="store_true", help="go on with a stopped training into MODEL")
    add("--tensorboard", metavar="DIR", help="write TensorBoard logs")
    add("--json", action="store_true", help="print the metrics as JSON")
    add("--quiet", action="store_true", help="no progress")


def _add_evaluate(subparsers: Any, run: Command) -> None:
    add = _command(subparsers, "evaluate", run, "perplexity of a model on texts").add_argument
    add("model", metavar="MODEL", help="model directory")
    add("text", nargs="+", metavar="TEXT", help="text files, read as the model's corpus was")
    add("--part", choices=("all", "train", "valid", "test"),
        help="of the texts, by position (default: test for the model's own corpus or with "
        "--baselines, else all)")  # fmt: skip
    add("--baselines", action="store_true", help="beside it, Kneser-Ney 5-gram and unigram models "
        "of the texts' first 90 %%")  # fmt: skip
    add("--encoding", metavar="NAME", help="of the files")
    add("--json", action="store_true", help="print JSON")


def _add_sample(subparsers: Any, run: Command) -> None:
    add = _command(subparsers, "sample", run, "a quick look in the terminal").add_argument
    add("model", metavar="MODEL", help="model directory")
    add("prompt", nargs="*", metavar="PROMPT", help="what the texts start with")
    _add_drawing(add, many=False)


def _add_generate(subparsers: Any, run: Command) -> None:
    command = _command(subparsers, "generate", run, "texts for every prompt of files")
    command.usage = (
        "textmill generate MODEL --prompts GLOB... --out DIR [options] [-- RUNNER FLAGS]"
    )
    command.epilog = "What follows -- goes to Beam, such as: -- --runner=DirectRunner"
    add = command.add_argument
    _add_run(add)
    add("--out", required=True, metavar="DIR", help="directory to make")
    add("--workers", type=int, metavar="N", help="local processes (default: one a core)")
    add("--dataflow", choices=tuple(DATAFLOW), help="run on Dataflow, with flags for cpu, "
        "gpu or cheap workers; flags after -- override them")  # fmt: skip
    add("--no-wait", dest="wait", action="store_false", help="send the job to a runner elsewhere "
        "and do not wait for its end")  # fmt: skip
    add("--resume", action="store_true", help="go on with a stopped run in DIR")
    add("--max-rejected", type=float, default=0.01, metavar="SHARE",
        help="of rows, above which the exit status is 3 (default: 0.01)")  # fmt: skip
    add("--quiet", action="store_true", help="no progress")


def _add_run(add: Any) -> None:
    add("model", metavar="MODEL", help="model directory")
    add("--prompts", nargs="+", required=True, metavar="GLOB", help="prompt files: .txt, .jsonl, "
        ".csv, .tsv, .parquet")  # fmt: skip
    _add_drawing(add, many=True)
    add("--delimiter", default=",", metavar="C", help="between the cells of a .csv (default: a "
        "comma; tab for a tab)")  # fmt: skip
    add("--strict", action="store_true", help="a field that is no setting is an error")
    add("--format", default="jsonl", metavar="NAME", help="of the output: jsonl (default), csv, "
        "parquet, tfrecord or text")  # fmt: skip
    add("--compression", metavar="NAME", help="none, gzip or zstd (default: zstd for parquet, "
        "none for others)")  # fmt: skip


def _add_drawing(add: Any, *, many: bool) -> None:
    default = GenerationSettings()
    add("-n", "--samples", type=int, default=1, metavar="N", help="texts a prompt and temperature "
        "(default: 1)")  # fmt: skip
    add("-t", "--temperature", dest="temperatures", type=float, nargs="+" if many else None,
        default=[1.0], metavar="T", action="store" if many else _OneTemperature,
        help="logits are divided by it; 0 is greedy (default: 1)")  # fmt: skip
    add("--top-k", type=int, default=0, metavar="K", help="only the K most probable words")
    add("--top-p", type=float, default=1.0, metavar="P",
        help="only the most probable words that make up P")  # fmt: skip
    add("--min-p", type=float, default=0.0, metavar="P",
        help="only words at least P times as probable as the best")  # fmt: skip
    add("--min-words", type=int, default=0, metavar="N", help="no end before N words (default: 0)")
    add("--max-words", type=int, default=default.max_words, metavar="N",
        help="cut after N words (default: %(default)s)")  # fmt: skip
    add("--repetition-penalty", type=float, default=1.0, metavar="X",
        help="logits of words that stand in the text already are divided by X where above 0, else "
        "multiplied (default: 1, off)")  # fmt: skip
    add("--no-repeat-ngram", type=int, default=0, metavar="N",
        help="no N words in a row that stand in the text already (default: 0, off)")  # fmt: skip
    add("--ban", action="append", default=[], metavar="WORD", help="never draw this word of the "
        "vocabulary; may be given several times")  # fmt: skip
    add("--stop", action="append", default=[], metavar="WORD", help="end before this word of the "
        "vocabulary; may be given several times")  # fmt: skip
    add("--label", metavar="NAME", help="for a model trained with labels")
    add("--unknown", action="store_true", help="let <unk> be drawn")
    add("--echo", action="store_true", help="put the prompt before each text")
    add("--seed", type=int, default=0, metavar="N", help="of the run (default: 0)")
    add("--precision", choices=PRECISIONS, default=default.precision, help="of matrix products; "
        "bfloat16 is faster on some processors, for other texts (default: float32)")  # fmt: skip
    add("--json", action="store_true", help="print JSON")


def _add_augment(subparsers: Any, run: Command) -> None:
    command = _command(subparsers, "augment", run, "more rows for a labelled table")
    command.usage = (
        "textmill augment DATA --text COLUMN --label COLUMN --out FILE [options] [-- RUNNER FLAGS]"
    )
    add = command.add_argument
    add("data", metavar="DATA", help="table: .csv, .tsv, .jsonl or .parquet")
    add("--text", required=True, metavar="COLUMN", help="column of texts, by name or number")
    add("--label", required=True, metavar="COLUMN", help="column of labels, by name or number")
    add("--out", required=True, metavar="FILE", help="table to make, of the kind its name says")
    add("--encoding", metavar="NAME", help="of the table (default: UTF-8, or by byte-order mark)")
    add("--per-example", type=int, metavar="N", help="rows to add for each real one (default: 10)")
    add("--per-label", type=int, metavar="N", help="rows to add for each label")
    add("--balance", action="store_true", help="fill all labels up to the largest")
    add("--candidates", type=int, default=4, metavar="N", help="texts to choose from for each row "
        "to add (default: %(default)s)")  # fmt: skip
    add("--with", dest="methods", nargs="+", default=["generated"], metavar="NAME", help="how: "
        "generated (default), pseudo, or edits of real rows")  # fmt: skip
    add("-t", "--temperature", dest="temperatures", type=float, nargs="+", default=[0.8],
        metavar="T", help="logits are divided by it (default: 0.8)")  # fmt: skip
    add("--level", choices=LEVELS, default="word", help="what a token is (default: word)")
    add("--minutes", type=float, default=3.0, metavar="N", help="of training at most (default: 3)")
    add("--epochs", type=int, metavar="N", help="passes over the rows, at most (default: 30; "
        "of few rows more)")  # fmt: skip
    add("--unlabelled", nargs="+", default=[], metavar="TEXT", help="files of texts of the same "
        "kind, a text a line, to learn from first")  # fmt: skip
    add("--init-from", metavar="MODEL", help="begin with this model")
    add("--min-confidence", type=float, metavar="P", help="of the classifier in the label, at "
        "least")  # fmt: skip
    add("--max-copied", type=int, metavar="N", help="words in a row that stand in one real row, at "
        "most")  # fmt: skip
    add("--max-copied-share", type=float, metavar="X", help="of a text's words in such a run")
    add("--max-similarity", type=float, metavar="X", help="Jaccard similarity to another row")
    add("--max-loops", type=float, metavar="X", help="share of words that repeat those before them")
    add("--length-slack", type=float, metavar="X", help="how much shorter or longer than the "
        "label's real rows")  # fmt: skip
    add("--max-perplexity", type=float, metavar="X", help="times the median of the candidates")
    add("--max-unseen", type=float, metavar="X", help="share of pairs of neighbours that stand in "
        "no real row")  # fmt: skip
    add(
        "--check", action="store_true", help="measure what the added rows are worth to a classifier"
    )
    add("--seed", type=int, default=0, metavar="N", help="of all of it (default: 0)")
    add("--workers", type=int, metavar="N", help="local processes (default: one a core)")
    add("--resume", action="store_true", help="go on with a stopped run into FILE")
    add("--json", action="store_true", help="print JSON")
    add("--quiet", action="store_true", help="no progress")


class _OneTemperature(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, [values])


def _add_verify(subparsers: Any, run: Command) -> None:
    add = _command(subparsers, "verify", run, "an output against its manifest").add_argument
    add("directory", metavar="DIR", help="directory that generate made")
    add("--json", action="store_true", help="print JSON")


def _add_report(subparsers: Any, run: Command) -> None:
    add = _command(
        subparsers, "report", run, "a page with the figures and pictures of an output"
    ).add_argument
    add("directory", metavar="DIR", help="that generate made, or FILE.augment of augment")
    add("--corpus", nargs="+", metavar="FILE", help="what the model was trained on: measures what "
        "was copied, and shows the lengths and word frequencies of real text")  # fmt: skip
    add(
        "--mode", choices=MODES, help="of the corpus: stream (default) or lines, as in its training"
    )
    add("--text", metavar="COLUMN", help="of texts, by name or number, where the corpus is a table")
    add("--encoding", metavar="NAME", help="of the corpus (default: UTF-8, or by byte-order mark)")
    add("--copied-words", type=int, default=8, metavar="N", help="so many words in a row that the "
        "corpus has too are a copy (default: %(default)s)")  # fmt: skip
    add("--out", metavar="DIR", help="where report.html and report.json go (default: into DIR)")
    add("--json", action="store_true", help="print report.json")


def _add_bench(subparsers: Any, run: Command) -> None:
    add = _command(
        subparsers, "bench", run, "how fast a model writes here, beside what the machine could do"
    ).add_argument
    add("model", metavar="MODEL", help="model directory")
    add("--slots", type=int, nargs="+", default=[64, 128, 256], metavar="N",
        help="texts drawn at a time (default: 64 128 256)")  # fmt: skip
    add("--words", type=int, default=40, metavar="N", help="of each text (default: 40)")
    add("--texts", type=int, default=0, metavar="N", help="of each measurement (default: some "
        "for each slot)")  # fmt: skip
    add("--json", action="store_true", help="print JSON")


def _add_plan(subparsers: Any, run: Command) -> None:
    command = _command(
        subparsers, "plan", run, "shards, hours, memory and cost of a run, before it is started"
    )
    command.usage = "textmill plan MODEL --prompts GLOB... [options]"
    add = command.add_argument
    _add_run(add)
    add("--workers", type=int, nargs="+", metavar="N", help="numbers of workers, each with a core "
        "like this machine's (default: some from 1 to 1000)")  # fmt: skip
    add("--price", type=float, metavar="P", help="of a worker for an hour, in any currency")
    add("--rows", type=int, metavar="N", help="as if there were N rows like those of the prompts")


def _add_play(subparsers: Any, run: Command) -> None:
    add = _command(
        subparsers, "play", run, "a page that shows the next word's probabilities"
    ).add_argument
    add("model", metavar="MODEL", help="model directory")
    add("--port", type=int, default=8000, metavar="N", help="of 127.0.0.1; 0 is any that is free "
        "(default: %(default)s)")  # fmt: skip


def _add_demo(subparsers: Any, run: Command) -> None:
    add = _command(
        subparsers, "demo", run, "train, generate, report on the text every Python carries"
    ).add_argument
    add("--out", default="textmill-demo", metavar="DIR", help="directory to make (default: "
        "textmill-demo, or that with a number)")  # fmt: skip
    add("--minutes", type=float, default=2.5, metavar="N", help="of training (default: 2.5)")
    add("--workers", type=int, metavar="N", help="local processes (default: one a core)")
    add("--quiet", action="store_true", help="no progress")
