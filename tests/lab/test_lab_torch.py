"""The lab in PyTorch: the checks demand the same of it, and its notebook runs."""
# ruff: noqa: E501

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lab_here import functions_of, run_checks
from lab_solution import make_windows
from test_lab_notebook import run_here

from lab.checks import EXERCISES
from lab.checks.expect import Wrong
from lab.notebook import making as notebook
from lab.notebook import training
from lab.notebook.decoding import log_softmax
from lab.notebook.inside import NoLstmError, record
from lab.sandbox import libraries, run
from lab.sandbox.contest import Task, compete
from lab.sandbox.run import FAILED, PASSED, results, unprotected

pytest.importorskip("torch", reason="PyTorch is not installed: `make lab-torch` installs it")

ROOT = Path(__file__).resolve().parents[2]
SOLUTION = ROOT / "tests" / "lab" / "torch_solution.py"
LSTM = "self.lstm(self.drop(self.table(ids)), (h[None], c[None]))"
RETURNED = "return self.out(self.drop(x)), h[0], c[0]"
LOSS = "F.cross_entropy(logits.flatten(0, 1), targets.flatten())"
GRU = """
    class Gru(Network):
        def forward(self, ids, h, c):
            x, h = self.gru(self.table(ids), h[None])
            return self.out(x), h[0], c

    made = Gru(size, embedding, units)
    made.gru = nn.GRU(embedding, units, batch_first=True)
    return made
"""

# What is changed in the solution, into what, what the hint says.
WRONG = [
    ("self.dropout(x.swapaxes(1, 2)).swapaxes(1, 2)", "F.dropout(x, 0.4)", "training=self.training"),
    ("self.out(self.drop(x))", "self.out(self.drop(x)).softmax(-1)", "without a softmax"),
    ("self.out(self.drop(x))", "self.out(self.drop(x)).log_softmax(-1)", "that is log softmax"),
    ("self.out(self.drop(x))", "self.out(self.drop(x)).relu()", "without an activation"),
    ("self.out(self.drop(x))", "self.out(self.drop(x)).tanh()", "nn.Linear(units, V) without"),
    (", h[0], c[0]", ", c[0], h[0]", "then its state (h, c)"),
    ("(h[None], c[None])", "(c[None], h[None])", "exchanged on their way in: lstm(x, (h["),
    (LSTM, LSTM.replace(", (h[None], c[None])", ""), "the state given has no effect: lstm(x, (h["),
    (f"x, (h, c) = {LSTM}\n        {RETURNED}", f"x, _ = {LSTM}\n        return self.out(x), h, c",
     "not that after the last word: x, (h, c) = lstm"),
    ("return Network(size, embedding, units)", GRU, "A GRU has no c: take an LSTM, x, (h, c)"),
    (", batch_first=True", "", "batch_first=True, and its own states"),
    ("(h[None], c[None])", "(h, c)", "batch_first=True, and its own states"),
    (RETURNED, RETURNED.replace("h[0], c[0]", "(h[0], c[0])"), "returns logits, h, c"),
    (RETURNED, RETURNED.replace("h[0], c[0]", "h, c"), "return h[0] and c[0]"),
    (RETURNED, RETURNED.replace("(x)", "(x)[:, -1]"), "nn.Linear(units, V) of x"),
    ("nn.Embedding(size, embedding)", "nn.Embedding(size, embedding, padding_idx=0)", "no padding_idx"),
    ("self.table(ids)", "self.table(ids * 0) + ids[..., None] / 9", "an id is only a name"),
    ("self.table(ids)", "self.table(ids).flip(1)", "the words to come"),
    ("nn.Linear(units, size)", "nn.Linear(units, size)\n        self.requires_grad_(False)", "attribute of the module"),
    ("return Network(size, embedding, units)", "return nn.Sequential(nn.Embedding(size, embedding))", "layers called on tensors"),
    ("return Network(size, embedding, units)", "return Network", "or a torch.nn.Module"),
    ("return Network(size, embedding, units)", "MADE.append(Network(size, embedding, units))\n    return MADE[0]\n\n\nMADE = []",
     "keep nothing from earlier calls"),
    ("forward(self, ids, h, c)", "forward(self, inputs)", "forward(ids, h, c)"),
    ("return " + LOSS, "return -" + LOSS, "the sign"),
    (LOSS, LOSS[:-1] + ", reduction='sum')", "take the mean"),
    (LOSS, "F.cross_entropy(logits, targets)", "with the classes in dimension 1"),
    (LOSS, LOSS + ".item()", ".item() or .detach()"),
    (LOSS, LOSS.replace("logits", "logits.softmax(-1)"), "F.cross_entropy takes logits"),
    (LOSS, "F.nll_loss(logits.softmax(-1).log().flatten(0, 1), targets.flatten())", "F.log_softmax"),
]  # fmt: skip
RIGHT = [
    ("return Network(size, embedding, units)", "import torch\n    return torch.jit.script(Network(size, embedding, units))"),
    (RETURNED, RETURNED.replace("return ", "return [") + "]"),
    (LOSS, "(logits.logsumexp(-1) - logits.gather(-1, targets[..., None])[..., 0]).mean()"),
    ("nn.Dropout1d(0.4)", "nn.Identity()"),
    ("x, (h, c) = " + LSTM, "x, h, c = self.table(ids), h[None], c[None]\n        steps = [self.lstm(x[:, [t]], (h, c)) for t in range(0)]\n        for t in range(x.shape[1]):\n            out, (h, c) = self.lstm(x[:, [t]], (h, c))\n            steps.append(out)\n        import torch\n        x = torch.cat(steps, 1)"),
]  # fmt: skip


