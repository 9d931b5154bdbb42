"""What `lab.sandbox.networks` does with a Keras model, done with a `torch.nn.Module`.

It is called as `model(ids, h, c)`, with ids int64 [B, T], and h and c float [B, units]. PyTorch is
optional: it loads only where a student's own code has loaded it, or names it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from lab.language import say


def is_network(value: Any) -> bool:
    """Whether a value is a module of PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def seed(number: int) -> None:
    """Loads PyTorch for one thread, as the networks are small, and fixes what it draws."""
    import torch

    _without_triton()
    torch.set_num_threads(1)
    torch.manual_seed(number)


def units_of(model: Any) -> int:
    """Gives the number of units, which is the size of h and of c.

    Raises:
        ValueError: a model without `nn.LSTM` does not tell.
    """
    sizes = [each.hidden_size for each in model.modules() if hasattr(each, "hidden_size")]
    sizes.append(getattr(model, "units", None))
    if not isinstance(sizes[0], int):
        raise ValueError(
            say(
                "there is no recurrent layer in this model: write `self.units = units` in its "
                "__init__"
            )
        )
    return sizes[0]


def tensor(array: Any) -> Any:
    """Makes a tensor: of int64 for whole numbers, as embeddings and losses want it, or float32."""
    import torch

    found = np.asarray(array)
    return torch.as_tensor(found, dtype=torch.long if found.dtype.kind in "iu" else torch.float32)


def run(model: Any, inputs: list[Any]) -> list[np.ndarray]:
    """Gives the model's outputs as arrays, with dropout off."""
    import torch

    model.eval()
    with torch.no_grad():
        found = model(*map(tensor, inputs))
    return [np.asarray(each) for each in (found if isinstance(found, list | tuple) else [found])]


def step(model: Any, ids: Any, h: Any, c: Any) -> list[np.ndarray]:
    """Gives logits, h and c, as `run` does."""
    return run(model, [ids, h, c])


def runner(model: Any) -> Callable[..., list[np.ndarray]]:
    """Makes a function of ids [B, T], h and c [B, units] that gives logits, h and c."""
    return lambda *inputs: run(model, list(inputs))


def training_step(
    model: Any, loss: Callable[[Any, Any], Any], rate: float, rows: int, units: int
) -> Callable[..., tuple[float, np.ndarray, np.ndarray]]:
    """Makes a training step: ids and targets [B, T], h, c to the loss, h and c."""
    import torch

    _without_triton()
    optimizer = torch.optim.Adam(model.parameters(), rate)

    def train(*given: Any) -> tuple[float, np.ndarray, np.ndarray]:
        ids, targets, h, c = map(tensor, given)
        model.train()
        logits, h, c = model(ids, h, c)
        nats = loss(logits, targets)
        optimizer.zero_grad()
        nats.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        # As arrays they have no history: gradients end where the window begins.
        return float(nats.detach()), h.detach().numpy(), c.detach().numpy()

    return train


def _without_triton() -> None:
    """Says that there is no Triton, which optimizers of PyTorch import but do not need.

    TensorFlow and Triton both carry an LLVM, and a process with two of them is aborted.
    """
    sys.modules.setdefault("triton", None)  # type: ignore[arg-type]  # importing it fails


def nats(logits: Any, targets: Any) -> Any:
    """Mean of -log softmax(logits)[target]."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits.flatten(0, -2), targets.flatten())


def weights(model: Any) -> dict[str, Any]:
    """Copies the model's weights."""
    return {name: each.clone() for name, each in model.state_dict().items()}


def set_weights(model: Any, weights: dict[str, Any]) -> None:
    """Puts back what `weights` gave."""
    model.load_state_dict(weights)


def parameters(model: Any) -> int:
    """Counts the numbers that the network has."""
    return sum(each.numel() for each in model.parameters())


def differentiate(loss: Callable[[Any, Any], Any], logits: Any, targets: Any) -> list[Any]:
    """Gives the loss, and its gradient by the logits or None, as a training step computes them."""
    import torch

    given = tensor(logits).requires_grad_()
    value = loss(given, tensor(targets))
    if not (isinstance(value, torch.Tensor) and value.requires_grad):
        return [value, None]
    (gradient,) = torch.autograd.grad(value.sum(), given, allow_unused=True)
    return [value.detach().numpy(), None if gradient is None else gradient.numpy()]


def masks(model: Any) -> list[str]:
    """Gives the names of the layers that do not read some id as a word."""
    return [
        f"{type(each).__name__} with padding_idx"
        for each in model.modules()
        if getattr(each, "padding_idx", None) is not None
    ]
