"""Dataflow: the real client sends a job to a service on localhost, and what it staged is run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
from http import HTTPStatus
from pathlib import Path

import pytest
from fake_cloud import PROVIDES, Dataflow, Storage, refuse
from waiting import until

from textmill.model.errors import TextmillError
from textmill.model.network.directory import save_model
from textmill.pipeline.command.cli import main
from textmill.pipeline.files import filesystem as files
from textmill.pipeline.job.verify import verify

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "europe-west1-docker.pkg.dev/my-project/textmill/textmill:0.1.0"
ASK = ["--samples", "2", "--temperature", "0.5", "1.0", "--max-words", "30", "--json", "--quiet"]
IN, OUT = "gs://my-bucket/in/*", "gs://my-bucket/out"
GENERATE = ["generate", "gs://my-bucket/model", "--prompts", IN, "--out", OUT, *ASK]
GENERATE += ["--max-rejected", "1"]


def flags(service, *more):
    return [
        "--", "--project=my-project", "--region=europe-west1",
        "--temp_location=gs://my-bucket/temp", f"--sdk_container_image={IMAGE}", "--no_auth",
        f"--dataflow_endpoint=http://localhost:{service.port}", *more,
    ]  # fmt: skip


@pytest.fixture
def emulator():
    """Cloud Storage with one bucket, `my-bucket`."""
    pytest.importorskip("google.cloud.dataflow", reason=f"needs Dataflow's client: {PROVIDES}")
    pytest.importorskip("gcp_storage_emulator", reason=f"needs an emulator: {PROVIDES}")
    with Storage().serving("my-bucket") as found:
        yield found


@pytest.fixture
def bucket(emulator, monkeypatch):
    """The bucket, for a look at it that is not textmill's."""
    from apache_beam.internal.gcp import auth
    from google.cloud import storage

    # Beam would look for credentials for 19 s.
    monkeypatch.setattr(auth._Credentials, "_credentials_init", True)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://localhost:{emulator.port}")
    return storage.Client.create_anonymous_client().bucket("my-bucket")


@pytest.fixture
def service():
    with Dataflow().serving() as found:
        yield found


@pytest.fixture(scope="module")
def model(make_model, tmp_path_factory):
    """A small, untrained model: these tests check the path, not the texts."""
    out = tmp_path_factory.mktemp("models") / "small"
    words = ["the", "old", "cat", "dog", "a", "sat", "on", "mat", ",", ".", "big", "red"]
    save_model(out, make_model(words), card="# small\n")
    return out


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """Prompts."""
    folder = tmp_path_factory.mktemp("disk")
    (folder / "in").mkdir()
    (folder / "in" / "a.txt").write_text("the old\n\na dog\n“\nzzz\n" * 30)
    (folder / "in" / "b.csv").write_text("prompt,n\n" + "the cat,1\n" * 40)
    return folder


@pytest.fixture(scope="module")
def local(model, disk):
    """What a local run writes, without the seconds it took."""
    out = disk / "out"
    ask = ["generate", str(model), "--prompts", str(disk / "in" / "*"), "--out", str(out), *ASK]
    assert main([*ask, "--max-rejected", "1", "--", "--runner=FnApiRunner"]) == 0
    written = (path for path in out.rglob("*") if path.is_file() and path.name != "stats.json")
    return {str(path.relative_to(out)): path.read_bytes() for path in written}


@pytest.fixture
def inputs(bucket, model, disk):
    """Model and prompts on the bucket."""
    for folder, place in ((model, "model"), (disk / "in", "in")):
        for path in folder.iterdir():
            bucket.blob(f"{place}/{path.name}").upload_from_filename(path)


def objects(bucket, prefix):
    return {
        blob.name.removeprefix(prefix): blob.download_as_bytes()
        for blob in bucket.list_blobs(prefix=prefix)
    }


def test_a_plan_starts_no_machine(emulator, model, disk, capsys):
    ask = ["plan", str(model), "--prompts", str(disk / "in" / "*")]
    assert main([*ask, "--", "--runner=DataflowRunner"]) == 2
    assert "no machine of Dataflow is started for a plan" in capsys.readouterr().err


