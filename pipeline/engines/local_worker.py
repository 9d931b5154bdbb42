"""A local worker process: Beam's SDK harness, which prints nothing and ends with its launcher.

`LocalRunner` starts it as `python -P -m textmill.pipeline.engines.local_worker LEASH`. With -P the
current folder is not on the path, so that no file of the user replaces a package.
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

    The runner reports errors; Beam would print them here, too, once for each worker.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    end_with_parent(leash=sys.argv.pop(1))
    run_harness()


def end_with_parent(*, leash: str | None = None) -> None:
    """Ends the process, from now on, when its parent is gone or has removed the leash file."""
    threading.Thread(target=_hold, args=(leash, os.getppid()), daemon=True).start()


def run_harness() -> None:
    """Becomes Beam's SDK harness, which the environment's variables tell where to work."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.disable(logging.CRITICAL)
    from apache_beam.runners.worker import sdk_worker_main

    status = 1
    try:
        sdk_worker_main.main(sys.argv)
        status = 0
    finally:
        # A normal exit sometimes aborts while TensorFlow's and gRPC's threads run. The launcher
        # would then report a dead worker instead of the real error.
        os._exit(status)


def _hold(leash: str | None, parent: int) -> None:
    while os.getppid() == parent and (leash is None or os.path.exists(leash)):
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
