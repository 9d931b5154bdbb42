"""Mutants of exercise 5: greedy choice, and the cycle it ends in."""

from __future__ import annotations

from mutants.hints import KEPT, changed, nothing
from mutants.mutant import Variants, twice

greedy = Variants("5", "greedy")
find_cycle = Variants("5", "find_cycle")
ALL = [greedy, find_cycle]

_LOOP = """
        def greedy(step, first, words):
            found, word, state = [], first, None
            {before}
            for _ in range({times}):
                logits, {kept} = step({fed}, {given})
                word = {choice}
                found.append({added})
            return {result}
"""


def _greedy(
    *,
    before: str = "",
    times: str = "words",
    kept: str = "state",
    fed: str = "word",
    given: str = "state",
    choice: str = "int(np.argmax(logits))",
    added: str = "word",
    result: str = "found",
) -> str:
    return _LOOP.format(
        before=before,
        times=times,
        kept=kept,
        fed=fed,
        given=given,
        choice=choice,
        added=added,
        result=result,
    )


_LARGEST = r"largest|most probable"
_STATE = r"state"
_FED = r"fed|next step|through|word"
_COUNT = r"`?words`?|number of|how many|\d+ words|not in the list|length"
wrong = greedy.wrong
wrong("pass", nothing("greedy"), "def greedy(step, first, words):\n    pass\n")
wrong("least-probable", _LARGEST, _greedy(choice="int(np.argmin(logits))"))
wrong("second-best", _LARGEST, _greedy(choice="int(np.argsort(logits)[-2])"))
wrong("largest-size", _LARGEST, _greedy(choice="int(np.argmax(np.abs(logits)))"))
wrong("drawn", _LARGEST, _greedy(choice="sample(logits, 1.0, np.random.random())"))
wrong(
    "never-the-same-twice",
    _LARGEST,
    _greedy(choice="next(int(i) for i in np.argsort(-np.asarray(logits)) if i != word)"),
)
wrong(
    "only-new-words",
    _LARGEST,
    _greedy(choice="next((int(i) for i in np.argsort(-np.asarray(logits)) if i not in found), 0)"),
)
wrong("without-unk", _LARGEST + r"|\b0\b", _greedy(choice="int(np.argmax(logits[1:])) + 1"))
wrong("without-unk-one-off", _LARGEST + r"|\b0\b", _greedy(choice="int(np.argmax(logits[1:]))"))
wrong(
    "largest-logit-itself",
    r"whole number|id|argmax|collect the words|" + _LARGEST,
    _greedy(choice="int(np.argmax(logits))", added="float(np.max(logits))"),
)
wrong("last-of-all", _LARGEST, _greedy(choice="len(logits) - 1"))
wrong("state-not-kept", _STATE, _greedy(kept="_"))
wrong(
    "state-one-late",
    _STATE,
    """
    def greedy(step, first, words):
        found, word, state, older = [], first, None, None
        for _ in range(words):
            logits, new = step(word, older)
            older, state = state, new
            word = int(np.argmax(logits))
            found.append(word)
        return found
""",
)
wrong(
    "state-of-the-first-only",
    _STATE,
    """
    def greedy(step, first, words):
        found, word, state = [], first, None
        for _ in range(words):
            logits, new = step(word, state)
            state = new if state is None else state
            word = int(np.argmax(logits))
            found.append(word)
        return found
""",
)
wrong("state-of-zeros", _STATE + "|None", _greedy(before="state = np.zeros(6)"))
wrong("first-word-always-fed", _FED, _greedy(fed="first"))
wrong("first-word-fed-twice", r"twice|once", _greedy(before="_, state = step(word, state)"))
wrong(
    "each-word-fed-twice",
    r"twice|once|again",
    _greedy(before="", choice="int(np.argmax(step(word, state)[0]))"),
)
wrong(
    "all-words-again",
    r"again|once|state",
    """
    def greedy(step, first, words):
        found = []
        for _ in range(words):
            state = None
            for word in [first, *found]:
                logits, state = step(word, state)
            found.append(int(np.argmax(logits)))
        return found
""",
)
wrong(
    "last-three-words-again",
    r"again|once|state",
    """
    def greedy(step, first, words):
        found = []
        for _ in range(words):
            state = None
            for word in [first, *found][-3:]:
                logits, state = step(word, state)
            found.append(int(np.argmax(logits)))
        return found
""",
)
wrong("first-in-the-list", r"not in the list|`first`", _greedy(result="[first, *found]"))
wrong(
    "first-in-the-list-one-less",
    r"not in the list|`first`",
    _greedy(before="found.append(first)", times="words - 1"),
)
wrong(
    "what-was-fed",
    r"not in the list|`first`|" + _LARGEST,
    """
    def greedy(step, first, words):
        found, word, state = [], first, None
        for _ in range(words):
            found.append(word)
            logits, state = step(word, state)
            word = int(np.argmax(logits))
        return found
""",
)
wrong("one-more", _COUNT, _greedy(times="words + 1"))
wrong("one-less", _COUNT, _greedy(times="words - 1"))
wrong("last-only", r"list|each|all", _greedy(result="found[-1:]"))
wrong("number-not-list", r"list", _greedy(result="word"))
wrong(
    "stops-at-a-repetition",
    _COUNT + "|cycle|repeat",
    """
    def greedy(step, first, words):
        found, word, state = [], first, None
        for _ in range(words):
            logits, state = step(word, state)
            word = int(np.argmax(logits))
            if word in found:
                break
            found.append(word)
        return found
""",
)
wrong("different-ones", _COUNT + "|each|again|twice", _greedy(result="list(dict.fromkeys(found))"))
wrong("backwards", r"order|" + _LARGEST, _greedy(result="found[::-1]"))
wrong(
    "no-words-fail",
    r"\b0\b|no words|None|UnboundLocalError|empty",
    _greedy(result="found if logits is not None else []"),
)
wrong(
    "state-kept-between-calls",
    KEPT + "|None|before the first",
    """
    _last = [None]

    def greedy(step, first, words):
        found, word = [], first
        for _ in range(words):
            logits, _last[0] = step(word, _last[0])
            word = int(np.argmax(logits))
            found.append(word)
        return found
""",
)
wrong(
    "list-kept-between-calls",
    KEPT,
    """
    def greedy(step, first, words, found=[]):
        word, state = first, None
        for _ in range(words):
            logits, state = step(word, state)
            word = int(np.argmax(logits))
            found.append(word)
        return list(found)
""",
)

