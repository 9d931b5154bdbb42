"""A text from a text: dates and numbers in words, turned into figures.

    python examples/dates.py                # three minutes of training
    python examples/dates.py --minutes 0.3  # a short look

    the third of march nineteen eighty-four -> 1984-03-03
    two hundred and seven thousand and one  -> 207001

An encoder reads the words, and its last state starts the text; attention looks at all of the words
again for each figure. The figures are learned with spaces between them, "1 9 8 4 - 0 3 - 0 3", so
that each is a word of the model. The rows of the test are none of those that were trained on.
"""

from __future__ import annotations

import argparse
import calendar
import csv
import datetime
import random
import tempfile
from pathlib import Path

import textmill

NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
ONES = NUMBERS.split()
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
MONTHS = [name.lower() for name in calendar.month_name[1:]]
IRREGULAR = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth",
             "nine": "ninth", "twelve": "twelfth"}  # fmt: skip


def in_words(number: int) -> str:
    """Says a number below a million in words."""
    if number < 20:
        return ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return TENS[tens] + (f"-{ONES[ones]}" if ones else "")
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    high, low = divmod(number, size)
    joint = " and " if low < 100 else " "
    return f"{in_words(high)} {name}" + (f"{joint}{in_words(low)}" if low else "")


def ordinal(number: int) -> str:
    """Says which one in a row a number is."""
    before, dash, last = in_words(number).rpartition("-")
    if last.endswith("y"):
        return f"{before}{dash}{last[:-1]}ieth"
    return f"{before}{dash}{IRREGULAR.get(last, last + 'th')}"


def year_in_words(year: int) -> str:
    """Says a year as it is spoken: in two halves, or as a number."""
    high, low = divmod(year, 100)
    if high == 20 and low < 10:
        return in_words(year)
    if not low:
        return f"{in_words(high)} hundred"
    return f"{in_words(high)} {f'oh {in_words(low)}' if low < 10 else in_words(low)}"


def row(chance: random.Random) -> tuple[str, str]:
    """Makes a text in words and the same in figures."""
    if chance.random() < 0.3:
        number = chance.randrange(10 ** chance.randint(1, 6))
        return in_words(number), str(number)
    first = datetime.date(1800, 1, 1)
    date = first + datetime.timedelta(days=chance.randrange(300 * 365))
    day, month, year = ordinal(date.day), MONTHS[date.month - 1], year_in_words(date.year)
    form = chance.choice(["the {d} of {m} {y}", "{m} the {d} {y}", "{d} {m} {y}", "{m} {d}, {y}"])
    return form.format(d=day, m=month, y=year), date.isoformat()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", default=3.0, type=float, help="of training")
    parser.add_argument("--rows", default=60_000, type=int, help="to train on")
    parser.add_argument("--tests", default=2_000, type=int, help="rows to test on")
    parser.add_argument("--out", type=Path, help="folder of model and tables (default: a new one)")
    args = parser.parse_args()
    folder = args.out or Path(tempfile.mkdtemp(prefix="textmill-dates-"))
    folder.mkdir(parents=True, exist_ok=True)

    chance, rows = random.Random(0), {}
    while len(rows) < args.rows + args.tests:
        source, text = row(chance)
        rows[source] = text
    pairs = list(rows.items())
    for name, some in (("train", pairs[: args.rows]), ("test", pairs[args.rows :])):
        with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            spaced = [(words, " ".join(figures)) for words, figures in some]
            csv.writer(file).writerows([("words", "figures"), *spaced])

    model = textmill.train(
        folder / "train.csv", source="words", text="figures", attention=True,
        minutes=args.minutes, out=folder / "model",
    )  # fmt: skip
    test = pairs[args.rows :]
    prompts = [{"id": str(i), "source": words} for i, (words, _) in enumerate(test)]
    written = model.generate(prompts, temperature=0, max_words=20)
    found = ["".join(g.text.split()) for g in written]
    for (words, figures), text in zip(test[:8], found, strict=False):
        print(f"{words} -> {text}" + ("" if text == figures else f" (should be {figures})"))
    right = sum(text == figures for (_, figures), text in zip(test, found, strict=True))
    print(f"exact: {right / len(test):.1%} of {len(test):,} rows that were never trained on")


if __name__ == "__main__":
    main()