def written(tmp_path, *changes):
    text = SOLUTION.read_text("utf-8")
    for right, other in changes:
        assert right in text
        text = text.replace(right, other, 1)
    file = tmp_path / "exercises.py"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("seed", range(3))
def test_the_solution_passes(seed):
    run_checks("4", SOLUTION, seed)


@pytest.mark.parametrize(("right", "wrong", "hint"), WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_told(tmp_path, right, wrong, hint):
    with pytest.raises(Wrong) as told:
        run_checks("4", written(tmp_path, (right, wrong)))
    assert hint in told.value.hint


@pytest.mark.parametrize(("right", "other"), RIGHT, ids=range(len(RIGHT)))
def test_what_is_right_in_another_way_passes(tmp_path, right, other):
    run_checks("4", written(tmp_path, (right, other)))


# Tensors where the text of an exercise says numbers.
WITH_TENSORS = """
import torch


def greedy(step, first, words):
    found, word, state = [], torch.tensor(first), None
    for _ in range(words):
        logits, state = step(word, state)
        word = torch.from_numpy(logits).argmax()
        found.append(word)
    return found


def sample(logits, temperature, uniform):
    p = torch.softmax(torch.from_numpy(logits) / temperature, 0) if temperature else None
    if p is None:
        return torch.from_numpy(logits).argmax()
    return torch.searchsorted(p.cumsum(0), uniform, right=True).clamp(max=len(p) - 1)


def generate_with_state(step, prompt, temperature, uniforms):
    state, words = None, [torch.tensor(word) for word in prompt]
    for word in words:
        logits, state = step(word, state)
    for uniform in uniforms:
        words.append(sample(logits, temperature, uniform))
        logits, state = step(words[-1], state)
    return torch.tensor(words[len(prompt) :], dtype=torch.long)


def generate_by_rerunning(run, prompt, temperature, uniforms):
    words = torch.tensor(prompt)
    for uniform in uniforms:
        word = sample(run(words)[-1], temperature, uniform)
        words = torch.cat([words, torch.as_tensor(word)[None]])
    return words[len(prompt) :]
"""


@pytest.mark.parametrize("function", ["greedy", "generate_with_state", "generate_by_rerunning"])
def test_words_may_be_tensors(tmp_path, function):
    name = "5" if function == "greedy" else "7"
    file = tmp_path / "exercises.py"
    file.write_text(WITH_TENSORS)
    EXERCISES[name].checks[function](functions_of(file), np.random.default_rng(0))


@pytest.fixture
def patient(monkeypatch):
    """What ends by itself may take its time on a busy machine."""
    monkeypatch.setattr(run, "_LOAD_SECONDS", 600.0)
    monkeypatch.setattr(run, "_KERAS_SECONDS", 600.0)


def graded(file):
    found = results(file, ["4"], seconds=600.0)
    return {each.function: each for each in found}


def test_it_passes_where_the_kernel_shuts_it_in(patient):
    assert {each.status for each in graded(SOLUTION).values()} == {PASSED}


def test_code_in_a_network_reaches_nothing_outside(tmp_path, patient):
    if missing := unprotected():
        pytest.skip(f"this system does not protect from: {', '.join(missing)}")
    outside = tmp_path / "outside"
    file = written(
        tmp_path,
        ("        return self.out", f"        open({str(outside)!r}, 'w').write('x')\n        return self.out"),
        ("    return F.cross", "    import torch.multiprocessing as m\n    m.Process(target=print).start()\n    return F.cross"),
    )  # fmt: skip
    for result in graded(file).values():
        assert result.status == FAILED
        assert "PermissionError" in result.received
        assert "no other files, processes or network in line" in result.hint
    assert not outside.exists()


def test_a_library_is_known_by_the_imports():
    """The tensors of `loss` are those of PyTorch if the file imports it."""
    for source, names in (
        (b"import numpy", ["keras"]),
        (b"def f():\n    from torch.nn import functional", ["torch"]),
        (b"import torch.nn as nn, keras", ["keras", "torch"]),
        (b"'''import torch'''\nfrom . import x", ["keras"]),
    ):
        assert libraries.imported(source) == names


def test_it_trains_where_tensorflow_and_triton_would_abort(tmp_path):
    """PyPI's wheel of PyTorch for Linux brings Triton along, which stands here for its LLVM."""
    (tmp_path / "triton").mkdir()
    (tmp_path / "triton" / "__init__.py").write_text("import os; os.abort()")
    program = """
import tensorflow, torch
from torch_solution import build_model, loss
from lab.sandbox import torch_networks
import numpy as np
model, ids = build_model(9, 4, 6), np.zeros((2, 3), np.int32)
step = torch_networks.training_step(model, loss, 0.01, 2, 6)
step(ids, ids, *np.zeros((2, 2, 6), np.float32))
import torch._dynamo
"""
    here = [tmp_path, ROOT, ROOT / "tests" / "lab"]
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, here))},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_tour_is_for_keras(tmp_path):
    file = written(tmp_path, ("def build_model", "def build_classifier"))
    with pytest.raises(Wrong) as told:
        run_checks("many-to-one", file)
    assert (told.value.expected, told.value.received) == ("a keras.Model", "Network")


