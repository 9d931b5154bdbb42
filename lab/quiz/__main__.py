"""Runs the quiz in the terminal: `python -m lab.quiz [before|after] [--language en|bg]`.

The first answer to a question counts. Answers are kept in `quiz-answers.json` in the repository's
folder, and after the second part both are compared. `python -m lab.quiz --html FILE` makes the
page, which works without a network.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from lab.language import add_option
from lab.quiz import LANGUAGES, PARTS, compare, questions, read_again, score, topics
from lab.quiz.answers import Answers
from textmill.model.errors import TextmillError

PAGE = Path(__file__).with_name("quiz.html")
ANSWERS = Path(__file__).resolve().parents[2] / "quiz-answers.json"
_TEMPLATE = Path(__file__).with_name("template.html")
_KEYS = "abcd"
_SAID = {
    "en": {
        "your": "your answer (a-d): ", "keys": "a, b, c or d", "score": "right: {0} of {1}",
        "right": "right", "wrong": "not right", "stopped": "stopped",
        "first": "Your first answers count: {0} of {1} were right.",
        "before": "before", "after": "after",
        "gain": "before {0} of {1}, after {2} of {1}: {3:+}",
        "others": "The questions after the lab are others, and harder.",
        "again": "Read again in lab/README.md:",
        "none": "All was right: there is nothing to read again.",
    },
    "bg": {
        "your": "вашият отговор (a-d): ", "keys": "a, b, c или d", "score": "верни: {0} от {1}",
        "right": "вярно", "wrong": "не е вярно", "stopped": "спряно",
        "first": "Важат първите ви отговори: {0} от {1} бяха верни.",
        "before": "преди", "after": "след",
        "gain": "преди {0} от {1}, след {2} от {1}: {3:+}",
        "others": "Въпросите след упражнението са други и по-трудни.",
        "again": "Прочетете пак в lab/README.bg.md:",
        "none": "Всичко беше вярно: няма какво да се чете пак.",
    },
}  # fmt: skip


def html() -> str:
    """Makes the page; its texts are JSON, which it shows as text, never as markup."""
    data = {
        "topics": {language: topics(language) for language in LANGUAGES},
        **{
            part: {lang: [asdict(q) for q in questions(part, lang)] for lang in LANGUAGES}
            for part in PARTS
        },
    }
    # A JSON string must not close the script that holds it.
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    return _TEMPLATE.read_text("utf-8").replace("@@QUESTIONS", text)


def play(part: str, language: str, *, seed: int, answers: Answers) -> int | None:
    """Asks on the terminal; gives the score, or None if it was stopped.

    Args:
        part: `before` or `after`.
        language: one of `LANGUAGES`.
        seed: of the order of the choices.
        answers: where the first answers are kept, each as it is given.
    """
    console, said = Console(soft_wrap=True, highlight=False), _SAID[language]
    asked, given = questions(part, language, seed=seed), {}
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
            key = {"а": "a", "б": "b", "в": "c", "с": "c", "г": "d", "д": "d"}.get(key, key)
            if len(key) == 1 and key in _KEYS:
                break
            console.print(said["keys"])
        chosen = question.choices[_KEYS.index(key)]
        given[question.name] = chosen.key
        answers.give(part, question.name, chosen.key)
        if chosen.right:
            console.print(f"✓ {said['right']}. {chosen.why}", markup=False, style="green")
        else:
            console.print(f"✗ {said['wrong']}. {chosen.why}", markup=False, style="red")
            right = next(i for i, choice in enumerate(question.choices) if choice.right)
            console.print(
                f"  {_KEYS[right]}) {question.choices[right].text}. "
                f"{question.choices[right].why}", markup=False,
            )  # fmt: skip
    found, first = score(given), answers.first[part]
    console.print("\n" + said["score"].format(found, len(asked)), style="bold")
    if first != given:
        console.print(said["first"].format(score(first), len(asked)))
    return found


def show_gain(language: str, answers: Answers) -> None:
    """Prints how each question was answered first, by topic, the gain, and what to read again."""
    console, said = Console(soft_wrap=True, highlight=False), _SAID[language]
    compared, titles = compare(answers.first, language), topics(language)
    for topic, each in compared.items():
        console.print(f"\n{titles[topic]}", markup=False, style="bold")
        for one in each:
            mark, style = ("✓", "green") if one.right else ("✗", "red")
            console.print(
                f"  {mark} {said[one.part]} {one.number}: {one.text}", markup=False, style=style
            )
    before, after = (score(answers.first[part]) for part in PARTS)
    gain = said["gain"].format(before, len(answers.first["after"]), after, after - before)
    console.print(f"\n{gain}", style="bold")
    console.print(said["others"])
    again = read_again(compared)
    console.print(said["again"] if again else said["none"])
    for topic in again:
        console.print(f"  {titles[topic]}", markup=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status is 0, 1 if it cannot, or 130 if it was stopped."""
    parser = argparse.ArgumentParser(prog="python -m lab.quiz", description="The lab's quiz.")
    parser.add_argument("part", nargs="?", choices=PARTS, default=PARTS[0])
    add_option(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the answers' order (default: 0)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="make the page instead")
    parser.add_argument("--answers", type=Path, default=ANSWERS, metavar="FILE",
                        help="of first answers (default: quiz-answers.json)")  # fmt: skip
    parser.add_argument("--forget", action="store_true", help="forget all answers, and end")
    args = parser.parse_args(argv)
    if args.language not in LANGUAGES:
        parser.error(f"the quiz has no language '{args.language}'; it has {', '.join(LANGUAGES)}")
    if args.html is not None:
        args.html.write_text(html(), encoding="utf-8")
        print(args.html)
        return 0
    try:
        if args.forget:
            args.answers.unlink(missing_ok=True)
            return 0
        answers = Answers(args.answers)
        if play(args.part, args.language, seed=args.seed, answers=answers) is None:
            return 130
        if all(answers.whole(part) for part in PARTS):
            show_gain(args.language, answers)
        return 0
    except KeyboardInterrupt:
        print(f"\n{_SAID[args.language]['stopped']}")
        return 130
    except TextmillError as error:
        print(f"lab.quiz: error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
