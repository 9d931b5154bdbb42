"""Augmentation: more rows for a labelled table, and what they are worth."""
