"""Mutants of exercise 3: rows side by side, targets one word ahead."""
# ruff: noqa: E501

from __future__ import annotations

from mutants.hints import KEPT, changed, nothing
from mutants.mutant import Variants, twice

make_windows = Variants("3", "make_windows")
ALL = [make_windows]

_CUT = """
        def make_windows(ids, batch, steps):
            length = {length}
            windows = {windows}
            rows = {rows}
            inputs = rows[:, {first} : windows * steps + {first}].reshape(batch, windows, steps).swapaxes(0, 1)
            targets = rows[:, {shift} : windows * steps + {shift}].reshape(batch, windows, steps).swapaxes(0, 1)
            return {result}
"""


def _cut(
    *,
    length: str = "len(ids) // batch",
    windows: str = "(length - 1) // steps",
    rows: str = "np.asarray(ids, np.int32)[: length * batch].reshape(batch, length)",
    first: str = "0",
    shift: str = "1",
    result: str = "inputs, targets",
) -> str:
    return _CUT.format(
        length=length, windows=windows, rows=rows, first=first, shift=shift, result=result
    )


_SHIFT = r"shift|after|one word"
_ROWS = r"row"
_FIT = r"windows fit|only a target|row"
_TYPE = r"int32"
_AXES = r"axes|\[W, B, T\]"
wrong = make_windows.wrong
wrong("pass", nothing("make_windows"), "def make_windows(ids, batch, steps):\n    pass\n")
wrong("targets-are-inputs", _SHIFT, _cut(shift="0", windows="(length - 1) // steps"))
wrong("targets-two-ahead", _SHIFT, _cut(shift="2", windows="(length - 2) // steps"))
wrong("swapped", _SHIFT + "|swap|inputs", _cut(result="targets, inputs"))
wrong("targets-of-the-next-row", _SHIFT, _cut(result="inputs, np.roll(targets, -1, axis=1)"))
wrong("targets-of-the-next-window", _SHIFT, _cut(result="inputs, np.roll(targets, -1, axis=0)"))
wrong("targets-rolled-in-the-window", _SHIFT, _cut(result="inputs, np.roll(inputs, -1, axis=2)"))
wrong(
    "targets-rolled-in-the-row",
    r"last|after|only a target|row",
    _cut(
        windows="length // steps",
        result="inputs, np.roll(rows, -1, axis=1)[:, : windows * steps].reshape("
        "batch, windows, steps).swapaxes(0, 1)",
    ),
)
wrong(
    "targets-of-last-word-only",
    r"each word|every word|\[W, B, T\]|shape",
    _cut(result="inputs, targets[:, :, -1]"),
)
wrong(
    "target-of-the-first-word-wrong",
    _SHIFT,
    _cut(result="inputs, np.concatenate([inputs[:, :, :1], targets[:, :, 1:]], axis=2)"),
)
wrong(
    "target-of-the-last-word-wrong",
    _SHIFT,
    _cut(result="inputs, np.concatenate([targets[:, :, :-1], inputs[:, :, -1:]], axis=2)"),
)
wrong(
    "last-window-repeated",
    _SHIFT + "|window",
    _cut(result="inputs, np.concatenate([targets[:-1], targets[:1]])"),
)
wrong(
    "row-end-into-the-next-row",
    r"last word|only a target|row",
    """
    def make_windows(ids, batch, steps):
        ids = np.asarray(ids, np.int32)
        length = len(ids) // batch
        windows = length // steps if length * batch < len(ids) else (length - 1) // steps
        after = np.append(ids, 0)[1:].astype(np.int32)
        cut = [
            x[: length * batch].reshape(batch, length)[:, : windows * steps].reshape(batch, windows, steps)
            for x in (ids, after)
        ]
        return cut[0].swapaxes(0, 1), cut[1].swapaxes(0, 1)
""",
)
wrong(
    "rows-of-one-word-less",
    r"N // B|//|row",
    _cut(length="(len(ids) - 1) // batch", windows="(length - 1) // steps"),
)
wrong(
    "row-without-its-target",
    r"//|row",
    """
    def make_windows(ids, batch, steps):
        length = (len(ids) - 1) // batch
        windows = length // steps
        cut = [
            np.asarray(x, np.int32)[: length * batch].reshape(batch, length)[:, : windows * steps]
            .reshape(batch, windows, steps).swapaxes(0, 1) for x in (ids[:-1], ids[1:])
        ]
        return cut[0], cut[1]
""",
)
wrong(
    "rows-of-whole-windows",
    r"//|row",
    _cut(length="len(ids) // batch // steps * steps + 1", windows="(length - 1) // steps"),
)
wrong("one-window-less", _FIT, _cut(windows="(length - 1) // steps - 1"))
wrong(
    "one-window-more",
    r"window|fit|fill|row",
    """
    def make_windows(ids, batch, steps):
        ids = np.asarray(ids, np.int32)
        length = len(ids) // batch
        windows = -(-(length - 1) // steps)
        rows = ids[: length * batch].reshape(batch, length)
        rows = np.pad(rows, ((0, 0), (0, windows * steps + 1 - length)))
        cut = [rows[:, k : k + windows * steps].reshape(batch, windows, steps).swapaxes(0, 1) for k in (0, 1)]
        return cut[0], cut[1]
""",
)
wrong("last-window-dropped-when-it-fits", _FIT, _cut(windows="(length - 2) // steps"))
wrong("one-window-only", _FIT, _cut(windows="1"))
wrong("two-windows-only", _FIT, _cut(windows="min(2, (length - 1) // steps)"))
wrong(
    "windows-overlap",
    r"window w \+ 1|where|row",
    """
    def make_windows(ids, batch, steps):
        length = len(ids) // batch
        rows = np.asarray(ids, np.int32)[: length * batch].reshape(batch, length)
        windows = (length - 1) // steps
        starts = np.arange(windows) * (steps - 1)
        inputs = np.stack([rows[:, s : s + steps] for s in starts])
        return inputs, np.stack([rows[:, s + 1 : s + steps + 1] for s in starts])
""",
)
wrong(
    "a-window-for-each-word",
    r"window w \+ 1|where|row|fit",
    """
    def make_windows(ids, batch, steps):
        length = len(ids) // batch
        rows = np.asarray(ids, np.int32)[: length * batch].reshape(batch, length)
        starts = range(length - steps)
        inputs = np.stack([rows[:, s : s + steps] for s in starts])
        return inputs, np.stack([rows[:, s + 1 : s + steps + 1] for s in starts])
""",
)
wrong(
    "a-word-skipped-between",
    r"window w \+ 1|where|row",
    """
    def make_windows(ids, batch, steps):
        length = len(ids) // batch
        rows = np.asarray(ids, np.int32)[: length * batch].reshape(batch, length)
        windows = length // (steps + 1)
        cut = rows[:, : windows * (steps + 1)].reshape(batch, windows, steps + 1).swapaxes(0, 1)
        return cut[:, :, :-1], cut[:, :, 1:]
""",
)
wrong(
    "windows-from-the-end",
    r"begin|window w \+ 1|where|row",
    _cut(first="(length - 1) % steps", shift="1 + (length - 1) % steps"),
)
wrong(
    "first-word-left-out",
    r"begin|first|row",
    _cut(first="1", shift="2", windows="(length - 2) // steps"),
)
wrong(
    "rows-interleaved",
    _ROWS,
    _cut(rows="np.asarray(ids, np.int32)[: length * batch].reshape(length, batch).T"),
)
wrong(
    "windows-of-the-text-in-turn",
    _ROWS,
    """
    def make_windows(ids, batch, steps):
        windows = (len(ids) // batch - 1) // steps
        ids = np.asarray(ids, np.int32)
        used = windows * batch * steps
        return ids[:used].reshape(windows, batch, steps), ids[1 : used + 1].reshape(windows, batch, steps)
""",
)
wrong("windows-backwards", r"window w \+ 1|order|row", _cut(result="inputs[::-1], targets[::-1]"))
wrong(
    "windows-shuffled",
    r"window w \+ 1|order|row",
    _cut(result="(lambda p: (inputs[p], targets[p]))(np.random.permutation(windows))"),
)
wrong("rows-backwards", _ROWS, _cut(result="inputs[:, ::-1], targets[:, ::-1]"))
wrong(
    "words-backwards",
    r"order|after|row",
    _cut(rows="np.asarray(ids, np.int32)[::-1][: length * batch].reshape(batch, length)"),
)
wrong(
    "last-rows-used",
    r"row|begin|first",
    _cut(rows="np.asarray(ids, np.int32)[len(ids) - length * batch :].reshape(batch, length)"),
)
wrong(
    "rows-sorted",
    _ROWS + "|after",
    _cut(
        rows="np.sort(np.asarray(ids, np.int32)[: length * batch].reshape(batch, length), axis=1)"
    ),
)
wrong(
    "first-row-in-all-rows",
    _ROWS,
    _cut(rows="np.tile(np.asarray(ids, np.int32)[:length], (batch, 1))"),
)
wrong("batch-first", _AXES, _cut(result="inputs.swapaxes(0, 1), targets.swapaxes(0, 1)"))
wrong("time-second", _AXES + "|shape", _cut(result="inputs.swapaxes(1, 2), targets.swapaxes(1, 2)"))
wrong(
    "reshaped-not-swapped",
    r"row",
    _cut(
        result=(
            "inputs.swapaxes(0, 1).reshape(windows, batch, steps), targets.swapaxes(0, 1).reshape(windows, batch, steps)"
        )
    ),
)
wrong(
    "batch-and-steps-exchanged",
    r"row|\[W, B, T\]|shape|batch",
    """
    def make_windows(ids, batch, steps):
        batch, steps = steps, batch
        length = len(ids) // batch
        windows = (length - 1) // steps
        rows = np.asarray(ids, np.int32)[: length * batch].reshape(batch, length)
        cut = [rows[:, k : k + windows * steps].reshape(batch, windows, steps).swapaxes(0, 1) for k in (0, 1)]
        return cut[0], cut[1]
""",
)
wrong(
    "flat-rows",
    r"\[W, B, T\]|shape|window",
    _cut(result="rows[:, : windows * steps], rows[:, 1 : windows * steps + 1]"),
)
wrong(
    "one-array",
    r"two|inputs and targets|inputs, targets",
    _cut(result="np.stack([inputs, targets])"),
)
wrong("inputs-only", r"two|inputs and targets|targets", _cut(result="inputs"))
wrong(
    "with-one-hot-targets",
    r"\[W, B, T\]|int32|shape|targets",
    _cut(result="inputs, np.eye(int(rows.max()) + 1, dtype=np.int32)[targets]"),
)
wrong("lists", _TYPE + "|array", _cut(result="inputs.tolist(), targets.tolist()"))
wrong(
    "int64", _TYPE, _cut(rows="np.asarray(ids, np.int64)[: length * batch].reshape(batch, length)")
)
wrong(
    "float32",
    _TYPE,
    _cut(rows="np.asarray(ids, np.float32)[: length * batch].reshape(batch, length)"),
)
wrong("int64-targets", _TYPE, _cut(result="inputs, targets.astype(np.int64)"))
wrong(
    "int64-as-they-come",
    _TYPE,
    _cut(rows="np.asarray(ids)[: length * batch].reshape(batch, length)"),
)
wrong(
    "int16", _TYPE, _cut(rows="np.asarray(ids, np.int16)[: length * batch].reshape(batch, length)")
)
wrong(
    "windows-of-steps-and-target",
    r"\[W, B, T\]|shape|T|fit",
    """
    def make_windows(ids, batch, steps):
        length = len(ids) // batch
        windows = (length - 1) // steps
        rows = np.asarray(ids, np.int32)[: length * batch].reshape(batch, length)
        both = np.stack([rows[:, w * steps : w * steps + steps + 1] for w in range(windows)])
        return both, both
""",
)
wrong("kept-between-calls", KEPT, twice("make_windows", "result = _kept[0]"))

