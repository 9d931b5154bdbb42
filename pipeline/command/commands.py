"""The commands: each calls one function and prints what came of it.

What is heavy loads inside them, as `--help` must answer at once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from textmill.model.errors import SettingError, UsageError
from textmill.model.settings import GenerationSettings, TrainSettings, VocabularySettings
from textmill.model.tensorflow_setup import load_tensorflow
from textmill.pipeline.command.exit_status import DONE, FAILED, INTERRUPTED, TOO_MANY_REJECTED, fail
from textmill.pipeline.command.options import settings_of


def _tell(
    args: argparse.Namespace, title: str, rows: Iterable[Sequence[Any]], told: Mapping[str, Any],
    *, head: Sequence[str] = (),
) -> int:  # fmt: skip
    """Prints a table, or with --json what is told."""
    from textmill.pipeline.command.console import table

    if args.json:
        print(json.dumps(told))
    else:
        table(title, rows, head=head)
    return DONE


def _plain(told: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What is no list and no dict, by its name for people."""
    rows = [(name.replace("_", " "), value) for name, value in told.items()]
    return [(name, value) for name, value in rows if not isinstance(value, list | dict)]


def _train(args: argparse.Namespace) -> int:
    load_tensorflow()
    from textmill.model.text.corpus import CorpusSettings
    from textmill.model.training.train import train_model
    from textmill.pipeline.command.console import TrainingReport

    corpus = settings_of(
        CorpusSettings,
        args,
        paths=tuple(args.corpus),
        # A tokenised corpus has a sentence or a paragraph a line, blank lines included.
        unwrap=args.unwrap and args.level != "whitespace",
    )
    with TrainingReport(quiet=args.quiet).running() as report:
        model = train_model(
            args.out,
            corpus=corpus,
            vocabulary=settings_of(VocabularySettings, args),
            preset=args.preset,
            output=args.output,
            train=settings_of(TrainSettings, args, mode=corpus.mode),
            report=report,
            tensorboard=args.tensorboard,
            resume=args.resume,
            init_from=args.init_from,
        )
    metrics = model.training["metrics"]
    _tell(args, f"model {args.out}", _plain(metrics), metrics)
    if metrics["stopped"] == "interrupted":
        return fail(
            f"interrupted; the best weights so far are in {args.out}, --resume goes on", INTERRUPTED
        )
    return DONE


def _evaluate(args: argparse.Namespace) -> int:
    load_tensorflow()
    from textmill.pipeline.command.evaluate import evaluate

    result = evaluate(
        args.model, args.text, part=args.part, encoding=args.encoding, baselines=args.baselines
    )
    title = f"{args.model} on the {result['part']} part of {', '.join(result['sources'])}"
    return _tell(args, title, _plain(result), result)


def _sample(args: argparse.Namespace) -> int:
    from textmill.model.generation.generator import Generator
    from textmill.model.network.directory import load_model
    from textmill.model.prompt import Prompt
    from textmill.model.tensorflow_setup import use_one_thread
    from textmill.pipeline.output.columns import columns_of, record

    settings = settings_of(GenerationSettings, args)
    if not args.json:
        settings = replace(settings, echo=True)
    use_one_thread()
    prompts = [Prompt(id=text, text=text) for text in args.prompt or [""]]
    generator = Generator(load_model(args.model))
    columns = columns_of({}, labelled=bool(generator.model.labels))
    for generation in generator.generate(prompts, settings):
        if args.json:
            print(json.dumps(record(generation, columns), ensure_ascii=False), flush=True)
        else:
            print(generation.text, flush=True)
    return DONE


