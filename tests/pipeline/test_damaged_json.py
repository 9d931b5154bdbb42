"""JSON files of outputs that are damaged or made to do harm: each ends in one line."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from outputs import JSONL, TEXTS, generation, write_output

from textmill.model.errors import TextmillError
from textmill.pipeline.augment.augment import _begin
from textmill.pipeline.augment.folder import Augmented, AugmentFolder
from textmill.pipeline.job.manifest import Output, read_manifest
from textmill.pipeline.job.resumable_run import RunDirectory
from textmill.pipeline.job.verify import verify
from textmill.pipeline.output.columns import columns_of
from textmill.pipeline.report.report import report

TEXTS_OF_FILES = {
    "deep": "[" * 100_000,
    "deeper than is written": '{"a":' * 150 + "1" + "}" * 150,
    "digits": f'{{"counts": {"7" * 5000}}}',
    "NaN": '{"counts": NaN}',
    "half a character": '{"counts": "\\ud800"}',
    "bytes": b'{"counts": "\xff"}',
    "no object": "[]",
    "empty": "",
}


@pytest.fixture
def output(tmp_path):
    texts = [
        generation(f"p:{i}", 1, text, temperature)
        for i, (temperature, texts) in enumerate(TEXTS.items())
        for text in texts[:1]
    ]
    write_output(tmp_path / "o", texts)
    return tmp_path / "o"


def refused(name, call, *arguments):
    with pytest.raises(TextmillError, match=rf"{re.escape(name)}\S* is damaged") as found:
        call(*arguments)
    assert "\n" not in str(found.value)


def resumed(folder, header):
    RunDirectory(Output(str(folder), JSONL, columns_of({}, labelled=False)), header, resume=True)


@pytest.fixture(params=TEXTS_OF_FILES)
def data(request):
    text = TEXTS_OF_FILES[request.param]
    return text if isinstance(text, bytes) else text.encode()


def test_the_files_of_a_run(data, output):
    header = json.loads((output / "run.json").read_text())
    whole = (output / "manifest.json").read_bytes()
    (output / "stats.json").write_bytes(data)
    assert any("stats.json is damaged" in problem for problem in verify(str(output)).problems)
    refused("stats.json", report, str(output))
    (output / "manifest.json").write_bytes(data)
    for call in (read_manifest, verify, report):
        refused("manifest.json", call, str(output))
    refused("manifest.json", resumed, output, header)
    (output / "manifest.json").write_bytes(whole)
    (output / "run.json").write_bytes(data)
    assert "run.json disagrees with manifest.json" in verify(str(output)).problems
    refused("run.json", resumed, output, header)


def test_a_manifest_of_other_types_is_no_finished_run(output):
    header = json.loads((output / "run.json").read_text())
    for text in ("{}", '{"shards": 1}', '{"shards": [1]}', '{"shards": [{"name": null}]}'):
        (output / "manifest.json").write_text(text)
        refused("manifest.json", resumed, output, header)


def test_notes_of_no_use_are_no_progress(data, output):
    header = json.loads((output / "run.json").read_text())
    (output / "manifest.json").unlink()
    run = RunDirectory(
        Output(str(output), JSONL, columns_of({}, labelled=False)), header, resume=True
    )
    for text in (data, b'{"pid": 99999999999999999999, "counts": {}}', b'{"pid": "x"}'):
        (output / ".done" / "shard-9.started").write_bytes(text)
        (output / ".done" / "shard-8.json").write_bytes(text)
        assert run.progress().prompts == 0
        assert run.working_on() == []
    run.release()


def test_the_files_of_an_augmentation(data, tmp_path):
    folder = AugmentFolder(str(tmp_path / "t.augment"))
    (tmp_path / "t.augment").mkdir()
    for name in ("augment.json", "settings.json"):
        (tmp_path / "t.augment" / name).write_bytes(data)
    refused("augment.json", Augmented.open, folder.path)
    for text in (data, b"{}", b'{"settings": []}'):
        (tmp_path / "t.augment" / "settings.json").write_bytes(text)
        with pytest.raises(TextmillError, match=r"settings\.json is damaged: [^\n]*$"):
            _begin(folder, {"data": "0", "settings": {}}, resume=True)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_verify_with_closed_streams(output, closed):
    command = f"exec {sys.executable} -m textmill verify {output} {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("records" in done.stdout) == (">&-" not in closed.split())
    files = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    (output / "stats.json").unlink()
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert all(path.read_bytes() == data for path, data in files.items() if path.exists())