wrong(
    "changes-the-ids",
    changed("ids|text|words"),
    """
    def make_windows(ids, batch, steps):
        length = len(ids) // batch
        windows = (length - 1) // steps
        rows = np.array(ids[: length * batch], np.int32).reshape(batch, length)
        inputs = rows[:, : windows * steps].reshape(batch, windows, steps).swapaxes(0, 1).copy()
        ids[:-1] = ids[1:]
        rows = np.array(ids[: length * batch], np.int32).reshape(batch, length)
        return inputs, rows[:, : windows * steps].reshape(batch, windows, steps).swapaxes(0, 1)
""",
)

right = make_windows.right
right(
    "three-loops",
    """
    def make_windows(ids, batch, steps):
        row = len(ids) // batch
        count = (row - 1) // steps
        inputs = np.zeros((count, batch, steps), np.int32)
        targets = np.zeros((count, batch, steps), np.int32)
        for w in range(count):
            for b in range(batch):
                for t in range(steps):
                    place = b * row + w * steps + t
                    inputs[w, b, t] = ids[place]
                    targets[w, b, t] = ids[place + 1]
        return inputs, targets
""",
)
right(
    "places",
    """
    def make_windows(ids, batch, steps):
        row = len(ids) // batch
        w, b, t = np.ogrid[: (row - 1) // steps, :batch, :steps]
        places = b * row + w * steps + t
        ids = np.array(ids, dtype=np.int32)
        return ids[places], ids[places + 1]
""",
)
right(
    "strides",
    """
    def make_windows(ids, batch, steps):
        ids = np.ascontiguousarray(ids, np.int32)
        row = len(ids) // batch
        shape = ((row - 1) // steps, batch, steps)
        def view(x):
            return np.lib.stride_tricks.as_strided(x, shape, (4 * steps, 4 * row, 4)).copy()
        return view(ids), view(ids[1:])
""",
)
right(
    "sliding-windows",
    """
    def make_windows(ids, batch, steps):
        row = len(ids) // batch
        rows = np.asarray(ids, np.int32)[: row * batch].reshape(batch, row)
        both = np.lib.stride_tricks.sliding_window_view(rows, steps + 1, axis=1)[:, ::steps]
        both = both.transpose(1, 0, 2)
        return both[..., :-1], both[..., 1:]
""",
)
right(
    "stacks",
    """
    def make_windows(ids, batch, steps):
        ids = np.asarray(ids).astype(np.int32)
        row = len(ids) // batch
        rows = [ids[b * row : (b + 1) * row] for b in range(batch)]
        starts = range(0, row - steps, steps)
        inputs = np.stack([np.stack([r[s : s + steps] for r in rows]) for s in starts])
        targets = np.stack([np.stack([r[s + 1 : s + 1 + steps] for r in rows]) for s in starts])
        return inputs, targets
""",
)
right(
    "lists-inside",
    """
    def make_windows(ids, batch, steps):
        ids = [int(i) for i in ids]
        row = len(ids) // batch
        count = (row - 1) // steps
        def cut(shift):
            return np.array(
                [[ids[b * row + w * steps + shift :][:steps] for b in range(batch)] for w in range(count)],
                dtype=np.int32,
            )
        return cut(0), cut(1)
""",
)
right(
    "split",
    """
    def make_windows(ids, batch, steps):
        row = len(ids) // batch
        count = (row - 1) // steps
        rows = np.array(np.split(np.asarray(ids)[: batch * row], batch), dtype=np.int32)
        inputs = np.array(np.split(rows[:, : count * steps], count, axis=1))
        targets = np.array(np.split(rows[:, 1 : count * steps + 1], count, axis=1))
        return inputs, targets
""",
)