def _generate(args: argparse.Namespace) -> int:
    from textmill.pipeline.command.console import generation_progress, stderr
    from textmill.pipeline.job.generate import generate
    from textmill.pipeline.job.launch import Launch

    asked, launch = _asked(args), settings_of(Launch, args)
    if not 0 <= args.max_rejected <= 1:
        raise SettingError("max_rejected", "a number in [0, 1]", args.max_rejected)
    with generation_progress(quiet=args.quiet) as progress:
        outcome = generate(
            args.model,
            **asked,
            out=args.out,
            launch=launch,
            resume=args.resume,
            progress=progress,
            warn=lambda text: stderr().print(text, markup=False),
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
    load_tensorflow()
    from textmill.pipeline.augment.augment import augment
    from textmill.pipeline.augment.candidates import AugmentSettings
    from textmill.pipeline.augment.filters import FilterSettings
    from textmill.pipeline.augment.folder import NOT_NEEDED
    from textmill.pipeline.command.console import TrainingReport, generation_progress, table
    from textmill.pipeline.job.launch import Launch

    settings, launch = settings_of(AugmentSettings, args), settings_of(Launch, args)
    with (
        TrainingReport(quiet=args.quiet).running() as report,
        generation_progress(quiet=args.quiet) as progress,
    ):
        about = augment(
            args.data,
            out=args.out,
            settings=settings,
            filters=settings_of(FilterSettings, args),
            launch=launch,
            resume=args.resume,
            check=args.check,
            report=report,
            progress=progress,
        )
    if args.json:
        print(json.dumps(about, ensure_ascii=False))
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


def _verify(args: argparse.Namespace) -> int:
    from textmill.pipeline.job.verify import verify

    verdict = verify(args.directory)
    rows = [*verdict.counts.items(), ("ids twice", verdict.duplicate_ids)]
    told = {**verdict.counts, "problems": verdict.problems}
    _tell(args, f"{args.directory} against its manifest", rows, told)
    for problem in verdict.problems if not args.json else ():
        print(problem, file=sys.stderr)
    if verdict.problems:
        return fail(f"{args.directory} is not what its manifest says", FAILED)
    return DONE


def _report(args: argparse.Namespace) -> int:
    from textmill.model.text.corpus import CorpusSettings
    from textmill.pipeline.files.filesystem import join
    from textmill.pipeline.report.charts import measured_rows
    from textmill.pipeline.report.figures import as_json
    from textmill.pipeline.report.report import report

    corpus = None
    if args.corpus is not None:
        corpus = settings_of(CorpusSettings, args, paths=tuple(args.corpus))
    elif args.text is not None or args.encoding is not None or args.mode is not None:
        raise UsageError("--text, --mode and --encoding are of the corpus; name it with --corpus")
    found = report(args.directory, corpus=corpus, copied_words=args.copied_words, out=args.out)
    head, rows = measured_rows(found)
    title = f"{args.directory}: {found.measured.texts:,} texts"
    _tell(args, title, rows, as_json(found), head=head)
    if not args.json:
        print(*found.notes, join(args.out or args.directory, "report.html"), sep="\n")
    return DONE


def _bench(args: argparse.Namespace) -> int:
    load_tensorflow()
    from textmill.pipeline.command.bench import PARTS, bench

    for field in ("words", "texts"):
        if getattr(args, field) < (field == "words"):
            raise SettingError(field, "a whole number above 0", getattr(args, field))
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
    from textmill.pipeline.command.console import table
    from textmill.pipeline.job.estimate import LADDER, estimate

    result = estimate(
        args.model,
        **_asked(args),
        workers=args.workers or LADDER,
        price=args.price,
        rows=args.rows,
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
        ("a worker's start", f"{worker['start_seconds']:,.1f} s"),
        ("a worker's words/s", f"{worker['words_a_second']:,}"),
        ("a worker's memory", _gib(worker["memory_bytes"])),
    ]
    _tell(args, "the run, with workers of one core like this machine's", rows, result)
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


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60:,}:{minutes % 60:02d}:{seconds:02d}"


def _gib(size: float) -> str:
    return f"{size / 2**30:,.1f} GiB"


def _play(args: argparse.Namespace) -> int:
    from textmill.model.network.directory import load_model
    from textmill.model.tensorflow_setup import use_one_thread
    from textmill.pipeline.command.play import HOST, server

    model = load_model(args.model)
    use_one_thread()
    with server(model, port=args.port) as found:
        print(f"http://{HOST}:{found.server_port}/ (Ctrl-C ends it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            found.serve_forever()
    return DONE


def _demo(args: argparse.Namespace) -> int:
    load_tensorflow()
    from textmill.pipeline.command.demo import demo
    from textmill.pipeline.job.launch import Launch

    demo(args.out, minutes=args.minutes, launch=settings_of(Launch, args), quiet=args.quiet)
    return DONE


def _asked(args: argparse.Namespace) -> dict[str, Any]:
    """What `generate` and `plan` take alike."""
    from textmill.pipeline.output.formats import Format
    from textmill.pipeline.prompts.reading import InputSettings

    delimiter = {"\\t": "\t", "tab": "\t"}.get(args.delimiter, args.delimiter)
    return {
        "prompts": args.prompts,
        "settings": settings_of(GenerationSettings, args),
        "reading": InputSettings(delimiter=delimiter, strict=args.strict),
        "form": Format(name=args.format, compression=args.compression),
    }


COMMANDS = {
    "train": _train,
    "evaluate": _evaluate,
    "sample": _sample,
    "generate": _generate,
    "augment": _augment,
    "verify": _verify,
    "report": _report,
    "bench": _bench,
    "plan": _plan,
    "play": _play,
    "demo": _demo,
}
