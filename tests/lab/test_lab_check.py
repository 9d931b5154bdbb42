"""The lab's checks pass right answers, and say what is wrong with the others."""
# ruff: noqa: E501

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from lab_here import functions_of, run_checks
from rich.console import Console

from lab import check
from lab.checks import EXERCISES
from lab.checks.expect import NotStarted, Wrong, equal, show
from lab.checks.temperature import unlikely
from lab.checks.words import reference
from lab.sandbox import run
from lab.sandbox.run import FAILED, NOT_STARTED, PASSED, Result, results
from lab.sandbox.student import cause
from textmill.model.visible import visible

ROOT = Path(__file__).resolve().parents[2]
SOLUTION = ROOT / "tests" / "lab" / "lab_solution.py"

_LONG = 600.0  # seconds, which nothing takes that ends

# Exercise, what is changed in the solution, into what, what the hint says.
WRONG = [
    ("0", "Counter(tokens)", "Counter(t.lower() for t in tokens)", "do not change the case"),
    ("0", "Counter(tokens)", "Counter(set(tokens))", "each time it stands there"),
    ("0", "/ total", "/ total * 0 + size / len(counts)", "share of the vocabulary"),
    ("0", "counts.most_common(size)", "list(counts.items())[:size]", "most frequent words"),
    ("1", "_TOKEN.finditer(text)", "re.finditer(r'[A-Za-z]+|[^A-Za-z ]', text)", "apostrophe"),
    ("1", "_TOKEN.finditer(text)", "re.finditer(r'\\S+', text)", "punctuation marks are tokens"),
    ("1", "_TOKEN.finditer(text)", "re.finditer(r\"[A-Za-z']+|[^\\w\\s]\", text)", "any script"),
    ("1", "['’]", "'", "the curly one"),
    ("1", "[^\\w\\s]|_", "[^\\w\\s]+|_", "where several follow each other"),
    ("1", '"■" if', '"" if', "begins with a ■"),
    ("1", '" " + token', "token", "after one space"),
    ("1", "[UNKNOWN, *sorted", "[*sorted", "comes first"),
    ("1", ">= min_count", "> min_count", "exactly so often is enough"),
    ("1", "(-counts[word], word)", "-counts[word]", "alphabetical"),
    ("1", "ids.get(token, 0)", "ids.get(token, len(ids))", "0 if it has none"),
    ("2", "len(ids) - n + 1):\n        table", "len(ids) - n):\n        table", "last n-gram"),
    ("2", "parts.append(parts[-1])", "parts.append(np.zeros(size))", "add up to"),
    ("2", "p / p.sum()", "p", "divide by the sum of the counts"),
    ("2", "parts.append(parts[-1])", "parts.append(parts[0])", "the order below, not 1 / V"),
    ("2", "np.exp(-np.mean(np.log(probabilities)))", "1 / np.mean(probabilities)", "of logarithms"),
    ("2", "range(50)", "range(0)", "the weights to begin with"),
    ("2", "range(50)", "range(2)", "go on until"),
    ("2", ".mean(axis=0)", ".sum(axis=0)", "add up to 1"),
    ("3", "rows[:, 1 : windows * steps + 1]", "rows[:, : windows * steps]", "shift them by one"),
    ("3", "(len(ids) // batch - 1) // steps", "len(ids) // batch // steps - 1", "windows"),
    ("3", ".reshape(batch, windows, steps).swapaxes(0, 1)\n    targets",
     ".reshape(windows, batch, steps)\n    targets", "stands after|goes on in it"),
    ("3", "    length = len(ids) // batch\n    rows = np.asarray(ids, np.int32)",
     "    length = (len(ids) - 1) // batch\n    windows = length // steps\n    ids, following = ids[:-1], "
     "ids[1:]\n    cut = [x[: length * batch].reshape(batch, length)[:, : windows * steps].reshape(batch, "
     "windows, steps).swapaxes(0, 1) for x in (ids, following)]\n    return cut[0], cut[1]\n"
     "    rows = np.asarray(ids, np.int32)", "reshape to [B, N // B] first"),
    ("3", "return inputs, targets", "return inputs.swapaxes(0, 1), targets.swapaxes(0, 1)", "swap the"),
    ("3", "return inputs, targets", "return inputs.tolist(), targets.tolist()", "arrays of int32"),
    ("3", "np.asarray(ids, np.int32)", "np.asarray(ids, np.int64)", "arrays of int32"),
    ("4", "keras.layers.Dense(size)(x)", "keras.layers.Dense(size, 'softmax')(x)", "without a soft"),
    ("4", "keras.layers.Dense(size)(x)", "keras.layers.Dense(size, 'relu')(x)", "without an activation"),
    ("4", "x, initial_state=[h, c]\n", "x, initial_state=[h, c], mask=keras.ops.not_equal(ids, 0)\n",
     "no mask"),
    ("4", "initial_state=[h, c]\n    )\n    x = keras.layers.SpatialDropout1D(0.4)(x)\n    return",
     "initial_state=[h * 0, c * 0]\n    )\n    x = keras.layers.SpatialDropout1D(0.4)(x)\n    return",
     "initial_state"),
    ("4", "from_logits=True", "from_logits=False", "from_logits"),
    ("4", "ops.mean(ops", "ops.sum(ops", "take the mean"),
    ("4", "[keras.layers.Dense(size)(x), after_h, after_c]", "keras.layers.Dense(size)(x)",
     "return_state"),
    ("4", "keras.layers.Embedding(size, embedding)",
     "keras.layers.Embedding(size, embedding, trainable=False, embeddings_initializer='zeros')",
     "trained"),
    ("5", "[], first, None\n", "[], first, None\n    _, state = step(word, state)\n", "went through twice"),
    ("5", "np.argmax", "np.argmin", "largest logit|every word goes"),
    ("5", ">= 2 * length", ">= length + 1", "two whole rounds"),
    ("5", "for length in range(1, len(words) // 2 + 1)",
     "for length in range(len(words) // 2, 0, -1)", "least length"),
    ("5", "while start > 0 and", "while start > len(words) - 2 * length and", "begins earlier"),
    ("6", "/ temperature", "* temperature", "divide"),
    ("6", "/ temperature", "/ 1", "no effect"),
    ("6", "weights = np.exp((logits - logits.max()) / temperature)",
     "weights = np.exp(logits - logits.max())\n    weights /= weights.sum() * temperature\n"
     "    return min(int(np.searchsorted(np.cumsum(weights), uniform, side='right')), len(logits) - 1)",
     "comes after the softmax"),
    ("6", "weights = np.exp((logits - logits.max()) / temperature)",
     "p = np.exp(logits - logits.max())\n    weights = np.exp(p / p.sum() / temperature)",
     "comes after the softmax"),
    ("6", "return int(np.searchsorted(sums, uniform * sums[-1], side=\"right\"))",
     "order = np.argsort(-weights)\n    sums = np.cumsum(weights[order])\n"
     "    return int(order[np.searchsorted(sums, uniform * sums[-1], side='right')])",
     "as they stand"),
    ("6", "(logits - logits.max())", "logits", "take the largest logit off"),
    ("6", "uniform * sums", "np.random.rand() * sums", "draw nothing of your own"),
    ("6", "temperature == 0", "temperature >= 0", "at temperature 0 only"),
    ("6", 'side="right"', 'side="left"', "never drawn"),
    ("7", "for word in prompt:", "for word in [*prompt, prompt[-1]]:", "last word went through twice"),
    ("7", "for word in prompt:", "for word in prompt[1:]:", "every word goes"),
    ("7", "found.append(sample(logits, temperature, uniform))", "found.append(int(np.argmax(logits)))",
     "draw it with `sample`"),
    ("7", "found.append(sample(logits, temperature, uniform))",
     "found.append(sample(logits, temperature, np.random.default_rng(len(found) + 1).random()))",
     "the uniforms in their order"),
    ("7", "words.append(sample(run(words)[-1], temperature, uniform))",
     "words.append(sample(run(words)[-1], temperature, np.random.default_rng(len(words) + 1).random()))",
     "the uniforms in their"),
    ("7", "            logits, state = step(found[-1], state)\n    return found",
     "            logits, state = step(found[-1], state)\n    return list(prompt) + found",
     "prompt is not in the list"),
    ("7", "return words[len(prompt) :]", "return words", "prompt is not in the list"),
    ("7", "logits, state = step(found[-1], state)",
     "state = None\n            for word in [*prompt, *found]: logits, state = step(word, state)",
     "keep the state"),
    ("7", "run(words)[-1]", "run(words[-1:])[-1]", "last row|only the last word"),
    ("8", "[gram for text in texts for gram in _grams(text, n)]",
     "_grams([word for text in texts for word in text], n)", "spans two texts"),
    ("8", "float(copied.mean())", "np.mean([g in known for g in _grams(text, n)])", "lie in one"),
    ("8", "1 - len(set(grams)) / len(grams)", "len(set(grams)) / len(grams)", "first time"),
    ("many-to-one", ", mask_zero=True", "", "mask_zero"),
    ("many-to-one", ', activation="sigmoid"', "", "sigmoid"),
    ("one-to-many", "x = keras.layers.LSTM(units, return_sequences=True)(x, initial_state=[h, c])\n"
     "    return keras.Model([start", "x = keras.layers.LSTM(units, return_sequences=True)(x)\n"
     "    return keras.Model([start", "initial_state"),
    ("one-to-many", "return keras.Model([start, ids], keras.layers.Dense(size)(x))",
     "return keras.Model([start, ids], keras.layers.Dense(size)(x[:, -1]))", "at each step"),
    ("one-to-many", "return keras.Model([start, ids], keras.layers.Dense(size)(x))",
     "return keras.Model([start, ids], keras.layers.Dense(size, 'softmax')(x))", "without a softmax"),
    ("many-to-many", "keras.layers.Dense(target)(x)", "keras.layers.Dense(target, 'softmax')(x)",
     "without a softmax"),
    ("many-to-many", "_, h, c = keras.layers.LSTM(units, return_state=True)(x)",
     "_, h, c = keras.layers.LSTM(units, return_state=True)(x * 0)", "initial_state"),
    ("many-to-many", "x = keras.layers.Embedding(target, embedding)(ids)\n    x = keras.layers.LSTM("
     "units, return_sequences=True)(x, initial_state=[h, c])",
     "x = keras.layers.Embedding(target, embedding)(ids)\n    x = keras.layers.Bidirectional(keras."
     "layers.LSTM(units, return_sequences=True))(x, initial_state=[h, c, h, c])", "Bidirectional"),
    # What passed once, though the text of the exercise forbids it, and its neighbours.
    ("0", "return Counter(tokens)", "return dict(Counter(tokens))", "collections.Counter"),
    ("0", "    return Counter(tokens)", "    Counter(tokens)", "ends without a `return`"),
    ("0", "most_common(size)) / total", "most_common(size)) and 'half'", "numbers, not a value of type str"),
    ("1", "    return tokens\n", "    return iter(tokens)\n", "a list, not a value of type list_iterator"),
    ("1", "return text.removeprefix(\" \")", "return text.split()", "a text, not a value of type list"),
    ("0", "return Counter(tokens)", "tokens.sort(); return Counter(tokens)", "work on a copy"),
    ("1", "_TOKEN = re.compile(r\"[^\\W_]+(?:['’][^\\W_]+)*|[^\\w\\s]|_\")", "_TOKEN = re.compile(r\"\\w+(?:['’]\\w+)*|[^\\w\\s]\")", "underscore"),
    ("1", "[^\\w\\s]|_", "[^\\w\\s]", "an underscore is a mark"),
    ("1", 'r"[^\\W_]+', 'r"\\d+(?:[.,]\\d+)+|[^\\W_]+', "1.5 is three tokens"),
    ("1", "[^\\W_]+(?:['’][^\\W_]+)*", "[a-zA-Zа-яА-Я0-9]+(?:['’][a-zA-Zа-яА-Я0-9]+)*", "any script"),
    ("1", "[^\\W_]+(?:['’][^\\W_]+)*", "(?:[^\\W_]|['’])+", "word's edge"),
    ("1", "[^\\W_]+(?:['’][^\\W_]+)*", "[^\\W_]+(?:['’][^\\W_]+)?", "several apostrophes"),
    ("1", "['’]", "['’-]", "a hyphen is a mark"),
    ("1", "(-counts[word], word)", "(-counts[word], word.lower())", "alphabetical"),
    ("1", "(-counts[word], word)", "(-counts[word], len(word))", "alphabetical"),
    ("1", "append((", "append(match.group()) or (lambda x: x)((", "begins with a ■"),
    ("1", "+ match.group())", "+ match.group().lower())", "do not change the case"),
    ("1", "        end = match.end()\n    return tokens", "        end = match.end()", "ends without a `return`"),
    ("1", "    tokens, end = [], None", "    return [c for part in text.split() for c in re.split(r'([^\\w]*$)', part) if c]\n    tokens, end = [], None", "tokens"),
    ("1", "return text.removeprefix(\" \")", "return text", "no space before the first token"),
    ("1", "return text.removeprefix(\" \")", "return text[1:]", "■|one space|before the first"),
    ("1", "ids.get(token, 0) for token in tokens], np.int32", "ids.get(token, 0) for token in tokens]", "np.int32"),
    ("2", "np.exp(-np.mean(np.log(probabilities)))", "8.0", "of logarithms"),
    ("2", "np.exp(-np.mean(np.log(probabilities)))", "np.exp(-np.median(np.log(probabilities)))", "median"),
    ("2", "np.exp(-np.mean(np.log(probabilities)))", "np.prod(probabilities) ** (-1 / len(probabilities))", "add logarithms"),
    ("2", "np.exp(-np.mean(np.log(probabilities)))", "np.exp(np.mean(np.log(probabilities)))", "the sign"),
    ("2", "np.exp(-np.mean(np.log(probabilities)))", "-np.mean(np.log(probabilities))", "exp of it"),
    ("2", "        if not found:\n            parts.append(parts[-1])", "        if not found:\n            parts.append(parts[-1] * 0)", "add up to"),
    ("2", "[_orders(tables, valid[i - 2 : i], size)[:, valid[i]] for i in range(2, len(valid))]",
     "[(lambda o, seen: o[:, valid[i]] * seen)(_orders(tables, valid[i - 2 : i], size), [1, 1, tuple(valid[i - 1 : i]) in tables[1], tuple(valid[i - 2 : i]) in tables[2]]) for i in range(2, len(valid))]",
     "never seen, pn is p(n-1), as in"),
    ("2", "    parts = [np.full(size, 1 / size)]", "    if len(context) > 1: tables[2].setdefault(tuple(context[-2:]), Counter())\n    parts = [np.full(size, 1 / size)]", "work on a copy"),
    ("2", "np.asarray(weights) @", "np.asarray(weights)[::-1] @", "not the other way round"),
    ("2", "return dict(table)", "return {k: dict(v) for k, v in table.items()}", "Counter gives 0"),
    ("3", "return inputs, targets", "return targets, inputs", "exchanged"),
    ("5", "[], first, None\n    for", "[], first, globals().get('kept')\n    globals()['kept'] = np.ones(6)\n    for", "kept from one call"),
    ("6", "    if temperature == 0:\n        return int(np.argmax(logits))\n", "", "without dividing"),
    ("6", "temperature == 0", "temperature < 0.1", "at temperature 0 only"),
    ("6", "/ temperature)", "/ (temperature + 0.01))", "as it is"),
    ("6", "/ temperature)", "/ max(temperature, 0.1))", "as it is"),
    ("6", "uniform * sums[-1]", "uniform", "that can be drawn|largest logit|above `uniform`"),
    ("6", "return int(np.searchsorted(sums, uniform * sums[-1], side=\"right\"))",
     "for i, s in enumerate(np.cumsum(weights / weights.sum())):\n        if s > uniform: return i", "without a `return`"),
    ("6", "return int(np.searchsorted(sums, uniform * sums[-1], side=\"right\"))",
     "return min(int(np.searchsorted(np.cumsum(weights / weights.sum()), uniform, side='right')), len(logits) - 1)", "of p above 0"),
    ("6", "logits = np.asarray(logits, np.float64)\n", "logits -= logits.max()\n", "work on a copy"),
    ("6", "weights = np.exp((", "weights = np.exp(-(", "the sign"),
    ("7", "    words = list(prompt)", "    words = prompt", "work on a copy"),
    ("7", "run(words)[-1]", "run(words[-50:])[-1]", "only the last 50 words"),
    ("7", "found.append(sample(logits, temperature, uniform))", "found.append(sample(logits, temperature + 0.01, uniform))", "give it what came in"),
    ("7", "found.append(sample(logits, temperature, uniform))", "found.append(sample(logits, 1.0, uniform))", "give it what came in"),
    ("7", "found.append(sample(logits, temperature, uniform))", "found.append(sample(logits * temperature, 1.0 if temperature else 0.0, uniform))", "as the network gave them"),
    ("7", "    state, found = None, []\n    for word in prompt", "    state, found = globals().get('kept'), []\n    globals()['kept'] = np.ones(6)\n    for word in prompt", "kept from one call"),
    ("8", "copied[i : i + n] |= gram in known", "copied[i : i + n] |= ' '.join(map(str, gram)) in ' '.join(map(str, book))", "1 2 is not in 11 2"),
    ("8", "grams = [gram for text in texts for gram in _grams(text, n)]", "grams = [''.join(map(str, gram)) for text in texts for gram in _grams(text, n)]", "not as texts"),
    ("8", "/ len(grams) if grams else 0.0\n\n\ndef repetition", "/ len(grams)\n\n\ndef repetition", "look in line"),
]  # fmt: skip

