"""Code that attacks its grading gets no point for it, and changes nothing outside its process."""
# ruff: noqa: E501

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from lab_here import functions_of, only

from lab import grade
from lab.checks import EXERCISES, lstm
from lab.sandbox import jail, run, wire
from lab.sandbox.run import FAILED, NOT_STARTED, PASSED, results, unprotected

ROOT = Path(__file__).resolve().parents[2]
SOLUTION = ROOT / "tests" / "lab" / "lab_solution.py"
STARTER = (ROOT / "lab" / "exercises.py").read_text("utf-8")
STUB = "    raise NotImplementedError\n"
NAMES = [name for name in EXERCISES if not EXERCISES[name].keras]
SEED = 918273645546372  # not in any file but this one, nor in an environment


@pytest.fixture(scope="module", autouse=True)
def protected():
    if missing := unprotected():
        pytest.skip(f"this system does not protect from: {', '.join(missing)}")


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """What ends by itself may take its time on a busy machine."""
    monkeypatch.setattr(run, "_LOAD_SECONDS", 600.0)


def graded(file, names=NAMES, *, seed=SEED, memory=2.0):
    found = results(file, names, seconds=600.0, seed=seed, memory=memory)
    return {each.function: each for each in found}


# -- attacks in a function: what it returns tells how the attack went --------------------------------

# Function: code in its body, what it then returns or raises.
IN_FUNCTIONS = {
    "count_words": ("os.fork()", "PermissionError"),
    "coverage": ("os.kill(os.getppid(), 9)", "PermissionError"),
    "tokenize": ("os.kill(NEIGHBOUR, 9)", "PermissionError"),
    "detokenize": ("return open(SOLUTION).read()", "PermissionError"),
    "make_vocabulary": ("sys.path[:0] = [ROOT, ROOT + '/tests/lab']; import lab_solution", "no such library"),
    "encode": ("open(OUTSIDE, 'w').write('x')", "PermissionError"),
    "count_ngrams": ("os.chmod(OTHER, 0)", "PermissionError"),
    "ngram_distribution": ("os.rename(OTHER, OTHER + '2')", "PermissionError"),
    "perplexity": ("os.link(OTHER, 'mine')", "PermissionError|OSError"),
    "tune_weights": ("import subprocess; subprocess.run(['true'])", "PermissionError"),
    "make_windows": ("import socket; socket.create_connection(('127.0.0.1', 9))", "PermissionError"),
    "greedy": ("import resource; resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (0, 0))", "PermissionError"),
    "find_cycle": ("import fcntl; r, w = os.pipe(); fcntl.fcntl(r, fcntl.F_SETOWN, NEIGHBOUR)", "PermissionError"),
    "sample": ("open(f'/proc/{os.getppid()}/mem', 'rb').read(1)", "PermissionError"),
    "generate_with_state": ("open('/dev/shm/left', 'w').write('x')", "PermissionError"),
    "generate_by_rerunning": ("os.setpriority(os.PRIO_PROCESS, NEIGHBOUR, 19)", "PermissionError"),
    "distinct": ("import ctypes; c = ctypes.CDLL(None); assert c.shmget(7, 64, 0o1666) == -1", "ends without"),
    "repetition": ("import multiprocessing as m; m.Process(target=print).start()", "PermissionError"),
    "copied_share": ("import pty; pty.fork()", "PermissionError|OSError"),
}  # fmt: skip


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """The results of a file in which each function is an attack; what they went for is whole."""
    place = tmp_path_factory.mktemp("attacks")
    other = place / "other.py"
    other.write_text("mine")
    other.chmod(0o640)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as neighbour:
        text = (
            f"import os, sys\nNEIGHBOUR, SOLUTION, ROOT = {neighbour.pid}, {str(SOLUTION)!r}, "
            f"{str(ROOT)!r}\nOTHER, OUTSIDE = {str(other)!r}, {str(place / 'outside')!r}\n"
        )
        for function, (code, _) in IN_FUNCTIONS.items():
            text += f"\n\ndef {function}(*arguments):\n    {code}\n"
        file = place / "exercises.py"
        file.write_text(text)
        found = graded(file)
        assert neighbour.poll() is None
        assert os.getpriority(os.PRIO_PROCESS, neighbour.pid) == os.getpriority(os.PRIO_PROCESS, 0)
        neighbour.communicate(b"\n")
    assert neighbour.returncode == 0
    assert (other.read_text(), other.stat().st_mode & 0o777) == ("mine", 0o640)
    assert sorted(path.name for path in place.iterdir()) == ["exercises.py", "other.py"]
    assert not Path("/dev/shm/left").exists()
    return found


@pytest.mark.parametrize("function", IN_FUNCTIONS)
def test_a_function_reaches_nothing_outside(attacked, function):
    result = attacked[function]
    assert result.status == FAILED
    assert re.search(IN_FUNCTIONS[function][1], f"{result.received} {result.hint}"), result


