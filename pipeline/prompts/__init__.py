"""Prompt files: planned into shards, read back, each row checked."""
