"""Dask without a cluster: its flags, what is said where there is none, how a job is watched.

tests/cluster/test_dask.py runs jobs.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace

import apache_beam as beam
import pytest
from apache_beam.metrics import Metrics
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.runners.dask.overrides import dask_overrides
from apache_beam.runners.runner import PipelineState
from distributed.scheduler import KilledWorker

from textmill.model.errors import TextmillError, UsageError
from textmill.model.settings import GenerationSettings
from textmill.pipeline.command import cli
from textmill.pipeline.engines import dask_bundles, dask_checks, dask_engine
from textmill.pipeline.engines.engine import Engine, is_dask, runner_of
from textmill.pipeline.engines.launch import Launch
from textmill.pipeline.job.transform import GenerateText

DASK = "--runner=DaskRunner"
ADDRESS = "--dask_client_address=tcp://127.0.0.1:8786"


@pytest.mark.parametrize(
    "name",
    ["DaskRunner", "daskrunner", "Dask", "apache_beam.runners.dask.dask_runner.DaskRunner"],
)
def test_beam_s_runner_by_all_its_names(name):
    runner, _ = runner_of(["--runner", name, ADDRESS], workers=None)
    assert type(runner) is dask_engine.DaskRunner


def test_other_runners_are_not_dask():
    assert not any(map(is_dask, [None, "", "DirectRunner", "my.dask.Runner", "daskrunners"]))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([DASK], "--dask_client_address=tcp://127.0.0.1:8786"),
        ([DASK, "--dask_client_adress=127.0.0.1:1"], "Beam has no flag --dask_client_adress"),
        ([ADDRESS], f"{ADDRESS} needs --runner=DaskRunner"),
        ([DASK, ADDRESS, "--dask_scheduler_file=x"], "not both"),
        ([DASK, ADDRESS, "--dask_npartitions=0"], "--dask_npartitions must be a whole number"),
        ([DASK, ADDRESS, "--dask_npartitions=x"], "invalid int value: 'x'"),
        ([DASK, ADDRESS, "--dask_npartitions=2", "--dask_partition_size=2"], "not allowed with"),
        ([DASK, ADDRESS, "--dask_connection_timeout=soon"], "--dask_connection_timeout must be"),
        *(
            ([DASK, f"--dask_client_address={address}"], f"Received: {address}")
            for address in ("http://host:1", "host:0", "host:65536", "tcp://", "a host", "h:1:2")
        ),
    ],
)
def test_flags_that_dask_would_misunderstand(flags, said):
    with pytest.raises(UsageError) as error:
        Engine(Launch(runner_flags=flags))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "launch",
    [
        Launch(runner_flags=(DASK, ADDRESS), workers=2),
        Launch(runner_flags=(DASK, ADDRESS), wait=False),
        Launch(runner_flags=(DASK, ADDRESS), dataflow="cpu"),
    ],
)
def test_options_that_do_not_go_with_dask(launch):
    with pytest.raises(UsageError, match=r"Dask|--dataflow|--runner"):
        Engine(launch)


@pytest.mark.parametrize(
    ("address", "full"),
    [
        ("10.0.0.1:99", "tcp://10.0.0.1:99"),
        ("tcp://host:99", "tcp://host:99"),
        ("tls://host", "tls://host:8786"),
        ("[::1]:99", "tcp://[::1]:99"),
    ],
)
def test_forms_of_an_address(address, full):
    _, options = runner_of([DASK, f"--dask_client_address={address}"], workers=None)
    assert dask_checks.scheduler_address(options) == full


def test_the_address_may_be_in_a_file(tmp_path):
    path = tmp_path / "scheduler.json"
    _, options = runner_of([DASK, f"--dask_scheduler_file={path}"], workers=None)
    with pytest.raises(TextmillError, match=r"there is no file .*scheduler\.json"):
        dask_checks.scheduler_address(options)
    for content in ("", "[]", "{}", '{"address": 3}'):
        path.write_text(content)
        with pytest.raises(
            TextmillError, match=r"scheduler\.json .*dask scheduler --scheduler-file"
        ):
            dask_checks.scheduler_address(options)
    path.write_text(json.dumps({"address": "tcp://host:99"}))
    assert dask_checks.scheduler_address(options) == "tcp://host:99"


# -- no cluster ------------------------------------------------------------------------------------


@pytest.fixture
def refused(tmp_path, model_dir, capfd):
    """Runs the command; its only line."""
    (tmp_path / "p.txt").write_text("the old\n")

    def refuse(address: str) -> str:
        arguments = ["generate", str(model_dir), "--prompts", str(tmp_path / "p.txt")]
        flags = [DASK, f"--dask_client_address={address}", "--dask_connection_timeout=1"]
        assert cli.main([*arguments, "--out", str(tmp_path / "out"), "--", *flags]) == 1
        assert not (tmp_path / "out").exists()
        (line,) = capfd.readouterr().err.splitlines()
        return line

    return refuse


def test_nothing_listens(refused):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    assert f"no Dask scheduler answers at tcp://127.0.0.1:{port}" in refused(f"127.0.0.1:{port}")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 100])
def test_what_listens_is_no_scheduler(refused, answer):
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                taken.append(server.accept()[0])
                taken[-1].sendall(answer)

    taken: list[socket.socket] = []
    threading.Thread(target=serve, daemon=True).start()
    port = server.getsockname()[1]
    line = refused(f"127.0.0.1:{port}")
    server.close()
    assert f"what listens at tcp://127.0.0.1:{port} does not answer as a Dask scheduler" in line


def test_dask_is_not_installed():
    """In a process of its own, as Dask is loaded in this one."""
    program = (
        "import sys; sys.modules['dask'] = sys.modules['distributed'] = None\n"
        "from textmill.pipeline.command.cli import main\n"
        f"sys.exit(main(['generate', 'm', '--prompts', 'p', '--out', 'o', '--', '{DASK}']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith("pip install 'textmill[dask]'")


def test_generate_text_is_refused(model_dir):
    """Beam's runner mixes up the outputs of its steps."""
    runner, _ = runner_of([DASK, ADDRESS], workers=None)
    prompts = beam.Pipeline(runner=runner) | beam.Create([{"id": "a", "prompt": "The"}])
    with pytest.raises(UsageError, match="GenerateText does not run on Beam's DaskRunner"):
        _ = prompts | GenerateText(str(model_dir), GenerationSettings(max_words=3))


