"""Two hosts on one machine: network namespaces that a bridge joins.

    with two_hosts(tmp_path) as net:
        net.a.run("python", "-c", "print('hello')")

The launcher's host is the test's own namespace, at the bridge's address. Each host has its own
loopback, HOME and TMPDIR, sees the folder that all share, and finds the others' folders empty.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from processes import kill, kill_tree
from waiting import until

_COUNT = itertools.count()
_NAME = re.compile(r"tm(\d+)n\d+[ab]?")  # what a process of this number has made
# Kept for tests of networks, so nothing else is there (RFC 2544).
_NETWORKS = list(ipaddress.ip_network("198.18.0.0/15").subnets(new_prefix=24))
# Mounts are seen by the host's process only, as `ip netns exec` gives it a mount namespace.
_HIDE = 'until [ "$1" = -- ]; do mount -t tmpfs -o ro none "$1"; shift; done; shift; exec "$@"'


@dataclass(frozen=True)
class Host:
    """A network namespace with an address and folders of its own.

    Attributes:
        folder: what only this host sees; its HOME and TMPDIR.
        hidden: folders that it finds empty.
    """

    name: str
    address: str
    folder: Path
    hidden: tuple[Path, ...]

    def popen(self, *arguments: str | os.PathLike[str], **more: Any) -> subprocess.Popen:
        """Starts a process in this host, in a session of its own."""
        own = {name: str(self.folder) for name in ("HOME", "TMPDIR", "TMP", "TEMP")}
        more["env"] = {**os.environ, **own, **more.get("env", {})}
        inside = ["sh", "-ec", _HIDE, "sh", *self.hidden, "--", *arguments]
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *inside], start_new_session=True, **more
        )

    def run(self, *arguments: str | os.PathLike[str], **more: Any) -> str:
        """Gives what a process in this host says; it has to end well."""
        process = self.popen(*arguments, stdout=subprocess.PIPE, text=True, **more)
        try:
            said, _ = process.communicate(timeout=600)
        except BaseException:
            kill_tree(process.pid)
            process.wait()
            raise
        assert process.returncode == 0, f"{arguments} ended with {process.returncode}: {said}"
        return said

    @property
    def network(self) -> str:
        """The name of its namespace in /proc."""
        return f"net:[{os.stat(f'/run/netns/{self.name}').st_ino}]"

    def processes(self) -> list[int]:
        """The processes that are in this host, whoever started them."""
        return [int(pid) for pid in _ip("netns", "pids", self.name).split()]

    def partition(self) -> None:
        """Cuts the link: no packet comes or goes, and nobody is told."""
        _ip("link", "set", self.name, "down")

    def heal(self) -> None:
        """Joins what `partition` has cut."""
        _ip("link", "set", self.name, "up")

    def lose(self) -> None:
        """Ends the host as a loss of power does: not even the ends of connections are sent."""
        self.partition()
        self.kill_all()

    def kill_all(self) -> None:
        """Kills all processes of this host."""

        def none_left() -> bool:
            for pid in self.processes():
                kill(pid)
            return not self.processes()

        until(none_left, lambda: f"{self.name} still has processes: {self.processes()}")


@dataclass(frozen=True)
class TwoHosts:
    """Two hosts beside the launcher's.

    Attributes:
        address: the address of the launcher's host.
        launcher: the folder that only the launcher's host sees.
        shared: the folder that all see by the same name, if they share a disk.
    """

    address: str
    launcher: Path
    shared: Path
    a: Host
    b: Host


@contextlib.contextmanager
def two_hosts(folder: Path, *, share_disk: bool = True) -> Iterator[TwoHosts]:
    """Makes two hosts whose folders are in `folder`; skips the test where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("two hosts are network namespaces, which root makes: sudo make test-cluster")
    if shutil.which("ip") is None:
        pytest.skip("two hosts need the command ip: apt-get install iproute2")
    bridge = f"tm{os.getpid()}n{next(_COUNT)}"
    names = [f"{bridge}a", f"{bridge}b"]
    folders = [folder / name for name in ("launcher", "shared", "a", "b")]
    for each in folders:
        each.mkdir()
    launcher, shared, *own = folders
    hidden = [launcher] if share_disk else [launcher, shared]
    try:
        with _one_at_a_time():
            _remove_leftovers()
            try:
                network = _free_network()
                addresses = [f"{address}" for address in itertools.islice(network.hosts(), 3)]
                _ip("link", "add", bridge, "type", "bridge")
                _ip("address", "add", f"{addresses[0]}/24", "dev", bridge)
            except subprocess.CalledProcessError as error:
                _skip(error)
        hosts = [
            Host(name, address, mine, (*hidden, other))
            for name, address, mine, other in zip(
                names, addresses[1:], own, reversed(own), strict=True
            )
        ]
        try:
            for host in hosts:
                _ip("netns", "add", host.name)
                _ip(*f"link add {host.name} type veth peer name eth0 netns {host.name}".split())
                _ip("link", "set", host.name, "master", bridge, "up")
                _ip(*f"-n {host.name} address add {host.address}/24 dev eth0".split())
                _ip("-n", host.name, "link", "set", "lo", "up")
                _ip("-n", host.name, "link", "set", "eth0", "up")
            _ip("link", "set", bridge, "up")
            hosts[0].run("true")  # mounts may be forbidden, too
        except subprocess.CalledProcessError as error:
            _skip(error)
        yield TwoHosts(addresses[0], launcher, shared, *hosts)
    finally:
        _remove([bridge, *names])


def _skip(error: subprocess.CalledProcessError) -> None:
    pytest.skip(
        f"network namespaces are not allowed here ({error.stderr.strip()}); a container needs "
        "--cap-add=NET_ADMIN --cap-add=SYS_ADMIN"
    )


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Lets one test process of this machine choose its addresses after the other."""
    place = os.open("/run", os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def _free_network() -> ipaddress.IPv4Network:
    """A network that no route of this machine leads to."""
    routes = json.loads(_ip("-4", "-json", "route", "show", "table", "all"))
    taken = [
        ipaddress.ip_network(route["dst"], strict=False)
        for route in routes
        if route["dst"] != "default"
    ]
    return next(
        network for network in _NETWORKS if not any(network.overlaps(other) for other in taken)
    )


def _remove_leftovers() -> None:
    """Removes what killed test processes have left."""
    found = [each["name"] for each in json.loads(_ip("-json", "netns", "list") or "[]")]
    found += [each["ifname"] for each in json.loads(_ip("-json", "link", "show"))]
    _remove(
        name
        for name in found
        if (made := _NAME.fullmatch(name)) and not Path("/proc", made[1]).exists()
    )


def _remove(names: Any) -> None:
    """Removes namespaces, with all their processes, and interfaces, as far as they are there."""
    for name in names:
        with contextlib.suppress(subprocess.CalledProcessError):
            Host(name, "", Path(), ()).kill_all()
            _ip("netns", "delete", name)
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("link", "delete", name)