def worker(job, *missing, packages=ROOT):
    """Starts an interpreter on what was staged. `missing`: packages that its image lacks."""
    staged = job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]
    return subprocess.Popen(
        [sys.executable, "-P", ROOT / "tests" / "replay.py", staged, *missing],
        env={**os.environ, "PYTHONPATH": str(packages)}, cwd="/", text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def works(*missing, **more):
    def run(job):
        process = worker(job, *missing, **more)
        _, said = process.communicate()
        return ("JOB_STATE_FAILED", said) if process.returncode else ("JOB_STATE_DONE", "")

    return run


def written(bucket):
    found = objects(bucket, "out/")
    assert json.loads(found.pop("stats.json"))["samples"] == 640
    return found


def test_what_was_staged_writes_the_bytes_of_a_local_run(bucket, service, inputs, local, capsys):
    service.works = works()
    assert main([*GENERATE, "--dataflow", "cpu", *flags(service)]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["records"] == 640
    assert "job job-1: https://console.cloud.google.com/dataflow/jobs/europe-west1/job-1" in (
        captured.err
    )
    found = written(bucket)
    assert len([name for name in found if name.startswith("shard-")]) > 5
    assert found == local  # no note, no attempt's file is left either
    assert verify(OUT).problems == []


def test_the_request(bucket, service, inputs, capsys):
    """Image, machine, options, staged files, and the hints in the pipeline itself."""
    from apache_beam.portability.api import beam_runner_api_pb2

    more = ["--max_num_workers=7", "--labels=team=words"]
    assert main([*GENERATE, "--no-wait", "--dataflow", "cpu", *flags(service, *more)]) == 0
    assert json.loads(capsys.readouterr().out) == {"job": "job-1", "directory": OUT}
    (job,) = service.jobs
    assert (job["_project"], job["_region"]) == ("my-project", "europe-west1")
    (pool,) = job["environment"]["workerPools"]
    assert pool["workerHarnessContainerImage"] == IMAGE
    assert pool["machineType"] == "n2-standard-4"
    assert pool["numThreadsPerWorker"] == 1
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 7
    assert job["labels"] == {"team": "words"}
    experiments = job["environment"]["experiments"]
    assert "min_cpu_platform=Intel Ice Lake" in experiments
    assert "use_multiple_sdk_containers" in experiments
    url = job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]
    assert url.startswith("gs://my-bucket/temp/")
    # All that workers fetch is there, and Beam itself comes with the image.
    staged = objects(bucket, "temp/")
    staged = {name.rpartition("/")[2]: data for name, data in staged.items()}
    assert staged.keys() == {"pipeline.pb", "submission_environment_dependencies.txt"}
    pipeline = beam_runner_api_pb2.Pipeline.FromString(staged["pipeline.pb"])
    environments = pipeline.components.environments.values()
    hints = [environment.resource_hints for environment in environments]
    assert [dict(h) for h in hints] == [{"beam:resources:min_ram_bytes:v1": b"8000000000"}]
    assert any("Generate" in name for name in pipeline.components.transforms)
    # No note or manifest is written by who only sends the job.
    assert set(objects(bucket, "out/")) == {"run.json"}


def test_the_request_for_gpus_and_for_cheap_machines(bucket, service, inputs, capsys):
    from apache_beam.portability.api import beam_runner_api_pb2

    assert main([*GENERATE, "--no-wait", "--dataflow", "gpu", *flags(service)]) == 0
    bucket.blob("out/run.json").delete()
    assert main([*GENERATE, "--no-wait", "--dataflow", "cheap", *flags(service)]) == 0
    gpu, cheap = service.jobs
    assert gpu["environment"]["workerPools"][0]["machineType"] == "g2-standard-4"
    assert "no_use_multiple_sdk_containers" in gpu["environment"]["experiments"]
    assert "use_multiple_sdk_containers" not in gpu["environment"]["experiments"]
    assert cheap["environment"]["flexResourceSchedulingGoal"] in (2, "FLEXRS_COST_OPTIMIZED")
    hints = []
    for job in (gpu, cheap):
        path = job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]
        pipeline = beam_runner_api_pb2.Pipeline.FromString(files.read(path))
        (environment,) = pipeline.components.environments.values()
        hints.append(dict(environment.resource_hints))
    assert hints[0]["beam:resources:accelerator:v1"] == (
        b"type:nvidia-l4;count:1;install-nvidia-driver"
    )
    assert hints[1] == {}


