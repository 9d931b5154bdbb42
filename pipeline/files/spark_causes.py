"""Finds the cause of a failed job in what Spark, or Beam's job server for it, says."""

from __future__ import annotations

import re

# What is found, and what is said of it; {0} is the first group.
_MEANINGS = tuple(
    (re.compile(pattern), said)
    for pattern, said in (
        (
            r"Only one SparkContext should be running",
            "the job server is busy with another job, and takes one at a time: wait for its end, "
            "or start another job server (SPARK_RUN=DIR scripts/spark_cluster.sh up)",
        ),
        (
            r"IOException: (?:Cannot run program.*)?(error=\d+, [\w ]+)",
            "executors cannot start the worker's command ({0}): install textmill there at the "
            "launcher's path, or name what starts a worker with "
            "--environment_options=process_command=/path/to/textmill-worker",
        ),
        (
            r"Process died with exit code (\d+)",
            "the worker's command ended at once with status {0}: run it on a worker to see why "
            "(textmill-worker --help)",
        ),
        (
            r"No client connected within timeout",
            "a worker's Python process took too long to start: give workers more cores or memory",
        ),
        (
            r"All masters are unresponsive|Master removed our application"
            r"|SparkContext was shut down|stopped SparkContext",
            "Spark's master is gone, or does not answer: start cluster and job server again",
        ),
        (
            r"ExecutorLostFailure.*?Reason: (.+)",
            "an executor was lost again and again ({0}), perhaps for want of memory: beside Java's "
            "memory each of its cores needs some for a Python process",
        ),
        (
            r"StatusRuntimeException: (CANCELLED|UNAVAILABLE)",
            "a worker's Python process was killed ({0}), perhaps for want of memory: beside Java's "
            "memory each of its cores needs some for a Python process",
        ),
    )
)
_STEP = re.compile(r"\s*\[while running .*")
_FAILED = re.compile(r"failed in state FAILED: ")
# The end of a traceback: the first line that is not indented.
_RAISED = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*([^\s].*)")


def spark_cause(text: str) -> str | None:
    """Gives the meaning of a failed job's message; None if it is not of Spark.

    Spark's text ends in "Driver stacktrace:", so its last line says nothing.
    """
    raised = _RAISED.findall(text)
    if raised and "org.apache" in text:
        return f"a worker failed: {_STEP.sub('', raised[-1]).strip()}"
    for pattern, said in _MEANINGS:
        found = pattern.search(text)
        if found:
            return said.format(*(group.strip().rstrip(".") for group in found.groups()))
    if "org.apache.spark" not in text:
        return None
    failure = _FAILED.split(text, maxsplit=1)[-1]
    return f"the job failed: {failure.strip().splitlines()[0][:300]}"
