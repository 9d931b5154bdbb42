"""Training: from a corpus to the best weights for the time given."""
