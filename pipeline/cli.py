"""The `textmill` command: parses, calls one function, prints. Nothing heavy loads for `--help`."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from model.errors import SettingError, TextmillError, UsageError
from model.quiet import load_tensorflow
from model.settings import (
    LEVELS,
    MODES,
    PRESETS,
    GenerationSettings,
    TrainSettings,
    VocabularySettings,
)

DONE, FAILED, WRONG_USE, TOO_MANY_REJECTED, INTERRUPTED = 0, 1, 2, 3, 130


class _Parser(argparse.ArgumentParser):
    def __init__(self, **kwargs: Any):
        super().__init__(**{**kwargs, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USE, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    runner_flags: list[str] = []
    if arguments[:1] == ["generate"] and "--" in arguments:
        cut = arguments.index("--")
        arguments, runner_flags = arguments[:cut], arguments[cut + 1 :]
    # TensorFlow greets on the standard error; what matters of it comes as our own message.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    logging.getLogger().setLevel(logging.CRITICAL)  # Beam logs a failure before it raises it
    with contextlib.suppress(ValueError):  # only the main thread may
        signal.signal(signal.SIGTERM, _interrupt)  # ends as Ctrl-C does
    try:
        args = _parser().parse_args(arguments)
        args.runner_flags = runner_flags
        status = args.run(args)
        if sys.stdout is not None:
            sys.stdout.flush()  # a full disk shows here, where it can be told
        return status
    except SettingError as error:
        option = "--" + error.field.replace("_", "-")
        return _fail(f"{option} must be {error.allowed}. Received: {error.received}", error.status)
    except TextmillError as error:
        return _fail(str(error), error.status)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        return _stdout_is_gone()
    except UnicodeEncodeError as error:
        what = error.object[max(0, error.start - 20) : error.end + 20]
        return _fail(f"{what!r} cannot be written in {error.encoding}", FAILED)
    except OSError as error:
        return _fail(f"{error.filename or 'the output'}: {error.strerror or error}", FAILED)
    except SystemExit as stop:  # argparse's way out
        return stop.code if isinstance(stop.code, int) else FAILED


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _stdout_is_gone() -> int:
    # The reader has gone; Python would complain once more when it flushes at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED


def _fail(message: str, status: int) -> int:
    print(f"textmill: error: {message}", file=sys.stderr)
    return status


# -- commands ------------------------------------------------------------------------------------


def _train(args: argparse.Namespace) -> int:
    load_tensorflow()
    from model.train import CorpusSettings, train_model
    from pipeline.console import TrainingReport, table

    table_asked = args.labels is not None or args.text is not None
    tables = [path for path in args.corpus if path.endswith((".csv", ".tsv", ".jsonl"))]
    if tables and not table_asked:
        raise UsageError(f"{tables[0]} is a table; name its column with --text, or also --labels")
    if table_asked and args.mode == "stream":
        raise UsageError("tables need --mode lines: each row is a text of its own")
    mode = args.mode or ("lines" if table_asked else "stream")
    corpus = CorpusSettings(
        paths=tuple(args.corpus),
        mode=mode,
        encoding=args.encoding,
        # A tokenised corpus has a sentence or a paragraph a line, blank lines included.
        unwrap=args.unwrap and args.level != "whitespace",
        text=args.text or ("text" if args.labels is not None else None),
        labels=args.labels,
    )
    vocabulary = VocabularySettings(
        level=args.level, min_count=args.min_count, max_size=args.max_size
    )
    chosen = {"learning_rate": args.learning_rate} if args.learning_rate is not None else {}
    settings = TrainSettings(
        mode=mode, minutes=args.minutes, epochs=args.epochs, seed=args.seed, **chosen
    )
    with TrainingReport(quiet=args.quiet).running() as report:
        model = train_model(
            args.out,
            corpus=corpus,
            vocabulary=vocabulary,
            preset=args.preset,
            dropout=args.dropout,
            train=settings,
            report=report,
            tensorboard=args.tensorboard,
        )
    if args.json:
        print(json.dumps(model.training["metrics"]))
    else:
        rows = [(name.replace("_", " "), v) for name, v in model.training["metrics"].items()]
        table(f"model {args.out}", rows)
    if model.training["metrics"]["stopped"] == "interrupted":
        return _fail(f"interrupted; the best weights so far are in {args.out}", INTERRUPTED)
    return DONE


def _evaluate(args: argparse.Namespace) -> int:
    load_tensorflow()
    from pipeline.console import table
    from pipeline.evaluation import evaluate

    result = evaluate(
        args.model, args.text, part=args.part, encoding=args.encoding, baselines=args.baselines
    )
    if args.json:
        print(json.dumps(result))
        return DONE
    table(
        f"{args.model} on the {result['part']} part of {', '.join(result['sources'])}",
        [(name.replace("_", " "), v) for name, v in result.items() if not isinstance(v, list)],
    )
    return DONE


def _sample(args: argparse.Namespace) -> int:
    from model.generator import Generator, Prompt, use_one_thread
    from model.saved import load_model

    settings = _generation_settings(args)
    use_one_thread()
    prompts = [Prompt(id=text, text=text) for text in args.prompt or [""]]
    generator = Generator(load_model(args.model))
    for generation in generator.generate(prompts, settings):
        if args.json:
            from pipeline.shards import record

            print(json.dumps(record(generation), ensure_ascii=False), flush=True)
        else:
            print(generation.prompt.text + generation.text, flush=True)
    return DONE


def _generate(args: argparse.Namespace) -> int:
    from pipeline.console import shard_progress, stderr, table
    from pipeline.generate import generate

    settings = _generation_settings(args)
    if not 0 <= args.max_rejected <= 1:
        raise SettingError("max_rejected", "a number in [0, 1]", args.max_rejected)
    if args.workers is not None and args.workers < 1:
        raise SettingError("workers", "a whole number of at least 1", args.workers)
    with shard_progress(quiet=args.quiet) as progress:
        outcome = generate(
            args.model,
            prompts=args.prompts,
            out=args.out,
            settings=settings,
            workers=args.workers,
            runner_flags=args.runner_flags,
            resume=args.resume,
            progress=progress,
            warn=lambda text: stderr().print(text, markup=False),
        )
    counts = outcome.manifest["counts"]
    rows = [
        *counts.items(),
        ("shards", len(outcome.manifest["shards"])),
        ("seconds", round(outcome.seconds, 1)),
        ("words/s, start included", round(counts["words"] / outcome.seconds)),
        ("directory", args.out),
    ]
    if args.json:
        print(json.dumps(dict(rows)))
    else:
        table("generated", rows)
    if outcome.rejected_share > args.max_rejected:
        return _fail(
            f"{counts['rejected']:,} of {counts['rows']:,} rows were rejected, more than the "
            f"{args.max_rejected:.1%} allowed; the reasons are in {args.out}/rejected",
            TOO_MANY_REJECTED,
        )
    return DONE


def _verify(args: argparse.Namespace) -> int:
    from pipeline.console import table
    from pipeline.verify import verify

    verdict = verify(args.directory)
    if args.json:
        print(json.dumps({**verdict.counts, "problems": verdict.problems}))
    else:
        rows = [*verdict.counts.items(), ("ids twice", verdict.duplicate_ids)]
        table(f"{args.directory} against its manifest", rows)
        for problem in verdict.problems:
            print(problem, file=sys.stderr)
    if verdict.problems:
        return _fail(f"{args.directory} is not what its manifest says", FAILED)
    return DONE


def _demo(args: argparse.Namespace) -> int:
    load_tensorflow()
    from pipeline.demo import demo

    demo(args.out, minutes=args.minutes, workers=args.workers, quiet=args.quiet)
    return DONE


def _generation_settings(args: argparse.Namespace) -> GenerationSettings:
    return GenerationSettings(
        samples=args.samples,
        temperatures=tuple(args.temperature),
        top_k=args.top_k,
        top_p=args.top_p,
        min_p=args.min_p,
        min_words=args.min_words,
        max_words=args.max_words,
        stop=tuple(args.stop),
        label=args.label,
        unknown=args.unknown,
        seed=args.seed,
    )


# -- options -------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="textmill",
        description="Trains an LSTM language model on any text and writes text with it in bulk.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_train(commands)
    _add_evaluate(commands)
    _add_sample(commands)
    _add_generate(commands)
    _add_verify(commands)
    _add_demo(commands)
    return parser


def _command(commands: Any, name: str, run: Any, summary: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=summary, description=summary)
    command.set_defaults(run=run)
    return command


def _add_train(commands: Any) -> None:
    add = _command(commands, "train", _train, "train a model on texts").add_argument
    add("corpus", nargs="+", metavar="CORPUS", help="text files or patterns; tables with --labels")
    add("--out", required=True, metavar="MODEL", help="directory to make")
    add("--mode", choices=MODES, help="stream: one long text (default); lines: each line its own "
        "(default for tables)")  # fmt: skip
    add("--level", choices=LEVELS, default="word", help="what a token is (default: word)")
    add("--preset", choices=list(PRESETS), default="small", help="network size (default: small)")
    add("--labels", metavar="COLUMN", help="column of labels, by name or number: table, not text")
    add("--text", metavar="COLUMN", help="column of texts (default: text): table, not text")
    add("--minutes", type=float, metavar="N", help="hard budget in minutes")
    add("--epochs", type=int, metavar="N", help="passes at most (default: 40, none with --minutes)")
    add("--seed", type=int, default=0, metavar="N", help="of weights, dropout, order (default: 0)")
    add("--encoding", metavar="NAME", help="of the files (default: UTF-8, or by byte-order mark)")
    add("--no-unwrap", dest="unwrap", action="store_false", help="a paragraph is one line")
    add("--min-count", type=int, metavar="N", help="rarer words are unknown (default: 2; char and "
        "whitespace 1)")  # fmt: skip
    add("--max-size", type=int, default=VocabularySettings.max_size, metavar="N",
        help="most entries of the vocabulary (default: %(default)s)")  # fmt: skip
    add("--dropout", type=float, metavar="X", help="share of features dropped (default: by preset)")
    add("--learning-rate", type=float, metavar="X",
        help=f"peak rate (default: {TrainSettings.learning_rate:g})")  # fmt: skip
    add("--tensorboard", metavar="DIR", help="write TensorBoard logs")
    add("--json", action="store_true", help="print the metrics as JSON")
    add("--quiet", action="store_true", help="no progress")


def _add_evaluate(commands: Any) -> None:
    add = _command(commands, "evaluate", _evaluate, "perplexity of a model on texts").add_argument
    add("model", metavar="MODEL", help="model directory")
    add("text", nargs="+", metavar="TEXT", help="text files, read as the model's corpus was")
    add("--part", choices=("all", "train", "valid", "test"),
        help="of the texts, by position (default: test for the model's own corpus or with "
        "--baselines, else all)")  # fmt: skip
    add("--baselines", action="store_true", help="beside it, Kneser-Ney 5-gram and unigram models "
        "of the texts' first 90 %%")  # fmt: skip
    add("--encoding", metavar="NAME", help="of the files")
    add("--json", action="store_true", help="print JSON")


def _add_sample(commands: Any) -> None:
    add = _command(commands, "sample", _sample, "a quick look in the terminal").add_argument
    add("model", metavar="MODEL", help="model directory")
    add("prompt", nargs="*", metavar="PROMPT", help="what the texts start with")
    _add_drawing(add, many=False)


def _add_generate(commands: Any) -> None:
    command = _command(commands, "generate", _generate, "texts for every prompt of files")
    command.usage = (
        "textmill generate MODEL --prompts GLOB... --out DIR [options] [-- RUNNER FLAGS]"
    )
    command.epilog = "What follows -- goes to Beam, such as: -- --runner=DirectRunner"
    add = command.add_argument
    add("model", metavar="MODEL", help="model directory")
    add("--prompts", nargs="+", required=True, metavar="GLOB", help="text files, a prompt a line")
    add("--out", required=True, metavar="DIR", help="directory to make")
    _add_drawing(add, many=True)
    add("--workers", type=int, metavar="N", help="local processes (default: one a core)")
    add("--resume", action="store_true", help="go on with a stopped run in DIR")
    add("--max-rejected", type=float, default=0.01, metavar="SHARE",
        help="of rows, above which the exit status is 3 (default: 0.01)")  # fmt: skip
    add("--quiet", action="store_true", help="no progress")


def _add_drawing(add: Any, *, many: bool) -> None:
    default = GenerationSettings()
    add("-n", "--samples", type=int, default=1, metavar="N", help="texts a prompt and temperature "
        "(default: 1)")  # fmt: skip
    add("-t", "--temperature", type=float, nargs="+" if many else None, default=[1.0], metavar="T",
        action="store" if many else _OneTemperature,
        help="logits are divided by it; 0 is greedy (default: 1)")  # fmt: skip
    add("--top-k", type=int, default=0, metavar="K", help="only the K most probable words")
    add("--top-p", type=float, default=1.0, metavar="P",
        help="only the most probable words that make up P")  # fmt: skip
    add("--min-p", type=float, default=0.0, metavar="P",
        help="only words at least P times as probable as the best")  # fmt: skip
    add("--min-words", type=int, default=0, metavar="N", help="no end before N words (default: 0)")
    add("--max-words", type=int, default=default.max_words, metavar="N",
        help="cut after N words (default: %(default)s)")  # fmt: skip
    add("--stop", action="append", default=[], metavar="WORD", help="end before this word of the "
        "vocabulary; may be given several times")  # fmt: skip
    add("--label", metavar="NAME", help="for a model trained with labels")
    add("--unknown", action="store_true", help="let <unk> be drawn")
    add("--seed", type=int, default=0, metavar="N", help="of the run (default: 0)")
    add("--json", action="store_true", help="print JSON")


class _OneTemperature(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, [values])


def _add_verify(commands: Any) -> None:
    add = _command(commands, "verify", _verify, "an output against its manifest").add_argument
    add("directory", metavar="DIR", help="directory that generate made")
    add("--json", action="store_true", help="print JSON")


def _add_demo(commands: Any) -> None:
    add = _command(
        commands, "demo", _demo, "train, generate, report on the text every Python carries"
    ).add_argument
    add("--out", default="textmill-demo", metavar="DIR", help="directory to make (default: "
        "textmill-demo, or that with a number)")  # fmt: skip
    add("--minutes", type=float, default=2.5, metavar="N", help="of training (default: 2.5)")
    add("--workers", type=int, metavar="N", help="local processes (default: one a core)")
    add("--quiet", action="store_true", help="no progress")


if __name__ == "__main__":
    sys.exit(main())