right = greedy.right
right(
    "recursion",
    """
    def greedy(step, first, words, state=None):
        if words == 0:
            return []
        logits, state = step(first, state)
        word = int(np.argmax(logits))
        return [word] + greedy(step, word, words - 1, state)
""",
)
right(
    "generator",
    """
    def _words(step, word):
        state = None
        while True:
            logits, state = step(word, state)
            word = max(range(len(logits)), key=logits.__getitem__)
            yield word

    def greedy(step, first, words):
        from itertools import islice

        return list(islice(_words(step, first), words))
""",
)
right(
    "fed-to-the-last",
    """
    def greedy(step, first, words):
        logits, state = step(first, None)
        found = []
        while len(found) < words:
            found.append(int(np.asarray(logits).argmax()))
            logits, state = step(found[-1], state)
        return found
""",
)
right(
    "fed-but-for-the-last",
    """
    def greedy(step, first, words):
        if not words:
            return []
        logits, state = step(first, None)
        found = [int(np.argmax(logits))]
        for _ in range(words - 1):
            logits, state = step(found[-1], state)
            found.append(int(np.argmax(logits)))
        return found
""",
)
right("sampler-at-zero", _greedy(choice="sample(logits, 0, 0.0)"))
right(
    "accumulate",
    """
    from itertools import accumulate

    def greedy(step, first, words):
        def after(pair, _):
            logits, state = step(*pair)
            return int(np.argsort(logits)[-1]), state

        return [word for word, _ in accumulate(range(words), after, initial=(first, None))][1:]
""",
)
right(
    "class",
    """
    class Reader:
        def __init__(self, step):
            self.step, self.state = step, None

        def best(self, word):
            logits, self.state = self.step(word, self.state)
            return int(np.flatnonzero(logits == np.max(logits))[0])

    def greedy(step, first, words):
        reader, found = Reader(step), [first]
        for _ in range(words):
            found.append(reader.best(found[-1]))
        return found[1:]
""",
)

_CYCLE = """
        def find_cycle(words):
            words = list(words)
            for length in {lengths}:
                start = len(words) - length
                while start > 0 and words[start - 1] == words[start - 1 + length]{also}:
                    start -= 1
                if {enough}:
                    return {result}
            return {none}
"""


def _cycle(
    *,
    lengths: str = "range(1, len(words) // 2 + 1)",
    also: str = "",
    enough: str = "len(words) - start >= 2 * length",
    result: str = "start, length",
    none: str = "None",
) -> str:
    return _CYCLE.format(lengths=lengths, also=also, enough=enough, result=result, none=none)


