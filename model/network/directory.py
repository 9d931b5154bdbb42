"""The model directory: complete, checked, and free of code.

model.json           format, fingerprint, settings, labels, the SHA-256 of the files below
vocabulary.txt       a token, a tab and its count on each line, in the order of ids
source_vocabulary.txt    the same of sources; only of a model that has some
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
from textmill.model.network.context import Context
from textmill.model.network.old_weights import read_npz
from textmill.model.network.training_record import check_training
from textmill.model.network.weights import check_size, read_weights, save_arrays, sync
from textmill.model.settings import MODES, NetworkSettings
from textmill.model.small_files import json_object, read_small, regular_size
from textmill.model.text.vocabulary import Vocabulary

FORMAT = 2
WEIGHTS = "weights.safetensors"
_INDEX, _VOCABULARY, _TRAINING = "model.json", "vocabulary.txt", "training.json"
_SOURCE_VOCABULARY = "source_vocabulary.txt"
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
        columns: the fields of a row that hold the context's numbers; empty for none.
        source: words and ids of sources; None for a model without.
        longest_source: number of words of the longest source of the training part.
        arrays: the weights by name, see `weight_shapes`.
        training: corpus, settings, history and metrics, as saved in training.json.
    """

    network: NetworkSettings
    vocabulary: Vocabulary
    mode: str
    labels: tuple[str, ...]
    arrays: dict[str, np.ndarray]
    training: dict[str, Any]
    columns: tuple[str, ...] = ()
    source: Vocabulary | None = None
    longest_source: int = 0

    @property
    def context(self) -> Context:
        """How labels and numbers become the network's context vector."""
        if not self.columns:
            return Context(self.labels)
        mean, deviation = self.arrays["context_mean"], self.arrays["context_deviation"]
        return Context(self.labels, self.columns, mean, deviation)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that changes the model's output."""
        digest = hashlib.sha256(_canonical(self._identity()))
        digest.update(self.vocabulary.to_text().encode())
        if self.source is not None:
            digest.update(self.source.to_text().encode())
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
            **({"columns": list(self.columns)} if self.columns else {}),
            **({"longest_source": self.longest_source} if self.source is not None else {}),
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
    if s.source:
        shapes["source_embedding"] = (s.source, s.embedding)
    for i in range(s.layers if s.source else 0):
        shapes[f"source_{i}_kernel"] = (s.hidden if i else s.embedding, 4 * s.hidden)
        shapes[f"source_{i}_recurrent"] = (s.hidden, 4 * s.hidden)
        shapes[f"source_{i}_bias"] = (4 * s.hidden,)
    if s.attention:
        shapes["attention_score"] = (s.hidden, s.hidden)
        shapes["attention_combine"] = (2 * s.hidden, s.hidden)
    if s.numbers:
        shapes["context_mean"] = (s.numbers,)
        shapes["context_deviation"] = (s.numbers,)
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
        if model.source is not None:
            (temporary / _SOURCE_VOCABULARY).write_bytes(model.source.to_text().encode())
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
            "files": {
                name: _sha256(temporary / name)
                for name in _files(FORMAT, source=model.source is not None)
            },
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
    network, mode, labels, columns = _described(index, folder / _INDEX)
    vocabulary = _read_vocabulary(folder, _VOCABULARY, index, network.vocabulary)
    source = None
    if network.source:
        source = _read_vocabulary(folder, _SOURCE_VOCABULARY, index, network.source)
        if source.level != vocabulary.level:
            raise TextmillError(f"{folder}: the two vocabularies are of different levels")
    training = json_object(_read_checked(folder, _TRAINING, index), name=folder / _TRAINING)
    check_training(training, name=str(folder / _TRAINING))
    model = SavedModel(
        network=network,
        vocabulary=vocabulary,
        mode=mode,
        labels=labels,
        columns=columns,
        source=source,
        longest_source=index["longest_source"] if network.source else 0,
        arrays=_read_arrays(folder, index, weight_shapes(network)),
        training=training,
    )
    identity = {**model._identity(), "format": index["format"]}
    known = {key: index.get(key) for key in identity}
    more = {"columns", "longest_source"} & set(index) - set(identity)
    if identity != known or more:
        raise TextmillError(f"{folder / _INDEX}: its fields do not fit the files beside it")
    if model.fingerprint != index.get("fingerprint"):
        raise TextmillError(f"{folder / _INDEX}: the fingerprint is not that of the files")
    return model


def _files(form: int, *, source: bool) -> tuple[str, ...]:
    """The files that model.json has checksums of."""
    return (_VOCABULARY, _WEIGHTS[form], _TRAINING, *([_SOURCE_VOCABULARY] if source else []))


def _read_vocabulary(folder: Path, name: str, index: dict[str, Any], size: int) -> Vocabulary:
    data = _read_checked(folder, name, index)
    vocabulary = Vocabulary.from_bytes(data, name=str(folder / name))
    if size != len(vocabulary):
        raise TextmillError(
            f"{folder / _INDEX}: sizes and vocabulary do not fit: {size} entries, {name} has "
            f"{len(vocabulary)}"
        )
    return vocabulary


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
    strange = not isinstance(files, dict) or set(files) - {
        *_files(form, source=True), _CARD, _PAGE
    }  # fmt: skip
    if strange or _pretty(index) != raw:
        raise TextmillError(f"{path} is damaged: it is not as it was saved")
    return index


def _described(
    index: dict[str, Any], path: Path
) -> tuple[NetworkSettings, str, tuple[str, ...], tuple[str, ...]]:
    """Gives sizes, mode, labels and columns; they have been compared with nothing yet."""
    try:
        mode = index.get("mode")
        if not isinstance(mode, str) or mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}")
        labels = _names(index.get("labels"), "label")
        columns = _names(index.get("columns", []), "column")
        network = _network(index.get("network"))
        if len(labels) != network.labels:
            raise ValueError("the labels do not fit the network")
        longest = index.get("longest_source", 1)
        if (
            type(longest) is not int
            or longest < 1
            or (network.source and "longest_source" not in index)
        ):
            raise ValueError("longest_source must be a whole number from 1")
        if len(columns) not in (bool(network.numbers), network.numbers):
            raise ValueError("the columns do not fit the network")
        return network, mode, labels, columns
    except (TypeError, ValueError, SettingError) as error:
        raise TextmillError(f"{path} does not describe a model: {str(error)[:200]}") from None


def _names(given: Any, what: str) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise ValueError(f"{what}s must be a list of texts")
    if len(set(given)) != len(given):
        raise ValueError(f"a {what} stands twice in it")
    return tuple(given)


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
    arrays = read_npz(path, shapes) if form == 1 else read_weights(path, shapes)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise TextmillError(
                f"{path} cannot be used: {name} holds numbers that are not finite; train the model "
                "again"
            )
    return arrays


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _pretty(value: Any) -> bytes:
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"
