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

# %% [markdown] tags=["keras"]
# # Any book, your own generator
# The assignment is in [README.md](README.md). Fill in `lab/exercises.py`; this notebook uses it, step by
# step. `python -m lab.check`, or a cell with `!python -m lab.check`, says how you stand. After a change in
# `exercises.py` restart the kernel and run all cells from the top.
# %%
# In a hosted notebook this fetches and installs the lab; on your own machine it changes nothing.
REPOSITORY = ""  # what `git clone` takes
import os
import subprocess
import sys
from pathlib import Path

places = (Path.cwd(), Path.cwd().parent, Path("textmill").resolve())
ROOT = next((place for place in places if (place / "lab" / "hosted.py").exists()), None)
if ROOT is None:
    if not REPOSITORY:
        raise RuntimeError("write the repository's address into REPOSITORY, in this cell")
    fetch = ["git", "clone", "--quiet", "--depth", "1", "--", REPOSITORY, "textmill"]
    subprocess.run(fetch, check=True)
    ROOT = Path("textmill").resolve()
sys.path.insert(0, str(ROOT))
from lab.hosted import set_up

set_up(ROOT)

# %%
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("LAB_LANGUAGE", "en")
import matplotlib.pyplot as plt
import numpy as np

from lab.books import read_book
from lab.sandbox.student import load

ex = load(Path(os.environ.get("LAB_EXERCISES", ROOT / "lab" / "exercises.py")))

# A path, a number of Project Gutenberg's such as "11", or "" for the text that every Python carries.
# A path begins here or in the repository's folder.
BOOK = os.environ.get("LAB_BOOK", "")
ENCODING = os.environ.get("LAB_ENCODING")  # such as "latin-1", if the file is not UTF-8
# Training takes SECONDS, or as long as LEAST epochs take, but LIMIT seconds at most; characters then get
# the time that the words took. More gives better text. Smaller networks, for comparisons, take SMALL seconds.
SECONDS = float(os.environ.get("LAB_SECONDS", 90))
LEAST = int(os.environ.get("LAB_LEAST", 6))
LIMIT = float(os.environ.get("LAB_LIMIT", 150))
SMALL = float(os.environ.get("LAB_SMALL", 12))
UNITS = int(os.environ.get("LAB_UNITS", 256))
SEEDS = range(int(os.environ.get("LAB_SEEDS", 3)))
ZEROED = 0.2  # of the states are set to zeros before a window; see section 4

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


baselines = []
for n, name in enumerate(("unigram", "bigram", "trigram"), start=1):
    known = tables[:n] + [{}] * (3 - n)  # what was never seen falls back to the order below
    weights = ex.tune_weights(known, valid[:3000], V)
    baselines.append(ngram_perplexity(known, weights))
    print(f"{name:<8} perplexity {baselines[-1]:8.1f}", flush=True)
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
# The state is carried from window to window, so the only zeros that the network would meet as a state are those
# before the first window of an epoch. But a text that it writes begins with zeros. So in training the state of
# each row is set to zeros before a window with probability `ZEROED`.
#
# A network that is trained for too long knows the book by heart, and is too sure of itself on any other text. So
# the validation text is measured again and again, and in the end the network gets the weights of the point
# where its perplexity was lowest.

# %% tags=["keras"]
from textmill.model.tensorflow_setup import load_tensorflow

load_tensorflow()  # without its greetings
import keras

keras.utils.set_random_seed(0)

# %%
from lab.notebook.plan import Progress
from lab.notebook.training import (
    perplexity_by_place,
    primer,
    probabilities,
    probabilities_at,
    rerunner,
    stepper,
)
from lab.notebook.training import train as train_network

