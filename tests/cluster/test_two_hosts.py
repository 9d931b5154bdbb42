"""Workers on two hosts that share no loopback, and perhaps no disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clusters import PROVIDES, dask, spark
from fake_cloud import Storage, metadata_server
from processes import Here, kill_tree
from runs import Job, contents, end, run, start
from two_hosts import TwoHosts, two_hosts
from waiting import until
from watch import Watch

pytestmark = [pytest.mark.cluster, pytest.mark.trial]

ENGINES = {"Dask": dask, "Spark": spark}

# Answers one connection after the other, on the address and the port that it says.
_SERVER = """
import socket, sys
server = socket.create_server((sys.argv[1], 0))
print(server.getsockname()[1], flush=True)
while True:
    server.accept()[0].sendall(b"here")
"""
_CLIENT = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 1) as server:
        print(server.recv(9).decode())
except OSError as error:
    print(type(error).__name__)
"""


@pytest.fixture
def net(tmp_path):
    with two_hosts(tmp_path) as net:
        yield net


def test_a_host_has_its_own_loopback_and_folders(net):
    def ask(host, address, port):
        return host.run(sys.executable, "-c", _CLIENT, address, port).strip()

    def serve(host, address):
        server = host.popen(
            sys.executable, "-c", _SERVER, address, stdout=subprocess.PIPE, text=True
        )
        return server.stdout.readline().strip()

    port = serve(net.a, "127.0.0.1")
    assert ask(net.a, "127.0.0.1", port) == "here"
    assert ask(net.b, "127.0.0.1", port) == "ConnectionRefusedError"
    port = serve(net.a, net.a.address)
    assert ask(net.b, net.a.address, port) == "here"
    net.a.partition()
    assert ask(net.b, net.a.address, port) in ("TimeoutError", "OSError")
    net.a.heal()
    until(lambda: ask(net.b, net.a.address, port) == "here", "no way back")
    for folder in (net.launcher, net.shared, net.a.folder, net.b.folder):
        (folder / "file").touch()
    seen = net.a.run("find", *(net.launcher, net.shared, net.a.folder, net.b.folder), "-type", "f")
    assert seen.split() == [str(net.shared / "file"), str(net.a.folder / "file")]
    says = net.b.run("sh", "-c", "echo $HOME $TMPDIR").split()
    assert says == [str(net.b.folder)] * 2


def test_a_lost_host_has_no_process_left(net):
    for host in (net.a, net.b):
        host.popen("sh", "-c", "setsid sleep 600 & sleep 600; true")
        until(lambda host=host: len(host.processes()) == 3, "no children")
    net.a.lose()
    assert net.a.processes() == []
    assert len(net.b.processes()) == 3


def test_killing_a_process_kills_what_it_has_started(net):
    process = net.a.popen("sh", "-c", "setsid sleep 600 & sleep 600; true")
    until(lambda: len(net.a.processes()) == 3, "no children")
    kill_tree(process.pid)
    process.wait()
    until(lambda: net.a.processes() == [], lambda: str(net.a.processes()))


def test_what_a_killed_run_left_is_removed(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from two_hosts import two_hosts\n"
        "with two_hosts(Path(sys.argv[1])) as net:\n"
        "    net.a.popen('sleep', '600', stdout=-3, stderr=-3)\n"
        "    print(net.a.name, flush=True)\n"
        "    os.kill(os.getpid(), 9)"
    )
    (tmp_path / "killed").mkdir()
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    left = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "killed")], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": path}, check=False,
    ).stdout.strip()  # fmt: skip

    def known() -> bool:
        shown = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True)
        return left in shown.stdout

    assert left
    assert known()
    (tmp_path / "next").mkdir()
    with two_hosts(tmp_path / "next") as first:
        assert not known()
        (tmp_path / "beside").mkdir()
        with two_hosts(tmp_path / "beside") as second:
            assert len({first.address, second.address, first.a.address, second.a.address}) == 4