# The same of the exercises that train: each runs for seconds.
WRONG_NETWORKS = [
    ("4", "keras.layers.Embedding(size, embedding)(ids)", "keras.ops.expand_dims(keras.ops.cast(ids, 'float32'), -1)", "an id is only a name"),
    ("4", "x, after_h, after_c = keras.layers.LSTM(units, return_sequences=True, return_state=True)(\n        x, initial_state=[h, c]\n    )",
     "x, after_h = keras.layers.GRU(units, return_sequences=True, return_state=True)(x, initial_state=h)\n    after_c = c", "A GRU has no c"),
    ("4", "x = keras.layers.SpatialDropout1D(0.4)(x)\n    x, after", "x = keras.layers.Dropout(0.4)(x, training=True)\n    x, after", "training only"),
    ("4", "keras.layers.Embedding(size, embedding)(ids)\n    x = keras.layers.SpatialDropout1D(0.4)(x)\n    x, after",
     "keras.layers.Embedding(size, embedding, mask_zero=True)(ids)\n    x, after", "no mask"),
    ("4", "x, initial_state=[h, c]\n", "x, initial_state=[h, c], mask=keras.ops.not_equal(ids, 3)\n", "no mask"),
    ("4", "initial_state=[h, c]", "initial_state=[c, h]", "on their way in"),
    ("4", "after_h, after_c])", "after_c, after_h])", "then its state h, c"),
    ("4", "keras.layers.Dense(size)(x)", "keras.layers.Dense(size, 'tanh')(x)", "without an activation"),
    ("4", "keras.layers.Dense(size)(x)", "keras.layers.Dense(size, 'log_softmax')(x)", "log softmax"),
    ("4", "return keras.Model([ids, h, c], [", "return keras.Sequential([keras.layers.Embedding(size, 4), keras.layers.LSTM(units), keras.layers.Dense(size)])\n    return keras.Model([ids, h, c], [", "layers called on tensors"),
    ("4", "return keras.Model([ids, h, c], [", "return [ids]\n    return keras.Model([ids, h, c], [", "return keras.Model"),
    ("4", "ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=True))",
     "-ops.mean(ops.log(ops.take_along_axis(ops.softmax(logits), ops.cast(targets, 'int32')[..., None], -1)))", "log_softmax"),
    ("4", "ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=True))",
     "ops.mean(ops.log(ops.sum(ops.exp(logits), -1)) - ops.take_along_axis(logits, ops.cast(targets, 'int32')[..., None], -1)[..., 0])", "log_softmax"),
    ("4", "return ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=True))",
     "return float(ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)))", "needs the gradient"),
    ("4", "return ops.mean(ops", "return -ops.mean(ops", "the sign"),
    ("many-to-one", 'activation="sigmoid"', 'activation="softmax"', "softmax over one number"),
    ("one-to-many", "x = keras.layers.LSTM(units, return_sequences=True)(x, initial_state=[h, c])\n    return keras.Model([start, ids], keras.layers.Dense(size)(x))",
     "x = keras.layers.LSTM(units, return_sequences=True)(x)\n    x = keras.layers.Dense(size)(x) + keras.layers.Dense(size)(start)[:, None]\n    return keras.Model([start, ids], x)", "added to the output"),
    ("one-to-many", "x = keras.layers.LSTM(units, return_sequences=True)(x, initial_state=[h, c])\n    return keras.Model([start, ids]",
     "x = keras.layers.LSTM(units, return_sequences=True)(x + keras.layers.Dense(embedding)(start)[:, None])\n    return keras.Model([start, ids]", "at each step"),
    ("one-to-many", "x = keras.layers.LSTM(units, return_sequences=True)(x, initial_state=[h, c])\n    return keras.Model([start",
     "x = keras.layers.Bidirectional(keras.layers.LSTM(units, return_sequences=True))(x, initial_state=[h, c, h, c])\n    return keras.Model([start", "Bidirectional"),
    ("many-to-many", "initial_state=[h, c])\n    return keras.Model([read", "initial_state=[c, h])\n    return keras.Model([read", "exchanged"),
    ("many-to-many", "initial_state=[h, c])\n    return keras.Model([read", "initial_state=[h, h * 0])\n    return keras.Model([read", "only h"),
    ("many-to-many", "initial_state=[h, c])\n    return keras.Model([read", "initial_state=[h, h])\n    return keras.Model([read", "only h"),
]  # fmt: skip

