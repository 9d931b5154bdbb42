"""A training run's state in one file, which is written whole or not at all."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from textmill.model.errors import TextmillError

State = tuple[dict[str, np.ndarray], dict[str, Any]]  # arrays by name, and what JSON can hold
_RECORD = "record"


class Checkpoint:
    """The file that a training run is saved in.

    Args:
        path: path of the `.npz` file; its folder is made when it is first written.
        digest: hash of all that decides the run's steps. A file with another digest is refused.
        about: JSON values that the function `about` reads before a run is set up to go on.
    """

    def __init__(self, path: Path, digest: str, *, about: dict[str, Any] | None = None):
        self.path, self.digest, self._about = path, digest, about or {}

    def save(self, state: State) -> None:
        """Replaces the file; after a crash, either the old or the new file is there.

        Raises:
            TextmillError: it cannot be written.
        """
        arrays, record = state
        text = json.dumps({**record, "digest": self.digest, "about": self._about})
        new = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with new.open("wb") as file:
                np.savez(file, **{_RECORD: np.array(text)}, **arrays)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
        except OSError as error:
            raise TextmillError(
                f"cannot write the checkpoint {self.path}: {error.strerror or error}"
            ) from None

    def load(self) -> State:
        """Reads what `save` wrote.

        Raises:
            TextmillError: there is no file, it is damaged, or it belongs to another run.
        """
        arrays, record = _read(self.path)
        del record["about"]
        if record.pop("digest") != self.digest:
            raise TextmillError(
                f"the checkpoint {self.path} belongs to another corpus or other settings. Give "
                "those that it began with, or remove it and train without --resume"
            )
        return arrays, record


def about(path: Path) -> dict[str, Any]:
    """Reads what the run of a checkpoint wrote about itself.

    Raises:
        TextmillError: there is no file, or it is damaged.
    """
    return _read(path)[1]["about"]


def _read(path: Path) -> State:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        record = json.loads(str(arrays.pop(_RECORD)))
        record["digest"], record["about"]
    except FileNotFoundError:
        raise TextmillError(
            f"there is nothing to resume: {path} does not exist. Train without --resume"
        ) from None
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise TextmillError(
            f"the checkpoint {path} is damaged ({type(error).__name__}). Remove {path.parent} "
            "and train without --resume"
        ) from None
    return arrays, record
