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
# # A tour of textmill
# This notebook trains a small model on the language reference that every Python carries, looks at the
# probabilities of the next word, and writes a small data set. It takes about a minute and needs no network.
# It needs the extra `lab` and pandas: `pip install -c constraints.txt '.[lab]' pandas`.

# %%
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas

import textmill

FOLDER = Path(tempfile.mkdtemp(prefix="textmill-tour-"))
EPOCHS = int(os.environ.get("TOUR_EPOCHS", 10))  # more give better texts

# %% [markdown]
# ## Train
# `None` is the built-in text. Any text file or pattern does, such as `"books/*.txt"`. The size `tiny` is for trying
# things; leave `preset` out and give `minutes=5` for a real model.

# %%
model = textmill.train(None, out=FOLDER / "model", preset="tiny", epochs=EPOCHS, quiet=True)
print(model)
print(
    {name: model.metrics[name] for name in ("train_words", "valid_perplexity", "test_perplexity")}
)

# %% [markdown]
# ## What comes next?
# The model gives a probability to each word of its vocabulary. A temperature below 1 makes the probable words more
# probable; a temperature above 1 evens them out.

# %%
bars = {
    f"temperature {temperature}": dict(model.next_words("This is", k=8, temperature=temperature))
    for temperature in (0.5, 1.0, 1.5)
}
pandas.DataFrame(bars).fillna(0).plot.barh(figsize=(8, 4), title="after 'This is'")
plt.xlabel("probability")
plt.show()

# %% [markdown]
# ## Write
# `generate` takes one prompt or many. Each text is a `Generation`; its `record()` is a flat row.

# %%
prompts = ["The class", "A function", "If an object"]
found = model.generate(prompts, samples=2, temperature=[0.4, 0.8, 1.2], max_words=15, seed=1)
frame = pandas.DataFrame(generation.record() for generation in found)
frame[["prompt", "temperature", "text", "finish", "logprob"]]

# %% [markdown]
# A low temperature gives texts that the model finds probable, and that resemble each other. A high one gives
# variety, and nonsense.

# %%
frame.groupby("temperature")[["logprob", "words"]].mean().round(2)

# %% [markdown]
# ## Score
# The perplexity of a text tells how surprised the model is by each of its words. A text in the wrong order is a surprise.

# %%
texts = ["This is the name of the class.", "class name of is the the This."]
scores = model.score(texts, tokens=True)
print({score.text: round(score.perplexity, 1) for score in scores})
pandas.DataFrame(scores[0].tokens, columns=["token", "logprob"]).round(2)

# %% [markdown]
# ## In bulk
# The bulk job does the same for files of prompts, or a data frame, with worker processes. It writes a data set, and every
# row of the prompts ends as texts or as one rejected record.

# %%
rows = pandas.DataFrame({"id": ["a", "b", "c"], "prompt": ["The class", "A function", ""]})
outcome = textmill.generate(
    FOLDER / "model",
    prompts=rows,
    out=FOLDER / "out",
    samples=3,
    max_words=15,
    format="parquet",
    quiet=True,
)
print(outcome.manifest["counts"])
pandas.concat(map(pandas.read_parquet, sorted((FOLDER / "out").glob("shard-*.parquet"))))

# %% [markdown]
# Where to read on: `docs/api.md` has all names, `docs/commands.md` all commands, and `lab/` builds such a generator step by
# step.

# %%
model.close()
