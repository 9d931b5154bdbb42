"""A local worker: what it loads to generate, and what it does not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from textmill.model.network.directory import load_model
from textmill.pipeline.engines.engine import Engine
from textmill.pipeline.engines.launch import Launch

# The steps of a worker, from its start to a shard's bytes.
WORKER = """
import json, sys
from textmill.pipeline.engines.local_worker import harness
harness(buckets=sys.argv[3] == "buckets")
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.pipeline.engines.versions import versions
from textmill.pipeline.job import beam_steps
from textmill.pipeline.job.handler import TextModelHandler
handler = TextModelHandler(
    model_dir=sys.argv[1], fingerprint=sys.argv[2],
    settings=GenerationSettings(max_words=4), versions=versions(),
)
generator = handler.load_model()
texts = list(generator.generate([Prompt("p:1", "the old cat")], GenerationSettings(max_words=4)))
print(json.dumps([len(texts), sorted(name for name in sys.modules if sys.modules[name])]))
"""
NEEDED = {"numpy", "tensorflow", "apache_beam"}
NOT_NEEDED = {
    "keras", "tensorflow_text", "tensorflow.lite.python", "tensorflow.python.keras", "pandas",
    "pyarrow", "scipy", "h5py", "IPython", "jax", "matplotlib", "sklearn", "pymongo", "rich",
}  # fmt: skip
OF_BUCKETS = {"google.auth", "google.cloud.storage", "apitools"}


def modules(model_dir, where):
    fingerprint = load_model(model_dir).fingerprint
    done = subprocess.run(
        [sys.executable, "-P", "-c", WORKER, str(model_dir), fingerprint, where],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    texts, names = json.loads(done.stdout)
    assert texts == 1
    return set(names)


def test_a_worker_loads_neither_keras_nor_what_services_need(model_dir):
    loaded = modules(model_dir, "disk")
    assert loaded >= NEEDED
    assert not loaded & (NOT_NEEDED | OF_BUCKETS)


@pytest.mark.cluster  # there its packages are
def test_a_worker_for_buckets_loads_what_they_need(model_dir):
    pytest.importorskip("google.cloud.storage", reason="pip install 'textmill[dataflow]'")
    loaded = modules(model_dir, "buckets")
    assert loaded >= NEEDED | OF_BUCKETS
    assert not loaded & NOT_NEEDED


@pytest.mark.parametrize(
    ("places", "buckets"),
    [
        (("m", ["p.txt"], "o"), False),
        (("gs://b/m", ["p.txt"], "o"), True),
        (("m", ["p.txt", "s3://b/p*.txt"], "o"), True),
        (("m", ["p.txt"], "gs://b/o"), True),
    ],
)
def test_workers_are_told_of_buckets(places, buckets):
    engine = Engine(Launch())
    assert engine.pipeline().runner.buckets  # until it is known
    model, prompts, out = places
    engine.check(model_dir=model, prompts=prompts, out=out)
    assert engine.pipeline().runner.buckets == buckets
