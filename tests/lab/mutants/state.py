"""Mutants of exercise 7: the state carried, or all words read again."""
# ruff: noqa: E501

from __future__ import annotations

from mutants.hints import KEPT, changed, nothing
from mutants.mutant import Variants

generate_with_state = Variants("7", "generate_with_state")
generate_by_rerunning = Variants("7", "generate_by_rerunning")
ALL = [generate_with_state, generate_by_rerunning]

_CARRIED = """
        def generate_with_state(step, prompt, temperature, uniforms):
            state, found = None, []
            {before}
            for word in {read}:
                logits, state = step(word, state)
            for i, uniform in enumerate({uniforms}):
                found.append({drawn})
                if {more}:
                    logits, {kept} = step({fed}, {given})
            return {result}
"""


def _carried(
    *,
    before: str = "",
    read: str = "prompt",
    uniforms: str = "uniforms",
    drawn: str = "sample(logits, temperature, uniform)",
    more: str = "i + 1 < len(uniforms)",
    kept: str = "state",
    fed: str = "found[-1]",
    given: str = "state",
    result: str = "found",
) -> str:
    return _CARRIED.format(
        before=before,
        read=read,
        uniforms=uniforms,
        drawn=drawn,
        more=more,
        kept=kept,
        fed=fed,
        given=given,
        result=result,
    )


