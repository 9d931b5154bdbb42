"""Texts inside a Beam pipeline of your own: `textmill.GenerateText` is one of its steps.

    python examples/own_beam_pipeline.py

It reads words, makes prompts of them, lets the model continue each, counts how the texts end, and
writes them to files. On another engine only the pipeline's options differ.

The step must be the first use of TensorFlow in its process, as it needs TensorFlow on one thread.
So the model is trained by the command, in a process of its own.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import apache_beam as beam

import textmill

WORDS = ("class", "function", "object", "", "module", "statement")


def prompt_of(word: str) -> dict[str, str]:
    """A row as `GenerateText` takes it: its texts depend on the id, not on the worker."""
    return {"id": f"word {word}", "prompt": f"The {word}" if word else "", "word": word}


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="textmill-beam-"))
    book, model = str(folder / "python.txt"), str(folder / "model")
    command = [sys.executable, "-m", "textmill"]
    subprocess.run([*command, "books", "--built-in", "--out", book], check=True)
    training = ["train", book, "--out", model, "--preset", "tiny", "--epochs", "5"]
    subprocess.run([*command, *training], check=True)

    settings = textmill.GenerationSettings(samples=3, temperatures=(0.7,), max_words=15)

    with beam.Pipeline() as pipeline:
        found = (
            pipeline
            | "Words" >> beam.Create(WORDS)
            | "Prompts" >> beam.Map(prompt_of)
            | "Continue" >> textmill.GenerateText(model, settings)
        )
        (
            found.generations
            | "As JSON" >> beam.Map(lambda row: json.dumps(row, ensure_ascii=False))
            | "Write" >> beam.io.WriteToText(str(folder / "texts"), file_name_suffix=".jsonl")
        )
        (
            found.generations
            | "How it ended" >> beam.Map(lambda row: row["finish"])
            | "Count" >> beam.combiners.Count.PerElement()
            | "Tell" >> beam.Map(lambda pair: print(f"{pair[1]} texts ended by '{pair[0]}'"))
        )
        found.rejected | beam.Map(lambda row: print(f"rejected: {row['id']}: {row['reason']}"))

    for file in sorted(folder.glob("texts*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            print(json.loads(line)["prompt"] + json.loads(line)["text"])
