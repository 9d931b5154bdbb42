"""A model of a book: train it, look at what it writes, ask it how probable texts are.

    python examples/book.py            # the text that every Python carries, its language reference
    python examples/book.py alice.txt  # a book of your own; textmill books fetches some

The network is the smallest one and it trains for seconds, so its texts are poor. For a real model
give it minutes: `textmill.train("alice.txt", out="alice", minutes=5)`.
"""

import sys
import tempfile
from pathlib import Path

import textmill

corpus = sys.argv[1] if len(sys.argv) > 1 else None  # None is the built-in text
folder = Path(tempfile.mkdtemp(prefix="textmill-book-"))

model = textmill.train(corpus, out=folder / "model", preset="tiny", epochs=10)
print(f"{model} in {folder / 'model'}")
print(f"perplexity on text it never saw: {model.metrics['test_perplexity']:.1f}")

# Two texts at each temperature. A low one makes safe and dull texts, a high one wild ones.
for found in model.generate("The", samples=2, temperature=[0.5, 1.0], max_words=20):
    print(f"{found.temperature}  {found.prompt.text}{found.text}")

# The same, word by word, as they are drawn.
print("streamed: The", end="", flush=True)
for piece in model.stream("The", temperature=0.5, max_words=20):
    print(piece, end="", flush=True)
print()

# How probable are two texts? The model has seen the words of both, and one order of them.
for score in model.score(["This is the name of the class.", "class name of is the the This."]):
    print(f"perplexity {score.perplexity:8.1f}  {score.text}")

# What may come next?
for word, probability in model.next_words("This is", k=5):
    print(f"{probability:6.1%}  {word}")
