"""Trains an LSTM language model on any text and writes text with it in bulk.

    model = textmill.train("alice.txt", out="alice", minutes=5)   # or textmill.load("alice")
    model.generate("Alice was", samples=3, temperature=0.8)
    model.stream("Alice was")
    model.score(["Alice was late."])
    model.next_words("Alice was", k=10)
    textmill.generate("alice", prompts="prompts.txt", out="out")   # the bulk job
    textmill.augment(frame, text="text", label="label")
    textmill.verify("out"), textmill.report("out")
    model.keras(), textmill.from_keras(network, vocabulary=model, out="alice-2")
    textmill.export("alice", to="saved-model", out="alice-tf")

Names load what they need when they are first used; `import textmill` itself loads nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textmill.model.errors import SettingError, TextmillError, UsageError
    from textmill.model.prompt import Generation, Prompt, Score
    from textmill.model.settings import GenerationSettings
    from textmill.pipeline.api.bulk import augment, generate
    from textmill.pipeline.api.exchange import export, from_keras
    from textmill.pipeline.api.trained_model import Model, load, train
    from textmill.pipeline.job.transform import GenerateText
    from textmill.pipeline.job.verify import verify
    from textmill.pipeline.report.report import report

_PLACES = {
    "GenerateText": "pipeline.job.transform",
    "Generation": "model.prompt",
    "GenerationSettings": "model.settings",
    "Model": "pipeline.api.trained_model",
    "Prompt": "model.prompt",
    "Score": "model.prompt",
    "SettingError": "model.errors",
    "TextmillError": "model.errors",
    "UsageError": "model.errors",
    "augment": "pipeline.api.bulk",
    "export": "pipeline.api.exchange",
    "from_keras": "pipeline.api.exchange",
    "generate": "pipeline.api.bulk",
    "load": "pipeline.api.trained_model",
    "report": "pipeline.report.report",
    "train": "pipeline.api.trained_model",
    "verify": "pipeline.job.verify",
}

__all__ = [
    "GenerateText",
    "Generation",
    "GenerationSettings",
    "Model",
    "Prompt",
    "Score",
    "SettingError",
    "TextmillError",
    "UsageError",
    "augment",
    "export",
    "from_keras",
    "generate",
    "load",
    "report",
    "train",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'textmill' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"textmill.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
