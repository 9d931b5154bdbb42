"""Runs the quiz in the terminal: `python -m lab.quiz [before|after] [--language en|bg]`.

`python -m lab.quiz --html FILE` makes the page, which works without a network.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from lab.quiz import LANGUAGES, PARTS, questions, score

PAGE = Path(__file__).with_name("quiz.html")
_TEMPLATE = Path(__file__).with_name("template.html")
_KEYS = "abcd"
_SAID = {
    "en": {
        "your": "your answer (a-d): ", "keys": "a, b, c or d", "score": "right: {0} of {1}",
        "right": "right", "wrong": "not right", "stopped": "stopped",
    },
    "bg": {
        "your": "вашият отговор (a-d): ", "keys": "a, b, c или d", "score": "верни: {0} от {1}",
        "right": "вярно", "wrong": "не е вярно", "stopped": "спряно",
    },
}  # fmt: skip


def html() -> str:
    """Makes the page; its texts are JSON, which it shows as text, never as markup."""
    data = {
        part: {language: [asdict(q) for q in questions(part, language)] for language in LANGUAGES}
        for part in PARTS
    }
    # A JSON string must not close the script that holds it.
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    return _TEMPLATE.read_text("utf-8").replace("@@QUESTIONS", text)


def play(part: str, language: str, *, seed: int) -> int | None:
    """Asks on the terminal; gives the score, or None if it was stopped."""
    console, said = Console(soft_wrap=True, highlight=False), _SAID[language]
    asked, answers = questions(part, language, seed=seed), []
    for number, question in enumerate(asked, start=1):
        console.print(f"\n{number}. {question.text}", markup=False, style="bold")
        for key, choice in zip(_KEYS, question.choices, strict=True):
            console.print(f"   {key}) {choice.text}", markup=False)
        while True:
            console.print(said["your"], end="")
            line = sys.stdin.readline()
            if not line:
                console.print(f"\n{said['stopped']}")
                return None
            key = line.strip().lower().rstrip(").")
            # Cyrillic letters that look or sound alike count, too.
            key = {"а": "a", "б": "b", "в": "c", "г": "d"}.get(key, key)
            if len(key) == 1 and key in _KEYS:
                break
            console.print(said["keys"])
        place = _KEYS.index(key)
        answers.append(place)
        chosen = question.choices[place]
        if chosen.right:
            console.print(f"✓ {said['right']}. {chosen.why}", markup=False, style="green")
        else:
            console.print(f"✗ {said['wrong']}. {chosen.why}", markup=False, style="red")
            right = next(i for i, choice in enumerate(question.choices) if choice.right)
            console.print(
                f"  {_KEYS[right]}) {question.choices[right].text}. "
                f"{question.choices[right].why}", markup=False,
            )  # fmt: skip
    found = score(asked, answers)
    console.print("\n" + said["score"].format(found, len(asked)), style="bold")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status is 0, or 130 if it was stopped."""
    parser = argparse.ArgumentParser(prog="python -m lab.quiz", description="The lab's quiz.")
    parser.add_argument("part", nargs="?", choices=PARTS, default=PARTS[0])
    parser.add_argument("--language", choices=LANGUAGES, default="en")
    parser.add_argument("--seed", type=int, default=0, help="of the answers' order (default: 0)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="make the page instead")
    args = parser.parse_args(argv)
    if args.html is not None:
        args.html.write_text(html(), encoding="utf-8")
        print(args.html)
        return 0
    try:
        return 0 if play(args.part, args.language, seed=args.seed) is not None else 130
    except KeyboardInterrupt:
        print(f"\n{_SAID[args.language]['stopped']}")
        return 130


if __name__ == "__main__":
    sys.exit(main())
