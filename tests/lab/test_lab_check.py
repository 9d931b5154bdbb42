"""The lab's checks pass right answers, and say what is wrong with the others."""
# ruff: noqa: E501

from __future__ import annotations

import csv
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lab import check, grade, run
from lab.checks import EXERCISES
from lab.checks.expect import NotStarted, Wrong, equal
from lab.checks.temperature import unlikely
from lab.run import FAILED, NOT_STARTED, PASSED, Result, results
from lab.student import cause
from lab_here import run_checks
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
    ("1", "[^\\w\\s]|_", "[^\\w\\s]+|_", "several marks in a row"),
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
    ("6", "temperature == 0", "temperature >= 0", "always the same word"),
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
    ("8", "1 - len(set(grams)) / len(grams)", "len(set(grams)) / len(grams)", "its first time"),
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
    ("6", "temperature == 0", "temperature < 0.1", "as it is|at temperature 0 only"),
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
    ("8", "copied[i : i + n] |= gram in known", "copied[i : i + n] |= ' '.join(map(str, gram)) in ' '.join(map(str, book))", "as parts of a text"),
    ("8", "grams = [gram for text in texts for gram in _grams(text, n)]", "grams = [''.join(map(str, gram)) for text in texts for gram in _grams(text, n)]", "not as texts"),
    ("8", "/ len(grams) if grams else 0.0\n\n\ndef repetition", "/ len(grams)\n\n\ndef repetition", "look in line"),
]  # fmt: skip

