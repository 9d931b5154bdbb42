"""What the notebook shows of a network's layers, in PyTorch: see `reach` and `inside`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from lab.language import say
from lab.notebook.inside import NoLstmError
from lab.notebook.reach import cut
from lab.notebook.unrolled import Gradients, Weights
from lab.sandbox.torch_networks import run, tensor, units_of


class Network(nn.Module):
    """A model as exercise 4 demands it, without dropout; a plain network passes c through.

    Args:
        kind: "LSTM" or "RNN", h' = tanh(x W + h U + b).
        size: V.
        embedding: size of a word's vector.
        units: of the layer.
    """

    def __init__(self, kind: str, size: int, embedding: int, units: int):
        super().__init__()
        layers = {"LSTM": nn.LSTM, "RNN": nn.RNN}
        if kind not in layers:
            raise ValueError(say(f"the kind is 'LSTM' or 'RNN', not {kind!r}"))
        self.kind = kind
        self.vectors = nn.Embedding(size, embedding)
        self.recurrent = layers[kind](embedding, units, batch_first=True)
        self.logits = nn.Linear(units, size)
        if kind == "LSTM":  # as Keras begins: what is in c is kept until the network learns more
            nn.init.ones_(self.recurrent.bias_ih_l0.data[units : 2 * units])

    def read(self, x: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
        """Reads vectors [B, T, X]; gives the outputs [B, T, H], h and c."""
        if self.kind == "LSTM":
            x, (h, c) = self.recurrent(x, (h[None], c[None]))
            return x, h[0], c[0]
        x, h = self.recurrent(x, h[None])
        return x, h[0], c

    def forward(self, ids: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
        """Gives logits, h and c."""
        x, h, c = self.read(self.vectors(ids), h, c)
        return self.logits(x), h, c


def build(kind: str, size: int, embedding: int, units: int, *, seed: int) -> Network:
    """Makes a network whose first weights are drawn by a seed."""
    torch.manual_seed(seed)
    return Network(kind, size, embedding, units)


def reach(model: Network, ids: np.ndarray, steps: int) -> np.ndarray:
    """Measures |d loss_t / d h_(t-k)| for k = 0, 1, ..., `steps`.

    Arguments and result are those of `lab.notebook.reach.reach`.
    """
    words = tensor(cut(ids, steps))
    vectors = model.vectors(words)
    h = c = torch.zeros(len(words), units_of(model))
    states = []
    for t in range(steps + 1):
        _, h, c = model.read(vectors[:, t : t + 1], h, c)
        states.append(h)
    loss = cross_entropy(model.logits(h), words[:, -1], reduction="sum")
    found = torch.stack(torch.autograd.grad(loss, states)).norm(dim=-1)
    return found.numpy().astype(np.float64)[::-1].T


def weights_of(layer: nn.LSTM) -> Weights:
    """Gives a layer's weights, in float64; the parts stand in the order of `unrolled`."""
    kernel, recurrent, *biases = (each.detach().numpy().astype(np.float64) for each in
                                  layer.parameters())  # fmt: skip
    return Weights(kernel.T, recurrent.T, np.sum([np.zeros(len(kernel)), *biases], axis=0))


def overheard(model: nn.Module, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, Weights]:
    """Reads a text [N] from zeros; gives what the LSTM read [N, X], its h [N, H] and its weights.

    Raises:
        NoLstmError: there is no `nn.LSTM` of one layer, or several, or it was not called once.
    """
    found = [each for each in model.modules() if isinstance(each, nn.LSTM)]
    if len(found) != 1 or found[0].num_layers != 1 or found[0].bidirectional:
        raise NoLstmError(say("there is not one nn.LSTM of one layer in this model"))
    (layer,) = found
    heard: list[Any] = []
    hook = layer.register_forward_hook(lambda _, given, out: heard.append((given[0], out[0])))
    state = np.zeros((1, units_of(model)))
    try:
        run(model, [np.asarray(ids)[None], state, state])
    finally:
        hook.remove()
    if len(heard) != 1:
        raise NoLstmError(say(f"the LSTM layer was called {len(heard)} times for one text"))
    xs, shown = (each[0].numpy() for each in heard[0])
    return xs, shown, weights_of(layer)


def weights_and_vectors(model: Network, ids: np.ndarray) -> tuple[Weights, np.ndarray]:
    """Gives the weights of an LSTM that `build` made, and the vectors of some words [N, X]."""
    vectors = model.vectors(tensor(ids)).detach().numpy().astype(np.float64)
    return weights_of(model.recurrent), vectors


def by_differentiation(
    weights: Weights, xs: np.ndarray, h: np.ndarray, c: np.ndarray, aim: np.ndarray
) -> Gradients:
    """Lets torch.autograd differentiate nn.LSTM: L = |h_T - aim|^2 / 2 after T steps.

    Arguments and result are those of `lab.notebook.reach.by_differentiation`.
    """
    layer = nn.LSTM(xs.shape[1], len(h), batch_first=True).double()
    for parameter, value in zip(
        layer.parameters(),
        (weights.kernel.T, weights.recurrent.T, weights.bias, np.zeros_like(weights.bias)),
        strict=True,
    ):
        parameter.data = torch.tensor(value)
    inputs, start_h, start_c = (torch.tensor(each[None], requires_grad=True) for each in (xs, h, c))
    last = layer(inputs, (start_h[None], start_c[None]))[0][0, -1]
    loss = ((last - torch.tensor(aim)) ** 2).sum() / 2
    by_weights = list(layer.parameters())[:3]
    found = torch.autograd.grad(loss, [*by_weights, inputs, start_h, start_c])
    kernel, recurrent, bias, x, dh, dc = (each.numpy() for each in found)
    return Gradients(kernel.T, recurrent.T, bias, x[0], dh[0], dc[0])
