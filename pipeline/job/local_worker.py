"""The interpreter of a local worker process: Beam's SDK harness on a leash, without its chatter.

Started by `LocalRunner` as `python -P -m textmill.pipeline.job.local_worker LEASH`: -P keeps the
current folder off the path, so that no file of the user stands in for a package.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time

_LOOK_SECONDS = 0.5


def main() -> None:
    """Runs the harness until the runner closes it.

    Errors reach the runner, which tells them; Beam would print them here too, once for each worker.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    leash, parent = sys.argv.pop(1), os.getppid()
    threading.Thread(target=_hold, args=(leash, parent), daemon=True).start()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.disable(logging.CRITICAL)
    from apache_beam.runners.worker import sdk_worker_main

    status = 1
    try:
        sdk_worker_main.main(sys.argv)
        status = 0
    finally:
        # Not by way of the interpreter's own end, which aborts now and then while TensorFlow's and
        # gRPC's threads run: the launcher would take that for a death and hide the real error.
        os._exit(status)


def _hold(leash: str, parent: int) -> None:
    """Ends the process when the launcher is gone or has let go of the leash file."""
    while os.getppid() == parent and os.path.exists(leash):
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
