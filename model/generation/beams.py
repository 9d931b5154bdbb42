"""Beam search: the most probable texts, found by keeping the N most probable beginnings.

At each step every beginning is continued by every word, and the N most probable of all these stay
(the texts that end there are set aside). Finished texts are ranked by log p / lp, where lp =
((5 + words) / 6)^penalty is the length normalisation of Wu et al. 2016, "Google's neural machine
translation system", equation 14; the end of a text counts as a word. The search stops when no
beginning can still get among the N best. Nothing is drawn, so there are no random numbers.

Shapes: S slots, of which a group of N belongs to one prompt, V words, H hidden units.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from textmill.model.generation.check_settings import MOST_STOPS, never_ids
from textmill.model.settings import GenerationSettings
from textmill.model.text.vocabulary import EOS, PAD

if TYPE_CHECKING:
    from textmill.model.generation.compiled_loop import Graph
    from textmill.model.generation.generator import Text
    from textmill.model.generation.places import Places

_LEAST_HISTORY = 64


@dataclass(frozen=True)
class Found:
    """A text that a search has found.

    Attributes:
        tokens: its words, without the end.
        finish: why it ended: `eos`, `length` or `stop`.
        nats: log p of its words, and of the end or the stop word.
        score: `nats`, normalised by length.
    """

    tokens: tuple[int, ...]
    finish: str
    nats: float
    score: float


@dataclass
class _Beginning:
    tokens: tuple[int, ...]
    nats: float


@dataclass
class _Search:
    """The search for one prompt."""

    number: int
    text: Text
    beams: int
    penalty: float
    live: list[_Beginning] = field(default_factory=lambda: [_Beginning((), 0.0)])
    found: list[Found] = field(default_factory=list)

    def take(self, ranked: list[tuple[float, int, int]]) -> list[int]:
        """Takes the best continuations: log p, beginning and word of each, the best first.

        Gives the beginning that each new one continues; none if the search is over.
        """
        most = self.text.settings.max_words
        live: list[_Beginning] = []
        parents: list[int] = []
        for rank, (nats, parent, word) in enumerate(ranked):
            if nats == -math.inf or len(live) == self.beams:
                break
            before = self.live[parent].tokens
            if word == EOS or word in self.text.stops:
                if rank < self.beams:
                    self._add(before, "eos" if word == EOS else "stop", nats)
            else:
                live.append(_Beginning((*before, word), nats))
                parents.append(parent)
        self.live = live
        if live and len(live[0].tokens) == most:
            for each in live:
                self._add(each.tokens, "length", each.nats)
            return []
        if not live:
            return []
        # Log p only falls, and lp only grows up to that of the longest text.
        hope = live[0].nats / self._lp(most + 1)
        full = len(self.found) == self.beams
        return [] if full and hope <= self.found[-1].score else parents

    def _add(self, tokens: tuple[int, ...], finish: str, nats: float) -> None:
        words = len(tokens) + (finish != "length")
        self.found.append(Found(tokens, finish, nats, nats / self._lp(words)))
        # Sorting keeps the order of what is equal: first found, first kept.
        self.found = sorted(self.found, key=lambda each: -each.score)[: self.beams]

    def _lp(self, words: int) -> float:
        return ((5 + words) / 6) ** self.penalty


class BeamSearch:
    """Searches for several prompts side by side, a group of slots for each.

    Args:
        graph: the compiled network.
        settings: the run's settings.
        places: of the sources in the graph's bank.
        call: its name there.
    """

    def __init__(self, graph: Graph, settings: GenerationSettings, places: Places, call: int):
        self._graph, self._settings = graph, settings
        self._places, self._call = places, call
        self._beams = settings.beams
        self._groups: list[_Search | None] = [None] * (graph.slots // self._beams)
        size = graph.slots
        self._token, self._parent = np.full(size, EOS, np.int32), np.arange(size, dtype=np.int32)
        self._nats = np.full(size, -np.inf, np.float32)
        self._state: Any = graph.empty_state()
        self._stops = np.full((size, MOST_STOPS + 1), EOS, np.int32)
        self._added = np.zeros((size, graph.width), np.float32)
        self._source = np.zeros((2, size), np.int32)  # places and lengths
        self._never = np.zeros(graph.model.network.vocabulary, np.float32)
        self._never[list(never_ids(graph.model, settings))] = -np.inf

    def run(self, texts: Iterator[Text]) -> Iterator[tuple[Text, list[Found]]]:
        """Gives the N best texts of each prompt, the best first, in the order of the prompts."""
        done: dict[int, tuple[Text, list[Found]]] = {}
        asked = given = 0
        while True:
            fresh = []
            for group, search in enumerate(self._groups):
                if search is None and (text := next(texts, None)) is not None:
                    self._begin(group, asked, text)
                    fresh.append(group)
                    asked += 1
            if not any(self._groups):
                return
            self._load(fresh)
            self._step(done)
            while given in done:
                yield done.pop(given)
                given += 1

    def _slots(self, group: int) -> slice:
        return slice(group * self._beams, (group + 1) * self._beams)

    def _begin(self, group: int, number: int, text: Text) -> None:
        slots, settings = self._slots(group), text.settings
        search = _Search(number, text, self._beams, settings.length_penalty)
        self._groups[group] = search
        self._token[slots] = text.reading.words[-1]
        self._nats[slots] = -np.inf
        self._nats[slots.start] = 0.0
        self._stops[slots] = EOS
        self._stops[slots, : len(text.stops)] = sorted(text.stops)
        if text.reading.added is not None:
            self._added[slots] = text.reading.added
        if text.reading.source is not None:
            self._source[0, slots] = self._places.take((self._call, number), text.reading)
            self._source[1, slots] = len(text.reading.source)

    def _load(self, fresh: list[int]) -> None:
        """Puts the states of new prompts into their slots."""
        self._places.write(self._graph)
        if not fresh:
            return
        searches = [self._groups[group] for group in fresh]
        states = np.stack([s.text.reading.state for s in searches if s is not None])
        slots = np.concatenate([np.r_[self._slots(group)] for group in fresh])
        # The new states stand behind those of the slots, and each new slot takes its own.
        self._state = self._graph.joined_state(self._state, states)
        self._parent[slots] = self._graph.slots + np.repeat(np.arange(len(fresh)), self._beams)

    def _step(self, done: dict[int, tuple[Text, list[Found]]]) -> None:
        graph, count, on = self._graph, len(self._groups), np.zeros(self._graph.slots, bool)
        early = np.zeros(graph.slots, bool)
        for group, search in enumerate(self._groups):
            if search is not None:
                drawn = len(search.live[0].tokens)
                on[self._slots(group)] = True
                early[self._slots(group)] = drawn < search.text.settings.min_words
        self._state, nats, parents, words = graph.beam_step(
            self._state, self._parent, self._token, self._nats, on, early, self._stops,
            self._added if graph.model.network.context else None,
            tuple(self._source) if graph.attention is not None else None,
            self._never, self._history(), self._settings.no_repeat_ngram, self._beams,
        )  # fmt: skip
        ranked = [array.numpy().tolist() for array in (nats, parents, words)]
        self._parent = np.arange(graph.slots, dtype=np.int32)
        for group in range(count):
            search = self._groups[group]
            if search is None:
                continue
            kept = search.take(list(zip(*(rows[group] for rows in ranked), strict=True)))
            slots = self._slots(group)
            self._nats[slots] = -np.inf
            if not kept:
                done[search.number] = search.text, search.found
                self._groups[group] = None
                self._source[1, slots] = 0
                self._places.give_back((self._call, search.number))
                continue
            for i, (parent, beginning) in enumerate(zip(kept, search.live, strict=True)):
                slot = slots.start + i
                self._parent[slot] = slots.start + parent
                self._token[slot], self._nats[slot] = beginning.tokens[-1], beginning.nats

    def _history(self) -> np.ndarray | None:
        """Words of prompts and beginnings, int32 [S, L], for the rule that looks back."""
        if not self._settings.no_repeat_ngram:
            return None
        rows: list[list[int]] = [[] for _ in range(self._graph.slots)]
        for group, search in enumerate(self._groups):
            for i, beginning in enumerate(search.live if search is not None else ()):
                words = [*search.text.reading.words[1:].tolist(), *beginning.tokens]  # type: ignore[union-attr]
                rows[self._slots(group).start + i] = words
        longest = max(_LEAST_HISTORY, *map(len, rows))
        found = np.full((len(rows), 1 << (longest - 1).bit_length()), PAD, np.int32)
        for row, words in zip(found, rows, strict=True):
            if words:
                row[-len(words) :] = [word if word > EOS else PAD for word in words]
        return found
