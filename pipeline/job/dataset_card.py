"""Writes an output's README.md, a data-set card for people and `datasets.load_dataset`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from textmill.model.pages.markdown import markdown_text, yaml_text
from textmill.pipeline.output.columns import Column
from textmill.pipeline.output.formats import Format

REJECTED = "rejected"  # the folder of rejected rows
_DTYPES = {"text": "string", "int": "int64", "float": "float64", "bool": "bool", "json": "string"}
_MEANING = {
    "id": "the row's name with #sample",
    "row": "the input file and the row in it, from 1",
    "prompt": "the row as it was",
    "text": "the generated text",
    "label": "the label it was made with",
    "score": "what beam search ranked it by: its log-probability, normalised by length",
    "temperature": "it was drawn at",
    "words": "drawn words",
    "finish": "how it ended: eos (by itself), length (at the limit), stop (at a stop word)",
    "logprob": "mean natural log-probability of the drawn words under the model itself",
}


def dataset_card(manifest: Mapping[str, Any], columns: Sequence[Column], output: Format) -> str:
    """Writes Markdown with the header of a Hugging Face data-set card."""
    counts = manifest["counts"]
    echo = manifest["settings"].get("echo")
    lines = [
        *_header(columns, output, rejected=counts["rejected"] > 0),
        "# Generated text",
        "",
        f"{counts['records']:,} texts for {counts['prompts']:,} prompts, written by the textmill "
        f"model `{manifest['model'][:16]}` (textmill {manifest['versions']['textmill']}).",
        f"{counts['rejected']:,} of {counts['rows']:,} input rows were rejected"
        + (", each with its reason in `rejected/`." if counts["rejected"] else "."),
        "",
        "## Columns",
        "| name | type | meaning |",
        "|---|---|---|",
    ]
    for column in columns:
        meaning = "carried through from the prompt files"
        if column.source is None:
            meaning = _MEANING[column.name]
        if column.name == "text" and echo:
            meaning = "the prompt and the generated text after it"
        if output.name != "text" or column.name == "text":
            lines.append(f"| {markdown_text(column.name)} | {column.kind} | {meaning} |")
    lines += ["", "## Loading", "```python", *_loading(output), "```", ""]
    settings = {k: v for k, v in manifest["settings"].items() if v not in ((), [], None, False)}
    lines += ["## Settings", "```json", json.dumps(settings, ensure_ascii=False), "```", ""]
    return "\n".join(lines)


def _header(columns: Sequence[Column], output: Format, *, rejected: bool) -> list[str]:
    if output.name == "tfrecord":  # the package datasets cannot load it
        return []
    configs = {"default": f"shard-*{output.ending}"}
    if rejected and output.name != "text":
        configs["rejected"] = f"{REJECTED}/shard-*{output.ending}"
    lines = ["---", "configs:"]
    for name, files in configs.items():
        lines += [f"- config_name: {name}", f"  data_files: {files}"]
        if output.name == "csv":
            lines.append("  keep_default_na: false")  # a text "NA" is a text
            if any(c.kind in ("int", "float", "bool") and c.source for c in columns):
                lines.append('  na_values: [""]')  # an empty cell of a number is missing
        if output.name == "parquet":  # otherwise the first shard sets it, which may be empty
            lines.append("  batch_size: 1000")
    if output.name != "text":
        lines += ["dataset_info:", "- config_name: default", "  features:"]
        for column in columns:
            dtype = _DTYPES[column.kind]
            if column.kind == "json" and output.name == "jsonl":
                dtype = "json"
            lines += [f"  - name: {yaml_text(column.name)}", f"    dtype: {dtype}"]
    return [*lines, "---"]


def _loading(output: Format) -> list[str]:
    """Writes Python lines that load the output with each library that can read it."""
    files = f'files = sorted(glob.glob("shard-*{output.ending}"))'
    dataset = "dataset = datasets.load_dataset(os.getcwd())"
    texts = '["prompt", "text"]'
    tensors = f'tensors = tf.data.Dataset.from_tensor_slices(frame[{texts}].to_dict("list"))'
    gzip = ', compression_type="GZIP"' if output.compression == "gzip" else ""
    if output.name == "parquet":
        return [
            "import glob, os, datasets, pandas, pyarrow.parquet, tensorflow as tf",
            "",
            files,
            dataset,
            "frame = pandas.concat(map(pandas.read_parquet, files))",
            "table = pyarrow.parquet.read_table(files)",
            tensors,
        ]
    if output.name in ("jsonl", "csv"):
        reader = {
            "jsonl": "read_json(f, lines=True, dtype=False, convert_dates=False)",
            "csv": "read_csv(f, keep_default_na=False, na_values={})",
        }[output.name]
        return [
            "import glob, os, datasets, pandas, tensorflow as tf",
            "",
            files,
            dataset,
            f"frame = pandas.concat(pandas.{reader} for f in files)",
            'table = dataset["train"].with_format("arrow")[:]',
            tensors,
        ]
    if output.name == "text":
        lines = [f"tensors = tf.data.TextLineDataset(files{gzip})"]
        return [
            "import glob, os, datasets, tensorflow as tf",
            "",
            files,
            dataset,
            *(lines if output.compression != "zstd" else []),
        ]
    return [
        "import glob, tensorflow as tf",
        "",
        files,
        'features = {"prompt": tf.io.FixedLenFeature([], tf.string), '
        '"text": tf.io.FixedLenFeature([], tf.string)}',
        f"tensors = tf.data.TFRecordDataset(files{gzip}).map("
        "lambda record: tf.io.parse_single_example(record, features))",
    ]