@pytest.mark.lab
def test_its_notebook_runs(monkeypatch, tmp_path, capsys):
    """With this solution of exercise 4, and the other one of all else."""
    texts = [path.read_text("utf-8") for path in (SOLUTION.with_name("lab_solution.py"), SOLUTION)]
    solution = tmp_path / "exercises.py"
    future = "from __future__ import annotations\n"
    solution.write_text(texts[0] + texts[1].replace(future, ""), encoding="utf-8")
    shown = run_here(notebook.TORCH, solution, monkeypatch, tmp_path)
    assert shown == len(notebook.PICTURES) - 1  # "seeds" is for Keras
    said = capsys.readouterr().out
    for each in (
        "trigram  perplexity", "an epoch takes about", "without dropout", "every", "T = 1.5",
        "bits a character", "beam search, 8 beams", "AUC", "gradient by", "after 10 words",
    ):  # fmt: skip
        assert each in said, each
    assert not (tmp_path / "network.safetensors").exists()


def test_a_network_is_trained_and_measured_as_one_of_keras():
    """The training, the perplexity and a step are those of the words one by one."""
    import torch
    from torch_solution import build_model, loss

    torch.manual_seed(0)
    model, text = build_model(11, 4, 6), np.tile(np.arange(1, 9, dtype=np.int32), 12)
    windows = make_windows(text, 2, 8)
    found = training.train(model, loss, windows, epochs=60, rate=0.03, zeroed=0.2, valid=text)
    assert found.points[-1].validation < found.points[0].training / 2
    assert training._perplexity(model, text) == pytest.approx(found.kept.validation, rel=1e-6)
    assert training.units_of(model) == 6
    step, state, p = training.stepper(model, unknown=None), None, []
    for word, following in itertools.pairwise(text):
        logits, state = step(int(word), state)
        p.append(np.exp(log_softmax(logits)[following]))
    assert training.probabilities(model, text) == pytest.approx(p, rel=1e-4)
    seen = record(model, text)
    assert seen.h.shape == (len(text), 6)
    assert seen.h[-2] == pytest.approx(state[0][0], abs=1e-5)
    assert seen.c[-2] == pytest.approx(state[1][0], abs=1e-5)


def test_the_weights_are_those_of_the_best_point():
    import torch
    from torch_solution import build_model, loss

    torch.manual_seed(0)
    model, random = build_model(11, 4, 6), np.random.default_rng(1)
    inputs, valid = random.integers(0, 11, (3, 4, 6)), random.integers(0, 11, 64)
    found = training.train(
        model, loss, (inputs[:, :, :-1], inputs[:, :, 1:]), epochs=60, rate=0.03, valid=valid
    )
    measured = [point.validation for point in found.points]
    assert found.kept.validation == min(measured) < measured[-1] / 1.5
    assert training._perplexity(model, valid) == pytest.approx(min(measured), rel=1e-6)


def test_a_network_without_one_lstm_is_not_looked_into():
    import torch

    with pytest.raises(NoLstmError, match="not one"):
        record(torch.nn.Sequential(torch.nn.LSTM(4, 6), torch.nn.LSTM(6, 6)), np.arange(5))


@pytest.mark.lab
def test_it_competes_with_a_class():
    text = np.tile(np.arange(1, 9, dtype=np.int32), 40)
    windows = make_windows(text[:200], 2, 8)
    task = Task(*windows, primed=text[:16], held_out=text[16:40], size=9, embedding=8, units=16,
                seconds=2)  # fmt: skip
    found = compete(SOLUTION, task, seed=0)
    assert found.nats < 5
    assert found.parameters == 9 * 8 + 4 * 16 * (8 + 16 + 2) + 17 * 9
