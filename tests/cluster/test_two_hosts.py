"""Workers on two hosts that share no loopback, and perhaps no disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import kill_tree
from two_hosts import two_hosts
from waiting import until

pytestmark = pytest.mark.cluster

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

    for address, others in (("127.0.0.1", "ConnectionRefusedError"), (net.a.address, "here")):
        with net.a.popen(
            sys.executable, "-c", _SERVER, address, stdout=subprocess.PIPE, text=True
        ) as server:
            port = server.stdout.readline().strip()
            assert ask(net.a, address, port) == "here"
            assert ask(net.b, address, port) == others
            if others == "here":
                net.a.partition()
                assert ask(net.b, address, port) in ("TimeoutError", "OSError")
                net.a.heal()
                until(lambda port=port: ask(net.b, net.a.address, port) == "here", "no way back")
            kill_tree(server.pid)
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
