"""Which place of a graph's bank holds the source of which text, for attention."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from textmill.model.generation.compiled_loop import Graph
    from textmill.model.generation.generator import Reading


class Places:
    """Which place of a graph's bank holds the source of which text.

    Texts of one reading share a place. Several calls of a generator may be under way at a time, so
    each has a name, and its texts have numbers.

    Args:
        count: of places at first; there are more if they are needed.
    """

    def __init__(self, count: int):
        self._count, self._free = count, list(range(count))
        self._of: dict[tuple[int, int], tuple[int, int]] = {}  # place and reading's id, by text
        self._shared: dict[int, list[int]] = {}  # place and number of texts, by reading's id
        self._new: list[tuple[int, np.ndarray]] = []
        self._calls = itertools.count()

    @contextlib.contextmanager
    def of_a_call(self) -> Iterator[int]:
        """Gives a call its name, and frees its places in the end."""
        call = next(self._calls)
        try:
            yield call
        finally:
            for text in [text for text in self._of if text[0] == call]:
                self.give_back(text)

    def take(self, text: tuple[int, int], reading: Reading) -> int:
        """Gives the place of a text's source, which is free again after `give_back`.

        Args:
            text: the name of the call and the number of the text.
            reading: what was read of its prompt.
        """
        assert reading.source is not None
        shared = self._shared.get(id(reading))
        if shared is None:
            if not self._free:
                self._free = list(range(self._count, 2 * self._count))
                self._count *= 2
            shared = self._shared[id(reading)] = [self._free.pop(), 0]
            self._new.append((shared[0], reading.source))
        shared[1] += 1
        self._of[text] = shared[0], id(reading)
        return shared[0]

    def give_back(self, text: tuple[int, int]) -> None:
        """Says that a text has ended."""
        if text not in self._of:
            return
        place, reading = self._of.pop(text)
        self._shared[reading][1] -= 1
        if not self._shared[reading][1]:
            del self._shared[reading]
            self._free.append(place)

    def write(self, graph: Graph) -> None:
        """Writes the sources that are new into the graph's bank."""
        if not self._new:
            return
        assert graph.attention is not None
        graph.attention.write(self._new, places=self._count)
        self._new = []
