"""The versions that a run depends on, and a check that workers have the launcher's."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping

from textmill.model.errors import TextmillError

_PACKAGES = ("textmill", "apache-beam", "tensorflow", "tensorflow-text", "numpy", "pyarrow")
# Workers must have the launcher's versions of these. The texts depend on TensorFlow's products and
# tensorflow-text's tokens; objects of Beam and textmill are pickled on one side for the other.
NEEDED = ("textmill", "apache-beam", "tensorflow", "tensorflow-text")


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
    pairs = differences(versions(), launcher)
    if pairs:
        raise TextmillError(
            f"the worker has {pairs} as the launcher has: give both the same, for workers by "
            "another image (docker/Dockerfile)"
        )


def differences(there: Mapping[str, str], launcher: Mapping[str, str]) -> str:
    """Tells which versions differ that must not; empty if none does."""
    differ = [name for name in NEEDED if there[name] != launcher[name]]
    if _minor(there["python"]) != _minor(launcher["python"]):
        differ.append("python")
    return ", ".join(f"{name} {there[name]} not {launcher[name]}" for name in differ)


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