# -- jobs on two hosts -----------------------------------------------------------------------------


def at(net: TwoHosts) -> dict[str, Any]:
    """Where a cluster's parts go: one worker on each host, all else beside the launcher."""
    return {"launcher": Here(net.address, net.launcher), "hosts": [net.a, net.b]}


def moved(job: Job, folder: Path) -> Job:
    """The same job where all hosts see it."""
    shutil.copytree(job.model, folder / "model")
    shutil.copy(job.prompts, folder / "p.txt")
    return Job(str(folder / "model"), str(folder / "p.txt"))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_bytes_from_a_shared_folder(engine, net, job, undisturbed, told_of_engine):
    wanted, there, out = undisturbed(20), moved(job, net.shared), net.shared / "out"
    with ENGINES[engine](net.shared, **at(net)) as cluster, Watch(out) as watch:
        told = run(there, out, *cluster.flags, words=20)
    same = contents(out) == wanted
    told_of_engine(f"{engine}, two hosts, shared folder", told, same, "")
    assert same
    assert watch.networks() == {net.a.network, net.b.network}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_bytes_from_a_bucket(
    engine, job, undisturbed, tmp_path, monkeypatch, told_of_engine
):
    pytest.importorskip("gcp_storage_emulator", reason=f"needs an emulator: {PROVIDES}")
    from google.cloud import storage

    wanted, wrote = undisturbed(20), {}

    def note_writer(request, response):
        if request.method == "POST" and "/upload/" in request.path:
            name = request.query.get("name") or [request.data["meta"]["name"]]
            host = request._request_handler.client_address[0]
            wrote.setdefault(host, set()).add(name[0].rpartition("/")[2])
        return False

    with two_hosts(tmp_path, share_disk=False) as net:
        emulator = Storage(instead=note_writer, host=net.address)
        with emulator.serving("my-bucket"), metadata_server(net.address) as variables:
            variables["STORAGE_EMULATOR_HOST"] = f"http://{net.address}:{emulator.port}"
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            bucket = storage.Client.create_anonymous_client().bucket("my-bucket")
            for path in Path(job.model).iterdir():
                bucket.blob(f"model/{path.name}").upload_from_filename(path)
            bucket.blob("p.txt").upload_from_filename(job.prompts)
            there = Job("gs://my-bucket/model", "gs://my-bucket/p.txt")
            with ENGINES[engine](net.launcher, **at(net)) as cluster:
                told = run(there, "gs://my-bucket/out", *cluster.flags, words=20)
            made = {
                blob.name.removeprefix("out/"): blob.download_as_bytes()
                for blob in bucket.list_blobs(prefix="out/")
            }
    del made["stats.json"]
    told_of_engine(f"{engine}, two hosts, bucket", told, made == wanted, "")
    assert made == wanted
    shards = {name for name in wanted if name.startswith("shard-")}
    by_a, by_b = wrote[net.a.address] & shards, wrote[net.b.address] & shards
    assert by_a
    assert by_b
    assert by_a | by_b == shards


@pytest.mark.parametrize("engine", ENGINES)
def test_a_host_lost_in_mid_run(engine, net, job, undisturbed, told_of_engine):
    wanted, there, out = undisturbed(75), moved(job, net.shared), net.shared / "out"
    with ENGINES[engine](net.shared, **at(net)) as cluster, Watch(out) as watch:
        launcher = start(there, out, *cluster.flags, words=75)

        def under_way() -> bool:
            assert launcher.poll() is None, launcher.communicate()[1]
            return watch.finished() >= 5 and len(watch.networks()) == 2

        until(under_way, "not both hosts work")
        net.a.lose()
        _, said = end(launcher)
    assert launcher.returncode == 0, said
    same = contents(out) == wanted
    told_of_engine(
        f"{engine}, a host lost", None, same, f"survived; begun again: {watch.again()} shards"
    )
    assert same
    assert watch.again() <= 1
