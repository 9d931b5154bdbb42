"""A stopped run goes on, and ends with the bytes of one that never stopped."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import unittest.mock
from pathlib import Path

import pytest
from waiting import until

from textmill.model.errors import TextmillError
from textmill.model.settings import GenerationSettings
from textmill.pipeline.command.cli import main
from textmill.pipeline.engines.launch import Launch
from textmill.pipeline.job.generate import Interrupted, generate
from textmill.pipeline.job.manifest import Output, _signed
from textmill.pipeline.job.resumable_run import RunDirectory
from textmill.pipeline.job.verify import verify
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.planning import plan, read_shard

SETTINGS = GenerationSettings(temperatures=(0.5, 1.0), max_words=8)


@pytest.fixture(scope="module")
def prompt_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "p.txt"
    path.write_text("the old\na dog\n\nzzz\n" * 200)
    return path


def run(model_dir, prompt_file, out, *, settings=SETTINGS, **more):
    return generate(
        str(model_dir),
        prompts=[str(prompt_file)],
        out=str(out),
        settings=settings,
        launch=Launch(runner_flags=("--runner=FnApiRunner",)),
        **more,
    )


def contents(folder) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file() and path.name != "stats.json"  # tells of seconds
    }


@pytest.fixture(scope="module")
def whole(model_dir, prompt_file, tmp_path_factory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole") / "o"
    run(model_dir, prompt_file, out)
    return contents(out)


@pytest.fixture
def stopped(model_dir, prompt_file, tmp_path, monkeypatch) -> Path:
    """A run that was stopped after some shards."""
    import textmill.pipeline.job.beam_steps

    real, calls = textmill.pipeline.job.beam_steps.write_shard, []

    def write(done, output):
        calls.append(done)
        if len(calls) > 9:
            raise KeyboardInterrupt
        return real(done, output)

    monkeypatch.setattr(textmill.pipeline.job.beam_steps, "write_shard", write)
    with pytest.raises(Interrupted, match=r"9 of 13 shards are finished.*--resume goes on"):
        run(model_dir, prompt_file, tmp_path / "o")
    monkeypatch.undo()
    return tmp_path / "o"


def test_a_stopped_run_goes_on(stopped, whole, model_dir, prompt_file):
    (stopped / ".attempt-left").write_text("half a shar")
    standing = {path: path.stat().st_mtime_ns for path in stopped.glob("shard-*")}
    assert len(standing) == 9
    with pytest.raises(TextmillError, match="already exists"):
        run(model_dir, prompt_file, stopped)
    run(model_dir, prompt_file, stopped, resume=True)
    assert contents(stopped) == whole
    assert {path: path.stat().st_mtime_ns for path in standing} == standing


def test_a_finished_run_is_left_alone(stopped, whole, model_dir, prompt_file):
    run(model_dir, prompt_file, stopped, resume=True)
    outcome = run(model_dir, prompt_file, stopped, resume=True)
    assert outcome.manifest["counts"]["rows"] == 800
    assert contents(stopped) == whole


def test_a_run_that_was_killed_as_it_began(whole, model_dir, prompt_file, tmp_path):
    """Its claim is there, but nothing says yet what it is."""
    out = tmp_path / "o"
    out.mkdir()
    (out / ".lock").touch()
    (out / ".attempt-left").write_text("{")
    with pytest.raises(TextmillError, match="already exists"):
        run(model_dir, prompt_file, out)
    run(model_dir, prompt_file, out, resume=True)
    assert contents(out) == whole


def test_a_run_that_was_killed_as_it_ended(stopped, whole, model_dir, prompt_file):
    run(model_dir, prompt_file, stopped, resume=True)
    (stopped / ".attempt-left").write_bytes((stopped / "manifest.json").read_bytes())
    (stopped / ".done").mkdir()
    (stopped / ".lock").touch()
    run(model_dir, prompt_file, stopped, resume=True)
    assert contents(stopped) == whole
    assert not (stopped / ".done").exists()


def test_a_finished_run_that_was_damaged_is_made_whole(stopped, whole, model_dir, prompt_file):
    run(model_dir, prompt_file, stopped, resume=True)
    shards = sorted(stopped.glob("shard-*"))
    standing = shards[5].stat().st_mtime_ns
    shards[0].unlink()
    shards[1].write_bytes(shards[1].read_bytes()[:-30])
    (stopped / "README.md").unlink()
    said = []
    run(model_dir, prompt_file, stopped, resume=True, warn=said.append)
    assert contents(stopped) == whole
    assert shards[5].stat().st_mtime_ns == standing
    assert "of the finished run is damaged and is made again" in said[0]
    assert verify(str(stopped)).problems == []


def test_a_shard_without_a_note_is_not_trusted(stopped, whole, model_dir, prompt_file):
    """A file that is cut at the end of a line would look whole."""
    run(model_dir, prompt_file, stopped, resume=True)
    (stopped / "manifest.json").unlink()
    shard = sorted(stopped.glob("shard-*"))[3]
    shard.write_bytes(b"".join(shard.read_bytes().splitlines(keepends=True)[:-1]))
    run(model_dir, prompt_file, stopped, resume=True)
    assert contents(stopped) == whole


CHANGES = (
    {"words": None}, {"rows": "2"}, {"number": 7}, {"name": "shard-00800-of-00005.jsonl"},
    {"statistics": {"finish": 5}},
    {"statistics": {"finish": {}, "reasons": {}, "words": {"zz": 1}, "logprobs": {}, "seconds": 1}},
)  # fmt: skip


def test_damaged_notes_cost_their_shard(stopped, whole, model_dir, prompt_file):
    notes = sorted((stopped / ".done").glob("*.json"))
    for note, change in zip(notes, CHANGES, strict=False):
        rewrite_note(note, **change)
    said = []
    run(model_dir, prompt_file, stopped, resume=True, warn=said.append)
    assert contents(stopped) == whole
    assert len(said) == len(CHANGES)


def rewrite_note(note: Path, **change) -> None:
    """A note that says something else, with the checksum of what it says."""
    fields = json.loads(note.read_bytes().split(b"\n")[0])
    line = json.dumps({**fields, **change}).encode() + b"\n"
    note.write_bytes(line + hashlib.sha256(line).hexdigest().encode() + b"\n")


def test_a_note_that_somebody_changed_is_no_note(stopped, whole, model_dir, prompt_file):
    notes = sorted((stopped / ".done").glob("*.json"))
    for note, change in zip(notes, ("words", "records", "machine", "tensorflow"), strict=False):
        line, digest, _ = note.read_bytes().split(b"\n")
        fields = json.loads(line)
        fields[change] = fields[change] + 1 if isinstance(fields[change], int) else -1
        note.write_bytes(json.dumps(fields).encode() + b"\n" + digest + b"\n")
    notes[4].write_bytes(notes[4].read_bytes().split(b"\n")[0] + b"\n")  # without a checksum
    said = []
    run(model_dir, prompt_file, stopped, resume=True, warn=said.append)
    assert contents(stopped) == whole
    assert len([text for text in said if "is damaged and is made again" in text]) == 5


def _other_number(out: Path, name: str, field: str) -> None:
    found = json.loads((out / name).read_text("utf-8"))
    found[field] = found[field] + 1
    text = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    (out / name).write_text(text, "utf-8")


def test_what_was_changed_in_a_finished_run(stopped, whole, model_dir, prompt_file):
    run(model_dir, prompt_file, stopped, resume=True)
    (stopped / "README.md").write_text("# mine\n")
    _other_number(stopped, "stats.json", "words")
    assert any("README.md" in problem for problem in verify(str(stopped)).problems)
    assert any("stats.json is damaged" in problem for problem in verify(str(stopped)).problems)
    said = []
    run(model_dir, prompt_file, stopped, resume=True, warn=said.append)
    assert contents(stopped) == whole
    assert verify(str(stopped)).problems == []
    assert said == ["stats.json, README.md of the finished run is damaged and is made again"]
    _other_number(stopped, "manifest.json", "shard_count")
    for call in (verify, lambda out: run(model_dir, prompt_file, out, resume=True)):
        with pytest.raises(TextmillError, match=r"manifest\.json is damaged.*remove it") as found:
            call(str(stopped))
        assert "\n" not in str(found.value)
    (stopped / "manifest.json").unlink()
    run(model_dir, prompt_file, stopped, resume=True)
    assert contents(stopped) == whole


@pytest.mark.parametrize(
    "after", ["the dog\n" * 800, "the dog\n" * 700, "the old\na dog\n" * 401],
    ids=["same rows", "fewer rows", "more rows"],
)  # fmt: skip
def test_prompts_that_change_during_a_run(model_dir, tmp_path, monkeypatch, after):
    import textmill.pipeline.job.beam_steps

    prompts = tmp_path / "p.txt"
    prompts.write_text("the old\na dog\n" * 400)
    real, calls = textmill.pipeline.job.beam_steps.write_shard, []

    def write(done, output):
        calls.append(done)
        if len(calls) == 4:
            prompts.write_text(after)
        return real(done, output)

    monkeypatch.setattr(textmill.pipeline.job.beam_steps, "write_shard", write)
    with pytest.raises(TextmillError, match=r"p\.txt changed") as found:
        run(model_dir, prompts, tmp_path / "o")
    said = str(found.value)
    assert "start the run again in a new directory" in said
    assert "--resume" not in said
    assert "\n" not in said
    assert not (tmp_path / "o" / "manifest.json").exists()
    for shard in (tmp_path / "o").glob("shard-*"):
        assert {row["prompt"] for row in map(json.loads, shard.open())} == {"the old", "a dog"}
    with pytest.raises(TextmillError, match=r"prompts\.p\.txt|other content|changed"):
        run(model_dir, prompts, tmp_path / "o", resume=True)


def test_prompts_that_change_after_the_last_shard(model_dir, tmp_path, monkeypatch):
    import textmill.pipeline.job.generate as module

    prompts = tmp_path / "p.txt"
    prompts.write_text("the old\n" * 20)
    real = module.check_unchanged
    monkeypatch.setattr(
        module, "check_unchanged",
        lambda *known: (prompts.write_text("a dog\n" * 20), real(*known)),
    )  # fmt: skip
    with pytest.raises(TextmillError, match=r"p\.txt changed during the run"):
        run(model_dir, prompts, tmp_path / "o")
    assert not (tmp_path / "o" / "manifest.json").exists()


def test_prompts_that_are_touched_or_copied_are_the_same(whole, model_dir, prompt_file, tmp_path):
    copy = tmp_path / "copy.txt"
    copy.write_bytes(prompt_file.read_bytes())
    planned = plan([str(copy)], SETTINGS)
    os.utime(copy, (1, 1))
    for shard in planned.shards[:2]:
        read_shard(shard, SETTINGS)
    copy.unlink()
    copy.write_bytes(prompt_file.read_bytes())  # another inode
    read_shard(planned.shards[2], SETTINGS)
    copy.write_bytes(prompt_file.read_bytes().replace(b"dog", b"cat", 1))
    with pytest.raises(TextmillError, match="changed during the run"):
        read_shard(planned.shards[3], SETTINGS)


@pytest.mark.parametrize("text", ["[]", "1", '{"versions": []}', "[" * 90_000])
def test_damaged_descriptions_of_the_run(stopped, model_dir, prompt_file, text):
    (stopped / "run.json").write_text(text)
    with pytest.raises(TextmillError, match=r"run\.json is damaged: .*the run cannot go on"):
        run(model_dir, prompt_file, stopped, resume=True)


def test_resume_starts_what_was_never_started(whole, model_dir, prompt_file, tmp_path):
    run(model_dir, prompt_file, tmp_path / "o", resume=True)
    assert contents(tmp_path / "o") == whole


def test_damaged_shards_are_made_again(stopped, whole, model_dir, prompt_file):
    shards = sorted(stopped.glob("shard-*"))
    shards[0].write_bytes(shards[0].read_bytes()[:-9])
    shards[1].unlink()
    (stopped / "rejected" / shards[2].name).write_text("other")
    notes = sorted((stopped / ".done").glob("*.json"))
    notes[3].write_text("{")
    notes[4].unlink()  # killed between the shard and its note
    said = []
    run(model_dir, prompt_file, stopped, resume=True, warn=said.append)
    assert contents(stopped) == whole
    assert len([text for text in said if "is damaged and is made again" in text]) == 4


DIFFERENCES = {
    "seed": ({"seed": 1}, "settings.seed was 0, is now 1"),
    "temperatures": ({"temperatures": (0.5,)}, r"settings.temperatures was \[0.5, 1.0\], is now"),
    "max words": ({"max_words": 7}, "settings.max_words was 8, is now 7"),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_other_settings_are_refused(stopped, model_dir, prompt_file, name):
    before = contents(stopped)
    change, message = DIFFERENCES[name]
    from dataclasses import replace

    with pytest.raises(TextmillError, match=message):
        run(model_dir, prompt_file, stopped, settings=replace(SETTINGS, **change), resume=True)
    assert contents(stopped) == before


def test_other_prompts_models_and_versions_are_refused(
    stopped, model_dir, labelled_dir, prompt_file, tmp_path, monkeypatch
):
    changed = tmp_path / "p.txt"
    changed.write_bytes(prompt_file.read_bytes().replace(b"dog", b"cat", 1))
    with pytest.raises(TextmillError, match=r"prompts\.p\.txt\.sha256 was"):
        run(model_dir, changed, stopped, resume=True)
    with pytest.raises(TextmillError, match="holds another run: model was"):
        run(
            labelled_dir, prompt_file, stopped, resume=True,
            settings=GenerationSettings(label="cats"),
        )  # fmt: skip
    record = json.loads((stopped / "run.json").read_text())
    record["versions"]["tensorflow"] = "1.0"
    (stopped / "run.json").write_text(json.dumps(record))
    with pytest.raises(TextmillError, match=r"versions\.tensorflow was 1\.0"):
        run(model_dir, prompt_file, stopped, resume=True)


def test_another_cpu_is_told(stopped, model_dir, prompt_file):
    rewrite_note(sorted((stopped / ".done").glob("*.json"))[0], machine="abacus")
    said = []
    run(model_dir, prompt_file, stopped, resume=True, warn=said.append)
    assert any("another CPU (abacus)" in text for text in said)


def test_a_directory_without_a_run_is_no_place_to_resume(model_dir, prompt_file, tmp_path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(TextmillError, match="already exists"):
        run(model_dir, prompt_file, tmp_path, resume=True)


def test_one_run_at_a_time(stopped):
    header = json.loads((stopped / "run.json").read_text())
    output = Output(str(stopped), Format(), ())
    first = RunDirectory(output, header, resume=True)
    with pytest.raises(TextmillError, match="in use by another run"):
        RunDirectory(output, header, resume=True)
    first.release()
    RunDirectory(output, header, resume=True).release()


# -- verify ----------------------------------------------------------------------------------------


def test_verify_finds_what_is_wrong(model_dir, prompt_file, tmp_path, capsys):
    out = tmp_path / "o"
    run(model_dir, prompt_file, out)
    assert main(["verify", str(out), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["records"], result["rejected"], result["problems"]) == (1200, 200, [])
    shards = sorted(out.glob("shard-*"))
    rows = shards[0].read_text("utf-8").splitlines()
    shards[0].write_text("\n".join([*rows[:-1], rows[0]]) + "\n", encoding="utf-8")
    shards[1].write_text("no json\n")
    shards[2].unlink()
    (out / "rejected" / shards[3].name).unlink()
    (out / "stranger").mkdir()
    (out / "dangling").symlink_to("nowhere")
    assert main(["verify", str(out)]) == 1
    said = capsys.readouterr().err
    for problem in (
        f"{shards[0].name}: the checksum",
        f"{shards[1].name}: not readable as jsonl",
        f"{shards[2]}: No such file",
        f"{shards[3].name}: 0 rejected instead of",
        "2 records appear twice",
        "stranger in",
        "dangling in",
        "is not what its manifest says",
    ):
        assert problem in said
    (out / "README.md").write_text("broken")
    (out / "stats.json").write_text("{}")
    described = json.loads((out / "run.json").read_text())
    described["settings"]["seed"] = 1
    (out / "run.json").write_text(json.dumps(described))
    (out / "rejected" / shards[4].name).write_text("[" * 90_000 + "\n")
    problems = "\n".join(verify(str(out)).problems)
    for problem in (
        "README.md: the checksum",
        "run.json: the checksum",
        "run.json disagrees with manifest.json",
        "stats.json is damaged",
        f"{shards[4].name}: not readable as jsonl",
    ):
        assert problem in problems
    with pytest.raises(TextmillError, match="no finished run"):
        verify(str(tmp_path))
    for damaged in ("{}", '{"counts": {}, "shards": [{}]}', '{"counts": 3, "shards": 4}'):
        (out / "manifest.json").write_text(damaged)
        with pytest.raises(TextmillError, match=r"manifest\.json is damaged"):
            verify(str(out))
    (out / "manifest.json").write_text("[]")
    with pytest.raises(TextmillError, match="no JSON object"):
        verify(str(out))


# -- kills -----------------------------------------------------------------------------------------


def test_sigterm_ends_cleanly(model_dir, tmp_path):
    (tmp_path / "p.txt").write_text("the old\n" * 4000)
    process = subprocess.Popen(
        [
            sys.executable, "-m", "textmill", "generate", str(model_dir), "--prompts",
            str(tmp_path / "p.txt"), "--out", str(tmp_path / "o"), "--workers", "1",
            "--samples", "50", "--max-words", "200", "--min-words", "200",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip

    def started() -> bool:
        assert process.poll() is None, process.communicate()[1]
        return bool(list(tmp_path.glob("o/.done/*.started")))

    until(started, "no shard is begun")
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "shards are finished. The same command with --resume goes on" in said
    assert "Traceback" not in said


# -- what is in a directory that someone has altered -----------------------------------------------


def test_a_link_in_a_run_leads_nowhere(stopped, model_dir, prompt_file, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for kept in ("shard-00000-of-00001.jsonl", ".attempt-x", "a.started"):
        (elsewhere / kept).write_text("mine")
    for name in (".done", "rejected", ".lock"):
        place = stopped / name
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
        place.symlink_to(elsewhere)
        with pytest.raises(TextmillError, match=f"{name} is a link, which no run makes; remove it"):
            run(model_dir, prompt_file, stopped, resume=True)
        place.unlink()
    assert len(list(elsewhere.iterdir())) == 3


def test_a_run_that_tells_of_something_else(stopped, model_dir, prompt_file):
    told = json.loads((stopped / "run.json").read_text())
    for field in ("prompts", "columns", "settings", "input"):
        for value in (None, [], [None], [{"name": 3}], "x", {"strict": 1}):
            (stopped / "run.json").write_text(json.dumps({**told, field: value}))
            with pytest.raises(TextmillError, match=f"another run: .*{field}|has other content"):
                run(model_dir, prompt_file, stopped, resume=True)


def test_a_run_of_an_older_textmill_goes_on(stopped, whole, model_dir, prompt_file):
    """Its run.json does not name the ways of reading that came since."""
    told = json.loads((stopped / "run.json").read_text())
    told["input"] = {"delimiter": ",", "strict": False}
    (stopped / "run.json").write_text(json.dumps(told))
    run(model_dir, prompt_file, stopped, resume=True)
    shards = {name for name in whole if name.startswith("shard-")}
    assert {name: contents(stopped)[name] for name in shards} == {n: whole[n] for n in shards}


MANIFESTS = (
    lambda told: told.pop("machines"),
    lambda told: told.update(shards=[3]),
    lambda told: told["shards"][0].pop("rows"),
    lambda told: told["shards"][0].update(name="../../x"),
    lambda told: told["shards"][0].update(name=["x"]),
)


def test_a_manifest_of_another_form(model_dir, prompt_file, tmp_path):
    run(model_dir, prompt_file, tmp_path / "o")
    path = tmp_path / "o" / "manifest.json"
    text = path.read_text()
    for change in MANIFESTS:
        told = json.loads(text)
        del told["sha256"]
        change(told)
        path.write_text(_signed(told))
        with pytest.raises(TextmillError, match=r"manifest\.json is damaged .*; remove it"):
            run(model_dir, prompt_file, tmp_path / "o", resume=True)
    path.unlink()
    run(model_dir, prompt_file, tmp_path / "o", resume=True)
    assert verify(str(tmp_path / "o")).problems == []


def test_verify_sees_what_is_no_file(model_dir, prompt_file, tmp_path):
    out = tmp_path / "o"
    run(model_dir, prompt_file, out)
    (out / "stats.json").unlink()
    (out / "stats.json").mkdir()
    assert any("stats.json" in problem for problem in verify(str(out)).problems)
    (out / "stats.json").rmdir()
    (out / "stats.json").symlink_to("nowhere")
    assert any("stats.json" in problem for problem in verify(str(out)).problems)


def test_verify_does_not_unpack_what_is_not_the_runs(model_dir, prompt_file, tmp_path):
    out = tmp_path / "o"
    run(model_dir, prompt_file, out, form=Format(compression="gzip"))
    shard = next(out.glob("shard-*"))
    shard.write_bytes(gzip.compress(b"x" * 1000))
    with unittest.mock.patch.object(Format, "decode", return_value=[]) as decode:
        problems = verify(str(out)).problems
        assert shard.read_bytes() not in [call.args[0] for call in decode.call_args_list]
    assert f"{shard}: the checksum is not that of the manifest" in problems
