"""A labelled table: more rows for it, written by a model that learns from its rows.

    pip install -c constraints.txt '.[augment]'
    python examples/labelled_table.py

The table is a list of rows here; a pandas frame or a `datasets.Dataset` comes back as one. So few
rows are enough to show how it works, and too few to help a classifier: `check=True`, or
`textmill augment --check`, measures whether the added rows do.
"""

import itertools

import textmill

QUESTIONS = {
    "place": ("Where is the {}?", "In what country is the {}?", "Where can I see the {}?"),
    "person": ("Who built the {}?", "Who was the owner of the {}?", "Who painted the {}?"),
}
THINGS = ("old bridge", "red house", "tall tower", "small church", "new school", "long wall")

if __name__ == "__main__":
    table = [
        {"question": form.format(thing), "kind": kind, "number": number}
        for kind, forms in QUESTIONS.items()
        for number, (form, thing) in enumerate(itertools.product(forms, THINGS))
    ]
    more = textmill.augment(table, text="question", label="kind", per_label=6, candidates=10)
    real, added = more[: len(table)], more[len(table) :]
    print(f"{len(real)} real rows, {len(added)} added ones")
    for row in added:
        print(f"{row['origin']:9}  {row['kind']:6}  {row['question']}")