# -- attacks when the file is loaded ------------------------------------------------------------------

VALUE = wire.message(["value", [True]], [])
AT_IMPORT = {
    "replaces the checks": """
        import lab.checks
        for each in lab.checks.EXERCISES.values():
            each.checks.update({name: lambda *_: None for name in each.checks})
    """,
    "replaces what serves it": """
        import sys
        served = sys.modules["lab.sandbox.student"]
        served.Functions.answer = lambda self, request: ["value", [True]]
        served.Functions._call = lambda self, name, rows: ["value", [True] * len(rows)]
    """,
    "replaces NumPy": """
        import numpy as np
        yes = lambda *_, **__: True
        np.allclose = np.array_equal = np.isclose = np.ndarray.all = yes
    """,
    "replaces random": """
        import numpy as np, random
        np.random.default_rng = lambda *_: np.random.Generator(np.random.PCG64(0))
        random.seed(0)
    """,
    "replaces time": """
        import time
        time.monotonic = time.time = time.perf_counter = lambda: 0.0
    """,
    "writes to the pipe": f"""
        import os
        for place in range(3, 64):
            try:
                os.write(place, {VALUE!r} * 200)
            except OSError:
                pass
    """,
    "writes a result to the pipe": """
        import json, os
        for place in range(3, 64):
            try:
                os.write(place, json.dumps({"name": "0", "status": "passed"}).encode() * 20)
            except OSError:
                pass
    """,
    "promises a message without an end": """
        import os, struct
        for place in range(3, 64):
            try:
                os.write(place, struct.pack("<II", 2**32 - 1, 2**32 - 1))
            except OSError:
                pass
    """,
    "nests its message": """
        import os, struct
        text = b'["value", ' + b"[" * 1_000_000
        for place in range(3, 64):
            try:
                os.write(place, struct.pack("<II", len(text), 0) + text)
            except OSError:
                pass
    """,
    "closes the pipe": "import os\nos.closerange(3, 64)",
    "ends itself": "import os\nos._exit(0)",
    "kills all it can": """
        import os, signal
        for whom in (0, -1, os.getppid()):
            os.kill(whom, signal.SIGKILL)
    """,
    "takes all memory": """
        kept = []
        while True:
            kept.append(bytearray(1 << 26))
    """,
    "calls what is not there": """
        import sys
        pipe = next(v for f in [sys._getframe(i) for i in range(1, 12)] for v in f.f_locals.values()
                    if type(v).__name__ == "_Pipe")
        pipe.send(["function", 7, []])
    """,
}  # fmt: skip


@pytest.mark.parametrize("attack", AT_IMPORT)
def test_nothing_that_a_file_does_when_loaded_gives_a_point(tmp_path, attack):
    lines = AT_IMPORT[attack].splitlines()
    indent = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
    code = "\n".join(line[indent:] if i else line for i, line in enumerate(lines))
    file = tmp_path / "exercises.py"
    file.write_text(STARTER.replace("UNKNOWN =", f"{code}\n\nUNKNOWN ="), encoding="utf-8")
    found = graded(file, ["0", "5"])
    assert len(found) == 4
    assert {each.status for each in found.values()} <= {FAILED, NOT_STARTED}


def test_the_seed_is_nowhere_in_the_process(tmp_path):
    """It looks into arguments, environment, all objects, and each file that it can open."""
    code = """
    import gc, glob, os, sys
    wanted = [str(SEED), SEED]
    places = [*sys.argv, *os.environ.values()]
    for name in [*glob.glob("/proc/*/cmdline"), *glob.glob("/proc/*/environ"), *glob.glob("*")]:
        try:
            places.append(open(name, "rb").read().decode(errors="replace"))
        except OSError:
            pass
    own = open(__file__).read()
    hits = [p for p in places if str(SEED) in p and p != own]
    hits += [o for o in gc.get_objects() if isinstance(o, (list, tuple)) and SEED in o and o is not wanted]
    raise ValueError(f"{len(places) > 3} hits: {len(hits)}")
"""
    file = tmp_path / "exercises.py"
    file.write_text(f"SEED = {SEED}\n\n\ndef count_words(tokens):{code}", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}"}
    script = (
        "import sys; from pathlib import Path; from lab.sandbox.run import results\n"
        "print(next(results(Path(sys.argv[1]), ['0'], seed=int(sys.argv[2]), seconds=600)).received)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(file), str(SEED)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said == "ValueError: True hits: 0\n"


def test_answers_to_the_public_seed_are_wrong_for_another(tmp_path):
    answers = {}
    for function, check in EXERCISES["0"].checks.items():
        exercises = functions_of(SOLUTION)
        many = exercises.many

        def noted(name, rows, many=many):
            found = many(name, rows)
            answers.update(
                {repr((name, *row)): each for row, each in zip(rows, found, strict=True)}
            )
            return found

        exercises.many = noted
        check(exercises, np.random.default_rng([0, *f"0 {function}".encode()]))
    file = tmp_path / "exercises.py"
    file.write_text(
        f"from collections import Counter\nKNOWN = {answers!r}\n\n\ndef count_words(tokens):\n"
        "    return KNOWN[repr(('count_words', tokens))]\n\n\ndef coverage(counts, size):\n"
        "    return KNOWN[repr(('coverage', counts, size))]\n"
    )
    assert {each.status for each in graded(file, ["0"], seed=0).values()} == {PASSED}
    assert {each.status for each in graded(file, ["0"], seed=5).values()} == {FAILED}


def test_an_endless_thread_does_not_keep_the_process(tmp_path):
    code = "import threading\nthreading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()"
    file = tmp_path / "exercises.py"
    file.write_text(STARTER.replace("UNKNOWN =", f"{code}\n\nUNKNOWN ="), encoding="utf-8")
    started, student = [], run.Student.__init__

    def noted(self, *arguments, **more):
        student(self, *arguments, **more)
        started.append(self.process)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.Student, "__init__", noted)
        assert {each.status for each in graded(file, ["0"]).values()} == {NOT_STARTED}
    assert len(started) == 1
    assert started[0].poll() is not None
    assert threading.active_count() == 1 or not any(
        "lab" in each.name for each in threading.enumerate()
    )