RIGHT = [
    ("0", "Counter(tokens)", "Counter(iter(tokens))"),
    ("1", "np.array([ids.get(token, 0) for token in tokens], np.int32)",
     "np.fromiter((vocabulary.index(t) if t in vocabulary else 0 for t in tokens), dtype='int32')"),
    ("2", "return dict(table)", "return table"),
    ("2", "range(50)", "range(30)"),
    ("2", "    shares = np.array(\n        [_orders(tables, valid[i - 2 : i], size)[:, valid[i]] for i in range(2, len(valid))]\n    )",
     "    shares = np.array([[ngram_distribution(tables, valid[i - 2 : i], np.eye(4)[n], size)[valid[i]] for n in range(4)] for i in range(2, len(valid))])"),
    ("3", "return inputs, targets", "return [np.ascontiguousarray(inputs), targets]"),
    ("6", "    weights = np.exp((logits - logits.max()) / temperature)\n    sums = np.cumsum(weights)\n",
     "    from scipy.special import softmax\n    sums = np.cumsum(softmax(logits / temperature))\n"),
    ("6", "return int(np.searchsorted(sums, uniform * sums[-1], side=\"right\"))",
     "total, last = 0.0, 0\n    for i, w in enumerate(weights / weights.sum()):\n        total += w\n        last = i if w > 0 else last\n        if total > uniform:\n            return i\n    return last"),
    ("6", "    return int(np.argmax(logits))", "    return np.argmax(logits)"),
    ("7", "        if i + 1 < len(uniforms):\n            logits", "        if True:\n            logits"),
    ("7", "found.append(sample(logits, temperature, uniform))",
     "p = np.exp((logits - logits.max()) / (temperature or 1e-9))\n        found.append(int(np.searchsorted(np.cumsum(p / p.sum()), uniform, side='right')))"),
    ("8", "return 1 - len(set(grams)) / len(grams) if grams else 0.0",
     "return (len(grams) - len({*grams})) / max(1, len(grams))"),
]  # fmt: skip


