"""Model directories that are made to do harm, with checksums that fit: each ends in one line."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import shutil
import tracemalloc
import zipfile
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from old_models import as_format_1, canonical, rewrite, seal
from safetensors.numpy import save

from textmill.model.errors import TextmillError
from textmill.model.network.directory import load_model, save_model, weight_shapes
from textmill.model.network.old_weights import read_npz
from textmill.model.network.training_record import check_training
from textmill.model.network.weights import read_weights
from textmill.model.pages.model_card import model_card
from textmill.model.small_files import MOST_BYTES, parse_json
from textmill.model.text.vocabulary import Vocabulary

DEEP = "[" * 100_000
DIGITS = "7" * 5000
_ENOUGH = 2_000_000  # bytes; the small model's weights are a thousandth of it


@pytest.fixture(scope="module")
def small(make_model):
    return make_model(["a", "b c", "é"], labels=("x", "y"), embedding=4, hidden=4)


@pytest.fixture(scope="module")
def saved(small, tmp_path_factory):
    """The model in a directory of each format."""
    new = tmp_path_factory.mktemp("saved") / "new"
    save_model(new, small, card="")
    old = shutil.copytree(new, new.parent / "old")
    as_format_1(old)
    return {1: old, 2: new}


@pytest.fixture
def copied(saved, tmp_path):
    def copy(form=2):
        return shutil.copytree(saved[form], tmp_path / "m", dirs_exist_ok=True)

    return copy


@contextmanager
def refused(match, *, most=_ENOUGH):
    """One line, and hardly any memory."""
    tracemalloc.start()
    try:
        with pytest.raises(TextmillError, match=match) as found:
            yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(found.value)
    assert len(str(found.value)) < 600
    assert peak < most


# -- weights.npz, of format 1 ----------------------------------------------------------------------


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def npy(array, **changes):
    """A member as np.save writes it, with other words in its header."""
    header = {"descr": "'<f4'", "fortran_order": "False", "shape": str(array.shape), **changes}
    text = ", ".join(f"'{name}': {value}" for name, value in header.items())
    return framed(f"{{{text}, }}") + array.tobytes()


def framed(header):
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def npz(members, method=zipfile.ZIP_STORED):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return raw.getvalue()


def members(model, **others):
    """The members of a model's file, some of them others."""
    arrays = {f"{name}.npy": npy(array) for name, array in model.arrays.items()}
    return list({**arrays, **{f"{name}.npy": data for name, data in others.items()}}.items())


def pickled():
    raw = io.BytesIO()
    np.save(raw, np.array([Bomb()], dtype=object), allow_pickle=True)
    return raw.getvalue()


def with_flags(raw, flags):
    """Sets flags of all members, in both of the places where they stand."""
    changed = bytearray(raw)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = raw.find(mark)
        while at >= 0:
            changed[at + offset] |= flags
            at = raw.find(mark, at + 1)
    return bytes(changed)


def with_sizes(raw, size):
    """Sets the sizes of all members where the zip file lists them."""
    changed, at = bytearray(raw), raw.find(b"PK\x01\x02")
    while at >= 0:
        changed[at + 20 : at + 28] = size.to_bytes(4, "little") * 2
        at = raw.find(b"PK\x01\x02", at + 1)
    return bytes(changed)


def with_method(raw, method):
    """Says of all members that they are compressed, with sizes that fit."""
    changed = bytearray(raw)
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = raw.find(mark)
        while at >= 0:
            changed[at + offset] = method
            at = raw.find(mark, at + 1)
    return bytes(changed)


def twice(model):
    with pytest.warns(UserWarning, match="Duplicate name"):
        return npz([*members(model), members(model)[0]])


def without_checksum(raw):
    """Changes data of the first member."""
    at = raw.index(b"\n", raw.index(b"NUMPY")) + 9
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


def bias(model):
    return model.arrays["output_bias"]