@pytest.mark.parametrize(
    ("who", "python", "distributed", "said"),
    [
        ("scheduler", "3.9.1", "2026.1", "the scheduler has python 3.9.1 not 3.11.7"),
        ("tcp://a:1", "3.12.7", "2026.1", "the worker tcp://a:1 has python 3.12.7 not 3.11.7"),
        ("tcp://a:1", "3.11.9", "2025.9", "the worker tcp://a:1 has distributed 2025.9 not 2026.1"),
    ],
)
def test_another_python_is_sent_no_code(who, python, distributed, said):
    def versions(python: str, distributed: str) -> dict:
        return {"host": {"python": python}, "packages": {"distributed": distributed}}

    ours, theirs = versions("3.11.7", "2026.1"), versions(python, distributed)
    told = {"client": ours, "scheduler": ours, "workers": {"tcp://a:1": ours, "tcp://b:1": ours}}
    if who == "scheduler":
        told["scheduler"] = theirs
    else:
        told["workers"][who] = theirs
    client = SimpleNamespace(wait_for_workers=lambda *a, **b: None, get_versions=lambda: told)
    with pytest.raises(TextmillError) as error:
        dask_checks.check_cluster(client, "tcp://h:1", model_dir="m", prompts=["p"], out="o")
    assert said in str(error.value)


# -- a job that is watched -------------------------------------------------------------------------


@pytest.fixture
def job(monkeypatch):
    """A job whose client and future are told what to be, and whose time passes at once."""
    passed = [0.0]

    def sleep(seconds: float) -> None:
        passed[0] += seconds
        assert passed[0] < 1000, "it waits for ever"

    clock = SimpleNamespace(monotonic=lambda: passed[0], sleep=sleep)
    monkeypatch.setattr(dask_engine, "time", clock)
    client = SimpleNamespace(status="running", nthreads=lambda: {"tcp://a:1": 1})
    future = SimpleNamespace(status="pending", done=lambda: future.status == "finished")
    closed: list[bool] = []
    stack = contextlib.ExitStack()
    stack.callback(closed.append, True)
    result = dask_engine.DaskResult(client, future, None, address="tcp://h:1", stack=stack)
    return SimpleNamespace(result=result, client=client, future=future, closed=closed)


def test_a_job_ends_well(job):
    assert job.result.wait_until_finish(duration=5000) == PipelineState.RUNNING
    assert not job.closed
    job.future.status = "finished"
    assert job.result.wait_until_finish() == PipelineState.DONE
    assert job.closed
    assert job.result.cancel() == PipelineState.DONE


def fails(job, said: str) -> None:
    with pytest.raises(TextmillError, match=said) as error:
        job.result.wait_until_finish()
    assert "\n" not in str(error.value)
    assert job.closed == [True]
    assert job.result.cancel() == PipelineState.CANCELLED


