"""Does a change keep the bytes? Checksums of one fixed job's files, to be compared.

    python benchmarks/same_bytes.py HEADLINES --book BOOK --work FOLDER > after.txt

Trains on the book for two epochs, unless FOLDER/model is there. Then four jobs run on the first
2,000 headlines: two sets of settings, each written as jsonl and as parquet. The script prints the
SHA-256 of each output file except stats.json, which holds seconds. Run it before and after a
change, on one machine and with one FOLDER/model: the two lists must be equal.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROWS = 2_000
SETTINGS = {
    "plain": ["--temperature", "0.8", "--max-words", "12"],
    "filtered": [
        "--samples", "2", "--temperature", "0.5", "1.2", "--top-k", "40", "--top-p", "0.95",
        "--min-p", "0.01", "--min-words", "3", "--max-words", "20", "--seed", "7",
        "--repetition-penalty", "1.2", "--no-repeat-ngram", "3",
    ],
}  # fmt: skip
FORMATS = ("jsonl", "parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("headlines", type=Path)
    parser.add_argument("--book", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--command", default=f"{shlex.quote(sys.executable)} -m textmill")
    args = parser.parse_args()
    command, work = shlex.split(args.command), args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    model = work / "model"
    if not model.exists():
        train = ["train", str(args.book), "--out", str(model), "--epochs", "2", "--preset", "small"]
        subprocess.run([*command, *train, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    prompts = work / "headlines.txt"
    lines = args.headlines.read_text("utf-8").splitlines(keepends=True)[:ROWS]
    prompts.write_text("".join(lines), encoding="utf-8")
    for name, settings in SETTINGS.items():
        for form in FORMATS:
            out = work / f"{name}-{form}"
            shutil.rmtree(out, ignore_errors=True)
            job = ["generate", str(model), "--prompts", str(prompts), "--out", str(out)]
            subprocess.run(
                [*command, *job, *settings, "--format", form, "--max-rejected", "1", "--quiet"],
                check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            for file in sorted(out.rglob("*")):
                if file.is_file() and file.name != "stats.json":
                    digest = hashlib.sha256(file.read_bytes()).hexdigest()
                    print(f"{digest}  {out.name}/{file.relative_to(out)}", flush=True)


if __name__ == "__main__":
    main()
