"""The exercises: fill in the bodies, then `python -m lab.check` says which are right.

Words are numbers ("ids") from exercise 1 on: 0 is `<unk>`, for words that are not in the
vocabulary, and V is the size of the vocabulary. Arrays are NumPy's; [B, T] means B rows of T.

No function changes what it is given: the caller goes on using it. No answer depends on the calls
before. You may import Python's own modules, NumPy, SciPy, and Keras, whose models run on
TensorFlow, and TensorFlow itself; in exercise 4 PyTorch instead, if it is installed. Each function
is checked on its own, in a process that can read and write no other files, start no other programs,
and has no network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

UNKNOWN = "<unk>"

# -- 0. Look at the book ---------------------------------------------------------------------------


def count_words(tokens: Sequence[str]) -> Counter[str]:
    """Counts how often each token is in the text."""
    raise NotImplementedError


def coverage(counts: Counter[str], size: int) -> float:
    """The share of the text (not of the vocabulary) that the `size` most frequent words cover.

    It is a number from 0 to 1. `size` may be 0, or larger than the vocabulary. There is a word, at
    least.
    """
    raise NotImplementedError


# -- 1. Words and back -----------------------------------------------------------------------------


def tokenize(text: str) -> list[str]:
    """Splits a text into words and punctuation marks, each punctuation mark a token of its own.

    If a token follows another one without white space, write it with a leading `■`, so that
    `detokenize` can put the text together again: "Stop, she said." gives
    ["Stop", "■,", "she", "said", "■."]. Words are letters and digits of any script, as they are
    written. An apostrophe between two of them, ' or ’, belongs to the word, as often as it comes:
    "don't" and "rock'n'roll" are one token each. Any other character that is not white space is a
    mark, a token of its own: also each of the three in "...", the hyphen of "well-known", the point
    of "1.5", an underscore, an apostrophe at a word's edge or beside another one. An empty text has
    no tokens.
    """
    raise NotImplementedError


def detokenize(tokens: Sequence[str]) -> str:
    """The text: `detokenize(tokenize(text))` is `text`, with each run of white space one space.

    There is no space at the ends, also if the tokens come from the middle of a text and the first
    one has a `■`. No tokens give an empty text.
    """
    raise NotImplementedError


def make_vocabulary(tokens: Sequence[str], min_count: int) -> list[str]:
    """`<unk>`, then the tokens seen at least `min_count` times, the most frequent first.

    Tokens that are equally frequent are in alphabetical order, as `sorted` puts them: capitals
    before small letters. None of the tokens is `<unk>`, as `tokenize` makes three of that.
    """
    raise NotImplementedError


def encode(tokens: Sequence[str], vocabulary: Sequence[str]) -> np.ndarray:
    """Ids, int32 [N]: places in the vocabulary, 0 for a token that is not in it."""
    raise NotImplementedError


# -- 2. The baseline: counting ---------------------------------------------------------------------


def count_ngrams(ids: Sequence[int], n: int) -> dict[tuple[int, ...], Counter[int]]:
    """Counts, for each sequence of n - 1 words, how often each word follows it.

    `count_ngrams([5, 6, 5, 7], 2)` is `{(5,): Counter({6: 1, 7: 1}), (6,): Counter({5: 1})}`; for
    n = 1 the only key is `()`. n is at least 1; a text of fewer than n words gives no keys.
    """
    raise NotImplementedError


def ngram_distribution(
    tables: Sequence[dict[tuple[int, ...], Counter[int]]],
    context: Sequence[int],
    weights: Sequence[float],
    size: int,
) -> np.ndarray:
    """p of each word after the context, float64 [V]: a mixture of all orders.

    weights[0] / V + weights[1] p1 + weights[2] p2 + weights[3] p3, where pn is the relative
    frequency after the last n - 1 words of the context. If these were never seen, or the context is
    too short, pn is p(n-1).

    Args:
        tables: `count_ngrams` for n = 1, 2 and 3.
        context: ids of the words before; there may be any number.
        weights: four numbers that add up to 1.
        size: V.
    """
    raise NotImplementedError


def perplexity(probabilities: Sequence[float]) -> float:
    """exp of the mean of -log p, where p is the probability that the model gave each true word.

    The text may be long: the product of its probabilities may be too small for a float.
    """
    raise NotImplementedError


def tune_weights(
    tables: Sequence[dict[tuple[int, ...], Counter[int]]], valid: Sequence[int], size: int
) -> tuple[float, float, float, float]:
    """The weights of `ngram_distribution` with the lowest perplexity on the validation text.

    The first two words of the text only serve as contexts. One way is expectation-maximisation:
    begin with equal weights; a word's share of order n is weights[n] pn over the sum of these; the
    new weights are the mean shares; repeat, some 50 times. The pn of the words are the same in all
    rounds: compute them once. The perplexity may be 1 % above the lowest, no more.
    """
    raise NotImplementedError


# -- 3. Pairs, shifted by one ----------------------------------------------------------------------


def make_windows(ids: np.ndarray, batch: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets, both int32 [W, B, T]: the target of a word is the word after it.

    The N words are cut into B rows of N // B words, which are read side by side. In each row,
    window w + 1 begins where window w ended, so that the state can be carried from one to the next.
    The last word of a row is only a target; words that do not fill a window are left out.
    """
    raise NotImplementedError


# -- 4. The LSTM -----------------------------------------------------------------------------------


