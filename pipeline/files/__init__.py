"""Reads and writes files on disks and in buckets, and explains failures."""
