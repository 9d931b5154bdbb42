"""A whole run: counts add up, bytes are equal, failures leave nothing that looks finished."""

from __future__ import annotations

import collections
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from sharing import generator_of
from waiting import until

from textmill.model.errors import SettingError, TextmillError, UsageError
from textmill.model.network.directory import load_model
from textmill.model.prompt import Generation, Prompt
from textmill.model.settings import GenerationSettings
from textmill.pipeline.engines.engine import Engine, runner_of
from textmill.pipeline.engines.launch import Launch
from textmill.pipeline.engines.local_runner import default_workers, quiet_threads
from textmill.pipeline.files.error_causes import first_cause
from textmill.pipeline.files.filesystem import write_once
from textmill.pipeline.job.generate import generate
from textmill.pipeline.job.manifest import (
    GeneratedShard,
    Output,
    ShardSummary,
    read_manifest,
    write_manifest,
    write_shard,
)
from textmill.pipeline.job.progress import Counts
from textmill.pipeline.job.run_statistics import Statistics
from textmill.pipeline.output.columns import columns_of
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.planning import Rejected, Shard
from textmill.pipeline.prompts.reading import Form

IN_PROCESS = ("--runner=FnApiRunner",)
ROOT = Path(__file__).resolve().parents[2]
SETTINGS = GenerationSettings(samples=2, temperatures=(0.5, 1.0), max_words=30)


@pytest.fixture(scope="module")
def prompt_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "p.txt"
    rows = [
        ["the old", "a dog", "", "“", "\udcff bad", "zzz", "e\u0301 the"][i % 7] for i in range(140)
    ]
    path.write_bytes("\n".join(rows).encode("utf-8", "surrogateescape") + b"\n")
    return path


def run(model_dir, prompt_file, out, *, settings=SETTINGS, flags=IN_PROCESS, workers=None, **more):
    return generate(
        str(model_dir),
        prompts=[str(prompt_file)],
        out=str(out),
        settings=settings,
        launch=Launch(runner_flags=tuple(flags), workers=workers),
        **more,
    )


def contents(folder) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path.name != "stats.json"  # tells of seconds
    }


def records(folder, pattern="shard-*.jsonl"):
    for path in sorted(Path(folder).glob(pattern)):
        for line in path.read_text("utf-8").splitlines():
            yield json.loads(line)


@pytest.fixture(scope="module")
def output(model_dir, prompt_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "out"
    return out, run(model_dir, prompt_file, out)


def test_every_row_is_accounted_for(output):
    out, outcome = output
    manifest = outcome.manifest
    assert manifest["counts"] == {
        "rows": 140,
        "prompts": 100,
        "rejected": 40,
        "records": 400,
        "words": sum(row["words"] for row in records(out)),
    }
    assert outcome.rejected_share == 40 / 140
    rejected = list(records(out, "rejected/*.jsonl"))
    assert [row["line"] for row in rejected] == [i + 1 for i in range(140) if i % 7 in (2, 4)]
    assert collections.Counter(row["reason"] for row in rejected) == {
        "empty": 20,
        "not valid UTF-8 at byte 0; --encoding says what a file is": 20,
    }
    ids = [row["id"] for row in records(out)]
    assert len(set(ids)) == 400
    assert ids[:5] == [f"p.txt:1#{n}" for n in (1, 2, 3, 4)] + ["p.txt:2#1"]


def test_records_hold_what_the_generator_gives(output, model_dir, prompt_file):
    out, _ = output
    found = {row["id"]: row for row in records(out)}
    (first,) = generator_of(load_model(model_dir)).generate(
        [Prompt("p.txt:7", "e\u0301 the")], GenerationSettings(temperatures=(0.5,), max_words=30)
    )
    assert found["p.txt:7#1"] == {
        "id": "p.txt:7#1",
        "prompt": "e\u0301 the",
        "text": first.text,
        "temperature": 0.5,
        "words": first.words,
        "finish": first.finish,
        "logprob": first.logprob,
    }
    assert found["p.txt:7#3"]["temperature"] == 1.0


def test_manifest_describes_the_files(output, model_dir, prompt_file):
    out, outcome = output
    manifest = outcome.manifest
    assert manifest["model"] == load_model(model_dir).fingerprint
    assert manifest["settings"]["temperatures"] == [0.5, 1.0]
    raw = prompt_file.read_bytes()
    assert manifest["prompts"] == [
        {"name": "p.txt", "bytes": len(raw), "rows": 140, "sha256": hashlib.sha256(raw).hexdigest()}
    ]
    files = contents(out)
    assert len(manifest["shards"]) > 10
    for shard in manifest["shards"]:
        assert shard["sha256"] == hashlib.sha256(files.pop(shard["name"])).hexdigest()
        if shard["rejected"]:
            rejected = files.pop(f"rejected/{shard['name']}")
            assert shard["rejected_sha256"] == hashlib.sha256(rejected).hexdigest()
    assert files.keys() == {"manifest.json", "run.json", "README.md"}
    run = json.loads(files["run.json"])
    assert run == {key: manifest[key] for key in run}


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.walk), 2])
def test_worker_processes_give_the_same_bytes(output, model_dir, prompt_file, tmp_path, workers):
    out, _ = output
    told = []
    outcome = run(
        model_dir,
        prompt_file,
        tmp_path / "o",
        flags=(),
        workers=workers,
        progress=lambda counts, rows: told.append((counts, rows)),
    )
    assert outcome.models_loaded == workers
    assert contents(tmp_path / "o") == contents(out)
    counts = read_manifest(out)["counts"]
    expected = Counts(counts["prompts"], counts["records"], counts["words"], counts["rejected"])
    assert told[-1] == (expected, 140)


