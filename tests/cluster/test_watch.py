"""What is counted of a run that is watched."""

from __future__ import annotations

import json
import os
import shutil

from waiting import until
from watch import Watch, network_of


def test_beginnings_are_counted(tmp_path):
    notes = tmp_path / "out" / ".done"
    notes.mkdir(parents=True)

    def note(shard: str, pid: int, samples: int) -> None:
        text = json.dumps({"pid": pid, "counts": {"samples": samples}})
        (notes / f"{shard}.started").write_text(text)

    def seen(number: int) -> None:
        until(lambda: len(watch.beginnings) == number, lambda: str(watch.beginnings))

    me, parent = os.getpid(), os.getppid()
    with Watch(tmp_path / "out") as watch:
        note("shard-0", me, 0)
        seen(1)
        note("shard-1", parent, 0)
        seen(2)
        note("shard-0", me, 7)  # goes on
        note("shard-1", me, 0)  # begins where another was
        seen(3)
        assert watch.again() == 1
        note("shard-1", me, 3)
        (notes / "shard-0.started").unlink()
        (notes / "shard-0.json").touch()
        note("shard-1", me, 0)  # begins a second time
        seen(4)
        assert (watch.again(), watch.finished()) == (2, 1)
        shutil.rmtree(notes)  # the run has ended
        assert watch.finished() == 0
        notes.mkdir()
        note("shard-2", me, 0)
        seen(5)
    assert watch.networks() == {network_of("self")}
