"""Small whole runs of `generate`, inside the test's process."""

from __future__ import annotations

import json

from textmill.model.settings import GenerationSettings
from textmill.pipeline.engines.launch import Launch
from textmill.pipeline.job.generate import generate
from textmill.pipeline.output.columns import Column


def run(model_dir, prompt_file, out, **more):
    return generate(
        str(model_dir),
        prompts=[str(prompt_file)],
        out=str(out),
        settings=GenerationSettings(max_words=8, samples=2),
        launch=Launch(runner_flags=("--runner=FnApiRunner",)),
        **more,
    )


def records_of(out, form):
    manifest = json.loads((out / "manifest.json").read_text())
    columns = [Column(**column) for column in manifest["columns"]]
    files = sorted(out.glob("shard-*"))
    return [row for file in files for row in form.decode(file.read_bytes(), columns)]