_TWICE = r"twice|once|again"
_STATE = r"state"
_PROMPT = r"prompt"
_NOT_IN = r"prompt is not in the list"
_SAMPLED = r"`?sample`?|temperature"
_ORDER = r"uniform.*order|each uniform|order"
_T = r"temperature|T\b|divide"
wrong = generate_with_state.wrong
wrong(
    "pass",
    nothing("generate_with_state"),
    "def generate_with_state(step, prompt, temperature, uniforms):\n    pass\n",
)
wrong("last-word-twice", _TWICE, _carried(read="[*prompt, prompt[-1]]"))
wrong("first-word-twice", _TWICE, _carried(read="[prompt[0], *prompt]"))
wrong("prompt-twice", _TWICE, _carried(read="[*prompt, *prompt]"))
wrong(
    "without-the-first-word",
    r"every word|each word|prompt",
    _carried(
        before="logits, state = step(prompt[0], None) if len(prompt) == 1 else (None, None)",
        read="prompt[1:]",
    ),
)
wrong(
    "without-the-last-word",
    r"every word|each word|prompt",
    _carried(before="logits, state = step(prompt[0], None)", read="prompt[1:-1]"),
)
wrong("last-word-only", r"every word|each word|prompt", _carried(read="prompt[-1:]"))
wrong("first-word-only", r"every word|each word|prompt", _carried(read="prompt[:1]"))
wrong("prompt-backwards", r"order|prompt", _carried(read="prompt[::-1]"))
wrong(
    "prompt-different-words-only",
    r"every word|each word|prompt",
    _carried(read="list(dict.fromkeys(prompt))"),
)
wrong("last-fifty-words", r"every word|each word|prompt|all", _carried(read="prompt[-50:]"))
wrong(
    "first-drawn-from-the-first",
    r"last word|prompt",
    """
    def generate_with_state(step, prompt, temperature, uniforms):
        first, state = step(prompt[0], None)
        for word in prompt[1:]:
            _, state = step(word, state)
        found, logits = [], first
        for i, uniform in enumerate(uniforms):
            found.append(sample(logits, temperature, uniform))
            if i + 1 < len(uniforms):
                logits, state = step(found[-1], state)
        return found
""",
)
wrong("state-not-carried", _STATE, _carried(given="None"))
wrong("state-not-kept", _STATE, _carried(kept="_"))
wrong(
    "state-of-the-prompt-lost",
    _STATE,
    """
    def generate_with_state(step, prompt, temperature, uniforms):
        for word in prompt:
            logits, _ = step(word, None)
        state, found = None, []
        for i, uniform in enumerate(uniforms):
            found.append(sample(logits, temperature, uniform))
            if i + 1 < len(uniforms):
                logits, state = step(found[-1], state)
        return found
""",
)
wrong(
    "all-words-again",
    r"again|keep the state|once|twice",
    """
    def generate_with_state(step, prompt, temperature, uniforms):
        found = []
        for uniform in uniforms:
            state = None
            for word in [*prompt, *found]:
                logits, state = step(word, state)
            found.append(sample(logits, temperature, uniform))
        return found
""",
)
wrong(
    "new-words-again",
    r"again|keep the state|once|twice",
    """
    def generate_with_state(step, prompt, temperature, uniforms):
        after = None
        for word in prompt:
            logits, after = step(word, after)
        found = []
        for uniform in uniforms:
            state = after
            for word in found:
                logits, state = step(word, state)
            found.append(sample(logits, temperature, uniform))
        return found
""",
)
wrong(
    "prompt-word-fed-on",
    r"fed|drawn|every word|each word|went through twice",
    _carried(fed="prompt[-1]"),
)
wrong(
    "word-before-fed",
    r"fed|drawn|every word|each word|order|went through twice",
    _carried(fed="([prompt[-1]] + found)[-2]"),
)
wrong("most-probable", _SAMPLED, _carried(drawn="int(np.argmax(logits))"))
wrong(
    "temperature-one",
    _T,
    _carried(drawn="sample(logits, 1.0, uniform) if temperature else int(np.argmax(logits))"),
)
wrong("temperature-one-always", _T, _carried(drawn="sample(logits, 1.0, uniform)"))
wrong(
    "temperature-multiplied",
    _T,
    _carried(drawn="sample(np.asarray(logits) * temperature**2, temperature, uniform)"),
)
wrong(
    "temperature-twice",
    _T,
    _carried(drawn="sample(np.asarray(logits) / (temperature or 1), temperature, uniform)"),
)
wrong(
    "temperature-and-uniform-exchanged",
    _T + "|uniform|order",
    _carried(drawn="sample(logits, uniform, min(temperature, 0.999))"),
)
wrong("temperature-falls", _T, _carried(drawn="sample(logits, temperature / (i + 1), uniform)"))
wrong("uniforms-backwards", _ORDER, _carried(uniforms="uniforms[::-1]"))
wrong("uniforms-sorted", _ORDER, _carried(uniforms="sorted(uniforms)"))
wrong("first-uniform-always", _ORDER, _carried(drawn="sample(logits, temperature, uniforms[0])"))
wrong("uniforms-one-late", _ORDER, _carried(drawn="sample(logits, temperature, uniforms[i - 1])"))
wrong(
    "own-uniforms",
    _ORDER + "|own|`uniforms?`",
    _carried(drawn="sample(logits, temperature, np.random.random())"),
)
wrong(
    "uniform-for-the-prompt",
    _ORDER + "|one word for each",
    """
    def generate_with_state(step, prompt, temperature, uniforms):
        state, found, uniforms = None, [], list(uniforms) * 2
        for word in prompt:
            logits, state = step(word, state)
            uniform = uniforms.pop(0)
        for i in range(len(uniforms) // 2 + len(prompt) // 2):
            found.append(sample(logits, temperature, uniform))
            logits, state = step(found[-1], state)
            uniform = uniforms.pop(0)
        return found
""",
)
wrong("with-the-prompt", _NOT_IN, _carried(result="list(prompt) + found"))
wrong(
    "with-the-last-of-the-prompt",
    r"prompt|one word for each",
    _carried(result="[prompt[-1], *found]"),
)
wrong("one-less", r"one word for each", _carried(uniforms="uniforms[:-1]"))
wrong("last-only", r"one word for each", _carried(result="found[-1:]"))
wrong(
    "stops-at-a-repetition",
    r"one word for each",
    _carried(
        drawn="sample(logits, temperature, uniform)",
        result="found[: next((i for i in range(1, len(found)) if found[i] == found[i - 1]), len(found))]",
    ),
)
wrong(
    "logits-not-words",
    r"whole number|word|id",
    _carried(drawn="float(logits[sample(logits, temperature, uniform)])", fed="prompt[-1]"),
)
wrong(
    "no-uniforms-fail",
    r"\[\]|empty|no (uniforms|words)|one word for each|IndexError",
    """
    def generate_with_state(step, prompt, temperature, uniforms):
        state = None
        for word in prompt:
            logits, state = step(word, state)
        found = [sample(logits, temperature, uniforms[0])]
        for uniform in uniforms[1:]:
            logits, state = step(found[-1], state)
            found.append(sample(logits, temperature, uniform))
        return found
""",
)
wrong(
    "changes-the-prompt",
    changed("prompt"),
    """
    def generate_with_state(step, prompt, temperature, uniforms):
        state, count = None, len(prompt)
        for word in prompt:
            logits, state = step(word, state)
        for uniform in uniforms:
            prompt.append(sample(logits, temperature, uniform))
            logits, state = step(prompt[-1], state)
        return prompt[count:]
""",
)
wrong(
    "changes-the-uniforms",
    changed("uniforms"),
    """
    def generate_with_state(step, prompt, temperature, uniforms):
        state, found = None, []
        for word in prompt:
            logits, state = step(word, state)
        while uniforms:
            found.append(sample(logits, temperature, uniforms.pop(0)))
            logits, state = step(found[-1], state)
        return found
""",
)
wrong(
    "state-kept-between-calls",
    KEPT + "|before the first|None",
    """
    _memory = [None]

    def generate_with_state(step, prompt, temperature, uniforms):
        found = []
        for word in prompt:
            logits, _memory[0] = step(word, _memory[0])
        for uniform in uniforms:
            found.append(sample(logits, temperature, uniform))
            logits, _memory[0] = step(found[-1], _memory[0])
        return found
""",
)
wrong(
    "words-kept-between-calls",
    KEPT,
    """
    def generate_with_state(step, prompt, temperature, uniforms, found=[]):
        state = None
        for word in prompt:
            logits, state = step(word, state)
        for uniform in uniforms:
            found.append(sample(logits, temperature, uniform))
            logits, state = step(found[-1], state)
        return found
""",
)

