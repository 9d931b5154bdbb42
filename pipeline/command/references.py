"""Compares a model's own texts with the texts that rows have: BLEU, chrF, exact match, length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from textmill.model.errors import TextmillError, UsageError
from textmill.model.network.directory import SavedModel
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.model.text.corpus import Corpus
from textmill.pipeline.api.trained_model import Model


def compared(
    model: SavedModel,
    corpus: Corpus,
    rows: Sequence[int],
    settings: GenerationSettings,
    *,
    lowercase: bool = False,
) -> dict[str, Any]:
    """Writes a text for each row and compares it with the row's own.

    Args:
        model: the model.
        corpus: rows with what texts start from.
        rows: the numbers of those to write.
        settings: how they are written, one text for each.
        lowercase: whether upper and lower case count as equal.

    Returns:
        BLEU and chrF of the whole set by sacrebleu, in percent (BLEU with its tokenisation 13a);
        the share of texts that are equal, but for white space; and the words of all texts divided
        by those of the rows.

    Raises:
        TextmillError: sacrebleu is not installed, or a row cannot be written.
        UsageError: the model starts its texts from nothing.
    """
    if not (model.labels or model.columns or model.source):
        raise UsageError(
            "--references compares texts that start from a row; this model was trained without "
            "--label, --context and --source"
        )
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise TextmillError(
            "--references needs sacrebleu: pip install 'textmill[report]'"
        ) from None
    prompts = [_prompt(corpus, i, settings) for i in rows]
    with Model(model) as writer:
        texts = [one_line(found.text) for found in writer.each(prompts, settings)]
    wanted = [one_line(corpus.texts[i]) for i in rows]
    bleu = BLEU(lowercase=lowercase)
    score = bleu.corpus_score(texts, [wanted])
    if lowercase:
        texts, wanted = ([text.lower() for text in some] for some in (texts, wanted))
    equal = sum(a == b for a, b in zip(texts, wanted, strict=True))
    lengths = [sum(len(text.split()) for text in some) for some in (texts, wanted)]
    return {
        "texts": len(texts),
        "bleu": round(score.score, 2),
        "chrf": round(CHRF(lowercase=lowercase).corpus_score(texts, [wanted]).score, 2),
        "exact_match": round(equal / len(texts), 5),
        "length_ratio": round(lengths[0] / max(lengths[1], 1), 4),
        "bleu_signature": str(bleu.get_signature()),
    }


def one_line(text: str) -> str:
    """Gives a text with single spaces."""
    return " ".join(text.split())


def _prompt(corpus: Corpus, row: int, settings: GenerationSettings) -> Prompt:
    label = None if corpus.labels is None else corpus.labels[row]
    return Prompt(
        id=str(row),
        text="",
        settings=None if label is None else replace(settings, label=label),
        context=None if corpus.numbers is None else corpus.numbers[row],
        source=None if corpus.sources_of_texts is None else corpus.sources_of_texts[row],
    )