def written(tmp_path, text):
    file = tmp_path / "exercises.py"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("seed", [0, 1, pytest.param(2, marks=pytest.mark.lab)])
@pytest.mark.parametrize("name", [name for name in EXERCISES if not EXERCISES[name].keras])
def test_the_solution_passes(name, seed):
    run_checks(name, SOLUTION, seed)


@pytest.mark.lab  # `test_the_command` trains each once, which is enough for every day
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", [name for name in EXERCISES if EXERCISES[name].keras])
def test_the_solution_passes_where_it_trains(name, seed):
    run_checks(name, SOLUTION, seed)


@pytest.mark.parametrize("name", EXERCISES)
def test_nothing_is_passed_before_it_is_started(name):
    with pytest.raises(NotStarted):
        run_checks(name, ROOT / "lab" / "exercises.py")


@pytest.mark.parametrize(
    ("name", "right", "wrong", "hint"),
    [
        pytest.param(*row, id=f"{row[0]}-{i}", marks=[pytest.mark.long] if row[0] == "4" else [])
        for i, row in enumerate(WRONG)
    ],
)
def test_what_is_wrong_is_told(tmp_path, name, right, wrong, hint):
    text = SOLUTION.read_text("utf-8")
    assert right in text
    with pytest.raises(Wrong) as told:
        run_checks(name, written(tmp_path, text.replace(right, wrong, 1)))
    assert any(part in told.value.hint for part in hint.split("|")), told.value.hint


