"""The playground: its answers against NumPy, its doors, and the page in a browser."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import re
import socket
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
import reference
from pages import open_browser
from sharing import generator_of
from waiting import until

from textmill.model.errors import TextmillError
from textmill.model.generation.next_word import NextWord, probabilities
from textmill.model.network.directory import load_model
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.pipeline.command import play
from textmill.pipeline.command.play import (
    PAGE,
    Player,
    app,
    entropy,
    find_cycle,
    page,
    server,
)
from textmill.pipeline.command.played import marked

EOS = 2


@pytest.fixture(scope="module")
def player(model_dir) -> Player:
    return Player(load_model(model_dir), name="alice")


def ask(web, path="/next", *, method="POST", host="127.0.0.1:8000", **asked):
    raw = asked.pop("raw", None)
    body = json.dumps(asked).encode() if raw is None else raw
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_HOST": host, "QUERY_STRING": "",
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(), "wsgi.url_scheme": "http",
        "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "8000",
    }  # fmt: skip
    got = {}

    def start(status, headers, exc_info=None):
        got["status"], got["headers"] = int(status.split()[0]), dict(headers)

    text = b"".join(web(environ, start)).decode()
    return got["status"], got["headers"], text


def test_probabilities_against_numpy():
    logits = np.random.default_rng(0).normal(size=50) * 3
    logits[[0, 1]] = -np.inf
    for temperature, top_k, top_p, min_p in (
        (1.0, 0, 1.0, 0.0), (0.3, 0, 1.0, 0.0), (2.0, 7, 1.0, 0.0), (1.3, 9, 0.6, 0.0),
        (1.3, 9, 0.6, 0.3),
    ):  # fmt: skip
        p = np.exp(logits / temperature)
        p /= p.sum()
        order = np.argsort(-p)
        keep = np.ones(50, bool)
        if top_k:
            keep[order[top_k:]] = False
        p = np.where(keep, p, 0) / p[keep].sum()
        if top_p < 1:
            before = np.cumsum(p[order]) - p[order]
            keep[order[before >= top_p]] = False
        keep &= p >= min_p * p.max()
        p = np.where(keep, p, 0) / p[keep].sum()
        asked = GenerationSettings(
            temperatures=(temperature,), top_k=top_k, top_p=top_p, min_p=min_p
        )
        found = probabilities(logits, asked)
        np.testing.assert_allclose(found, p, atol=1e-12)
    greedy = probabilities(logits, GenerationSettings(temperatures=(0,)))
    assert greedy[np.argmax(logits)] == greedy.sum() == 1
    assert entropy(np.full(8, 1 / 8)) == pytest.approx(3)
    assert entropy(greedy) == 0


def test_logits_follow_the_equations_and_the_state_is_kept(player):
    arrays, layers = player.model.model.arrays, player.model.model.network.layers

    def expected(text):
        (words, _), *_ = player.model.model.vocabulary.encode_prompts([text])
        state = reference.zeros(player.model.model.network)
        for word in (EOS, *words):
            logits, state = reference.step(arrays, layers, int(word), state)
        return logits

    for text in ("The old", "The old cat sat", "The old cat sat", "The", ""):
        np.testing.assert_allclose(
            player.model.reader.logits(text, None), expected(text), atol=1e-4
        )
        p = player.model.reader.probabilities(text, GenerationSettings())
        assert list(np.flatnonzero(p == 0)) == [0, 1]


def test_word_by_word_is_the_text_of_all_at_once(player):
    settings = GenerationSettings(max_words=8, seed=3)
    (whole,) = generator_of(player.model.model).generate(
        [Prompt(id="The old", text="The old")], settings
    )
    web = app(player, 8000)
    texts = [
        json.loads(ask(web, "/text", prompt="The old", words=n, seed=3)[2])["text"]
        for n in range(1, 9)
    ]
    assert texts[-1] == whole.text
    for shorter, longer in itertools.pairwise(texts):
        assert longer.startswith(shorter)


def test_next_words(player):
    status, _, text = ask(app(player, 8000), prompt="The old cat sat on the", temperature=0.5)
    found = json.loads(text)
    assert status == 200
    p = np.array([[row["before"], row["after"]] for row in found["words"]])
    assert (np.diff(p[:, 0]) <= 0).all()
    rest = np.array([found["rest"]["before"], found["rest"]["after"]])
    np.testing.assert_allclose(p.sum(axis=0) + rest, 1, atol=1e-9)
    assert p[0, 1] > p[0, 0]
    assert found["entropy"]["after"] < found["entropy"]["before"]
    assert "<unk>" not in text


@pytest.mark.parametrize(
    ("text", "read", "runs"),
    [
        ("The snark  sat", [("The", 1), ("snark", 0), ("sat", 1)],
         [("The ", 1), ("snark", 0), ("  sat", 1)]),
        ("snark, The", [("snark", 0), (",", 1), ("The", 1)], [("snark", 0), (", The", 1)]),
        ("a snark ", [("a", 1), ("snark", 0)], [("a ", 1), ("snark", 0), (" ", 1)]),
        ("ab", [("a", 0), ("b", 0)], [("a", 0), ("b", 0)]),
        ("e\u0301te\u200b", [("\u00e9te", 0)], [("\u00e9te", 0)]),
        ("", [], []),
        # Words that do not stand in the text as they are: spaces between them.
        ("The Cat", [("the", 1), ("cat", 0)], [("the ", 1), ("cat", 0)]),
        ("x a a", [("a", 1), ("a", 0)], [("a ", 1), ("a", 0)]),
    ],
)  # fmt: skip
def test_runs_of_known_and_unknown_words(text, read, runs):
    found = marked(text, [(word, bool(known)) for word, known in read])
    assert found == [(piece, bool(known)) for piece, known in runs]


def test_unknown_words_of_a_text_are_told(player):
    web = app(player, 8000)
    found = json.loads(ask(web, prompt="The snark sat, “Stop”, <b>")[2])["read"]
    assert "".join(piece for piece, _ in found) == "The snark sat, “Stop”, <b>"
    assert next(piece for piece, known in found if not known) == "snark"
    assert ["The ", True] in found
    assert json.loads(ask(web, prompt="")[2])["read"] == []
    told = json.loads(ask(web, "/model", method="GET")[2])
    assert told["unknown"].startswith("The model reads each unknown word as <unk>")


def test_greedy_beside_sampling(player):
    found = json.loads(ask(app(player, 8000), "/compare", prompt="The", words=60)[2])
    for each in found.values():
        assert each["words"] == 60
    text, cycle = found["greedy"]["text"], found["greedy"]["cycle"]
    (ids, _), *_ = player.model.model.vocabulary.encode_prompts([text])
    begin = cycle["word"] - 1
    rest = player.model.model.vocabulary.decode([int(i) for i in ids[begin:]])
    assert text[cycle["character"] :] == rest
    assert not text[cycle["character"] - 1].isalnum()


def test_find_cycle_against_brute_force():
    def brute(words):
        for length in range(1, len(words) + 1):
            for start in range(len(words) - 2 * length + 1):
                rest = words[start:]
                if all(a == b for a, b in zip(rest, rest[length:], strict=False)):
                    return start, length
        return None

    random = np.random.default_rng(0)
    for _ in range(300):
        words = random.integers(0, 3, int(random.integers(0, 14))).tolist()
        assert find_cycle(words) == brute(words), words


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"temperature": -1}, "temperature must be 0 .greedy."),
        ({"temperature": "hot"}, "temperature must be"),
        ({"temperature": True}, "temperature must be"),
        ({"top_k": 1.5}, "top-k must be"),
        ({"top_p": 0}, "top-p must be"),
        ({"seed": -1}, "seed must be"),
        ({"words": 100_000}, "words must be a whole number from 1 to 400"),
        ({"words": True}, "words must be"),
        ({"prompt": ["x"]}, "prompt must be a text"),
        ({"prompt": "x" * 30_000}, "prompt must be a text of at most 20,000"),
        ({"prompt": "\ud800"}, "prompt must be a text in Unicode"),
        ({"label": "x"}, "label must be left out"),
        ({"raw": b"{"}, "is JSON"),
        ({"raw": b"[" * 50_000}, "is JSON"),
        ({"raw": b"[1]"}, "is an object"),
        ({"raw": b" " * 200_000}, "at most 100,000 bytes"),
    ],
)
def test_what_may_not_be_asked_is_one_sentence(player, asked, said):
    for path in ("/next", "/text", "/compare"):
        status, _, text = ask(app(player, 8000), path, **asked)
        assert status == 400
        assert re.search(said, json.loads(text)["error"])
        assert "Traceback" not in text


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1:9", "127.0.0.1", "", "a.127.0.0.1:8000"]
)
def test_other_names_are_refused(player, host):
    for path, method in (("/", "GET"), ("/model", "GET"), ("/next", "POST")):
        status, _, text = ask(app(player, 8000), path, method=method, host=host)
        assert status == 403
        assert "<" not in text
    assert ask(app(player, 8000), "/", method="GET", host="localhost:8000")[0] == 200


def test_other_paths_and_kinds_are_refused(player):
    web = app(player, 8000)
    assert ask(web, "/../etc/passwd", method="GET")[0] == 404
    assert ask(web, "/next", method="GET")[0] == 405


def test_the_page_loads_nothing_from_elsewhere(player):
    body, policy = page(player.name)
    text = body.decode()
    assert text.count("alice") == 2  # title and headline say which model it is
    assert "a &lt;b&gt;" in page("a <b>")[0].decode()
    assert not re.search(r"(src|href)\s*=", text)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    for risky in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert risky not in text
    assert "default-src 'none'" in policy
    assert policy.count("sha256-") == 2
    assert "unsafe" not in policy
    headers = ask(app(player, 8000), "/", method="GET")[1]
    assert headers["Content-Security-Policy"] == policy


@pytest.fixture
def running(model_dir):
    with server(load_model(model_dir), port=0, name="alice") as found:
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}/"
        found.shutdown()
        thread.join()


def test_the_server_listens_on_this_machine_only(running, model_dir):
    with urllib.request.urlopen(running) as got:
        assert b"textmill playground" in got.read()
    port = int(running.rstrip("/").rpartition(":")[2])
    with pytest.raises(TextmillError, match=f"port {port} of 127.0.0.1 cannot be had"):
        server(load_model(model_dir), port=port, name="alice")
    with pytest.raises(TextmillError, match="port"):
        server(load_model(model_dir), port=70_000, name="alice")
    with server(load_model(model_dir), port=0, name="alice") as other:
        assert other.socket.getsockname()[0] == "127.0.0.1"


def opened(running, begin: bytes = b"") -> socket.socket:
    found = socket.create_connection(("127.0.0.1", int(running.rstrip("/").rpartition(":")[2])), 60)
    found.sendall(begin)
    return found


def head(running, length: object) -> bytes:
    host = running.removeprefix("http://").rstrip("/")
    return (
        f"POST /next HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def test_connections_that_say_nothing_stop_nobody(running):
    half = head(running, 20)
    with contextlib.ExitStack() as stack:
        for begin in (b"", b"", b"GET / HT", half[:-4], half, half + b'{"prompt"'):
            stack.enter_context(opened(running, begin))
        asked = urllib.request.Request(
            running + "next", b'{"prompt": "The"}', {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=60) as got:
            assert json.loads(got.read())["words"]


def test_connections_that_wait_too_long_are_closed(running, monkeypatch, capfd):
    monkeypatch.setattr(play._Silent, "timeout", 0.3)
    half = head(running, 20)
    for begin in (b"", b"GET / HT", half[:-4]):
        with opened(running, begin) as waiting:
            assert waiting.recv(100) == b""
    with opened(running, half + b'{"prompt"') as waiting:
        answer = b"".join(iter(lambda: waiting.recv(1000), b""))
    assert b" 400 " in answer.split(b"\r\n")[0]
    assert b"did not come whole" in answer
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("length", ["abc", "-1", "1e3", "9" * 30, "\u00b2", "1 2"])
def test_lengths_that_are_no_numbers(running, length, capfd):
    with opened(running, head(running, length)) as asked:
        answer = b"".join(iter(lambda: asked.recv(1000), b""))
    assert b" 400 " in answer.split(b"\r\n")[0]
    assert capfd.readouterr().err == ""


def test_a_name_of_no_text(running, capfd):
    with opened(running, b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n") as asked:
        answer = b"".join(iter(lambda: asked.recv(1000), b""))
    assert b" 403 " in answer.split(b"\r\n")[0]
    assert capfd.readouterr().err == ""


def test_there_are_no_more_connections_than_threads(running, monkeypatch):
    monkeypatch.setattr(play._Silent, "timeout", 600)  # so none is closed for its silence
    with contextlib.ExitStack() as stack:
        some = [stack.enter_context(opened(running)) for _ in range(play._MOST_CONNECTIONS)]
        with opened(running) as one_more:
            assert one_more.recv(1) == b""
        del some
    until(lambda: _answers(running), "no connection is free again")


def _answers(running) -> bool:
    try:
        with urllib.request.urlopen(running, timeout=5) as got:
            return got.status == 200
    except OSError:
        return False


def test_long_texts_are_read_in_pieces(player):
    words = ["The", "old", "cat", "sat"] * 40
    reader = NextWord(player.model.model)
    whole = reader.logits(" ".join(words), None)
    again = reader.logits(" ".join(words), None)  # nothing is new
    assert whole.tolist() == again.tolist()
    one_by_one = NextWord(player.model.model)
    for count in range(len(words) + 1):
        found = one_by_one.logits(" ".join(words[:count]), None)
    np.testing.assert_allclose(found, whole, atol=1e-4)


@pytest.mark.walk
def test_in_a_browser(running):
    with open_browser() as browser:
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(browser, 600)

        def at(name):
            return browser.find_element(By.ID, name)

        def rows():
            # In one go: the page may draw them anew between two questions.
            return browser.execute_script(
                "return [...document.querySelectorAll('#bars tr')].map(row => row.innerText)"
            )

        browser.get(running)
        wait.until(lambda _: rows())
        before = rows()
        at("text").send_keys("The <b>old</b> cat")
        wait.until(lambda _: rows() != before)
        wait.until(lambda _: browser.find_elements(By.CSS_SELECTOR, "#read mark"))
        wait.until(lambda _: "</b" in at("text").get_property("value"))
        wait.until(lambda _: "cat" in at("read").text)
        marks = browser.find_elements(By.CSS_SELECTOR, "#read mark")
        assert "b (unknown)" in [mark.get_property("textContent") for mark in marks]
        assert not browser.find_elements(By.CSS_SELECTOR, "#read b")  # the prompt is text
        assert re.match("Unknown to the model: .*“b”.* as <unk>", at("unknown").text)
        wait.until(lambda _: at("heard").get_property("textContent") == at("unknown").text)
        before = rows()
        browser.execute_script(
            "const t = document.getElementById('temperature'); t.value = 0.3;"
            "t.dispatchEvent(new Event('input'))"
        )
        wait.until(lambda _: rows() != before)
        assert at("temperature-now").text == "0.3"
        start = at("text").get_property("value")
        at("next").click()
        wait.until(lambda _: len(at("text").get_property("value")) > len(start))
        one = at("text").get_property("value")
        at("all").click()
        wait.until(lambda _: len(at("text").get_property("value")) > len(one))
        assert at("text").get_property("value").startswith(one)
        at("both").click()
        wait.until(lambda _: "repeats itself every" in at("greedy-cycle").text)
        assert browser.find_elements(By.CSS_SELECTOR, "#greedy mark")
        assert not browser.find_elements(By.CSS_SELECTOR, "#greedy b")  # the prompt is text
        assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
        asked = re.findall(r'"url":"(https?://[^"]+)"', json.dumps(
            [json.loads(line["message"]) for line in browser.get_log("performance")]
        ).replace(": ", ":"))  # fmt: skip
        assert asked
        assert all(url.startswith(running) for url in asked)


def test_the_page_s_texts_are_all_in_bulgarian(player):
    """Its own ones, those that its script makes, and those of the server."""
    page = PAGE.read_text("utf-8")
    said = json.loads(re.search(r"const SAID = (\{.*?\n\}\});", page, re.DOTALL)[1])["bg"]
    shown = re.sub(r"<(script|style|nav|h1|title)\b.*?</\1>", "", page, flags=re.DOTALL)
    texts = re.split(r"<[^>]*>", shown.replace("&emsp;", ""))
    wanted = {text.strip() for text in texts} - {""}
    wanted |= set(re.findall('aria-label="([^"]+)"', shown))
    wanted |= set(re.findall(r'\b(?:t|say)\((?:ended \? )?["`]([^"`]+)["`]', page))
    assert len(wanted) > 30
    model = player.model
    assert model.unknown in said
    assert re.fullmatch(r"[\d,]+ words, \d+ x \d+ units", model.about)
    wanted.add("{words} words, {layers} x {units} units")

    def holes(text: str) -> str:
        return re.sub(r"\$?\{[^{}]*\}", "{}", text)

    assert {holes(text) for text in wanted} <= {holes(text) for text in said}
    for text, told in said.items():
        assert sorted(re.findall(r"\{.*?\}", text)) == sorted(re.findall(r"\{.*?\}", told))
        assert re.search("[а-я]", told)
    assert model.unknown.replace("n word", "n character").replace("re words", "re ones") in said


@pytest.mark.walk
def test_in_a_browser_in_bulgarian(running):
    with open_browser() as browser:
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(browser, 600)

        def text(css):
            return browser.find_element(By.CSS_SELECTOR, css).text

        browser.get(running + "/#bg")
        wait.until(lambda _: text("#entropy"))
        browser.find_element(By.ID, "text").send_keys("The <b>snark</b>")
        wait.until(lambda _: "“snark”" in text("#unknown"))
        assert text("#unknown").startswith("Непознати за модела: ")
        assert "Вместо всяка непозната дума моделът чете <unk>" in text("#unknown")
        assert re.fullmatch(r"площадка на textmill: [\d,]+ думи, .* елемента", text(".about"))
        assert text("#next") == "Следваща дума"
        assert text("thead").split() == ["дума", "преди", "след"]
        told = r"могат да се изтеглят [\d\s]+ думи; ентропия \d+,\d\d бита преди, \d+,\d\d след"
        assert re.fullmatch(told, text("#entropy"))
        assert "други" in text("#bars tr:last-child")
        browser.find_element(By.ID, "both").click()
        wait.until(lambda _: "се повтаря на всеки" in text("#greedy-cycle"))
        assert text("#sampled-title") == "Случаен избор при температура 1"
        words = text("#sampled")
        browser.find_element(By.ID, "en").click()
        wait.until(lambda _: "words can be drawn" in text("#entropy"))
        assert text("#unknown").startswith("Unknown to the model: ")
        assert text("#next") == "Next word"
        assert "repeats itself every" in text("#greedy-cycle")
        assert text("#sampled") == words
        assert browser.execute_script("return document.documentElement.lang") == "en"
        assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def test_without_bottle_the_way_to_get_it_is_told(model_dir, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bottle", None)
    with pytest.raises(TextmillError, match=r"pip install 'textmill\[lab\]'"):
        server(load_model(model_dir), port=0, name="alice")


def test_the_page_is_in_the_wheel():
    assert PAGE.exists()
    assert play.PAGE.parent.name == "command"
