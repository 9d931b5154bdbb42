"""Augmentation: makes more rows for a labelled table, and measures what they are worth."""
