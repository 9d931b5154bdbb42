"""Turns prompts into generations with one compiled step loop over a fixed number of slots.

Each slot carries the LSTM state of one text. A prompt is read once, its state is copied to the
slots of its samples, and no prefix is run again. A slot whose text has ended takes the next text,
so long and short texts do not wait for each other.

The random numbers of a text depend only on (seed, prompt id, sample number, position). On one
thread, the bits of a row's logits do not depend on the other rows. So a text does not either.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from textmill.model.errors import SettingError
from textmill.model.generation.check_settings import (
    MOST_STOPS,
    check_settings,
    check_source,
    never_ids,
    stop_ids,
)
from textmill.model.generation.places import Places
from textmill.model.network.directory import SavedModel
from textmill.model.prompt import Generation, Prompt
from textmill.model.settings import GenerationSettings, NetworkSettings
from textmill.model.text.vocabulary import EOS, PAD

if TYPE_CHECKING:
    from textmill.model.generation.compiled_loop import Graph

SLOTS, MANY_SLOTS = 64, 256
_MOST_SLOTS = 4096
_REFILLS = 4  # with fewer texts for each slot, too many slots are empty at the end
LEAST_HISTORY = 64  # fewest places of a history
_QUEUE = 4  # texts that wait in the ring, for each slot
_READ_AHEAD = 8  # prompts that are read at a time, for each slot

_Key = tuple[str, str | None, bytes, str | None]  # a prompt's text, label, numbers and source


def prompt_key(seed: int, prompt_id: str) -> tuple[int, int]:
    """Gives the 64-bit key of a prompt's random numbers, as two 32-bit words."""
    digest = hashlib.blake2b(f"{seed}\n{prompt_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def state_noise(key: tuple[int, int], sample: int, shape: tuple[int, ...]) -> np.ndarray:
    """Gives normal noise for the state of a text, float32, of variance 1.

    It comes from Philox's bits (Salmon et al. 2011), which depend on the key and the sample alone,
    by the transform of Box and Muller (1958).

    Args:
        key: of the prompt, from `prompt_key`.
        sample: number of the text among those of its prompt.
        shape: of the state.
    """
    count = int(np.prod(shape))
    bits = np.random.Philox(key=(key[0] << 32) | key[1], counter=sample << 128).random_raw(
        2 * count
    )
    uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    radius, angle = np.sqrt(-2 * np.log(uniform[:count])), 2 * np.pi * uniform[count:]
    return np.float32(radius * np.cos(angle)).reshape(shape)


@dataclass
class Times:
    """Seconds that a generator spent on each task, and how it used its slots.

    Attributes:
        tokenise: seconds to turn prompts into ids.
        read: seconds to turn ids into states.
        draw: seconds to draw words.
        join: seconds to turn ids into texts.
        slot_steps: number of slots times number of steps.
        words: number of these that drew a word or the end of a text.
    """

    tokenise: float = 0.0
    read: float = 0.0
    draw: float = 0.0
    join: float = 0.0
    slot_steps: int = 0
    words: int = 0

    @contextlib.contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Adds the seconds that a block takes to one attribute."""
        started = time.perf_counter()
        yield
        setattr(self, part, getattr(self, part) + time.perf_counter() - started)


@dataclass(frozen=True)
class Reading:
    """A prompt that has been read, once for all its texts."""

    words: np.ndarray  # int32, beginning with EOS
    glued: bool
    state: np.ndarray  # [layers, 2, H] after all words but the last
    added: np.ndarray | None  # [D], what the context adds to every word's vector
    source: np.ndarray | None  # [words, H], the encoder's outputs, to attend to


@dataclass
class Text:
    """A text that is drawn in a slot or waits for one."""

    prompt: Prompt
    settings: GenerationSettings
    stops: frozenset[int]
    sample: int
    reading: Reading
    tokens: list[int] = field(default_factory=list)
    nats: float = 0.0


def slots_for(network: NetworkSettings, *, texts: int, source_words: int = 0) -> int:
    """Chooses how many texts to draw side by side if `texts` are asked for at a time.

    On a CPU: `MANY_SLOTS` if they are filled several times, which is 10 to 25 % faster
    (docs/benchmarks.md), otherwise `SLOTS`. On a GPU: the largest power of two whose logits, states
    and encoded sources take at most a quarter of its memory, and not more than there are texts.

    Args:
        network: the sizes.
        texts: number of texts at a time.
        source_words: words of the longest source, if there is attention.
    """
    memory = _gpu_memory()
    if not memory:
        return MANY_SLOTS if texts >= _REFILLS * MANY_SLOTS else SLOTS
    # Logits, their weights and those of filters; states and gates of each layer.
    bytes_of_slot = 4 * (4 * network.vocabulary + 16 * network.layers * network.hidden)
    if network.attention:  # encoded sources of the texts that are drawn or wait
        bytes_of_slot += 4 * (_QUEUE + 1) * network.hidden * source_words
    most = min(memory // (4 * bytes_of_slot), max(texts, SLOTS), _MOST_SLOTS)
    return max(SLOTS, 1 << max(most.bit_length() - 1, 0))


def _gpu_memory() -> int:
    """Gives the bytes that TensorFlow may use on the smallest GPU; 0 if it sees none."""
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return 0
    from tensorflow.python.client import device_lib

    devices = device_lib.list_local_devices()
    return min(device.memory_limit for device in devices if device.device_type == "GPU")


class Generator:
    """Draws texts from a saved model.

    Args:
        model: a model from `load_model`.
        slots: S, number of texts drawn at a time. 64, 128 and 256 give the same bits, so
            `slots_for` may choose; with very few, other code makes the products and the last bits
            differ.

    Attributes:
        context: how a prompt's label and numbers become the vector that its texts start from.
        times: the time spent on each task, over all calls of `generate`.
    """

    def __init__(self, model: SavedModel, *, slots: int = SLOTS):
        self.model, self.slots, self.times = model, slots, Times()
        self.context = model.context
        self._graphs: dict[str, Graph] = {}
        self._places: dict[str, Places] = {}
        self._known: dict[str, np.ndarray] = {}  # ids of sources that are not read yet

    def _graph(self, precision: str) -> Graph:
        """Gives the compiled network, which is made once for each precision."""
        if precision not in self._graphs:
            from textmill.model.generation.compiled_loop import Graph

            places = (_QUEUE + 1) * self.slots
            self._graphs[precision] = Graph(self.model, self.slots, precision, places=places)
            self._places[precision] = Places(places)
        return self._graphs[precision]

    def generate(
        self, prompts: Iterable[Prompt], settings: GenerationSettings
    ) -> Iterator[Generation]:
        """Generates the texts of each prompt, in the order of the prompts.

        Prompts are read only as slots become free, so the iterable may be long.

        Raises:
            SettingError: see `check_settings`.
        """
        graph = self._graph(settings.precision)
        waiting = self._texts(graph, prompts, settings)
        with self._places[settings.precision].of_a_call() as call:
            if settings.beams:
                yield from self._searched(graph, waiting, settings, call)
            else:
                loop = _Loop(graph, settings, self._places[settings.precision], call)
                yield from self._drawn(loop, waiting)

    def _drawn(self, loop: _Loop, waiting: Iterator[Text]) -> Iterator[Generation]:
        """Draws the texts that wait, and gives them in their order."""
        drawing: dict[int, Text] = {}  # by number, which is the position among all texts
        done: dict[int, Generation] = {}
        asked = next_out = 0
        while True:
            text = None
            while loop.room and (text := next(waiting, None)) is not None:
                drawing[asked] = text
                loop.add(asked, text)
                asked += 1
            if not drawing:
                return
            with self.times.of("draw"):
                numbers, tokens, nats = loop.draw(more=text is not None or not loop.room)
            self.times.slot_steps += numbers.size
            with self.times.of("join"):
                for column in range(self.slots):
                    rows = (numbers[:, column], tokens[:, column], nats[:, column])
                    for number, token, nat in zip(*(row.tolist() for row in rows), strict=True):
                        if number >= 0:
                            self.times.words += 1
                            ended = self._take(drawing[number], token, nat)
                            if ended is not None:
                                done[number] = ended
                                del drawing[number]
                                loop.forget(number)
            while next_out in done:
                yield done.pop(next_out)
                next_out += 1

    def _searched(
        self, graph: Graph, waiting: Iterator[Text], settings: GenerationSettings, call: int
    ) -> Iterator[Generation]:
        """Gives the best texts of each prompt, by beam search."""
        from textmill.model.generation.beams import BeamSearch

        search = BeamSearch(graph, settings, self._places[settings.precision], call)
        first = (text for text in waiting if text.sample == 1)
        for text, found in search.run(first):
            for sample, each in enumerate(found[: text.settings.samples], start=1):
                self.times.words += len(each.tokens)
                one = replace(text, sample=sample, tokens=list(each.tokens), nats=each.nats)
                generation = self._finish(one, each.finish)
                yield replace(generation, score=round(each.score, 5))

    def stream(self, prompt: Prompt, settings: GenerationSettings) -> Iterator[str]:
        """The first text that `generate` gives for a prompt, piece by piece, a word in each.

        The words are drawn some at a time, as many as the compiled loop makes in one call.

        Raises:
            SettingError: see `check_settings`.
        """
        if settings.beams:
            allowed = "0 for a stream, as a beam search has no text before its end"
            raise SettingError("beams", allowed, settings.beams)
        graph = self._graph(settings.precision)
        places = self._places[settings.precision]
        with places.of_a_call() as call:
            loop = _Loop(graph, settings, places, call)
            text = next(self._texts(graph, [prompt], settings))
            loop.add(0, text)
            if text.settings.echo:
                yield prompt.text
            ended = None
            while ended is None:
                numbers, tokens, nats = loop.draw(more=False)
                for place in zip(*np.nonzero(numbers == 0), strict=True):
                    ended = self._take(text, int(tokens[place]), float(nats[place]))
                    if ended is None or ended.finish == "length":
                        yield self._last_word(text)

    def _last_word(self, text: Text) -> str:
        """The newest word of a text with the space before it."""
        decode = self.model.vocabulary.decode
        if len(text.tokens) == 1:
            return decode(text.tokens, glued=text.reading.glued)
        return decode(text.tokens[-2:])[len(decode(text.tokens[-2:-1])) :]

    def _texts(
        self, graph: Graph, prompts: Iterable[Prompt], settings: GenerationSettings
    ) -> Iterator[Text]:
        """Reads prompts, a few batches at a time, and gives a text for each of their samples."""
        source = iter(prompts)
        while window := list(itertools.islice(source, _READ_AHEAD * self.slots)):
            own = [p.settings.within(settings) if p.settings else settings for p in window]
            stops = {}
            for s in set(own):
                check_settings(self.model, s)
                stops[s] = stop_ids(self.model, s)
            keys = [
                (p.text, s.label, self._numbers(p), p.source)
                for p, s in zip(window, own, strict=True)
            ]
            readings = self._read(graph, list(dict.fromkeys(keys)))
            for prompt, key, s in zip(window, keys, own, strict=True):
                for sample in range(1, s.texts + 1):
                    yield Text(prompt, s, stops[s], sample, readings[key])

    def _read(self, graph: Graph, keys: list[_Key]) -> dict[_Key, Reading]:
        """Reads different prompts, in batches of similar length."""
        with self.times.of("tokenise"):
            encoded = self.model.vocabulary.encode_prompts([text for text, *_ in keys])
        ids = [np.concatenate([[EOS], words]).astype(np.int32) for words, _ in encoded]
        order = sorted(range(len(keys)), key=lambda i: len(ids[i]))
        encoded_sources = self._sources(graph, [source for *_, source in keys])
        readings = {}
        with self.times.of("read"):
            for start in range(0, len(order), self.slots):
                batch = order[start : start + self.slots]
                # The last word is left for the first drawing step, which needs its logits.
                contexts = self._contexts([keys[i] for i in batch])
                sources = [encoded_sources[source] for i in batch if (source := keys[i][3])]
                ended = np.stack([state for state, _ in sources]) if sources else None
                states, added = graph.read([ids[i][:-1] for i in batch], contexts, ended)
                for row, i in enumerate(batch):
                    own = None if added is None else added[row]
                    outputs = sources[row][1] if sources else None
                    state = states[:, :, row]
                    readings[keys[i]] = Reading(ids[i], encoded[i][1], state, own, outputs)
        return readings

    def source_words(self, sources: Sequence[str]) -> list[int]:
        """Counts the words of sources, which are different, and keeps them until they are read."""
        assert self.model.source is not None
        with self.times.of("tokenise"):
            new = [source for source in sources if source not in self._known]
            self._known.update(zip(new, self.model.source.encode(new), strict=True))
        return [len(self._known[source]) for source in sources]

    def _sources(
        self, graph: Graph, sources: Sequence[str | None]
    ) -> dict[str | None, tuple[np.ndarray, np.ndarray | None]]:
        """Reads different sources, in batches of similar length.

        Gives the state [layers, 2, H] after each, and its outputs [words, H] if the model attends
        to them.

        Raises:
            SettingError: see `check_source`.
        """
        words: dict[str, np.ndarray] = {}
        given = list(dict.fromkeys(source for source in sources if source is not None))
        if self.model.source is None or len(given) < len(set(sources)):
            for source in sources:
                check_source(self.model, source, 1)
        if self.model.source is None:
            return {}
        for source, count in zip(given, self.source_words(given), strict=True):
            check_source(self.model, source, count)
            words[source] = self._known.pop(source)[::-1]
        found: dict[str | None, tuple[np.ndarray, np.ndarray | None]] = {}
        order = sorted(given, key=lambda source: len(words[source]))
        assert graph.encoder is not None
        with self.times.of("read"):
            for start in range(0, len(order), self.slots):
                batch = order[start : start + self.slots]
                states, outputs = graph.encoder([words[source] for source in batch])
                for row, source in enumerate(batch):
                    kept = None
                    if graph.attention is not None:
                        kept = outputs[: len(words[source]), row].copy()
                    found[source] = states[row], kept
        return found

    def _numbers(self, prompt: Prompt) -> bytes:
        """Gives a prompt's numbers as float32.

        Raises:
            SettingError: see `Context.check`.
        """
        self.context.check(prompt.context)
        return b"" if prompt.context is None else np.array(prompt.context, np.float32).tobytes()

    def _contexts(self, keys: list[_Key]) -> np.ndarray | None:
        """Makes the context vectors of prompts, float32 [prompts, C]; None for no context."""
        if not self.context.width:
            return None
        numbers = np.array([np.frombuffer(raw, np.float32) for _, _, raw, _ in keys])
        return self.context.vectors([label for _, label, *_ in keys], numbers, rows=len(keys))

    def _take(self, text: Text, token: int, nat: float) -> Generation | None:
        """Adds a newly drawn token to its text; returns the generation if the text ends."""
        text.nats += nat
        if token == EOS:
            return self._finish(text, "eos")
        if token in text.stops:
            return self._finish(text, "stop")
        text.tokens.append(token)
        if len(text.tokens) == text.settings.max_words:
            return self._finish(text, "length")
        return None

    def _finish(self, text: Text, finish: str) -> Generation:
        drawn = len(text.tokens) + (finish != "length")
        continuation = self.model.vocabulary.decode(text.tokens, glued=text.reading.glued)
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


def _is_plain(settings: GenerationSettings) -> bool:
    """Tells whether drawing a text needs no look at all words, except in rare cases."""
    filters = settings.top_k > 0 or settings.top_p < 1 or settings.min_p > 0
    ends = settings.min_words > 0 and settings.stop
    return not (filters or ends or min(settings.temperatures) <= 0)


class _Loop:
    """The compiled loop, its slots, and the ring of texts that wait for one.

    The same programs serve all settings. The code for filters and greedy slots is built when the
    first text needs it, runs only while some slot needs it, and does not change a bit of the other
    slots. Only the rules that look back at the text (penalty, n-grams) have programs of their own.
    """

    def __init__(self, graph: Graph, settings: GenerationSettings, places: Places, call: int):
        self._graph, self._seed = graph, settings.seed
        self._sources, self._call = places, call
        size = self._size = _QUEUE * graph.slots
        self._queue: dict[str, np.ndarray] = {
            "number": np.zeros(size, np.int32),
            "token": np.zeros(size, np.int32),
            "key": np.zeros((size, 2), np.uint32),
            "sample": np.zeros(size, np.uint32),
            "min_words": np.zeros(size, np.int32),
            "max_words": np.zeros(size, np.int32),
            "stops": np.full((size, MOST_STOPS + 1), EOS, np.int32),
            "temperature": np.zeros(size, np.float32),
            "top_k": np.zeros(size, np.int32),
            "top_p": np.zeros(size, np.float32),
            "min_p": np.zeros(size, np.float32),
        }
        if graph.model.network.context:
            self._queue["added"] = np.zeros((size, graph.width), np.float32)
        if graph.attention is not None:
            self._queue["place"] = np.zeros(size, np.int32)
            self._queue["length"] = np.zeros(size, np.int32)
        self._states = np.zeros((graph.layers, 2, size, graph.hidden), np.float32)
        self._head = self._waiting = 0
        # Added to the logits.
        self._never = np.zeros(graph.model.network.vocabulary, np.float32)
        self._never[list(never_ids(graph.model, settings))] = -np.inf
        # None and 0 leave the rule out of the program.
        penalty = settings.repetition_penalty
        self._penalty = np.float32(penalty) if penalty != 1 else None
        self._ngram = settings.no_repeat_ngram
        if self._penalty is not None or self._ngram:
            self._queue["history"] = np.full((size, LEAST_HISTORY), PAD, np.int32)
        self._longest: dict[int, int] = {}  # words of each text's history, by number of the text
        self._slots = graph.empty(self._queue)

    @property
    def room(self) -> int:
        """Number of texts that the ring can still take."""
        return self._size - self._waiting

    def add(self, number: int, text: Text) -> None:
        """Puts a text at the end of the ring."""
        settings, queue = text.settings, self._queue
        self._graph.looks |= not _is_plain(settings)
        place = (self._head + self._waiting) % self._size
        self._waiting += 1
        key = prompt_key(self._seed, text.prompt.id)
        self._states[:, :, place] = text.reading.state
        if settings.state_noise:
            noise = state_noise(key, text.sample, text.reading.state.shape)
            self._states[:, :, place] += np.float32(settings.state_noise) * noise
        queue["number"][place] = number
        queue["token"][place] = text.reading.words[-1]
        queue["key"][place] = key
        queue["sample"][place] = text.sample
        queue["min_words"][place] = settings.min_words
        queue["max_words"][place] = settings.max_words
        queue["stops"][place] = EOS
        if text.stops:
            queue["stops"][place, : len(text.stops)] = sorted(text.stops)
        queue["temperature"][place] = settings.temperature_of(text.sample)
        queue["top_k"][place] = settings.top_k
        queue["top_p"][place] = settings.top_p
        queue["min_p"][place] = settings.min_p
        if text.reading.source is not None:
            queue["place"][place] = self._sources.take((self._call, number), text.reading)
            queue["length"][place] = len(text.reading.source)
        if text.reading.added is not None:
            queue["added"][place] = text.reading.added
        if "history" in queue:
            words = text.reading.words[1:]
            self._longest[number] = len(words) + settings.max_words
            if self._longest[number] > queue["history"].shape[1]:
                self._fit(self._longest[number])
            row = queue["history"][place]
            row[:] = PAD
            # Two unknown words need not be the same word.
            row[len(row) - len(words) :] = np.where(words > EOS, words, PAD)

    def draw(self, *, more: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Makes up to `CHUNK` steps.

        Args:
            more: whether there are texts for which the ring has no room.

        Returns:
            Numbers of texts int32 (below 0: none), words int32 and log-probabilities float32, all
            [steps, S].
        """
        if self._longest and 2 * max(self._longest.values()) <= self._queue["history"].shape[1]:
            self._fit(max(self._longest.values()))
        self._sources.write(self._graph)
        # These are arrays because each new Python number would be compiled again.
        head, waiting, more_waits = np.int32(self._head), np.int32(self._waiting), np.bool_(more)
        slots, taken, steps, *out = self._graph.draw_chunk(
            self._slots, self._queue, self._states, head, waiting, more_waits, self._never,
            self._penalty, self._ngram, self._graph.looks and "history" not in self._queue,
        )  # fmt: skip
        self._slots = slots
        taken, made = int(taken), int(steps)
        self._head, self._waiting = (self._head + taken) % self._size, self._waiting - taken
        numbers, tokens, nats = (rows.numpy()[:made] for rows in out)
        self._graph.settle()
        return numbers, tokens, nats

    def forget(self, number: int) -> None:
        """Drops a text that has ended."""
        self._longest.pop(number, None)
        self._sources.give_back((self._call, number))

    def _fit(self, words: int) -> None:
        """Makes all histories wide enough for `words` words.

        Widths are powers of two, so that there are few programs. Words stand at the right, and the
        empty places to their left change nothing.
        """
        width = max(LEAST_HISTORY, 1 << (words - 1).bit_length())
        for arrays in (self._queue, self._slots):
            kept = np.asarray(arrays["history"])[:, -width:]
            missing = width - kept.shape[1]
            arrays["history"] = np.pad(kept, [(0, 0), (missing, 0)], constant_values=PAD)