# The same of the exercises that train: each runs for seconds.
WRONG_NETWORKS = [
    ("4", "keras.layers.Embedding(size, embedding)(ids)", "keras.ops.expand_dims(keras.ops.cast(ids, 'float32'), -1)", "an id is only a name"),
    ("4", "x, after_h, after_c = keras.layers.LSTM(units, return_sequences=True, return_state=True)(\n        x, initial_state=[h, c]\n    )",
     "x, after_h = keras.layers.GRU(units, return_sequences=True, return_state=True)(x, initial_state=h)\n    after_c = c", "A GRU has no c"),
    ("4", "x = keras.layers.SpatialDropout1D(0.4)(x)\n    x, after", "x = keras.layers.Dropout(0.4)(x, training=True)\n    x, after", "training only"),
    ("4", "keras.layers.Embedding(size, embedding)", "keras.layers.Embedding(size, embedding, mask_zero=True)", "no mask"),
    ("4", "x, initial_state=[h, c]\n", "x, initial_state=[h, c], mask=keras.ops.not_equal(ids, 3)\n", "no mask"),
    ("4", "initial_state=[h, c]", "initial_state=[c, h]", "on their way in"),
    ("4", "after_h, after_c])", "after_c, after_h])", "in this order"),
    ("4", "keras.layers.Dense(size)(x)", "keras.layers.Dense(size, 'tanh')(x)", "without an activation"),
    ("4", "keras.layers.Dense(size)(x)", "keras.layers.Dense(size, 'log_softmax')(x)", "log softmax"),
    ("4", "return keras.Model([ids, h, c], [", "return keras.Sequential([keras.layers.Embedding(size, 4), keras.layers.LSTM(units), keras.layers.Dense(size)])\n    return keras.Model([ids, h, c], [", "layers called on tensors"),
    ("4", "return keras.Model([ids, h, c], [", "return [ids]\n    return keras.Model([ids, h, c], [", "return keras.Model"),
    ("4", "ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=True))",
     "-ops.mean(ops.log(ops.take_along_axis(ops.softmax(logits), ops.cast(targets, 'int32')[..., None], -1)))", "log_softmax"),
    ("4", "ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=True))",
     "ops.mean(ops.log(ops.sum(ops.exp(logits), -1)) - ops.take_along_axis(logits, ops.cast(targets, 'int32')[..., None], -1)[..., 0])", "log_softmax"),
    ("4", "return ops.mean(ops.sparse", "return float(ops.mean(ops.sparse", "needs the gradient"),
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


@pytest.mark.parametrize("seed", range(3))
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
    ("name", "right", "wrong", "hint"), WRONG, ids=[f"{w[0]}-{i}" for i, w in enumerate(WRONG)]
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


def test_each_exercise_has_two_wrong_versions():
    for name in EXERCISES:
        assert sum(wrong[0] == name for wrong in WRONG) >= 2, name


def test_chi_square_bound_is_one_in_a_million():
    from scipy import stats

    random, p = np.random.default_rng(0), np.full(12, 1 / 12)
    assert sum(unlikely(random.multinomial(3000, p), p) for _ in range(2000)) == 0
    for freedom in (1, 5, 11, 50):
        bound = freedom * (1 - 2 / (9 * freedom) + 4.75 * np.sqrt(2 / (9 * freedom))) ** 3
        assert 1e-7 < stats.chi2.sf(bound, freedom) < 5e-6


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """What ends by itself may take its time on a busy machine."""
    monkeypatch.setattr(run, "_LOAD_SECONDS", _LONG)
    monkeypatch.setattr(run, "_KERAS_SECONDS", _LONG)


def statuses(file, names=("0", "5", "8"), *, seconds=_LONG):
    return {r.name: r for r in results(file, names, seconds=seconds)}


@pytest.fixture
def hanging(monkeypatch):
    """Waits for exercise 0 no longer than a second, and for the others as long as they take."""
    lines_of = run._lines

    def lines(reading):
        next_line, last = lines_of(reading), b""

        def line(deadline):
            nonlocal last
            hangs = last is not None and b'"begin": "0"' in last
            last = next_line(min(deadline, time.monotonic() + 1) if hangs else deadline)
            return last

        return line

    monkeypatch.setattr(run, "_lines", lines)


@pytest.mark.parametrize(
    ("code", "received", "hint"),
    [
        ("while True: pass", "none", "a loop that never ends"),
        ("import os; os._exit(3)", "exit status 3", "end the process"),
        ("import os; os.kill(os.getpid(), 11)", "signal 11", "end the process"),
        ("raise SystemExit", "SystemExit", "in line 24"),
        ("import no_such_library", "No module named 'no_such_library'", "do without it"),
        ("bytearray(1 << 40)", "MemoryError", "more memory"),
        ("print('x' * 10_000_000)", "None", "every token counts"),
        ("open('big', 'w').write('x' * 200_000_000)", "OSError", "in line 24"),
    ],
    ids=["hangs", "exits", "crashes", "quits", "imports", "memory", "prints", "writes"],
)
def test_one_bad_exercise_stops_no_other(request, tmp_path, code, received, hint):
    stub = "    raise NotImplementedError\n"
    text = (ROOT / "lab" / "exercises.py").read_text("utf-8").replace(stub, f"    {code}\n", 1)
    line = text[: text.index(code)].count("\n") + 1
    file = tmp_path / "exercises.py"
    file.write_text(text, encoding="utf-8")
    if code.startswith("while"):
        request.getfixturevalue("hanging")
    found = statuses(file)
    assert found["0"].status == FAILED
    assert received in found["0"].received or code.startswith("print")
    assert hint.replace("24", str(line)) in found["0"].hint or code.startswith("print")
    assert [found[name].status for name in "58"] == [NOT_STARTED] * 2


@pytest.mark.parametrize(
    ("text", "said"),
    [("def f(:\n", "SyntaxError"), ("import nothing_here", "nothing_here"), ("1 / 0", "division")],
)
def test_a_file_that_cannot_be_loaded(tmp_path, text, said):
    file = tmp_path / "exercises.py"
    file.write_text(text)
    found = statuses(file)
    assert len(found) == 3
    for result in found.values():
        assert result.status == FAILED
        assert said in result.received
        assert "line 1" in result.hint


def test_a_file_that_hangs_when_it_loads(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_LOAD_SECONDS", 1.0)
    started, process = [], run._process
    monkeypatch.setattr(run, "_process", lambda *a, **k: started.append(a) or process(*a, **k))
    file = tmp_path / "exercises.py"
    file.write_text("while True: pass")
    assert {r.what for r in statuses(file).values()} == {"the file takes too long to load"}
    assert len(started) == 1  # it is not loaded again for each exercise


@pytest.mark.long
def test_the_command(capsys):
    assert (
        check.main(["--file", str(SOLUTION), "--seconds", str(_LONG)]) == 0
    )  # all of it, each in its turn
    out = capsys.readouterr().out
    assert out.count("passed") == len(EXERCISES)
    assert "85 of 85 points; the report has the other 15" in out
    assert check.main(["0"]) == 0
    out = capsys.readouterr().out
    assert "not started 0  look at the book: count_words is to be written" in out
    assert "0 of 5 points\n" in out


def test_the_tour_is_one_name_for_three(capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(
        check, "results", lambda file, names, **more: asked.extend(names) or iter(())
    )
    assert check.main(["tour", "5"]) == 0
    assert asked == ["5", "many-to-one", "one-to-many", "many-to-many"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("99", "there is no exercise 99; give some of 0, 1,"), ("9", "not checked by machine")],
)
def test_an_exercise_without_a_check_is_one_line(capsys, name, said):
    with pytest.raises(SystemExit) as stop:
        check.main([name])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_not_started_names_the_function_and_is_told_by_its_own_line_only(tmp_path):
    stub, solved = "raise NotImplementedError", SOLUTION.read_text("utf-8")
    file = tmp_path / "exercises.py"
    total = "    total = sum(counts.values())"
    file.write_text(solved.replace(total, f"    {stub}\n{total}"), encoding="utf-8")
    found = statuses(file, ("0",))["0"]
    assert (found.status, found.what) == (NOT_STARTED, "coverage")
    # As TensorFlow raises it where NumPy meets a tensor without a value.
    other = "    collections = __import__('abc'); raise NotImplementedError('no array')"
    file.write_text(solved.replace(total, f"{other}\n{total}"), encoding="utf-8")
    found = statuses(file, ("0",))["0"]
    assert found.status == FAILED
    assert found.received == "NotImplementedError: no array"


def test_a_function_that_is_missing_is_named(tmp_path):
    file = tmp_path / "exercises.py"
    file.write_text(SOLUTION.read_text("utf-8").replace("def tokenize", "def tokenise"), "utf-8")
    found = statuses(file, ("1",))["1"]
    assert (found.status, found.received) == (FAILED, "AttributeError: tokenize")
    assert "no function tokenize" in found.hint


def test_what_keras_writes_around_a_cause_is_left_out():
    keras = (
        "Exception encountered when calling LSTMCell.call().\n\n\x1b[1mDimensions must be equal, "
        "but are 10 and 20\x1b[0m\n\nArguments received by LSTMCell.call():\n  - training=False"
    )
    assert _cause(keras) == "Dimensions must be equal, but are 10 and 20"
    compiled = (
        'in user code:\n\n    File "/x/exercises.py", line 9, in loss  *\n        np.array(logits)'
        "\n\n    NotImplementedError: Cannot convert a symbolic tensor\n"
    )
    assert _cause(compiled) == "NotImplementedError: Cannot convert a symbolic tensor"


def test_the_first_difference_in_a_long_answer_is_shown():
    with pytest.raises(Wrong) as told:
        equal("words", [4] * 100, [4] * 70 + [5] + [4] * 29, "look")
    assert (told.value.expected, told.value.received) == ("5 at place [70]", "4 there")
    with pytest.raises(Wrong) as told:
        equal("rows", [[1, 2] * 20, [3] * 9], [[1, 2] * 20, [3] * 10], "look")
    assert (told.value.expected, told.value.received) == ("3 at place [1][9]", "'nothing' there")


def test_what_a_student_s_function_gives_acts_on_nothing(tmp_path, capsys, monkeypatch):
    odd = "\x1b]0;x\x07[red]:smile:\x9b\u202e\udce9"
    result = Result("0", FAILED, what=odd, expected=odd, received=odd, hint=odd)
    check.show(result, Console(soft_wrap=True, width=200))
    out = capsys.readouterr().out
    assert out.count("[red]:smile:") == 4
    assert visible(out, keep="\n") == out
    grade.as_html({odd: [result]}, seed=1).encode()
    (tmp_path / "class").mkdir()
    monkeypatch.setattr(grade, "submissions", lambda folder: {odd: folder})
    monkeypatch.setattr(grade, "results", lambda *_, **__: iter([result]))
    assert grade.main([str(tmp_path / "class")]) == 0
    out = capsys.readouterr().out
    assert visible(out, keep="\n") == out
    assert "\\udce9" in (tmp_path / "class-grades.csv").read_text("utf-8")


def test_grading(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(grade, "EXERCISES", {name: EXERCISES[name] for name in ("0", "5", "6")})
    folder = tmp_path / "class"
    (folder / "ada").mkdir(parents=True)
    solution = SOLUTION.read_text("utf-8")
    (folder / "ada" / "exercises.py").write_text(solution, encoding="utf-8")
    (folder / "=bob.py").write_text(
        solution.replace("Counter(tokens)", "Counter(['<script>'])"), encoding="utf-8"
    )
    (folder / "carl.py").write_text("def broken(:", encoding="utf-8")
    assert grade.main([str(folder), "--seed", "7"]) == 0
    with open(tmp_path / "class-grades.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["'=bob", "ada", "carl"]
    assert [row["points"] for row in rows] == ["15", "20", "0"]
    assert rows[0]["0"] == FAILED
    assert rows[1]["0"] == PASSED
    page = (tmp_path / "class-grades.html").read_text("utf-8")
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert page.count("SyntaxError") == 1  # not once for each exercise
    assert "<tr><th>name<th>points<th>0" in page
    assert "<tr><th>ada<td class=n>20<td>" in page
    with pytest.raises(SystemExit):
        grade.main([str(tmp_path / "nothing")])


def test_a_student_s_copy_has_no_solution():
    files = subprocess.run(
        ["git", "ls-files", "lab"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    for name in files:
        assert "solution" not in name
    assert "lab_solution" not in (ROOT / "lab" / "exercises.py").read_text("utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "import lab.exercises, sys; print('tensorflow' in sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "False\n"