model = ex.build_model(V, UNITS // 2, UNITS)
trained = train_network(
    model,
    ex.loss,
    (inputs, targets),
    seconds=SECONDS,
    least=LEAST,
    limit=LIMIT,
    zeroed=ZEROED,
    plain=train[-3000:],
    valid=valid,
    watch=Progress(),
)

# %% tags=["keras"]
# For the playground: python -m lab.play network.safetensors
from lab.play import save

save(
    os.environ.get("LAB_NETWORK", ROOT / "network.safetensors"),
    model,
    words=vocabulary,
    embedding=UNITS // 2,
    units=UNITS,
    before=valid[-100:],
)

# %%
lstm_perplexity = ex.perplexity(probabilities(model, test))
print(f"LSTM     perplexity {lstm_perplexity:8.1f} on the last 5 %, trigram {baselines[-1]:.1f}")

# %%
at = [point.epochs for point in trained.points]
fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for name, label, marker in (
    ("training", "training text, while it learns, dropout on", "o"),
    ("plain", "training text, after the epoch, dropout off", "^"),
    ("validation", "validation text, dropout off", "s"),
):
    ax.semilogy(
        at,
        [getattr(point, name) for point in trained.points],
        marker=marker,
        markevery=max(1, len(at) // 10),
        label=label,
    )
kept = trained.kept.epochs
ax.axvline(kept, color="#666666", linestyle="-", label=f"weights that are kept: epoch {kept:.1f}")
ax.axhline(baselines[-1], color=COLOURS[3], linestyle=":", label="trigram, last 5 %")
ax.axhline(lstm_perplexity, color=COLOURS[4], linestyle="--", label="LSTM, last 5 %")
ax.set(xlabel="epoch", ylabel="perplexity", title="The LSTM learns")
ax.xaxis.get_major_locator().set_params(integer=True)
ax.legend()
plt.show()

# %% [markdown]
# **Question.** Dropout makes the training curve look worse than the network is. Overfitting shows where the
# validation curve turns up while that of the training text, with dropout off, goes on falling. Is there any?
# Would longer training help? Why must the weights not be chosen by the last 5 %? (How high a curve lies says
# little: each is of another text, and a text with many unknown words is easy to foretell.)
#
# ### The first words after zeros
# The unseen text is cut into pieces. Each is read from zeros, so at the first place the network knows one word
# only, at the second two ... The other curve is of the same words, with the state carried from piece to piece.

# %%
PLACES = 20
unseen = ids[first:]
places = range(1, PLACES + 1)
from_zeros = perplexity_by_place(model, unseen, PLACES)
state_carried = perplexity_by_place(model, unseen, PLACES, carried=True)
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.semilogy(places, from_zeros, marker="o", label="from zeros")
ax.semilogy(places, state_carried, marker="s", label="state carried")
ax.set(xlabel="place after the beginning", ylabel="perplexity", title="The first words")
ax.xaxis.get_major_locator().set_params(integer=True)
ax.legend()
plt.show()
print(
    "the first three places from zeros:",
    np.round(from_zeros[:3]),
    "carried:",
    np.round(state_carried[:3]),
)

# %% [markdown]
# **Question.** After how many words does it no longer matter that the state was zeros? Why can the first place
# never be as good as the others, however long you train?
#
# So a text should not begin after one word. From here on the network reads a hundred words that it was not
# trained on before it writes: the state that `step` takes for `None` is the one after them.

# %%
stop = vocabulary.index("■.") if "■." in vocabulary else None
before = primer(valid, stop)
print("it has read:", to_text(before[-40:]))

# %% [markdown]
# ## 5. Greedy

# %%
step = stepper(model, before=before)  # `<unk>` is never drawn
# The word that most often follows a full stop; marks, such as a closing quote, are no words.
after_stop = tables[1].get((stop,), tables[0][()]).most_common()
starts = [word for word, _ in after_stop if word and vocabulary[word][0].isalpha()][:10]
start = starts[0]
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
def softmax(logits):
    return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


def held_by_the_best(word):
    return np.sort(softmax(step(word, None)[0]))[-8:].sum()


# Of ten first words one after which the network is neither sure nor at a loss, so that bars can be seen.
shown = min(starts, key=lambda word: abs(held_by_the_best(word) - 0.6))
logits, _ = step(shown, None)
best = np.argsort(-logits)[:8]
fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for i, temperature in enumerate((0.3, 0.7, 1.0, 1.5)):
    p = softmax(logits / temperature)
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
ax.set(
    xlabel="word", ylabel="probability", title=f"The eight best words after {vocabulary[shown]!r}"
)
ax.legend()
plt.show()
print(f"at T = 1 the eight best words hold {held_by_the_best(shown):.0%} of the probability")

# %%
for temperature in (0.3, 0.7, 1.0, 1.5):
    words = ex.generate_with_state(step, [start], temperature, random.random(40))
    print(f"T = {temperature}: {to_text([start, *words])}\n")

# %% [markdown]
# ## 7. State carried, or all words again

# %%
run = rerunner(model, before=before)
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
# One number cannot say what a good text is. Here are five, against the temperature. Where chance plays a part,
# the line is the mean of several texts, each of another seed, and the band reaches from the least to the most.

# %%
from lab.notebook.drawing import band
from lab.notebook.spread import over_seeds, spread

temperatures = [0.2, 0.5, 0.7, 1.0, 1.3, 1.6, 2.0]
TEXTS, WORDS = range(int(os.environ.get("LAB_TEXTS", 5))), 100
book = train.tolist()


def measured(temperature, seed):
    uniforms = np.random.default_rng(seed).random(WORDS)
    words = ex.generate_with_state(step, [start], temperature, uniforms)
    return ex.distinct([words], 2), ex.repetition(words, 2), ex.copied_share(words, book, 5)


# [texts, temperatures, measures]
values = [[measured(temperature, seed) for temperature in temperatures] for seed in TEXTS]
# More temperatures around 1, as foretelling draws nothing.
grid = np.unique([*np.linspace(0.5, 0.8, 4), *np.linspace(0.8, 1.2, 21), *np.linspace(1.2, 2, 5)])
foretold = probabilities_at(model, test[:4000], grid)
perplexities = np.array([ex.perplexity(each) for each in foretold])
lowest = int(perplexities.argmin())
print(f"the perplexity is lowest at T = {grid[lowest]:.2f}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
left.plot(grid, perplexities)
left.plot(grid[lowest], perplexities[lowest], marker="o", linestyle="", color=COLOURS[1])
left.axvline(1, color="#666666", linestyle=":")
left.annotate(
    f"lowest at T = {grid[lowest]:.2f}",
    (grid[lowest], perplexities[lowest]),
    xytext=(25, 110),
    textcoords="offset points",
    ha="center",
    bbox={"facecolor": "white", "edgecolor": "none"},
    arrowprops={"arrowstyle": "->"},
)
left.set(xlabel="temperature", ylabel="perplexity of the last 5 %", title="How well it foretells")
left.set_ylim(perplexities.min() * 0.95, perplexities.min() * 2.5)
for i, (label, marker) in enumerate(
    (("distinct-2", "o"), ("repeated bigrams", "s"), ("copied: 5 words in a row", "^"))
):
    band(right, temperatures, spread(np.array(values)[:, :, i]), marker=marker, label=label)
right.set(xlabel="temperature", ylabel="share", title=f"What it writes, {len(TEXTS)} texts each")
right.set_ylim(-0.02, 1.02)
right.legend()
plt.show()

# %% [markdown]
# **Question.** Why is the perplexity lowest near T = 1, where the probabilities are those that training made?
# What does it say of a network if it is lowest above 1?
# Which temperature would you choose for more training data, which for a story?
#
# ### Characters against words
# The same network, for the time that the words really took, on characters. Perplexities of different units cannot be compared;
# bits for each character of the same text can. One thing favours the words: an unknown one counts as
# foretold when the model says `<unk>`, without a letter of it.

# %%
word_test = test[:4000]
book_text, text_valid, text_test = (
    ex.detokenize(part)
    for part in (tokens[:first], tokens[first:last], tokens[last : last + len(word_test)])
)
letters = sorted(set(book_text))
letter_ids = {letter: i + 1 for i, letter in enumerate(letters)}
as_letters, letters_valid, letters_test = (
    np.array([letter_ids.get(letter, 0) for letter in part], np.int32)
    for part in (book_text, text_valid, text_test)
)
character_model = ex.build_model(len(letters) + 1, 32, UNITS)
character_trained = train_network(
    character_model,
    ex.loss,
    ex.make_windows(as_letters, B, 64),
    seconds=trained.seconds,
    zeroed=ZEROED,
    valid=letters_valid,
    watch=Progress(),
)
print(f"trained {trained.seconds:.0f} s on words, {character_trained.seconds:.0f} s on characters")
by_letter, by_word = (
    -np.sum(np.log2(probabilities(each, part))) / len(text_test)
    for each, part in ((character_model, letters_test), (model, word_test))
)
print(f"vocabulary: {len(letters) + 1} characters, {V:,} words")
print(f"length of the book: {len(text):,} characters, {len(tokens):,} words")
print(f"bits a character: {by_letter:.2f} by characters, {by_word:.2f} by words")
print(f"{np.mean(word_test == 0):.1%} of these words are unknown")
# The same words before, and the same first word.
read, beginning = (
    [letter_ids.get(letter, 0) for letter in part]
    for part in (to_text([word for word in before if word]), " " + to_text([start]))
)
letter_step = stepper(character_model, before=read)
written = ex.generate_with_state(letter_step, beginning, 0.7, random.random(300))
print(to_text([start]) + "".join(letters[i - 1] for i in written))

# %% [markdown]
# ## Decoding compared
# Greedy choice takes the best word each time. Beam search looks for the most probable text: it keeps the best few
# texts so far. The others draw, from all words at a temperature, from the `k` best words (top-k), or from the
# fewest words that together have probability `p` (top-p). All continue the same prompt; the last row is what the
# book itself says there. The probability is the model's own, at T = 1, of all words but `<unk>`.

# %%
from lab.notebook.decoding import beam_search, keep_top_k, keep_top_p, log_probabilities, write
from lab.notebook.drawing import dots

PROMPT, LENGTH_OF_TEXT = 10, 40
WHOLE = PROMPT + LENGTH_OF_TEXT
# Of the sentences of the last 5 %, after a hundred words, the first with the fewest unknown words.
begins = 1 + np.flatnonzero(test[99 : min(len(test), 4000) - WHOLE] == stop) + 99
at = int(min(begins, default=100, key=lambda place: np.sum(test[place : place + WHOLE] == 0)))
from_test = stepper(model, before=test[at - 100 : at])
prompt = [int(word) for word in test[at : at + PROMPT]]
book_says = [int(word) for word in test[at + PROMPT : at + WHOLE]]
print("prompt:", to_text(prompt), "...\n")


def mean_log_p(words):
    found = log_probabilities(from_test, prompt, words)
    return found[np.isfinite(found)].mean()  # `<unk>` has probability 0 here


def draws(keep, temperature=1.0):
    def decode(seed):
        uniforms = np.random.default_rng(seed).random(LENGTH_OF_TEXT)
        return write(from_test, prompt, uniforms, lambda z, u: ex.sample(keep(z), temperature, u))

    return decode


ways = {
    "greedy choice": ([0], lambda seed: beam_search(from_test, prompt, LENGTH_OF_TEXT, 1)),
    "beam search, 8 beams": ([0], lambda seed: beam_search(from_test, prompt, LENGTH_OF_TEXT, 8)),
    "temperature 0.7": (SEEDS, draws(lambda logits: logits, 0.7)),
    "top-k, k = 20": (SEEDS, draws(lambda logits: keep_top_k(logits, 20))),
    "top-p, p = 0.9": (SEEDS, draws(lambda logits: keep_top_p(logits, 0.9))),
    "temperature 1": (SEEDS, draws(lambda logits: logits)),
    "the book": ([0], lambda seed: book_says),
}
compared = {}
for way, (seeds, decode) in ways.items():
    texts = [decode(seed) for seed in seeds]
    compared[way] = [
        spread([mean_log_p(words) for words in texts]),
        spread([ex.repetition(words, 2) for words in texts]),
    ]
    print(
        f"{way:<21} {compared[way][0].mean:6.2f} {compared[way][1].mean:5.2f}  {to_text(texts[0])}\n"
    )

# %%
dots(
    compared,
    ["mean log p of a word (nats)", "share of repeated bigrams"],
    marked="the book",
    title=f"{LENGTH_OF_TEXT} words after the same prompt; bars: range of {len(SEEDS)} seeds",
)
plt.show()

# %% [markdown]
# **Question.** Which way is nearest to the book in both pictures? Why is the most probable text not the best one?

# %% [markdown]
# ## Inside the network
# Each unit keeps a number, $c$, and shows one to the rest of the network, $h$. Does one of them tell whether the words
# are inside quotation marks, how far the sentence has come, or that a name was read? Each number is asked on the
# validation text how well it tells the property. The best one is asked again on the last 5 %, as the best of many
# looks good by chance alone. For the same reason a network that has learned nothing stands beside it. AUC is the
# probability that the number is larger at a word that has the property than at one that has not: 0.5 is chance, 0
# and 1 are without fault.

# %%
from lab.notebook.drawing import coloured_text, gate_rows
from lab.notebook.inside import (
    NoLstmError,
    capitalised,
    inside_quotes,
    number_name,
    place_in_sentence,
    rank,
    record,
)

nearby = slice(max(first, last - 3000), last + 3000)  # of the validation text, and of the last 5 %
spoken, split = tokens[nearby], last - nearby.start
properties = {
    "inside quotation marks": inside_quotes(spoken),
    "words since the full stop": place_in_sentence(spoken),
    "a capital letter within the sentence": capitalised(spoken),
}
best = {}  # column of the best number, how well it tells on the last 5 %
try:
    inside = record(model, ids[nearby])
    blank = record(ex.build_model(V, UNITS // 2, UNITS), ids[nearby])
except NoLstmError as error:
    inside = None
    print("no look inside:", error)
if inside is not None:
    print("gates from the weights in NumPy; h is that of the layer")
    print(
        "property                              number            measure     chosen on  held out  untrained"
    )
    for name, truth in properties.items():
        try:
            ranked, chance = (rank(each.numbers, truth, split=split) for each in (inside, blank))
        except ValueError as error:
            print(f"{name:<37} {error} in this text")
            continue
        best[name] = ranked.columns[0], f"{ranked.measure} {ranked.held_out[0]:.2f}"
        print(
            f"{name:<37} {number_name(ranked.columns[0], UNITS):<17} {ranked.measure:<11} "
            f"{ranked.chosen[0]:9.2f} {ranked.held_out[0]:9.2f} {chance.held_out[0]:10.2f}"
        )

# %%
from lab.notebook.inside import share_below, shown_part

for name in list(best)[:2]:
    (column, measured), truth = best[name], properties[name]
    part = shown_part(truth, split, 110)
    underlined = truth[part] if truth.dtype == bool else np.zeros(len(truth[part]), bool)
    coloured_text(
        spoken[part],
        share_below(inside.numbers[:, column])[part],
        underlined,
        title=f"{number_name(column, UNITS)}: {name}"
        + (" (underlined)" if underlined.any() else "")
        + f", {measured}",
    )
    plt.show()

# %%
if best:
    name, (column, measured) = next(iter(best.items()))
    part = shown_part(properties[name], split, 22)
    gate_rows(
        inside.part(part),
        column % UNITS,
        spoken[part],
        title=f"{number_name(column, UNITS)}: {name}, {measured}",
    )
    plt.show()

# %% [markdown]
# **Question.** At which words does the unit write, and at which does it forget? Which property does no unit tell
# well alone, and how could you find out whether several tell it together?

# %% [markdown] tags=["keras"]
# ## Gradients through time
# How does the network know what to keep? The loss at a word has a gradient by the states before it. Here are
# three steps of an LSTM by hand, forwards and then backwards, with three words of the book; `lab/notebook/unrolled.py` has the
# formulas of one step. TensorFlow's automatic differentiation of Keras's own layer has to say the same.

# %% tags=["keras"]
from lab.notebook.reach import build, by_differentiation, reach, weights_and_vectors

# %%
from lab.notebook.unrolled import backwards, forwards

print(f"two small networks, with an LSTM and with a plain recurrent layer, {SMALL:g} s each")
networks = {}
for kind in ("LSTM", "RNN"):
    networks[kind] = build(kind, V, 64, 64, seed=0)
    took = train_network(networks[kind], ex.loss, (inputs, targets), seconds=SMALL)
    print(
        f"{kind:<5} {took.seconds:.0f} s, {took.epochs:.1f} epochs, "
        f"validation perplexity {ex.perplexity(probabilities(networks[kind], valid[:4000])):.1f}"
    )

# %%
weights, vectors = weights_and_vectors(networks["LSTM"], test[:3])
aim = random.uniform(-1, 1, 64)  # the loss is |h_3 - aim|^2 / 2
begin_h, begin_c = random.normal(0, 0.3, (2, 64))

steps, h, c = [], begin_h, begin_c
for x in vectors:
    steps.append(forwards(x, h, c, weights))
    h, c = steps[-1].h, steps[-1].c

dh, dc = h - aim, np.zeros(64)
by_hand = {"kernel": 0, "recurrent": 0, "bias": 0}
for each in reversed(steps):
    back = backwards(dh, dc, each, weights)
    for name in by_hand:
        by_hand[name] = by_hand[name] + getattr(back, name)
    dh, dc = back.h, back.c
by_hand |= {"h": dh, "c": dc}

automatic = by_differentiation(weights, vectors, begin_h, begin_c, aim)
print("gradient by   largest number   largest difference")
for name, value in by_hand.items():
    apart = np.abs(value - getattr(automatic, name)).max()
    print(f"{name:<13} {np.abs(value).max():14.6f}   {apart:.1e}")
    assert apart < 1e-5

# %%
BACK = 40
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for (kind, network), marker in zip(networks.items(), "os", strict=True):
    norms = reach(network, unseen, BACK)
    middle = np.median(norms, axis=0)
    quarters = np.quantile(norms, (0.25, 0.75), axis=0)
    (line,) = ax.semilogy(middle, marker=marker, markevery=5, label=kind)
    ax.fill_between(range(BACK + 1), *quarters, color=line.get_color(), alpha=0.2, linewidth=0)
    late = (middle[40] / middle[20]) ** (1 / 20)
    print(f"{kind}: after 10 words {middle[10] / middle[0]:.1e} of the gradient is left;", end=" ")
    print(f"from 20 to 40 words back it is {late:.2f} times as large with each word")
gate = record(networks["LSTM"], unseen[:2000]).f
print(
    f"the LSTM's forget gate: mean {gate.mean():.2f}, of the tenth of units that keep most", end=" "
)
print(f"{np.sort(gate.mean(axis=0))[-6:].mean():.2f}")
ax.axvline(T, color="#666666", linestyle=":", label="length of a window in training")
ax.set(
    xlabel="k, words back",
    ylabel=r"$|\partial\,loss_t / \partial\,h_{t-k}|$",
    title="How far gradients reach (median; band: the middle half)",
)
ax.legend()
plt.show()

# %% [markdown]
# **Question.** Which of the two falls by the same factor from word to word, and why? The other falls fast at first,
# as $h$ acts on later words through the gates only, and slowly in the long run, as $c$ is kept. Compare the factor
# of the long run with the forget gates.

# %% [markdown]
# ## 9. Open end
# Your own book, one ablation (fewer units, with dropout or without, half the text, another vocabulary, ...), a
# report of one page: what you expected, what you measured, a picture, what you conclude.
#
# A network that is trained again from another seed gives another number. So a difference says something only if
# it is larger than that. Here is one ablation, measured with several seeds, as an example of how: is it of use to
# set states to zeros in training (section 4)? Expected: yes for the first words after zeros, no for later ones.

# %%
short = ex.make_windows(train[:30_000], B, T)
EPOCHS_OF_SMALL = int(os.environ.get("LAB_SMALL_EPOCHS", 4))


def by_place(seed, zeroed):
    keras.utils.set_random_seed(seed)
    small = ex.build_model(V, 32, 64)
    train_network(small, ex.loss, short, epochs=EPOCHS_OF_SMALL, zeroed=zeroed, seed=seed)
    return perplexity_by_place(small, unseen, 10)


fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for zeroed, marker in ((0.0, "o"), (ZEROED, "s")):
    found = over_seeds(lambda seed, zeroed=zeroed: by_place(seed, zeroed), SEEDS)
    label = f"states zeroed with probability {zeroed:g}"
    band(ax, range(1, 11), found, marker=marker, label=label)
    print(
        f"{label}: perplexity at the first place {found.mean[0]:,.0f} ({found.low[0]:,.0f} to "
        f"{found.high[0]:,.0f}), at the tenth {found.mean[9]:,.0f} ({found.low[9]:,.0f} to {found.high[9]:,.0f})"
    )
ax.set_yscale("log")
ax.set(
    xlabel="place after zeros",
    ylabel="perplexity",
    title=f"Mean and range of {len(SEEDS)} seeds",
)
ax.legend()
plt.show()

# %% [markdown]
# ## Tour of the four shapes (optional)
# **Many to one**: whose line is it? The first half of the book against the second.

# %%
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

# %% [markdown]
# **At full size.** textmill itself does what the tour shows in small. `examples/captions.py` draws pictures, lets a small
# network look at them, and writes a caption of each from its features (one to many). `examples/dates.py` reads dates
# and numbers in words and writes them in figures, with attention (many to many):
# ```
# !{sys.executable} {ROOT}/examples/captions.py --minutes 0.3 --pictures 500
# !{sys.executable} {ROOT}/examples/dates.py --minutes 0.3
# ```
