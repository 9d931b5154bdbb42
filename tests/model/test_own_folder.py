"""Temporary files of runs: gone at their end, and swept if they were killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import until

from textmill.model import file_lock
from textmill.model import own_folder as module
from textmill.model.own_folder import own_folder
from textmill.pipeline.engines.engine import Engine
from textmill.pipeline.engines.launch import Launch

HOLDS = """
import time
from textmill.model.own_folder import own_folder
with own_folder() as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_a_folder_ends_with_its_block(temporary):
    with own_folder() as folder:
        (folder / "file").touch()
        assert folder.parent == temporary
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_is_removed(temporary):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS], stdout=subprocess.PIPE, text=True
    ) as process:
        left = Path(process.stdout.readline().strip())
        with own_folder():
            assert (left / "file").exists()  # it still lives
        process.kill()
    assert left.exists()
    with own_folder() as folder:
        assert list(temporary.iterdir()) == [folder]


def test_other_folders_stay(temporary):
    own = module._prefix()
    names = {"elsewhere", f"{own}no-lock", f"{module.PREFIX}another.host-x"}
    for name in names:
        (temporary / name).mkdir()
    (temporary / "elsewhere" / "lock").touch()
    (temporary / f"{module.PREFIX}another.host-x" / "lock").touch()
    (temporary / f"{own}link").symlink_to(temporary / "elsewhere")
    with own_folder():
        pass
    assert {path.name for path in temporary.iterdir()} == {*names, f"{own}link"}
    assert (temporary / "elsewhere" / "lock").exists()


def test_where_locks_do_not_work_nothing_is_swept(temporary, monkeypatch):
    def refuse(*_):
        raise OSError("no locks here")

    monkeypatch.setattr(file_lock.fcntl, "flock", refuse)
    with own_folder() as one, own_folder() as other:
        assert one.exists()
        assert other.exists()
    assert list(temporary.iterdir()) == []


def test_a_fork_s_end_leaves_the_folder(temporary):
    holds = """
import os, sys
from textmill.model.own_folder import own_folder
with own_folder() as folder:
    if not os.fork():
        sys.exit()
    os.wait()
    assert folder.exists()
assert not folder.exists()
"""
    subprocess.run([sys.executable, "-c", holds], check=True)
    assert list(temporary.iterdir()) == []


def test_a_pipeline_leaves_no_folder(temporary):
    Engine(Launch()).pipeline()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("launcher", [1, 2**22 + 1])
def test_a_worker_without_its_launcher_ends(tmp_path, launcher):
    (tmp_path / "leash").touch()
    module = "textmill.pipeline.engines.local_worker"
    worker = [sys.executable, "-P", "-m", module, str(tmp_path), str(launcher)]
    assert subprocess.run(worker, timeout=60, check=False).returncode == 1


@pytest.mark.fault
def test_a_run_leaves_nothing_in_the_temporary_folder(model_dir, tmp_path):
    prompts, temporary, out = tmp_path / "p.txt", tmp_path / "temporary", tmp_path / "out"
    prompts.write_text("the old\n" * 2000)
    temporary.mkdir()
    command = [
        sys.executable, "-m", "textmill", "generate", str(model_dir), "--prompts", str(prompts),
        "--out", str(out), "--workers", "2", "--max-words", "200", "--quiet",
    ]  # fmt: skip
    variables = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(command, env=variables) as run:
        until(lambda: list(out.glob("shard-*")), "no shard is made")
        run.send_signal(signal.SIGKILL)
    names = [path.name for path in temporary.iterdir()]
    assert names
    assert all(name.startswith("textmill-run-") for name in names), names
    subprocess.run([*command, "--resume"], env=variables, check=True)
    assert list(temporary.iterdir()) == []
