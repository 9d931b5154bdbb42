"""The plain LSTM of PyTorch's word-language-model example, to hold `wikitext2.py` against.

    python benchmarks/wikitext2_torch.py --ids wt2.npz --minutes 60 [--threads 2]

As there by default, with --tied: two layers of 200, dropout 0.2, batches of 20 x 35, plain SGD with
the rate 20, a quarter of it after an epoch that brings no better validation perplexity, gradients
clipped at 0.25. The time counts from the start of training, validations included; where it ends
within an epoch, what is there is validated once more.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch
from table import print_table
from torch import nn

UNITS, LAYERS, DROPOUT, BATCH, STEPS, RATE, CLIP = 200, 2, 0.2, 20, 35, 20.0, 0.25


class Plain(nn.Module):
    """Embedding, LSTM layers, tied output."""

    def __init__(self, words: int):
        super().__init__()
        self.drop = nn.Dropout(DROPOUT)
        self.embedding = nn.Embedding(words, UNITS)
        self.lstm = nn.LSTM(UNITS, UNITS, LAYERS, dropout=DROPOUT)
        self.output = nn.Linear(UNITS, words)
        self.output.weight = self.embedding.weight
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.zeros_(self.output.bias)

    def forward(self, ids, state):
        """Logits [T B, V] and the state after, for ids [T, B]."""
        hidden, state = self.lstm(self.drop(self.embedding(ids)), state)
        return self.output(self.drop(hidden)).flatten(0, 1), state


def columns(ids: np.ndarray, batch: int) -> torch.Tensor:
    """Cuts ids into streams side by side, [T, B]."""
    length = len(ids) // batch
    return torch.from_numpy(ids[: length * batch].reshape(batch, length).T.astype(np.int64))


def perplexity(model: Plain, ids: torch.Tensor) -> float:
    """Perplexity of all words except the first of each stream."""
    model.eval()
    nats, state = 0.0, None
    with torch.no_grad():
        for i in range(0, len(ids) - 1, STEPS):
            window = ids[i : i + STEPS + 1]
            logits, state = model(window[:-1], state)
            loss = nn.functional.cross_entropy(logits, window[1:].flatten(), reduction="sum")
            nats += loss.item()
    model.train()
    return math.exp(nats / ids[1:].numel())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ids", required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    with np.load(args.ids) as file:
        words = len(file["words"])
        train, valid = columns(file["train"], BATCH), columns(file["valid"], 10)
    model = Plain(words)
    rate, best, trained, epochs = RATE, math.inf, 0, 0.0
    started = time.monotonic()
    end = started + args.minutes * 60
    while time.monotonic() < end:
        state = None
        for i in range(0, len(train) - 1, STEPS):
            window = train[i : i + STEPS + 1]
            logits, state = model(window[:-1], state)
            state = tuple(part.detach() for part in state)
            model.zero_grad()
            nn.functional.cross_entropy(logits, window[1:].flatten()).backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= rate * parameter.grad
            trained += window[1:].numel()
            epochs += STEPS / len(train)
            if time.monotonic() >= end:
                break
        found = perplexity(model, valid)
        seconds = time.monotonic() - started
        print(f"{seconds:6.0f} s  epoch {epochs:.2f}  rate {rate:g}  {found:.2f}", flush=True)
        if found >= best:
            rate /= 4
        best = min(best, found)
    print_table(
        [
            ("validation perplexity of PyTorch's plain LSTM", f"{best:.2f}"),
            ("epochs", f"{epochs:.2f}"),
            ("minutes", f"{seconds / 60:.1f}"),
            ("words/s, validations included", f"{trained / seconds:,.0f}"),
            ("threads", str(args.threads)),
        ]
    )


if __name__ == "__main__":
    main()
