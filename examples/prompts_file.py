"""The bulk job: a file of prompts in, a data set of texts out, checked and read back.

    python examples/prompts_file.py

It is what `textmill generate` and `textmill verify` do. The prompts are rows with ids, settings and
a field of their own, and one of them is of no use: every row ends as texts, or as one rejected
record that says why.
"""

import json
import tempfile
from pathlib import Path

import textmill

if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="textmill-prompts-"))
    textmill.train(out=folder / "model", preset="tiny", epochs=5)  # the built-in text

    rows = [
        {"id": "class", "prompt": "The class", "source": "mine"},
        {"id": "function", "prompt": "A function", "source": "mine", "samples": 2},
        {"id": "calm", "prompt": "An object", "source": "mine", "temperature": 0.3},
        {"id": "empty", "prompt": ""},
    ]
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    outcome = textmill.generate(
        folder / "model",
        prompts=prompts,
        out=folder / "out",
        samples=5,
        temperature=0.8,
        max_words=15,
        format="parquet",
    )
    print(outcome.manifest["counts"])

    # Compares every checksum and count with the manifest.
    verdict = textmill.verify(str(folder / "out"))
    print("\n".join(verdict.problems) or "nothing is wrong")

    try:
        import pandas
    except ImportError:
        print(f"the texts are in {folder / 'out'}; with pandas this script would show them")
    else:
        shards = sorted((folder / "out").glob("shard-*.parquet"))
        frame = pandas.concat(map(pandas.read_parquet, shards))
        print(frame[["id", "source", "temperature", "words", "text"]].to_string(index=False))
        print(frame.groupby("prompt")["logprob"].mean().round(2).to_dict())