def test_direct_runner_gives_the_same_bytes(output, model_dir, prompt_file, tmp_path):
    run(model_dir, prompt_file, tmp_path / "o", flags=("--runner=DirectRunner",))
    assert contents(tmp_path / "o") == contents(output[0])


def test_direct_runner_does_not_wait_for_a_network_that_is_silent(
    output, model_dir, prompt_file, tmp_path, monkeypatch
):
    """The place that Beam downloads Prism from takes a call and never answers."""
    from apache_beam.runners.portability import prism_runner

    from textmill.pipeline.engines import engine

    monkeypatch.setattr(engine, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(prism_runner.PrismJobServer, "BIN_CACHE", str(tmp_path / "cache"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(prism_runner, "GITHUB_DOWNLOAD_PREFIX", place)
        run(model_dir, prompt_file, tmp_path / "o", flags=("--runner=DirectRunner",))
        silent.setblocking(False)
        silent.accept()[0].close()  # it was asked
    assert contents(tmp_path / "o") == contents(output[0])


def test_labels_reach_the_records(labelled_dir, tmp_path):
    (tmp_path / "p.txt").write_text("the\na\n")
    settings = GenerationSettings(label="dogs", max_words=5)
    run(labelled_dir, tmp_path / "p.txt", tmp_path / "o", settings=settings)
    assert {row["label"] for row in records(tmp_path / "o")} == {"dogs"}


# -- what goes wrong -------------------------------------------------------------------------------


def test_a_taken_directory_is_not_touched(output, model_dir, prompt_file):
    out, _ = output
    before = contents(out)
    with pytest.raises(TextmillError, match="already exists"):
        run(model_dir, prompt_file, out)
    assert contents(out) == before


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"stop": ("zebra",)}, SettingError, "stop must be a word of the model's vocabulary"),
        ({"label": "cats"}, SettingError, "label must be left out"),
    ],
)
def test_bad_settings_make_no_directory(model_dir, prompt_file, tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        run(model_dir, prompt_file, tmp_path / "o", settings=GenerationSettings(**change))
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("flags", [IN_PROCESS, ()], ids=["in process", "worker process"])
def test_a_failing_worker_says_why_and_leaves_no_manifest(
    model_dir, prompt_file, tmp_path, monkeypatch, flags
):
    # The model is whole when the run is planned and gone when the workers load it.
    import textmill.pipeline.job.generate

    copy = shutil.copytree(model_dir, tmp_path / "model")

    def load_and_damage(path):
        model = load_model(path)
        (copy / "weights.safetensors").write_bytes(b"gone")
        return model

    monkeypatch.setattr(textmill.pipeline.job.generate, "load_model", load_and_damage)
    with pytest.raises(TextmillError, match=r"^\S*weights\.safetensors is damaged: [^\n]*$"):
        run(copy, prompt_file, tmp_path / "o", flags=flags)
    assert not (tmp_path / "o" / "manifest.json").exists()


def test_a_worker_that_dies_ends_the_run(model_dir, prompt_file, tmp_path):
    """A worker is killed as soon as it has written something; the others end, too."""
    out, found = tmp_path / "o", {}

    def watch(counts, rows):
        if counts.samples and not found:
            workers = subprocess.run(
                ["pgrep", "-P", str(os.getpid()), "-f", "textmill.pipeline.engines.local_worker"],
                capture_output=True,
                text=True,
                check=True,
            )
            found["workers"] = [int(pid) for pid in workers.stdout.split()]
            os.kill(found["workers"][0], signal.SIGKILL)

    settings = GenerationSettings(samples=200, max_words=60)
    with pytest.raises(TextmillError, match=r"a worker process died .*exit.* code -9.*--workers"):
        run(model_dir, prompt_file, out, flags=(), workers=2, settings=settings, progress=watch)
    assert not (out / "manifest.json").exists()
    places = [Path(f"/proc/{pid}") for pid in found["workers"]]
    until(lambda: not any(place.exists() for place in places), "a worker is still there")


def test_of_two_runs_at_once_one_gets_the_place(model_dir, prompt_file, tmp_path, monkeypatch):
    import textmill.pipeline.job.resumable_run

    monkeypatch.setattr(textmill.pipeline.job.resumable_run, "check_free", lambda path: None)
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "run.json").write_text("the other's")
    with pytest.raises(TextmillError, match="in use by another run"):
        run(model_dir, prompt_file, tmp_path / "o")
    assert contents(tmp_path / "o")["run.json"] == b"the other's"


