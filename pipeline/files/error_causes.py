"""Finds the cause of a run's failure in the errors of runners and services, in one line."""

from __future__ import annotations

import re

from textmill.pipeline.files.spark_causes import spark_cause

_OURS = re.compile(r"(?:TextmillError|SettingError|UsageError): (.+)")
_NO_MODULE = re.compile(r"No module named '(\w+)")
# Errors of unpickling if another version of Python made a function's code.
_PYTHON = re.compile(r"bad marshal data|code\(\) (?:argument|takes|requires)|unknown opcode")
_BUCKET = re.compile(r"gs://([\w.-]+)")
# A bucket is missing, not only an object in it.
_ABOUT_BUCKET = re.compile(r"specified bucket|/b/[^/?]+(?:/o)?\?")
_STATE = re.compile(r"Dataflow pipeline failed\. State: (\w+)")
# What gRPC says of a call that broke off.
_GONE = re.compile(r"StatusCode\.UNAVAILABLE.*?details = \"(.*?)\"", re.DOTALL)
_REGION = re.compile(r"regional endpoint|location|region", re.IGNORECASE)


def first_cause(error: Exception) -> str:
    """Gives the message of a worker's error, or the meaning of a service's refusal."""
    text = str(error)
    found = _OURS.findall(text)
    if found:
        return re.sub(r"\\?\s*\[while running .*", "", found[-1])
    missing = _NO_MODULE.search(text)
    if missing:
        return (
            f"the workers have no {missing[1]} ({missing[0]}): name an image that has it with "
            "--sdk_container_image (docker/Dockerfile makes one)"
        )
    strange = _PYTHON.search(text)
    if strange:
        return (
            f"the workers cannot read the launcher's code ({strange[0]}): their Python is of "
            "another minor version; give both the same (docker/Dockerfile has 3.11)"
        )
    refused = storage_refusal(error) or spark_cause(text)
    if refused is not None:
        return refused
    last = [line for line in text.strip().split("\n") if line.strip()][-1:]
    said = last[0].strip() if last else "no message"
    code = _code(error)
    if code == 403:
        return (
            "Dataflow refuses the job: enable the service (gcloud services enable "
            "dataflow.googleapis.com) and give this account roles/dataflow.developer. It said: "
            + said[:300]
        )
    if code in (400, 404) and _REGION.search(text):
        return f"Dataflow does not take the job: is --region right? It said: {said[:300]}"
    if code == 401:
        return _NO_CREDENTIALS
    gone = _GONE.search(text)
    if gone or type(error).__name__ == "FutureTimeoutError":
        said = gone[1] if gone else "no answer"
        return f"the engine does not answer, or has ended ({said}): start it again"
    state = _STATE.search(text)
    if state and state[1] == "CANCELLED":
        return "the job was cancelled"
    return f"the run failed: {type(error).__name__}: {said}"


_NO_CREDENTIALS = "no valid credentials: gcloud auth application-default login gives some"


def storage_refusal(error: Exception, path: str = "") -> str | None:
    """Says what a bucket's refusal means and what to do; None if the error is not one.

    Args:
        error: the error that was raised.
        path: the path that was to be read or written, if the error does not name it.
    """
    # Beam's file systems put the service's errors, by path, into an error of their own.
    inner = error
    while details := getattr(inner, "exception_details", None):
        inner = next(iter(details.values()))
        if not isinstance(inner, Exception):
            return None
    text = str(inner)
    bucket = _BUCKET.search(path or text) or re.search(r"/storage/v1/b/([\w.-]+)", text)
    if bucket is None:
        return None
    code = _code(inner) or (re.search(r"\b(40[134]) (?:GET|POST|PUT)\b", text) or [0, 0])[1]
    if int(code) == 401:
        return f"{_NO_CREDENTIALS} (bucket {bucket[1]})"
    if int(code) == 403:
        return no_right(bucket[1])
    if int(code) == 404 and _ABOUT_BUCKET.search(text):
        return (
            f"there is no bucket {bucket[1]}: check the name, or make it with "
            f"gcloud storage buckets create gs://{bucket[1]}"
        )
    return None


def no_right(bucket: str) -> str:
    """Says what to do if the account has no rights on a bucket."""
    return (
        f"no right to use bucket {bucket}: give this account and the workers' roles/storage.admin "
        f"on it (gcloud storage buckets add-iam-policy-binding gs://{bucket} --member=... "
        "--role=roles/storage.admin)"
    )


def _code(error: Exception) -> int:
    """Gives the HTTP status that an API's error carries; 0 if there is none."""
    code = getattr(error, "code", None)
    return int(code) if isinstance(code, int) else 0