@pytest.mark.parametrize(
    ("name", "right", "other"), RIGHT, ids=[f"{w[0]}-{i}" for i, w in enumerate(RIGHT)]
)
def test_what_is_right_in_another_way_passes(tmp_path, name, right, other):
    text = SOLUTION.read_text("utf-8")
    assert right in text
    run_checks(name, written(tmp_path, text.replace(right, other, 1)))


def test_each_function_has_a_wrong_version_that_fails_for_it():
    for name in EXERCISES:
        assert sum(wrong[0] == name for wrong in WRONG + WRONG_NETWORKS) >= 2, name


@pytest.mark.lab
@pytest.mark.parametrize(
    ("name", "right", "wrong", "hint"),
    WRONG_NETWORKS,
    ids=[f"{w[0]}-{i}" for i, w in enumerate(WRONG_NETWORKS)],
)
def test_what_is_wrong_with_a_network_is_told(tmp_path, name, right, wrong, hint):
    test_what_is_wrong_is_told(tmp_path, name, right, wrong, hint)


SUBCLASSED = """
def build_model(size, embedding, units):
    import keras

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.table = keras.layers.Embedding(size, embedding)
            self.lstm = keras.layers.LSTM(units, return_sequences=True, return_state=True)
            self.out = keras.layers.Dense(size)

        def call(self, inputs):
            ids, h, c = inputs
            x, h, c = self.lstm(self.table(ids), initial_state=[h, c])
            return self.out(x), h, c

    return Own()
"""


