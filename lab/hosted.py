"""The lab in a hosted notebook: what its first cell does, and links that open it there.

`python -m lab.hosted ADDRESS`, run once by whoever publishes the repository, writes the address
into the notebook's first cell and links to hosted notebooks into the READMEs.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from textmill.model.errors import TextmillError

LAB = Path(__file__).resolve().parent
NOTEBOOK = "lab/word_level_lab.ipynb"
# Variables that a service sets in its kernels.
_HOSTS = {
    "Colab": ("COLAB_RELEASE_TAG", "COLAB_GPU"),
    "Kaggle": ("KAGGLE_KERNEL_RUN_TYPE",),
    "Binder": ("BINDER_LAUNCH_HOST", "BINDER_REPO_URL"),
}
_PYTHONS = (3, 11), (3, 14)  # from, and below
# What `.[lab]` brings; a service has some of it.
_NEEDED = ("textmill", "tensorflow", "tensorflow-text", "keras", "bottle", "jupytext", "matplotlib",
           "nbclient", "polib")  # fmt: skip
_LOADED = ("numpy", "keras", "tensorflow", "matplotlib")  # a service may load these itself

_LINE = 'REPOSITORY = "{}"'
_CELL = """\
# In a hosted notebook this fetches and installs the lab; on your own machine it changes nothing.
{line}  # what `git clone` takes
import os
import subprocess
import sys
from pathlib import Path

places = (Path.cwd(), Path.cwd().parent, Path("textmill").resolve())
ROOT = next((place for place in places if (place / "lab" / "hosted.py").exists()), None)
if ROOT is None:
    if not REPOSITORY:
        raise RuntimeError("write the repository's address into REPOSITORY, in this cell")
    fetch = ["git", "clone", "--quiet", "--depth", "1", "--", REPOSITORY, "textmill"]
    subprocess.run(fetch, check=True)
    ROOT = Path("textmill").resolve()
sys.path.insert(0, str(ROOT))
from lab.hosted import set_up

set_up(ROOT)
"""

_BEGIN, _END = "<!-- hosted notebooks -->", "<!-- end of hosted notebooks -->"
_OPEN = {
    "README.md": ("Open in {}", NOTEBOOK),
    "README.bg.md": ("Отворете в {}", "lab/word_level_lab.bg.ipynb"),
}


def first_cell(repository: str = "") -> str:
    """Gives the notebook's first cell, which needs nothing but Python and git.

    Args:
        repository: the address that it clones where the lab is not there yet.
    """
    return _CELL.replace("{line}", _LINE.format(repository))


def host(environment: Mapping[str, str] = os.environ) -> str | None:
    """Gives the name of the service whose kernel this is; None on a machine of one's own."""
    for name, variables in _HOSTS.items():
        if any(environment.get(variable) for variable in variables):
            return name
    return None


def set_up(
    root: Path,
    *,
    environment: Mapping[str, str] = os.environ,
    run: Callable[[Sequence[str]], subprocess.CompletedProcess[str]] | None = None,
) -> None:
    """Makes a hosted kernel ready for the lab; elsewhere it does nothing.

    What is missing is installed in the tested versions.

    Args:
        root: the repository's folder, which becomes the current one.
        environment: the kernel's variables.
        run: runs a command; for tests.

    Raises:
        TextmillError: Python is too old or too new, the packages cannot be installed, or the kernel
            has already loaded another version of one, so that it must be restarted.
    """
    service = host(environment)
    if service is None:
        return
    os.chdir(root)
    if not _PYTHONS[0] <= sys.version_info[:2] < _PYTHONS[1]:
        raise TextmillError(
            f"{service} has Python {sys.version_info[0]}.{sys.version_info[1]} here; the lab needs "
            "3.11, 3.12 or 3.13"
        )
    missing = [name for name in _NEEDED if _version(name) is None]
    if missing:
        print(f"installing what the lab needs ({', '.join(missing)}), some minutes ...", flush=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint",
                   "constraints.txt", ".[lab]"]  # fmt: skip
        done = (run or _run)(command)
        if done.returncode != 0:
            last = "; ".join(done.stdout.strip().splitlines()[-5:])
            raise TextmillError(f"the packages could not be installed: {last}")
    for name in _LOADED:
        loaded = getattr(sys.modules.get(name), "__version__", None)
        if loaded is not None and loaded != _version(name):
            raise TextmillError(
                f"{name} {loaded} is loaded, {_version(name)} is installed now: restart the "
                "kernel, then run all cells again"
            )
    print(f"ready: {root} on {service}")


