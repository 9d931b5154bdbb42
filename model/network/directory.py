"""The model directory: complete, checked, and free of code.

model.json      format, fingerprint, settings, labels, the SHA-256 of the three files below
vocabulary.txt  a token, a tab and its count on each line, in the order of ids
weights.npz     float32 arrays by name, no pickles
training.json   corpus, settings, history and metrics
README.md       the model card, for people, who may change it
training.html   how the training went, for people, too; may be absent
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from textmill.model.errors import SettingError, TextmillError
from textmill.model.settings import MODES, NetworkSettings
from textmill.model.text.vocabulary import Vocabulary

FORMAT = 1
_INDEX = "model.json"
_FILES = ("vocabulary.txt", "weights.npz", "training.json")
_CARD, _PAGE = "README.md", "training.html"


@dataclass(frozen=True)
class SavedModel:
    """All that a model directory holds.

    Attributes:
        network: sizes.
        vocabulary: words and ids.
        mode: `stream` or `lines`.
        labels: names of the labels in the order of the context vector; empty for none.
        arrays: the weights by name, see `weight_shapes`.
        training: corpus, settings, history and metrics, as saved in training.json.
    """

    network: NetworkSettings
    vocabulary: Vocabulary
    mode: str
    labels: tuple[str, ...]
    arrays: dict[str, np.ndarray]
    training: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that changes the model's output."""
        digest = hashlib.sha256(_canonical(self._identity()))
        digest.update(self.vocabulary.to_text().encode())
        for name in sorted(self.arrays):
            array = np.ascontiguousarray(self.arrays[name], "<f4")
            digest.update(_canonical([name, list(array.shape)]))
            digest.update(array.tobytes())
        return digest.hexdigest()

    def _identity(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "network": self.network.record(),
            "level": self.vocabulary.level,
            "mode": self.mode,
            "labels": list(self.labels),
        }


