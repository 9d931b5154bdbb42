"""The first cell of a hosted notebook, and links that open it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from lab import hosted
from lab.hosted import first_cell, host, links, publish, set_up
from textmill.model.errors import TextmillError

ROOT = Path(__file__).resolve().parents[2]
COLAB = {"COLAB_RELEASE_TAG": "release"}


@pytest.fixture(autouse=True)
def stay(monkeypatch):
    """The current folder and the path of modules are put back."""
    monkeypatch.chdir(Path.cwd())
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_services_are_known_by_their_variables():
    assert host({"PATH": "/bin"}) is None
    assert host({"COLAB_RELEASE_TAG": ""}) is None
    assert host(COLAB) == "Colab"
    assert host({"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}) == "Kaggle"
    assert host({"BINDER_REPO_URL": "x"}) == "Binder"


class Pip:
    """Notes the commands; what is missing is there after the first."""

    def __init__(self, monkeypatch, missing, code=0):
        self.commands, self.code, self.missing = [], code, set(missing)
        versions = {"numpy": "2.0.0"}
        monkeypatch.setattr(
            hosted, "_version", lambda n: None if n in self.missing else versions.get(n, "1")
        )
        for name in ("keras", "tensorflow", "matplotlib"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        self.load("2.0.0", monkeypatch)

    def load(self, version, monkeypatch):
        module = ModuleType("numpy")
        module.__version__ = version
        monkeypatch.setitem(sys.modules, "numpy", module)

    def __call__(self, command):
        self.commands.append(list(command))
        self.missing.clear()
        text = "\n".join(f"line {i}" for i in range(20))
        return SimpleNamespace(returncode=self.code, stdout=text)


def test_what_is_missing_is_installed_in_tested_versions(tmp_path, monkeypatch, capsys):
    pip = Pip(monkeypatch, ["bottle", "textmill"])
    set_up(tmp_path, environment=COLAB, run=pip)
    (command,) = pip.commands
    assert command[:3] == [sys.executable, "-m", "pip"]
    assert command[-3:] == ["--constraint", "constraints.txt", ".[lab]"]
    assert Path.cwd() == tmp_path
    out = capsys.readouterr().out
    assert "(textmill, bottle)" in out
    assert out.endswith(f"ready: {tmp_path} on Colab\n")
    set_up(tmp_path, environment=COLAB, run=pip)
    assert len(pip.commands) == 1  # all is there


def test_on_a_machine_of_one_s_own_nothing_is_installed(tmp_path, monkeypatch, capsys):
    pip = Pip(monkeypatch, ["bottle"])
    here = Path.cwd()
    set_up(tmp_path, environment={}, run=pip)
    assert pip.commands == []
    assert Path.cwd() == here != tmp_path  # a book's name begins where the notebook is
    assert capsys.readouterr().out == ""


def test_what_goes_wrong_is_told(tmp_path, monkeypatch):
    with pytest.raises(TextmillError, match=r"installed: line 15; .*line 19$") as got:
        set_up(tmp_path, environment=COLAB, run=Pip(monkeypatch, ["bottle"], code=1))
    assert "line 14" not in str(got.value)
    pip = Pip(monkeypatch, ["bottle"])
    pip.load("1.26.4", monkeypatch)
    with pytest.raises(TextmillError, match=r"numpy 1.26.4 is loaded, 2.0.0 is .*restart the kern"):
        set_up(tmp_path, environment=COLAB, run=pip)
    monkeypatch.setattr(hosted, "_PYTHONS", ((3, 99), (4, 0)))
    with pytest.raises(TextmillError, match=r"Colab has Python 3\.\d+ here"):
        set_up(tmp_path, environment=COLAB, run=pip)


def test_the_pythons_are_those_of_setup_py():
    least, below = (".".join(map(str, version)) for version in hosted._PYTHONS)
    assert f'python_requires=">={least},<{below}"' in (ROOT / "setup.py").read_text()


def run_cell(text, folder):
    """Runs the cell in an interpreter of its own; its last line is where it ended."""
    text += "print(ROOT, Path.cwd(), sep='\\n')\n"
    return subprocess.run(
        [sys.executable, "-c", text], cwd=folder, capture_output=True, text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONSAFEPATH": "1"}, check=False,
    )  # fmt: skip


def test_the_first_cell_clones_where_the_lab_is_not_there(tmp_path):
    origin, work = tmp_path / "origin", tmp_path / "work"
    (origin / "lab").mkdir(parents=True)
    work.mkdir()
    (origin / "lab" / "hosted.py").write_text("import os\nset_up = os.chdir\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(origin)]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], check=True)
    done = run_cell(first_cell(origin.as_uri()), work)
    assert done.stdout.split() == [str(work / "textmill")] * 2, done.stderr
    # Again, and from inside: nothing is cloned.
    for folder in (work, work / "textmill", work / "textmill" / "lab"):
        done = run_cell(first_cell("no address"), folder)
        assert done.stdout.split() == [str(work / "textmill")] * 2, done.stderr
    nowhere = run_cell(first_cell(), tmp_path)
    assert nowhere.returncode == 1
    assert "write the repository's address into REPOSITORY" in nowhere.stderr


@pytest.mark.parametrize(
    "address",
    ["https://github.com/a/b", "https://github.com/a/b.git", "git@github.com:a/b.git"],
)
def test_links_of_github(address):
    found = links(address, branch="dev/x")
    notebook = "lab/word_level_lab.ipynb"
    assert found == {
        "Colab": f"https://colab.research.google.com/github/a/b/blob/dev/x/{notebook}",
        "Kaggle": "https://kaggle.com/kernels/welcome?src="
        "https%3A%2F%2Fgithub.com%2Fa%2Fb%2Fblob%2Fdev%2Fx%2Flab%2Fword_level_lab.ipynb",
        "Binder": "https://mybinder.org/v2/gh/a/b/dev%2Fx?labpath=lab%2Fword_level_lab.ipynb",
    }
    assert (ROOT / notebook).exists()


def test_links_of_others():
    assert links("https://code.example.org/a/b") == {
        "Binder": "https://mybinder.org/v2/git/https%3A%2F%2Fcode.example.org%2Fa%2Fb/main"
        "?labpath=lab%2Fword_level_lab.ipynb"
    }
    for address in ("", "/home/me/b", "http://x/y", "https://a:b@c/d", "https://x/y) <b>", "--x"):
        with pytest.raises(TextmillError, match="https://HOST/OWNER/NAME"):
            links(address)


def changeless(text):
    """A text without what publishing may change."""
    return re.sub(r"<!-- hosted notebooks -->.*?<!-- end|^REPOSITORY = .*?$", "", text,
                  flags=re.DOTALL | re.MULTILINE)  # fmt: skip


def test_publishing_fills_the_places_and_can_be_done_again(tmp_path):
    for name in ("README.md", "README.bg.md"):
        (tmp_path / name).write_text((ROOT / "lab" / name).read_text("utf-8"), "utf-8")
    (tmp_path / "word_level_lab.py").write_text("# %%\n" + first_cell())
    before = {path: path.read_text("utf-8") for path in tmp_path.iterdir()}
    for address in ("https://github.com/a/b", "https://github.com/c/d"):
        changed = publish(address, lab=tmp_path)
        assert set(changed) == set(before)
        for path in changed:
            text = path.read_text("utf-8")
            assert address.removeprefix("https://github.com/") in text
            assert changeless(text) == changeless(before[path])
            assert ("a/b" in text) == ("a/b" in address)
    assert (tmp_path / "word_level_lab.py").read_text() == "# %%\n" + first_cell(address)
    (tmp_path / "word_level_lab.py").write_text("")
    texts = {path: path.read_text("utf-8") for path in before}
    with pytest.raises(TextmillError, match=r"word_level_lab\.py has 0 places"):
        publish("https://github.com/e/f", lab=tmp_path)
    assert {path: path.read_text("utf-8") for path in before} == texts


def test_it_needs_no_package_before_it_has_installed_them():
    """A hosted kernel has none of the lab's packages when the first cell runs."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import lab.hosted; print(*sorted("
        "{m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["__main__", "lab", "textmill"], done.stderr


def test_the_command(capsys):
    assert hosted.main(["--cell", "https://github.com/a/b"]) == 0
    out = capsys.readouterr().out
    assert out == first_cell("https://github.com/a/b")
    compile(out, "cell", "exec")
    with pytest.raises(SystemExit) as ended:
        hosted.main(["nowhere"])
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("lab.hosted: error: ")


def test_binder_gets_the_tested_versions():
    folder = ROOT / ".binder"
    lines = (folder / "requirements.txt").read_text().split("\n")
    assert lines == ["--constraint ../constraints.txt", ".[lab]", ""]
    python = (folder / "runtime.txt").read_text().strip().removeprefix("python-")
    assert hosted._PYTHONS[0] <= tuple(map(int, python.split("."))) < hosted._PYTHONS[1]
