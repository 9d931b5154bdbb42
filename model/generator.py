"""Prompts in, generations out: one compiled step loop over a fixed number of slots.

Each slot carries the LSTM state of one text. A prompt is read once, its state copied to the slots
of its samples, and no prefix is ever run again. A slot whose text has ended is given the next one,
so long and short texts do not wait for each other.

The random numbers of a text depend on (seed, prompt id, sample number, position) alone, and with
XLA, a fixed number of slots and one intra-op thread a row's logits are the same bits whatever
stands in the other rows: so is the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.errors import SettingError, TextmillError
from model.quiet import load_tensorflow
from model.saved import SavedModel
from model.settings import GenerationSettings
from model.vocabulary import EOS, PAD, UNKNOWN

SLOTS = 64
_READ = 16  # prompt words read in one call
_CHUNK = 4  # steps drawn in one call, between which slots are refilled


@dataclass(frozen=True)
class Prompt:
    """What a text starts from.

    Attributes:
        id: names the prompt in the run; its random numbers hang on it.
        text: as it came; may be empty.
        label: for a model trained with labels; None takes the settings' label.
    """

    id: str
    text: str
    label: str | None = None


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
            included, under the model itself: temperature 1, no filters. 0.0 where none was drawn.
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
        SettingError: a word that the vocabulary does not hold, which could never stop a text.
    """
    ids: list[int] = []
    for word in settings.stop:
        known = model.vocabulary.ids_of_surface(word)
        if not known:
            raise SettingError("stop", "a word of the model's vocabulary", word)
        ids += known
    return frozenset(ids)


def check_label(model: SavedModel, label: str | None) -> None:
    """Refuses a label that the model does not have, or none where it was trained with labels.

    Raises:
        SettingError: as said.
    """
    if label not in (model.labels or (None,)):
        known = ", ".join(model.labels)
        allowed = (
            f"one of the model's labels ({known})" if known else "left out: the model has none"
        )
        raise SettingError("label", allowed, label)


@dataclass
class _Text:
    """A text to be drawn, or being drawn, in a slot."""

    number: int  # position among all texts asked for
    prompt: Prompt
    sample: int
    label: str | None
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
        self._graph = _Graph(model, slots)

    def generate(
        self, prompts: Iterable[Prompt], settings: GenerationSettings
    ) -> Iterator[Generation]:
        """Texts in the order of the prompts, `settings.texts` for each.

        Prompts are taken as slots become free, so the iterable may be long.

        Raises:
            SettingError: a stop word or a label that the model does not know, or no label where
                it needs one.
        """
        stops = stop_ids(self.model, settings)
        waiting = self._texts(prompts, settings)
        running: list[_Text | None] = [None] * self.slots
        done: dict[int, Generation] = {}
        next_out = 0
        draw = self._graph.drawer(settings)
        draw.reset()
        while True:
            for slot in range(self.slots):
                if running[slot] is None:
                    text = next(waiting, None)
                    if text is None:
                        break
                    running[slot] = text
                    draw.fill(slot, text, settings)
            if not any(running):
                break
            tokens, nats = draw.chunk()
            for slot, text in enumerate(running):
                if text is None:
                    continue
                ended = self._take(text, tokens[:, slot], nats[:, slot], settings, stops)
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
            labels = [settings.label if p.label is None else p.label for p in batch]
            for label in set(labels):
                check_label(self.model, label)
            # The last word is not read but fed to the first drawing step, which needs its logits.
            ids = [np.concatenate([[EOS], words]).astype(np.int32) for words, _ in encoded]
            states = self._graph.read([words[:-1] for words in ids], labels)
            for i, prompt in enumerate(batch):
                for sample in range(1, settings.texts + 1):
                    yield _Text(
                        number=number,
                        prompt=prompt,
                        sample=sample,
                        label=labels[i],
                        glued=encoded[i][1],
                        token=int(ids[i][-1]),
                        state=states[i],
                        tokens=[],
                    )
                    number += 1

    def _take(
        self,
        text: _Text,
        tokens: np.ndarray,
        nats: np.ndarray,
        settings: GenerationSettings,
        stops: frozenset[int],
    ) -> Generation | None:
        """Adds a slot's newly drawn tokens to its text; the generation, if that ends it."""
        for token, nat in zip(tokens.tolist(), nats.tolist(), strict=True):
            text.nats += nat
            if token == EOS:
                return self._finish(text, "eos", settings)
            if token in stops:
                return self._finish(text, "stop", settings)
            text.tokens.append(token)
            if len(text.tokens) == settings.max_words:
                return self._finish(text, "length", settings)
        return None

    def _finish(self, text: _Text, finish: str, settings: GenerationSettings) -> Generation:
        drawn = len(text.tokens) + (finish != "length")
        return Generation(
            prompt=text.prompt,
            sample=text.sample,
            text=self.model.vocabulary.decode(text.tokens, glued=text.glued),
            label=text.label,
            temperature=float(settings.temperature_of(text.sample)),
            words=len(text.tokens),
            finish=finish,
            logprob=round(text.nats / drawn, 5),
        )