@pytest.mark.lab
def test_a_model_of_a_class_of_its_own_passes(tmp_path):
    run_checks("4", written(tmp_path, SOLUTION.read_text("utf-8") + SUBCLASSED))


@pytest.mark.long
def test_the_checks_draw_other_inputs_for_each_seed():
    """Answers to one seed, given for another, are wrong in every check."""
    for name in EXERCISES:
        for function, checked in EXERCISES[name].checks.items():
            if EXERCISES[name].keras:
                continue
            asked = []
            for seed in (0, 1, 0):
                exercises = functions_of(SOLUTION)
                ask, seen = exercises._ask, []
                exercises._ask = lambda request, *more, ask=ask, seen=seen: (
                    seen.append(repr(request[2])) if request[0] == "call" else None,
                    ask(request, *more),
                )[1]
                checked(exercises, np.random.default_rng(seed))
                asked.append([re.sub(" at 0x[0-9a-f]+", "", each) for each in seen])
            assert asked[0] == asked[2], function
            assert asked[0] != asked[1], function


def test_chi_square_bound_is_one_in_a_million():
    from scipy import stats

    random, p = np.random.default_rng(0), np.full(12, 1 / 12)
    assert sum(unlikely(random.multinomial(3000, p), p) for _ in range(2000)) == 0
    for freedom in (1, 5, 11, 50):
        bound = freedom * (1 - 2 / (9 * freedom) + 4.75 * np.sqrt(2 / (9 * freedom))) ** 3
        assert 1e-7 < stats.chi2.sf(bound, freedom) < 5e-6


def test_the_tokens_of_a_check_are_those_of_a_regular_expression():
    """The reference goes character by character; here is another way."""
    pattern = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]|_")
    random = np.random.default_rng(0)
    for _ in range(200):
        text = "".join(random.choice(list("abЖ1'’_-. \n\u00a0日"), 30))
        ends = [0, *(match.end() for match in pattern.finditer(text))]
        expected = [
            ("■" if i and match.start() == ends[i] else "") + match.group()
            for i, match in enumerate(pattern.finditer(text))
        ]
        assert reference(text) == expected, text


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """What ends by itself may take its time on a busy machine."""
    monkeypatch.setattr(run, "_LOAD_SECONDS", _LONG)
    monkeypatch.setattr(run, "_KERAS_SECONDS", _LONG)


def statuses(file, names=("0", "5", "8"), *, seconds=_LONG):
    return {r.function: r for r in results(file, names, seconds=seconds)}


@pytest.mark.parametrize(
    ("code", "received", "hint"),
    [
        ("import os; os._exit(3)", "exit status 3", "end the process"),
        ("import ctypes; ctypes.string_at(0)", "signal 11", "end the process"),
        ("raise SystemExit", "SystemExit", "in line 24"),
        ("import no_such_library", "No module named 'no_such_library'", "do without it"),
        ("bytearray(1 << 40)", "MemoryError", "more memory"),
        ("print('x' * 100_000_000)", "None", "ends without a `return`"),
        ("open('big', 'w').write('x' * 200_000_000)", "OSError", "in line 24"),
        ("return 'x' * 100_000_000", "TooLarge", "count_words"),
        ("a = []; a.append(a); return a", "TooLarge", "count_words"),
        ("return object()", "object", "Counter"),
    ],
    ids=["exits", "crashes", "quits", "imports", "memory", "prints", "writes", "large", "endless",
         "object"],
)  # fmt: skip
def test_one_bad_function_stops_no_other(tmp_path, code, received, hint):
    stub = "    raise NotImplementedError\n"
    text = (ROOT / "lab" / "exercises.py").read_text("utf-8").replace(stub, f"    {code}\n", 1)
    line = text[: text.index(code)].count("\n") + 1
    found = statuses(written(tmp_path, text))
    bad = found.pop("count_words")
    assert bad.status == FAILED
    assert received in bad.received
    assert hint.replace("24", str(line)) in bad.hint
    assert {each.status for each in found.values()} == {NOT_STARTED}
    assert len(found) == 6


