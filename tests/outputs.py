"""Outputs as `generate` and `augment` leave them, without a model."""

from __future__ import annotations

import csv
import json

from textmill.model.prompt import Generation, Prompt
from textmill.pipeline.job.manifest import GeneratedShard, Output, write_manifest, write_shard
from textmill.pipeline.output.columns import columns_of
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.planning import Form, Shard

JSONL = Format()


CORPUS = "The old cat sat on the green mat.\n\nThe red dog ran.\n\nA bird sang to the old cat.\n"


TEXTS = {
    0.5: ["the old cat sat on the green mat again", "the red dog ran ran ran ran ran ran"],
    1.0: ["a new day", "the old cat sat down"],
    1.5: ["", "blue seven “kite”"],
}


def generation(prompt, sample, text, temperature, *, label=None, finish="eos"):
    words = len(text.split())
    return Generation(
        Prompt(prompt, "One day"),
        sample,
        " " + text,
        label,
        temperature,
        words,
        finish,
        -temperature,
    )


def write_output(folder, generations, *, form=JSONL, rejected=(), settings=None, labelled=False):
    """An output as `generate` leaves it, without a model."""
    output = Output(str(folder), form, columns_of({}, labelled=labelled))
    folder.mkdir()
    prompts = list(dict.fromkeys(g.prompt.id for g in generations))
    header = {
        "model": "0123456789abcdef" * 4,
        "settings": json.loads(json.dumps({"echo": False, **(settings or {})})),
        "input": {"delimiter": ","},
        "output": {"name": form.name, "compression": form.compression},
        "prompts": [{"name": "p.txt", "bytes": 9, "rows": len(prompts) + len(rejected)}],
        "columns": [
            {"name": c.name, "kind": c.kind, "source": c.source} for c in output.columns
        ],
        "versions": {"textmill": "0"},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(header))
    summaries = []
    halves = (prompts[::2], prompts[1::2])
    for number, half in enumerate(halves):
        mine = [g for g in generations if g.prompt.id in half]
        bad = list(rejected) if number == 0 else []
        shard = Shard(
            number=number, of=2, path="p", name="p", form=Form("text"), columns=(), start=0, end=9,
            first=1, rows=len(half) + len(bad),
        )  # fmt: skip
        done = GeneratedShard(shard, len(half), len(mine), mine, bad, "cpu", "2", 0.5)
        summaries.append(write_shard(done, output))
    write_manifest(summaries, output=output, header=header, rows=len(prompts) + len(rejected))
    return folder


def augmentation(folder, *, evil="", name="more.csv"):
    """What `augment` leaves: a table and the folder beside it."""
    folder.mkdir()
    rows = [
        {"say": f"the old cat sat on mat {i}{evil}", "kind": "cats", "origin": "real"}
        for i in range(3)
    ]
    rows += [
        {"say": f"a red dog ran far {i}{evil}", "kind": f"dogs{evil}", "origin": "real"}
        for i in range(3)
    ]
    rows += [
        {"say": f"the old cat sat on a dog {i}{evil}", "kind": "cats", "origin": "generated"}
        for i in range(4)
    ]
    rows += [{"say": "far a dog red ran", "kind": f"dogs{evil}", "origin": f"swap{evil}"}]
    table = folder / name
    if name.endswith(".jsonl"):
        table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif name.endswith(".parquet"):
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), table)
    else:
        with open(table, "w", newline="") as file:
            kind = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if name.endswith("tsv") else {}
            writer = csv.DictWriter(file, list(rows[0]), **kind)
            writer.writeheader()
            writer.writerows(rows)
    beside = folder / f"{name}.augment"
    beside.mkdir()
    rejected = [
        {"text": text, "label": "cats", "origin": "generated", "reason": reason}
        for text, reason in (
            (f"loop loop loop{evil}", f"loops{evil}"),
            ("the old cat", "copied"),
            ("the old cat sat", "copied"),
        )
    ]
    (beside / "rejected.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rejected))
    about = {
        "settings": {"text": "say", "label": "kind", "out": str(table), "seed": 0, "more": evil},
        "counts": {
            "real": 6, "candidates": 8, "kept": 5, "rejected": {"copied": 2, f"loops{evil}": 1},
        },
        "agreement": {"labels": ["cats", f"dogs{evil}"], "matrix": [[3, 1], [0, 4]]},
        "check": [
            {"classifier": f"logistic{evil}", "without": 71.2, "with": 74.3, "gain": 3.1,
             "low": -1.0, "high": 7.2, "verdict": f"not certain{evil}"},
        ],
    }  # fmt: skip
    (beside / "augment.json").write_text(json.dumps(about))
    made = [
        generation(f"g:{i}", n, "the old cat sat", t, label="cats")
        for i in range(2)
        for n, t in ((1, 0.5), (2, 1.0))
    ]
    write_output(beside / "generated", made, labelled=True)
    return beside
