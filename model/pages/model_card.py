"""README.md of a model directory: corpus, figures, how it was made."""

from __future__ import annotations

from textmill.model.network.directory import SavedModel


def model_card(model: SavedModel, *, recipe: str) -> str:
    """The card's Markdown.

    Args:
        recipe: one line that says what was trained, and how.
    """
    metrics, corpus = model.training["metrics"], model.training["corpus"]
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in metrics.items())
    sources = "\n".join(
        f"- {s['name']}, {s['bytes']:,} bytes, SHA-256 {s['sha256']}" for s in corpus["sources"]
    )
    origin = model.training["init_from"]
    if origin is not None:
        before = ", ".join(s["name"] for s in origin["corpus"]["sources"])
        sources += (
            f"\n\nIt went on from the model {origin['fingerprint'][:12]}, trained on {before}; all "
            "figures here are of the corpus above."
        )
    seed, versions = model.training["settings"]["seed"], model.training["versions"]
    s = model.network
    output = "adaptive" if s.tails else "dense"
    labels = f", labels: {', '.join(model.labels)}" if model.labels else ""
    return f"""# A textmill language model

An LSTM language model at {model.vocabulary.level} level, made by `textmill train`: vocabulary
{s.vocabulary:,}, embedding {s.embedding}, {s.layers} layer(s) of {s.hidden} units, {output} output
tied to the embedding{labels}. It imitates its corpus in words and style; what it says is not true,
and it may repeat phrases of the corpus.

## Corpus ({model.mode})
{sources}

## Measured
Perplexity counts unknown words as one word and each end of a text; validation and test are the two
last 5 % of the corpus by position, and the last was not used to choose anything.

| what | figure |
|---|---|
{rows}

Trained with seed {seed} by Keras {versions["keras"]} on {versions["backend"]} (textmill
{versions["textmill"]}), on {model.training["machine"]}:
{recipe}.

This file is part of the checked directory: keep notes elsewhere.
"""
