"""The columns of a run's records, and the formats they are written in."""
