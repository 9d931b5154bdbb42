"""Dataflow without its client: presets, refusals, images, template, documents."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

from textmill.model.errors import TextmillError, UsageError
from textmill.model.settings import GenerationSettings, NetworkSettings
from textmill.pipeline.command import flex_template as template
from textmill.pipeline.command.cli import main
from textmill.pipeline.command.command_line import parser
from textmill.pipeline.command.commands import COMMANDS
from textmill.pipeline.engines import dataflow
from textmill.pipeline.engines.engine import refuse_unknown
from textmill.pipeline.engines.versions import check_worker, versions
from textmill.pipeline.files.error_causes import first_cause, storage_refusal
from textmill.pipeline.job.handler import TextModelHandler

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "dataflow.md").read_text("utf-8")
SMALL = NetworkSettings(vocabulary=2000, embedding=64, hidden=64)
LARGE = NetworkSettings(vocabulary=250_000, embedding=1024, hidden=2048, layers=2)
CLOUD = (
    "--project=p", "--region=r", "--temp_location=gs://my-bucket/t", "--sdk_container_image=i",
)  # fmt: skip
PLACES = {
    "model_dir": "gs://my-bucket/m",
    "prompts": ["gs://my-bucket/p"],
    "out": "gs://my-bucket/o",
}


def options(*flags, preset=None):
    from apache_beam.options.pipeline_options import PipelineOptions

    return PipelineOptions([*dataflow.preset_flags(preset), *flags])


def fitted(*flags, preset, network=SMALL):
    found = options(*flags, preset=preset)
    dataflow.fit(found, network, preset=preset)
    return found.get_all_options()


# -- presets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", dataflow.PRESETS)
def test_beam_knows_every_flag_of_a_preset(preset):
    refuse_unknown(dataflow.preset_flags(preset))
    found = fitted(preset=preset)
    assert found["runner"] == "DataflowRunner"
    assert found["number_of_worker_harness_threads"] == 1


def test_memory_and_machine_follow_from_the_model():
    small = fitted(preset="cpu")
    assert small["machine_type"] == "n2-standard-4"
    assert small["resource_hints"] == ["min_ram=8GB"]
    large = fitted(preset="cpu", network=LARGE)
    assert large["machine_type"] == "n2-highmem-4"
    (hint,) = large["resource_hints"]
    assert 16 < int(re.fullmatch(r"min_ram=(\d+)GB", hint)[1]) <= 64
    # One process needs less than four.
    single = fitted("--experiments=no_use_multiple_sdk_containers", preset="cpu")
    assert single["resource_hints"] == ["min_ram=3GB"]
    gpu = fitted(preset="gpu")
    assert gpu["resource_hints"][1] == "accelerator=type:nvidia-l4;count:1;install-nvidia-driver"
    assert fitted(preset="cpu")["resource_hints"] == ["min_ram=8GB"]  # nothing is left of before


def test_flags_of_the_user_override_a_preset():
    found = fitted("--machine_type=e2-highmem-8", preset="cpu")
    assert found["machine_type"] == "e2-highmem-8"
    assert found["min_cpu_platform"] is None  # E2 takes none
    assert found["resource_hints"] == ["min_ram=13GB"]
    own = ["--resource_hints=min_ram=20GB", "--resource_hints=accelerator=type:nvidia-tesla-t4"]
    assert fitted(*own, preset="gpu")["resource_hints"] == [hint[17:] for hint in own]
    for where_hints_are_not_taken in (
        "--flexrs_goal=COST_OPTIMIZED",
        "--dataflow_service_options=worker_accelerator=type:nvidia-l4;count:1",
    ):
        assert fitted(where_hints_are_not_taken, preset="gpu")["resource_hints"] == []
    assert fitted(preset=None)["machine_type"] is None
    assert fitted(preset=None)["resource_hints"] == ["min_ram=3GB"]


def test_a_preset_is_for_dataflow(capsys):
    ask = ["generate", "m", "--prompts", "p.txt", "--out", "o"]
    assert main([*ask, "--dataflow", "cpu", "--", "--runner=FnApiRunner"]) == 2
    assert "--dataflow cpu does not go with another --runner" in capsys.readouterr().err
    assert main([*ask, "--no-wait"]) == 2
    assert "--no-wait is for runners elsewhere" in capsys.readouterr().err


def test_google_s_packages_are_asked_for(monkeypatch, capsys):
    import textmill.pipeline.engines.engine

    def create(name):
        raise ImportError("Google Cloud Dataflow runner not available. Please install it")

    monkeypatch.setattr(textmill.pipeline.engines.engine, "create_runner", create)
    ask = [
        "generate",
        "gs://b/m",
        "--prompts",
        "gs://b/p",
        "--out",
        "gs://b/o",
        "--dataflow",
        "cpu",
    ]
    assert main(ask) == 2
    assert "pip install -c constraints.txt '.[dataflow]'" in capsys.readouterr().err


# -- refusals --------------------------------------------------------------------------------------

REFUSED = {
    "model": ({"model_dir": "alice"}, CLOUD, ["MODEL must be a gs:// path", "'alice'", "cp -r"]),
    "prompts": (
        {"prompts": ["gs://my-bucket/p", "p.txt"]},
        CLOUD,
        ["--prompts must be", "'p.txt'"],
    ),
    "out": ({"out": "/tmp/o"}, CLOUD, ["--out must be a gs:// path"]),
    "project": ({}, CLOUD[1:], ["needs --project"]),
    "region": ({}, (CLOUD[0], *CLOUD[2:]), ["needs --region", "europe-west1"]),
    "temp": ({}, (*CLOUD[:2], CLOUD[3]), ["needs --temp_location"]),
    "local temp": ({}, (*CLOUD, "--temp_location=/tmp"), ["--temp_location must be", "/tmp"]),
    "image": ({}, CLOUD[:3], ["no textmill", "--sdk_container_image", "--setup_file"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_before_a_job_is_sent(name):
    places, flags, messages = REFUSED[name]
    with pytest.raises(UsageError) as caught:
        dataflow.check(options(*flags), **{**PLACES, **places})
    for message in messages:
        assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_complete_is_taken():
    dataflow.check(options(*CLOUD), **PLACES)
    staged = options(*CLOUD[:2], CLOUD[3], "--staging_location=gs://my-bucket/s")
    dataflow.check(staged, **PLACES)
    assert staged.get_all_options()["temp_location"] == "gs://my-bucket/s"
    dataflow.check(options(*CLOUD[:3], "--setup_file=./setup.py"), **PLACES)


class Refusal(Exception):
    def __init__(self, code, message):
        super().__init__(f"{code} {message}")
        self.code = code


def listing(error):
    """Packs an error of the service twice, as Beam's file systems do."""
    from apache_beam.io.filesystem import BeamIOError

    inner = BeamIOError("List operation failed", {"gs://words/x": error})
    return BeamIOError("Match operation failed", {"gs://words/x*": inner})


