"""A solution of the lab's exercises: here, so that a student's copy of `lab/` has none."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import numpy as np

UNKNOWN = "<unk>"
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]|_")


def count_words(tokens):
    return Counter(tokens)


def coverage(counts, size):
    total = sum(counts.values())
    return sum(count for _, count in counts.most_common(size)) / total


def tokenize(text):
    tokens, end = [], None
    for match in _TOKEN.finditer(text):
        tokens.append(("■" if match.start() == end else "") + match.group())
        end = match.end()
    return tokens


def detokenize(tokens):
    text = "".join(token[1:] if token.startswith("■") else " " + token for token in tokens)
    return text.removeprefix(" ")


def make_vocabulary(tokens, min_count):
    counts = Counter(tokens)
    kept = [word for word in counts if counts[word] >= min_count]
    return [UNKNOWN, *sorted(kept, key=lambda word: (-counts[word], word))]


def encode(tokens, vocabulary):
    ids = {word: i for i, word in enumerate(vocabulary)}
    return np.array([ids.get(token, 0) for token in tokens], np.int32)


def count_ngrams(ids, n):
    table = defaultdict(Counter)
    ids = [int(i) for i in ids]
    for i in range(len(ids) - n + 1):
        table[tuple(ids[i : i + n - 1])][ids[i + n - 1]] += 1
    return dict(table)


def _orders(tables, context, size):
    """1 / V, p1, p2 and p3, each [V]."""
    parts = [np.full(size, 1 / size)]
    context = tuple(int(i) for i in context)
    for n, table in enumerate(tables, start=1):
        key = context[len(context) - (n - 1) :] if len(context) >= n - 1 else None
        found = table.get(key) if key is not None else None
        if not found:
            parts.append(parts[-1])
            continue
        p = np.zeros(size)
        p[list(found)] = list(found.values())
        parts.append(p / p.sum())
    return np.array(parts)


def ngram_distribution(tables, context, weights, size):
    return np.asarray(weights) @ _orders(tables, context, size)


def perplexity(probabilities):
    return float(np.exp(-np.mean(np.log(probabilities))))


def tune_weights(tables, valid, size):
    shares = np.array(
        [_orders(tables, valid[i - 2 : i], size)[:, valid[i]] for i in range(2, len(valid))]
    )
    weights = np.full(4, 0.25)
    for _ in range(50):
        parts = weights * shares
        weights = (parts / parts.sum(axis=1, keepdims=True)).mean(axis=0)
    return tuple(weights)


def make_windows(ids, batch, steps):
    windows = (len(ids) // batch - 1) // steps
    length = len(ids) // batch
    rows = np.asarray(ids, np.int32)[: length * batch].reshape(batch, length)
    inputs = rows[:, : windows * steps].reshape(batch, windows, steps).swapaxes(0, 1)
    targets = rows[:, 1 : windows * steps + 1].reshape(batch, windows, steps).swapaxes(0, 1)
    return inputs, targets


def build_model(size, embedding, units):
    import keras

    ids = keras.Input((None,), dtype="int32")
    h, c = keras.Input((units,)), keras.Input((units,))
    x = keras.layers.Embedding(size, embedding)(ids)
    x = keras.layers.SpatialDropout1D(0.4)(x)
    x, after_h, after_c = keras.layers.LSTM(units, return_sequences=True, return_state=True)(
        x, initial_state=[h, c]
    )
    x = keras.layers.SpatialDropout1D(0.4)(x)
    return keras.Model([ids, h, c], [keras.layers.Dense(size)(x), after_h, after_c])


def loss(logits, targets):
    from keras import ops

    return ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=True))


def greedy(step, first, words):
    found, word, state = [], first, None
    for _ in range(words):
        logits, state = step(word, state)
        word = int(np.argmax(logits))
        found.append(word)
    return found


def find_cycle(words):
    words = list(words)
    for length in range(1, len(words) // 2 + 1):
        start = len(words) - length
        while start > 0 and words[start - 1] == words[start - 1 + length]:
            start -= 1
        if len(words) - start >= 2 * length:
            return start, length
    return None


def sample(logits, temperature, uniform):
    logits = np.asarray(logits, np.float64)
    if temperature == 0:
        return int(np.argmax(logits))
    weights = np.exp((logits - logits.max()) / temperature)
    sums = np.cumsum(weights)
    return int(np.searchsorted(sums, uniform * sums[-1], side="right"))


def generate_with_state(step, prompt, temperature, uniforms):
    state, found = None, []
    for word in prompt:
        logits, state = step(word, state)
    for i, uniform in enumerate(uniforms):
        found.append(sample(logits, temperature, uniform))
        if i + 1 < len(uniforms):
            logits, state = step(found[-1], state)
    return found


def generate_by_rerunning(run, prompt, temperature, uniforms):
    words = list(prompt)
    for uniform in uniforms:
        words.append(sample(run(words)[-1], temperature, uniform))
    return words[len(prompt) :]


def _grams(text, n):
    return [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]


def distinct(texts, n):
    grams = [gram for text in texts for gram in _grams(text, n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def repetition(text, n):
    grams = _grams(text, n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def copied_share(text, book, n):
    known, copied = set(_grams(book, n)), np.zeros(len(text), bool)
    for i, gram in enumerate(_grams(text, n)):
        copied[i : i + n] |= gram in known
    return float(copied.mean()) if len(text) else 0.0


def build_classifier(size, embedding, units):
    import keras

    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(size, embedding, mask_zero=True)(ids)
    x = keras.layers.LSTM(units)(x)
    return keras.Model(ids, keras.layers.Dense(1, activation="sigmoid")(x))


def build_from_vector(size, vector, embedding, units):
    import keras

    start, ids = keras.Input((vector,)), keras.Input((None,), dtype="int32")
    h = keras.layers.Dense(units, activation="tanh")(start)
    c = keras.layers.Dense(units)(start)
    x = keras.layers.Embedding(size, embedding)(ids)
    x = keras.layers.LSTM(units, return_sequences=True)(x, initial_state=[h, c])
    return keras.Model([start, ids], keras.layers.Dense(size)(x))


def build_translator(source, target, embedding, units):
    import keras

    read, ids = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(source, embedding)(read)
    _, h, c = keras.layers.LSTM(units, return_state=True)(x)
    x = keras.layers.Embedding(target, embedding)(ids)
    x = keras.layers.LSTM(units, return_sequences=True)(x, initial_state=[h, c])
    return keras.Model([read, ids], keras.layers.Dense(target)(x))
