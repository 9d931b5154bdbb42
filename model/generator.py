"""Prompts in, generations out: one compiled step loop over a fixed number of slots.

Each slot carries the LSTM state of one text. A prompt is read once, its state copied to the slots
of its samples, and no prefix is ever run again. A slot whose text has ended is given the next one,
so long and short texts do not wait for each other.

The random numbers of a text depend on (seed, prompt id, sample number, position) alone, and with
XLA, a fixed number of slots and one intra-op thread a row's logits are the same bits whatever
stands in the other rows: so is the text.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from model.errors import SettingError, TextmillError
from model.quiet import load_tensorflow
from model.saved import SavedModel
from model.settings import GenerationSettings
from model.vocabulary import EOS, PAD, UNKNOWN

if TYPE_CHECKING:
    from model.graph import Graph

SLOTS = 64
MOST_STOPS = 63  # ids that end a text, beside <eos>


@dataclass(frozen=True)
class Prompt:
    """What a text starts from.

    Attributes:
        id: names the prompt in the run; its random numbers hang on it.
        text: as it came; may be empty.
        settings: of this prompt; None takes the run's. Seed and `unknown` are always the run's.
        extra: what came with it, carried through to the output.
    """

    id: str
    text: str
    settings: GenerationSettings | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Generation:
    """One generated text.

    Attributes:
        prompt: what it continues. sample: its number from 1.
        text: the continuation; `prompt.text + text` is correctly spaced.
        label: the one it was made with. temperature: it was drawn at.
        words: drawn tokens, `<eos>` not counted.
        finish: `eos`, `length` or `stop`.
        logprob: mean natural log-probability of the drawn tokens, `<eos>` or the stop word
            included, under the model itself: temperature 1, no filters.
    """

    prompt: Prompt
    sample: int
    text: str
    label: str | None
    temperature: float
    words: int
    finish: str
    logprob: float


def use_one_thread() -> None:
    """Sets TensorFlow to one intra-op thread, on which equal bits depend, and GPUs to grow.

    Call it before TensorFlow computes anything in the process.

    Raises:
        TextmillError: TensorFlow runs already, with other threads.
    """
    # Texts are TensorFlow's work, whatever backend a model is trained on.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    load_tensorflow()
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:
        if tf.config.threading.get_intra_op_parallelism_threads() != 1:
            raise TextmillError(
                "TensorFlow already runs in this process with several threads, which would change "
                "the texts; generate in a process of its own"
            ) from None


def stop_ids(model: SavedModel, settings: GenerationSettings) -> frozenset[int]:
    """Ids of the settings' stop words, in all their forms.

    Raises:
        SettingError: a word that the vocabulary does not hold, which could never stop a text, or
            words of more than `MOST_STOPS` forms.
    """
    ids: list[int] = []
    for word in settings.stop:
        known = model.vocabulary.ids_of_surface(word)
        if not known:
            raise SettingError("stop", "a word of the model's vocabulary", word)
        ids += known
    if len(set(ids)) > MOST_STOPS:
        raise SettingError("stop", f"words of at most {MOST_STOPS} forms in all", settings.stop)
    return frozenset(ids)


def check_label(model: SavedModel, label: str | None) -> None:
    """Refuses a label that the model does not have, or none where it was trained with labels.

    Raises:
        SettingError: as said.
    """
    if label is None and model.labels:
        raise SettingError(
            "label", f"given, as the model has labels: {', '.join(model.labels)}", None
        )
    if label not in (model.labels or (None,)):
        known = ", ".join(model.labels)
        allowed = (
            f"one of the model's labels ({known})" if known else "left out: the model has none"
        )
        raise SettingError("label", allowed, label)


def prompt_key(seed: int, prompt_id: str) -> tuple[int, int]:
    """The 64-bit key of a prompt's random numbers, as two 32-bit words."""
    digest = hashlib.blake2b(f"{seed}\n{prompt_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


@dataclass
class _Text:
    """A text to be drawn, or being drawn, in a slot."""

    number: int  # position among all texts asked for
    prompt: Prompt
    settings: GenerationSettings
    stops: frozenset[int]
    sample: int
    glued: bool
    token: int
    state: np.ndarray  # [layers, 2, H]
    tokens: list[int]
    nats: float = 0.0


class Generator:
    """Draws texts from a saved model.

    Args:
        model: from `load_model`.
        slots: S, texts drawn at a time. 64, 128 and 256 give the same bits; with few slots XLA
            takes other kernels, whose last bits differ, so every command uses `SLOTS`.
    """

    def __init__(self, model: SavedModel, *, slots: int = SLOTS):
        self.model, self.slots = model, slots
        from model.graph import Graph

        self._graph = Graph(model, slots)

    def generate(
        self, prompts: Iterable[Prompt], settings: GenerationSettings
    ) -> Iterator[Generation]:
        """Texts in the order of the prompts, for each as many as its settings say.

        Prompts are taken as slots become free, so the iterable may be long.

        Raises:
            SettingError: a stop word or a label that the model does not know, or no label where
                it needs one.
        """
        waiting = self._texts(prompts, settings)
        running: list[_Text | None] = [None] * self.slots
        done: dict[int, Generation] = {}
        next_out = 0
        slots = _Slots(self._graph, settings)
        while True:
            for slot in range(self.slots):
                if running[slot] is None:
                    text = next(waiting, None)
                    if text is None:
                        break
                    running[slot] = text
                    slots.fill(slot, text)
            if not any(running):
                break
            tokens, nats = slots.draw()
            for slot, text in enumerate(running):
                if text is None:
                    continue
                ended = self._take(text, tokens[:, slot], nats[:, slot])
                if ended is not None:
                    done[text.number] = ended
                    running[slot] = None
            while next_out in done:
                yield done.pop(next_out)
                next_out += 1

    def _texts(self, prompts: Iterable[Prompt], settings: GenerationSettings) -> Iterator[_Text]:
        """Reads prompts, S at a time, and gives a text for each of their samples."""
        source, number = iter(prompts), 0
        while batch := [p for _, p in zip(range(self.slots), source, strict=False)]:
            encoded = self.model.vocabulary.encode_prompts([prompt.text for prompt in batch])
            own = [prompt.settings or settings for prompt in batch]
            stops = {}
            for s in set(own):
                check_label(self.model, s.label)
                stops[s] = stop_ids(self.model, s)
            # The last word is not read but fed to the first drawing step, which needs its logits.
            ids = [np.concatenate([[EOS], words]).astype(np.int32) for words, _ in encoded]
            states = self._graph.read([words[:-1] for words in ids], [s.label for s in own])
            for i, prompt in enumerate(batch):
                for sample in range(1, own[i].texts + 1):
                    yield _Text(
                        number=number,
                        prompt=prompt,
                        settings=own[i],
                        stops=stops[own[i]],
                        sample=sample,
                        glued=encoded[i][1],
                        token=int(ids[i][-1]),
                        state=states[i],
                        tokens=[],
                    )
                    number += 1

    def _take(self, text: _Text, tokens: np.ndarray, nats: np.ndarray) -> Generation | None:
        """Adds a slot's newly drawn tokens to its text; the generation, if that ends it."""
        for token, nat in zip(tokens.tolist(), nats.tolist(), strict=True):
            text.nats += nat
            if token == EOS:
                return self._finish(text, "eos")
            if token in text.stops:
                return self._finish(text, "stop")
            text.tokens.append(token)
            if len(text.tokens) == text.settings.max_words:
                return self._finish(text, "length")
        return None

    def _finish(self, text: _Text, finish: str) -> Generation:
        drawn = len(text.tokens) + (finish != "length")
        return Generation(
            prompt=text.prompt,
            sample=text.sample,
            text=self.model.vocabulary.decode(text.tokens, glued=text.glued),
            label=text.settings.label,
            temperature=float(text.settings.temperature_of(text.sample)),
            words=len(text.tokens),
            finish=finish,
            logprob=round(text.nats / drawn, 5),
        )


class _Slots:
    """The texts being drawn: their settings on the host, and the compiled loop.

    One compiled program serves all settings: a filter's passes over the vocabulary run only while
    some slot wants it, and leave the weights of the other slots as they are, to the bit.
    """

    def __init__(self, graph: Graph, settings: GenerationSettings):
        self.graph, self.seed = graph, settings.seed
        slots, shape = graph.slots, (graph.layers, graph.slots, graph.hidden)
        self.h, self.c = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.token = np.full(slots, EOS, np.int32)
        self.drawn = np.zeros(slots, np.int32)
        self.key = np.zeros((slots, 2), np.uint32)
        self.sample = np.zeros(slots, np.uint32)
        self.min_words = np.zeros(slots, np.int32)
        self.stops = np.full((slots, MOST_STOPS + 1), EOS, np.int32)
        self.temperature = np.ones(slots, np.float32)
        self.top_k = np.zeros(slots, np.int32)
        self.top_p = np.ones(slots, np.float32)
        self.min_p = np.zeros(slots, np.float32)
        # Added to the logits.
        self.never = np.zeros(graph.model.network.vocabulary, np.float32)
        self.never[[PAD] if settings.unknown else [PAD, UNKNOWN]] = -np.inf

    def fill(self, slot: int, text: _Text) -> None:
        """Puts a text into a slot."""
        settings = text.settings
        self.h[:, slot], self.c[:, slot] = text.state[:, 0], text.state[:, 1]
        self.token[slot], self.drawn[slot] = text.token, 0
        self.key[slot] = prompt_key(self.seed, text.prompt.id)
        self.sample[slot] = text.sample
        self.min_words[slot] = settings.min_words
        self.stops[slot] = EOS
        self.stops[slot, : len(text.stops)] = sorted(text.stops)
        self.temperature[slot] = settings.temperature_of(text.sample)
        self.top_k[slot], self.top_p[slot] = settings.top_k, settings.top_p
        self.min_p[slot] = settings.min_p

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        """Draws `CHUNK` words in every slot: tokens int32 and log-probabilities [CHUNK, S]."""
        token, h, c, drawn, tokens, nats = self.graph.draw_chunk(
            self.token, self.h, self.c, self.drawn, self.key, self.sample, self.min_words,
            self.stops, self.temperature, self.top_k, self.top_p, self.min_p, self.never,
        )  # fmt: skip
        # Copies, as the next texts are written into them.
        self.token, self.h, self.c, self.drawn = (np.array(x) for x in (token, h, c, drawn))
        return tokens.numpy(), nats.numpy()
