"""The word-level lab: exercises, their checks, a notebook, a quiz."""
