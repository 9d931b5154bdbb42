"""Your own network in the playground: `python -m lab.play network.safetensors`.

The notebook saves the network of exercise 4 with `save`: its weights, its words, and the sizes that
`build_model` was given. The file holds numbers and texts, no code. The network is built again, and
texts are cut into words and put together again, by your own `exercises.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from lab.language import add_option, languages, say, spoken, translations
from textmill.model.errors import SettingError, TextmillError
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.model.small_files import json_object, regular_size

if TYPE_CHECKING:
    from textmill.pipeline.command.played import Written  # it loads TensorFlow

ROOT = Path(__file__).resolve().parents[1]
EXERCISES = ROOT / "lab" / "exercises.py"
_FORMAT = "1"
_MOST_BYTES = 2**31  # of a file; a network of a million words and 256 units has less
_MOST_UNITS = 100_000
_AGAIN = "run the notebook's cell that saves it once more"


@dataclass(frozen=True)
class Saved:
    """A network as it is in the file.

    Attributes:
        words: the vocabulary; a word's place is its id, and the first is `<unk>`.
        embedding: the width that `build_model` was given.
        units: the units that `build_model` was given.
        before: ids that the network reads before each text.
        weights: the arrays of the model's `get_weights()`, in their order.
    """

    words: tuple[str, ...]
    embedding: int
    units: int
    before: tuple[int, ...]
    weights: tuple[np.ndarray, ...]


def save(
    file: str | os.PathLike[str],
    model: Any,
    *,
    words: Sequence[str],
    embedding: int,
    units: int,
    before: Sequence[int],
) -> Path:
    """Saves the network of exercise 4 for the playground; a file of this name is replaced.

    Args:
        file: the file to make, such as `network.safetensors`.
        model: what `build_model(len(words), embedding, units)` gave, trained.
        words: the vocabulary of exercise 1.
        embedding: the width of the embedding.
        units: the units of the LSTM.
        before: ids of words that the network reads before each text, such as the last hundred of
            the validation part: from a state of zeros it would begin as it never did in training.

    Raises:
        TextmillError: the model is no Keras model, `before` is empty or no ids of the words, or the
            file cannot be written.
    """
    from safetensors.numpy import save as as_bytes

    if not hasattr(model, "get_weights"):
        raise TextmillError(
            f"only a Keras model can be saved for the playground. Received: {type(model).__name__}"
        )
    ids = [int(i) for i in before]
    if not ids or not all(0 <= i < len(words) for i in ids):
        raise TextmillError(f"before must be ids from 0 to {len(words) - 1}, and one at least")
    about = {
        "format": _FORMAT,
        "words": list(words),
        "embedding": int(embedding),
        "units": int(units),
        "before": ids,
    }
    arrays = {
        f"{number:03}": np.ascontiguousarray(array)
        for number, array in enumerate(model.get_weights())
    }
    data = as_bytes(arrays, metadata={"lab": json.dumps(about, ensure_ascii=False)})
    out = Path(file)
    part = out.with_name(out.name + ".part")
    try:
        part.write_bytes(data)
        part.replace(out)  # whole, or not at all
    except OSError as error:
        raise TextmillError(f"{out} cannot be written: {error.strerror}") from None
    return out


def read(file: str | os.PathLike[str]) -> Saved:
    """Reads what `save` wrote; nothing in the file is run.

    Raises:
        TextmillError: there is no such file, or it holds something else.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(file)
    if regular_size(path) > _MOST_BYTES:
        raise TextmillError(f"{path} is too large for a network of the lab")
    try:
        with safe_open(path, "np") as opened:
            told = (opened.metadata() or {}).get("lab")
            # Sorted, they are in the order in which they were numbered.
            weights = tuple(opened.get_tensor(name) for name in sorted(opened.keys()))
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise TextmillError(f"{path} holds no network: {error}; {_AGAIN}") from None
    if told is None:
        raise TextmillError(f"{path} holds no network that the lab saved; {_AGAIN}")
    about = json_object(told.encode(), name=path, cure=_AGAIN)
    words: Any = about.get("words")
    before: Any = about.get("before")
    embedding: Any = about.get("embedding")
    units: Any = about.get("units")
    if (
        about.get("format") != _FORMAT
        or not _is_list(words, str)
        or not _is_list(before, int)
        or not all(_is(size, int) and 1 <= size <= _MOST_UNITS for size in (embedding, units))
        or not all(0 <= i < len(words) for i in before)
        or not all(array.dtype == np.float32 and np.isfinite(array).all() for array in weights)
    ):
        raise TextmillError(f"{path} is damaged, or of another version of the lab; {_AGAIN}")
    return Saved(tuple(words), embedding, units, tuple(before), weights)


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_list(value: Any, kind: type) -> bool:
    """Whether it is a list of these that is not empty."""
    return isinstance(value, list) and bool(value) and all(_is(each, kind) for each in value)


