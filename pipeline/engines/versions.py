"""The versions that a run depends on, and a check that workers have the launcher's."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping

from textmill.model.errors import TextmillError

_PACKAGES = ("textmill", "apache-beam", "tensorflow", "tensorflow-text", "numpy", "pyarrow")
# Workers must have the launcher's versions of these. The texts depend on TensorFlow's products and
# tensorflow-text's tokens; objects of Beam and textmill are pickled on one side for the other.
_MUST_EQUAL = ("textmill", "apache-beam", "tensorflow", "tensorflow-text")


def versions() -> dict[str, str]:
    """Gives the versions of this interpreter and of the packages that texts depend on, by name."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return found | {"python": platform.python_version()}


def check_worker(launcher: Mapping[str, str]) -> None:
    """Refuses to work if this worker has other versions than the launcher.

    Args:
        launcher: the launcher's `versions`.

    Raises:
        TextmillError: a version differs, or the minor version of Python.
    """
    here = versions()
    differ = [name for name in _MUST_EQUAL if here[name] != launcher[name]]
    if _minor(here["python"]) != _minor(launcher["python"]):
        differ.append("python")
    if differ:
        pairs = ", ".join(f"{name} {here[name]} not {launcher[name]}" for name in differ)
        raise TextmillError(
            f"the worker has {pairs} as the launcher has: give both the same, for workers by "
            "another image (docker/Dockerfile)"
        )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