_ROUNDS = r"two whole rounds"
_LEAST = r"least|small|short"
_EARLY = r"earl|begin|start|as far as it repeats"
_END = r"end"
wrong = find_cycle.wrong
wrong("pass", r"None|find_cycle", "def find_cycle(words):\n    pass\n")
wrong(
    "one-round-and-a-word",
    _ROUNDS,
    _cycle(lengths="range(1, len(words))", enough="len(words) - start > length"),
)
wrong("one-round", _ROUNDS, _cycle(lengths="range(1, len(words) + 1)", enough="True"))
wrong("more-than-two-rounds", _ROUNDS, _cycle(enough="len(words) - start > 2 * length"))
wrong("three-rounds", _ROUNDS, _cycle(enough="len(words) - start >= 3 * length"))
wrong("longest", _LEAST, _cycle(lengths="range(len(words) // 2, 0, -1)"))
wrong(
    "not-of-one-word",
    r"length|least|small|short|1",
    _cycle(lengths="range(2, len(words) // 2 + 1)"),
)
wrong(
    "not-of-half-the-words", r"length|two whole rounds", _cycle(lengths="range(1, len(words) // 2)")
)
wrong(
    "three-words-at-most",
    r"length|every|ends in a cycle",
    _cycle(lengths="range(1, min(3, len(words) // 2) + 1)"),
)
wrong(
    "one-word-only",
    r"length|every|ends in a cycle",
    _cycle(lengths="range(1, min(1, len(words) // 2) + 1)"),
)
wrong("last-two-rounds-only", _EARLY, _cycle(also=" and start > len(words) - 2 * length"))
wrong(
    "whole-rounds-only",
    _EARLY,
    _cycle(result="len(words) - (len(words) - start) // length * length, length"),
)
wrong("one-late", _EARLY, _cycle(result="start + 1, length"))
wrong("one-early", _EARLY, _cycle(result="max(start - 1, 0), length"))
wrong("second-round", _EARLY, _cycle(result="start + length, length"))
wrong("from-the-first-word", _EARLY, _cycle(result="0, length"))
wrong("exchanged", r"\(start, length\)|order|start comes first", _cycle(result="length, start"))
wrong("start-and-end", r"length", _cycle(result="start, start + length"))
wrong("start-and-rounds", r"length", _cycle(result="start, (len(words) - start) // length"))
wrong("length-only", r"\(start, length\)|start", _cycle(result="length"))
wrong(
    "the-words", r"\(start, length\)|length", _cycle(result="start, words[start : start + length]")
)
wrong("none-is-minus-one", r"None", _cycle(none="(-1, -1)"))
wrong("none-is-zeros", r"None", _cycle(none="(0, 0)"))
wrong("none-is-all-words", r"None|two whole rounds", _cycle(none="(0, len(words))"))
wrong(
    "none-fails",
    r"None|ValueError",
    "def find_cycle(words):\n    words = list(words)\n"
    "    return next((s, n) for n in range(1, len(words) // 2 + 1)\n"
    "                for s in range(len(words) - 2 * n + 1) if words[s:-n] == words[s + n :])\n",
)
wrong(
    "no-words-fail", r"IndexError|empty|\[\]", _cycle(none="None if words[0] == words[0] else None")
)
wrong(
    "anywhere",
    _END,
    """
    def find_cycle(words):
        words = list(words)
        for length in range(1, len(words) // 2 + 1):
            for start in range(len(words) - 2 * length + 1):
                if words[start : start + length] == words[start + length : start + 2 * length]:
                    return start, length
        return None
""",
)
wrong(
    "last-word-before-then-give-up",
    r"every length|length|least",
    """
    def find_cycle(words):
        words = list(words)
        for length in range(1, len(words)):
            if words[-1 - length] == words[-1]:
                start = len(words) - length
                while start > 0 and words[start - 1] == words[start - 1 + length]:
                    start -= 1
                return (start, length) if len(words) - start >= 2 * length else None
        return None
""",
)
wrong(
    "first-word-seen-again",
    r"end|round|repeat",
    """
    def find_cycle(words):
        places = {}
        for i, word in enumerate(words):
            if word in places:
                return places[word], i - places[word]
            places[word] = i
        return None
""",
)
wrong(
    "same-words-in-any-order",
    r"repeat|order",
    """
    def find_cycle(words):
        words = list(words)
        for length in range(1, len(words) // 2 + 1):
            start = len(words) - 2 * length
            if sorted(words[start : start + length]) == sorted(words[start + length :]):
                while start > 0 and words[start - 1] == words[start - 1 + length]:
                    start -= 1
                return start, length
        return None
""",
)
wrong(
    "digits-as-text",
    r"repeat|number|id|digit|word|text",
    """
    def find_cycle(words):
        text = "".join(str(word) for word in words)
        match = re.search(r"(.+?)\\1+$", text)
        return (match.start(), len(match.group(1))) if match else None
""",
)
wrong(
    "earliest-start-first",
    _LEAST,
    """
    def find_cycle(words):
        words = list(words)
        for start in range(len(words)):
            for length in range(1, (len(words) - start) // 2 + 1):
                if words[start : len(words) - length] == words[start + length :]:
                    return start, length
        return None
""",
)
wrong(
    "never-ends",
    r"never ends|loop|more than \d+ s|too long",
    """
    def find_cycle(words):
        words, start, length = list(words), len(words), 1
        while words:
            start = len(words) - length
            while start > 0 and words[start - 1] == words[start - 1 + length]:
                start -= 1
            if len(words) - start >= 2 * length:
                return start, length
            length = min(length + 1, len(words))
        return None
""",
)
wrong(
    "reverses-the-words",
    changed("words|list"),
    """
    def find_cycle(words):
        words.reverse()
        for length in range(1, len(words) // 2 + 1):
            same = 0
            while same + length < len(words) and words[same] == words[same + length]:
                same += 1
            if same >= length:
                return len(words) - same - length, length
        return None
""",
)
wrong(
    "takes-the-words-away",
    changed("words|list"),
    """
    def find_cycle(words):
        back = []
        while words:
            back.append(words.pop())
        for length in range(1, len(back) // 2 + 1):
            same = 0
            while same + length < len(back) and back[same] == back[same + length]:
                same += 1
            if same >= length:
                return len(back) - same - length, length
        return None
""",
)
wrong(
    "kept-between-calls", KEPT, twice("find_cycle", "result = next((r for r in _kept if r), None)")
)
wrong(
    "the-example",
    r"repeat|end|None|length",
    "def find_cycle(words):\n    return (2, 2) if len(words) > 5 else None\n",
)

