"""A checkpoint keeps every array as it is; a changed one is refused in one line."""

from __future__ import annotations

import json
import os

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from textmill.model.errors import TextmillError
from textmill.model.training.checkpoint import Checkpoint, _checksum, about, checkpoint_of, claimed

TYPES = (
    "float32", "float64", "float16", "int8", "int32", "int64", "uint8", "uint32", "uint64", "bool",
    ml_dtypes.bfloat16,
)  # fmt: skip
RECORD = {"place": {"lowest": float("inf"), "step": 3}, "history": {}}


@pytest.fixture
def path(tmp_path):
    """A checkpoint with an array of each type and of several shapes."""
    path = checkpoint_of(str(tmp_path / "m"))
    Checkpoint(path, "x", about={"recipe": {}}).save((arrays(), RECORD))
    return path


def arrays():
    found = {f"variable/{i}": np.arange(6).astype(kind) for i, kind in enumerate(TYPES)}
    return found | {
        "best/none": np.zeros((0, 3), np.float32),
        "best/one": np.array(7, np.int64),
        "best/turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    }


def test_every_array_comes_back(path):
    assert path.parts[-2:] == ("m.training", "checkpoint.safetensors")
    assert os.listdir(path.parent) == [path.name]
    found, record = Checkpoint(path, "x").load()
    assert record == RECORD
    assert about(path) == {"recipe": {}}
    assert found.keys() == arrays().keys()
    for name, array in arrays().items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


def test_any_changed_byte_is_seen(path):
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for offset in (0, 8, len(whole) - 1, *random.integers(0, len(whole), 200).tolist()):
        changed = bytearray(whole)
        changed[offset] ^= 1
        path.write_bytes(changed)
        with pytest.raises(TextmillError, match=r"^the checkpoint [^\n]*$"):
            Checkpoint(path, "x").load()


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "[]", "{}", "7" * 5000, '{"digest": "x"}', '{"about": {}}', '"\\ud800"', ""],
)
def test_records_that_are_none(path, text):
    metadata = {"record": text, "sha256": _checksum(arrays(), text)}
    save_file({k: np.asarray(a, order="C") for k, a in arrays().items()}, path, metadata=metadata)
    for read in (Checkpoint(path, "x").load, lambda: about(path)):
        with pytest.raises(TextmillError, match=r"is damaged \(\w+\)\. Remove [^\n]*$"):
            read()


def test_what_is_no_checkpoint(path):
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(TextmillError, match="is no regular file"):
        about(path)


def test_a_full_disk_keeps_the_old_checkpoint(path, monkeypatch):
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("textmill.model.network.weights.save_file", full)
    with pytest.raises(TextmillError, match=r"cannot write the checkpoint .*: No space left"):
        Checkpoint(path, "x").save((arrays(), RECORD))
    assert path.read_bytes() == before


def test_a_second_save_replaces_the_first(path):
    Checkpoint(path, "x").save(({"a": np.ones(2)}, {"b": 1}))
    with safe_open(path, "np") as file:
        assert list(file.keys()) == ["a"]
        assert json.loads(file.metadata()["record"]) == {"b": 1, "digest": "x", "about": {}}


def test_one_training_at_a_time(tmp_path):
    place = checkpoint_of(str(tmp_path / "m"))
    with claimed(place):
        with (
            pytest.raises(TextmillError, match=r"another training into \S*m is under way"),
            claimed(place),
        ):
            pass
        place.touch()
    assert place.exists()  # something to go on from
    place.unlink()
    with claimed(place):
        pass
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with (
        pytest.raises(TextmillError, match="cannot write to"),
        claimed(checkpoint_of(str(tmp_path / "file" / "m"))),
    ):
        pass


def test_what_is_not_of_a_training_stays_in_its_folder(tmp_path):
    place = checkpoint_of(str(tmp_path / "m"))
    place.parent.mkdir()
    (place.parent / "my.txt").write_text("a text")
    with claimed(place):
        place.with_suffix(".new").touch()
    assert [path.name for path in place.parent.iterdir()] == ["my.txt"]
