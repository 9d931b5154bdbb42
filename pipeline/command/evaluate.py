"""`textmill evaluate`: a model's perplexity on texts, beside count-based baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textmill.model.errors import TextmillError, UsageError
from textmill.model.network.directory import SavedModel, load_model
from textmill.model.settings import GenerationSettings
from textmill.model.text.corpus import Corpus, CorpusSettings
from textmill.model.text.split import Part, lines_of_parts, split, tokenized_part


def evaluate(
    model_dir: str,
    paths: Sequence[str],
    *,
    part: str | None = None,
    encoding: str | None = None,
    baselines: bool = False,
    references: GenerationSettings | None = None,
    lowercase: bool = False,
) -> dict[str, Any]:
    """Perplexity, unknown-word rate and bits a character.

    Args:
        part: `all`, `train`, `valid` or `test` (90, 5 and 5 % of the texts by position). None
            means `test` where the texts are the model's own corpus or baselines are asked for,
            else `all`.
        baselines: adds a Kneser-Ney 5-gram and a unigram model, trained on the texts' first 90 %.
        references: how to write a text for each row, to be compared with the row's own; None leaves
            this out.
        lowercase: whether upper and lower case count as equal there.

    Raises:
        TextmillError: model or texts are of no use.
        UsageError: baselines would be tested on what they saw.
    """
    model = load_model(model_dir)
    known = model.training.get("corpus", {})
    if any(name not in known for name in ("encoding", "unwrap", "text", "labels", "sources")):
        raise TextmillError(
            f"{model_dir} does not say how its corpus was read, so nothing can be compared with it"
        )
    corpus = CorpusSettings(
        paths=tuple(paths),
        mode=model.mode,
        encoding=encoding or known["encoding"],
        **{name: known[name] for name in ("unwrap", "text", "labels")},
        context=tuple(known.get("context", ())),
        source=known.get("source"),
    ).read()
    own = [s["sha256"] for s in known["sources"]] == [source.sha256 for source in corpus.sources]
    part = part or ("test" if own or baselines else "all")
    if baselines and part in ("all", "train"):
        raise UsageError(f"--baselines are trained on what --part {part} holds; use test or valid")
    whole = tokenized_part(corpus, level=model.vocabulary.level, mode=model.mode)
    parts = {"all": whole} if part == "all" else split(whole)
    result = {"part": part, "own_corpus": own, **_measure(model, parts[part], corpus)}
    if baselines:
        result |= _baselines(model, parts["train"], parts[part])
    if references is not None:
        from textmill.pipeline.command.references import compared

        rows = range(len(corpus.texts))
        chosen = rows if part == "all" else lines_of_parts(len(rows), rows=True)[part].tolist()
        result |= compared(model, corpus, chosen, references, lowercase=lowercase)
    return result


def _measure(model: SavedModel, part: Part, corpus: Corpus) -> dict[str, Any]:
    from textmill.model.network.likelihood import Evaluator
    from textmill.model.network.lstm import restored

    strange = sorted(set(part.labels or ()) - set(model.labels))
    if strange:
        raise TextmillError(f"the texts have labels the model does not know: {', '.join(strange)}")
    if part.numbers is not None and part.numbers.shape[1] != model.context.numbers:
        raise TextmillError(
            f"the model starts from {model.context.numbers} numbers, the texts have "
            f"{part.numbers.shape[1]}"
        )
    likelihood = Evaluator(restored(model), model.vocabulary, model.context, model.source)(part)
    characters = part.characters(model.vocabulary.level)
    return {
        "sources": [source.name for source in corpus.sources],
        "words": likelihood.tokens,
        "characters": characters,
        "unknown_rate": round(part.unknown_rate(model.vocabulary), 5),
        "perplexity": round(likelihood.perplexity, 3),
        "bits_a_character": round(likelihood.bits_a_character(characters), 4),
    }


def _baselines(model: SavedModel, train: Part, test: Part) -> dict[str, Any]:
    from textmill.model.training.baselines import kneser_ney, unigram

    characters = test.characters(model.vocabulary.level)
    rows: dict[str, Any] = {}
    for name, baseline in (("kneser_ney_5gram", kneser_ney), ("unigram", unigram)):
        likelihood = baseline(train, test, model.vocabulary)
        rows[f"{name}_perplexity"] = round(likelihood.perplexity, 3)
        rows[f"{name}_bits_a_character"] = round(likelihood.bits_a_character(characters), 4)
    return rows