def test_a_second_attempt_tells_of_the_first_one_s_file(tmp_path):
    """The same holds on another kind of CPU, where bytes differ."""
    shard = Shard(
        number=0, of=1, path="p", name="p", form=Form("text"), columns=(), start=0, end=9, first=1,
        rows=2,
    )  # fmt: skip
    output = Output(str(tmp_path), Format(), columns_of({}, labelled=False))
    rejected = [Rejected("p", 2, "empty", "")]

    def attempt(text, words):
        generation = Generation(Prompt("p:1", "a"), 1, text, None, 1.0, words, "eos", -1.0)
        return write_shard(
            GeneratedShard(shard, 1, 1, [generation], rejected, "cpu", "2", 0.5), output
        )

    first, second = attempt(" one", 1), attempt(" two words", 2)
    assert first == second
    assert first.sha256 == hashlib.sha256((tmp_path / first.name).read_bytes()).hexdigest()


def test_a_full_disk_says_so_and_leaves_nothing_half_written(
    model_dir, prompt_file, tmp_path, monkeypatch
):
    calls = []
    real = os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 5:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TextmillError, match=r"cannot write .*: No space left on device"):
        run(model_dir, prompt_file, tmp_path / "o")
    files = contents(tmp_path / "o")
    assert "manifest.json" not in files
    assert not [name for name in files if ".attempt" in name]


def test_the_first_of_two_attempts_wins(tmp_path):
    assert write_once(tmp_path / "f", b"one")
    assert not write_once(tmp_path / "f", b"two")
    assert contents(tmp_path) == {"f": b"one"}
    with pytest.raises(TextmillError, match="cannot write"):
        write_once(tmp_path / "no" / "f", b"x")


def summary(**fields) -> ShardSummary:
    base = {
        "number": 0, "name": "s", "rows": 3, "prompts": 2, "rejected": 1, "records": 4, "words": 9,
        "sha256": "", "rejected_sha256": None, "machine": "m", "tensorflow": "t",
        "statistics": Statistics({}, {}, {}, {}, 0.0),
    }  # fmt: skip
    return ShardSummary(**{**base, **fields})


@pytest.mark.parametrize(("rows", "fields"), [(4, {}), (3, {"prompts": 1}), (3, {"rejected": 2})])
def test_counts_that_do_not_add_up_are_no_finished_run(tmp_path, rows, fields):
    output = Output(str(tmp_path), Format(), ())
    header = {"model": "m", "settings": {}, "versions": {"textmill": "0"}}
    with pytest.raises(TextmillError, match="rows are missing"):
        write_manifest([summary(**fields)], output=output, header=header, rows=rows)
    with pytest.raises(TextmillError, match=r"2 files are gone from .*, run\.json among them"):
        write_manifest([summary()], output=output, header=header, rows=3)
    assert contents(tmp_path) == {}
    for name in ("s", "run.json"):
        (tmp_path / name).write_text("")
    for _ in range(2):  # an engine may ask twice
        write_manifest([summary()], output=output, header=header, rows=3)
    with pytest.raises(TextmillError, match="holds the manifest of another run"):
        write_manifest([summary(words=10)], output=output, header=header, rows=3)
    with pytest.raises(TextmillError, match="holds no finished run"):
        read_manifest(tmp_path / "other")