class _Graph:
    """The network in TensorFlow, compiled for S slots. Gates stand in Keras's order i, f, c, o."""

    def __init__(self, model: SavedModel, slots: int):
        import tensorflow as tf

        self.tf, self.model, self.slots = tf, model, slots
        self.layers, self.hidden = model.network.layers, model.network.hidden
        self.weights = {name: tf.constant(array) for name, array in model.arrays.items()}
        self.read_chunk = tf.function(self._read_chunk, jit_compile=True, autograph=False)

    def step(self, tokens: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
        """One time step.

        Args:
            tokens: int32 [S]. h, c: float32 [layers, S, H].

        Returns:
            The last layer's output [S, H], and h and c after the step.
        """
        tf, w = self.tf, self.weights
        x = tf.gather(w["embedding"], tokens)
        new_h, new_c = [], []
        for i in range(self.layers):
            z = tf.matmul(x, w[f"lstm_{i}_kernel"]) + tf.matmul(h[i], w[f"lstm_{i}_recurrent"])
            gates = tf.split(z + w[f"lstm_{i}_bias"], 4, axis=1)
            cell = tf.sigmoid(gates[1]) * c[i] + tf.sigmoid(gates[0]) * tf.tanh(gates[2])
            x = tf.sigmoid(gates[3]) * tf.tanh(cell)
            new_h.append(x)
            new_c.append(cell)
        return x, tf.stack(new_h), tf.stack(new_c)

    def logits(self, output: Any) -> Any:
        """Logits [S, V] of the last layer's output."""
        tf, w = self.tf, self.weights
        if "projection" in w:
            output = tf.matmul(output, w["projection"])
        return tf.matmul(output, w["embedding"], transpose_b=True) + w["output_bias"]

    def start(self, label: str | None) -> np.ndarray:
        """The state [layers, 2, H] before the first word."""
        if label is None:
            return np.zeros((self.layers, 2, self.hidden), np.float32)
        arrays = self.model.arrays
        row = arrays["context_kernel"][self.model.labels.index(label)] + arrays["context_bias"]
        state = row.reshape(self.layers, 2, self.hidden).copy()
        state[:, 0] = np.tanh(state[:, 0])
        return state

    def read(self, ids: list[np.ndarray], labels: list[str | None]) -> np.ndarray:
        """States [prompts, layers, 2, H] after reading up to S prompts."""
        start = np.zeros((self.slots, self.layers, 2, self.hidden), np.float32)
        for row, label in enumerate(labels):
            start[row] = self.start(label)
        h, c = (np.ascontiguousarray(start[:, :, i].transpose(1, 0, 2)) for i in (0, 1))
        lengths = np.zeros(self.slots, np.int32)
        lengths[: len(ids)] = [len(row) for row in ids]
        for begin in range(0, int(lengths.max(initial=0)), _READ):
            words = np.full((self.slots, _READ), PAD, np.int32)
            for row, prompt in enumerate(ids):
                piece = prompt[begin : begin + _READ]
                words[row, : len(piece)] = piece
            h, c = self.read_chunk(words, lengths - begin, h, c)
        return np.stack([np.asarray(h), np.asarray(c)], axis=2).transpose(1, 0, 2, 3)[: len(ids)]

    def _read_chunk(self, words: Any, lengths: Any, h: Any, c: Any) -> tuple[Any, Any]:
        tf = self.tf

        def body(t: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
            _, new_h, new_c = self.step(words[:, t], h, c)
            on = (t < lengths)[None, :, None]
            return t + 1, tf.where(on, new_h, h), tf.where(on, new_c, c)

        _, h, c = tf.while_loop(lambda t, *_: t < _READ, body, (0, h, c))
        return h, c

    def drawer(self, settings: GenerationSettings) -> _Drawer:
        """The drawing loop for some settings; compiled once for each set of filters in use."""
        filters = (settings.top_k > 0, settings.top_p < 1, settings.min_p > 0, settings.unknown)
        if not hasattr(self, "_drawers"):
            self._drawers: dict[tuple[bool, ...], _Drawer] = {}
        if filters not in self._drawers:
            self._drawers[filters] = _Drawer(self, *filters)
        return self._drawers[filters]


class _Drawer:
    """Slots on the host and the compiled loop that draws `_CHUNK` words in each.

    Args:
        graph: the network.
        top_k, top_p, min_p: whether these filters are compiled in.
        unknown: whether `<unk>` may be drawn.
    """

    def __init__(self, graph: _Graph, top_k: bool, top_p: bool, min_p: bool, unknown: bool):
        self.graph, self.tf = graph, graph.tf
        self.filters = (top_k, top_p, min_p)
        words = graph.model.network.vocabulary
        never = [PAD] if unknown else [PAD, UNKNOWN]
        self.blocked = np.zeros(words, np.float32)
        self.blocked[never] = -np.inf
        self.compiled = self.tf.function(self._chunk, jit_compile=True, autograph=False)
        self.reset()

    def reset(self) -> None:
        """Empties all slots."""
        slots, shape = self.graph.slots, (self.graph.layers, self.graph.slots, self.graph.hidden)
        self.h, self.c = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.token = np.full(slots, EOS, np.int32)
        self.key = np.zeros((slots, 2), np.uint32)
        self.sample = np.zeros(slots, np.uint32)
        self.drawn = np.zeros(slots, np.int32)
        self.min_words = np.zeros(slots, np.int32)
        self.temperature = np.ones(slots, np.float32)
        self.top_k = np.zeros(slots, np.int32)
        self.top_p = np.ones(slots, np.float32)
        self.min_p = np.zeros(slots, np.float32)

    def fill(self, slot: int, text: _Text, settings: GenerationSettings) -> None:
        """Puts a text into a slot."""
        from model.sampling import prompt_key

        self.h[:, slot], self.c[:, slot] = text.state[:, 0], text.state[:, 1]
        self.token[slot] = text.token
        self.key[slot] = prompt_key(settings.seed, text.prompt.id)
        self.sample[slot] = text.sample
        self.drawn[slot] = 0
        self.min_words[slot] = settings.min_words
        self.temperature[slot] = settings.temperature_of(text.sample)
        self.top_k[slot] = settings.top_k
        self.top_p[slot] = settings.top_p
        self.min_p[slot] = settings.min_p

    def chunk(self) -> tuple[np.ndarray, np.ndarray]:
        """Draws `_CHUNK` words in every slot: tokens int32 and log-probabilities [_CHUNK, S]."""
        settings = (self.key, self.sample, self.min_words, self.temperature)
        filters = (self.top_k, self.top_p, self.min_p)
        token, h, c, drawn, tokens, nats = self.compiled(
            self.token, self.h, self.c, self.drawn, *settings, *filters
        )
        # Copies, as the next texts are written into them.
        self.token, self.h, self.c, self.drawn = (np.array(x) for x in (token, h, c, drawn))
        return tokens.numpy(), nats.numpy()

    def _chunk(
        self,
        token: Any,
        h: Any,
        c: Any,
        drawn: Any,
        key: Any,
        sample: Any,
        min_words: Any,
        temperature: Any,
        top_k: Any,
        top_p: Any,
        min_p: Any,
    ) -> tuple[Any, ...]:
        tf = self.tf
        slots = self.graph.slots

        def body(
            i: Any, token: Any, h: Any, c: Any, drawn: Any, tokens: Any, nats: Any
        ) -> tuple[Any, ...]:
            output, h, c = self.graph.step(token, h, c)
            logits = self.graph.logits(output)
            token = self.choose(
                logits, drawn, key, sample, min_words, temperature, top_k, top_p, min_p
            )
            own = tf.gather(logits, token, batch_dims=1) - tf.reduce_logsumexp(logits, axis=1)
            tokens = tf.tensor_scatter_nd_update(tokens, [[i]], token[None])
            nats = tf.tensor_scatter_nd_update(nats, [[i]], own[None])
            return i + 1, token, h, c, drawn + 1, tokens, nats

        tokens = tf.zeros([_CHUNK, slots], tf.int32)
        nats = tf.zeros([_CHUNK, slots], tf.float32)
        state = (0, token, h, c, drawn, tokens, nats)
        return tf.while_loop(lambda i, *_: i < _CHUNK, body, state)[1:]

    def choose(
        self,
        logits: Any,
        drawn: Any,
        key: Any,
        sample: Any,
        min_words: Any,
        temperature: Any,
        top_k: Any,
        top_p: Any,
        min_p: Any,
    ) -> Any:
        """The next word of each slot, int32 [S], from its logits [S, V] and its random numbers."""
        from model import sampling

        tf = self.tf
        end = tf.one_hot(EOS, logits.shape[1], on_value=-np.inf, off_value=0.0)
        too_short = (drawn < min_words)[:, None]
        allowed = logits + self.blocked + tf.where(too_short, end[None], 0.0)
        weights = sampling.weights_of(allowed, temperature)
        for on, keep, setting in zip(
            self.filters,
            (sampling.keep_top_k, sampling.keep_top_p, sampling.keep_min_p),
            (top_k, top_p, min_p),
            strict=True,
        ):
            if on:
                weights = keep(weights, setting)
        counter = (tf.cast(drawn, tf.uint32), sample)
        bits = sampling.threefry((key[:, 0], key[:, 1]), counter)
        drawn_word = sampling.draw(weights, *(sampling.uniform(b) for b in bits))
        return tf.where(temperature > 0, drawn_word, sampling.greedy(allowed))