def build_model(size: int, embedding: int, units: int) -> Any:
    """A `keras.Model`: inputs [ids, h, c], outputs [logits, h, c]; or the same in PyTorch.

    ids are int [B, T], h and c the LSTM's state before the first word, float [B, units]; logits are
    float [B, T, V], for the word after each word; the outputs h and c are the state after the last.
    B and T are any numbers. The network has three parts: `Embedding(V, embedding)`, as an id is
    only a name; one `LSTM(units)` with Keras's own activations; `Dense(V)` on its output at each
    step, without an activation (no softmax). Id 0, `<unk>`, is read like any other word: no
    mask. Dropout before and after the LSTM is allowed, and helps on a book; it is on in training
    only. The model may be of a class of your own; it is called as `model([ids, h, c])`.

    In PyTorch it is a `torch.nn.Module`, called as `model(ids, h, c)`, which returns logits, h and
    c. The shapes are those above, batch first; ids are int64. Its parts are `nn.Embedding`, one
    `nn.LSTM` (batch_first=True, but its own states are [1, B, units]) and `nn.Linear`.
    """
    raise NotImplementedError


def loss(logits: Any, targets: Any) -> Any:
    """Mean of -log softmax(logits)[target] over all words, in nats, a scalar tensor.

    Training needs its gradient. It is right for large logits (10,000), too. The tensors are those
    of PyTorch if this file imports torch, else of TensorFlow.

    Args:
        logits: float tensor [B, T, V].
        targets: int tensor [B, T]; int64 in PyTorch.
    """
    raise NotImplementedError


# -- 5. Greedy -------------------------------------------------------------------------------------

# A step of the network: (word, state) to (logits [V], state). The state before the first word is
# None. The state is the whole memory: a step knows only it and the word, not the words before.
Step = Callable[[int, Any], tuple[np.ndarray, Any]]


def greedy(step: Step, first: int, words: int) -> list[int]:
    """The `words` words after `first`, each the most probable one; `first` is not in the list.

    No word goes through the network twice. `words` may be 0.
    """
    raise NotImplementedError


def find_cycle(words: Sequence[int]) -> tuple[int, int] | None:
    """(start, length) of the cycle that the list ends in, or None.

    From `start` to the end, the list repeats itself every `length` words, for at least two whole
    rounds. `length` is the smallest possible, and for it `start`. [1, 2, 3, 4, 3, 4, 3] gives
    (2, 2).
    """
    raise NotImplementedError


# -- 6. Temperature --------------------------------------------------------------------------------


def sample(logits: np.ndarray, temperature: float, uniform: float) -> int:
    """A word drawn from softmax(logits / temperature); the most probable one at temperature 0.

    Go through the words in order and add up their probabilities: the word is the first whose sum
    is above `uniform`. Logits may be large (thousands) or minus infinity, whose word is never
    drawn. By rounding, the last sum may be a little below `uniform`; then it is the last word whose
    probability is above 0.

    Args:
        logits: float [V], float32 or float64.
        temperature: at least 0; however small, it is not 0.
        uniform: a number in [0, 1), which the caller drew.
    """
    raise NotImplementedError


# -- 7. State carried, or all words again ----------------------------------------------------------


def generate_with_state(
    step: Step, prompt: Sequence[int], temperature: float, uniforms: Sequence[float]
) -> list[int]:
    """Words after the prompt, one for each uniform, by `sample`; the prompt is not in the list.

    No word goes through the network twice. The prompt has at least one word.
    """
    raise NotImplementedError


def generate_by_rerunning(
    run: Callable[[Sequence[int]], np.ndarray],
    prompt: Sequence[int],
    temperature: float,
    uniforms: Sequence[float],
) -> list[int]:
    """The same words without keeping a state: for each new word, all words are read again.

    Args:
        run: gives the logits [T, V] after each of T words, read from the beginning.
    """
    raise NotImplementedError


# -- 8. What is a good text? -----------------------------------------------------------------------


def distinct(texts: Sequence[Sequence[int]], n: int) -> float:
    """Number of different n-grams divided by all n-grams of all texts; none spans two texts.

    Here and below, 0 if there are no n-grams.
    """
    raise NotImplementedError


def repetition(text: Sequence[int], n: int) -> float:
    """The share of a text's n-grams that were in it before."""
    raise NotImplementedError


def copied_share(text: Sequence[int], book: Sequence[int], n: int) -> float:
    """The share of a text's words that are part of an n-gram which is in the book, too.

    N-grams are sequences of whole words: (1, 2) is not in [11, 2].
    """
    raise NotImplementedError


# -- Tour: the other shapes (optional) -------------------------------------------------------------


def build_classifier(size: int, embedding: int, units: int) -> Any:
    """Many to one: a `keras.Model` from ids [B, T] to p of the second class, [B, 1], by a sigmoid.

    Id 0 is padding at the end of a row: it must change nothing.
    """
    raise NotImplementedError


def build_from_vector(size: int, vector: int, embedding: int, units: int) -> Any:
    """One to many: a `keras.Model` from [vector [B, C], ids [B, T]] to logits [B, T, V].

    The vector makes the state that the LSTM begins with, and comes in nowhere else; the ids are the
    words before (teacher forcing). The logits have no activation, and know no word to come.
    """
    raise NotImplementedError


def build_translator(source: int, target: int, embedding: int, units: int) -> Any:
    """Many to many: a `keras.Model` from [ids [B, S], ids [B, T]] to logits [B, T, V].

    The first LSTM reads the source words; its last state, h and c, is the first of the second LSTM,
    which reads the target's words before (teacher forcing). The logits have no activation, and know
    no target word to come. `source` and `target` are sizes of vocabularies.
    """
    raise NotImplementedError