def test_missing_texts_are_no_finished_shard(tmp_path):
    shard = Shard(
        number=0, of=1, path="p", name="p", form=Form("text"), columns=(), start=0, end=9, first=1,
        rows=1,
    )  # fmt: skip
    with pytest.raises(TextmillError, match="0 texts instead of 2"):
        write_shard(
            GeneratedShard(shard, 1, 2, [], [], "cpu", "2", 0.5),
            Output(str(tmp_path), Format(), ()),
        )
    assert contents(tmp_path) == {}


def test_rows_with_settings_of_their_own(labelled_dir, tmp_path):
    rows = [
        {"prompt": "the", "label": "cats", "samples": 2, "source": "<b>", "text": "mine"},
        {"prompt": "a", "temperature": [0, 0.5], "id": "mine"},
        {"prompt": "a", "label": "birds"},
        {"prompt": "a", "stop": "zebra"},
        {"prompt": "a", "max_words": 1},
    ]
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = GenerationSettings(label="dogs", max_words=5)
    outcome = run(labelled_dir, path, tmp_path / "o", settings=settings)
    found = {row["id"]: row for row in records(tmp_path / "o")}
    assert outcome.manifest["counts"]["records"] == len(found) == 5
    assert found["p.jsonl:1#2"]["label"] == "cats"
    assert (found["p.jsonl:1#1"]["source"], found["p.jsonl:1#1"]["input_text"]) == ("<b>", "mine")
    assert [found[f"mine#{n}"]["temperature"] for n in (1, 2)] == [0.0, 0.5]
    assert found["p.jsonl:5#1"]["words"] <= 1
    rejected = list(records(tmp_path / "o", "rejected/*.jsonl"))
    assert [(row["line"], row["reason"].split(" must")[0]) for row in rejected] == [
        (3, "label"),
        (4, "stop"),
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--runnr=DirectRunner"], "Beam has no flag --runnr"),
        (["stray"], "Beam has no flag stray"),
        (["--direct_num_workers=two"], "invalid int value"),
        (["--direct_running_mode=multi_processing"], "needs --runner=DirectRunner"),
        (["--runner=Nope"], "there is no runner 'Nope'"),
    ],
)
def test_unknown_runner_flags(flags, message):
    with pytest.raises(UsageError, match=message):
        runner_of(flags, workers=None)


def test_a_job_service_that_is_not_there():
    flags = ["--runner=PortableRunner", "--job_endpoint=localhost:1"]
    with pytest.raises(TextmillError, match=r"no job service answers at localhost:1 .*: start it"):
        runner_of(flags, workers=None)


def test_an_engine_that_ends_is_told_in_one_line():
    said = """<_MultiThreadedRendezvous of RPC that terminated with:
\tstatus = StatusCode.UNAVAILABLE
\tdetails = "Socket closed"
>"""
    assert first_cause(RuntimeError(said)).startswith(
        "the engine does not answer, or has ended (Socket closed): "
    )


def test_threads_of_a_run_do_not_print_their_errors(capsys, monkeypatch):
    def fail():
        raise ValueError("of a thread")

    def run_it():
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()

    monkeypatch.setattr(threading, "excepthook", lambda args: print(args.exc_value))
    with quiet_threads():
        run_it()
    assert capsys.readouterr().out == ""
    run_it()
    assert capsys.readouterr().out == "of a thread\n"


def test_a_notebook_s_pipeline_is_a_script_s(monkeypatch):
    """Beam's own way of labels there fails with pandas 3."""
    import apache_beam as beam

    def fail(transform, pvalueish):
        raise AttributeError("type object 'DataFrame' has no attribute 'first'")

    monkeypatch.setattr("apache_beam.pipeline.alter_label_if_ipython", fail)
    pipeline = Engine(Launch(runner_flags=IN_PROCESS)).pipeline()
    pipeline | "Numbers" >> beam.Create([1, 2]) | "Doubled" >> beam.Map(lambda n: 2 * n)
    assert "Numbers" in pipeline.applied_labels
    assert beam.pipeline.alter_label_if_ipython is fail  # for other pipelines all is as it was


def test_workers_default_to_the_cores():
    assert default_workers() in (1, len(os.sched_getaffinity(0)))
