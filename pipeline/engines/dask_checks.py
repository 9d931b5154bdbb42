"""A Dask cluster is found and asked: scheduler, workers, their versions, the paths they see.

What would fail minutes later, or wait for ever, is refused in one line before anything is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import os
import re
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import cloudpickle
import distributed
from apache_beam.runners.dask.dask_runner import DaskOptions

from textmill.model.errors import TextmillError, UsageError
from textmill.model.small_files import json_object, read_small
from textmill.pipeline.engines.local_runner import settle
from textmill.pipeline.engines.versions import NEEDED, differences, versions
from textmill.pipeline.files.filesystem import absolute, is_remote

CONNECT_SECONDS = 5.0  # time for a scheduler to answer
WORKER_SECONDS = 5.0  # time for a first worker to be there
ANSWER_SECONDS = 30.0  # time for all workers to answer a question
_PORT = 8786  # of a scheduler, unless another is named
_ADDRESS = re.compile(
    r"(?:(?P<scheme>tcp|tls)://)?(?P<host>\[[\da-fA-F:.%]+\]|[^\s/:]+)(?::(?P<port>\d{1,5}))?"
)
_LOGGERS = ("distributed", "tornado", "asyncio")

_Answer = TypeVar("_Answer")


def check_flags(options: Any) -> None:
    """Refuses flags that Dask would misunderstand, or only notice later.

    Raises:
        UsageError: no scheduler is named, or a value does not have the allowed form.
    """
    dask = options.view_as(DaskOptions)
    if dask.address and dask.scheduler_file:
        raise UsageError("after --: give --dask_client_address or --dask_scheduler_file, not both")
    if not dask.address and not dask.scheduler_file:
        raise UsageError(
            "after --: DaskRunner needs the scheduler's address, such as "
            "--dask_client_address=tcp://127.0.0.1:8786"
        )
    for flag, value in (
        ("dask_npartitions", dask.npartitions),
        ("dask_partition_size", dask.partition_size),
        ("dask_connection_limit", dask.connection_limit),
        ("dask_connection_timeout", dask.timeout),  # Beam makes no number of what is none
    ):
        if value is not None and not (isinstance(value, int) and value >= 1):
            shown = f" Received: {value}" if isinstance(value, int) else ""
            raise UsageError(f"after --: --{flag} must be a whole number of at least 1.{shown}")
    if dask.address:
        _parts(dask.address)


def scheduler_address(options: Any) -> str:
    """Gives the scheduler's address in full, such as tcp://127.0.0.1:8786.

    Raises:
        TextmillError: the file that should hold it cannot be read.
    """
    dask = options.view_as(DaskOptions)
    address = dask.address
    if address is None:
        path = dask.scheduler_file
        if not os.path.exists(path):  # Dask would wait for it, without end
            raise TextmillError(
                f"there is no file {path}, which --dask_scheduler_file names; dask scheduler "
                "--scheduler-file makes one"
            )
        cure = "name the file that dask scheduler --scheduler-file has made"
        address = json_object(read_small(path), name=path, cure=cure).get("address")
        if not isinstance(address, str):
            raise TextmillError(f"{path} names no scheduler; {cure}")
    scheme, host, port = _parts(address)
    return f"{scheme}://{host}:{port}"


def _parts(address: str) -> tuple[str, str, int]:
    found = _ADDRESS.fullmatch(address)
    port = int(found["port"] or _PORT) if found else 0
    if found is None or not 0 < port < 2**16:
        raise UsageError(
            "after --: --dask_client_address must be HOST:PORT, tcp://HOST:PORT or "
            f"tls://HOST:PORT. Received: {address}"
        )
    return found["scheme"] or "tcp", found["host"], port


@contextlib.contextmanager
def connected(options: Any) -> Iterator[distributed.Client]:
    """Connects to the scheduler; until the end, Dask logs nothing in this process.

    Raises:
        TextmillError: nothing answers there, or what answers is no scheduler.
    """
    address = scheduler_address(options)
    dask = options.view_as(DaskOptions)
    seconds = dask.timeout or CONNECT_SECONDS
    scheme, host, port = _parts(address)
    try:  # Dask would try again and again until its time is over
        socket.create_connection((host.strip("[]"), port), seconds).close()
    except OSError as error:
        raise TextmillError(
            f"no Dask scheduler answers at {address} ({error}): start it (dask scheduler), or "
            "correct --dask_client_address"
        ) from None
    with _silence():
        try:
            # First less than a client, which waits at the end of the process if it fails.
            kind = _within(seconds, lambda: asyncio.run(_kind(address)))
            client = None if kind != "Scheduler" else _client(address, dask, seconds)
        except Exception as error:
            why = str(error).strip().split("\n")[0]
            tls = "; Dask's own configuration names the certificates" if scheme == "tls" else ""
            raise TextmillError(
                f"what listens at {address} does not answer as a Dask scheduler does "
                f"({type(error).__name__}: {why[:200]}): correct --dask_client_address{tls}"
            ) from None
        if client is None:
            raise TextmillError(
                f"what listens at {address} is no Dask scheduler but a {kind.lower()}: correct "
                "--dask_client_address"
            )
        try:
            yield client
        finally:
            with contextlib.suppress(Exception):
                client.close(timeout=2)


def _client(address: str, dask: Any, seconds: float) -> distributed.Client:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other versions, which are compared later
        return distributed.Client(
            address,
            timeout=seconds,
            name=dask.name,
            connection_limit=dask.connection_limit,
            set_as_default=False,  # other work of this process stays where it was
        )


async def _kind(address: str) -> str:
    """Asks a server of Dask what it is."""
    arguments = distributed.Security().get_connection_args("client")
    async with distributed.rpc(address, connection_args=arguments) as server:
        return str((await server.identity())["type"])


def check_cluster(
    client: distributed.Client, address: str, *, model_dir: str, prompts: Sequence[str], out: str
) -> None:
    """Asks scheduler and workers whether they can do the work.

    Raises:
        TextmillError: there are no workers, or one has other versions, or does not see a path.
    """
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except TimeoutError:
        raise TextmillError(
            f"the Dask scheduler at {address} has no workers; start some where textmill is "
            f"installed: dask worker {address} --nthreads 1 --nworkers 2"
        ) from None
    # Code cannot be sent to another Python, so that is compared first.
    told: Any = _ask(client.get_versions)
    here = told["client"]
    for name, there in [("scheduler", told["scheduler"]), *sorted(told["workers"].items())]:
        pairs = [
            ("python", here["host"]["python"], there["host"]["python"]),
            ("distributed", here["packages"]["distributed"], there["packages"]["distributed"]),
        ]
        for package, ours, theirs in pairs:
            cut = 2 if package == "python" else None
            if ours.split(".")[:cut] != theirs.split(".")[:cut]:
                raise TextmillError(
                    f"{_named(name)} has {package} {theirs} not {ours} as the launcher has: give "
                    "all the same"
                )
    seen = [absolute(model_dir), *map(_fixed_part, prompts), os.path.dirname(absolute(out))]
    paths = [path for path in seen if not is_remote(path)]
    launcher = versions()
    with _by_value():
        scheduler = _ask(lambda: client.run_on_scheduler(_facts, list(NEEDED), []))
        workers = _ask(lambda: client.run(_facts, list(NEEDED), paths))
    for name, (found, _) in [("scheduler", scheduler), *sorted(workers.items())]:
        # The scheduler unpacks the job, which Beam and textmill have made; it generates nothing.
        wanted = ("textmill", "apache-beam") if name == "scheduler" else NEEDED
        lacks = [package for package in wanted if found[package] is None]
        if lacks:
            raise TextmillError(
                f"{_named(name)} has no {' and no '.join(lacks)}: install what the launcher has, "
                f"textmill[dask] {launcher['textmill']}, where it runs"
            )
        differ = differences(launcher | {p: str(found[p]) for p in wanted}, launcher)
        if differ:
            raise TextmillError(
                f"{_named(name)} has {differ} as the launcher has: give all the same"
            )
    for name, (_, missing) in sorted(workers.items()):
        if missing:
            raise TextmillError(
                f"{_named(name)} sees no {missing[0]}: model, prompts and output must be where "
                "all workers see them, on a shared disk or in a bucket"
            )


def check_output_seen(client: distributed.Client, path: str) -> None:
    """Looks whether workers see a file that the launcher has just written.

    Raises:
        TextmillError: a worker does not.
    """
    with _by_value():
        workers = _ask(lambda: client.run(_facts, [], [path]))
    for name, (_, missing) in sorted(workers.items()):
        if missing:
            raise TextmillError(
                f"{_named(name)} sees no {path}: the output must be on a disk that all workers "
                "share with the launcher, or in a bucket"
            )


def _named(name: str) -> str:
    return "the scheduler" if name == "scheduler" else f"the worker {name}"


def _fixed_part(pattern: str) -> str:
    """Gives the path of a prompt file; of a pattern, the folder in which it begins."""
    if is_remote(pattern):
        return pattern
    path = absolute(pattern)
    if os.path.exists(path) or not re.search(r"[*?[]", path):
        return path
    return os.path.dirname(re.split(r"[*?[]", path, maxsplit=1)[0])


def _facts(packages: list[str], paths: list[str]) -> tuple[dict[str, str | None], list[str]]:
    """Gives versions, and those of the paths that are not there; sent to where no textmill is."""
    found: dict[str, str | None] = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found, [path for path in paths if not os.path.exists(path)]


@contextlib.contextmanager
def _by_value() -> Iterator[None]:
    """Sends this module's functions as code, as there may be no textmill where they run."""
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _ask(question: Callable[[], _Answer]) -> _Answer:
    try:
        return _within(ANSWER_SECONDS, question)
    except TextmillError:
        raise
    except Exception as error:
        why = str(error).strip().split("\n")[0]
        raise TextmillError(
            f"the Dask cluster does not answer ({type(error).__name__}: {why[:200]}): look at the "
            "logs of its scheduler and workers"
        ) from None


def _within(seconds: float, call: Callable[[], _Answer]) -> _Answer:
    """Calls in a thread, which is left to itself if it takes too long."""
    outcome: Future[_Answer] = Future()

    def run() -> None:
        try:
            settle(outcome.set_result, call())
        except BaseException as error:
            settle(outcome.set_exception, error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError:
        raise TimeoutError(f"no answer within {seconds:g} seconds") from None


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keeps Dask from writing of lost connections to the standard error; errors tell of them."""
    known = [
        logging.getLogger(name)
        for name in [*_LOGGERS, *logging.root.manager.loggerDict]
        if name.split(".")[0] in _LOGGERS
    ]
    levels = [logger.level for logger in known]
    for logger in known:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(known, levels, strict=True):
            logger.setLevel(level)
