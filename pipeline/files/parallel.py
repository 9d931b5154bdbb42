"""Reads many files at once: while one request waits for a disk or a network, others go on."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

AT_ONCE = 16  # threads; hashing and waiting for answers leave Python to the others

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@contextlib.contextmanager
def parallel(
    work: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Iterator[Iterator[_Result]]:
    """Calls `work` with each item, several at a time, and gives the results in the items' order.

    Results that nobody has taken yet are few, however many items there are. Once the block is left,
    by Ctrl-C say, nothing new is begun.

    Examples:
        >>> with parallel(len, ["a", "bc"]) as found:
        ...     list(found)
        [1, 2]
    """
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="textmill-files")

    def results() -> Iterator[_Result]:
        begun: deque[Future[_Result]] = deque()
        for item in items:
            begun.append(pool.submit(work, item))
            if len(begun) > 2 * AT_ONCE:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()

    try:
        yield results()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
