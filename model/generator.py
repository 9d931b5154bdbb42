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

from model.checks import MOST_STOPS, check_settings, never_ids, stop_ids
from model.errors import TextmillError
from model.quiet import load_tensorflow
from model.saved import SavedModel
from model.settings import GenerationSettings
from model.vocabulary import EOS, PAD

if TYPE_CHECKING:
    from model.graph import Graph

SLOTS = 64
LEAST_HISTORY = 64  # places of a history


@dataclass(frozen=True)
class Prompt:
    """What a text starts from.

    Attributes:
        id: names the prompt in the run; its random numbers hang on it.
        text: as it came; may be empty.
        settings: of this prompt; None takes the run's. Those of `RUN_WIDE` are always the run's.
        extra: what came with it, carried through to the output.
        row: where it stands in the input, for who has to find it again.
    """

    id: str
    text: str
    settings: GenerationSettings | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    row: str = ""


@dataclass(frozen=True)
class Generation:
    """One generated text.

    Attributes:
        prompt: what it continues. sample: its number from 1.
        text: the continuation; `prompt.text + text` is correctly spaced. With `echo` it is that.
        label: the one it was made with. temperature: it was drawn at.
        words: drawn tokens, `<eos>` not counted.
        finish: `eos`, `length` or `stop`.
        logprob: mean natural log-probability of the drawn tokens, `<eos>` or the stop word
            included, under the model itself: temperature 1, no rules, no filters.
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
    words: np.ndarray  # int32, of the prompt, after an EOS
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
            SettingError: see `check_settings`.
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
            own = [p.settings.within(settings) if p.settings else settings for p in batch]
            stops = {}
            for s in set(own):
                check_settings(self.model, s)
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
                        words=ids[i],
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
        continuation = self.model.vocabulary.decode(text.tokens, glued=text.glued)
        return Generation(
            prompt=text.prompt,
            sample=text.sample,
            text=text.prompt.text + continuation if text.settings.echo else continuation,
            label=text.settings.label,
            temperature=float(text.settings.temperature_of(text.sample)),
            words=len(text.tokens),
            finish=finish,
            logprob=round(text.nats / drawn, 5),
        )


class _Slots:
    """The texts being drawn: their settings on the host, and the compiled loop.

    One compiled program serves all settings: a filter's passes over the vocabulary run only while
    some slot wants it, and leave the weights of the other slots as they are, to the bit. Only the
    rules that look back over the text (penalty, n-grams) have programs of their own.
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
        self.never[list(never_ids(graph.model, settings))] = -np.inf
        # None and 0 leave the rule out of the program.
        penalty = settings.repetition_penalty
        self.penalty = np.float32(penalty) if penalty != 1 else None
        self.ngram = settings.no_repeat_ngram
        self.looks_back = self.penalty is not None or self.ngram > 0
        self.prompt_words = np.zeros(slots, np.int32)
        self.history = np.full((slots, LEAST_HISTORY), PAD, np.int32)

    def fill(self, slot: int, text: _Text) -> None:
        """Puts a text into a slot."""
        settings = text.settings
        self.h[:, slot], self.c[:, slot] = text.state[:, 0], text.state[:, 1]
        self.token[slot], self.drawn[slot] = text.words[-1], 0
        self.key[slot] = prompt_key(self.seed, text.prompt.id)
        self.sample[slot] = text.sample
        self.min_words[slot] = settings.min_words
        self.stops[slot] = EOS
        self.stops[slot, : len(text.stops)] = sorted(text.stops)
        self.temperature[slot] = settings.temperature_of(text.sample)
        self.top_k[slot], self.top_p[slot] = settings.top_k, settings.top_p
        self.min_p[slot] = settings.min_p
        if self.looks_back:
            words = text.words[1:]
            self.prompt_words[slot] = len(words)
            self.history = _as_wide(self.history, max(len(words), self.history.shape[1]))
            self.history[slot] = PAD
            # Unknown words are not known to be the same word.
            self.history[slot, self.history.shape[1] - len(words) :] = np.where(
                words > EOS, words, PAD
            )

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        """Draws `CHUNK` words in every slot: tokens int32 and log-probabilities [CHUNK, S]."""
        if self.looks_back:
            from model.graph import CHUNK

            longest = int((self.prompt_words + self.drawn).max())
            self.history = _as_wide(self.history, longest + CHUNK)
        token, h, c, drawn, history, tokens, nats = self.graph.draw_chunk(
            self.token, self.h, self.c, self.drawn, self.key, self.sample, self.min_words,
            self.stops, self.temperature, self.top_k, self.top_p, self.min_p, self.never,
            self.history if self.looks_back else (), self.penalty, self.ngram,
        )  # fmt: skip
        # Copies, as the next texts are written into them.
        self.token, self.h, self.c, self.drawn = (np.array(x) for x in (token, h, c, drawn))
        if self.looks_back:
            self.history = np.array(history)
        return tokens.numpy(), nats.numpy()


def _as_wide(history: np.ndarray, words: int) -> np.ndarray:
    """Histories [S, L] with room for so many words: L a power of two, so that programs are few."""
    width = max(LEAST_HISTORY, 1 << (words - 1).bit_length())
    kept = history[:, -width:]
    return np.pad(kept, [(0, 0), (width - kept.shape[1], 0)], constant_values=PAD)
