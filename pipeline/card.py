"""The README.md of an output: a data-set card that `datasets.load_dataset` and people can read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.formats import Format
from pipeline.records import Column

_DTYPES = {"text": "string", "int": "int64", "float": "float64", "bool": "bool", "json": "string"}
_MEANING = {
    "id": "the row's name with #sample",
    "row": "the input file and the row in it, from 1",
    "prompt": "the row as it was",
    "text": "the generated text",
    "label": "the label it was made with",
    "temperature": "it was drawn at",
    "words": "drawn words",
    "finish": "how it ended: eos (by itself), length (at the limit), stop (at a stop word)",
    "logprob": "mean natural log-probability of the drawn words under the model itself",
}


def dataset_card(manifest: Mapping[str, Any], columns: Sequence[Column], output: Format) -> str:
    """Markdown with the header of a Hugging Face data-set card."""
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
        meaning = _MEANING.get(column.name, "carried through from the prompt files")
        if column.name == "text" and echo:
            meaning = "the prompt and the generated text after it"
        if output.name != "text" or column.name == "text":
            lines.append(f"| {_cell(column.name)} | {column.kind} | {meaning} |")
    lines += ["", "## Loading", "```python", *_loading(output), "```", ""]
    settings = {k: v for k, v in manifest["settings"].items() if v not in ((), [], None, False)}
    lines += ["## Settings", "```json", json.dumps(settings, ensure_ascii=False), "```", ""]
    return "\n".join(lines)


def _header(columns: Sequence[Column], output: Format, *, rejected: bool) -> list[str]:
    if output.name == "tfrecord":  # no loader of datasets knows it
        return []
    lines = ["---", "configs:", "- config_name: default", f"  data_files: shard-*{output.ending}"]
    if output.name == "csv" and all(c.kind == "text" for c in columns if c.source is not None):
        lines.append("  keep_default_na: false")  # a text "NA" is a text
    if rejected and output.name != "text":
        lines += ["- config_name: rejected", f"  data_files: rejected/shard-*{output.ending}"]
    # Where values are nested their types are left to the reader of JSON.
    nested = output.name == "jsonl" and any(column.kind == "json" for column in columns)
    if output.name != "text" and not nested:
        lines += ["dataset_info:", "- config_name: default", "  features:"]
        for column in columns:
            lines += [f"  - name: {json.dumps(column.name)}", f"    dtype: {_DTYPES[column.kind]}"]
    return [*lines, "---"]


def _loading(output: Format) -> list[str]:
    """Python that loads the output with each library that can, run in its directory."""
    files = f'files = sorted(glob.glob("shard-*{output.ending}"))'
    dataset = "dataset = datasets.load_dataset(os.getcwd())"
    tensors = (
        'tensors = tf.data.Dataset.from_tensor_slices(frame[["prompt", "text"]].to_dict("list"))'
    )
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
    if output.name == "jsonl":
        return [
            "import glob, os, datasets, pandas, pyarrow.json, tensorflow as tf",
            "",
            files,
            dataset,
            "frame = pandas.concat(pandas.read_json(f, lines=True, dtype=False) for f in files)",
            "table = pyarrow.concat_tables(map(pyarrow.json.read_json, files), "
            'promote_options="permissive")',
            tensors,
        ]
    if output.name == "csv":
        return [
            "import glob, os, datasets, pandas, pyarrow.csv, tensorflow as tf",
            "",
            files,
            dataset,
            "frame = pandas.concat(pandas.read_csv(f, keep_default_na=False) for f in files)",
            "lines = pyarrow.csv.ParseOptions(newlines_in_values=True)",
            "table = pyarrow.concat_tables(pyarrow.csv.read_csv(f, parse_options=lines) for f in "
            "files)",
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


def _cell(text: str) -> str:
    """A name from outside, in a cell of a Markdown table."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return escaped.replace("`", "\\`").replace("\n", " ")