def _version(name: str) -> str | None:
    """The installed version of a package; None if there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


# -- for whoever publishes the repository ----------------------------------------------------------


def links(address: str, *, branch: str = "main", notebook: str = NOTEBOOK) -> dict[str, str]:
    """Gives addresses that open a notebook in hosted services, by the services' names.

    Colab and Kaggle open notebooks of GitHub only, Binder those of any repository.

    Args:
        address: what `git clone` takes.
        branch: the branch that is opened.
        notebook: its path in the repository.

    Raises:
        TextmillError: the address is none that others can reach.
    """
    on_github = re.fullmatch(
        r"(?:https://github\.com/|git@github\.com:)([\w.-]+/[\w.-]+?)(?:\.git)?/?", address
    )
    where, path = quote(branch, safe=""), f"labpath={quote(notebook, safe='')}"
    if on_github:
        name = on_github[1]
        file = f"github.com/{name}/blob/{quote(branch)}/{notebook}"
        return {
            "Colab": f"https://colab.research.google.com/{file.replace('.com', '', 1)}",
            "Kaggle": f"https://kaggle.com/kernels/welcome?src={quote(f'https://{file}', safe='')}",
            "Binder": f"https://mybinder.org/v2/gh/{name}/{where}?{path}",
        }
    if not re.fullmatch(r"https://[\w.-]+(?::\d+)?/[\w.~/-]+", address):
        raise TextmillError(
            "the address must be one that `git clone` takes without a password, such as "
            f"https://HOST/OWNER/NAME. Received: {address!r}"
        )
    return {"Binder": f"https://mybinder.org/v2/git/{quote(address, safe='')}/{where}?{path}"}


def publish(address: str, *, branch: str = "main", lab: Path = LAB) -> list[Path]:
    """Writes links into the READMEs and the address into the notebook's source.

    It may be done again with another address.

    Args:
        address: what `git clone` takes.
        branch: the branch that is opened.
        lab: the folder of the lab.

    Returns:
        The files that were changed; the notebook is to be made again from its source.

    Raises:
        TextmillError: see `links`; or a file has no place for it, and none was changed.
    """
    changed = {}
    for name, (label, notebook) in _OPEN.items():
        found = links(address, branch=branch, notebook=notebook)
        row = " · ".join(
            f"[**{label.format(service)}**]({link})" for service, link in found.items()
        )
        changed[lab / name] = _replaced(
            lab / name, f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", f"{_BEGIN}\n{row}\n{_END}"
        )
    source = lab / "word_level_lab.py"
    line = re.escape(_LINE).replace(re.escape("{}"), '[^"]*')
    changed[source] = _replaced(source, f"^{line}", _LINE.format(address))
    for path, text in changed.items():
        part = path.with_name(path.name + ".part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    return list(changed)


def _replaced(path: Path, pattern: str, by: str) -> str:
    """A file's text with the one place that a pattern finds replaced."""
    text, count = re.subn(
        pattern, lambda _: by, path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    if count != 1:
        raise TextmillError(f"{path} has {count} places for the repository's address instead of 1")
    return text


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status is 1 if it cannot."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.hosted",
        description="Writes a repository's address into the READMEs and the notebook.",
    )
    parser.add_argument("address", nargs="?", help="what `git clone` takes")
    parser.add_argument("--branch", default="main", help="(default: main)")
    parser.add_argument("--cell", action="store_true", help="print the notebook's first cell")
    args = parser.parse_args(argv)
    if args.cell:
        print(first_cell(args.address or ""), end="")
        return 0
    if args.address is None:
        parser.error("give the repository's address, or --cell")
    try:
        changed = publish(args.address, branch=args.branch)
    except TextmillError as error:
        parser.exit(1, f"lab.hosted: error: {error}\n")
    for path in changed:
        print(path)
    print("now make the notebook again: python -m lab.notebook")
    return 0


if __name__ == "__main__":
    sys.exit(main())
