"""Checks that a model can follow settings: known words, a known label, something left to draw."""

from __future__ import annotations

from textmill.model.errors import SettingError
from textmill.model.network.directory import SavedModel
from textmill.model.settings import GenerationSettings
from textmill.model.text.dataset import WIDTHS
from textmill.model.text.vocabulary import EOS, PAD, UNKNOWN

MOST_STOPS = 63  # ids that end a text, beside <eos>


def check_settings(model: SavedModel, settings: GenerationSettings) -> None:
    """Refuses settings that the model cannot follow.

    Raises:
        SettingError: the model does not know a label, a stop word or a banned word, a label is
            missing, or no word is left to draw.
    """
    check_label(model, settings.label)
    stops = stop_ids(model, settings)
    undrawn = {PAD, EOS} | never_ids(model, settings)
    if settings.min_words > 0:
        undrawn |= stops
    left = len(model.vocabulary) - len(undrawn)
    if left < settings.beams:
        raise SettingError(
            "beams", f"at most {left}, the words left to choose from", settings.beams
        )
    if left == 0:
        field = "ban" if settings.ban else "stop"
        received = getattr(settings, field)
        shown = received if len(received) <= 10 else f"{len(received):,} words"
        raise SettingError(field, "fewer words, as the model has no other left to draw", shown)


def most_source(model: SavedModel) -> int:
    """Gives the most words that a source may have: twice those of training's longest."""
    return min(2 * model.longest_source, WIDTHS[-1])


def check_source(model: SavedModel, source: str | None, words: int) -> None:
    """Refuses a source that a text cannot be written from.

    Args:
        model: the model.
        source: the source, or None.
        words: number of its words.

    Raises:
        SettingError: there is none and the model needs one, or the reverse; it has no word, or too
            many.
    """
    if model.source is None:
        if source is not None:
            raise SettingError("source", "left out: the model has none", source)
    elif source is None:
        raise SettingError("source", "the text that the model writes from", None)
    elif not 0 < words <= most_source(model):
        allowed = f"a text of 1 to {most_source(model)} words"
        raise SettingError("source", allowed, f"{words} words")


def stop_ids(model: SavedModel, settings: GenerationSettings) -> frozenset[int]:
    """Gives the ids of the settings' stop words, in all their forms.

    Raises:
        SettingError: a word is not in the vocabulary, so it could never stop a text, or the words
            have more than `MOST_STOPS` forms.
    """
    ids = _ids_of(model, "stop", settings.stop)
    if len(ids) > MOST_STOPS:
        raise SettingError("stop", f"words of at most {MOST_STOPS} forms in all", settings.stop)
    return ids


def never_ids(model: SavedModel, settings: GenerationSettings) -> frozenset[int]:
    """Gives ids that are never drawn: `PAD`, `UNKNOWN` unless allowed, banned words in all forms.

    Raises:
        SettingError: a banned word is not in the vocabulary.
    """
    reserved = {PAD} if settings.unknown else {PAD, UNKNOWN}
    return _ids_of(model, "ban", settings.ban) | reserved


def _ids_of(model: SavedModel, field: str, words: tuple[str, ...]) -> frozenset[int]:
    ids: list[int] = []
    for word in words:
        known = model.vocabulary.ids_of_surface(word)
        if not known:
            raise SettingError(field, "a word of the model's vocabulary", word)
        ids += known
    return frozenset(ids)


def check_label(model: SavedModel, label: str | None) -> None:
    """Checks that the label is one of the model's, or None if the model has no labels.

    Raises:
        SettingError: it is not.
    """
    if label not in (model.labels or (None,)):
        known = ", ".join(model.labels)
        allowed = (
            f"one of the model's labels ({known})" if known else "left out: the model has none"
        )
        raise SettingError("label", allowed, label)
