"""Trains an LSTM language model on any text and writes text with it in bulk."""
