"""Real rows written anew: a denoising autoencoder, with noise on the state between its halves.

The source of a row is the row itself with words dropped and moved a little (Lample et al. 2018,
"Unsupervised machine translation using monolingual corpora only", 3.3). A model learns to write the
row from it, with the row's label. To write a row anew, noise is added to the state that the source
ends in, so that the text is near the row and another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from textmill.model.generation.own_process import WriterProcess
from textmill.model.network.directory import SavedModel
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.pipeline.augment.edits import Candidate
from textmill.pipeline.augment.filters import judged
from textmill.pipeline.augment.table import Rows

DROPPED = 0.1  # share of words that are dropped; the authors' choice
MOVED = 3  # a word moves fewer places than this; the authors' choice
# Standard deviations of the noise that are tried, and what the classifiers' agreement may lose.
LEVELS, LOST = (0.0, 0.1, 0.2, 0.4, 0.8), 0.02
_MEASURED = 200  # rows that are written at each level


def noisy(text: str, seed: int, name: str) -> str:
    """Drops words of a text and moves the others a little; one word stays at least.

    Args:
        text: the text, of which words are what stands between spaces; without spaces, characters.
        seed: of the run.
        name: of the variant; the same one gives the same result.
    """
    mark = " " if " " in text else ""
    words = text.split() if mark else list(text)
    digest = hashlib.blake2b(f"{seed}\n{name}\n{text}".encode(), digest_size=16).digest()
    random = np.random.default_rng(int.from_bytes(digest, "little"))
    places = np.arange(len(words)) + random.uniform(0, MOVED, len(words))
    kept = random.random(len(words)) >= DROPPED
    if not kept.any():
        kept[random.integers(len(words))] = True
    return mark.join(words[i] for i in np.argsort(places, kind="stable") if kept[i])


def measured_noise(model: SavedModel, rows: Rows, judges: Sequence[Any], seed: int) -> float:
    """Finds how much noise on the state leaves texts their label.

    It writes some rows anew at each level, and takes the highest one at which the classifiers agree
    with the label nearly as often as without noise.

    Args:
        model: the model that writes rows anew.
        rows: the real rows.
        judges: classifiers of the rows, from `judge.judges`.
        seed: of the run.
    """
    chosen = np.random.default_rng(seed).permutation(len(rows.texts))[:_MEASURED]
    usual = GenerationSettings(label=model.labels[0], seed=seed)
    best, first = 0.0, None
    writer = WriterProcess(model)
    try:
        for level in LEVELS:
            prompts = [
                Prompt(
                    f"{i}", "", GenerationSettings(label=rows.labels[i], temperatures=(0.8,)),
                    source=noisy(rows.texts[i], seed, f"{i} measured"),
                )
                for i in map(int, chosen)
            ]  # fmt: skip
            settings = GenerationSettings(label=usual.label, seed=seed, state_noise=level)
            found = [
                Candidate(g.text.strip() or " ", str(g.label), "", int(g.prompt.id))
                for g in writer.generate(prompts, settings)
            ]
            names, p = judged(found, judges)
            pairs = zip(found, p.argmax(axis=1), strict=True)
            agreed = float(np.mean([candidate.label == names[best] for candidate, best in pairs]))
            first = agreed if first is None else first
            if agreed < first - LOST:
                break
            best = level
    finally:
        writer.close()
    return best
