"""Prompts, model and output on one of Beam's file systems: the bytes of a local run."""

from __future__ import annotations

import io
import json
import shutil

import pytest
from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem, MatchResult

from textmill.model.errors import TextmillError
from textmill.model.settings import GenerationSettings
from textmill.pipeline.engines.launch import Launch
from textmill.pipeline.files import filesystem as files
from textmill.pipeline.files.filesystem import mark_of, sha256
from textmill.pipeline.job.generate import Interrupted, generate
from textmill.pipeline.job.verify import verify
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.planning import plan, read_shard

SETTINGS = GenerationSettings(max_words=30, temperatures=(0.5, 1.0))


class Shelf(FileSystem):
    """An object store in memory: flat names, whole objects, renames that overwrite."""

    objects: dict[str, bytes] = {}  # noqa: RUF012

    @classmethod
    def scheme(cls):
        return "shelf"

    def join(self, basepath, *paths):
        return "/".join([basepath, *paths])

    def split(self, path):
        return tuple(path.rsplit("/", 1))

    def mkdirs(self, path):
        raise AssertionError("an object store has no folders")

    def has_dirs(self):
        return False

    def _list(self, dir_or_prefix):
        for name, data in list(self.objects.items()):
            if name.startswith(dir_or_prefix):
                yield FileMetadata(name, len(data))

    def create(self, path, mime_type="", compression_type=""):
        objects = self.objects

        class Upload(io.BytesIO):
            def close(self):
                if not self.closed:
                    objects[path] = self.getvalue()
                super().close()

        return Upload()

    def open(self, path, mime_type="", compression_type=""):
        if path not in self.objects:
            raise BeamIOError(f"no object {path}")
        return io.BytesIO(self.objects[path])

    def copy(self, sources, targets):
        for source, target in zip(sources, targets, strict=True):
            self.objects[target] = self.objects[source]

    def rename(self, sources, targets):
        self.copy(sources, targets)
        self.delete(sources)

    def exists(self, path):
        return path in self.objects

    def size(self, path):
        return len(self.objects[path])

    def last_updated(self, path):
        return 0

    def checksum(self, path):
        return ""

    def metadata(self, path):
        return FileMetadata(path, self.size(path))

    def delete(self, paths):
        for path in paths:
            del self.objects[path]

    def match(self, patterns, limits=None):
        if all("*" not in pattern for pattern in patterns):
            return [MatchResult(p, [self.metadata(p)]) for p in patterns if p in self.objects]
        return super().match(patterns, limits)


@pytest.fixture(autouse=True)
def empty():
    Shelf.objects.clear()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("the old\n\na dog\n" * 60)
    (tmp_path / "in" / "b.csv").write_text("prompt,n\nthe cat,1\n")
    return tmp_path


def run(model_dir, prompts, out, **more):
    return generate(
        str(model_dir), prompts=[str(prompts)], out=str(out), settings=SETTINGS,
        launch=Launch(runner_flags=("--runner=FnApiRunner",)), **more,
    )  # fmt: skip


def shelve(folder, place):
    for path in folder.iterdir():
        Shelf.objects[f"{place}/{path.name}"] = path.read_bytes()


def test_a_whole_run_away_from_the_disk(model_dir, folder, monkeypatch):
    run(model_dir, folder / "in" / "*", folder / "o")
    shelve(folder / "in", "shelf://b/in")
    shelve(model_dir, "shelf://b/model")
    import textmill.pipeline.job.beam_steps

    real, calls = textmill.pipeline.job.beam_steps.write_shard, []

    def write(done, output):
        calls.append(done)
        if len(calls) > 4:
            raise KeyboardInterrupt
        return real(done, output)

    monkeypatch.setattr(textmill.pipeline.job.beam_steps, "write_shard", write)
    with pytest.raises(Interrupted, match="4 of"):
        run("shelf://b/model", "shelf://b/in/*", "shelf://b/o")
    monkeypatch.undo()
    Shelf.objects["shelf://b/o/.attempt-left"] = b"half a sha"
    with pytest.raises(TextmillError, match="already exists"):
        run("shelf://b/model", "shelf://b/in/*", "shelf://b/o")
    told = []
    run(
        "shelf://b/model", "shelf://b/in/*", "shelf://b/o", resume=True,
        progress=lambda counts, rows: told.append(counts.prompts),
    )  # fmt: skip
    assert told[0] >= 4
    assert told[-1] == 121
    found = {
        name.removeprefix("shelf://b/o/"): data
        for name, data in Shelf.objects.items()
        if name.startswith("shelf://b/o/")
    }
    local = {
        str(path.relative_to(folder / "o")): path.read_bytes()
        for path in (folder / "o").rglob("*")
        if path.is_file()
    }
    for stats in (found.pop("stats.json"), local.pop("stats.json")):
        assert json.loads(stats)["samples"] == 242
    assert found == local
    assert verify("shelf://b/o").problems == []
    Shelf.objects["shelf://b/o/shard-00000-of-00008.jsonl"] = b"{}"
    assert verify("shelf://b/o").problems != []


