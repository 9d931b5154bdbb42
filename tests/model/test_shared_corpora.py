"""The whole path on real books and corpora, if the shared data folder is present."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from textmill.pipeline.command.cli import main

_MOST = 200_000  # bytes; more takes longer and shows no more

CORPORA = {
    "German": ("books/verwandlung.txt", []),
    "latin-1": ("books/verwandlung_latin1.txt", ["--encoding", "latin-1"]),
    "plays by character": (
        "corpora/tinyshakespeare.txt", ["--mode", "lines", "--level", "char", "--dropout", "0.1"],
    ),
    "tokenised": ("corpora/wikitext-2/valid.txt", ["--level", "whitespace"]),
    "labelled": ("labelled/trec/train.tsv", ["--labels", "1", "--text", "2"]),
    "quoted csv": ("labelled/ag_news/dev.csv", ["--labels", "2", "--text", "1"]),
}  # fmt: skip


@pytest.mark.walk
@pytest.mark.parametrize("name", CORPORA)
def test_from_corpus_to_shards(shared, tmp_path, capsys, name):
    path, options = CORPORA[name]
    corpus, model, out = (str(tmp_path / name) for name in ("corpus" + path[-4:], "m", "o"))
    raw = (shared / path).read_bytes()
    if len(raw) > _MOST and not path.endswith(".csv"):  # a quoted cell may hold lines
        raw = raw[: raw.index(b"\n", _MOST) + 1]
    Path(corpus).write_bytes(raw)
    train = ["train", corpus, "--out", model, "--minutes", "0.08", "--preset", "tiny", *options]
    assert main([*train, "--json", "--quiet"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["test_perplexity"] < metrics["vocabulary"]
    assert main(["evaluate", model, corpus, "--json", "--baselines"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["own_corpus"]
    assert result["perplexity"] == pytest.approx(metrics["test_perplexity"], rel=1e-3)
    prompts = (shared / "prompts" / "headlines.txt").read_text("utf-8").splitlines()[:20]
    (tmp_path / "p.txt").write_text("\n".join(prompts) + "\n", encoding="utf-8")
    ask = ["generate", model, "--prompts", str(tmp_path / "p.txt"), "--out", out, "--quiet"]
    label = (
        ["--label", {"labelled": "DESC", "quoted csv": "3"}[name]] if "--labels" in options else []
    )
    assert main([*ask, "--max-words", "8", *label, "--", "--runner=FnApiRunner"]) == 0
    assert main(["verify", out]) == 0
