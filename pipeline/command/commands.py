"""The commands: each calls one function and prints what came of it.

What is heavy loads inside them, as `--help` must answer at once.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from textmill.model.errors import SettingError, UsageError
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.model.tensorflow_setup import load_keras, load_tensorflow, use_one_thread
from textmill.model.visible import visible
from textmill.pipeline.api.status_line import status_line
from textmill.pipeline.command.command_line import settings_of
from textmill.pipeline.command.exit_status import DONE, FAILED, INTERRUPTED, TOO_MANY_REJECTED, fail
from textmill.pipeline.command.printing import print_data
from textmill.pipeline.command.standard_input import STANDARD_INPUT, spooled


def _tell(
    args: argparse.Namespace, title: str, rows: Iterable[Sequence[Any]], told: Mapping[str, Any],
    *, head: Sequence[str] = (),
) -> int:  # fmt: skip
    """Prints a table, or with --json what is told."""
    from textmill.pipeline.api.console import table

    if args.json:
        print(json.dumps(told))
    else:
        table(title, rows, head=head)
    return DONE


def _options(args: argparse.Namespace, kind: type) -> dict[str, Any]:
    """The parsed options that a function of the API takes by the same names.

    Args:
        kind: a TypedDict of what it takes. What was not given is left out.
    """
    given = {name: getattr(args, name, None) for name in kind.__annotations__}
    return {name: value for name, value in given.items() if value is not None}


def _plain(told: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What is no list and no dict, by its name for people."""
    rows = [(name.replace("_", " "), value) for name, value in told.items()]
    return [(name, value) for name, value in rows if not isinstance(value, list | dict)]


def _load_tensorflow() -> None:
    with status_line("loading TensorFlow"):
        load_tensorflow()


def _train(args: argparse.Namespace) -> int:
    _load_tensorflow()
    from textmill.pipeline.api.options import TrainOptions
    from textmill.pipeline.api.trained_model import train

    names = (
        "out", "minutes", "epochs", "preset", "output", "attention", "init_from", "resume",
        "tensorboard",
    )  # fmt: skip
    given = {name: getattr(args, name) for name in (*names, "quiet")}
    model = train(args.corpus, label=args.labels, **given, **_options(args, TrainOptions))
    metrics = model.metrics
    _tell(args, f"model {args.out}", _plain(metrics), metrics)
    if metrics["stopped"] == "interrupted":
        return fail(
            f"interrupted; the best weights so far are in {args.out}, --resume goes on", INTERRUPTED
        )
    return DONE


def _evaluate(args: argparse.Namespace) -> int:
    given = {"beams": args.beams, "length_penalty": args.length_penalty}
    usual = {"beams": 0, "length_penalty": 0.6}
    if not args.references and (given != usual or args.lowercase or args.max_words != 100):
        raise UsageError(
            "--beams, --length-penalty, --max-words and --lowercase are for --references"
        )
    references = None
    if args.references:
        references = GenerationSettings(
            temperatures=(1.0 if args.beams else 0.0,), max_words=args.max_words, **given
        )
    with status_line(f"measuring {args.model}"):
        load_tensorflow()
        from textmill.pipeline.command.evaluate import evaluate

        result = evaluate(
            args.model, args.text, part=args.part, encoding=args.encoding,
            baselines=args.baselines, references=references, lowercase=args.lowercase,
        )  # fmt: skip
    title = f"{args.model} on the {result['part']} part of {', '.join(result['sources'])}"
    return _tell(args, title, _plain(result), result)


def _sample(args: argparse.Namespace) -> int:
    settings = settings_of(GenerationSettings, args)
    if not args.json:
        settings = replace(settings, echo=True)
    if args.row and args.prompt:
        raise UsageError("give prompts, or rows of a file with --row, not both")
    prompts = [Prompt(id=text, text=text) for text in args.prompt or [""]]
    with status_line(f"loading {args.model}"):
        from textmill.pipeline.api.trained_model import load
        from textmill.pipeline.output.columns import columns_of, record

        model = load(args.model, own_process=False)
        columns = columns_of({}, labelled=bool(model.labels), scored=bool(settings.beams))
        if args.row:
            from textmill.pipeline.prompts.picking import named_row

            prompts = [named_row(each, model.saved, settings) for each in args.row]
        texts = model.each(prompts, settings)
        first = next(texts)
    for generation in itertools.chain([first], texts):
        if args.json:
            print_data(json.dumps(record(generation, columns), ensure_ascii=False), flush=True)
        else:
            print_data(generation.text, keep="\n\t", flush=True)
    return DONE