@pytest.mark.parametrize("status", ["connecting", "closed"])
def test_the_scheduler_is_lost(job, status):
    job.client.status = status
    job.future.status = "cancelled"  # as Dask says then
    fails(job, "the Dask scheduler at tcp://h:1 has ended")


def test_the_job_is_cancelled_by_others(job):
    job.future.status = "cancelled"
    fails(job, "cancelled at the Dask scheduler")


def test_all_workers_are_lost(job):
    job.client.nthreads = dict
    fails(job, "has had no workers for")


def test_workers_that_come_back_in_time(job):
    away = round(dask_engine.LONELY_SECONDS / dask_engine._ASK_SECONDS) - 2
    answers = iter([*[{}] * away, {"tcp://a:1": 1}] * 3)

    def nthreads():
        found = next(answers, None)
        if found is None:
            job.future.status = "finished"
        return found

    job.client.nthreads = nthreads
    assert job.result.wait_until_finish() == PipelineState.DONE


def test_ctrl_c_ends_the_job(job):
    def interrupt():
        raise KeyboardInterrupt

    job.client.nthreads = interrupt
    with pytest.raises(KeyboardInterrupt):
        job.result.wait_until_finish()
    assert job.closed


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KilledWorker("shard", None, 3), "^a shard was begun 4 times, and its worker died"),
        (ModuleNotFoundError("No module named 'textmill'"), "has no textmill: install"),
        (TextmillError("no model"), "^no model$"),
    ],
)
def test_a_shard_fails(job, error, said):
    job.future.status, job.future.exception = "error", lambda: error
    fails(job, said)


# -- what a worker does ----------------------------------------------------------------------------


class _Counts(beam.DoFn):
    def process(self, element):
        Metrics.counter("here", "elements").inc()
        yield element + 1


def graph_of(elements: list[int]):
    """The last step of a pipeline that adds one to each and makes a list, as Dask has it."""
    pipeline = beam.Pipeline(runner="DirectRunner")
    _ = (
        pipeline
        | beam.Create(elements, reshuffle=False)
        | beam.Reshuffle()
        | "Add" >> beam.ParDo(_Counts())
        | beam.combiners.ToList()
        | "Sort" >> beam.Map(sorted)
    )
    pipeline.replace_all([dask_bundles.CombineOverride(), *dask_overrides()])
    visitor = dask_engine.DaskRunner.to_dask_bag_visitor({"partition_size": 1})
    with dask_bundles.own_bundles("the job"):
        pipeline.visit(visitor)
    return list(visitor.bags.values())


@pytest.mark.parametrize("number", [0, 1, 200])
def test_a_list_of_all_elements(number):
    bags = graph_of(list(range(number)))
    assert bags[-1].compute(scheduler="sync") == [list(range(1, number + 1))]
    assert bags[0].npartitions == max(number, 1)  # each element is a task


def test_a_worker_tells_its_metrics_and_keeps_nothing(monkeypatch):
    told = []
    worker = SimpleNamespace(log_event=lambda topic, event: told.append((topic, event)))
    monkeypatch.setattr(dask_bundles.distributed, "get_worker", lambda: worker)
    receivers = []
    beams = dask_bundles._beams_bundle

    def bundle(items, arguments, keywords, outputs):
        receivers.append(outputs)
        return beams(items, arguments, keywords, outputs)

    monkeypatch.setattr(dask_bundles, "_beams_bundle", bundle)
    bags = graph_of([1, 2, 3])
    assert bags[-1].compute(scheduler="sync") == [[2, 3, 4]]
    assert [outputs.values for outputs in receivers] == [[]] * 4

    client = SimpleNamespace(
        subscribe_topic=lambda topic, handler: handlers.update({topic: handler})
    )
    handlers: dict = {}
    ours = dask_engine._Metrics(client, "the job")
    for topic, event in told:
        handlers[topic]((0.0, event))
    assert counted(ours) == [3]
    others = dask_engine._Metrics(client, "another job")
    for topic, event in told:
        handlers[topic]((0.0, event))
    assert counted(others) == []


def counted(metrics) -> list[int]:
    found = metrics.sums.query(MetricsFilter().with_namespace("here"))["counters"]
    return [each.committed for each in found]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TextmillError("no model"), "no model"),
        (RecursionError("too deep"), "the run failed: RecursionError: too deep"),
    ],
)
def test_a_worker_s_error_is_one_that_the_launcher_can_read(monkeypatch, error, said):
    def fail(self, element):
        raise error

    monkeypatch.setattr(_Counts, "process", fail)
    with pytest.raises(TextmillError) as raised:
        graph_of([1])[-1].compute(scheduler="sync")
    assert str(raised.value).partition(" [while")[0] == said
    assert raised.value.__cause__ is raised.value.__context__ is None