right = generate_with_state.right
right(
    "fed-to-the-last",
    """
    def generate_with_state(step, prompt, temperature, uniforms):
        state = None
        for word in prompt:
            logits, state = step(word, state)
        found = []
        for uniform in uniforms:
            word = sample(logits, temperature, uniform)
            found.append(word)
            logits, state = step(word, state)
        return found
""",
)
right(
    "queue",
    """
    from collections import deque

    def generate_with_state(step, prompt, temperature, uniforms):
        waiting, left, state, found = deque(prompt), deque(uniforms), None, []
        while waiting:
            logits, state = step(waiting.popleft(), state)
            if not waiting and left:
                found.append(sample(logits, temperature, left.popleft()))
                if left:
                    waiting.append(found[-1])
        return found
""",
)
right(
    "generator",
    """
    def _drawn(step, prompt, temperature, uniforms):
        state = None
        *first, word = prompt
        for each in first:
            _, state = step(each, state)
        for uniform in uniforms:
            logits, state = step(word, state)
            word = sample(logits, temperature, uniform)
            yield word

    def generate_with_state(step, prompt, temperature, uniforms):
        return list(_drawn(step, prompt, temperature, uniforms))
""",
)
right(
    "reduce",
    """
    from functools import reduce

    def generate_with_state(step, prompt, temperature, uniforms):
        logits, state = reduce(lambda pair, word: step(word, pair[1]), prompt, (None, None))

        def draw(done, uniform):
            words, logits, state = done
            if words:
                logits, state = step(words[-1], state)
            return [*words, sample(logits, temperature, uniform)], logits, state

        return reduce(draw, uniforms, ([], logits, state))[0]
""",
)

_AGAIN = """
        def generate_by_rerunning(run, prompt, temperature, uniforms):
            words = list(prompt)
            {before}
            for i, uniform in enumerate({uniforms}):
                words.append({drawn})
            return {result}
"""


def _again(
    *,
    before: str = "",
    uniforms: str = "uniforms",
    drawn: str = "sample(run(words)[-1], temperature, uniform)",
    result: str = "words[len(prompt) :]",
) -> str:
    return _AGAIN.format(before=before, uniforms=uniforms, drawn=drawn, result=result)