def _score(args: argparse.Namespace) -> int:
    from textmill.pipeline.command.score import score_file

    return score_file(
        args.model, args.file, text=args.text, label=args.label, encoding=args.encoding,
        tokens=args.tokens, as_json=args.json, quiet=args.quiet,
    )  # fmt: skip


def _generate(args: argparse.Namespace) -> int:
    from textmill.pipeline.api.bulk import generate
    from textmill.pipeline.api.options import GenerationOptions

    settings_of(GenerationSettings, args)  # what is wrong is said before the prompts are read
    if not 0 <= args.max_rejected <= 1:
        raise SettingError("max_rejected", "a number in [0, 1]", args.max_rejected)
    if STANDARD_INPUT in args.prompts and (args.dataflow or not args.wait):
        raise UsageError(
            "--prompts - is read on this machine, and workers elsewhere cannot see it; save the "
            "prompts where they can and name that file"
        )
    names = (
        "out", "format", "compression", "strict", "encoding", "prompt_column", "id_column",
        "resume", "workers", "dataflow", "wait", "runner_flags", "quiet",
    )  # fmt: skip
    given = {name: getattr(args, name) for name in names}
    with spooled(args.prompts) as prompts:
        outcome = generate(
            args.model,
            prompts=prompts,
            delimiter=_delimiter(args),
            temperature=args.temperatures,
            **given,
            **_options(args, GenerationOptions),
        )
    if not outcome.manifest:
        sent = {"job": outcome.job, "directory": args.out}
        return _tell(args, "sent, not waited for; --resume tells how it went", sent.items(), sent)
    counts = outcome.manifest["counts"]
    told = {
        **counts,
        "shards": len(outcome.manifest["shards"]),
        "seconds": round(outcome.seconds, 1),
        "words/s, start included": round(outcome.words / outcome.seconds),
        **({"models loaded": outcome.models_loaded} if outcome.models_loaded else {}),
        "directory": args.out,
    }
    _tell(args, "generated", told.items(), told)
    if outcome.rejected_share > args.max_rejected:
        return fail(
            f"{counts['rejected']:,} of {counts['rows']:,} rows were rejected, more than the "
            f"{args.max_rejected:.1%} allowed; the reasons are in {args.out}/rejected",
            TOO_MANY_REJECTED,
        )
    return DONE


def _augment(args: argparse.Namespace) -> int:
    from textmill.pipeline.api.bulk import augment_table
    from textmill.pipeline.api.console import table
    from textmill.pipeline.augment.folder import NOT_NEEDED
    from textmill.pipeline.engines.launch import Launch

    given = {name: value for name, value in vars(args).items() if value is not None}
    launch = settings_of(Launch, args)
    about = augment_table(
        given, args.data, args.out, launch=launch, check=args.check, resume=args.resume,
        quiet=args.quiet,
    )  # fmt: skip
    if args.json:
        print_data(json.dumps(about, ensure_ascii=False))
        return DONE
    counts = about["counts"]
    rejected = [
        (reason if reason == NOT_NEEDED else f"rejected: {reason}", n)
        for reason, n in counts["rejected"].items()
    ]
    rows = [(name, counts[name]) for name in ("real", "candidates", "wanted", "kept")]
    gains = [
        (
            f"{row['classifier']}: {row['verdict']}",
            f"{row['gain']:+} ({row['low']:+} to {row['high']:+})",
        )
        for row in about.get("check", ())
    ]
    seconds = [(f"seconds: {phase}", n) for phase, n in about["seconds"].items()]
    table(f"{args.out}", [*rows, *rejected, *gains, *seconds])
    return DONE


def _export(args: argparse.Namespace) -> int:
    with status_line(f"exporting {args.model}"):
        from textmill.pipeline.api.exchange import export

        export(args.model, to=args.to, out=args.out, states=args.states)
    print(visible(args.out))
    return DONE


