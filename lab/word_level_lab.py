# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Any book, your own generator
# The assignment is in [README.md](README.md). Fill in `lab/exercises.py`; this notebook uses it, step by
# step. `python -m lab.check`, or a cell with `!python -m lab.check`, says how you stand. After a change in
# `exercises.py` restart the kernel and run all cells from the top.
#
# In a hosted notebook, run this first, in a cell of its own:
# ```
# !git clone <this repository> textmill && cd textmill && pip install -q -c constraints.txt ".[lab]"
# %cd textmill
# ```

# %%
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path.cwd() if (Path.cwd() / "lab").is_dir() else Path.cwd().parent
sys.path.insert(0, str(ROOT))

import matplotlib.pyplot as plt
import numpy as np

from lab.books import read_book
from lab.run import load

ex = load(Path(os.environ.get("LAB_EXERCISES", ROOT / "lab" / "exercises.py")))

# A path, a number of Project Gutenberg's such as "11", or "" for the text that every Python carries.
# A path begins here or in the repository's folder.
BOOK = os.environ.get("LAB_BOOK", "")
ENCODING = os.environ.get("LAB_ENCODING")  # such as "latin-1", if the file is not UTF-8
# Of training for each network, the LSTM at least LEAST epochs. More gives better text.
SECONDS = float(os.environ.get("LAB_SECONDS", 120))
LEAST = int(os.environ.get("LAB_LEAST", 6))
UNITS = int(os.environ.get("LAB_UNITS", 256))

# Colours that all can tell apart (Okabe and Ito), and line styles beside them.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=COLOURS) + plt.cycler(
    linestyle=["-", "--", "-.", ":", "-", "--"]
)
plt.rcParams["axes.grid"] = True
random = np.random.default_rng(0)

# %% [markdown]
# ## 0. Look at the book
# How are the words of a text distributed? Zipf found that the n-th word is about n times as rare as the
# first: a straight line in a plot of logarithms.

# %%
text = read_book(BOOK, encoding=ENCODING, folders=[ROOT])
print(text[:300], "...")
counts = ex.count_words(text.split())
print(f"{sum(counts.values()):,} words, {len(counts):,} different ones")

# %%
frequencies = np.sort(np.array(list(counts.values())))[::-1]
ranks = np.arange(1, len(frequencies) + 1)
sizes = np.unique(np.geomspace(1, len(counts), 40).astype(int))
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.loglog(ranks, frequencies, label="this book")
left.loglog(ranks, frequencies[0] / ranks, label="Zipf: 1 / rank")
left.set(xlabel="rank of the word", ylabel="times seen", title="How often words are seen")
left.legend()
right.semilogx(sizes, [ex.coverage(counts, int(size)) for size in sizes])
right.set(
    xlabel="words in the vocabulary",
    ylabel="share of the text",
    title="Coverage",
    ylim=(-0.02, 1.02),
)
plt.show()

# %% [markdown]
# **Question.** Which share of the different words was seen once only? What can a network learn of them?

# %% [markdown]
# ## 1. Words and back

# %%
tokens = ex.tokenize(text)
print(tokens[:20])
print(ex.detokenize(tokens[:60]))

# %%
first, last = int(len(tokens) * 0.9), int(len(tokens) * 0.95)
vocabulary = ex.make_vocabulary(tokens[:first], min_count=2)
ids = ex.encode(tokens, vocabulary)
train, valid, test = ids[:first], ids[first:last], ids[last:]
V = len(vocabulary)
print(
    f"{len(train):,} words to train on, vocabulary {V:,}, {np.mean(test == 0):.1%} of the test part unknown"
)


def to_text(words):
    return ex.detokenize([vocabulary[int(word)] for word in words])


# %% [markdown]
# ## 2. The baseline: counting
# Trained on the first 90 %, weights tuned on the next 5 %, measured on the last 5 %, with the same
# vocabulary as the LSTM later on.

# %%
print("counting, and tuning three times; on a long book that takes a minute or two ...", flush=True)
tables = [ex.count_ngrams(train, n) for n in (1, 2, 3)]


def ngram_perplexity(tables, weights):
    found = [
        ex.ngram_distribution(tables, test[i - 2 : i], weights, V)[test[i]]
        for i in range(2, len(test))
    ]
    return ex.perplexity(found)


