"""Files on disks and in buckets, whole or not at all, and what failures mean."""
