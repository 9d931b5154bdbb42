"""Requests to the playground: each is answered or its connection closed, and the next one works."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from fuzzing import Kind
from guard import Broken
from mutate import ODD, TOKENS, mutated, mutated_json

_ALLOWED = {200, 400, 403, 404, 405, 408, 414, 431, 501, 505}
_SECONDS = 60.0


@dataclass
class Case:
    """A request.

    Attributes:
        sent: its bytes. ends: whether the sending side is closed behind them.
        whole: whether it is one that has to be answered.
    """

    sent: bytes
    ends: bool
    whole: bool


class Play(Kind):
    """Requests to the playground."""

    name = "play"

    def __init__(self, make_model: Callable[..., Any]):
        self._make_model = make_model

    def prepare(self, folder: Path) -> None:
        from textmill.pipeline.command import play

        words = ["the", "cat", "dog", "é", "\x1b[2J", "<b>"]
        model = self._make_model(words, labels=("x", "y"), mode="lines")
        server = play.server(model, port=0, name="<fuzz>")
        server.RequestHandlerClass = type("Quick", (play._Silent,), {"timeout": 1.0})
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._port = server.server_port
        for what in ("next", "text", "compare"):
            answer = self._ask(_request(self._port, what, {"prompt": "the", "label": "x"}), True)
            assert _status(answer) == 200, answer  # its programs are made, too

    def make(self, random: Random, folder: Path) -> Case:
        what = random.choice(("next", "text", "compare", "model", "", "../x", "%00", "next?x=1"))
        asked: Any = {
            "prompt": random.choice(("the cat", "", "é " * 50, "\x1b[2J <b>", "the " * 3000)),
            "words": random.choice((1, 5, 40, 9999)),
            "temperature": random.choice((0, 1, 0.5, 100)),
            "label": random.choice(("x", "y", "z", None)),
            "top_k": random.choice((0, 3)), "seed": random.choice((0, 7)),
        }  # fmt: skip
        for _ in range(random.randrange(3)):
            asked = mutated_json(random, asked)
        if isinstance(asked, dict) and random.random() < 0.3:
            asked[random.choice((*asked, "top_p", "min_p", "row"))] = random.choice(ODD)
        method = random.choice(("POST", "POST", "POST", "GET", "PUT", "X"))
        length = random.choice((None,) * 6 + ("abc", "-1", "0", "99999999", "\xb2"))
        sent = _request(self._port, what, asked, method=method, length=length)
        how = random.random()
        # Where a body is not read, closing the connection may lose the answer.
        read = method == "POST" and length is None and what in ("next", "text", "compare")
        if how < 0.2:
            sent = mutated(random, sent)
        elif how < 0.3:
            sent = sent[: random.randrange(len(sent))]
        elif how < 0.35:
            sent = random.choice(TOKENS) * random.choice((1, 100))
        return Case(sent, random.random() < 0.5, read and how >= 0.35)

    def check(self, case: Case) -> str:
        answer = self._ask(case.sent, case.ends)
        status = _status(answer)
        if status not in _ALLOWED and (status is not None or case.whole):
            raise Broken(f"the playground answered {status} | {answer[:300]!r}")
        after = self._ask(_request(self._port, "next", {"prompt": "cat", "label": "y"}), True)
        if _status(after) != 200:
            raise Broken(f"the next request was answered {after[:200]!r}")
        return "closed" if status is None else f"{status}"

    def _ask(self, sent: bytes, ends: bool) -> bytes:
        """Sends bytes, and gives all that comes back."""
        with socket.create_connection(("127.0.0.1", self._port), _SECONDS) as connection:
            try:
                connection.sendall(sent)
                if ends:
                    connection.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: connection.recv(1 << 16), b""))
            except TimeoutError:
                raise Broken("no answer, and the connection stays open") from None
            except OSError:  # closed while more was to be sent
                return b""


def _request(
    port: int, what: str, asked: Any, *, method: str = "POST", length: str | None = None
) -> bytes:
    body = json.dumps(asked).encode()
    head = (
        f"{method} /{what} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body) if length is None else length}\r\n\r\n"
    )
    return head.encode("latin-1") + body


def _status(answer: bytes) -> int | None:
    found = re.match(rb"HTTP/1\.[01] (\d+) ", answer)
    return int(found[1]) if found else None
