"""Model directories: what was altered is refused, what fits in all its checksums is a model."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from fuzzing import Kind
from guard import Broken
from mutate import ODD, mutated, mutated_json
from old_models import as_format_1
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from textmill.model.errors import TextmillError
from textmill.model.network.directory import load_model, save_model, weight_shapes

_WEIGHTS, _OLD_WEIGHTS = "weights.safetensors", "weights.npz"  # of formats 2 and 1
_FREE = ("README.md", "training.html")  # for people, who may change them


@dataclass
class Case:
    """A model directory.

    Attributes:
        folder: the directory. how: what was done to it.
        altered: whether it has to be refused; None if that is not known.
    """

    folder: Path
    how: str
    altered: bool | None


class Models(Kind):
    """Model directories."""

    name = "models"

    def __init__(self, make_model: Callable[..., Any]):
        self._make_model = make_model
        self._models: list[Path] = []

    def prepare(self, folder: Path) -> None:
        words = ["the", "cat", "■,", "é", "🙂", "dog"]
        kinds: list[dict[str, Any]] = [
            {}, {"labels": ("x", "y"), "layers": 2, "mode": "lines"},
            {"cutoffs": (5,), "tail_widths": (2,), "embedding": 5},
            {"columns": ("x", "y"), "numbers": 2, "labels": ("a",), "mode": "lines"},
            {"source": ["der", "Hund", "ß"], "attention": True, "mode": "lines"},
        ]  # fmt: skip
        for number, sizes in enumerate(kinds):
            path = folder / str(number)
            save_model(path, self._make_model(words, **sizes), card="# card\n", page="<p>\n")
            self._models.append(path)
            if not {"columns", "source"} & set(sizes):  # which format 1 did not know
                shutil.copytree(path, folder / f"{number}-old")
                as_format_1(folder / f"{number}-old")
                self._models.append(folder / f"{number}-old")

    def make(self, random: Random, folder: Path) -> Case:
        place = folder / "model"
        shutil.copytree(random.choice(self._models), place)
        how = random.choice(
            (_bytes, _bytes, _missing, _free, _renewed_bytes, _odd_index, _odd_index, _vocabulary,
             _training, _odd_arrays, _odd_arrays, _odd_container)
        )  # fmt: skip
        altered = how(random, place)
        return Case(place, how.__name__.strip("_"), altered)

    def check(self, case: Case) -> str:
        try:
            model = load_model(case.folder)
        except TextmillError as error:
            if case.altered is False:
                raise Broken(f"a model was refused that nobody altered | {error}") from error
            raise
        if case.altered:
            raise Broken(f"an altered directory was loaded ({case.how})")
        shapes = {name: array.shape for name, array in model.arrays.items()}
        if shapes != weight_shapes(model.network):
            raise Broken("weights of other shapes than the network's")
        if len(model.vocabulary) != model.network.vocabulary:
            raise Broken("a vocabulary of another size than the network's")
        if not isinstance(model.fingerprint, str) or {a.dtype for a in model.arrays.values()} != {
            np.dtype(np.float32)
        }:
            raise Broken("weights that are no float32")
        if not all(np.isfinite(array).all() for array in model.arrays.values()):
            raise Broken("weights that are not finite")
        return "loaded"


# -- damages: each gives whether the directory has to be refused; None if that is not known --------


def _bytes(random: Random, place: Path) -> bool:
    path = place / random.choice(_checked(place))
    path.write_bytes(mutated(random, path.read_bytes()))
    return True


def _missing(random: Random, place: Path) -> bool:
    path = place / random.choice(_checked(place))
    path.unlink()
    if random.random() < 0.3:
        path.mkdir()
    elif random.random() < 0.3:
        path.symlink_to("nowhere")
    return True


def _free(random: Random, place: Path) -> bool:
    path = place / random.choice(_FREE)
    if random.random() < 0.3:
        path.unlink()
    else:
        path.write_bytes(mutated(random, path.read_bytes()))
    return False


def _renewed_bytes(random: Random, place: Path) -> None:
    path = place / random.choice(_checked(place)[1:])
    path.write_bytes(mutated(random, path.read_bytes()))
    _renew(place)


def _odd_index(random: Random, place: Path) -> None:
    index = _index(place)
    part = random.choice(
        ("network", "network", "labels", "files", "columns", "longest_source", "all")
    )
    odd = [value for value in ODD if value != "\ud800"]  # which no file of UTF-8 can hold
    if part == "all":
        index = mutated_json(random, index, odd=odd)
    else:
        index[part] = mutated_json(random, index.get(part, random.choice(odd)), odd=odd)
    if random.random() < 0.5:  # sizes that fit one another
        name = random.choice(
            ("vocabulary", "embedding", "hidden", "layers", "context", "numbers", "source")
        )
        if isinstance(index, dict) and isinstance(index.get("network"), dict):
            index["network"][name] = random.choice((1, 2, 3, 10, 10**9, 10**18, 2**70))
    _write_index(place, index)
    if random.random() < 0.5:
        _renew(place)


def _vocabulary(random: Random, place: Path) -> None:
    path = place / random.choice([name for name in _checked(place) if "vocabulary" in name])
    lines = path.read_text("utf-8").split("\n")
    at = random.randrange(len(lines))
    word, _, count = lines[at].partition("\t")
    lines[at] = random.choice((
        f"{word}\t{'9' * 5000}", f"{word}\t-1", f"{word}\t²", f"{word}\t٣", f"{word}\t", word,
        f"\t{count}", f"\\u{{d800}}\t{count}", f"\\u{{110000}}\t{count}", f"\\u{{0}}\t{count}",
        f"{'x' * 100_000}\t{count}", f"<pad>\t{count}", f"a\tb\t{count}", f"\x1b[2J\t{count}",
        f"{word}\t{count}\r", "# textmill vocabulary 1 level=char", f"\\\t{count}",
        f"\\u{{a}}\t{count}", f"■\t{count}", f"■■\t{count}", f"{word}\t1e5", f"{word}\t{2**63}",
    ))  # fmt: skip
    path.write_text("\n".join(lines), "utf-8", newline="\n")
    _renew(place)


def _training(random: Random, place: Path) -> None:
    path = place / "training.json"
    value = random.choice((*ODD, {"corpus": random.choice(ODD)}))
    path.write_text(json.dumps(value), "utf-8")
    _renew(place)


def _odd_arrays(random: Random, place: Path) -> None:
    """Arrays of other kinds and sizes, under all names or one."""
    path, arrays = _weights(place), _arrays(place)
    name = random.choice([*arrays])
    array = arrays[name]
    odd: tuple[Callable[[], Any], ...] = (
        lambda: array.astype(np.float64), lambda: array.astype(">f4"),
        lambda: array.astype(np.float16), lambda: array.astype(np.complex64),
        lambda: array.astype(np.int8), lambda: array > 0, lambda: array.astype(str),
        lambda: array.astype(object), lambda: np.asfortranarray(array), lambda: array.ravel(),
        lambda: array[..., None], lambda: np.zeros((0,), np.float32), lambda: np.float32(1),
        lambda: array * np.float32(np.nan), lambda: array * np.float32(1e30) * np.float32(1e30),
        lambda: np.full(array.shape, 1e300), lambda: array.astype("S4"),
        lambda: np.zeros(array.shape, "datetime64[s]"),
        lambda: np.zeros(array.shape, [("a", "f4"), ("b", "i4")]),
    )  # fmt: skip
    how = random.random()
    if how < 0.7:
        with np.errstate(all="ignore"):
            arrays[name] = random.choice(odd)()
    elif how < 0.85:
        del arrays[name]
    else:
        arrays[random.choice(("x", "../x", "", "file", "embedding ", "a\nb"))] = array
    if path.name == _WEIGHTS:
        with contextlib.suppress(KeyError, ValueError, SafetensorError):  # no kind that it has
            save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, path)
        _renew(place)
        return
    save = random.choice((np.savez, np.savez_compressed))
    with open(path, "wb") as out, np.errstate(all="ignore"):
        if "file" in arrays:
            arrays["file2"] = arrays.pop("file")
        save(out, allow_pickle=True, **arrays)
    _renew(place)


def _odd_container(random: Random, place: Path) -> None:
    """A file of weights whose form is odd."""
    (_odd_zip if _weights(place).name == _OLD_WEIGHTS else _odd_header)(random, place)


def _odd_header(random: Random, place: Path) -> None:
    """A safetensors header that claims other things than the data holds."""
    path = _weights(place)
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header, data = json.loads(raw[8 : 8 + size]), raw[8 + size :]
    how = random.random()
    if how < 0.3:
        header = mutated_json(random, header)
    elif how < 0.7:
        each = header[random.choice([name for name in header if name != "__metadata__"])]
        each[random.choice(("shape", "data_offsets", "dtype", "more"))] = random.choice((
            [10**12], [2**63], [2**64], [-1], [], [1.5], None, "F32", "F64", "F4", [0, 2**60],
            [4, 0], [[1]], 10**400, [10**5] * 5, {},
        ))  # fmt: skip
    text = json.dumps(header).encode("utf-8", "backslashreplace")
    if how > 0.9:
        text = random.choice((b"[" * 99_999, b"{" + b'"a":{' * 5000, text[:-5], b"", b"null"))
    size = random.choice((len(text),) * 8 + (0, 2**63, 10**9, len(text) + 1))
    path.write_bytes(size.to_bytes(8, "little") + text + data)
    _renew(place)


def _odd_zip(random: Random, place: Path) -> None:
    """Members of other kinds than arrays, and headers that claim more than there is."""
    path = _weights(place)
    out = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        chosen = random.choice(names)
        for name in names:
            data = old.read(name)
            if name == chosen:
                data = _odd_member(random, data)
            new.writestr(name, data, random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
        if random.random() < 0.2:
            new.writestr(random.choice(("x.npy", "x.txt", "/etc/x", "../../x.npy")), b"x")
        if random.random() < 0.1:
            new.writestr(chosen, old.read(chosen))
    raw = out.getvalue()
    path.write_bytes(mutated(random, raw) if random.random() < 0.3 else raw)
    _renew(place)


def _odd_member(random: Random, data: bytes) -> bytes:
    shape = random.choice((
        "(1000000000000,)", "(100000, 100000)", "(-1,)", "(0,)", "()", "(9, 8", "None", "(1.5,)",
        "(2**70,)", "(True,)", "(((((1,),),),),)", "(" * 300, "(10**5,)*3", "(3000000000,)",
    ))  # fmt: skip
    kind = random.choice(("<f4", "<f4", "|O", "<U9", "x", "<f2", ">c16", "V99999999999"))
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    how = random.random()
    if how < 0.6:
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data[128:]
    if how < 0.8:
        return mutated(random, data[:128]) + data[128:]
    return random.choice((b"", b"x", data[:100], b"\x80\x04K\x01.", data + bytes(30_000_000)))


# -- checksums and fingerprint made anew -----------------------------------------------------------


def _index(place: Path) -> Any:
    return json.loads((place / "model.json").read_text("utf-8"))


def _write_index(place: Path, index: Any) -> None:
    text = json.dumps(index, indent=2, sort_keys=True, ensure_ascii=False)
    (place / "model.json").write_bytes(text.encode("utf-8", "backslashreplace") + b"\n")


def _renew(place: Path) -> None:
    """Makes the checksums those of the files; the fingerprint too, if it can be reckoned."""
    index = _index(place)
    if not isinstance(index, dict) or not isinstance(index.get("files"), dict):
        return
    for name in _checked(place)[1:]:
        index["files"][name] = hashlib.sha256((place / name).read_bytes()).hexdigest()
    try:
        index["fingerprint"] = _fingerprint(place, index)
    except Exception:  # what cannot be read has no fingerprint
        index["fingerprint"] = "0" * 64
    _write_index(place, index)


def _fingerprint(place: Path, index: dict[str, Any]) -> str:
    def canonical(value: Any) -> bytes:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return text.encode()

    named = ["network", "level", "mode", "labels"]
    named += [name for name in ("columns", "longest_source") if name in index]
    identity = {"format": 1, **{name: index[name] for name in named}}
    digest = hashlib.sha256(canonical(identity))
    for name in _checked(place):
        if "vocabulary" in name:
            digest.update((place / name).read_bytes())
    with np.errstate(all="ignore"):
        for name, given in sorted(_arrays(place).items()):
            array = np.ascontiguousarray(given, "<f4")
            digest.update(canonical([name, list(array.shape)]))
            digest.update(array.tobytes())
    return digest.hexdigest()


# -- the file of the weights -----------------------------------------------------------------------


def _weights(place: Path) -> Path:
    old = place / _OLD_WEIGHTS
    return old if os.path.lexists(old) else place / _WEIGHTS


def _checked(place: Path) -> tuple[str, ...]:
    """The files whose checksums are kept, after the file that keeps them."""
    source = ["source_vocabulary.txt"] if (place / "source_vocabulary.txt").exists() else []
    return ("model.json", "training.json", "vocabulary.txt", *source, _weights(place).name)


def _arrays(place: Path) -> dict[str, np.ndarray]:
    path = _weights(place)
    if path.name == _WEIGHTS:
        return load_file(path)
    with np.load(path, allow_pickle=False) as file:
        if sum(file.zip.getinfo(n).file_size for n in file.zip.namelist()) > 10_000_000:
            raise ValueError("too large to be tried here")
        return {name: file[name] for name in file.files}