OLD = {
    "3.6 TiB": lambda m: npz([("embedding.npy", framed(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"))]),
    "3.6 TiB among all": lambda m: npz(members(m, output_bias=npy(bias(m), shape="(10**12,)"))),
    "ten extra arrays": lambda m: npz(
        [*members(m), *((f"extra_{i}.npy", bytes(8_000_000)) for i in range(10))],
        zipfile.ZIP_DEFLATED),
    "deflated": lambda m: npz(members(m, output_bias=bytes(8_000_000)), zipfile.ZIP_DEFLATED),
    "lzma": lambda m: npz(members(m), zipfile.ZIP_LZMA),
    "bzip2": lambda m: npz(members(m), zipfile.ZIP_BZIP2),
    "encrypted": lambda m: with_flags(npz(members(m)), 0x1),
    "strongly encrypted": lambda m: with_flags(npz(members(m)), 0x40),
    "patched data": lambda m: with_flags(npz(members(m)), 0x20),
    "sizes of 4 GiB": lambda m: with_sizes(npz(members(m)), 2**32 - 2),
    "sizes of 0": lambda m: with_sizes(npz(members(m)), 0),
    "cut in the list": lambda m: npz(members(m))[:-40],
    "cut in the data": lambda m: npz(members(m))[:300],
    "empty": lambda m: b"",
    "no zip file": lambda m: pickle.dumps(Bomb()),
    "a member less": lambda m: npz(members(m)[1:]),
    "a member more": lambda m: npz([*members(m), ("x.npy", npy(bias(m)))]),
    "a member twice": twice,
    "another name": lambda m: npz([("../" + name, data) for name, data in members(m)]),
    "a name in one place": lambda m: npz(members(m)).replace(b"embedding", b"imbedding", 1),
    "another checksum": lambda m: without_checksum(npz(members(m))),
    "negative": lambda m: npz(members(m, output_bias=npy(bias(m), shape="(-1,)"))),
    "another shape": lambda m: npz(members(m, output_bias=npy(bias(m), shape="(2, 3)"))),
    "too much data": lambda m: npz(members(m, output_bias=npy(bias(m)) + bytes(4))),
    "too little data": lambda m: npz(members(m, output_bias=npy(bias(m))[:-4])),
    "columns first": lambda m: npz(members(m, output_bias=npy(bias(m), fortran_order="True"))),
    "float64": lambda m: npz(members(m, output_bias=npy(bias(m).astype("f8"), descr="'<f8'"))),
    "int32": lambda m: npz(members(m, output_bias=npy(bias(m), descr="'<i4'"))),
    "big-endian": lambda m: npz(members(m, output_bias=npy(bias(m), descr="'>f4'"))),
    "fields": lambda m: npz(members(m, output_bias=npy(bias(m), descr="[('a', '<f4')]"))),
    "objects": lambda m: npz(members(m, output_bias=npy(bias(m), descr="'|O'"))),
    "pickled": lambda m: npz(members(m, output_bias=pickled())),
    "a long header": lambda m: npz(members(m, output_bias=framed("(" * 5000) + bytes(24))),
    "a deep header": lambda m: npz(members(m, output_bias=framed("(" * 110) + bytes(24))),
    "another version": lambda m: npz(
        members(m, output_bias=b"\x93NUMPY\x03\x00" + npy(bias(m))[8:])),
}  # fmt: skip


@pytest.mark.parametrize("kind", OLD)
def test_an_old_file_of_weights_is_not_believed(kind, small, copied, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = copied(1)
    (folder / "weights.npz").write_bytes(OLD[kind](small))
    seal(folder)
    with refused(r"weights\.npz (holds no weights|is damaged): "):
        load_model(folder)
    # Its size is compared first, in a model's directory; here is what comes after that.
    with refused(r"weights\.npz holds no weights: "):
        read_npz(folder / "weights.npz", weight_shapes(small.network))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 99])
def test_no_decompressor_is_asked(method, small, tmp_path):
    """LZMA's takes as much memory as its data says."""
    whole = npz(members(small))
    for changed in (with_method(whole, method), with_flags(whole, 0x1)):
        (tmp_path / "w").write_bytes(changed)
        with refused("compressed or encrypted, which weights never are"):
            read_npz(tmp_path / "w", weight_shapes(small.network))


@pytest.mark.parametrize("kind", ["sizes of 4 GiB", "sizes of 0", "a long header"])
def test_sizes_are_compared_before_a_member_is_opened(kind, small, tmp_path, monkeypatch):
    (tmp_path / "w").write_bytes(OLD[kind](small))
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    with refused(r"npy has [\d,]+ bytes, which do not fit \("):
        read_npz(tmp_path / "w", weight_shapes(small.network))


def test_the_old_files_above_are_whole_but_for_their_fault(small, copied):
    folder = copied(1)
    (folder / "weights.npz").write_bytes(npz(members(small)))
    seal(folder)
    assert load_model(folder).fingerprint == small.fingerprint


# -- weights.safetensors ---------------------------------------------------------------------------


def header_of(raw):
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def with_header(raw, change):
    """The file with another header, whose length fits."""
    header, data = header_of(raw)
    text = change(header)
    text = (text if isinstance(text, str) else json.dumps(text)).encode()
    return len(text).to_bytes(8, "little") + text + data


def field(**changes):
    return lambda h: {**h, "output_bias": {**h["output_bias"], **changes}}


NEW = {
    "empty": lambda raw: b"",
    "cut": lambda raw: raw[:-4],
    "more data": lambda raw: raw + bytes(4),
    "a header of 8 EiB": lambda raw: (2**63).to_bytes(8, "little") + raw[8:],
    "a header of all": lambda raw: len(raw).to_bytes(8, "little") + raw[8:],
    "no header": lambda raw: bytes(8) + raw[8:],
    "a deep header": lambda raw: with_header(raw, lambda h: '{"a":' * 900),
    "no JSON": lambda raw: with_header(raw, lambda h: "x"),
    "a list": lambda raw: with_header(raw, lambda h: "[]"),
    "an array less": lambda raw: with_header(raw, lambda h: {k: h[k] for k in list(h)[1:]}),
    "an array more": lambda raw: with_header(raw, lambda h: {**h, "x\n": {
        "dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}),
    "other metadata": lambda raw: with_header(raw, lambda h: {**h, "__metadata__": 1}),
    "3.6 TiB": lambda raw: with_header(raw, field(shape=[10**12])),
    "beyond 64 bits": lambda raw: with_header(raw, field(shape=[2**40, 2**40])),
    "more digits": lambda raw: with_header(raw, field(shape=[10**40])),
    "negative": lambda raw: with_header(raw, field(shape=[-6])),
    "another shape": lambda raw: with_header(raw, field(shape=[2, 3])),
    "another type": lambda raw: with_header(raw, field(dtype="I32")),
    "no type": lambda raw: with_header(raw, field(dtype="F33")),
    "another place": lambda raw: with_header(raw, field(data_offsets=[0, 24])),
    "a place outside": lambda raw: with_header(raw, field(data_offsets=[2**60, 2**60 + 24])),
    "a place that ends first": lambda raw: with_header(raw, field(data_offsets=[24, 0])),
}  # fmt: skip


@pytest.mark.parametrize("kind", NEW)
def test_a_file_of_weights_is_compared_before_it_is_read(kind, small, copied):
    folder = copied()
    path = folder / "weights.safetensors"
    path.write_bytes(NEW[kind](path.read_bytes()))
    seal(folder)
    line = r"weights\.safetensors (holds no weights: |does not fit model\.json: |is damaged: )"
    with refused(line):
        load_model(folder)
    with refused(line):
        read_weights(path, weight_shapes(small.network))


def test_nothing_is_read_of_weights_that_do_not_fit(copied):
    """A large array beside those of the model, and one in place of another."""
    folder = copied()
    path = folder / "weights.safetensors"
    whole = {"embedding": np.zeros(8_000_000, np.float32)}
    for arrays in (whole, {**whole, "output_bias": np.zeros(6, np.float32)}):
        path.write_bytes(save(arrays))
        seal(folder)
        with refused(r"weights\.safetensors is damaged: it has 32,000,\d\d\d bytes"):
            load_model(folder)
        with refused("does not fit"):
            read_weights(path, {"embedding": (1,), "output_bias": (6,)})


@pytest.mark.parametrize("form", [1, 2])
def test_sizes_that_no_file_has_room_for(form, copied):
    folder = copied(form)
    sizes = json.loads((folder / "model.json").read_text())["network"]
    for huge in ({"embedding": 10**18, "hidden": 10**18}, {"hidden": 10**6}):
        rewrite(folder, network={**sizes, **huge})
        with refused(r"weights\.\w+ is damaged: it has [\d,]+ bytes, and weights of the sizes"):
            load_model(folder)
    rewrite(folder, network={**sizes, "vocabulary": 10**18})
    with refused(r"model\.json: sizes and vocabulary do not fit"):
        load_model(folder)


# -- model.json and training.json ------------------------------------------------------------------

TEXTS = {
    "deep": (DEEP, "nested deeper"),
    "deep objects": ('{"a":' * 50_000, "nested deeper"),
    "deeper than is written": ('{"a":' * 150 + "1" + "}" * 150, "nested deeper"),
    "digits": (f'{{"format": {DIGITS}}}', "whole number of 5,000 digits"),
    "negative digits": (f'{{"format": -{DIGITS}}}', "whole number of 5,000 digits"),
    "NaN": ('{"format": NaN}', "holds NaN"),
    "infinite": ('{"format": -Infinity}', "holds -Infinity"),
    "too large": ('{"format": 1e999}', "not finite"),
    "half a character": ('{"format": "\\ud800"}', "half a character"),
    "no object": ("[]", "no JSON object"),
    "a number": ("1", "no JSON object"),
    "empty": ("", "not valid JSON"),
    "bytes": (b'{"a": "\xff"}', "not valid UTF-8 at byte 7"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "not valid UTF-8"),
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("name", ["model.json", "training.json"])
def test_json_beyond_bounds(kind, name, copied):
    folder = copied()
    text, said = TEXTS[kind]
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    if name == "training.json":
        seal(folder)
    with refused(f"{name} is damaged: .*{said}", most=30_000_000):
        load_model(folder)


def test_pairs_that_make_a_character_are_read():
    assert parse_json(b'["\\ud83d\\ude00", 18446744073709551615]', name="x") == ["😀", 2**64 - 1]


def test_files_that_are_too_large_are_not_read(copied, saved):
    folder = copied()
    for name in ("model.json", "training.json", "vocabulary.txt"):
        with open(folder / name, "r+b") as file:
            file.truncate(MOST_BYTES + 1)  # of holes: the disk holds nothing of it
        with refused(f"{name} is damaged: it has 268,435,457 bytes"):
            load_model(folder)
        shutil.copy(saved[2] / name, folder / name)


STRANGE = (
    None, True, -1, 0, 1.5, 10**19, "", "x\n", "stream", [], {}, [1], ["x", "x"], [None], {"a": 1},
    [{}], {"sources": None}, {"sources": [1]}, {"sources": [{"name": 1}]},
)  # fmt: skip


def variants(value, place=()):
    """The value with each of its fields, at any depth, missing or replaced by each strange one."""
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        yield (*place, name), {key: each for key, each in value.items() if key != name}
        for strange in STRANGE:
            yield (*place, name), {**value, name: strange}
        for found, changed in variants(inner, (*place, name)):
            yield found, {**value, name: changed}


def used(model):
    """Uses the record as `import` and `train --init-from` do."""
    taken = {"corpus": {}, **model.training, "metrics": {}}
    model_card(replace(model, training=taken), name="m", recipe="r")
    origin = {"fingerprint": model.fingerprint, "corpus": model.training.get("corpus")}
    model_card(replace(model, training={**taken, "init_from": origin}), name="m", recipe="r")
    model.training.get("metrics", {}).get("stopped")


def one_line(function, *arguments):
    """What a function gives; None if it refuses in one line."""
    try:
        return function(*arguments)
    except TextmillError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 600
    return None


def opens(folder):
    """Whether a directory loads; if not, it is refused in one line."""
    model = one_line(load_model, folder)
    if model is not None:
        used(model)
    return model is not None


def test_any_field_of_the_index_may_be_anything(copied):
    folder = copied()
    index = json.loads((folder / "model.json").read_text("utf-8"))
    loaded = set()
    for place, changed in variants(index):
        (folder / "model.json").write_text(canonical(changed), "utf-8")
        if opens(folder):
            loaded.add(place)
    assert loaded == {("mode",)}  # which is one of the strange values


RECORD = {
    "corpus": {
        "encoding": None, "unwrap": True, "text": None, "labels": None, "skipped": 0,
        "sources": [{"name": "a.txt", "bytes": 5, "sha256": "0"}],
    },
    "init_from": {"fingerprint": "00", "corpus": {"sources": []}},
    "settings": {"seed": 0}, "recipe": {}, "history": [{"epoch": 1}], "samples": [],
    "metrics": {"test_perplexity": 5.0, "stopped": "epochs"},
    "versions": {"textmill": "0", "keras": "3", "backend": "x"}, "machine": "m",
}  # fmt: skip


def test_any_field_of_the_record_may_be_anything(small):
    fit = []
    for place, changed in variants(RECORD):
        if one_line(lambda record: [check_training(record, name="x")], changed):
            used(replace(small, training=changed))
            fit.append(place)
    assert {("history",), ("corpus",), ("metrics",)} <= set(fit)  # they may be missing
    assert ("corpus", "sources", "name") not in fit


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"metrics": []}, "metrics must be an object of numbers and texts"),
        ({"corpus": {"sources": [{}]}}, r"corpus\.sources\[0\]\.name is missing"),
        ({"init_from": {"fingerprint": "", "corpus": 1}}, r"init_from\.corpus must be an object"),
    ],
)
def test_a_record_of_other_types_is_refused(record, said, copied):
    folder = copied()
    (folder / "training.json").write_text(canonical(record))
    seal(folder)
    with refused(rf"training\.json is damaged: {said}"):
        load_model(folder)


def test_evaluate_needs_to_know_how_the_corpus_was_read(copied):
    from textmill.pipeline.command.evaluate import evaluate

    folder = copied()
    for record in ({}, {"corpus": {}}, {"corpus": {"encoding": None, "unwrap": True}}):
        (folder / "training.json").write_text(canonical(record))
        seal(folder)
        with refused("does not say how its corpus was read", most=30_000_000):
            evaluate(str(folder), ["x.txt"])


# -- vocabulary.txt --------------------------------------------------------------------------------

LINES = {
    "5,000 digits": f"a\t{DIGITS}",
    "19 digits": f"a\t{'1' * 19}",
    "digits of another script": "a\t٣",
    "a sign": "a\t+1",
    "a zero first": "a\t01",
    "a space": "a\t1 ",
    "no tab": "a 1",
    "no token": "\t1",
    "an escape that is not needed": "\\u{61}\t1",
    "zeros in an escape": "\\u{0020}\t1",
    "a backslash alone": "\\n\t1",
    "beyond Unicode": "\\u{110000}\t1",
    "far beyond": "\\u{ffffff}\t1",
    "half a character": "\\u{d800}\t1",
    "a carriage return": "a\t1\r",
    "a space that is not escaped": "a\u00a0b\t1",
}


@pytest.mark.parametrize("kind", LINES)
def test_a_line_that_is_not_as_it_is_written(kind, copied):
    folder = copied()
    lines = (folder / "vocabulary.txt").read_bytes().split(b"\n")
    lines[4] = LINES[kind].encode()
    (folder / "vocabulary.txt").write_bytes(b"\n".join(lines))
    seal(folder)
    with refused(r"vocabulary\.txt:5 (is not a token|holds a token)"):
        load_model(folder)


def test_vocabularies_that_are_no_text(copied):
    folder = copied()
    raw = (folder / "vocabulary.txt").read_bytes()
    for word in (b"\xff", b"\xed\xa0\x80"):
        (folder / "vocabulary.txt").write_bytes(raw.replace(b"a\t", word + b"\t"))
        seal(folder)
        with refused(r"vocabulary\.txt:5 is not valid UTF-8"):
            load_model(folder)


def test_a_text_with_half_a_character_is_no_vocabulary():
    text = "# textmill vocabulary 1 level=word\n<pad>\t0\n<unk>\t0\n<eos>\t0\n\ud800\t1\n"
    with refused("x:5 holds a token"):
        Vocabulary.from_text(text, name="x")


# -- anything --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [1, 2])
def test_random_changes_with_checksums_made_anew(form, copied, saved):
    """Whatever the bytes are, a directory loads or is refused in one line."""
    chance, folder = random.Random(form), copied(form)
    weights = "weights.npz" if form == 1 else "weights.safetensors"
    for name in (weights, "vocabulary.txt", "training.json", "model.json"):
        whole = (saved[form] / name).read_bytes()
        for _ in range(60):
            data = bytearray(whole)
            for _ in range(chance.choice((1, 1, 3))):
                data[chance.randrange(len(data))] = chance.randrange(256)
            (folder / name).write_bytes(data)
            if name != "model.json":
                seal(folder)
            opens(folder)
        (folder / name).write_bytes(whole)
        seal(folder)
    assert opens(folder)


def test_changed_weights_are_read_as_they_are_or_refused(small, tmp_path):
    """Below the fingerprint, too, nothing but one line comes of changed bytes."""
    chance, shapes = random.Random(0), weight_shapes(small.network)
    np.savez(tmp_path / "old", **small.arrays)
    for whole, read in (
        ((tmp_path / "old.npz").read_bytes(), read_npz), (save(small.arrays), read_weights),
    ):  # fmt: skip
        ends = [*range(600), *range(len(whole) - 900, len(whole))]  # where the headers are
        for _ in range(250):
            data = bytearray(whole)
            data[chance.choice(ends)] = chance.randrange(256)
            (tmp_path / "w").write_bytes(data)
            arrays = one_line(read, tmp_path / "w", shapes)
            if arrays is not None:
                assert {name: array.shape for name, array in arrays.items()} == shapes


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("form", [1, 2])
def test_weights_that_are_not_finite(small, tmp_path, value, form):
    for name, array in small.arrays.items():
        broken = array.copy()
        broken.flat[-1] = value
        folder = tmp_path / name
        save_model(folder, replace(small, arrays={**small.arrays, name: broken}), card="")
        if form == 1:
            as_format_1(folder)
        with refused(rf"weights\.\w+ cannot be used: {name} holds numbers that are not finite"):
            load_model(folder)