_ALL_WORDS = r"all words|from the beginning|prompt \+ words"
_LAST_ROW = r"last row|after the last word"
wrong = generate_by_rerunning.wrong
wrong(
    "pass",
    nothing("generate_by_rerunning"),
    "def generate_by_rerunning(run, prompt, temperature, uniforms):\n    pass\n",
)
wrong(
    "last-word-only", _ALL_WORDS, _again(drawn="sample(run(words[-1:])[-1], temperature, uniform)")
)
wrong(
    "window-of-fifty",
    _ALL_WORDS + "|window|long",
    _again(drawn="sample(run(words[-50:])[-1], temperature, uniform)"),
)
wrong(
    "window-of-a-hundred",
    _ALL_WORDS + "|window|long",
    _again(drawn="sample(run(words[-100:])[-1], temperature, uniform)"),
)
wrong(
    "window-of-ten",
    _ALL_WORDS + "|window|long",
    _again(drawn="sample(run(words[-10:])[-1], temperature, uniform)"),
)
wrong(
    "window-of-the-prompt",
    _ALL_WORDS,
    _again(drawn="sample(run(words[-len(prompt):])[-1], temperature, uniform)"),
)
wrong(
    "first-fifty",
    _ALL_WORDS + "|window|long",
    _again(drawn="sample(run(words[:50])[-1], temperature, uniform)"),
)
wrong(
    "prompt-only",
    _ALL_WORDS + "|words so far",
    _again(drawn="sample(run(words[:len(prompt)])[-1], temperature, uniform)"),
)
wrong(
    "without-the-prompt",
    _ALL_WORDS + "|prompt",
    _again(drawn="sample(run(words[len(prompt) :] or words)[-1], temperature, uniform)"),
)
wrong(
    "without-the-last",
    _ALL_WORDS,
    _again(drawn="sample(run(words[:-1] or words)[-1], temperature, uniform)"),
)
wrong(
    "once-only",
    _ALL_WORDS + "|each new word",
    _again(before="rows = run(words)", drawn="sample(rows[-1], temperature, uniform)"),
)
wrong("first-row", _LAST_ROW, _again(drawn="sample(run(words)[0], temperature, uniform)"))
wrong(
    "row-before-the-last",
    _LAST_ROW,
    _again(drawn="sample(run(words)[-min(2, len(words))], temperature, uniform)"),
)
wrong(
    "row-of-the-prompt",
    _LAST_ROW,
    _again(drawn="sample(run(words)[len(prompt) - 1], temperature, uniform)"),
)
wrong(
    "mean-of-the-rows",
    _LAST_ROW,
    _again(drawn="sample(np.mean(run(words), axis=0), temperature, uniform)"),
)
wrong(
    "all-rows",
    _LAST_ROW + "|list|logits",
    _again(drawn="sample(np.ravel(run(words)), temperature, uniform)"),
)
wrong(
    "run-twice",
    r"twice|once|again|each new word",
    _again(drawn="sample((run(words), run(words))[1][-1], temperature, uniform)"),
)
wrong(
    "run-for-each-beginning",
    r"twice|once|again|each new word|read",
    _again(
        drawn="sample([run(words[: k + 1]) for k in range(len(words))][-1][-1], temperature, uniform)"
    ),
)
wrong(
    "words-backwards",
    _ALL_WORDS + "|order",
    _again(drawn="sample(run(words[::-1])[-1], temperature, uniform)"),
)
wrong("most-probable", _SAMPLED, _again(drawn="int(np.argmax(run(words)[-1]))"))
wrong(
    "temperature-one",
    _T,
    _again(drawn="sample(run(words)[-1], 1.0 if temperature else 0.0, uniform)"),
)
wrong(
    "temperature-multiplied",
    _T,
    _again(drawn="sample(run(words)[-1] * temperature**2, temperature, uniform)"),
)
wrong("uniforms-backwards", _ORDER, _again(uniforms="uniforms[::-1]"))
wrong(
    "first-uniform-always", _ORDER, _again(drawn="sample(run(words)[-1], temperature, uniforms[0])")
)
wrong(
    "own-uniforms",
    _ORDER + "|own|`uniforms?`",
    _again(drawn="sample(run(words)[-1], temperature, np.random.random())"),
)
wrong(
    "uniform-for-the-prompt",
    _ORDER,
    _again(
        drawn="sample(run(words)[-1], temperature, uniforms[(len(prompt) + i) % len(uniforms)])"
    ),
)
wrong("with-the-prompt", _NOT_IN, _again(result="words"))
wrong("without-the-first", r"one word for each", _again(result="words[len(prompt) + 1 :]"))
wrong("one-less", r"one word for each", _again(uniforms="uniforms[:-1]"))
wrong("last-only", r"one word for each", _again(result="words[-1:]"))
wrong(
    "changes-the-prompt", changed("prompt"), _again(before="words, prompt = prompt, list(prompt)")
)
wrong(
    "changes-the-prompt-for-a-while",
    changed("prompt"),
    """
    def generate_by_rerunning(run, prompt, temperature, uniforms):
        count = len(prompt)
        for uniform in uniforms:
            prompt.append(sample(run(prompt)[-1], temperature, uniform))
        found = prompt[count:]
        prompt[:] = found
        return found
""",
)
wrong(
    "prompt-taken-apart",
    changed("prompt"),
    """
    def generate_by_rerunning(run, prompt, temperature, uniforms):
        words, count = [], len(prompt)
        while prompt:
            words.append(prompt.pop(0))
        for uniform in uniforms:
            words.append(sample(run(words)[-1], temperature, uniform))
        return words[count:]
""",
)
wrong(
    "words-kept-between-calls",
    KEPT,
    """
    _words = []

    def generate_by_rerunning(run, prompt, temperature, uniforms):
        _words.extend(prompt)
        begin = len(_words)
        for uniform in uniforms:
            _words.append(sample(run(_words)[-1], temperature, uniform))
        return _words[begin:]
""",
)
wrong(
    "logits-kept-between-calls",
    KEPT,
    """
    _known = {}

    def generate_by_rerunning(run, prompt, temperature, uniforms):
        words = list(prompt)
        for uniform in uniforms:
            if len(words) not in _known:
                _known[len(words)] = run(words)[-1]
            words.append(sample(_known[len(words)], temperature, uniform))
        return words[len(prompt) :]
""",
)

