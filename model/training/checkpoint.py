"""One file that holds all of a training run: arrays and a record, whole or not at all."""

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
    """A training run's file.

    Args:
        path: of the file, `.npz`; its folder is made when it is first written.
        digest: of what the run is made of. A file of another digest is of no use.
        about: what JSON can hold, to be read by `about` before a run can be set up to go on.
    """

    def __init__(self, path: Path, digest: str, *, about: dict[str, Any] | None = None):
        self.path, self.digest, self._about = path, digest, about or {}

    def save(self, state: State) -> None:
        """Replaces the file; a crash leaves the old one or the new one.

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
        """What `save` was given.

        Raises:
            TextmillError: there is no file, it is damaged, or of another run.
        """
        arrays, record = _read(self.path)
        del record["about"]
        if record.pop("digest") != self.digest:
            raise TextmillError(
                f"the checkpoint {self.path} is of another corpus or other settings. Give those "
                "it was begun with, or remove it and train without --resume"
            )
        return arrays, record


def about(path: Path) -> dict[str, Any]:
    """What a checkpoint's run wrote about itself.

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
