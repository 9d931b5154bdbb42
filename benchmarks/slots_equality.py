"""Texts at several numbers of slots, for order and speed: are they the same bits?

    python benchmarks/slots_equality.py MODEL [--prompts 2000] [--precision bfloat16]

Prints words a second of one process with one thread, and whether texts and log-probabilities equal
those of the default slots.
"""

from __future__ import annotations

import argparse
import time

from textmill.model.generation.generator import SLOTS, Generator
from textmill.model.network.directory import load_model
from textmill.model.prompt import Prompt
from textmill.model.settings import PRECISIONS, GenerationSettings
from textmill.model.tensorflow_setup import use_one_thread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--max-words", type=int, default=12)
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    args = parser.parse_args()
    use_one_thread()
    model = load_model(args.model)
    words = [word for word in model.vocabulary.words[3:] if word.isalpha()][:50]
    prompts = [
        Prompt(f"p:{i}", f"{words[i % 50]} {words[i * 7 % 50]}") for i in range(args.prompts)
    ]
    settings = GenerationSettings(
        temperatures=(0.8,), max_words=args.max_words, precision=args.precision
    )
    reference = None
    print("| slots | words/s | same as at 64 |\n|---|---|---|")
    for slots in (SLOTS, 2, 7, 32, 128, 256):
        generator = Generator(model, slots=slots)
        list(generator.generate(prompts[:slots], settings))  # compiles
        started = time.monotonic()
        found = list(generator.generate(prompts, settings))
        seconds = time.monotonic() - started
        reference = reference or found
        rate = sum(text.words for text in found) / seconds
        print(f"| {slots} | {rate:,.0f} | {'yes' if found == reference else 'NO'} |", flush=True)


if __name__ == "__main__":
    main()