def test_going_on_after_a_cancelled_job(bucket, service, inputs, local, capsys, monkeypatch):
    import textmill.model.machine

    def cancelled(job):
        process = worker(job)

        def three() -> bool:
            assert process.poll() is None, process.stderr.read()
            return len(objects(bucket, "out/.done/")) >= 3

        until(three, "no three shards are finished")
        process.kill()
        process.communicate()
        return "JOB_STATE_CANCELLED", ""

    service.works = cancelled
    command = [*GENERATE, "--dataflow", "cpu"]
    assert main([*command, *flags(service)]) == 1
    assert "error: the job was cancelled. The same command with --resume" in capsys.readouterr().err
    left = len(objects(bucket, "out/.done/"))
    assert 3 <= left < 10
    assert main([*command, *flags(service)]) == 1
    assert "already exists" in capsys.readouterr().err
    kept = objects(bucket, "out/shard-")
    service.works = works()
    monkeypatch.setattr(textmill.model.machine, "cpu_kind", lambda: "the launcher's")
    assert main([*command, "--resume", *flags(service)]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["records"] == 640
    assert "another CPU" not in captured.err  # what the launcher's is, is nothing to the workers
    assert written(bucket) == local
    assert objects(bucket, "out/shard-").items() >= kept.items()


def test_ctrl_c_ends_the_waiting_and_not_the_job(bucket, service, inputs, capsys):
    def interrupt(job):
        until(lambda: any(asked.startswith("GET") for asked in service.asked), "nobody asks")
        os.kill(os.getpid(), signal.SIGTERM)
        return "JOB_STATE_DONE", ""

    service.works = interrupt
    said = failure(capsys, [*GENERATE, "--dataflow", "cpu", *flags(service)], status=130)
    assert "interrupted; job job-1 goes on without this command" in said
    stop = "gcloud dataflow jobs cancel job-1 --region=europe-west1 --project=my-project stops it"
    assert stop in said
    assert "0 of 24 shards are finished" in said


def test_sources_that_are_staged_are_all_that_a_worker_needs(
    bucket, service, inputs, local, tmp_path, capsys
):
    def run(job):
        url = job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]
        package = url.rpartition("/")[0] + "/workflow.tar.gz"
        (tmp_path / "w.tar.gz").write_bytes(files.read(package))
        with tarfile.open(tmp_path / "w.tar.gz") as archive:
            archive.extractall(tmp_path / "staged", filter="data")
        (folder,) = (tmp_path / "staged").iterdir()
        build = [sys.executable, "setup.py", "-q", "build", "--build-lib", tmp_path / "image"]
        subprocess.run(build, cwd=folder, check=True, capture_output=True)
        assert {path.name for path in (tmp_path / "image").iterdir()} == {"textmill"}
        return works(packages=tmp_path / "image")(job)

    service.works = run
    given = [flag for flag in flags(service) if not flag.startswith("--sdk_container_image")]
    setup = f"--setup_file={ROOT / 'setup.py'}"
    assert main([*GENERATE, "--dataflow", "cpu", *given, setup]) == 0, capsys.readouterr().err
    assert written(bucket) == local
    assert (tmp_path / "image" / "textmill" / "pipeline" / "command" / "play.html").exists()


def failure(capsys, command, status=1):
    """The one line that a command fails with."""
    assert main(command) == status
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    (line,) = (line for line in captured.err.splitlines() if "error:" in line)
    assert captured.err.splitlines()[-1] == line
    return line


def test_an_image_without_textmill(bucket, service, inputs, capsys):
    service.works = works("textmill")
    said = failure(capsys, [*GENERATE, "--dataflow", "cpu", *flags(service)])
    assert "the workers have no textmill (No module named '" in said
    assert "--sdk_container_image" in said


def test_workers_of_other_versions(bucket, service, inputs, capsys, monkeypatch):
    import textmill.pipeline.job.beam_steps
    from textmill.pipeline.engines.versions import versions

    other = {**versions(), "tensorflow": "2.20.0", "python": "3.10.1"}
    monkeypatch.setattr(textmill.pipeline.job.beam_steps, "versions", lambda: other)
    service.works = works()
    said = failure(capsys, [*GENERATE, "--dataflow", "cpu", *flags(service)])
    assert f"tensorflow {versions()['tensorflow']} not 2.20.0, python 3.11" in said
    assert "docker/Dockerfile" in said
    assert not objects(bucket, "out/shard-")


