"""Grades a class of 30 whose points are known, and compares.

    python benchmarks/lab_class.py [--work FOLDER] [--seed N]

The class is made of the lab's solution and of the right and wrong variants in `tests/lab/mutants`:
right, partly done and wrong files, and those that hang, attack, write 100 MB, are empty or no
Python. What each has to get follows from what it is made of. `lab.grade` runs with all formats; it
is killed when half of the class is graded, and goes on with `--resume`. Prints a table, and each
student whose points are others than they have to be; then the exit status is 1.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the lab is in no wheel
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "lab"))

from mutants.mutant import Mutant, function_source, solution
from mutants.table import mutants
from table import print_table

from lab.checks import EXERCISES
from lab.grade import file_name

ROOT = Path(__file__).resolve().parents[1]
WORTH = {name: n for exercise in EXERCISES.values() for name, n in exercise.points_of.items()}
NAMES = """
Ada Lovelace|Alan Turing|Barbara Liskov|Grace Hopper|Дора Габе|Donald Knuth|Edsger Dijkstra|
Елисавета Багряна|Emmy Noether|Frances Allen|Gödel Kurt|Hedy Lamarr|Иван Вазов|Jean Bartik|
John Backus|Karen Jones|Leslie Lamport|Margaret Hamilton|Мара Белчева|Niklaus Wirth|Ole Dahl|
Пейо Яворов|Radia Perlman|Robin Milner|Shafi Goldwasser|Tony Hoare|Ursula Martin|Vint Cerf|
Whitfield Diffie|Яна Язова
""".replace("\n", "").split("|")  # fmt: skip


@dataclass(frozen=True)
class Student:
    """A submission, and what it has to get.

    Attributes:
        kind: what it is made of.
        text: the file.
        points: what it has to get.
        folder: whether it is handed in as NAME/exercises.py.
    """

    kind: str
    text: str
    points: int
    folder: bool = False


def made(kind: str, parts: dict[str, str], lost: Sequence[str], before: str = "") -> Student:
    """Makes the solution with other sources for some functions, of which some are wrong."""
    text = solution()
    for function, source in parts.items():
        text = text.replace(function_source(function), source.strip("\n"), 1)
    points = sum(n for name, n in WORTH.items() if name not in lost)
    return Student(kind, text.replace("UNKNOWN =", f"{before}\nUNKNOWN =", 1), points)


def whole(kind: str, before: str, *, points: int) -> Student:
    """Makes the solution with code that runs when the file is loaded."""
    return Student(kind, made(kind, {}, [], before).text, points)


def body(function: str, code: str) -> dict[str, str]:
    return {function: f"def {function}(*arguments):\n    {code}\n"}


def students(seed: int, first: Path) -> list[Student]:
    """Makes the class; `first` is where the first one's file will be."""
    draw = random.Random(seed)
    right: dict[str, list[Mutant]] = {}
    wrong: dict[str, list[Mutant]] = {}
    for each in mutants():
        (right if each.right else wrong).setdefault(each.function, []).append(each)

    def some(count: int) -> dict[str, str]:
        functions = draw.sample([name for name in wrong if WORTH[name]], count)
        return {name: draw.choice(wrong[name]).part for name in functions}

    def stubs(exercises: int) -> dict[str, str]:
        names = [name for each in list(EXERCISES.values())[exercises:] for name in each.checks]
        return {k: v for n in names for k, v in body(n, "raise NotImplementedError").items()}

    found = [made("the solution", {}, [])]
    for _ in range(5):
        other = {name: draw.choice(each).part for name, each in right.items()}
        found.append(made("right in other ways", other, []))
    for exercises in (1, 2, 3, 5, 7, 8):
        todo = stubs(exercises)
        found.append(made(f"{exercises} exercises done", todo, list(todo)))
    for count in (1, 1, 2, 4, 6, 9):
        parts = some(count)
        found.append(made(f"{count} functions wrong", parts, list(parts)))
    for exercises in (4, 6, 8):
        parts = {**some(3), **stubs(exercises)}
        found.append(made(f"{exercises} exercises done, some wrong", parts, list(parts)))
    kill = body("sample", "import os; os.kill(os.getppid(), 9)")
    end = body("tokenize", "import os; os._exit(0)")
    endless = body("greedy", "while True: pass")
    memory = body("distinct", "kept = [bytearray(1 << 28) for _ in range(999)]")
    found += [
        made("hangs in a function", {**endless, **memory}, ["greedy", "distinct"]),
        whole("hangs when loaded", "while True: pass", points=0),
        made("kills its parent, ends itself", {**kill, **end}, ["sample", "tokenize"]),
        whole("reads another's file", f"exec(open({str(first)!r}).read())", points=0),
        whole(
            "writes answers to all pipes",
            "import os\nfor place in range(3, 64):\n    try: os.write(place, b'[1]' * 9999)\n"
            "    except OSError: pass\n",
            points=0,
        ),
        whole("100 MB of output", "print('x' * 100_000_000)", points=sum(WORTH.values())),
        Student("a syntax error", solution() + "\ndef broken(:\n", 0),
        Student("an empty file", "", 0),
        Student("a folder", solution(), sum(WORTH.values()), folder=True),
    ]
    assert len(found) == len(NAMES)
    return found


def hand_in(folder: Path, known: dict[str, Student]) -> None:
    """Writes the files of a class."""
    for name, student in known.items():
        file = folder / name / "exercises.py" if student.folder else folder / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(student.text, "utf-8")