def _import(args: argparse.Namespace) -> int:
    with status_line(f"reading {args.file}"):
        from textmill.pipeline.api.exchange import from_keras

        model = from_keras(
            args.file, vocabulary=args.vocabulary, out=args.out, labels=args.labels, mode=args.mode
        )
    print(visible(f"{args.out}: {model!r}"))
    return DONE


def _verify(args: argparse.Namespace) -> int:
    from textmill.pipeline.job.verify import verify

    with status_line(f"reading {args.directory}"):
        verdict = verify(args.directory)
    rows = [*verdict.counts.items(), ("duplicate ids", verdict.duplicate_ids)]
    told = {**verdict.counts, "problems": verdict.problems}
    _tell(args, f"{args.directory} against its manifest", rows, told)
    for problem in verdict.problems if not args.json else ():
        print(visible(problem), file=sys.stderr)
    if verdict.problems:
        return fail(f"{args.directory} is not what its manifest says", FAILED)
    if not args.json:
        print("right: every checksum and count agrees with the manifest")
    return DONE


def _report(args: argparse.Namespace) -> int:
    given = [n for n in ("text", "encoding", "mode") if getattr(args, n) is not None]
    if args.corpus is None and given:
        raise UsageError(f"--{given[0]} tells how the corpus is read; name that with --corpus")
    with status_line(f"reading {args.directory}"):
        from textmill.model.text.corpus import CorpusSettings
        from textmill.pipeline.files.filesystem import join
        from textmill.pipeline.report.charts import measured_rows
        from textmill.pipeline.report.figures import as_json
        from textmill.pipeline.report.report import report

        corpus = None
        if args.corpus is not None:
            corpus = settings_of(CorpusSettings, args, paths=tuple(args.corpus))
        found = report(args.directory, corpus=corpus, copied_words=args.copied_words, out=args.out)
    head, rows = measured_rows(found)
    title = f"{args.directory}: {found.measured.texts:,} texts"
    _tell(args, title, rows, as_json(found), head=head)
    if not args.json:
        lines = (*found.notes, join(args.out or args.directory, "report.html"))
        print(*map(visible, lines), sep="\n")
    return DONE


def _bench(args: argparse.Namespace) -> int:
    for field in ("words", "texts"):
        if getattr(args, field) < (field == "words"):
            raise SettingError(field, "a whole number above 0", getattr(args, field))
    with status_line(f"measuring {args.model}"):
        load_tensorflow()
        from textmill.pipeline.command.bench import PARTS, bench

        result = bench(args.model, slots=args.slots, texts=args.texts, words=args.words)
    rows = _plain(result)
    for row in result["slots"]:
        speed = f"{row['words_a_second']:,} words/s, {row['share_of_limit']:.2f} of the limit"
        shares = [f"{row[f'{part}_share']:.0%} {part}" for part in PARTS]
        rows.append((f"{row['slots']} slots", f"{speed}; {', '.join(shares)}"))
    own = result["own_lengths"]
    said = (
        f"{own['words_a_text']} words each, {own['words_a_second']:,} words/s, "
        f"{own['useful_slot_steps']:.1%} of the slot steps useful"
    )
    rows.append(("texts of their own lengths", said))
    return _tell(args, f"{args.model}, one process with one thread", rows, result)


