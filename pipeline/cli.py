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
from dataclasses import replace

from model.errors import SettingError, TextmillError, UsageError
from model.quiet import load_tensorflow
from model.settings import GenerationSettings, TrainSettings, VocabularySettings
from pipeline.options import parser

DONE, FAILED, TOO_MANY_REJECTED, INTERRUPTED = 0, 1, 3, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    runner_flags: list[str] = []
    if arguments[:1] in (["generate"], ["augment"]) and "--" in arguments:
        cut = arguments.index("--")
        arguments, runner_flags = arguments[:cut], arguments[cut + 1 :]
    # TensorFlow greets on the standard error; what matters of it comes as our own message.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    logging.getLogger().setLevel(logging.CRITICAL)  # Beam logs a failure before it raises it
    with contextlib.suppress(ValueError):  # only the main thread may
        signal.signal(signal.SIGTERM, _interrupt)  # ends as Ctrl-C does
    try:
        args = parser(_COMMANDS).parse_args(arguments)
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
    settings = TrainSettings(
        mode=mode,
        minutes=args.minutes,
        epochs=args.epochs,
        learning_rate=args.learning_rate,
        dropout=args.dropout,
        weight_drop=args.weight_drop,
        word_dropout=args.word_dropout,
        activation_penalty=args.activation_penalty,
        slowness_penalty=args.slowness_penalty,
        schedule=args.schedule,
        weight_decay=args.weight_decay,
        clip=args.clip,
        vary=args.vary,
        average=args.average,
        precision=args.precision,
        checkpoint_minutes=args.checkpoint_minutes,
        seed=args.seed,
    )
    with TrainingReport(quiet=args.quiet).running() as report:
        model = train_model(
            args.out,
            corpus=corpus,
            vocabulary=vocabulary,
            preset=args.preset,
            output=args.output,
            train=settings,
            report=report,
            tensorboard=args.tensorboard,
            resume=args.resume,
            init_from=args.init_from,
        )
    if args.json:
        print(json.dumps(model.training["metrics"]))
    else:
        rows = [(name.replace("_", " "), v) for name, v in model.training["metrics"].items()]
        table(f"model {args.out}", rows)
    if model.training["metrics"]["stopped"] == "interrupted":
        return _fail(
            f"interrupted; the best weights so far are in {args.out}, --resume goes on", INTERRUPTED
        )
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
    from pipeline.records import columns_of, record

    settings = _generation_settings(args)
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
    from pipeline.console import generation_progress, stderr, table
    from pipeline.formats import Format
    from pipeline.generate import generate
    from pipeline.inputs import InputSettings

    settings = _generation_settings(args)
    delimiter = {"\\t": "\t", "tab": "\t"}.get(args.delimiter, args.delimiter)
    reading = InputSettings(delimiter=delimiter, strict=args.strict)
    form = Format(name=args.format, compression=args.compression)
    if not 0 <= args.max_rejected <= 1:
        raise SettingError("max_rejected", "a number in [0, 1]", args.max_rejected)
    if args.workers is not None and args.workers < 1:
        raise SettingError("workers", "a whole number of at least 1", args.workers)
    with generation_progress(quiet=args.quiet) as progress:
        outcome = generate(
            args.model,
            prompts=args.prompts,
            out=args.out,
            settings=settings,
            reading=reading,
            form=form,
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
        ("words/s, start included", round(outcome.words / outcome.seconds)),
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


def _augment(args: argparse.Namespace) -> int:
    load_tensorflow()
    from dataclasses import fields

    from pipeline.augment import augment
    from pipeline.candidates import AugmentSettings
    from pipeline.console import TrainingReport, generation_progress, table
    from pipeline.filters import FilterSettings

    if args.workers is not None and args.workers < 1:
        raise SettingError("workers", "a whole number of at least 1", args.workers)
    thresholds = {field.name: getattr(args, field.name) for field in fields(FilterSettings)}
    settings = AugmentSettings(
        text=args.text,
        label=args.label,
        encoding=args.encoding,
        per_example=args.per_example,
        per_label=args.per_label,
        balance=args.balance,
        candidates=args.candidates,
        methods=tuple(args.methods),
        temperatures=tuple(args.temperature),
        level=args.level,
        minutes=args.minutes,
        epochs=args.epochs,
        unlabelled=tuple(args.unlabelled),
        init_from=args.init_from,
        seed=args.seed,
    )
    with (
        TrainingReport(quiet=args.quiet).running() as report,
        generation_progress(quiet=args.quiet) as progress,
    ):
        about = augment(
            args.data,
            out=args.out,
            settings=settings,
            filters=FilterSettings(**{k: v for k, v in thresholds.items() if v is not None}),
            workers=args.workers,
            runner_flags=args.runner_flags,
            resume=args.resume,
            check=args.check,
            report=report,
            progress=progress,
        )
    if args.json:
        print(json.dumps(about, ensure_ascii=False))
        return DONE
    counts = about["counts"]
    rejected = [(f"rejected: {reason}", n) for reason, n in counts["rejected"].items()]
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


def _bench(args: argparse.Namespace) -> int:
    load_tensorflow()
    from pipeline.bench import bench
    from pipeline.console import table

    for field in ("words", "texts"):
        if getattr(args, field) < (field == "words"):
            raise SettingError(field, "a whole number above 0", getattr(args, field))
    result = bench(args.model, slots=args.slots, texts=args.texts, words=args.words)
    if args.json:
        print(json.dumps(result))
        return DONE
    rows = [
        (name.replace("_", " "), v) for name, v in result.items() if not isinstance(v, list | dict)
    ]
    for row in result["slots"]:
        shares = [
            f"{row[f'{part}_share']:.0%} {part}" for part in ("tokenise", "read", "draw", "join")
        ]
        rows.append(
            (
                f"{row['slots']} slots",
                f"{row['words_a_second']:,} words/s, {row['share_of_limit']:.2f} of the limit; "
                + ", ".join(shares),
            )
        )
    own = result["own_lengths"]
    rows.append(
        (
            "texts of their own lengths",
            f"{own['words_a_text']} words each, {own['words_a_second']:,} words/s, "
            f"{own['useful_slot_steps']:.1%} of the slot steps useful",
        )
    )
    table(f"{args.model}, one process with one thread", rows)
    return DONE


def _play(args: argparse.Namespace) -> int:
    from model.generator import use_one_thread
    from model.saved import load_model
    from pipeline.play import HOST, server

    model = load_model(args.model)
    use_one_thread()
    with server(model, port=args.port) as found:
        print(f"http://{HOST}:{found.server_port}/ (Ctrl-C ends it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            found.serve_forever()
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
        repetition_penalty=args.repetition_penalty,
        no_repeat_ngram=args.no_repeat_ngram,
        ban=tuple(args.ban),
        stop=tuple(args.stop),
        label=args.label,
        unknown=args.unknown,
        echo=args.echo,
        precision=args.precision,
        seed=args.seed,
    )


_COMMANDS = {
    "train": _train,
    "evaluate": _evaluate,
    "sample": _sample,
    "generate": _generate,
    "augment": _augment,
    "verify": _verify,
    "bench": _bench,
    "play": _play,
    "demo": _demo,
}


if __name__ == "__main__":
    sys.exit(main())