right = find_cycle.right
right(
    "brute-force",
    """
    def find_cycle(words):
        words = list(words)
        for length in range(1, len(words)):
            for start in range(len(words) - 2 * length + 1):
                if all(words[i] == words[i + length] for i in range(start, len(words) - length)):
                    return start, length
        return None
""",
)
right(
    "borders",
    """
    def find_cycle(words):
        # The prefix function of the reversed list: its periods are those of the list's ends.
        back = list(words)[::-1]
        border, best = [0] * len(back), None
        for i in range(1, len(back)):
            k = border[i - 1]
            while k and back[i] != back[k]:
                k = border[k - 1]
            border[i] = k + (back[i] == back[k])
            length = i + 1 - border[i]
            if i + 1 >= 2 * length and (best is None or length <= best[1]):
                best = len(back) - i - 1, length
        return best
""",
)
right(
    "numpy",
    """
    def find_cycle(words):
        words = np.asarray(words, dtype=np.int64)
        for length in range(1, len(words) // 2 + 1):
            other = np.flatnonzero(words[length:] != words[:-length])
            start = int(other[-1]) + 1 if len(other) else 0
            if len(words) - start >= 2 * length:
                return start, length
        return None
""",
)
right(
    "characters",
    """
    def find_cycle(words):
        names = {word: chr(0x100 + i) for i, word in enumerate(dict.fromkeys(words))}
        text = "".join(names[word] for word in words)
        for length in range(1, len(text) // 2 + 1):
            match = re.search(rf"(?s)(?=(.{{{length}}}))(\\1)+(.{{0,{length - 1}}})$", text)
            while match and not match.group(1).startswith(match.group(3)):
                match = re.compile(match.re.pattern, re.S).search(text, match.start() + 1)
            if match and len(text) - match.start() >= 2 * length:
                return match.start(), length
        return None
""",
)
right(
    "slices",
    """
    def find_cycle(words):
        words, n = list(words), len(words)
        found = (
            (start, length)
            for length in range(1, n // 2 + 1)
            for start in range(n - 2 * length + 1)
            if words[start : n - length] == words[start + length :]
        )
        return next(found, None)
""",
)
right(
    "recursion",
    """
    def find_cycle(words, length=1):
        words = list(words)
        if 2 * length > len(words):
            return None
        same = 0
        for a, b in zip(reversed(words), reversed(words[:-length])):
            if a != b:
                break
            same += 1
        if same >= length:
            return len(words) - same - length, length
        return find_cycle(words, length + 1)
""",
)
