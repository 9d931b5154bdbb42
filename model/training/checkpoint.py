"""A training run's state in one file, which is written whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from textmill.model.errors import TextmillError
from textmill.model.file_lock import take_lock
from textmill.model.network.weights import save_arrays
from textmill.model.small_files import loads, regular_size

State = tuple[dict[str, np.ndarray], dict[str, Any]]  # arrays by name, and what JSON can hold
_RECORD, _SUM = "record", "sha256"  # in the file's metadata
_ENDING, _LOCK = ".training", "lock"


class Checkpoint:
    """The file that a training run is saved in.

    Args:
        path: path of the `.safetensors` file; its folder is made when it is first written.
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
            save_arrays(new, arrays, metadata={_RECORD: text, _SUM: _checksum(arrays, text)})
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


@contextlib.contextmanager
def claimed(checkpoint: Path) -> Iterator[None]:
    """Holds the place of a checkpoint, so that two runs cannot train into one model.

    Raises:
        TextmillError: another training has it, or its folder cannot be made.
    """
    folder = checkpoint.parent
    out = str(folder).removesuffix(_ENDING)
    try:
        lock = None
        while lock is None:  # another process may remove the file of the lock at that moment
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                lock = take_lock(folder / _LOCK)
            if lock is not None and not _stands(folder / _LOCK, lock):
                os.close(lock)
                lock = None
    except BlockingIOError:
        raise TextmillError(
            f"another training into {out} is under way; wait for it, or name another place"
        ) from None
    except OSError as error:
        raise TextmillError(f"cannot write to {folder.parent}: {error.strerror}") from None
    try:
        yield
    finally:
        if not checkpoint.exists():  # then there is nothing to go on from
            remove_own(checkpoint)
        os.close(lock)


def remove_own(checkpoint: Path) -> None:
    """Removes a checkpoint, what is beside it of ours, and the folder if nothing else is in it."""
    for path in (checkpoint.with_suffix(".new"), checkpoint, checkpoint.with_name(_LOCK)):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        checkpoint.parent.rmdir()


def _stands(path: Path, lock: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(lock))
    except FileNotFoundError:
        return False


def checkpoint_of(out: str) -> Path:
    """Gives the place of the checkpoint of a training into `out`."""
    return Path(f"{out.rstrip('/')}{_ENDING}") / "checkpoint.safetensors"


def about(path: Path) -> dict[str, Any]:
    """Reads what the run of a checkpoint wrote about itself.

    Raises:
        TextmillError: there is no file, or it is damaged.
    """
    return _read(path)[1]["about"]


def damaged(path: Path, error: Exception) -> TextmillError:
    """Gives the one line for a checkpoint that does not hold what `save` writes."""
    return TextmillError(
        f"the checkpoint {path} is damaged ({type(error).__name__}). Remove {path.parent} "
        "and train without --resume"
    )


def _read(path: Path) -> State:
    if not os.path.lexists(path):
        raise TextmillError(
            f"there is nothing to resume: {path} does not exist. Train without --resume"
        )
    regular_size(path)
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        # The lowest perplexity is infinite until the first validation.
        record = loads(metadata[_RECORD], finite=False)
        if _checksum(arrays, metadata[_RECORD]) != metadata[_SUM]:
            raise ValueError("the checksum is another")
        record["digest"], record["about"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise damaged(path, error) from None
    return arrays, record


def _checksum(arrays: dict[str, np.ndarray], text: str) -> str:
    """SHA-256 of all that is in the file; the format itself has none."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"\n{name} {array.dtype.name} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
