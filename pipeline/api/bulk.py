"""The bulk job and the augmentation from Python: `textmill.generate`, `textmill.augment`."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Unpack

from textmill.model.errors import TextmillError, UsageError
from textmill.model.reporter import quiet_logs
from textmill.model.settings import GenerationSettings
from textmill.model.tensorflow_setup import load_tensorflow
from textmill.pipeline.api.inputs import like, rows_from
from textmill.pipeline.api.options import (
    AugmentOptions,
    GenerationOptions,
    Path,
    refuse_unknown,
    settings_from,
)
from textmill.pipeline.api.status_line import status_line
from textmill.pipeline.engines.launch import Launch
from textmill.pipeline.files.filesystem import read, write_once
from textmill.pipeline.job.generate import Outcome
from textmill.pipeline.job.generate import generate as run_job
from textmill.pipeline.output.columns import plain
from textmill.pipeline.output.formats import Format, json_lines
from textmill.pipeline.prompts.reading import InputSettings

_NOISY = ("apache_beam", "apitools")  # loggers that tell of what is as it should be


def generate(
    model: Path,
    *,
    prompts: Path | Sequence[Path] | Any,
    out: Path,
    format: str = "jsonl",
    compression: str | None = None,
    delimiter: str = ",",
    strict: bool = False,
    encoding: str | None = None,
    prompt_column: str = "prompt",
    id_column: str = "id",
    resume: bool = False,
    workers: int | None = None,
    dataflow: str | None = None,
    runner_flags: Sequence[str] = (),
    wait: bool = True,
    quiet: bool = False,
    **options: Unpack[GenerationOptions],
) -> Outcome:
    """Writes texts for every prompt into a directory, with worker processes or on a cluster.

    It does what `textmill generate` does: every prompt gives its texts or one rejected record,
    files appear whole, and a stopped run goes on with `resume=True`.

    Args:
        model: a model directory.
        prompts: prompt files or patterns; or a data frame, a `datasets.Dataset` or rows with a
            field `prompt`, which are written to `OUT.prompts.jsonl` first.
        out: the directory to make.
        format: `jsonl`, `csv`, `parquet`, `tfrecord` or `text`.
        compression: `none`, `gzip` or `zstd`; None means zstd for Parquet, none for the others.
        delimiter: the character between the cells of a .csv.
        strict: whether a field of a row that is not the prompt, the id or a setting is an error.
        encoding: of the prompt files; None means UTF-8, or what a byte-order mark says.
        prompt_column: the field or column that holds the prompts.
        id_column: the field or column that holds the ids.
        resume: go on with a run into `out` that was stopped.
        workers: number of local processes; None means one for each core.
        dataflow: run on Dataflow with a preset: `cpu`, `gpu` or `cheap`.
        runner_flags: Beam's own flags, such as `["--runner=FlinkRunner"]`.
        wait: whether to wait for the end; False returns as soon as a remote runner has the job.
        quiet: show no progress on the standard error.
        options: `samples`, `temperature`, `max_words`, `seed` and so on, as for `Model.generate`.

    Returns:
        The `Outcome`; its `manifest["counts"]` has the numbers of rows, prompts, rejected rows,
        records and words.

    Raises:
        TextmillError: model, prompts or output cannot be used, or a worker failed.
        UsageError: an option is not allowed.

    Examples:
        >>> rows = [{"prompt": "The cat", "id": "a"}, {"prompt": "", "id": "b"}]
        >>> outcome = textmill.generate("alice", prompts=rows, out="out", workers=1, quiet=True)
        >>> outcome.manifest["counts"]["records"], outcome.manifest["counts"]["rejected"]
        (1, 1)
    """
    refuse_unknown(generate, options, GenerationOptions)
    from textmill.pipeline.api.console import generation_progress, say, stderr

    settings = settings_from(GenerationSettings, options)
    form = Format(name=format, compression=compression)
    launch = Launch(workers=workers, runner_flags=tuple(runner_flags), dataflow=dataflow, wait=wait)
    reading = InputSettings(
        delimiter=delimiter, strict=strict, encoding=encoding, prompt_column=prompt_column,
        id_column=id_column,
    )  # fmt: skip
    files = _prompt_files(prompts, os.fspath(out))
    with (
        generation_progress(quiet=quiet) as progress,
        quiet_logs(*_NOISY),
        contextlib.ExitStack() as waiting,
    ):
        if not quiet:
            waiting.enter_context(status_line(f"loading {os.fspath(model)}"))
        _load_beam()

        def tell(counts: Any, rows: int) -> None:
            waiting.close()
            progress(counts, rows)

        def warn(text: str) -> None:
            waiting.close()
            say(stderr(), text)

        return run_job(
            os.fspath(model),
            prompts=files,
            out=os.fspath(out),
            settings=settings,
            reading=reading,
            form=form,
            launch=launch,
            resume=resume,
            progress=None if quiet else tell,
            warn=warn,
        )


def augment(
    data: Any,
    *,
    text: str,
    label: str,
    out: Path | None = None,
    check: bool = False,
    resume: bool = False,
    workers: int | None = None,
    runner_flags: Sequence[str] = (),
    quiet: bool = False,
    **options: Unpack[AugmentOptions],
) -> Any:
    """Adds rows to a labelled table, written by a model that learns from it.

    It does what `textmill augment` does.

    Args:
        data: a data frame, a `datasets.Dataset`, rows, or the path of a table.
        text: the column of the texts.
        label: the column of the labels.
        out: the table to make; everything else is kept in the folder `OUT.augment`. It must be
            given if `data` is a path; for data in memory, None keeps nothing.
        check: measure what the added rows are worth to a classifier; it is in
            `OUT.augment/augment.json`.
        resume: go on with a run into `out` that was stopped.
        workers: local processes; None means one a core.
        runner_flags: Beam's own, as for `textmill.generate`.
        quiet: show no progress on the standard error.
        options: `per_example`, `per_label`, `balance`, `methods`, `temperature`, `epochs`,
            `minutes`, `seed`, thresholds and so on: the options of `textmill augment` with
            underscores, `methods` for `--with`.

    Returns:
        A table of the same kind as `data`: the real rows with all their columns, then the added
        rows, with the columns that `textmill augment` adds, `origin` first. If `data` is a path,
        the path `out`.

    Raises:
        TextmillError: the table cannot be used, or the output cannot be written.
        UsageError: an option is not allowed.

    Examples:
        >>> rows = [
        ...     {"text": f"the {kind} number {i} is here", "label": kind}
        ...     for i in range(12) for kind in ("cat", "dog")
        ... ]
        >>> more = textmill.augment(
        ...     rows, text="text", label="label", methods=["swap"], per_example=1, quiet=True
        ... )
        >>> more[0]["origin"], more[-1]["origin"]
        ('real', 'swap')
    """
    refuse_unknown(augment, options, AugmentOptions)
    rows = rows_from(data)
    if rows is None and not isinstance(data, str | os.PathLike):
        raise UsageError(
            "data must be a data frame, a datasets.Dataset, rows or the path of a table. "
            f"Received: {type(data).__name__}"
        )
    if rows is None and out is None:
        raise UsageError("out must be given for a table in a file; name the table to make")
    run = functools.partial(
        augment_table,
        {**options, "text": text, "label": label},
        launch=Launch(workers=workers, runner_flags=tuple(runner_flags)),
        check=check,
        resume=resume,
        quiet=quiet,
    )
    if rows is None:
        assert out is not None
        run(os.fspath(data), os.fspath(out))
        return os.fspath(out)
    for name in (text, label):
        if rows and name not in rows[0]:
            raise UsageError(f"no column named '{name}'. Found: {', '.join(map(str, rows[0]))}")
    if out is not None and not os.fspath(out).endswith(".jsonl"):
        raise UsageError(f"out must end in .jsonl for data in memory. Received: {os.fspath(out)}")
    with tempfile.TemporaryDirectory(prefix="textmill-") as folder:
        path = os.path.join(folder, "rows.jsonl")
        columns = [{name: plain(row.get(name)) for name in (text, label)} for row in rows]
        write_once(path, json_lines(columns))
        place = os.path.join(folder, "more.jsonl") if out is None else os.fspath(out)
        run(path, place)
        made = [json.loads(line) for line in read(place).decode().splitlines()]
    return like(data, _with_all_columns(rows, made, own=(text, label)))


def _load_beam() -> None:
    """Loads Beam, which tells the root logger of packages that it could do without."""
    with quiet_logs("root"):
        import textmill.pipeline.job.beam_steps  # noqa: F401


def _prompt_files(prompts: Any, out: str) -> list[str]:
    """Gives paths of prompt files; writes rows in memory to a file."""
    rows = rows_from(prompts)
    if rows is None:
        if isinstance(prompts, str | os.PathLike):
            return [os.fspath(prompts)]
        if isinstance(prompts, Iterable) and not isinstance(prompts, bytes | Mapping):
            paths = list(prompts)
            if paths and all(isinstance(path, str | os.PathLike) for path in paths):
                return [os.fspath(path) for path in paths]
        raise UsageError(
            "prompts must be prompt files or patterns, a data frame, a datasets.Dataset or rows "
            f"with a field 'prompt'. Received: {type(prompts).__name__}"
        )
    path, content = f"{out.rstrip('/')}.prompts.jsonl", json_lines(map(plain, rows))
    if not write_once(path, content) and read(path) != content:
        raise TextmillError(f"{path} holds other prompts; name another out, or remove it first")
    return [path]


def augment_table(
    options: Mapping[str, Any],
    data: str,
    out: str,
    *,
    launch: Launch,
    check: bool,
    resume: bool,
    quiet: bool,
) -> dict[str, Any]:
    """Augments a table in a file, and shows how far it is. Returns what augment.json says.

    Args:
        options: those of `AugmentOptions`, `text` and `label`.
        data: path of the table.
        out: path of the table to make.
        launch: where the generation runs.
        check: see `augment`.
        resume: see `augment`.
        quiet: see `augment`.
    """
    with status_line("loading TensorFlow"):
        load_tensorflow()
    _load_beam()
    from textmill.pipeline.api.console import TrainingReport, generation_progress
    from textmill.pipeline.augment.augment import augment as run
    from textmill.pipeline.augment.filters import FilterSettings
    from textmill.pipeline.augment.settings import AugmentSettings

    with (
        TrainingReport(quiet=quiet).running() as report,
        generation_progress(quiet=quiet) as progress,
        quiet_logs(*_NOISY),
    ):

        def tell(counts: Any, rows: int) -> None:
            report.pause()  # one bar at a time
            progress(counts, rows)

        return run(
            data,
            out=out,
            settings=settings_from(AugmentSettings, options),
            filters=settings_from(FilterSettings, options),
            launch=launch,
            resume=resume,
            check=check,
            report=report,
            progress=None if quiet else tell,
        )


def _with_all_columns(
    rows: Sequence[Mapping[str, Any]], made: Sequence[dict[str, Any]], *, own: tuple[str, str]
) -> list[dict[str, Any]]:
    """Gives the real rows, unchanged, with the added columns, then the added rows.

    Args:
        rows: the real rows.
        made: rows of the augmented table.
        own: the columns of text and label, which all rows have.
    """
    others = [name for name in dict.fromkeys(n for row in rows for n in row) if name not in own]
    names = {
        name: f"augment_{name}" if name in others else name
        for name in (made[0] if made else ())
        if name not in own
    }
    nothing = dict.fromkeys(others)
    table = []
    for number, row in enumerate(made):
        added = {new: row[old] for old, new in names.items()}
        if number < len(rows):
            table.append({**rows[number], **added})
        else:
            table.append({**{name: row[name] for name in own}, **nothing, **added})
    return table
