"""The options of the `textmill` command. Loads nothing heavy: `--help` must answer at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, NoReturn, TypeVar

from textmill.model import settings
from textmill.model.settings import GenerationSettings, TrainSettings, VocabularySettings
from textmill.pipeline.command.exit_status import WRONG_USE
from textmill.pipeline.job.dataflow import PRESETS as DATAFLOW

Add = Callable[..., None]
Settings = TypeVar("Settings")

# Of a value, by what stands for it in the help; others are texts.
_TYPES = {"N": int, "K": int, "X": float, "P": float, "T": float, "SHARE": float}


class _Parser(argparse.ArgumentParser):
    def __init__(self, **kwargs: Any):
        super().__init__(**{**kwargs, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USE, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def parser(commands: Mapping[str, Callable[[argparse.Namespace], int]]) -> argparse.ArgumentParser:
    """The command line's parser; `args.run` is the function that does the work.

    Args:
        commands: a function for each command by name.
    """
    top = _Parser(
        prog="textmill",
        description="Trains an LSTM language model on any text and writes text with it in bulk.",
    )
    subparsers = top.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    for name, run in commands.items():
        summary, add_options, *kinds = _COMMANDS[name]
        command = subparsers.add_parser(
            name, help=summary, description=summary, **_USE.get(name, {})
        )
        command.set_defaults(run=run)
        add_options(_adder(command, kinds))
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


def _adder(command: argparse.ArgumentParser, kinds: Sequence[Any]) -> Add:
    """A function that adds an option or argument to the command.

    It takes the name; what stands for the value in the help, or a tuple of what the value may be,
    or None for a switch; the help; and what else argparse takes.

    Args:
        kinds: settings, whose defaults are those of the options with the names of their fields.
    """
    defaults = {field.name: field.default for kind in kinds for field in fields(kind)}

    def add(name: str, value: str | tuple[str, ...] | None, text: str, **more: Any) -> None:
        if value is None:
            given: dict[str, Any] = {"action": "store_true"}
        elif isinstance(value, tuple):
            given = {"choices": value}
        else:
            given = {"metavar": value, "type": _TYPES.get(value)}
        default = defaults.get(more.get("dest", name.removeprefix("--").replace("-", "_")))
        if value is not None and name.startswith("--"):
            given["default"] = list(default) if isinstance(default, tuple) else default
        short = more.pop("short", None)
        command.add_argument(*filter(None, (short, name)), help=text, **{**given, **more})

    return add


def _train(add: Add) -> None:
    add("corpus", "CORPUS", "text files or patterns; tables with --labels", nargs="+")
    add("--out", "MODEL", "directory to make", required=True)
    add("--mode", settings.MODES, "stream: one long text (default); lines: each line its own "
        "(default for tables)", default=None)  # fmt: skip
    add("--level", settings.LEVELS, "what a token is (default: %(default)s)")
    add("--preset", (settings.AUTO, *settings.PRESETS), "network size (default: auto, by corpus "
        "and budget)", default=settings.AUTO)  # fmt: skip
    add("--output", settings.OUTPUTS, "softmax over all words, or over the frequent ones and "
        "clusters of the others (default: auto, what is faster)", default="auto")  # fmt: skip
    add("--labels", "COLUMN", "column of labels, by name or number: table, not text")
    add("--text", "COLUMN", "column of texts (default: text): table, not text")
    add("--minutes", "N", "budget in minutes", type=float)
    add("--epochs", "N", "passes at most (default: 40, none with --minutes)")
    add("--seed", "N", "of weights, dropout, order (default: %(default)s)")
    add("--encoding", "NAME", "of the files (default: UTF-8, or by byte-order mark)")
    add("--no-unwrap", None, "a paragraph is one line", dest="unwrap", action="store_false")
    add("--min-count", "N", "rarer words are unknown (default: 2; char and whitespace 1)")
    add("--max-size", "N", "most entries of the vocabulary (default: %(default)s)")
    add("--dropout", "X", "share of features dropped; this and the next five are chosen by corpus "
        "and budget")  # fmt: skip
    add("--weight-drop", "X", "share of the recurrent weights dropped")
    add("--word-dropout", "X", "share of the vocabulary dropped as inputs")
    add("--activation-penalty", "X", "times the mean square of the last layer, added to the loss")
    add("--slowness-penalty", "X", "times the mean square of its changes, added to the loss")
    add("--learning-rate", "X", "peak rate")
    add("--schedule", settings.SCHEDULES, "how the rate falls (default: %(default)s)")
    add("--weight-decay", "X", "of AdamW (default: %(default)g)")
    add("--clip", "X", "largest norm of a gradient (default: %(default)g)")
    add("--no-average", None, "keep the weights themselves, not running means of them",
        dest="average", action="store_false")  # fmt: skip
    add("--precision", settings.PRECISIONS, "of matrix products; bfloat16 is for GPUs (default: "
        "%(default)s)")  # fmt: skip
    add("--checkpoint-minutes", "N", "between two checkpoints (default: %(default)g)", type=float)
    add("--init-from", "MODEL", "begin with words, sizes and weights of this model; new words and "
        "labels are added")  # fmt: skip
    add("--resume", None, "go on with a stopped training into MODEL")
    add("--tensorboard", "DIR", "write TensorBoard logs")
    add("--json", None, "print the metrics as JSON")
    add("--quiet", None, "no progress")


def _evaluate(add: Add) -> None:
    add("model", "MODEL", "model directory")
    add("text", "TEXT", "text files, read as the model's corpus was", nargs="+")
    add("--part", ("all", "train", "valid", "test"), "of the texts, by position (default: test for "
        "the model's own corpus or with --baselines, else all)")  # fmt: skip
    add("--baselines", None, "beside it, Kneser-Ney 5-gram and unigram models of the texts' first "
        "90 %%")  # fmt: skip
    add("--encoding", "NAME", "of the files")
    add("--json", None, "print JSON")


def _sample(add: Add) -> None:
    add("model", "MODEL", "model directory")
    add("prompt", "PROMPT", "what the texts start with", nargs="*")
    _drawing(add, nargs=1)


def _score(add: Add) -> None:
    add("model", "MODEL", "model directory")
    add("file", "FILE", "texts, one a line; or a table with --text; - reads the standard input")
    add("--text", "COLUMN", "column of the texts, by name or number, if the file is a table")
    add("--label", "NAME", "label of all texts, for a model trained with labels")
    add("--encoding", "NAME", "of the file (default: UTF-8, or by byte-order mark)")
    add("--tokens", None, "print the log-probability of each token, too")
    add("--json", None, "print a JSON object for each text")
    add("--quiet", None, "print no summary")


def _generate(add: Add) -> None:
    _run(add)
    add("--out", "DIR", "directory to make", required=True)
    add("--workers", "N", "local processes (default: one a core)")
    add("--dataflow", tuple(DATAFLOW), "run on Dataflow, with flags for cpu, gpu or cheap workers; "
        "flags after -- override them")  # fmt: skip
    add("--no-wait", None, "send the job to a runner elsewhere and do not wait for its end",
        dest="wait", action="store_false")  # fmt: skip
    add("--resume", None, "go on with a stopped run in DIR")
    add("--max-rejected", "SHARE", "of rows, above which the exit status is 3 (default: "
        "%(default)g)", default=0.01)  # fmt: skip
    add("--quiet", None, "no progress")


def _run(add: Add) -> None:
    add("model", "MODEL", "model directory")
    add("--prompts", "GLOB", "prompt files: .txt, .jsonl, .csv, .tsv, .parquet", nargs="+",
        required=True)  # fmt: skip
    _drawing(add, nargs="+")
    add("--delimiter", "C", "between the cells of a .csv (default: a comma; tab for a tab)",
        default=",")  # fmt: skip
    add("--strict", None, "a field that is no setting is an error")
    add("--format", "NAME", "of the output: jsonl (default), csv, parquet, tfrecord or text",
        default="jsonl")  # fmt: skip
    add("--compression", "NAME", "none, gzip or zstd (default: zstd for parquet, none for others)")


def _drawing(add: Add, *, nargs: int | str) -> None:
    add("--samples", "N", "texts a prompt and temperature (default: %(default)s)", short="-n")
    add("--temperature", "T", "logits are divided by it; 0 is greedy (default: 1)", short="-t",
        dest="temperatures", nargs=nargs)  # fmt: skip
    add("--top-k", "K", "only the K most probable words")
    add("--top-p", "P", "only the most probable words that make up P")
    add("--min-p", "P", "only words at least P times as probable as the best")
    add("--min-words", "N", "no end before N words (default: %(default)s)")
    add("--max-words", "N", "cut after N words (default: %(default)s)")
    add("--repetition-penalty", "X", "logits of words that stand in the text already are divided "
        "by X where above 0, else multiplied (default: %(default)g, off)")  # fmt: skip
    add("--no-repeat-ngram", "N", "no N words in a row that stand in the text already (default: "
        "%(default)s, off)")  # fmt: skip
    add("--ban", "WORD", "never draw this word of the vocabulary; may be given several times",
        action="append")  # fmt: skip
    add("--stop", "WORD", "end before this word of the vocabulary; may be given several times",
        action="append")  # fmt: skip
    add("--label", "NAME", "for a model trained with labels")
    add("--unknown", None, "let <unk> be drawn")
    add("--echo", None, "put the prompt before each text")
    add("--seed", "N", "of the run (default: %(default)s)")
    add("--precision", settings.PRECISIONS, "of matrix products; bfloat16 is faster on some "
        "processors, for other texts (default: %(default)s)")  # fmt: skip
    add("--json", None, "print JSON")


def _augment(add: Add) -> None:
    # What is left out is told by AugmentSettings and FilterSettings, which load too much for help.
    add("data", "DATA", "table: .csv, .tsv, .jsonl or .parquet")
    add("--text", "COLUMN", "column of texts, by name or number", required=True)
    add("--label", "COLUMN", "column of labels, by name or number", required=True)
    add("--out", "FILE", "table to make, of the kind its name says", required=True)
    add("--encoding", "NAME", "of the table (default: UTF-8, or by byte-order mark)")
    add("--per-example", "N", "rows to add for each real one (default: 10)")
    add("--per-label", "N", "rows to add for each label")
    add("--balance", None, "fill all labels up to the largest")
    add("--candidates", "N", "texts to choose from for each row to add (default: 4)")
    add("--with", "NAME", "how: generated (default), pseudo, or edits of real rows", nargs="+",
        dest="methods")  # fmt: skip
    add("--temperature", "T", "logits are divided by it (default: 0.8)", nargs="+", short="-t",
        dest="temperatures")  # fmt: skip
    add("--level", settings.LEVELS, "what a token is (default: word)")
    add("--minutes", "N", "of training at most (default: 3)", type=float)
    add("--epochs", "N", "passes over the rows, at most (default: 30; of few rows more)")
    add("--unlabelled", "TEXT", "files of texts of the same kind, a text a line, to learn from "
        "first", nargs="+")  # fmt: skip
    add("--init-from", "MODEL", "begin with this model")
    add("--min-confidence", "P", "of the classifier in the label, at least")
    add("--max-copied", "N", "words in a row that stand in one real row, at most")
    add("--max-copied-share", "X", "of a text's words in such a run")
    add("--max-similarity", "X", "Jaccard similarity to another row")
    add("--max-loops", "X", "share of words that repeat those before them")
    add("--length-slack", "X", "how much shorter or longer than the label's real rows")
    add("--max-perplexity", "X", "times the median of the candidates")
    add("--max-unseen", "X", "share of pairs of neighbours that stand in no real row")
    add("--check", None, "measure what the added rows are worth to a classifier")
    add("--seed", "N", "of all of it (default: 0)")
    add("--workers", "N", "local processes (default: one a core)")
    add("--resume", None, "go on with a stopped run into FILE")
    add("--json", None, "print JSON")
    add("--quiet", None, "no progress")


def _verify(add: Add) -> None:
    add("directory", "DIR", "directory that generate made")
    add("--json", None, "print JSON")


def _report(add: Add) -> None:
    add("directory", "DIR", "that generate made, or FILE.augment of augment")
    add("--corpus", "FILE", "what the model was trained on: measures what was copied, and shows "
        "the lengths and word frequencies of real text", nargs="+")  # fmt: skip
    add("--mode", settings.MODES, "of the corpus: stream (default) or lines, as in its training")
    add("--text", "COLUMN", "of texts, by name or number, where the corpus is a table")
    add("--encoding", "NAME", "of the corpus (default: UTF-8, or by byte-order mark)")
    add("--copied-words", "N", "so many words in a row that the corpus has too are a copy "
        "(default: %(default)s)", default=8)  # fmt: skip
    add("--out", "DIR", "where report.html and report.json go (default: into DIR)")
    add("--json", None, "print report.json")


def _bench(add: Add) -> None:
    add("model", "MODEL", "model directory")
    add("--slots", "N", "texts drawn at a time (default: 64 128 256)", nargs="+",
        default=[64, 128, 256])  # fmt: skip
    add("--words", "N", "of each text (default: %(default)s)", default=40)
    add("--texts", "N", "of each measurement (default: some for each slot)", default=0)
    add("--json", None, "print JSON")


def _plan(add: Add) -> None:
    _run(add)
    add("--workers", "N", "numbers of workers, each with a core like this machine's (default: some "
        "from 1 to 1000)", nargs="+")  # fmt: skip
    add("--price", "P", "of a worker for an hour, in any currency")
    add("--rows", "N", "as if there were N rows like those of the prompts")


def _play(add: Add) -> None:
    add("model", "MODEL", "model directory")
    add("--port", "N", "of 127.0.0.1; 0 is any that is free (default: %(default)s)", default=8000)


def _demo(add: Add) -> None:
    add("--out", "DIR", "directory to make (default: %(default)s, or that with a number)",
        default="textmill-demo")  # fmt: skip
    add("--minutes", "N", "of training (default: %(default)s)", type=float, default=2.5)
    add("--workers", "N", "local processes (default: one a core)")
    add("--quiet", None, "no progress")


# For each command what it does, its options, and settings that have their defaults.
_COMMANDS: dict[str, tuple[Any, ...]] = {
    "train": ("train a model on texts", _train, TrainSettings, VocabularySettings),
    "evaluate": ("perplexity of a model on texts", _evaluate),
    "sample": ("a quick look in the terminal", _sample, GenerationSettings),
    "score": ("how probable a model finds texts", _score),
    "generate": ("texts for every prompt of files", _generate, GenerationSettings),
    "augment": ("more rows for a labelled table", _augment),
    "verify": ("an output against its manifest", _verify),
    "report": ("a page with the figures and pictures of an output", _report),
    "bench": ("how fast a model writes here, beside what the machine could do", _bench),
    "plan": (
        "shards, hours, memory and cost of a run, before it is started", _plan, GenerationSettings
    ),
    "play": ("a page that shows the next word's probabilities", _play),
    "demo": ("train, generate, report on the text every Python carries", _demo),
}  # fmt: skip
_USE: dict[str, dict[str, Any]] = {
    "generate": {
        "usage": "textmill generate MODEL --prompts GLOB... --out DIR [options] [-- RUNNER FLAGS]",
        "epilog": "What follows -- goes to Beam, such as: -- --runner=DirectRunner",
    },
    "augment": {"usage": "textmill augment DATA --text COLUMN --label COLUMN --out FILE [options] "
                "[-- RUNNER FLAGS]"},
    "plan": {"usage": "textmill plan MODEL --prompts GLOB... [options]"},
}  # fmt: skip
