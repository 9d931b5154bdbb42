"""A reporter that remembers what it is told."""

from __future__ import annotations


class Silent:
    """A reporter that remembers."""

    def __init__(self):
        self.messages, self.perplexities = [], []

    def message(self, text):
        self.messages.append(text)

    def progress(self, share, *, loss, rate):
        assert 0 <= share <= 1

    def validated(self, epoch, *, perplexity, best):
        self.perplexities.append(perplexity)
