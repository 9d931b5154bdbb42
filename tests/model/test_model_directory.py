"""A model directory is complete, checked to the last byte, and runs no code."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from old_models import as_format_1, rewrite
from safetensors import SafetensorError

from textmill.model.errors import TextmillError
from textmill.model.network import directory, weights
from textmill.model.network.directory import (
    SavedModel,
    check_free,
    load_model,
    save_model,
    weight_shapes,
)
from textmill.model.settings import NetworkSettings
from textmill.model.text.vocabulary import RESERVED, Vocabulary

FILES = (
    "README.md",
    "model.json",
    "training.html",
    "training.json",
    "vocabulary.txt",
    "weights.safetensors",
)
CHECKED = ("model.json", "training.json", "vocabulary.txt", "weights.safetensors")


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
    as_format_1(tmp_path / "m")
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
    as_format_1(tmp_path / "m")
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


def test_older_format(copy):
    rewrite(copy, format=0)
    with pytest.raises(TextmillError, match=r"of the older format 0, .* train the model again"):
        load_model(copy)


def test_newer_format(copy):
    rewrite(copy, format=3)
    with pytest.raises(TextmillError, match=r"model.json is of format 3, .* newer textmill"):
        load_model(copy)


@pytest.mark.parametrize(
    "fields",
    [{"mode": "x"}, {"labels": ["a"]}, {"network": {}}, {"network": None}, {"level": "char"}],
)
def test_fields_that_do_not_fit(copy, fields):
    rewrite(copy, **fields)
    with pytest.raises(TextmillError, match=r"model\.json"):
        load_model(copy)


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


@pytest.mark.parametrize("kind", [OSError, SafetensorError])
def test_a_full_disk_leaves_nothing(make_model, tmp_path, monkeypatch, kind):
    error = kind("No space left on device")

    def full(*_, **__):
        raise error

    monkeypatch.setattr(weights, "save_file", full)
    with pytest.raises(TextmillError, match="No space left on device"):
        save_model(tmp_path / "m", make_model(["a"]), card="")
    assert os.listdir(tmp_path) == []


def fixed_model():
    """A model whose numbers depend on nothing."""
    network = NetworkSettings(vocabulary=5, context=2, embedding=3, hidden=2, layers=1, dropout=0.5)
    arrays = {
        name: (np.arange(np.prod(shape), dtype=np.float32) / 8).reshape(shape)
        for name, shape in weight_shapes(network).items()
    }
    words = Vocabulary(level="word", words=[*RESERVED, "a", "b c"], counts=[0, 1, 2, 3, 4])
    return SavedModel(network, words, "lines", ("x", "é"), arrays, {"corpus": {}})


def test_a_model_keeps_its_fingerprint(tmp_path):
    """Outputs know their model by it, so it is that of before format 2."""
    fingerprint = "0b2634f2a6682f6ad30c6af719636f488a90a75dc0ec49b900c3e7113dc9ed0d"
    assert fixed_model().fingerprint == fingerprint
    save_model(tmp_path / "m", fixed_model(), card="")
    told = json.loads((tmp_path / "m" / "model.json").read_text("utf-8"))
    assert (told["format"], told["fingerprint"]) == (2, fingerprint)
    as_format_1(tmp_path / "m")
    assert load_model(tmp_path / "m").fingerprint == fingerprint


@pytest.mark.parametrize("labels", [(), ("x", "y")])
def test_directories_of_format_1_load(make_model, tmp_path, labels):
    model = make_model(["a", "■,"], labels=labels, layers=2, embedding=5)
    save_model(tmp_path / "m", model, card="")
    as_format_1(tmp_path / "m")
    assert not (tmp_path / "m" / "weights.safetensors").exists()
    again = load_model(tmp_path / "m")
    assert again.fingerprint == model.fingerprint
    for name, array in model.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])
        assert again.arrays[name].flags.writeable


def test_others_may_read_the_weights(make_model, tmp_path):
    """As they may read any new file: workers can be other users."""
    save_model(tmp_path / "m", make_model(["a"]), card="")
    modes = {(tmp_path / "m" / name).stat().st_mode for name in CHECKED}
    assert len(modes) == 1


def test_arrays_lie_in_memory_as_they_like(make_model, tmp_path):
    model = make_model(["a", "b"])
    turned = {name: np.asfortranarray(array) for name, array in model.arrays.items()}
    turned["output_bias"] = np.repeat(turned["output_bias"], 2).astype(">f4")[::2]
    model = make_model(["a", "b"], arrays=turned)
    save_model(tmp_path / "m", model, card="")
    again = load_model(tmp_path / "m")
    for name, array in model.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])


@pytest.mark.parametrize("name", CHECKED)
@pytest.mark.parametrize("what", ["pipe", "folder", "device"])
def test_what_is_no_regular_file_is_not_opened(copy, name, what):
    path = copy / name
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(TextmillError, match=f"{name} is no regular file"):
        load_model(copy)


def test_links_to_files_are_followed(copy, model_dir):
    for name in CHECKED:
        (copy / name).unlink()
        (copy / name).symlink_to(model_dir / name)
    assert load_model(copy).fingerprint == load_model(model_dir).fingerprint


def test_what_killed_writers_left_goes(make_model, tmp_path):
    left = tmp_path / f".m.{'0' * 32}"
    left.mkdir()
    (left / "weights.safetensors").write_text("")
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
        patch.setattr(directory, "save_arrays", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            save_model(tmp_path / "m", second, card="", instead=True)
    assert load_model(tmp_path / "m").fingerprint == first.fingerprint
    save_model(tmp_path / "m", second, card="", instead=True)
    assert load_model(tmp_path / "m").fingerprint == second.fingerprint
    assert os.listdir(tmp_path) == ["m"]
