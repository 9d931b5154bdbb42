"""A model directory is complete, checked to the last byte, and runs no code."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import zipfile

import numpy as np
import pytest

from textmill.model.errors import TextmillError
from textmill.model.network.directory import SavedModel, check_free, load_model, save_model

FILES = (
    "README.md",
    "model.json",
    "training.html",
    "training.json",
    "vocabulary.txt",
    "weights.npz",
)
CHECKED = ("model.json", "training.json", "vocabulary.txt", "weights.npz")


@pytest.fixture
def copy(model_dir, tmp_path):
    return shutil.copytree(model_dir, tmp_path / "copy")


def test_round_trip(make_model, tmp_path):
    model = make_model(["a", "■,"], labels=("x", "y"), layers=2, embedding=5)
    save_model(tmp_path / "m", model, card="# card\n", page="<p>\n")
    assert sorted(os.listdir(tmp_path)) == ["m"]
    assert tuple(sorted(os.listdir(tmp_path / "m"))) == FILES
    again = load_model(tmp_path / "m")
    assert again.fingerprint == model.fingerprint
    assert (again.network, again.labels, again.mode) == (model.network, model.labels, model.mode)
    assert again.vocabulary.words == model.vocabulary.words
    for name, array in model.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])


def test_labels_of_an_older_kind_are_told(make_model, tmp_path):
    """In older models with labels, a label sets only the first state."""
    model = make_model(["a"], labels=("x", "y"))
    del model.arrays["context_input"]
    save_model(tmp_path / "m", model, card="")
    with pytest.raises(TextmillError, match=r"m was trained by an older textmill.*train it again"):
        load_model(tmp_path / "m")


def test_what_people_read_may_be_changed(make_model, tmp_path):
    model = make_model(["a"])
    save_model(tmp_path / "m", model, card="# card\n", page="<p>“é”\n")
    path = tmp_path / "m" / "training.html"
    assert path.read_bytes() == "<p>“é”\n".encode()
    path.write_text("<p>another")
    (tmp_path / "m" / "README.md").write_text("another")
    assert load_model(tmp_path / "m").fingerprint == model.fingerprint
    path.unlink()
    (tmp_path / "m" / "README.md").unlink()
    assert load_model(tmp_path / "m").fingerprint == model.fingerprint
    save_model(tmp_path / "none", model, card="")
    assert not (tmp_path / "none" / "training.html").exists()
    load_model(tmp_path / "none")
    # A page that cannot be written leaves no directory behind.
    with pytest.raises(UnicodeEncodeError):
        save_model(tmp_path / "n", model, card="", page="\ud800")
    assert sorted(os.listdir(tmp_path)) == ["m", "none"]


def test_directories_of_before_that_listed_the_pages_load(make_model, tmp_path):
    model = make_model(["a"])
    save_model(tmp_path / "m", model, card="# card\n", page="<p>\n")
    index = tmp_path / "m" / "model.json"
    told = json.loads(index.read_text())
    told["files"] |= {"README.md": "0" * 64, "training.html": "0" * 64}
    index.write_text(json.dumps(told, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    assert load_model(tmp_path / "m").fingerprint == model.fingerprint


def test_fingerprint_covers_what_changes_the_output(make_model):
    base = make_model(["a", "b"], labels=("x", "y"))
    arrays = {**base.arrays, "output_bias": base.arrays["output_bias"] + 1e-3}
    variants = [
        make_model(["a", "c"], labels=("x", "y")),
        make_model(["a", "b"], labels=("y", "x")),
        make_model(["a", "b"], labels=("x", "y"), mode="lines"),
        make_model(["a", "b"], labels=("x", "y"), arrays=arrays),
    ]
    assert len({model.fingerprint for model in (base, *variants)}) == 5
    told = SavedModel(base.network, base.vocabulary, base.mode, base.labels, base.arrays, {"x": 1})
    assert told.fingerprint == base.fingerprint


@pytest.mark.parametrize("name", CHECKED)
def test_every_flipped_byte_is_seen(copy, name):
    path = copy / name
    raw = path.read_bytes()
    offsets = range(len(raw))
    if len(raw) > 150:
        offsets = np.random.default_rng(0).choice(len(raw), 150, replace=False).tolist()
    for offset in (0, len(raw) - 1, *offsets):
        for bit in (0x01, 0x20):
            damaged = bytearray(raw)
            damaged[offset] ^= bit
            path.write_bytes(damaged)
            with pytest.raises(TextmillError, match=str(copy)):
                load_model(copy)
    path.write_bytes(raw)
    load_model(copy)


@pytest.mark.parametrize("name", CHECKED)
@pytest.mark.parametrize("how", ["missing", "empty", "cut"])
def test_truncated_directories(copy, name, how):
    raw = (copy / name).read_bytes()
    (copy / name).unlink()
    if how != "missing":
        (copy / name).write_bytes(raw[: len(raw) // 2] if how == "cut" else b"")
    with pytest.raises(TextmillError, match=name):
        load_model(copy)


def test_missing_and_foreign(tmp_path):
    with pytest.raises(TextmillError, match="there is no model directory"):
        load_model(tmp_path / "nothing")
    (tmp_path / "x").write_text("")
    with pytest.raises(TextmillError, match=r"no textmill model: it has no model.json"):
        load_model(tmp_path)


def rewrite(folder, **fields):
    index = json.loads((folder / "model.json").read_text())
    index.update(fields)
    text = json.dumps(index, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (folder / "model.json").write_text(text)


def test_older_format(copy):
    rewrite(copy, format=0)
    with pytest.raises(TextmillError, match=r"of the older format 0, .* train the model again"):
        load_model(copy)


def test_newer_format(copy):
    rewrite(copy, format=2)
    with pytest.raises(TextmillError, match=r"model.json is of format 2, .* newer textmill"):
        load_model(copy)


@pytest.mark.parametrize(
    "fields",
    [{"mode": "x"}, {"labels": ["a"]}, {"network": {}}, {"network": None}, {"level": "char"}],
)
def test_fields_that_do_not_fit(copy, fields):
    rewrite(copy, **fields)
    with pytest.raises(TextmillError, match=r"model\.json"):
        load_model(copy)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_loading_runs_no_code(copy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        array = io.BytesIO()
        np.save(array, np.array([Bomb()], dtype=object), allow_pickle=True)
        archive.writestr("embedding.npy", array.getvalue())
    for content in (raw.getvalue(), pickle.dumps(Bomb())):
        (copy / "weights.npz").write_bytes(content)
        import hashlib

        files = json.loads((copy / "model.json").read_text())["files"]
        rewrite(copy, files={**files, "weights.npz": hashlib.sha256(content).hexdigest()})
        with pytest.raises(TextmillError, match=r"weights\.npz"):
            load_model(copy)
    assert not (tmp_path / "exploded").exists()


def test_places_that_are_taken(make_model, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    model = make_model(["a"])
    with pytest.raises(TextmillError, match="already exists"):
        save_model(tmp_path / "full", model, card="")
    save_model(tmp_path / "empty", model, card="")
    assert (tmp_path / "full" / "file").read_text() == "mine"
    with pytest.raises(TextmillError, match="already exists"):
        check_free(tmp_path / "full" / "file")


def test_unwritable_places(make_model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TextmillError, match="cannot write"):
        save_model(tmp_path / "file" / "m", make_model(["a"]), card="")


def test_a_full_disk_leaves_nothing(make_model, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(TextmillError, match="No space left on device"):
        save_model(tmp_path / "m", make_model(["a"]), card="")
    assert os.listdir(tmp_path) == []


def test_what_killed_writers_left_goes(make_model, tmp_path):
    left = tmp_path / f".m.{'0' * 32}"
    left.mkdir()
    (left / "weights.npz").write_text("PK")
    (tmp_path / f".m.{'1' * 32}.onnx").write_text("")
    others = [f".m2.{'0' * 32}", ".m.txt"]
    for name in others:
        (tmp_path / name).write_text("")
    save_model(tmp_path / "m", make_model(["a"]), card="")
    assert sorted(os.listdir(tmp_path)) == sorted([*others, "m"])


def test_a_model_takes_the_place_of_another(make_model, tmp_path, monkeypatch):
    first, second = make_model(["a"]), make_model(["a", "b"])
    save_model(tmp_path / "m", first, card="", instead=True)
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            save_model(tmp_path / "m", second, card="", instead=True)
    assert load_model(tmp_path / "m").fingerprint == first.fingerprint
    save_model(tmp_path / "m", second, card="", instead=True)
    assert load_model(tmp_path / "m").fingerprint == second.fingerprint
    assert os.listdir(tmp_path) == ["m"]
