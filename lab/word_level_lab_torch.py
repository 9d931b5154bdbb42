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
# # Any book, your own generator, in PyTorch
# The assignment is in [README.md](README.md). Fill in `lab/exercises.py`, exercise 4 in PyTorch; this notebook uses
# it, step by step. `python -m lab.check`, or a cell with `!python -m lab.check`, says how you stand. After a change
# in `exercises.py` restart the kernel and run all cells from the top.
#
# PyTorch is installed by `make lab-torch`. The parts and questions are those of the first notebook, but for the tour
# of the other shapes, which is in Keras only.

# %% [markdown]
# <!-- as in word_level_lab.py: the beginning -->

# %%
try:
    import torch
except ModuleNotFoundError:
    raise RuntimeError("PyTorch is not installed: run `make lab-torch`, then restart") from None

torch.manual_seed(0)

# %% [markdown]
# <!-- as in word_level_lab.py: 0. Look at the book -->

# %% [markdown]
# <!-- as in word_level_lab.py: 1. Words and back -->

# %% [markdown]
# <!-- as in word_level_lab.py: 2. The baseline: counting -->

# %% [markdown]
# <!-- as in word_level_lab.py: 3. Pairs, shifted by one -->

# %% [markdown]
# <!-- as in word_level_lab.py: 4. The LSTM -->

# %% [markdown]
# <!-- as in word_level_lab.py: 5. Greedy -->

# %% [markdown]
# <!-- as in word_level_lab.py: 6. Temperature -->

# %% [markdown]
# <!-- as in word_level_lab.py: 7. State carried, or all words again -->

# %% [markdown]
# <!-- as in word_level_lab.py: 8. The experiment -->

# %% [markdown]
# <!-- as in word_level_lab.py: Decoding compared -->

# %% [markdown]
# <!-- as in word_level_lab.py: Inside the network -->

# %% [markdown]
# ## Gradients through time
# How does the network know what to keep? The loss at a word has a gradient by the states before it. Here are
# three steps of an LSTM by hand, forwards and then backwards, with three words of the book; `lab/notebook/unrolled.py` has the
# formulas of one step. `torch.autograd` through `nn.LSTM` has to say the same.

# %%
from lab.notebook.torch_layers import build, by_differentiation, reach, weights_and_vectors

# %% [markdown]
# <!-- as in word_level_lab.py: Gradients through time -->

# %% [markdown]
# ## 9. Open end
# Your own book, one ablation (fewer units, with dropout or without, half the text, another vocabulary, ...), a
# report of one page: what you expected, what you measured, a picture, what you conclude. A network that is trained
# again from another seed gives another number. So a difference says something only if it is larger than that.
