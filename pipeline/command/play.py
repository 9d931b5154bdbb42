"""`textmill play`: one page on this machine that shows what the model thinks of the next word.

The server is for one person at their own machine: it listens on 127.0.0.1, answers only to that
name (a page elsewhere could else reach it under a name of its own, DNS rebinding), and its page
loads nothing from anywhere. Each connection has a thread, as browsers open some that they do not
use; one answer is computed at a time.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import numpy as np

from textmill.model.errors import SettingError, TextmillError, UsageError
from textmill.model.network.directory import SavedModel
from textmill.model.pages.escaping import escape
from textmill.model.pages.pieces import policy_of
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.pipeline.command.played import Played, TrainedModel, marked

HOST = "127.0.0.1"
PAGE = Path(__file__).with_name("play.html")
_MOST_BYTES = 100_000  # of a request
_MOST_CONNECTIONS = 64  # at a time
_WAIT_SECONDS = 10.0  # for the next bytes of a request
_END_SECONDS = 60.0  # for the answer that is computed when the server ends
_MOST_PROMPT = 20_000  # characters
_MOST_WORDS = 400  # of a text
_SHOWN = 20  # bars
_FIELDS = ("temperature", "top_k", "top_p", "seed", "label")  # of a request


_NOTHING = Prompt(id="", text="")  # what a text of a plain model starts from


class Player:
    """A model that answers the page's questions.

    Args:
        model: from `load_model`, or another that can be played.
        name: what the page calls it.
        rows: prompts whose numbers a text may start from.

    Raises:
        UsageError: the model needs rows, and there are none.
    """

    def __init__(
        self, model: SavedModel | Played, *, name: str = "model", rows: Sequence[Prompt] = ()
    ):
        self.model = TrainedModel(model) if isinstance(model, SavedModel) else model
        if self.model.starts and not rows:
            raise UsageError(
                "the model starts its texts from more than a prompt; --rows FILE names a file of "
                f"rows with {' '.join(self.model.starts)}"
            )
        self.name, self.rows = name, rows

    def start(self, row: Any) -> Prompt:
        """The row that a text starts from, which is chosen by its place.

        Raises:
            SettingError: there is no such row.
        """
        if not self.rows:
            return _NOTHING
        if not isinstance(row, int) or isinstance(row, bool) or not 0 <= row < len(self.rows):
            raise SettingError("row", f"a whole number from 0 to {len(self.rows) - 1}", row)
        return self.rows[row]

    def next_words(
        self, text: str, settings: GenerationSettings, start: Prompt = _NOTHING
    ) -> dict[str, Any]:
        """The most probable next words: as the model has it, and as the settings make it.

        `read` is the text in pieces, each with whether the model knows it.
        """
        usual = GenerationSettings(label=settings.label)
        own = replace(start, text=text)
        plain = self.model.probabilities(own, usual)
        drawn = self.model.probabilities(own, settings)
        order = np.lexsort((np.arange(len(plain)), -plain))[:_SHOWN]
        both = {"before": plain, "after": drawn}
        return {
            "words": [
                {
                    "word": self.model.shown(int(i)),
                    **{when: float(p[i]) for when, p in both.items()},
                }
                for i in order
            ],
            "rest": {when: float(np.delete(p, order).sum()) for when, p in both.items()},
            "left": int(np.sum(drawn > 0)),
            "vocabulary": len(plain),
            "entropy": {when: entropy(p) for when, p in both.items()},
            "read": marked(text, self.model.read(text)),
        }

    def text(
        self, prompt: str, settings: GenerationSettings, start: Prompt = _NOTHING
    ) -> dict[str, Any]:
        """A continuation: the first n words are the same for every `max_words` of at least n."""
        return asdict(self.model.write(replace(start, text=prompt), settings))

    def compare(
        self,
        prompt: str,
        settings: GenerationSettings,
        words: int,
        start: Prompt = _NOTHING,
    ) -> dict[str, Any]:
        """A greedy text with the cycle that it ends in, and a sampled one; neither ends early."""
        answers = {}
        for name, temperatures in (("greedy", (0.0,)), ("sampled", settings.temperatures)):
            own = replace(settings, temperatures=temperatures, min_words=words, max_words=words)
            found = self.text(prompt, own, start)
            ids = self.model.ids(found["text"])
            cycle = find_cycle(ids)
            if cycle is not None:
                begin, length = cycle
                rest = self.model.decode(ids[begin:])
                place = max(len(found["text"].rstrip()) - len(rest), 0)
                found["cycle"] = {"word": begin + 1, "length": length, "character": place}
            answers[name] = found
        return answers


def entropy(p: np.ndarray) -> float:
    """In bits."""
    some = p[p > 0]
    return float(max(-np.sum(some * np.log2(some)), 0.0))


def find_cycle(words: Sequence[int]) -> tuple[int, int] | None:
    """First place and least length of the cycle that the words end in, of two rounds at least."""
    for length in range(1, len(words) // 2 + 1):
        start = len(words) - length
        while start > 0 and words[start - 1] == words[start - 1 + length]:
            start -= 1
        if len(words) - start >= 2 * length:
            return start, length
    return None


def page(name: str) -> tuple[bytes, str]:
    """The page, and the policy that lets its own script and style run and nothing else.

    Args:
        name: of the model, which the page tells.
    """
    text = PAGE.read_text("utf-8").replace("MODEL NAME", escape(name))
    policy = "default-src 'none'; "
    for kind in ("script", "style"):
        (inner,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, flags=re.DOTALL)
        policy += f"{kind}-src {policy_of(inner)}; "
    policy += "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return text.encode(), policy


def app(player: Player, port: int, *, computing: threading.Lock | None = None) -> Any:
    """The WSGI application.

    Args:
        port: that it is reached at; requests under other names are refused.
        computing: held while an answer is computed, so that one is at a time.
    """
    import bottle

    web = bottle.Bottle()
    body, policy = page(player.name)
    one_at_a_time = computing or threading.Lock()
    names = {f"{name}:{port}" for name in (HOST, "localhost")}
    if port == 80:
        names |= {HOST, "localhost"}

    @web.hook("before_request")
    def own_name() -> None:
        # Bottle's own way to read a header fails if it is no UTF-8.
        if bottle.request.environ.get("HTTP_HOST") not in names:
            bottle.abort(403, f"ask for http://{HOST}:{port}/")

    @web.hook("after_request")
    def headers() -> None:
        bottle.response.set_header("Content-Security-Policy", policy)
        bottle.response.set_header("X-Content-Type-Options", "nosniff")
        bottle.response.set_header("Referrer-Policy", "no-referrer")
        bottle.response.set_header("Cache-Control", "no-store")

    @web.get("/")
    def show() -> bytes:
        bottle.response.content_type = "text/html; charset=utf-8"
        return body

    @web.get("/model")
    def about() -> dict[str, Any]:
        return {
            "labels": list(player.model.labels),
            "rows": [{"id": row.id, "prompt": row.text} for row in player.rows],
            "about": player.model.about,
            "unknown": player.model.unknown,
            "said": player.model.said,
        }

    @web.post("/<what:re:next|text|compare>")
    def ask(what: str) -> Any:
        try:
            asked = _request(bottle.request)
            with one_at_a_time:
                return answer(player, what, asked)
        except SettingError as error:
            said = error.said(error.field.replace("_", "-"))
        except TextmillError as error:
            said = str(error)
        bottle.response.status = 400
        return {"error": said}

    @web.error(403)
    @web.error(404)
    @web.error(405)
    @web.error(500)
    def plain(error: Any) -> str:
        bottle.response.content_type = "text/plain; charset=utf-8"
        return f"{error.status_line}\n"

    return web


def _request(request: Any) -> dict[str, Any]:
    """The JSON object that a request holds.

    Raises:
        UsageError: it holds something else, or too much.
    """
    length = request.environ.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit() and len(length) < 20):
        raise UsageError("the Content-Length of a request is a number")
    if int(length) > _MOST_BYTES:
        raise UsageError(f"a request has at most {_MOST_BYTES:,} bytes")
    if not (request.content_type or "").startswith("application/json"):
        raise UsageError("a request is of type application/json")
    try:
        found = json.loads(request.environ["wsgi.input"].read(int(length)))
    except OSError:
        raise UsageError("the request did not come whole") from None
    except (ValueError, RecursionError):
        raise UsageError("a request is JSON") from None
    if not isinstance(found, dict):
        raise UsageError("a request is an object")
    return found


def answer(player: Player, what: str, asked: dict[str, Any]) -> dict[str, Any]:
    """What the page asked for.

    Raises:
        TextmillError: it may not be asked for.
    """
    prompt, words = asked.get("prompt", ""), asked.get("words", 1)
    if not isinstance(prompt, str) or len(prompt) > _MOST_PROMPT:
        raise SettingError("prompt", f"a text of at most {_MOST_PROMPT:,} characters", "another")
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise SettingError("prompt", "a text in Unicode", "half a character") from None
    if not isinstance(words, int) or isinstance(words, bool) or not 1 <= words <= _MOST_WORDS:
        raise SettingError("words", f"a whole number from 1 to {_MOST_WORDS}", words)
    given: dict[str, Any] = {n: asked[n] for n in _FIELDS if asked.get(n) is not None}
    temperature = given.pop("temperature", 1.0)
    settings = GenerationSettings(temperatures=(temperature,), max_words=words, **given)
    player.model.check(settings)
    start = player.start(asked.get("row", 0))
    if what == "next":
        return player.next_words(prompt, settings, start)
    if what == "text":
        return player.text(prompt, settings, start)
    return player.compare(prompt, settings, words, start)


class _Silent(WSGIRequestHandler):
    timeout = _WAIT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        pass  # prompts are nobody's business


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = _MOST_CONNECTIONS

    def __init__(self, *arguments: Any):
        self._free = threading.Semaphore(_MOST_CONNECTIONS)
        self.computing = threading.Lock()
        super().__init__(*arguments)

    def server_close(self) -> None:
        super().server_close()
        # TensorFlow would abort a process that ends while it computes.
        self.computing.acquire(timeout=_END_SECONDS)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a connection that was closed, or waited too long

    # wsgiref looks its own name up in the DNS, which may take long.
    def server_bind(self) -> None:
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = HOST, int(self.server_address[1])
        self.setup_environ()


def server(
    model: SavedModel | Played, *, port: int, name: str, rows: Sequence[Prompt] = ()
) -> WSGIServer:
    """A server that is bound, and waits for `serve_forever`.

    Args:
        model: see `Player`.
        name: of the model, which the page tells.
        port: 0 for any that is free.
        rows: see `Player`.

    Raises:
        TextmillError: the port is taken, or bottle is not installed.
    """
    try:
        import bottle  # noqa: F401
    except ImportError:
        raise TextmillError(
            "the page needs bottle, which is not installed: pip install 'textmill[lab]'"
        ) from None
    player = Player(model, name=name, rows=rows)
    if not 0 <= port <= 65535:
        raise SettingError("port", "a number from 0 (any that is free) to 65535", port)
    try:
        found = _Server((HOST, port), _Silent)
    except OSError as error:
        raise TextmillError(
            f"port {port} of {HOST} cannot be had ({error.strerror}); give another --port, or 0"
        ) from None
    found.set_app(app(player, found.server_port, computing=found.computing))
    return found
