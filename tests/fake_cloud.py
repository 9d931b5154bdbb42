"""A Cloud Storage and a Dataflow service on localhost, for the real clients to talk to."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROVIDES = "pip install -c constraints.txt -e '.[cluster]'"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Storage:
    """The emulator of PyPI's gcp-storage-emulator in this process.

    It knows nothing of preconditions, so it is taught the one that textmill relies on: generation
    0 means that the object must not be there.

    Attributes:
        instead: may answer a request in the emulator's place; whether it did.
        host: the address at which it listens.
    """

    instead: Callable[[Any, Any], bool] = lambda request, response: False
    host: str = "localhost"
    port: int = 0

    @contextlib.contextmanager
    def serving(self, *buckets: str) -> Iterator[Storage]:
        from gcp_storage_emulator import server as emulator
        from gcp_storage_emulator.handlers import buckets as bucket_handlers

        handlers = emulator.HANDLERS
        emulator.HANDLERS = tuple(
            (path, {method: self._wrapped(handle) for method, handle in methods.items()})
            for path, methods in handlers
        )
        self.port = free_port()
        server = emulator.create_server(self.host, self.port, in_memory=True)
        for bucket in buckets:
            bucket_handlers.create_bucket(bucket, server._storage)
        server.start()
        try:
            yield self
        finally:
            server.stop()
            emulator.HANDLERS = handlers

    def _wrapped(self, handle: Callable[..., None]) -> Callable[..., None]:
        def handler(request: Any, response: Any, store: Any) -> None:
            if self.instead(request, response):
                return
            if request.query.get("ifGenerationMatch") == ["0"] and request.method == "POST":
                name = request.query.get("name") or [request.data["meta"]["name"]]
                if name[0] in store.objects.get(request.params["bucket_name"], {}):
                    refuse(response, HTTPStatus.PRECONDITION_FAILED, "conditionNotMet")
                    return
            handle(request, response, store)

        return handler


def refuse(response: Any, status: HTTPStatus, message: str) -> None:
    """Answers as the service does."""
    response.status = status
    response.json({"error": {"code": status.value, "message": message}})


@contextlib.contextmanager
def metadata_server(host: str) -> Iterator[dict[str, str]]:
    """Google's metadata server, which gives credentials to machines; the variables that name it.

    Without it, whoever uses Cloud Storage first looks for credentials for 19 seconds.
    """
    account = {"email": "worker@p.iam", "scopes": ["cloud-platform"], "aliases": ["default"]}
    token = {"access_token": "a", "expires_in": 86400, "token_type": "Bearer"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urllib.parse.urlparse(self.path).path
            text, kind = "my-project", "text/plain"
            if "/service-accounts/" in path:
                text = json.dumps(token if path.endswith("/token") else account)
                kind = "application/json"
            elif path.endswith("/universe-domain"):
                text = "googleapis.com"
            self.send_response(200)
            self.send_header("Metadata-Flavor", "Google")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        place = f"{host}:{server.server_port}"
        yield {"GCE_METADATA_HOST": place, "GCE_METADATA_IP": place}
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Dataflow:
    """The service's part of the protocol: takes jobs, and says of each what a test wants.

    Attributes:
        jobs: requests as they came, in JSON.
        works: does a job's work, in a thread of the service's; the state it ends in, and what is
            said of that. Until it returns the job is running.
        refusal: status and message with which jobs are refused, if any.
    """

    works: Callable[[dict[str, Any]], tuple[str, str]] = lambda job: ("JOB_STATE_DONE", "")
    refusal: tuple[int, str] | None = None
    jobs: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @contextlib.contextmanager
    def serving(self) -> Iterator[Dataflow]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, body: Any, status: int = 200) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self) -> None:
                service.asked.append(f"POST {self.path}")
                job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if service.refusal is not None:
                    status, message = service.refusal
                    self.answer({"error": {"code": status, "message": message}}, status)
                    return
                found = re.match(r"/v1b3/projects/([^/]+)/locations/([^/]+)/jobs\b", self.path)
                assert found is not None, self.path
                job["id"] = f"job-{len(service.jobs) + 1}"
                job["_project"], job["_region"] = found[1], found[2]
                job["_end"] = None
                service.jobs.append(job)
                threading.Thread(target=service._work, args=(job,), daemon=True).start()
                self.answer(service._told(job))

            def do_GET(self) -> None:
                service.asked.append(f"GET {self.path}")
                path = urllib.parse.urlsplit(self.path).path
                number = re.search(r"/jobs/job-(\d+)", path)
                assert number is not None, self.path
                job = service.jobs[int(number[1]) - 1]
                if path.endswith("/messages"):
                    said = job["_end"] and job["_end"][1]
                    message = {
                        "id": "1", "time": "2026-01-01T00:00:00Z", "messageText": said,
                        "messageImportance": "JOB_MESSAGE_ERROR",
                    }  # fmt: skip
                    self.answer({"jobMessages": [message] if said else []})
                elif path.endswith("/metrics"):
                    self.answer({"metrics": []})
                else:
                    self.answer(service._told(job))

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()

    def _work(self, job: dict[str, Any]) -> None:
        try:
            job["_end"] = self.works(job)
        except BaseException as error:
            job["_end"] = ("JOB_STATE_FAILED", f"the test's own replay failed: {error!r}")

    @staticmethod
    def _told(job: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": job["id"],
            "name": job["name"],
            "projectId": job["_project"],
            "location": job["_region"],
            "clientRequestId": job["clientRequestId"],
            "currentState": job["_end"][0] if job["_end"] else "JOB_STATE_RUNNING",
        }