def test_what_a_bucket_s_refusal_means():
    page = "GET https://storage.googleapis.com/storage/v1/b/words"
    cases = {
        "no right to use bucket words": Refusal(403, f"{page}/o: me does not have access"),
        "there is no bucket words": Refusal(404, f"{page}/o?prefix=x: unknown error"),
        "no valid credentials": Refusal(401, f"{page}/o: Anonymous caller"),
    }
    for said, error in cases.items():
        for shape in (error, listing(error)):
            found = storage_refusal(shape, "gs://words/x")
            assert said in found
            assert "gcloud" in found
    assert storage_refusal(Refusal(404, f"{page}/o/x: No such object"), "gs://words/x") is None
    assert storage_refusal(Refusal(503, f"{page}/o: busy"), "gs://words/x") is None
    assert storage_refusal(ValueError("no path")) is None
    staging = OSError(
        f"Could not upload to GCS path gs://words/temp: 403 {page}: me does not have access"
    )
    assert "no right to use bucket words" in first_cause(staging)


CAUSES = {
    "the workers have no textmill (No module named 'textmill": (
        "ModuleNotFoundError: No module named 'textmill.pipeline.job.beam_steps'\n"
    ),
    "the workers have no tensorflow_text": (
        "x\nModuleNotFoundError: No module named 'tensorflow_text' [while running 'a']"
    ),
    "the workers cannot read the launcher's code (code() argument": (
        "TypeError: code() argument 13 must be str, not int\n"
    ),
    "the job was cancelled": "Dataflow pipeline failed. State: CANCELLED, Error:\nNone",
    "it is another model": (
        "Traceback\ntextmill.model.errors.TextmillError: it is another model\\n [while running 'x']"
    ),
    "the run failed: ValueError: at last": "Traceback\n\nat last\n",
}  # fmt: skip


@pytest.mark.parametrize("said", CAUSES)
def test_what_a_run_failed_of(said):
    assert first_cause(ValueError(CAUSES[said])).startswith(said)