class OwnNetwork:
    """A network with the student's own functions, as the playground's `Played`.

    Args:
        step: (word, state) to (logits float64 [V], state), as `training.stepper` makes it.
        exercises: the module with `tokenize`, `detokenize` and `encode`.
        words: the vocabulary.
        before: ids that the network reads before each text; one at least.
        about: its sizes, in a few words.
    """

    said: Mapping[str, Mapping[str, str]] = {}
    labels: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    unknown = (
        "Your encode gives each of them id 0, <unk>, the entry of all rare words, so the network "
        "cannot tell them apart. Your text stays as you typed it."
    )

    def __init__(
        self,
        step: Callable[[int, Any], tuple[np.ndarray, Any]],
        exercises: ModuleType,
        *,
        words: Sequence[str],
        before: Sequence[int],
        about: str,
    ):
        self.about = about
        self._step, self._exercises = step, exercises
        self._words, self._before = list(words), list(before)
        # What was read last: words, logits and state after them.
        self._last: tuple[list[int], Any, Any] = ([], None, None)

    def check(self, settings: GenerationSettings) -> None:
        """Refuses a label, which the network has none of."""
        if settings.label is not None:
            raise SettingError("label", "left out: the network has none", settings.label)

    def probabilities(self, start: Prompt, settings: GenerationSettings) -> np.ndarray:
        """Gives p of each next word, float64 [V]; that of `<unk>` is 0."""
        return self._probabilities(self._after(self.ids(start.text))[0], settings)

    def write(self, start: Prompt, settings: GenerationSettings) -> Written:
        """Draws words one by one; the seed and a word's place decide its random number."""
        from textmill.pipeline.command.played import Written

        read = self._tokens(start.text)
        logits, state = self._after(self._encoded(read))
        found: list[int] = []
        for uniform in np.random.default_rng(settings.seed).random(settings.max_words):
            if found:
                logits, state = self._checked(*self._step(found[-1], state))
            sums = np.cumsum(self._probabilities(logits, settings))
            found.append(int(np.searchsorted(sums, uniform * sums[-1], side="right")))
        return Written(self._continuation(start.text, read, found), len(found), "length")

    def shown(self, word: int) -> str:
        """Gives a word without its joiner mark."""
        return self.decode([word]).strip()

    def ids(self, text: str) -> list[int]:
        """Gives a text's ids, by the student's own functions."""
        return self._encoded(self._tokens(text))

    def decode(self, ids: Sequence[int]) -> str:
        """Gives the text of ids, by the student's own `detokenize`."""
        return self._joined([self._words[i] for i in ids])

    def read(self, text: str) -> list[tuple[str, bool]]:
        """Gives the words as they stand in the text, and whether each is in the vocabulary."""
        tokens = self._tokens(text)
        known = [i != 0 for i in self._encoded(tokens)]
        return [(self._joined([t]).strip(), k) for t, k in zip(tokens, known, strict=True)]

    def _after(self, ids: Sequence[int]) -> tuple[np.ndarray, Any]:
        """Reads words, those that were not read before: the logits after them, and the state."""
        ids = [*self._before, *ids]
        done, logits, state = self._last
        if not done or ids[: len(done)] != done:
            done, logits, state = [], None, None
        for word in ids[len(done) :]:
            logits, state = self._step(word, state)
        logits, state = self._checked(logits, state)
        self._last = ids, logits, state
        return logits, state

    def _checked(self, logits: Any, state: Any) -> tuple[np.ndarray, Any]:
        found = np.array(logits, np.float64)
        if found.shape != (len(self._words),) or np.isnan(found).any() or found.max() == np.inf:
            raise TextmillError(
                "the network's logits are not finite numbers, one for each word; did its training "
                "diverge?"
            )
        return found, state

    def _probabilities(self, logits: np.ndarray, settings: GenerationSettings) -> np.ndarray:
        temperature = settings.temperatures[0]
        if temperature > 0 and settings.top_k == 0 and settings.top_p == 1:
            # The usual case, without TensorFlow's filters, which cost more than the network.
            weights = np.exp((logits - logits.max()) / temperature)
            return np.asarray(weights / weights.sum())
        from textmill.model.generation.next_word import probabilities

        return probabilities(logits, settings)

    def _continuation(self, text: str, read: Sequence[str], found: Sequence[int]) -> str:
        """The text of drawn words, as it stands behind a text."""
        last, new = list(read[-1:]), [self._words[i] for i in found]
        head, whole = self._joined(last), self._joined([*last, *new])
        if not whole.startswith(head):
            raise TextmillError("your detokenize changes a word when others follow it")
        rest = whole[len(head) :]
        return rest.removeprefix(" ") if text[-1:].isspace() else rest

    # -- the student's functions -------------------------------------------------------------------

    def _tokens(self, text: str) -> list[str]:
        found = self._own("tokenize", text)
        if not isinstance(found, list) or not all(isinstance(token, str) for token in found):
            raise TextmillError("your tokenize must give a list of texts")
        return found

    def _encoded(self, tokens: Sequence[str]) -> list[int]:
        found = np.asarray(self._own("encode", list(tokens), list(self._words)))
        if found.shape != (len(tokens),) or not np.issubdtype(found.dtype, np.integer):
            if len(tokens) == 0:
                return []
            raise TextmillError("your encode must give a whole number for each token")
        if len(found) and not (found.min() >= 0 and found.max() < len(self._words)):
            raise TextmillError("your encode gives an id that no word has")
        return [int(i) for i in found]

    def _joined(self, tokens: Sequence[str]) -> str:
        found = self._own("detokenize", list(tokens))
        if not isinstance(found, str):
            raise TextmillError("your detokenize must give a text")
        return found

    def _own(self, name: str, *given: Any) -> Any:
        try:
            return getattr(self._exercises, name)(*given)
        except NotImplementedError:
            raise TextmillError(f"{name} of your exercises is not written yet") from None
        except Exception as error:
            said = f"{type(error).__name__}: {str(error)[:200]}"
            raise TextmillError(f"{name} of your exercises raises {said}") from None