right = generate_by_rerunning.right
right(
    "two-lists",
    """
    def generate_by_rerunning(run, prompt, temperature, uniforms):
        found = []
        for uniform in uniforms:
            logits = run([*prompt, *found])
            found.append(sample(logits[len(logits) - 1], temperature, uniform))
        return found
""",
)
right(
    "recursion",
    """
    def generate_by_rerunning(run, prompt, temperature, uniforms):
        if len(uniforms) == 0:
            return []
        word = sample(run(list(prompt))[-1], temperature, uniforms[0])
        return [word, *generate_by_rerunning(run, [*prompt, word], temperature, uniforms[1:])]
""",
)
right(
    "tuples",
    """
    def generate_by_rerunning(run, prompt, temperature, uniforms):
        words = tuple(prompt)
        for uniform in uniforms:
            words += (sample(run(words)[len(words) - 1], temperature, uniform),)
        return list(words[len(prompt) :])
""",
)
right(
    "array",
    """
    def generate_by_rerunning(run, prompt, temperature, uniforms):
        words = np.zeros(len(prompt) + len(uniforms), int)
        words[: len(prompt)] = prompt
        for place, uniform in enumerate(uniforms, start=len(prompt)):
            words[place] = sample(run(words[:place])[-1], temperature, uniform)
        return words[len(prompt) :].tolist()
""",
)


# One wrong sampler of their own, in both functions: they agree with each other.
def _both(what: str, expression: str, hint: str) -> None:
    helper = f"""
        def _own_sample(logits, temperature, uniform):
            z = np.asarray(logits, np.float64)
            if temperature == 0:
                return int(np.argmax(z))
            p = np.exp({expression} - np.max({expression}))
            sums = np.cumsum(p)
            return int(np.searchsorted(sums, uniform * sums[-1], side="right"))
"""
    carried = _carried(drawn="_own_sample(logits, temperature, uniform)")
    again = _again(drawn="_own_sample(run(words)[-1], temperature, uniform)")
    generate_with_state.wrong(f"own-sampler-{what}", hint, helper + carried)
    generate_by_rerunning.wrong(f"own-sampler-{what}", hint, helper + again)


_both("multiplied", "z * temperature", r"divide|temperature|T\b")
_both("root", "z / np.sqrt(temperature)", r"divide|temperature|T\b")