baselines = {}
for n, name in enumerate(("unigram", "bigram", "trigram"), start=1):
    known = tables[:n] + [{}] * (3 - n)  # what was never seen falls back to the order below
    weights = ex.tune_weights(known, valid[:3000], V)
    baselines[name] = ngram_perplexity(known, weights)
    print(f"{name:<8} perplexity {baselines[name]:8.1f}", flush=True)
print("weights of 1/V, unigram, bigram, trigram:", np.round(weights, 3))

# %%
context = list(train[:2])
for uniform in random.random(40):
    p = ex.ngram_distribution(tables, context, weights, V)
    p[0] = 0  # no `<unk>`
    context.append(int(np.searchsorted(np.cumsum(p), uniform * p.sum(), side="right")))
print("the trigram writes:", to_text(context[2:]))

# %% [markdown]
# ## 3. Pairs, shifted by one

# %%
B, T = 32, 32
inputs, targets = ex.make_windows(train, B, T)
print("windows", inputs.shape)
print("inputs ", to_text(inputs[0, 0, :12]))
print("targets", to_text(targets[0, 0, :12]))

# %% [markdown]
# ## 4. The LSTM

# %%
from lab.training import probabilities, rerunner, stepper
from lab.training import train as train_network
from textmill.model.tensorflow_setup import load_tensorflow

load_tensorflow()  # without its greetings
losses = []


def tell(epoch, value):
    losses.append(value)
    print(f"epoch {epoch:3}  training perplexity {value:8.1f}")