def test_a_function_that_hangs_costs_itself_only(tmp_path):
    text = SOLUTION.read_text("utf-8").replace(
        "    total = sum", "    while True: pass\n    total = sum"
    )
    found = statuses(written(tmp_path, text), ("0", "3"), seconds=3)
    assert found["coverage"].what == "coverage: it takes more than 3 s"
    assert [found[name].status for name in ("count_words", "make_windows")] == [PASSED] * 2


def test_what_a_function_prints_goes_nowhere(tmp_path):
    text = SOLUTION.read_text("utf-8").replace(
        "    total =", "    print('x' * 50_000_000)\n    total ="
    )
    assert statuses(written(tmp_path, text), ("0",))["coverage"].status == PASSED


def test_each_function_has_points_of_its_own(tmp_path):
    text = SOLUTION.read_text("utf-8").replace(
        "def detokenize(tokens):", "def detokenize(tokens):\n    raise NotImplementedError"
    )
    found = statuses(written(tmp_path, text), ("1",))
    assert {name: each.points for name, each in found.items()} == {
        "tokenize": 4, "detokenize": 0, "make_vocabulary": 2, "encode": 2,
    }  # fmt: skip
    assert found["detokenize"].status == NOT_STARTED
    assert sum(each.points for each in EXERCISES.values()) == 85


@pytest.mark.long
def test_a_function_left_out_does_not_cost_those_that_call_it(tmp_path):
    text = SOLUTION.read_text("utf-8")
    stub = "\n    raise NotImplementedError"
    uniform = "    shares = np.array(\n        [_orders(tables, valid[i - 2 : i], size)[:, valid[i]] for i in range(2, len(valid))]\n    )"
    assert uniform in text
    calls = uniform.replace("_orders(tables, valid[i - 2 : i], size)[:, valid[i]]",
                            "[ngram_distribution(tables, valid[i - 2 : i], w, size)[valid[i]] for w in np.eye(4).tolist()]")  # fmt: skip
    text = text.replace(uniform, calls)
    for each in (
        "def ngram_distribution(tables, context, weights, size):",
        "def sample(logits, temperature, uniform):",
    ):
        assert each in text
        text = text.replace(each, each + stub)
    found = statuses(written(tmp_path, text), ("2", "6", "7"))
    missing = {name for name, each in found.items() if each.status == NOT_STARTED}
    assert missing == {"ngram_distribution", "sample"}
    assert {each.status for name, each in found.items() if name not in missing} == {PASSED}


@pytest.mark.parametrize(
    ("text", "said"),
    [("def f(:\n", "SyntaxError"), ("import nothing_here", "nothing_here"), ("1 / 0", "division")],
)
def test_a_file_that_cannot_be_loaded(tmp_path, text, said):
    found = statuses(written(tmp_path, text))
    assert len(found) == 7
    for result in found.values():
        assert result.status == FAILED
        assert said in result.received
        assert "line 1" in result.hint


def test_a_file_that_hangs_when_it_loads(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_LOAD_SECONDS", 2.0)
    started, student = [], run.Student
    monkeypatch.setattr(run, "Student", lambda *a, **k: started.append(a) or student(*a, **k))
    found = statuses(written(tmp_path, "while True: pass"))
    assert {r.what for r in found.values()} == {"the file takes too long to load"}
    assert len(started) == 1  # it is not loaded again for each function


@pytest.mark.long
def test_the_command(capsys):
    assert (
        check.main(["--file", str(SOLUTION), "--seconds", str(_LONG)]) == 0
    )  # all of it, each in its turn
    out = capsys.readouterr().out
    assert out.count("passed") == sum(len(each.checks) for each in EXERCISES.values())
    assert "85 of 85 points; the report has the other 15" in out


def test_the_command_with_what_is_not_started(capsys):
    assert check.main(["0"]) == 1
    out = capsys.readouterr().out
    assert "not started 0  look at the book: count_words\n" in out
    assert "0 of 5 points\n" in out


@pytest.mark.parametrize(
    ("words", "names", "functions"),
    [
        (["tour", "5"], ["5", "many-to-one", "one-to-many", "many-to-many"],
         {"greedy", "find_cycle", "build_classifier", "build_from_vector", "build_translator"}),
        (["encode", "coverage"], ["0", "1"], {"encode", "coverage"}),
        (["1", "encode"], ["1"], {"tokenize", "detokenize", "make_vocabulary", "encode"}),
    ],
)  # fmt: skip
def test_exercises_and_functions_are_asked_for_by_name(words, names, functions):
    assert check.asked_for(words) == (names, functions)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["99"], "there is no exercise 99; give some of 0, 1,"),
        (["9"], "not checked by machine"),
        (["0", "--file", "lab"], "lab is a folder"),
        (["0", "--file", "nothing.py"], "nothing.py is no file"),
        (["0", "--seed", "-1"], "a seed is at least 0"),
    ],
)
def test_wrong_use_is_one_line(capsys, monkeypatch, words, said):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as stop:
        check.main(words)
    assert stop.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_not_started_names_the_function_and_is_told_by_its_own_line_only(tmp_path):
    stub, solved = "raise NotImplementedError", SOLUTION.read_text("utf-8")
    total = "    total = sum(counts.values())"
    file = written(tmp_path, solved.replace(total, f"    {stub}\n{total}"))
    found = statuses(file, ("0",))["coverage"]
    assert (found.status, found.what) == (NOT_STARTED, "coverage")
    # As TensorFlow raises it where NumPy meets a tensor without a value.
    other = "    collections = __import__('abc'); raise NotImplementedError('no array')"
    file = written(tmp_path, solved.replace(total, f"{other}\n{total}"))
    found = statuses(file, ("0",))["coverage"]
    assert found.status == FAILED
    assert found.received == "NotImplementedError: no array"


