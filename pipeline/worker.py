"""The interpreter of a local worker process: Beam's SDK harness, without its chatter.

Started by `LocalRunner` with `python -P`, so that a `model.py` in the user's folder cannot stand in
for the package.
"""

from __future__ import annotations

import logging
import os
import sys


def main() -> None:
    """Runs the harness until the runner closes it. Errors reach the runner, not this log."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.disable(logging.CRITICAL)
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
