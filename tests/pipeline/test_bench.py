"""`textmill bench`: its figures agree with each other."""

from __future__ import annotations

import json

import pytest
from sharing import generator_of

from textmill.model.generation.generator import Times
from textmill.model.network.directory import load_model
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings, NetworkSettings
from textmill.pipeline.command.bench import flop_of_a_word
from textmill.pipeline.command.cli import main


def test_flop_of_a_word():
    reference = NetworkSettings(vocabulary=33_278, embedding=650, hidden=650, layers=2)
    assert flop_of_a_word(reference) == 2 * (2 * 1300 * 2600 + 33_278 * 650)
    narrow = NetworkSettings(vocabulary=100, embedding=10, hidden=20, layers=1)
    assert flop_of_a_word(narrow) == 2 * (30 * 80 + 20 * 10 + 100 * 10)


@pytest.mark.long
def test_bench(model_dir, capsys):
    arguments = ["bench", str(model_dir), "--slots", "64", "--texts", "70", "--words", "5"]
    assert main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    (row,) = result["slots"]
    assert row["words_a_second"] > 0
    parts = [row[f"{part}_share"] for part in ("tokenise", "read", "draw", "join")]
    assert min(parts) >= 0
    assert 0 < sum(parts) < 1.01
    limit = result["dense_limit_words_a_second"]
    assert row["share_of_limit"] == pytest.approx(row["words_a_second"] / limit, abs=0.01)
    assert 0 < result["own_lengths"]["useful_slot_steps"] <= 1
    assert main(["bench", str(model_dir), "--slots", "7"]) == 2
    assert "--slots must be 64 or more" in capsys.readouterr().err


def test_slots_are_refilled_at_once(model_dir):
    generator = generator_of(load_model(model_dir))
    prompts = [Prompt(str(i), ["the", "a dog", "the old cat"][i % 3]) for i in range(1500)]
    found = list(generator.generate(prompts, GenerationSettings(max_words=12)))
    times: Times = generator.times
    assert times.words == sum(text.words + (text.finish != "length") for text in found)
    assert times.words / times.slot_steps > 0.95
    assert min(times.tokenise, times.read, times.draw, times.join) > 0


def test_equal_prompts_are_read_once(model_dir, monkeypatch):
    generator = generator_of(load_model(model_dir))
    graph, seen = generator._graph("float32"), []
    read = graph.read
    monkeypatch.setattr(
        graph, "read", lambda ids, *starts: seen.append(len(ids)) or read(ids, *starts)
    )
    prompts = [Prompt(str(i), ["the", "a dog"][i % 2]) for i in range(300)]
    found = list(generator.generate(prompts, GenerationSettings(max_words=4, samples=2)))
    assert seen == [2]
    alone = [
        next(generator.generate([prompt], GenerationSettings(max_words=4)))
        for prompt in prompts[:6]
    ]
    assert [text.text for text in found[:12:2]] == [text.text for text in alone]
