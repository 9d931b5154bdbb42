"""What a training tells: lines while it runs, and what training.json holds of it."""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from textmill.model.machine import cores, cpu_kind, gpus, uses_cudnn
from textmill.model.network.context import Context
from textmill.model.network.directory import SavedModel
from textmill.model.text.corpus import Corpus, CorpusSettings
from textmill.model.text.split import Part
from textmill.model.text.vocabulary import Vocabulary
from textmill.model.training.recipe import Recipe

if TYPE_CHECKING:
    from textmill.model.network.lstm import LanguageModel
    from textmill.model.training.fit import History


def device_line() -> str:
    """Says in one line what Keras computes on."""
    import keras

    found = gpus()
    device = f"{found} GPU" if found else "the CPU (no GPU found)"
    return f"training on {device} with Keras on {keras.backend.backend()}"


def fused_line(network: Any) -> str:
    """Says in one line whether the LSTM layers run in cuDNN's fused kernel."""
    if uses_cudnn(lambda ids: network.features(ids, network.initial_state(1), training=True)):
        return "the LSTM layers run in cuDNN's fused kernel"
    return "the LSTM layers do not run in cuDNN's fused kernel: training is several times slower"


def recipe_line(recipe: Recipe) -> str:
    """Says in one line what is trained, and with which regularisation."""
    return (
        f"LSTM of {recipe.layers} x {recipe.hidden}, embedding {recipe.embedding}; dropout "
        f"{recipe.dropout:g}, of weights {recipe.weight_drop:g}, of words {recipe.word_dropout:g}; "
        f"penalties {recipe.activation_penalty:g} and {recipe.slowness_penalty:g}; rate "
        f"{recipe.learning_rate:g}"
    )


def metrics(
    network: LanguageModel,
    history: History,
    *,
    parts: dict[str, Part],
    vocabulary: Vocabulary,
    context: Context,
    source: Vocabulary | None,
) -> dict[str, Any]:
    """Measures the test part in float32, the precision of a saved model.

    Args:
        network: the trained network.
        history: what happened in the training.
        parts: `train`, `valid` and `test`.
        vocabulary: of the texts.
        context: how labels and numbers become the network's context vector.
        source: the vocabulary of the sources, if there are some.
    """
    from textmill.model.network.likelihood import Evaluator
    from textmill.model.network.lstm import LanguageModel

    if network.precision != "float32":
        judged = LanguageModel(network.settings)
        judged.build()
        judged.assign_arrays(network.arrays())
        network = judged
    test = Evaluator(network, vocabulary, context, source)(parts["test"])
    return {
        "train_words": parts["train"].tokens,
        "vocabulary": len(vocabulary),
        "valid_perplexity": round(history.best_perplexity, 3),
        "test_perplexity": round(test.perplexity, 3),
        "test_words": test.tokens,
        "test_unknown_rate": round(parts["test"].unknown_rate(vocabulary), 5),
        "test_bits_a_character": round(
            test.bits_a_character(parts["test"].characters(vocabulary.level)), 4
        ),
        "epochs": round(history.epochs, 2),
        "seconds": round(history.seconds, 1),
        "words_a_second": round(history.words / max(history.seconds, 1e-9)),
        "share_of_time_waiting_for_data": round(
            history.feed_seconds / max(history.seconds, 1e-9), 4
        ),
        "stopped": history.stopped,
    }


def made_by() -> dict[str, Any]:
    """Gives the versions and the machine."""
    import keras

    return {
        "versions": {
            "textmill": importlib.metadata.version("textmill"),
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
        },
        "machine": f"{cpu_kind()}, {cores()} cores, {gpus()} GPUs",
    }


def corpus_record(settings: CorpusSettings, corpus: Corpus) -> dict[str, Any]:
    """Gives what training.json says of the corpus."""
    record = asdict(settings)
    del record["paths"]  # names of folders are private
    for field in ("context", "source"):
        if not record[field]:
            del record[field]
    sources = [asdict(source) for source in corpus.sources]
    return {**record, "sources": sources, "skipped": corpus.skipped}


def origin(model: SavedModel) -> dict[str, Any]:
    """Gives what training.json says of the model that a training began from."""
    return {"fingerprint": model.fingerprint, "corpus": model.training.get("corpus")}