def test_too_many_files_end_the_process(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_SCRATCH_BYTES", 1 << 20)
    monkeypatch.setattr(run, "_LOOK_SECONDS", 0.05)
    code = "for i in range(10**9): open(f'{i}', 'w').write('x' * 100_000) if i < 100 else None\n"
    file = tmp_path / "exercises.py"
    file.write_text(STARTER.replace(STUB, f"    {code}", 1), encoding="utf-8")
    found = graded(file, ["0"])
    assert "MiB of files" in found["count_words"].received
    assert found["coverage"].status == NOT_STARTED


def test_a_word_to_be_predicted_is_sent_after_its_probability_came_back():
    """However the network's answers are made, they can only be predictions."""
    rows = np.random.default_rng(0).integers(0, 5, (4, 12))
    sent = []

    class Network:
        units = 3

        def __call__(self, ids, h, c):
            sent.append(ids.copy())
            assert len(sent) <= rows.shape[1] - 1
            return [np.zeros((4, 1, 5)), h, c]

    assert lstm._perplexity(Network(), rows, 6) == pytest.approx(5)
    for t, ids in enumerate(sent):
        assert ids.tolist() == rows[:, t : t + 1].tolist()


def test_a_class_is_graded_as_if_each_were_alone(tmp_path, capsys):
    folder = tmp_path / "class"
    honest = SOLUTION.read_text("utf-8")
    texts = {
        "ada": honest,
        "bob": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n" + STARTER,
        "carl": f"text = open({str(folder / 'ada' / 'exercises.py')!r}).read()\nexec(text)\n",
        "dora": f"open({str(folder / 'eve' / 'exercises.py')!r}, 'w').write('')\n",
        "eve": honest,
    }
    for name, text in texts.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "exercises.py").write_text(text, encoding="utf-8")
    (folder / "fred" / "exercises.py").mkdir(parents=True)
    (folder / "fred" / "exercises.py" / "__init__.py").write_text(honest, encoding="utf-8")
    (folder / "gina").mkdir()
    (folder / "gina" / "exercises.py").symlink_to(folder / "ada" / "exercises.py")
    with only("0", "8"):
        assert grade.main([str(folder)]) == 0
    said = capsys.readouterr().out
    got = dict(re.findall(r"\d of 7  (\w+): (\d+)", said))
    assert got == {
        "ada": "10", "bob": "0", "carl": "0", "dora": "0", "eve": "10", "fred": "0", "gina": "0"
    }  # fmt: skip
    assert "fred: 0 (exercises.py is a folder, not a file)" in said
    assert "gina: 0 (exercises.py is a link, which is not followed)" in said


def test_what_is_missing_on_another_system_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(jail.sys, "platform", "darwin")
    monkeypatch.setattr(jail, "limit", lambda limits: False)
    limits = jail.Limits(1, 1)
    everything = [jail.FILES, jail.PROCESSES, jail.NETWORK, jail.LIMITS]
    assert jail.shut(tmp_path, [], limits) == everything
    monkeypatch.setattr(grade, "unprotected", lambda: everything)
    monkeypatch.setattr(grade, "grade_all", lambda *_: {})
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "ada.py").write_text("")
    assert grade.main([str(tmp_path / "class"), "--write", "csv"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("this system does not protect you from: reading and writing other files")
    assert "container" in line