def _plan(args: argparse.Namespace) -> int:
    from textmill.pipeline.api.console import table
    from textmill.pipeline.engines.launch import Launch
    from textmill.pipeline.job.estimate import LADDER, estimate

    with spooled(args.prompts) as prompts, status_line("planning and measuring"):
        result = estimate(
            args.model,
            prompts=prompts,
            **_asked(args),
            workers=args.workers or LADDER,
            price=args.price,
            rows=args.rows,
            launch=Launch(runner_flags=args.runner_flags),
            scratch=args.scratch,
        )
    shard, worker = result["seconds_a_shard"], result["worker"]
    rows = [
        ("rows", f"{result['rows']:,}"),
        ("rejected, of those looked at", f"{result['rejected_share']:.1%}"),
        ("texts", f"{result['texts']:,}"),
        ("words, about", f"{result['words']:,}"),
        ("shards", f"{result['shards']:,}, of {result['texts_a_shard']:,} texts"),
        ("seconds a shard", f"{shard['mean']:,.1f}, the longest {shard['longest']:,.1f}"),
        ("launcher's start, planning", f"{result['launch_seconds']:,.1f} s"),
        (f"start and end of a job ({result['engine']})", f"{result['engine_seconds']:,.1f} s"),
        ("a worker's load of the model", f"{worker['load_seconds']:,.1f} s"),
        ("a worker's words/s", f"{worker['words_a_second']:,}"),
        ("a worker's memory", _gib(worker["memory_bytes"])),
    ]
    _tell(args, "the run, with workers like the one that measured", rows, result)
    columns = {
        "workers": lambda row: f"{row['workers']:,}",
        "shards each": lambda row: f"{row['shards_a_worker']:,}",
        "h:mm:ss": lambda row: _clock(row["seconds"]),
        "worker-hours": lambda row: f"{row['worker_hours']:,.2f}",
        "busy": lambda row: f"{row['busy_share']:.0%}",
        "memory of all": lambda row: _gib(row["memory_bytes"]),
        **({} if args.price is None else {"cost": lambda row: f"{row['cost']:,.2f}"}),
    }
    lines = [[of(row) for of in columns.values()] for row in result["workers"]]
    if not args.json:
        table("by the number of workers", lines, head=list(columns))
    return DONE


def _asked(args: argparse.Namespace) -> dict[str, Any]:
    """Makes what a plan is made of."""
    from textmill.pipeline.output.formats import Format
    from textmill.pipeline.prompts.reading import InputSettings

    return {
        "settings": settings_of(GenerationSettings, args),
        "reading": settings_of(InputSettings, args, delimiter=_delimiter(args)),
        "form": Format(name=args.format, compression=args.compression),
    }


def _delimiter(args: argparse.Namespace) -> str:
    """The character between the cells of a .csv, which may be written as `tab`."""
    return {"\\t": "\t", "tab": "\t"}.get(args.delimiter, args.delimiter)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60:,}:{minutes % 60:02d}:{seconds:02d}"


def _gib(size: float) -> str:
    return f"{size / 2**30:,.1f} GiB"


def _play(args: argparse.Namespace) -> int:
    with status_line(f"loading {args.model}"):
        use_one_thread()
        load_keras()
        from textmill.model.network.directory import load_model
        from textmill.pipeline.command.play import HOST, server
        from textmill.pipeline.prompts.picking import first_rows

        name = os.path.basename(os.path.abspath(args.model))
        model = load_model(args.model)
        rows = [] if args.rows is None else first_rows(args.rows, model)
        page = server(model, port=args.port, name=name, rows=rows)
    with page as found:
        print(f"http://{HOST}:{found.server_port}/ (Ctrl-C ends it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            found.serve_forever()
    return DONE


def _books(args: argparse.Namespace) -> int:
    from textmill.pipeline.command.books import save_book

    with status_line("fetching the book"):
        book = save_book(number=args.gutenberg, built_in=args.built_in, out=args.out)
    told = {"file": book.path, "paragraphs": book.paragraphs, "words": book.words}
    rows = [("paragraphs", f"{book.paragraphs:,}"), ("words", f"{book.words:,}")]
    _tell(args, book.path, [*rows, ("it begins", f"{book.beginning} ...")], told)
    if not args.json:
        path = visible(shlex.quote(book.path))
        print(f"to train on it: textmill train {path} --out MODEL --minutes 5")
    return DONE


def _demo(args: argparse.Namespace) -> int:
    _load_tensorflow()
    from textmill.pipeline.command.demo import demo
    from textmill.pipeline.engines.launch import Launch

    demo(args.out, minutes=args.minutes, launch=settings_of(Launch, args), quiet=args.quiet)
    return DONE


COMMANDS = {
    "train": _train,
    "evaluate": _evaluate,
    "sample": _sample,
    "score": _score,
    "generate": _generate,
    "augment": _augment,
    "export": _export,
    "import": _import,
    "verify": _verify,
    "report": _report,
    "bench": _bench,
    "plan": _plan,
    "play": _play,
    "books": _books,
    "demo": _demo,
}