def rosters(place: Path, names: Sequence[str]) -> tuple[Path, Path]:
    """Writes what Moodle and Canvas export."""
    moodle, canvas = place / "moodle.csv", place / "canvas.csv"
    with moodle.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Identifier", "Full name", "Email address", "Grade", "Maximum Grade",
                         "Feedback comments"])  # fmt: skip
        writer.writerows(
            [f"Participant {i}", name, f"s{i}@example.org", "", "100.00", ""]
            for i, name in enumerate(names)
        )
    with canvas.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Student", "ID", "SIS User ID", "SIS Login ID", "Section"])
        writer.writerow(["    Points Possible", "", "", "", ""])
        for i, name in enumerate(names):
            first, last = name.split(" ")
            writer.writerow([f"{last}, {first}", 1000 + i, f"u{i}", f"login{i}", "A"])
    return moodle, canvas


def command(folder: Path, *more: str | Path) -> list[str]:
    return [sys.executable, "-m", "lab.grade", str(folder), *map(str, more)]


def killed(folder: Path, saved: Path, half: int) -> float:
    """Starts to grade, and kills it when half of the class is done; gives the seconds."""
    begun = time.monotonic()
    with subprocess.Popen(command(folder), cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while len(list(saved.glob("*.json"))) < half and process.poll() is None:
            time.sleep(0.2)
        process.kill()
    return time.monotonic() - begun


def received(out: Path) -> dict[str, dict[str, int]]:
    """Reads each student's points from each of the tables."""

    def table(name: str, who: str, points: str) -> dict[str, int]:
        with (out / name).open(encoding="utf-8", newline="") as file:
            return {row[who]: int(float(row[points])) for row in csv.DictReader(file)}

    canvas = {
        " ".join(reversed(who.split(", "))): points
        for who, points in table("canvas.csv", "Student", "textmill lab").items()
    }
    results = [json.loads(file.read_text("utf-8")) for file in (out / "results").glob("*.json")]
    passed = {
        each["name"]: sum(WORTH[r["function"]] for r in each["results"] if r["status"] == "passed")
        for each in results
    }
    gradescope = {}
    for name in NAMES:
        told = json.loads(
            (out / "gradescope" / file_name(name) / "results.json").read_text("utf-8")
        )
        gradescope[name] = sum(test["score"] for test in told["tests"])
    return {
        "saved": passed,
        "csv": table("grades.csv", "name", "points"),
        "moodle": table("moodle.csv", "Full name", "Grade"),
        "canvas": canvas,
        "gradescope": gradescope,
    }


def run(place: Path, seed: int) -> int:
    """Makes the class, grades it, and prints the table."""
    folder, out = place.resolve() / "class", place / "class-grades"
    known = dict(zip(NAMES, students(seed, folder / f"{NAMES[0]}.py"), strict=True))
    hand_in(folder, known)
    moodle, canvas = rosters(place, NAMES)
    spent = killed(folder, out / "results", len(NAMES) // 2)
    begun = time.monotonic()
    every = ("csv", "html", "moodle", "gradescope")
    done = subprocess.run(
        command(folder, "--resume", "--roster", moodle, "--write", *every),
        cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    spent += time.monotonic() - begun
    kept = done.stdout.count("graded before")
    subprocess.run(
        command(folder, "--resume", "--roster", canvas, "--write", "canvas"),
        cwd=ROOT, stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = used.ru_utime + used.ru_stime
    wrong = 0
    for kind, points in received(out).items():
        for name, student in known.items():
            if points.get(name) != student.points:
                wrong += 1
                print(f"{kind}: {name} ({student.kind}) has {points.get(name)} points, "
                      f"not {student.points}")  # fmt: skip
    seconds = {}
    for file in (out / "results").glob("*.json"):
        told = json.loads(file.read_text("utf-8"))
        seconds[told["name"]] = told["seconds"]
    slowest = max(seconds, key=lambda name: seconds[name])
    full = [s for name, s in seconds.items() if known[name].points == sum(WORTH.values())]
    for name, student in known.items():
        print(f"  {name}: {student.kind}, {student.points} points, {seconds[name]:.0f} s")
    rows = [
        ("students", f"{len(known)}"),
        ("points as they have to be, in all five tables", f"{len(known) * 5 - wrong} of "
                                                          f"{len(known) * 5}"),
        ("kept when it was killed and resumed", f"{kept}"),
        ("minutes in all", f"{spent / 60:.1f}"),
        ("seconds of a processor for a submission, mean", f"{processor / len(known):.0f}"),
        ("seconds a submission: mean, median", f"{statistics.mean(seconds.values()):.0f}, "
                                               f"{statistics.median(seconds.values()):.0f}"),
        ("... of a right one, median", f"{statistics.median(full):.0f}"),
        (f"... of the slowest ({known[slowest].kind})", f"{seconds[slowest]:.0f}"),
    ]  # fmt: skip
    print()
    print_table(rows)
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, help="a new folder that stays (default: none stays)")
    parser.add_argument("--seed", type=int, default=0, help="of the class")
    args = parser.parse_args()
    if args.work:
        args.work.mkdir(parents=True)
        return run(args.work, args.seed)
    with tempfile.TemporaryDirectory() as place:
        return run(Path(place), args.seed)


if __name__ == "__main__":
    sys.exit(main())
