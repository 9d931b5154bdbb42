"""Generates texts: exact sampling from a trained network, many texts at a time."""
