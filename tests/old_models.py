"""Model directories of before, and altered ones whose checksums are made anew."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file


def canonical(value: Any) -> str:
    """JSON as model.json has it."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def rewrite(folder: Path, **fields: Any) -> None:
    """Changes fields of model.json."""
    index = json.loads((folder / "model.json").read_text("utf-8"))
    (folder / "model.json").write_text(canonical({**index, **fields}), "utf-8")


def seal(folder: Path, *, form: int | None = None) -> None:
    """Makes the checksums of a directory's files anew."""
    index = json.loads((folder / "model.json").read_text("utf-8"))
    form = form or index["format"]
    weights = "weights.npz" if form == 1 else "weights.safetensors"
    files = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("vocabulary.txt", weights, "training.json")
    }
    rewrite(folder, format=form, files=files)


def as_format_1(folder: Path) -> None:
    """Makes a directory what it would have been before weights were stored as safetensors."""
    weights = folder / "weights.safetensors"
    np.savez(folder / "weights.npz", **load_file(weights))
    weights.unlink()
    seal(folder, form=1)
