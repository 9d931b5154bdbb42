"""README.md of a model directory: corpus, figures, how it was made; with the header of hubs."""

from __future__ import annotations

from textmill.model.network.directory import SavedModel
from textmill.model.pages.markdown import markdown_text, yaml_text


def model_card(model: SavedModel, *, name: str, recipe: str) -> str:
    """The card's Markdown, with the YAML header that model hubs read.

    Args:
        name: of the model, for people.
        recipe: one line that says what was trained, and how.
    """
    s = model.network
    output = "adaptive" if s.tails else "dense"
    labels = f", labels: {', '.join(map(markdown_text, model.labels))}" if model.labels else ""
    if model.columns:
        labels += f"; texts start from {s.numbers:,} numbers of a row: "
        labels += ", ".join(map(markdown_text, model.columns))
    if model.source is not None:
        labels += f"; texts are written from a source of up to {model.longest_source:,} words"
        labels += " in training, with attention to it" if s.attention else " in training"
    return f"""{_header(model, name)}
# {markdown_text(name)}

An LSTM language model at {model.vocabulary.level} level, made by textmill: vocabulary
{s.vocabulary:,}, embedding {s.embedding}, {s.layers} layer(s) of {s.hidden} units, {output} output
tied to the embedding{labels}. It imitates its corpus in words and style; what it says is not true,
and it may repeat phrases of the corpus.

```python
import textmill

model = textmill.load("{_folder(name)}")
print(model.generate("", temperature=0.8)[0].text)
keras_model = model.keras()
```

## Corpus ({model.mode})
{_corpus(model)}

{_measured(model)}{_made(model)}{markdown_text(recipe)}.

You may change this file: it is no part of what is checked when the model is loaded.
"""


def _header(model: SavedModel, name: str) -> str:
    lines = [
        "---",
        "library_name: keras",
        "pipeline_tag: text-generation",
        "tags:",
        *(f"- {tag}" for tag in ("textmill", "lstm", "language-model")),
    ]
    perplexity = model.training["metrics"].get("test_perplexity")
    sources = model.training["corpus"].get("sources", ())
    if perplexity is not None and sources:
        lines += [
            "model-index:",
            f"- name: {yaml_text(name)}",
            "  results:",
            "  - task:",
            "      type: text-generation",
            "    dataset:",
            f"      name: {yaml_text(', '.join(s['name'] for s in sources))}",
            "      type: text",
            "      split: test",
            "    metrics:",
            "    - type: perplexity",
            f"      value: {perplexity}",
        ]
    return "\n".join([*lines, "---"])


def _folder(name: str) -> str:
    """A name inside quotes of Python."""
    return name.replace("\\", "\\\\").replace('"', '\\"') if name.isprintable() else "model"


def _corpus(model: SavedModel) -> str:
    lines = [
        f"- {markdown_text(s['name'])}, {s['bytes']:,} bytes, SHA-256 {s['sha256']}"
        for s in model.training["corpus"].get("sources", ())
    ]
    origin = model.training.get("init_from")
    if origin is not None:
        sources = (origin["corpus"] or {}).get("sources", ())
        before = ", ".join(markdown_text(s["name"]) for s in sources) or "what is not known"
        lines += [
            "",
            f"It went on from the model {origin['fingerprint'][:12]}, trained on {before}; all "
            "figures here are of the corpus above.",
        ]
    return "\n".join(lines) or "Not known."


def _measured(model: SavedModel) -> str:
    metrics = model.training["metrics"]
    if not metrics:
        return ""
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in metrics.items())
    return f"""## Measured
Perplexity counts unknown words as one word and each end of a text; validation and test are the two
last 5 % of the corpus by position, and the last was not used to choose anything.

| what | figure |
|---|---|
{rows}

"""


def _made(model: SavedModel) -> str:
    """How it was trained, up to the recipe; nothing of a network from elsewhere."""
    versions = model.training.get("versions")
    if not model.training["metrics"] or versions is None:
        return ""
    return (
        f"Trained with seed {model.training['settings']['seed']} by Keras {versions['keras']} on "
        f"{versions['backend']} (textmill\n{versions['textmill']}), on "
        f"{model.training['machine']}:\n"
    )