# -- workers ---------------------------------------------------------------------------------------


def test_a_worker_s_versions_are_the_launcher_s():
    here = versions()
    check_worker(here)
    check_worker({**here, "python": here["python"] + "9", "numpy": "1.0"})
    for name in ("tensorflow", "tensorflow-text", "apache-beam", "textmill", "python"):
        with pytest.raises(TextmillError, match=f"{name} {re.escape(here[name])} not 0.1.2"):
            check_worker({**here, name: "0.1.2"})


def test_threads_of_a_process_take_turns(monkeypatch):
    """A runner may call one handler, with the one model of the process, from several threads."""
    handlers = [
        TextModelHandler(
            model_dir="m", fingerprint="", settings=GenerationSettings(), versions=versions()
        )
        for _ in range(2)
    ]
    working, most = [], []

    def generate(self, loaded, generator):
        working.append(loaded)
        most.append(len(working))
        time.sleep(0.02)
        working.remove(loaded)
        return loaded

    monkeypatch.setattr(TextModelHandler, "_generate", generate)
    threads = [
        threading.Thread(target=handlers[number % 2].run_inference, args=([number], None))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6


# -- images and template ---------------------------------------------------------------------------

DOCKERFILES = [ROOT / "docker" / name for name in ("Dockerfile", "Dockerfile.gpu")]


def pinned(package):
    return re.search(rf"^{package}==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)[1]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image(path):
    text = re.sub(r"\\\n\s*", "", path.read_text())
    steps = [line.partition(" ")[::2] for line in text.splitlines() if re.match("[A-Z]", line)]
    (base,) = (rest for step, rest in steps if step == "FROM")
    python, beam = re.fullmatch(r"apache/beam_python([\d.]+)_sdk:([\d.]+)", base).groups()
    assert beam == pinned("apache-beam")
    assert f">={python}," in (ROOT / "setup.py").read_text()
    assert f"python{python.replace('.', '')}-template-launcher-base" in text
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for step, rest in steps:
        if step == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source.split('/')[0]}" in ignored, source
    (install,) = (rest for step, rest in steps if step == "RUN")
    assert "--constraint /tmp/textmill/constraints.txt" in install
    extras = re.search(r"textmill\[([\w,]+)\]", install)[1].split(",")
    assert extras == ["dataflow", "cuda"] if path.suffix == ".gpu" else ["dataflow"]
    assert all(f'"{extra}": [' in (ROOT / "setup.py").read_text() for extra in extras)
    environment = dict(pair.split("=", 1) for s, r in steps if s == "ENV" for pair in r.split())
    copied = [rest.split() for step, rest in steps if step == "COPY"]
    assert ["docker/launch.py", environment["FLEX_TEMPLATE_PYTHON_PY_FILE"]] in copied
    assert steps[-1] == ("ENTRYPOINT", '["/opt/apache/beam/boot"]')


def test_the_parameters_of_the_template_are_the_command_s():
    metadata = json.loads((ROOT / "docker" / "metadata.json").read_text())
    found = {parameter["name"]: parameter for parameter in metadata["parameters"]}
    known = template.options()
    assert {"model", "prompts", "out", "temperature", "resume", "dataflow"} <= known.keys()
    # Beside them the one of Beam's that every job needs.
    assert found.keys() == known.keys() | {"sdk_container_image"}
    for name, action in known.items():
        parameter = found[name]
        needed = action.required or not action.option_strings
        assert parameter.get("isOptional", False) != needed, name
        assert parameter["label"]
        assert parameter["helpText"]
        (rule,) = parameter.get("regexes", [".*"])
        for choice in action.choices or (["true", "false"] if action.nargs == 0 else []):
            assert re.search(rule, choice), (name, choice)
        if rule != ".*":
            assert not re.search(rule, "neither"), name


def test_parameters_become_arguments():
    arguments = template.arguments([
        "--model=gs://b/m", "--prompts=gs://b/p gs://b/q", "--out=gs://b/o", "--temperature=0.5 1",
        "--ban=cat 'a b'", "--stop=-", "--strict=true", "--resume=false", "--label=",
        "--min_words=3", "--project=p", "--experiments=x", "--no_auth",
    ])  # fmt: skip
    cut = arguments.index("--")
    assert arguments[cut + 1 :] == ["--project=p", "--experiments=x", "--no_auth"]
    args = parser(COMMANDS).parse_args(arguments[:cut])
    assert (args.model, args.prompts, args.out) == (
        "gs://b/m",
        ["gs://b/p", "gs://b/q"],
        "gs://b/o",
    )
    assert (args.temperatures, args.ban, args.stop) == ([0.5, 1.0], ["cat", "a b"], ["-"])
    assert (args.strict, args.resume, args.label, args.min_words) == (True, False, None, 3)
    assert (args.wait, args.dataflow) == (False, "cpu")
    assert "--dataflow=gpu" in template.arguments(["--dataflow=gpu"])
    for wrong in (["--strict=yes"], ["--ban='open"]):
        with pytest.raises(UsageError, match="Received: "):
            template.arguments(wrong)


def test_the_launcher_s_file_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "docker" / "launch.py", "--model=m", "--strict=perhaps"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == ("textmill: error: strict must be true or false. Received: perhaps\n")


def test_the_sources_are_staged_whole(tmp_path):
    """Does what Beam's stager does."""
    build = [sys.executable, "setup.py", "-q", "sdist", "--dist-dir", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (package,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(package) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    sources = {
        str(path.relative_to(ROOT))
        for p in ("model", "pipeline")
        for path in (ROOT / p).rglob("*.py")
    }
    others = {"setup.py", "pyproject.toml", "README.md", "textmill/py.typed"}
    assert names >= sources | others | {"textmill/__init__.py", "pipeline/command/play.html"}


# -- the document ----------------------------------------------------------------------------------


def shell_commands():
    """Commands of the document with its own variables put in."""
    values = {}
    for block in re.findall(r"```sh\n(.*?)```", DOCUMENT, flags=re.DOTALL):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            line = re.sub(r"\$(\w+)", lambda found: values[found[1]], line.partition("  #")[0])
            exported = re.fullmatch(r"export (\w+)=(\S+)", line)
            if exported:
                values[exported[1]] = exported[2]
            elif line.strip():
                yield shlex.split(line)


def test_every_command_of_the_document_parses():
    commands = list(shell_commands())
    generate = [words for words in commands if words[:2] == ["textmill", "generate"]]
    assert len(generate) >= 5
    presets = set()
    for words in (words for words in commands if words[0] == "textmill"):
        cut = words.index("--") if "--" in words else len(words)
        args = parser(COMMANDS).parse_args(words[1:cut])
        if words[1] != "generate" or args.dataflow is None:
            continue
        presets.add(args.dataflow)
        refuse_unknown(words[cut + 1 :])
        dataflow.check(
            options(*words[cut + 1 :], preset=args.dataflow),
            model_dir=args.model, prompts=args.prompts, out=args.out,
        )  # fmt: skip
    assert presets == set(dataflow.PRESETS)


def test_other_commands_of_the_document():
    """Files that they name are there; the template's parameters are known."""
    parameters = template.options().keys() | {"sdk_container_image"}
    named = 0
    for words in shell_commands():
        for word in words:
            path = word.partition("=")[2] or word
            if path.startswith("docker/"):
                named += 1
                assert (ROOT / path).is_file(), path
        if "flex-template" in words and "run" in words:
            given = [words[i + 1] for i, word in enumerate(words) if word == "--parameters"]
            assert {pair.partition("=")[0] for pair in given} <= parameters
            assert {"model", "prompts", "out", "sdk_container_image"} <= {
                pair.partition("=")[0] for pair in given
            }
            named += 1
    assert named >= 4
    (file,) = re.findall(r'"docker/\$\{_FILE\}"', (ROOT / "docker" / "cloudbuild.yaml").read_text())
    assert file


def test_errors_of_the_document():
    """Each message that the document explains is in the code."""
    sources = "".join(path.read_text() for path in (ROOT / "pipeline").rglob("*.py"))
    plain = re.sub(r'"\s*f?"', "", re.sub(r"\{[^{}]*\}", "...", sources))
    (section,) = re.findall(r"## Errors you may meet first\n(.*)", DOCUMENT, flags=re.DOTALL)
    errors = re.findall(r"^\| `([^`]+)` \| ", section, flags=re.MULTILINE)
    assert len(errors) >= 10
    for error in errors:
        for part in error.split("..."):
            assert part.strip() in plain, part


def test_memory_of_the_document():
    (own, process) = re.findall(
        r"(\d\.\d) GB for the machine and, for each process, (\d\.\d) GB", DOCUMENT
    )[0]
    assert (float(own), float(process)) == (dataflow._SYSTEM_GB, dataflow._PROCESS_GB)