def test_parquet_and_packed_prompts(model_dir, folder):
    import gzip

    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"prompt": ["the cat"]}), folder / "in" / "c.parquet")
    (folder / "in" / "d.txt.gz").write_bytes(gzip.compress(b"a dog\n"))
    (folder / "in" / "a.txt").unlink()
    run(model_dir, folder / "in" / "*", folder / "o", form=Format(name="parquet"))
    shelve(folder / "in", "shelf://b")
    run(model_dir, "shelf://b/*", "shelf://b/o", form=Format(name="parquet"))
    for path in (folder / "o").glob("shard-*"):
        assert Shelf.objects[f"shelf://b/o/{path.name}"] == path.read_bytes()


def test_what_is_not_there(model_dir, folder, tmp_path):
    with pytest.raises(TextmillError, match="no file matches 'shelf://b/none"):
        run(model_dir, "shelf://b/none*", folder / "o")
    with pytest.raises(TextmillError, match=r"shelf://b/model holds no file"):
        run("shelf://b/model", folder / "in" / "a.txt", folder / "o")
    with pytest.raises(TextmillError, match="cannot list gone://b"):
        run(model_dir, "gone://b/p.txt", folder / "o")
    with pytest.raises(TextmillError, match="cannot read shelf://b/p"):
        files.read("shelf://b/p")


def test_the_first_of_two_attempts_stands():
    assert files.write_once("shelf://b/x", b"one")
    assert not files.write_once("shelf://b/x", b"two")
    assert Shelf.objects == {"shelf://b/x": b"one"}


def test_a_folder_removed_under_a_run(model_dir, folder, monkeypatch):
    """Nothing is written into a folder of that name, which somebody else may make."""
    import textmill.pipeline.job.beam_steps

    real, calls = textmill.pipeline.job.beam_steps.write_shard, []

    def write(done, output):
        calls.append(done)
        if len(calls) == 3:
            shutil.rmtree(folder / "o")
        return real(done, output)

    monkeypatch.setattr(textmill.pipeline.job.beam_steps, "write_shard", write)
    with pytest.raises(TextmillError, match=r"^cannot (write|make) \S+: No such file or dir.*"):
        run(model_dir, folder / "in" / "*", folder / "o")
    assert not (folder / "o").exists()


def test_the_mark_of_an_object_changes_with_it(monkeypatch):
    path = "shelf://b/p.txt"
    Shelf.objects[path] = b"one"
    before = mark_of(path)
    assert mark_of(path) == before
    Shelf.objects[path] = b"longer"
    assert mark_of(path) != before  # by its size
    monkeypatch.setattr(Shelf, "checksum", lambda self, path: sha256(self.objects[path]))
    before = mark_of(path)
    Shelf.objects[path] = b"letter"
    assert mark_of(path) != before  # by its checksum
    monkeypatch.setattr(Shelf, "checksum", lambda self, path: 1 / 0)
    assert mark_of(path) == "6-0.0"
    del Shelf.objects[path]
    with pytest.raises(TextmillError, match=r"cannot read shelf://b/p\.txt"):
        mark_of(path)


def test_a_changed_object_ends_the_reading_of_a_shard(monkeypatch):
    monkeypatch.setattr(Shelf, "checksum", lambda self, path: sha256(self.objects[path]))
    path = "shelf://b/p.txt"
    Shelf.objects[path] = b"the old\n" * 20
    settings = GenerationSettings(max_words=3)
    (shard,) = plan([path], settings).shards
    assert len(read_shard(shard, settings).prompts) == 20
    Shelf.objects[path] = b"the new\n" * 20
    with pytest.raises(TextmillError, match=r"p\.txt changed during the run.*new directory"):
        read_shard(shard, settings)
