"""What is set for Spark's workers, the worker's command, and what failed jobs say."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import weakref
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from waiting import until

from textmill.model.errors import TextmillError, UsageError
from textmill.model.settings import GenerationSettings
from textmill.pipeline.engines import job_service, spark
from textmill.pipeline.engines.versions import versions
from textmill.pipeline.files.error_causes import first_cause
from textmill.pipeline.job.handler import TextModelHandler

AT = "--job_endpoint=127.0.0.1:8099"
PROCESS = "--environment_type=PROCESS"


def completed(*flags: str, runner: str = "SparkRunner") -> PortableOptions:
    options = PipelineOptions(list(flags))
    spark.complete(options, runner)
    return options.view_as(PortableOptions)


def told(options: PortableOptions, out: str = "/out") -> dict:
    spark.tell_workers(options, out=out)
    return json.loads(options.environment_config)


# -- flags -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runner", "flags"),
    [
        ("SparkRunner", [AT]),
        ("sparkrunner", ["--spark_master_url=spark://127.0.0.1:7077"]),
        ("apache_beam.runners.portability.spark_runner.SparkRunner", [AT]),
        ("PortableRunner", [AT, PROCESS]),
    ],
)
def test_the_least_flags_give_one_worker_an_executor(runner, flags):
    options = completed(*flags, runner=runner)
    assert options.environment_type == "PROCESS"
    assert told(options)["command"] == spark.worker_command()
    assert options.environment_cache_millis == "600000"


@pytest.mark.parametrize(
    ("runner", "flags"),
    [("PortableRunner", [AT]), ("SparkRunner", []), ("FlinkRunner", [AT])],
)
def test_other_engines_keep_beam_s_defaults(runner, flags):
    options = completed(*flags, runner=runner)
    assert options.environment_type is None
    assert options.environment_config is None
    spark.tell_workers(options, out="/out")
    assert options.environment_config is None


def test_what_the_user_has_set_stays():
    options = completed(
        AT, "--environment_type=EXTERNAL", "--environment_config=localhost:1",
        "--environment_cache_millis=7",
    )  # fmt: skip
    assert options.environment_type == "EXTERNAL"
    assert options.environment_config == "localhost:1"
    assert options.environment_cache_millis == "7"


@pytest.mark.parametrize(
    "flags",
    [
        ['--environment_config={"command": "/w", "env": {"A": "1", "B": "2"}}'],
        [
            "--environment_options=process_command=/w",
            "--environment_options=process_variables=A=1,B=2",
        ],
    ],
    ids=["a config", "options"],
)  # fmt: skip
def test_workers_are_told_versions_and_directory_beside_what_the_user_tells_them(flags):
    config = told(completed(AT, PROCESS, *flags), out="gs://b/out")
    assert config["command"] == "/w"
    assert config["env"].items() >= {"A": "1", "B": "2", "TEXTMILL_OUT": "gs://b/out"}.items()
    assert json.loads(config["env"]["TEXTMILL_VERSIONS"]) == versions()


@pytest.mark.parametrize("config", ["localhost:50051", "{}", "[]", '{"command": ""}'])
def test_an_environment_without_a_command_is_refused(config):
    options = completed(AT, PROCESS, f"--environment_config={config}")
    with pytest.raises(UsageError, match="needs the command that starts a worker"):
        spark.tell_workers(options, out="/out")


def test_a_jar_that_is_not_there():
    with pytest.raises(UsageError, match=r"there is no --spark_job_server_jar /no/such\.jar"):
        completed("--spark_job_server_jar=/no/such.jar")


def test_something_else_than_a_job_service(tmp_path):
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"], cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        port = server.stdout.readline().partition("port ")[2].split()[0]
        options = PipelineOptions([f"--job_endpoint=127.0.0.1:{port}"])
        with pytest.raises(TextmillError, match=rf"answers at 127.0.0.1:{port} is no job service"):
            job_service.find_job_service(options)
    finally:
        server.kill()
        server.communicate()


# -- the worker's command --------------------------------------------------------------------------


def start_worker(folder: Path, body: str, executor: str = "Executor") -> subprocess.Popen:
    """A process with the name of an executor, whose child is a worker with a harness of ours."""
    worker = folder / "worker.py"
    worker.write_text(
        textwrap.dedent("""
            import os, pathlib, signal, sys, time
            from textmill.pipeline.job import process_worker
            pathlib.Path("watcher").write_text(str(os.getpid()))
            def harness(worker, endpoint, *, parent):
                pathlib.Path("harness").write_text(str(os.getpid()))
                BODY
            process_worker._become_harness = harness
            process_worker.main()
        """).replace("BODY", body)
    )
    parent = folder / f"{executor}.py"
    parent.write_text(
        textwrap.dedent(f"""
            import subprocess, sys, time
            flags = ["--id=1", "--provision_endpoint=x:1"]
            subprocess.Popen([sys.executable, {str(worker)!r}, *flags])
            time.sleep(600)
        """)
    )
    return subprocess.Popen([sys.executable, str(parent)], cwd=folder)


def pid_in(path: Path) -> int:
    until(lambda: path.exists() and path.read_text() != "", f"there is no {path}")
    return int(path.read_text())


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


SLEEP = "time.sleep(600)"


@pytest.mark.parametrize("executor", ["CoarseGrainedExecutorBackend", "other"])
def test_an_executor_that_lost_its_python_process_is_killed_so_that_spark_replaces_it(
    tmp_path, executor
):
    parent = start_worker(tmp_path, SLEEP, executor)
    try:
        os.kill(pid_in(tmp_path / "harness"), signal.SIGKILL)
        until(lambda: gone(pid_in(tmp_path / "watcher")), "the watcher stays")
        if executor == "other":
            assert parent.poll() is None
        else:
            assert parent.wait(30) == -signal.SIGKILL
    finally:
        parent.kill()
        parent.wait()


def test_a_worker_ends_with_its_executor(tmp_path):
    parent = start_worker(tmp_path, SLEEP)
    harness, watcher = pid_in(tmp_path / "harness"), pid_in(tmp_path / "watcher")
    parent.kill()
    parent.wait()
    until(lambda: gone(harness) and gone(watcher), "processes stay")


def test_the_executor_s_polite_end_of_a_worker(tmp_path):
    parent = start_worker(tmp_path, SLEEP)
    try:
        harness, watcher = pid_in(tmp_path / "harness"), pid_in(tmp_path / "watcher")
        os.kill(watcher, signal.SIGTERM)
        until(lambda: gone(harness) and gone(watcher), "processes stay")
        assert parent.poll() is None
    finally:
        parent.kill()
        parent.wait()


def test_a_worker_of_other_versions_leaves_a_note_and_ends(tmp_path):
    (tmp_path / ".done").mkdir()
    environment = {
        **os.environ, "TEXTMILL_OUT": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path),
        "TEXTMILL_VERSIONS": json.dumps({**versions(), "tensorflow": "2.0.0"}),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "textmill.pipeline.job.process_worker", "--id=1",
         "--provision_endpoint=127.0.0.1:1"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    (note,) = (tmp_path / ".done").glob("*.failed")
    assert "not 2.0.0 as the launcher has" in json.loads(note.read_text())["message"]


def test_a_model_that_cannot_be_loaded_is_told_to_its_first_user(tmp_path):
    """Not before: an engine in Java would look at that error three minutes later."""
    handler = TextModelHandler(
        model_dir=str(tmp_path / "none"), fingerprint="", versions=versions(),
        settings=GenerationSettings(max_words=1), out=None,
    )  # fmt: skip
    model = handler.load_model()
    weakref.ref(model)  # as RunInference refers to it
    with pytest.raises(TextmillError, match="none"):
        handler.run_inference([], model)


# -- causes ----------------------------------------------------------------------------------------

FAILED = "Pipeline BeamApp_1 failed in state FAILED: "
ABORTED = (
    FAILED + "org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage "
    "1.0 failed 4 times, most recent failure: Lost task 1.3 in stage 1.0 (TID 15) (127.0.0.1 "
    "executor 0): {}\n\tat org.apache.spark.scheduler.Task.run(Task.scala:141)\n"
    "\tat java.base/java.lang.Thread.run(Thread.java:840)\n\nDriver stacktrace:"
)
GRPC = "org.apache.beam.vendor.grpc.v1p60p1.io.grpc.StatusRuntimeException: "
HARNESS = (
    "java.lang.RuntimeException: Error received from SDK harness for instruction 9: Traceback "
    '(most recent call last):\n  File "/w/sdk_worker.py", line 313, in _execute\n'
    "    response = task()\n{}\n"
)


# As Spark 3.5.7 and Beam's job server 2.62.0 told them.
@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            ABORTED.format(
                GRPC + "CANCELLED: call already cancelled. Use "
                "ServerCallStreamObserver.setOnCancelHandler() to disable this exception"
            ),
            r"a worker's Python process was killed \(CANCELLED\), perhaps for want of memory: ",
        ),
        (
            ABORTED.format(
                "ExecutorLostFailure (executor 3 exited caused by one of the running tasks) "
                "Reason: Command exited with code 137"
            ),
            r"an executor was lost again and again \(Command exited with code 137\), perhaps for ",
        ),
        (
            ABORTED.format(HARNESS.format("OSError: disk full [while running 'Shards/Write-1']")),
            r"a worker failed: OSError: disk full$",
        ),
        (
            ABORTED.format(
                HARNESS.format("textmill.model.errors.TextmillError: /m is another model")
            ),
            r"/m is another model$",
        ),
        (
            ABORTED.format("java.lang.RuntimeException: No client connected within timeout"),
            r"a worker's Python process took too long to start: ",
        ),
        (
            FAILED + "java.io.IOException: error=2, No such file or directory",
            r"executors cannot start the worker's command \(error=2, No such file or directory\): ",
        ),
        (
            FAILED + "java.lang.IllegalStateException: Process died with exit code 1",
            r"the worker's command ended at once with status 1: run it on a worker to see why ",
        ),
        (
            FAILED + "org.apache.spark.SparkException: Only one SparkContext should be running in "
            "this JVM (see SPARK-2243).The currently running SparkContext was created at:\n"
            "java.base/java.lang.Thread.run(Thread.java:840)",
            r"the job server is busy with another job, and takes one at a time: wait for its end",
        ),
        (
            FAILED + "org.apache.spark.SparkException: Job 0 cancelled as part of cancellation of "
            "all jobs",
            r"the job failed: org\.apache\.spark\.SparkException: Job 0 cancelled as part of ",
        ),
    ],
)
def test_the_cause_in_spark_s_words(text, cause):
    said = first_cause(RuntimeError(text))
    assert re.match(cause, said), said
    assert "\n" not in said
    assert "Driver stacktrace" not in said