REFUSALS = {
    "rights": (
        (403, "(1a2b): Current user cannot act as service account."),
        ["roles/dataflow.developer", "cannot act as"],
    ),
    "region": (
        (400, "(1a2b): The workflow could not be created, since it was sent to an invalid "
              "regional endpoint (europe-west1)."),
        ["is --region right?", "invalid regional endpoint"],
    ),
    "quota": ((429, "Quota exceeded for quota metric 'Create jobs'"), ["Quota exceeded"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_job_that_the_service_refuses(name, bucket, service, inputs, capsys):
    service.refusal, messages = REFUSALS[name]
    said = failure(capsys, [*GENERATE, "--dataflow", "cpu", *flags(service)])
    for message in messages:
        assert message in said
    assert said.endswith("The same command with --resume goes on")


def test_a_bucket_that_is_not_there(bucket, service, inputs, capsys):
    for old, new in (("my-bucket/model", "gone/model"), ("my-bucket/in", "gone/in")):
        command = [word.replace(old, new) for word in GENERATE]
        said = failure(capsys, [*command, "--dataflow", "cpu", *flags(service)])
        assert "there is no bucket gone" in said
        assert "gcloud storage buckets create gs://gone" in said
    command = [word.replace("my-bucket/out", "gone/out") for word in GENERATE]
    assert "no bucket gone" in failure(capsys, [*command, "--dataflow", "cpu", *flags(service)])
    more = flags(service, "--temp_location=gs://gone/temp")
    assert "no bucket gone" in failure(capsys, [*GENERATE, "--dataflow", "cpu", *more])


@pytest.mark.parametrize("right", ["list", "create", "stage"])
def test_no_right_to_a_bucket(right, emulator, bucket, service, inputs, capsys):
    def instead(request, response):
        if right == "stage":
            asked = "testPermissions" in request.path
            if asked:
                response.json({"kind": "storage#testIamPermissionsResponse"})
            return asked
        if not request.path.endswith("/o") or (request.method == "GET") != (right == "list"):
            return False
        said = f"me@example.org does not have storage.objects.{right} access"
        refuse(response, HTTPStatus.FORBIDDEN, said)
        return True

    emulator.instead = instead
    said = failure(capsys, [*GENERATE, "--dataflow", "cpu", *flags(service)])
    assert "no right to use bucket my-bucket" in said
    assert "roles/storage.admin" in said


@pytest.mark.parametrize(("location", "far"), [("EU", False), ("US-EAST1", True)])
def test_a_bucket_of_another_region(location, far, emulator, bucket, service, inputs, capsys):
    def instead(request, response):
        if request.path.endswith("/b/my-bucket"):
            response.json({"name": "my-bucket", "location": location})
            return True
        return False

    emulator.instead = instead
    assert main([*GENERATE, "--no-wait", "--dataflow", "cpu", *flags(service)]) == 0
    warned = "not in the job's region: my-bucket (us-east1)" in capsys.readouterr().err
    assert warned == far


def test_one_of_many_attempts_creates_an_object(bucket):
    found = []

    def attempt(number):
        found.append(files.write_once("gs://my-bucket/x", b"%d" % number))

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [False] * 7 + [True]
    assert objects(bucket, "").keys() == {"x"}
    stands = files.read("gs://my-bucket/x")
    assert not files.write_once("gs://my-bucket/x", b"late")
    assert files.read("gs://my-bucket/x") == stands
    with pytest.raises(TextmillError, match="no bucket gone"):
        files.write_once("gs://gone/x", b"")


def test_a_template_describes_the_job(bucket, service, inputs, local, capsys):
    """What the launcher of a Flex Template does, up to where the service takes over."""
    from textmill.pipeline.command.flex_template import main as launched

    status = launched([
        "--model=gs://my-bucket/model", f"--prompts={IN}", f"--out={OUT}", "--samples=2",
        "--temperature=0.5 1.0", "--max_words=30", "--label=", "--strict=false",
        f"--sdk_container_image={IMAGE}", "--runner=DataflowRunner", "--project=my-project",
        "--region=europe-west1", "--staging_location=gs://my-bucket/staging",
        "--template_location=gs://my-bucket/staging/job_object", "--job_name=mine", "--no_auth",
        f"--dataflow_endpoint=http://localhost:{service.port}",
    ])  # fmt: skip
    assert status == 0, capsys.readouterr().err
    assert service.jobs == []
    job = json.loads(files.read("gs://my-bucket/staging/job_object"))
    assert job["name"] == "mine"
    assert works()(job) == ("JOB_STATE_DONE", "")
    # The notes wait for who asks how it went.
    assert main([*GENERATE, "--dataflow", "cpu", "--resume", *flags(service)]) == 0
    assert written(bucket) == local
    assert service.jobs == []
