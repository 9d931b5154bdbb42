"""What workers tell by notes, on any engine: failures, loaded models, shards that stand."""

from __future__ import annotations

import json

import pytest
from small_runs import run

from textmill.model.errors import TextmillError
from textmill.model.settings import GenerationSettings
from textmill.pipeline.job import notes
from textmill.pipeline.job.handler import TextModelHandler
from textmill.pipeline.job.resumable_run import RunDirectory
from textmill.pipeline.job.running import _wait
from textmill.pipeline.prompts.planning import plan


@pytest.fixture
def prompt_file(tmp_path):
    path = tmp_path / "p.txt"
    path.write_text("the old\na dog\n\nzzz\n" * 100)
    return path


@pytest.fixture
def failed(model_dir, prompt_file, tmp_path, monkeypatch):
    """A run that failed in its sixth shard."""
    real, calls = TextModelHandler._generate, []

    def generate(self, loaded, generator):
        calls.append(loaded)
        if len(calls) > 5:
            raise LookupError("nothing\nhere")
        return real(self, loaded, generator)

    with monkeypatch.context() as patch:
        patch.setattr(TextModelHandler, "_generate", generate)
        with pytest.raises(TextmillError) as error:
            run(model_dir, prompt_file, tmp_path / "o")
    return error.value, tmp_path / "o"


def test_a_failure_is_told_as_its_worker_saw_it(failed):
    error, out = failed
    assert str(error) == (
        r"LookupError: nothing\nhere. The same command with --resume goes on"
    )  # and not where each runner puts it
    assert not (out / "manifest.json").exists()


def test_the_last_failure_counts_and_names_another_machine(tmp_path):
    assert notes.failure(str(tmp_path)) is None
    done = tmp_path / ".done"
    done.mkdir()
    for name, text in {
        "b-1-a.failed": json.dumps({"message": "late", "host": "b", "time": 2.0}),
        "a-1-a.failed": json.dumps({"message": "early", "host": "a", "time": 1.0}),
        "c-1-a.failed": "{",
        "d-1-a.failed": json.dumps({"message": "no time", "host": "d"}),
    }.items():
        (done / name).write_text(text)
    assert str(notes.failure(str(tmp_path))) == "late (on worker b)"


def test_only_failures_are_noted(tmp_path):
    (tmp_path / ".done").mkdir()
    with notes.failure_noted(str(tmp_path)):
        pass
    assert list((tmp_path / ".done").iterdir()) == []
    with pytest.raises(TextmillError), notes.failure_noted(str(tmp_path)):
        raise TextmillError("the model is gone")
    with pytest.raises(ValueError, match="seen"), notes.failure_noted(None):
        raise ValueError("seen")
    assert str(notes.failure(str(tmp_path))) == "the model is gone"  # this machine is not named


def test_a_place_that_is_gone_hides_no_failure(tmp_path):
    with pytest.raises(ValueError, match="cause"), notes.failure_noted(str(tmp_path / "gone")):
        raise ValueError("cause")


def test_a_resume_forgets_what_workers_told(failed, model_dir, prompt_file):
    _, out = failed
    assert len(list((out / ".done").glob("*.failed"))) == 1
    told = run(model_dir, prompt_file, out, resume=True)
    assert told.models_loaded == 1
    assert not (out / ".done").exists()


def test_what_stands_is_not_made_again(failed, model_dir, prompt_file, tmp_path, monkeypatch):
    """An engine that lost a worker asks again for shards that it had made."""
    _, out = failed
    run(model_dir, prompt_file, tmp_path / "whole")
    made = []
    real = TextModelHandler._generate

    def generate(self, loaded, generator):
        made.append(loaded.shard.number)
        return real(self, loaded, generator)

    monkeypatch.setattr(TextModelHandler, "_generate", generate)
    monkeypatch.setattr(RunDirectory, "done", lambda *_, **__: [])  # so all are asked for
    damaged = min(out.glob("shard-00003-*"))
    damaged.unlink()
    run(model_dir, prompt_file, out, resume=True)
    count = len(list(out.glob("shard-*")))
    assert sorted(made) == [3, *range(5, count)]
    for name in ("manifest.json", *(path.name for path in out.glob("shard-*"))):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_workers_elsewhere_find_the_prompts(prompt_file, monkeypatch):
    monkeypatch.chdir(prompt_file.parent)
    planned = plan(["p.txt"], GenerationSettings())
    assert {shard.path for shard in planned.shards} == {str(prompt_file)}
    assert {shard.name for shard in planned.shards} == {"p.txt"}


class Result:
    """An engine's job, interrupted while one waits for its end."""

    def __init__(self):
        self.calls = []

    def wait_until_finish(self):
        self.calls.append("wait")
        if len(self.calls) == 1:
            raise KeyboardInterrupt

    def cancel(self):
        self.calls.append("cancel")


@pytest.mark.parametrize(
    ("cancel", "calls"), [(True, ["wait", "cancel", "wait"]), (False, ["wait"])]
)
def test_an_interrupted_job_is_cancelled(cancel, calls):
    result = Result()
    with pytest.raises(KeyboardInterrupt):
        _wait(result, cancel=cancel)
    assert result.calls == calls
