"""Runs of `generate` as a user would start them, and what they leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import ROOT, kill_tree

MOST_SECONDS = 1800  # keeps a test from hanging


@dataclass(frozen=True)
class Job:
    """What all runs have in common."""

    model: str
    prompts: str


def command(
    job: Job, out: Path | str, *flags: str, words: int, options: Sequence[str] = ()
) -> list[str]:
    """What a user would type."""
    return [
        sys.executable, "-m", "textmill", "generate", job.model, "--json", "--quiet",
        "--prompts", job.prompts, "--out", str(out), f"--max-words={words}", *options,
        *(["--", *flags] if flags else []),
    ]  # fmt: skip


def start(*arguments: Any, env: dict[str, str] | None = None, **more: Any) -> subprocess.Popen:
    """Starts a command."""
    return subprocess.Popen(
        command(*arguments, **more), cwd=ROOT, env={**os.environ, **(env or {})}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def end(process: subprocess.Popen) -> tuple[str, str]:
    """Waits for a command's end; gives what it said."""
    try:
        return process.communicate(timeout=MOST_SECONDS)
    except BaseException:
        kill_tree(process.pid)
        process.wait()
        raise


def ended(process: subprocess.Popen) -> subprocess.CompletedProcess:
    """Waits for a command's end; gives how it ended."""
    told, said = end(process)
    return subprocess.CompletedProcess(process.args, process.returncode, told, said)


def run(*arguments: Any, **more: Any) -> dict[str, Any]:
    """Runs a command that has to end well; gives what it told."""
    process = start(*arguments, **more)
    told, said = end(process)
    assert process.returncode == 0, said
    return json.loads(told)


def contents(folder: Path) -> dict[str, bytes]:
    """All that stands in the folder of a finished run, except its seconds."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "stats.json"
    }
