"""A local worker process: Beam's SDK harness, which prints nothing and ends with its launcher.

`LocalRunner` starts it as `python -P -m textmill.pipeline.engines.local_worker FOLDER LAUNCHER`.
With -P the current folder is not on the path, so that no file of the user replaces a package.
FOLDER is the run's own, for temporary files; the worker ends when the file `leash` in it is gone,
or when its parent is not the process LAUNCHER. `--buckets` says that the job has files in buckets,
for which Beam loads what services need.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from typing import Any

from textmill.model.lean_imports import hidden, no_collection

LEASH = "leash"
_LOOK_SECONDS = 0.5
# Beam loads these, if they are installed, and does without each. Where a step of textmill's needs
# one, it loads it then.
_OPTIONAL = ("IPython", "bson", "pandas", "pyarrow", "pymongo")
_OF_BUCKETS = (
    "apache_beam.io.gcp",
    "apitools",
    "azure",
    "boto3",
    "google.api_core",
    "google.auth",
    "google.cloud",
    "oauth2client",
)


def main() -> None:
    """Runs the harness until the runner closes it.

    The runner reports errors; Beam would print them here, too, once for each worker.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    folder = sys.argv.pop(1)
    end_with_parent(int(sys.argv.pop(1)), leash=os.path.join(folder, LEASH))
    os.environ["TMPDIR"] = folder
    run_harness(buckets="--buckets" in sys.argv[1:])


def end_with_parent(parent: int, *, leash: str | None = None) -> None:
    """Ends the process, from now on, when its parent is gone or has removed the leash file.

    The parent's number is told, as the parent may be gone before this process asks for it.
    """
    threading.Thread(target=_hold, args=(leash, parent), daemon=True).start()


def run_harness(*, buckets: bool) -> None:
    """Becomes Beam's SDK harness, which the environment's variables tell where to work.

    Args:
        buckets: whether the job has files in buckets.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.disable(logging.CRITICAL)
    sdk_worker_main = harness(buckets=buckets)
    status = 1
    try:
        sdk_worker_main.main(sys.argv)
        status = 0
    finally:
        # A normal exit sometimes aborts while TensorFlow's and gRPC's threads run. The launcher
        # would then report a dead worker instead of the real error.
        os._exit(status)


def harness(*, buckets: bool) -> Any:
    """Loads Beam's harness without what it loads for services.

    Args:
        buckets: whether the job has files in buckets.
    """
    with no_collection(), hidden(_OPTIONAL if buckets else (*_OPTIONAL, *_OF_BUCKETS)):
        import apache_beam.ml.inference.base  # noqa: F401
        from apache_beam.runners.worker import sdk_worker_main
    return sdk_worker_main


def _hold(leash: str | None, parent: int) -> None:
    while os.getppid() == parent and (leash is None or os.path.exists(leash)):
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