def test_a_function_that_is_missing_is_named(tmp_path):
    text = SOLUTION.read_text("utf-8").replace("def tokenize", "def tokenise")
    found = statuses(written(tmp_path, text), ("1",))
    assert found["encode"].status == PASSED
    assert (found["tokenize"].status, found["tokenize"].received) == (
        FAILED,
        "AttributeError: tokenize",
    )
    assert "no function tokenize" in found["tokenize"].hint


def test_a_library_that_is_not_there_is_told():
    def hint(library):
        told = {"line": 3, "source": f"import {library}", "library": library}
        with pytest.raises(Wrong) as said:
            run.read_reply(["error", told], ["load"])
        return said.value.hint

    assert hint("torch").startswith("PyTorch is not installed here in line 3: import torch")
    assert hint("jax") == "the lab has no such library in line 3: import jax: do without it"


def test_other_arguments_than_those_of_the_exercise_are_told(tmp_path):
    text = SOLUTION.read_text("utf-8").replace(
        "def encode(tokens, vocabulary):", "def encode(tokens):"
    )
    assert (
        "with the arguments of exercises.py"
        in statuses(written(tmp_path, text), ("1",))["encode"].hint
    )


def test_what_keras_writes_around_a_cause_is_left_out():
    keras = (
        "Exception encountered when calling LSTMCell.call().\n\n\x1b[1mDimensions must be equal, "
        "but are 10 and 20\x1b[0m\n\nArguments received by LSTMCell.call():\n  - training=False"
    )
    assert cause(keras) == "Dimensions must be equal, but are 10 and 20"
    compiled = (
        'in user code:\n\n    File "/x/exercises.py", line 9, in loss  *\n        np.array(logits)'
        "\n\n    NotImplementedError: Cannot convert a symbolic tensor\n"
    )
    assert cause(compiled) == "NotImplementedError: Cannot convert a symbolic tensor"


def test_the_first_difference_in_a_long_answer_is_shown():
    with pytest.raises(Wrong) as told:
        equal("words", [4] * 100, [4] * 70 + [5] + [4] * 29, "look")
    assert (told.value.expected, told.value.received) == ("5 at place [70]", "4 there")
    with pytest.raises(Wrong) as told:
        equal("rows", [[1, 2] * 20, [3] * 9], [[1, 2] * 20, [3] * 10], "look")
    assert (told.value.expected, told.value.received) == ("3 at place [1][9]", "nothing there")
    counts = {(i,): {i: 1, i + 1: 2} for i in range(20)}
    with pytest.raises(Wrong) as told:
        equal("counts", counts | {(3,): {3: 1, 4: 7}}, counts, "look")
    assert (told.value.expected, told.value.received) == ("2 at place [(3,)][4]", "7 there")


def test_what_a_student_s_function_gives_acts_on_nothing(capsys):
    odd = "\x1b]0;x\x07[red]:smile:\x9b\u202e\udce9"
    result = Result("0", FAILED, odd, odd, odd, odd, "count_words")
    check.show(result, Console(soft_wrap=True, width=200))
    out = capsys.readouterr().out
    assert out.count("[red]:smile:") == 4
    assert visible(out, keep="\n") == out


def test_what_is_kept_between_calls_is_told(tmp_path):
    text = SOLUTION.read_text("utf-8").replace(
        "    return Counter(tokens)", "    kept.extend(tokens)\n    return Counter(kept)"
    )
    found = statuses(written(tmp_path, text + "\n\nkept = []\n"), ("0",))
    assert "keep nothing from earlier calls" in found["count_words"].hint
    assert found["coverage"].status == PASSED


def test_a_number_of_numpy_is_shown_as_a_number():
    shown = [show(each) for each in (np.float64(4.6530055897722145), np.array(4.1444, np.float32))]
    assert shown == ["4.653006", "4.1444"]
    assert show(np.int64(3)) == "3"
    assert show([1, 2]) == "[1, 2]"
