"""Reads any book, corpus or table and turns it into ids, split and batched."""
