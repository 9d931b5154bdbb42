"""A short walk through textmill as it is installed: train, score, generate in bulk, verify, export.

It takes about a minute and needs no other package than textmill's own; CI runs it on each version
of Python that textmill names.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import textmill


def command(*words: str) -> str:
    """Runs the command of the same environment; returns what it prints."""
    run = [sys.executable, "-m", "textmill", *words]
    return subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rows = [{"text": f"the {a} {b} sat on the mat"} for a in "abcd" for b in ("cat", "dog")] * 9
        model = textmill.train(
            rows, text="text", out=place / "model", preset="tiny", epochs=1, quiet=True
        )
        (found,) = model.score("the a cat sat")
        assert 1 < found.perplexity < 100
        texts = [found.text for found in model.generate(["the a", "the b"], seed=1)]
        model.close()
        lines = [f'{{"id": "{prompt}", "prompt": "{prompt}"}}\n' for prompt in ("the a", "the b")]
        (place / "prompts.jsonl").write_text("".join(lines), encoding="utf-8")
        command(
            "generate", str(place / "model"), "--prompts", str(place / "prompts.jsonl"),
            "--out", str(place / "out"), "--seed", "1", "--workers", "1", "--quiet",
        )  # fmt: skip
        assert textmill.verify(str(place / "out")).problems == []
        (shard,) = place.glob("out/shard-*.jsonl")
        assert all(f'"text": "{text}"' in shard.read_text("utf-8") for text in texts)
        command("export", str(place / "model"), "--to", "keras", "--out", str(place / "m.keras"))
    print(f"textmill works on Python {platform.python_version()}")


if __name__ == "__main__":
    main()
