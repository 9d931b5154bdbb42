"""The model directory: complete, checked, and free of code.

model.json           format, fingerprint, settings, labels, the SHA-256 of the three files below
vocabulary.txt       a token, a tab and its count on each line, in the order of ids
weights.safetensors  float32 arrays by name; in directories of format 1, weights.npz
training.json        corpus, settings, history and metrics
README.md            the model card, for people, who may change it
training.html        how the training went, for people, too; may be absent

A directory may come from anywhere, with checksums that fit. So nothing is allocated because a file
says so: the vocabulary's length is compared with the sizes in model.json, these with the size of
the weights' file, then names, types and shapes with its header, and only then data is read.
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
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from textmill.model.errors import SettingError, TextmillError
from textmill.model.network.old_weights import read_npz
from textmill.model.network.training_record import check_training
from textmill.model.network.weights import check_size, read_weights, save_arrays, sync
from textmill.model.settings import MODES, NetworkSettings
from textmill.model.small_files import json_object, read_small, regular_size
from textmill.model.text.vocabulary import Vocabulary

FORMAT = 2
WEIGHTS = "weights.safetensors"
_INDEX, _VOCABULARY, _TRAINING = "model.json", "vocabulary.txt", "training.json"
_CARD, _PAGE = "README.md", "training.html"
_WEIGHTS = {1: "weights.npz", FORMAT: WEIGHTS}  # by format


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
            # The version of what the fingerprint covers, not of the directory: a model keeps its
            # number, by which outputs know it, however its weights are stored.
            "format": 1,
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
        (temporary / _VOCABULARY).write_bytes(model.vocabulary.to_text().encode())
        save_arrays(
            temporary / WEIGHTS,
            {name: np.asarray(array, "<f4") for name, array in model.arrays.items()},
        )
        (temporary / _TRAINING).write_bytes(_pretty(model.training))
        for name, text in ((_CARD, card), (_PAGE, page)):
            if text is not None:
                (temporary / name).write_text(text, encoding="utf-8", newline="\n")
        index = {
            **model._identity(),
            "format": FORMAT,
            "fingerprint": model.fingerprint,
            "files": {name: _sha256(temporary / name) for name in _files(FORMAT)},
        }
        (temporary / _INDEX).write_bytes(_pretty(index))
        for written in temporary.iterdir():
            sync(written)
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
    if not os.path.exists(folder / _INDEX):
        raise TextmillError(f"{folder} is no textmill model: it has no {_INDEX}")
    index = _read_index(folder)
    network, mode, labels = _described(index, folder / _INDEX)
    vocabulary = Vocabulary.from_bytes(
        _read_checked(folder, _VOCABULARY, index), name=str(folder / _VOCABULARY)
    )
    if network.vocabulary != len(vocabulary):
        raise TextmillError(
            f"{folder / _INDEX}: sizes and vocabulary do not fit: {network.vocabulary} entries, "
            f"{_VOCABULARY} has {len(vocabulary)}"
        )
    training = json_object(_read_checked(folder, _TRAINING, index), name=folder / _TRAINING)
    check_training(training, name=str(folder / _TRAINING))
    model = SavedModel(
        network=network,
        vocabulary=vocabulary,
        mode=mode,
        labels=labels,
        arrays=_read_arrays(folder, index, weight_shapes(network)),
        training=training,
    )
    identity = {**model._identity(), "format": index["format"]}
    if identity != {key: index.get(key) for key in identity}:
        raise TextmillError(f"{folder / _INDEX}: its fields do not fit the files beside it")
    if model.fingerprint != index.get("fingerprint"):
        raise TextmillError(f"{folder / _INDEX}: the fingerprint is not that of the files")
    return model


def _files(form: int) -> tuple[str, str, str]:
    """The files that model.json has checksums of."""
    return (_VOCABULARY, _WEIGHTS[form], _TRAINING)


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / _INDEX
    raw = read_small(path)
    index = json_object(raw, name=path)
    form = index.get("format")
    if type(form) is not int:
        raise TextmillError(f"{path} is not the index of a textmill model")
    if form > FORMAT:
        raise TextmillError(
            f"{path} is of format {form}, this textmill reads up to {FORMAT}; "
            "install a newer textmill"
        )
    if form not in _WEIGHTS:
        raise TextmillError(
            f"{path} is of the older format {form}, this textmill reads {FORMAT}; "
            "train the model again"
        )
    # The index is written in one way only, so a changed byte that is still JSON shows here.
    # So does a file that no model has. Older ones named what people read, too.
    files = index.get("files")
    strange = not isinstance(files, dict) or set(files) - {*_files(form), _CARD, _PAGE}
    if strange or _pretty(index) != raw:
        raise TextmillError(f"{path} is damaged: it is not as it was saved")
    return index


def _described(index: dict[str, Any], path: Path) -> tuple[NetworkSettings, str, tuple[str, ...]]:
    """Gives sizes, mode and labels; what they are has been compared with nothing yet."""
    try:
        mode, labels = index.get("mode"), index.get("labels")
        if not isinstance(mode, str) or mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}")
        if not isinstance(labels, list) or not all(isinstance(each, str) for each in labels):
            raise ValueError("labels must be a list of texts")
        if len(set(labels)) != len(labels):
            raise ValueError("a label stands twice in it")
        network = _network(index.get("network"))
        if len(labels) != network.context:
            raise ValueError("the labels do not fit the network")
        return network, mode, tuple(labels)
    except (TypeError, ValueError, SettingError) as error:
        raise TextmillError(f"{path} does not describe a model: {str(error)[:200]}") from None


def _network(sizes: Any) -> NetworkSettings:
    known = {field.name for field in fields(NetworkSettings)}
    if not isinstance(sizes, dict) or set(sizes) - known:
        raise ValueError("network must be an object of the sizes of a network")
    return NetworkSettings(**sizes)


def _read_checked(folder: Path, name: str, index: dict[str, Any]) -> bytes:
    """Reads a small file that model.json has a checksum of."""
    data = read_small(folder / name)
    _check_sum(folder / name, hashlib.sha256(data).hexdigest(), index)
    return data


def _check_sum(path: Path, digest: str, index: dict[str, Any]) -> None:
    if digest != index["files"].get(path.name):
        raise TextmillError(
            f"{path} is damaged: it is not the file that was saved; restore the "
            "directory from a copy or train again"
        )


def _read_arrays(
    folder: Path, index: dict[str, Any], shapes: dict[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    form = index["format"]
    path = folder / _WEIGHTS[form]
    # Older directories may lack an array, which is told when the names are compared.
    least = {name: shape for name, shape in shapes.items() if form > 1 or name != "context_input"}
    check_size(path, regular_size(path), shapes, least=least)
    try:
        digest = _sha256(path)
    except OSError as error:
        raise TextmillError(f"{path} cannot be read: {error.strerror}") from None
    _check_sum(path, digest, index)
    return read_npz(path, shapes) if form == 1 else read_weights(path, shapes)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _pretty(value: Any) -> bytes:
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"
