"""Keras and PyTorch, between which a student chooses; nothing here loads either."""

from __future__ import annotations

import ast
import itertools
import math
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from lab.sandbox import networks, torch_networks

LIBRARIES = {"keras": networks, "torch": torch_networks}


def name_of(value: Any) -> str | None:
    """Names the library that a network is of; None for all that is no network."""
    return next((name for name, each in LIBRARIES.items() if each.is_network(value)), None)


def library_of(model: Any) -> ModuleType:
    """Gives what runs and trains a model."""
    return LIBRARIES[name_of(model) or "keras"]


def imported(source: bytes) -> list[str]:
    """Names the libraries that a file imports anywhere; Keras if it imports none."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {each.name.split(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).split(".")[0])
    return [name for name in LIBRARIES if name in found] or ["keras"]


def train(
    model: Any,
    inputs: Any,
    targets: Any,
    units: int,
    epochs: int | None,
    rate: float,
    *,
    seconds: float = math.inf,
    loss: Callable[[Any, Any], Any] | None = None,
) -> list[float]:
    """Trains a language model on windows, with the state carried.

    Args:
        model: gives logits, h and c.
        inputs: ids, int32 [W, B, T].
        targets: ids, int32 [W, B, T].
        units: size of h and of c.
        epochs: how often all windows are read; None leaves the end to `seconds`.
        rate: Adam's learning rate.
        seconds: ends the training, also within an epoch.
        loss: of logits and targets; None is the mean cross-entropy.

    Returns:
        The mean loss of each whole epoch.
    """
    end = time.monotonic() + seconds
    library, rows = library_of(model), inputs.shape[1]
    step = library.training_step(model, loss or library.nats, rate, rows, units)
    found: list[float] = []
    for _ in itertools.count() if epochs is None else range(epochs):
        h = c = np.zeros((rows, units), np.float32)
        losses = []
        for ids, following in zip(inputs, targets, strict=True):
            if time.monotonic() >= end:
                return found
            nats, h, c = step(ids, following, h, c)
            losses.append(nats)
        found.append(float(np.mean(losses)))
    return found