model = ex.build_model(V, UNITS // 2, UNITS)
train_network(model, ex.loss, (inputs, targets), seconds=SECONDS, least=LEAST, tell=tell)
lstm_perplexity = ex.perplexity(probabilities(model, test))
print(
    f"LSTM     perplexity {lstm_perplexity:8.1f} on the last 5 %, trigram {baselines['trigram']:.1f}"
)

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.semilogy(range(1, len(losses) + 1), losses, marker="o", label="LSTM, training")
ax.axhline(lstm_perplexity, color=COLOURS[1], linestyle="--", label="LSTM, last 5 %")
ax.axhline(baselines["trigram"], color=COLOURS[2], linestyle="-.", label="trigram, last 5 %")
ax.set(xlabel="epoch", ylabel="perplexity", title="The LSTM learns")
ax.xaxis.get_major_locator().set_params(integer=True)
ax.legend()
plt.show()

# %% [markdown]
# **Question.** Why may the training perplexity fall below that of the last 5 %? What would you do then?

# %% [markdown]
# ## 5. Greedy

# %%
step = stepper(model)  # `<unk>` is never drawn
# The word that most often follows a full stop; marks, such as a closing quote, are no words.
after_stop = tables[1][(vocabulary.index("■."),)].most_common()
start = next(word for word, _ in after_stop if word and vocabulary[word][0].isalpha())
found = ex.greedy(step, start, 150)
print(to_text([start, *found]))
cycle = ex.find_cycle(found)
if cycle is None:
    print("\nno cycle within 150 words")
else:
    begin, length = cycle
    print(
        f"\nfrom word {begin} on, every {length} words: {to_text(found[begin : begin + length])!r}"
    )

# %% [markdown]
# **Question.** The state could tell the rounds apart. Why does the text run in circles all the same?

# %% [markdown]
# ## 6. Temperature

# %%
logits, _ = step(start, None)
best = np.argsort(-logits)[:8]
fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for i, temperature in enumerate((0.3, 0.7, 1.0, 1.5)):
    z = logits / temperature
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    ax.bar(
        np.arange(8) + 0.2 * i - 0.3,
        p[best],
        0.2,
        label=f"T = {temperature}",
        color=COLOURS[i],
        hatch=["", "//", "..", "xx"][i],
        edgecolor="white",
    )
ax.set_xticks(range(8), [vocabulary[word].lstrip("■") for word in best])
ax.set(xlabel="word", ylabel="probability", title=f"After {vocabulary[start]!r}")
ax.legend()
plt.show()

# %%
for temperature in (0.3, 0.7, 1.0, 1.5):
    words = ex.generate_with_state(step, [start], temperature, random.random(40))
    print(f"T = {temperature}: {to_text([start, *words])}\n")

# %% [markdown]
# ## 7. State carried, or all words again

# %%
run = rerunner(model)
lengths, carried, again = (10, 20, 40, 80), [], []
for length in lengths:
    uniforms = random.random(length)
    for way, times in ((ex.generate_with_state, carried), (ex.generate_by_rerunning, again)):
        network = step if way is ex.generate_with_state else run
        way(network, [start], 1.0, uniforms[:2])  # the first call is compiled
        began = time.perf_counter()
        words = way(network, [start], 1.0, uniforms)
        times.append(time.perf_counter() - began)
print("the last text:", to_text(words))

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(lengths, carried, marker="o", label="state carried")
ax.plot(lengths, again, marker="s", label="all words again")
ax.set(xlabel="words", ylabel="seconds", title="Two ways to the same text")
ax.legend()
plt.show()

# %% [markdown]
# **Question.** How do the two times grow with the number of words, and why?

# %% [markdown]
# ## 8. The experiment
# One number cannot say what a good text is. Here are five, against the temperature.

# %%
temperatures = [0.2, 0.5, 0.7, 1.0, 1.3, 1.6, 2.0]
TEXTS, WORDS = int(os.environ.get("LAB_TEXTS", 5)), 100
book = train.tolist()
rows = []
for temperature in temperatures:
    texts = [
        ex.generate_with_state(step, [start], temperature, random.random(WORDS))
        for _ in range(TEXTS)
    ]
    rows.append(
        (
            ex.perplexity(probabilities(model, test[:2000], temperature=temperature)),
            ex.distinct(texts, 2),
            np.mean([ex.repetition(words, 2) for words in texts]),
            np.mean([ex.copied_share(words, book, 5) for words in texts]),
        )
    )
perplexities, distincts, repetitions, copies = zip(*rows, strict=True)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.semilogy(temperatures, perplexities, marker="o")
left.set(xlabel="temperature", ylabel="perplexity of the last 5 %", title="How well it foretells")
right.plot(temperatures, distincts, marker="o", label="distinct-2")
right.plot(temperatures, repetitions, marker="s", label="repeated bigrams")
right.plot(temperatures, copies, marker="^", label="copied: 5 words in a row")
right.set(xlabel="temperature", ylabel="share", title="What it writes", ylim=(-0.02, 1.02))
right.legend()
plt.show()

# %% [markdown]
# **Question.** Which temperature would you choose for more training data, which for a story?
#
# ### Characters against words
# The same network, for the same time, on characters. Perplexities of different units cannot be compared;
# bits for each character of the same text can. One thing favours the words: an unknown one counts as
# foretold when the model says `<unk>`, without a letter of it.

# %%
word_test = test[:4000]
book_text, text_test = (
    ex.detokenize(part) for part in (tokens[:first], tokens[last : last + len(word_test)])
)
letters = sorted(set(book_text))
letter_ids = {letter: i + 1 for i, letter in enumerate(letters)}
as_letters, letters_test = (
    np.array([letter_ids.get(letter, 0) for letter in part], np.int32)
    for part in (book_text, text_test)
)
character_model = ex.build_model(len(letters) + 1, 32, UNITS)
began = time.perf_counter()
train_network(character_model, ex.loss, ex.make_windows(as_letters, B, 64), seconds=SECONDS)
print(f"trained on characters for {time.perf_counter() - began:.0f} s")
by_letter, by_word = (
    -np.sum(np.log2(probabilities(each, part))) / len(text_test)
    for each, part in ((character_model, letters_test), (model, word_test))
)
print(f"vocabulary: {len(letters) + 1} characters, {V:,} words")
print(f"length of the book: {len(text):,} characters, {len(tokens):,} words")
print(f"bits a character: {by_letter:.2f} by characters, {by_word:.2f} by words")
print(f"{np.mean(word_test == 0):.1%} of these words are unknown")
letter_step = stepper(character_model)
written = ex.generate_with_state(letter_step, as_letters[:1].tolist(), 0.7, random.random(300))
print("".join(letters[i - 1] for i in written))

# %% [markdown]
# ## 9. Open end
# Your own book, one ablation (fewer units, with dropout or without, half the text, another vocabulary, ...), a
# report of one page: what you expected, what you measured, a picture, what you conclude.

# %% [markdown]
# ## Tour of the four shapes (optional)
# **Many to one**: whose line is it? The first half of the book against the second.

# %%
import keras

LENGTH = 20


def pieces(words):
    return words[: len(words) // LENGTH * LENGTH].reshape(-1, LENGTH)


halves = [pieces(train[: len(train) // 2]), pieces(train[len(train) // 2 :])]
lines = np.concatenate(halves)
whose = np.repeat([0.0, 1.0], [len(half) for half in halves]).astype(np.float32)
order = random.permutation(len(lines))
learn, judge = order[: len(order) * 9 // 10], order[len(order) * 9 // 10 :]
classifier = ex.build_classifier(V, 32, 32)
classifier.compile("adam", "binary_crossentropy", metrics=["accuracy"])
classifier.fit(lines[learn], whose[learn], epochs=3, verbose=0)
print(f"right: {classifier.evaluate(lines[judge], whose[judge], verbose=0)[1]:.1%} (chance: 50 %)")

# %% [markdown]
# **One to many**: the vector says which half, the network writes a line of it. A picture's features or a
# sentence in another language can be such a vector.

# %%
vectors = np.eye(2, dtype=np.float32)[whose.astype(int)]
fed = np.concatenate([np.zeros((len(lines), 1), np.int32), lines[:, :-1]], axis=1)
writer = ex.build_from_vector(V, 2, 64, 64)
writer.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
writer.fit([vectors, fed], lines, epochs=3, verbose=0)
for half in range(2):
    words = [0]
    for uniform in random.random(15):
        z = np.array(writer([vectors[whose == half][:1], np.array([words], np.int32)]))[0, -1]
        z[0] = -np.inf
        words.append(ex.sample(z.astype(np.float64), 0.7, uniform))
    print(f"half {half + 1}: {to_text(words[1:])}")

# %% [markdown]
# **Many to many**: dates in words to dates in digits, by an encoder and a decoder.

# %%
import datetime

MONTHS = """january february march april may june july august september october november
    december""".split()
SMALL = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
    fifteen sixteen seventeen eighteen nineteen""".split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()


def in_words(number):
    if number < 20:
        return SMALL[number : number + 1]
    return [TENS[number // 10], *(SMALL[number % 10 :][:1] if number % 10 else [])]


def both(days):
    day = datetime.date(1900, 1, 1) + datetime.timedelta(days=int(days))
    source = [*in_words(day.day), MONTHS[day.month - 1], "nineteen", *in_words(day.year - 1900)]
    return source, day.isoformat()


dates = [
    both(days)
    for days in random.choice(36500, int(os.environ.get("LAB_DATES", 4000)), replace=False)
]
source_words = ["_", *sorted({word for source, _ in dates for word in source})]
signs = "_^" + "-0123456789"
width = max(len(source) for source, _ in dates)
# Padded on the left, so that the last word is the last that the encoder reads.
source_ids = np.array(
    [[0] * (width - len(s)) + [source_words.index(word) for word in s] for s, _ in dates], np.int32
)
target_ids = np.array([[1] + [signs.index(sign) for sign in iso] for _, iso in dates], np.int32)
translator = ex.build_translator(len(source_words), len(signs), 32, 128)
translator.compile(
    keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
)
EPOCHS = int(os.environ.get("LAB_EPOCHS", 15))
translator.fit(
    [source_ids[:-200], target_ids[:-200, :-1]], target_ids[:-200, 1:], epochs=EPOCHS, verbose=0
)
written = np.full((200, 1), 1, np.int32)
for _ in range(10):
    z = np.array(translator([source_ids[-200:], written]))[:, -1]
    written = np.concatenate([written, z.argmax(axis=1)[:, None].astype(np.int32)], axis=1)
right = np.mean((written == target_ids[-200:]).all(axis=1))
for i in range(3):
    print(" ".join(dates[-200 + i][0]), "->", "".join(signs[j] for j in written[i, 1:]))
print(f"right: {right:.0%} of 200 dates it was not trained on")
