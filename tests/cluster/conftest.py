"""Fixtures of the tests on clusters: a model of a size that is used, prompts, undisturbed runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from runs import Job, contents, run

from textmill.model.network.directory import save_model


@pytest.fixture(scope="session")
def job(make_model, tmp_path_factory) -> Job:
    """A model of random weights and 2,000 prompts, which make 40 shards."""
    folder = tmp_path_factory.mktemp("job")
    random = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = sorted({"".join(random.choice(letters, 5)) for _ in range(5000)})
    save_model(folder / "model", make_model(words, embedding=128, hidden=256, scale=0.1), card="")
    lines = [" ".join(random.choice(words, 3)) for _ in range(2000)]
    (folder / "p.txt").write_text("\n".join(lines) + "\n")
    return Job(str(folder / "model"), str(folder / "p.txt"))


@pytest.fixture(scope="session")
def undisturbed(job, tmp_path_factory) -> Callable[[int], dict[str, bytes]]:
    """Gives what a local run of so many words a text leaves; it is run once."""
    known: dict[int, dict[str, bytes]] = {}
    lock = threading.Lock()

    def give(words: int) -> dict[str, bytes]:
        with lock:
            if words not in known:
                out: Path = tmp_path_factory.mktemp("undisturbed") / "out"
                run(job, out, words=words)
                known[words] = contents(out)
            return known[words]

    return give
