"""Imports without what is not needed: hidden packages, modules that are put off, memory."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading

import pytest

from textmill.model import memory
from textmill.model.lean_imports import hidden, put_off

# What a user may do in a process in which a generator has loaded TensorFlow.
LATER = """
from textmill.model.tensorflow_setup import load_tensorflow
load_tensorflow(lean=True)
import sys
assert not {"keras", "scipy", "tensorflow.lite.python"} & set(sys.modules)
import tensorflow as tf
assert type(tf.lite).__name__ != "module"  # TensorFlow still has what is put off
from tensorflow.keras import layers
import tensorflow_text
assert tf.keras.layers.Dense is layers.Dense
assert tf.keras.Sequential([layers.Dense(3)])(tf.ones((1, 2))).shape == (1, 3)
assert tensorflow_text.regex_split(["a b"], " ").to_list() == [[b"a", b"b"]]
for name in (
    "lite.TFLiteConverter", "distribute.has_strategy", "compat.v1.Session", "math.special.dawsn",
    "data.Dataset", "saved_model.load", "train.Checkpoint", "io.TFRecordWriter", "sparse.add",
    "__internal__.distribute",
):
    place = tf
    for part in name.split("."):
        place = getattr(place, part)
assert tf.function(lambda x: tf.exp(x), jit_compile=True)(0.0).numpy() == 1  # with AutoGraph
assert type(tf.lite).__name__ == "module"
print("all there")
"""


@pytest.mark.walk  # TensorFlow in a process of its own
def test_all_of_tensorflow_and_keras_can_be_loaded_later():
    done = subprocess.run([sys.executable, "-c", LATER], capture_output=True, text=True)
    assert done.stdout == "all there\n", done.stderr


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose modules say when they run."""
    folder = tmp_path / "leanpack" / "api"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder.parent / "__init__.py").write_text(
        "ran = []\nfrom leanpack.api import one, two, three\n"
    )
    (folder.parent / "one").mkdir()  # as `tensorflow/lite` beside `tensorflow/_api/v2/lite`
    (folder.parent / "one" / "__init__.py").touch()
    (folder.parent / "one" / "part.py").touch()
    body = "import leanpack\nleanpack.ran.append(__name__)\nvalue = 7\n"
    for name in ("one", "two"):
        (folder / f"{name}.py").write_text(body)
    (folder / "three.py").write_text(body + "raise OSError('no')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "leanpack"]:
        del sys.modules[name]


def test_a_module_that_is_put_off_runs_once_when_asked_for_a_name(package):
    with put_off("leanpack.api", but=("two",)):
        import leanpack
    assert leanpack.ran == ["leanpack.api.two"]
    # What inspection asks of every module.
    assert leanpack.one.__file__.endswith("one.py")
    assert leanpack.one.__spec__.origin == leanpack.one.__file__
    assert not hasattr(leanpack.one, "__wrapped__")
    assert leanpack.ran == ["leanpack.api.two"]
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(leanpack.one.value)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [7] * 8
    assert leanpack.ran == ["leanpack.api.two", "leanpack.api.one"]
    with pytest.raises(AttributeError, match="nothing"):
        _ = leanpack.one.nothing


def test_a_folder_does_not_take_the_name_of_a_module_that_is_put_off(package):
    with put_off("leanpack.api"):
        import leanpack
    from leanpack.one import part

    assert part.__name__ == "leanpack.one.part"
    assert leanpack.one.value == 7


def test_the_error_of_a_module_that_is_put_off_is_raised_each_time(package):
    with put_off("leanpack.api"):
        import leanpack
    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            _ = leanpack.three.other


def test_what_is_hidden_can_be_imported_later(package):
    with hidden(["leanpack", "json"]):
        with pytest.raises(ModuleNotFoundError):
            import leanpack
        import json  # it was loaded before
    assert json.dumps(1) == "1"
    with put_off("leanpack.api"):
        import leanpack
    assert leanpack.ran == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_library_is_the_same_after_its_pages_are_given_back():
    import numpy  # noqa: F401  # one of its libraries has this name

    parts = list(memory._unchanged("_multiarray_umath"))
    assert sum(size for _, size in parts) > 1_000_000

    def content():
        return [hash(ctypes.string_at(start, size)) for start, size in parts]

    before = content()
    memory.give_back_pages("_multiarray_umath")
    memory.give_back_heap()
    assert content() == before
    assert list(memory._unchanged("no such library")) == []