def weight_shapes(settings: NetworkSettings) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the arrays that a network of these sizes has."""
    s = settings
    shapes: dict[str, tuple[int, ...]] = {
        "embedding": (s.vocabulary, s.embedding),
        "output_bias": (s.vocabulary,),
    }
    if s.tails:
        shapes["cluster_kernel"] = (len(s.tails), s.embedding)
        shapes["cluster_bias"] = (len(s.tails),)
    for i, (first, end, width) in enumerate(s.tails):
        shapes[f"tail_{i}_in"] = (s.embedding, width)
        shapes[f"tail_{i}_out"] = (end - first, width)
    for i in range(s.layers):
        shapes[f"lstm_{i}_kernel"] = (s.hidden if i else s.embedding, 4 * s.hidden)
        shapes[f"lstm_{i}_recurrent"] = (s.hidden, 4 * s.hidden)
        shapes[f"lstm_{i}_bias"] = (4 * s.hidden,)
    if s.hidden != s.embedding:
        shapes["projection"] = (s.hidden, s.embedding)
    if s.context:
        shapes["context_kernel"] = (s.context, 2 * s.layers * s.hidden)
        shapes["context_bias"] = (2 * s.layers * s.hidden,)
        shapes["context_input"] = (s.context, s.embedding)
    return shapes


def check_free(path: str | os.PathLike[str]) -> None:
    """Refuses a place that cannot take a new directory, before hours are spent on it.

    Raises:
        TextmillError: something is there already, or the folder it goes into cannot be written.
    """
    target = Path(path)
    parent = target.absolute().parent
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise TextmillError(f"{target} already exists; name another place or remove it first")
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=parent):  # has no name that a kill could leave there
            pass
    except OSError as error:
        raise TextmillError(f"cannot write to {parent}: {error.strerror}") from None


@contextlib.contextmanager
def written_whole(path: str | os.PathLike[str], *, ending: str = "") -> Iterator[Path]:
    """Gives a name beside a place; what is written there takes the place when the block ends well.

    So a file or directory appears whole or not at all. What writers that were killed have left
    under such names goes.

    Args:
        path: a place that `check_free` has found free.
        ending: of the name, for writers that look at it.

    Raises:
        TextmillError: it cannot be written.
    """
    target = Path(path).absolute()
    temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}{ending}"
    try:
        yield temporary
        if target.exists():
            target.rmdir()  # empty, as checked
        temporary.rename(target)
        remove_attempts(target)
    except OSError as error:
        raise TextmillError(f"cannot write {target}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.unlink(missing_ok=True)


def remove_attempts(path: str | os.PathLike[str]) -> None:
    """Removes what killed writers of a place have left beside it; see `written_whole`."""
    target = Path(path).absolute()
    name = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{32}}(\.\w+)?")
    with contextlib.suppress(OSError):
        for left in [other for other in target.parent.iterdir() if name.fullmatch(other.name)]:
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def save_model(
    path: str | os.PathLike[str],
    model: SavedModel,
    *,
    card: str,
    page: str | None = None,
    instead: bool = False,
) -> None:
    """Writes a model directory: all of it appears at once, or nothing does.

    Args:
        card: README.md. page: training.html, where there is one.
        instead: whether it takes the place of a model that is there. A kill leaves that one, the
            new one or none, never a part.

    Raises:
        TextmillError: the place is taken or cannot be written.
    """
    if not instead:
        check_free(path)
    with written_whole(path) as temporary:
        temporary.mkdir()
        (temporary / "vocabulary.txt").write_text(
            model.vocabulary.to_text(), encoding="utf-8", newline="\n"
        )
        with open(temporary / "weights.npz", "wb") as file:
            np.savez(file, allow_pickle=False, **model.arrays)
        (temporary / "training.json").write_bytes(_pretty(model.training))
        for name, text in ((_CARD, card), (_PAGE, page)):
            if text is not None:
                (temporary / name).write_text(text, encoding="utf-8", newline="\n")
        index = {
            **model._identity(),
            "fingerprint": model.fingerprint,
            "files": {name: _sha256(temporary / name) for name in _FILES},
        }
        (temporary / _INDEX).write_bytes(_pretty(index))
        for written in temporary.iterdir():
            with open(written, "rb") as file:
                os.fsync(file.fileno())
        if instead and os.path.exists(path):
            target = Path(path).absolute()
            target.rename(target.parent / f".{target.name}.{uuid.uuid4().hex}")


def load_model(path: str | os.PathLike[str]) -> SavedModel:
    """Reads a model directory and checks every byte of what it reads. Runs no code from it.

    Raises:
        TextmillError: the directory is missing, foreign, damaged or of a newer format; the
            message names the file and what is wrong.
    """
    folder = Path(path)
    if not os.path.isdir(folder):
        raise TextmillError(f"there is no model directory '{folder}'; textmill train makes one")
    if not os.path.isfile(folder / _INDEX):
        raise TextmillError(f"{folder} is no textmill model: it has no {_INDEX}")
    index = _read_index(folder)
    for name in _FILES:
        try:
            digest = _sha256(folder / name)
        except OSError as error:
            raise TextmillError(f"{folder / name} cannot be read: {error.strerror}") from None
        if digest != index["files"].get(name):
            raise TextmillError(
                f"{folder / name} is damaged: it is not the file that was saved; restore the "
                "directory from a copy or train again"
            )
    try:
        vocabulary = Vocabulary.from_text(
            (folder / "vocabulary.txt").read_text("utf-8"), name=str(folder / "vocabulary.txt")
        )
        model = SavedModel(
            network=NetworkSettings(**index["network"]),
            vocabulary=vocabulary,
            mode=index["mode"],
            labels=tuple(index["labels"]),
            arrays=_read_arrays(folder / "weights.npz"),
            training=json.loads((folder / "training.json").read_text("utf-8")),
        )
    except (KeyError, TypeError, ValueError, SettingError) as error:
        raise TextmillError(f"{folder / _INDEX} does not describe a model: {error}") from None
    _check_whole(model, index, folder)
    return model


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / _INDEX
    try:
        raw = path.read_bytes()
        index = json.loads(raw)
    except OSError as error:
        raise TextmillError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise TextmillError(f"{path} is damaged: it is not valid JSON") from None
    if not isinstance(index, dict) or not isinstance(index.get("format"), int):
        raise TextmillError(f"{path} is not the index of a textmill model")
    if index["format"] > FORMAT:
        raise TextmillError(
            f"{path} is of format {index['format']}, this textmill reads up to {FORMAT}; "
            "install a newer textmill"
        )
    if index["format"] < FORMAT:
        raise TextmillError(
            f"{path} is of the older format {index['format']}, this textmill reads {FORMAT}; "
            "train the model again"
        )
    # The index is written in one way only, so a changed byte that is still JSON shows here.
    # So does a file that no model has. Older ones named what people read, too.
    files = index.get("files")
    strange = not isinstance(files, dict) or set(files) - {*_FILES, _CARD, _PAGE}
    if strange or _pretty(index) != raw:
        raise TextmillError(f"{path} is damaged: it is not as it was saved")
    return index


def _check_whole(model: SavedModel, index: dict[str, Any], folder: Path) -> None:
    shapes = {name: array.shape for name, array in model.arrays.items()}
    if "context_kernel" in shapes and "context_input" not in shapes:
        raise TextmillError(
            f"{folder} was trained by an older textmill, whose labels set the first state only; "
            "train it again"
        )
    if model.network.vocabulary != len(model.vocabulary) or shapes != weight_shapes(model.network):
        raise TextmillError(f"{folder / _INDEX}: sizes, vocabulary and weights do not fit")
    if model.mode not in MODES or len(model.labels) != model.network.context:
        raise TextmillError(f"{folder / _INDEX}: mode or labels do not fit the network")
    if model._identity() != {key: index.get(key) for key in model._identity()}:
        raise TextmillError(f"{folder / _INDEX}: its fields do not fit the files beside it")
    if model.fingerprint != index.get("fingerprint"):
        raise TextmillError(f"{folder / _INDEX}: the fingerprint is not that of the files")


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: np.asarray(file[name], np.float32) for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise TextmillError(f"{path} holds no weights: {error}") from None


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _pretty(value: Any) -> bytes:
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"