def own_network(file: str | os.PathLike[str], exercises: ModuleType) -> OwnNetwork:
    """Builds a saved network again with the student's `build_model`.

    Raises:
        TextmillError: the file holds none, or `build_model` builds another network than it did.
    """
    from lab.notebook.training import stepper
    from lab.sandbox.networks import with_weights

    saved = read(file)
    try:
        model = with_weights(exercises.build_model(len(saved.words), saved.embedding, saved.units))
        shapes = [tuple(array.shape) for array in model.get_weights()]
    except NotImplementedError:
        raise TextmillError("build_model of your exercises is not written yet") from None
    except Exception as error:
        said = f"{type(error).__name__}: {str(error)[:200]}"
        raise TextmillError(f"build_model of your exercises raises {said}") from None
    if shapes != [array.shape for array in saved.weights]:
        raise TextmillError(
            f"build_model of your exercises builds another network than the one in {file}; {_AGAIN}"
        )
    model.set_weights(list(saved.weights))
    network = OwnNetwork(
        stepper(model),
        exercises,
        words=saved.words,
        before=saved.before,
        about=f"your own network, {len(saved.words):,} words, {saved.units} units",
    )
    network.said = {name: translations(name, of="lab/play.py") for name in languages()[1:]}
    return network


def main(argv: Sequence[str] | None = None) -> int:
    """Serves the page until it is stopped; the exit status is 1 if it cannot."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.play", description="Your own network in the playground."
    )
    parser.add_argument("network", type=Path, metavar="FILE", help="what the notebook saved")
    parser.add_argument("--exercises", type=Path, default=EXERCISES, metavar="FILE",
                        help="your functions (default: lab/exercises.py)")  # fmt: skip
    parser.add_argument("--port", type=int, default=8000, metavar="N",
                        help="another port (default: 8000); 0 is any that is free")  # fmt: skip
    add_option(parser)
    args = parser.parse_args(argv)
    try:
        read(args.network)  # before TensorFlow is loaded, which takes long
        from lab.sandbox.student import load
        from textmill.model.tensorflow_setup import load_tensorflow

        load_tensorflow()  # before all that would load it with its greetings
        from textmill.pipeline.command.play import HOST, server

        played = own_network(args.network, load(args.exercises))
        page = server(played, port=args.port, name=args.network.stem)
    except (TextmillError, OSError, SyntaxError) as error:
        parser.exit(1, say(f"lab.play: error: {error}\n"))
    with page as found:
        where = f"http://{HOST}:{found.server_port}/" + ("" if spoken() == "en" else f"#{spoken()}")
        print(say(f"{where} (Ctrl-C ends it)"), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            found.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
