"""A text from a vector: captions of pictures, which a small network in Keras has looked at.

    python examples/captions.py                # five minutes in all
    python examples/captions.py --minutes 0.3 --pictures 500   # a short look

Pillow draws two coloured shapes on each picture, such as "a red circle above a blue square". A
small convolutional network learns to tell which colour and shape is where; what its last layer says
of a picture are the picture's features. textmill learns to write the caption from these numbers,
and then writes those of 10,000 pictures through Beam. The pairs of things on the test pictures
stand together on no picture that was trained on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image, ImageDraw

import textmill

COLOURS = {
    "red": (220, 40, 40), "green": (40, 160, 60), "blue": (40, 80, 220), "yellow": (230, 200, 40),
    "purple": (150, 60, 180), "black": (20, 20, 20),
}  # fmt: skip
SHAPES = ("circle", "square", "triangle", "cross")
THINGS = list(itertools.product(COLOURS, SHAPES))
SIZE, CELLS = 48, 3  # pixels of a picture, and places on it, in each direction
CELL = SIZE // CELLS
RELATIONS = {(0, 1): "above", (1, 0): "to the left of"}  # steps to the right, steps down


def draw(pen: ImageDraw.ImageDraw, thing: tuple[str, str], x: float, y: float, r: float) -> None:
    """Draws a thing of radius r around a point."""
    colour, shape = COLOURS[thing[0]], thing[1]
    box = (x - r, y - r, x + r, y + r)
    if shape == "circle":
        pen.ellipse(box, fill=colour)
    elif shape == "square":
        pen.rectangle(box, fill=colour)
    elif shape == "triangle":
        pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=colour)
    else:
        pen.rectangle((x - r, y - r / 3, x + r, y + r / 3), fill=colour)
        pen.rectangle((x - r / 3, y - r, x + r / 3, y + r), fill=colour)


def picture(
    first: tuple[str, str], second: tuple[str, str], chance: random.Random
) -> tuple[np.ndarray, np.ndarray, str]:
    """Draws two things in a relation.

    Returns:
        The picture, uint8 [48, 48, 3]; for each place the number of the thing there, from 1, or 0,
        int32 [3, 3]; and the caption.
    """
    step = chance.choice(list(RELATIONS))
    far = chance.randint(1, CELLS - 1)
    column = chance.randrange(CELLS - far * step[0])
    row = chance.randrange(CELLS - far * step[1])
    image = Image.new("RGB", (SIZE, SIZE), (chance.randint(200, 255),) * 3)
    pen, places = ImageDraw.Draw(image), np.zeros((CELLS, CELLS), np.int32)
    for thing, times in ((first, 0), (second, far)):
        i, j = row + times * step[1], column + times * step[0]
        radius = chance.uniform(4.5, 6.5)
        x, y = ((at + 0.5) * CELL + chance.uniform(-1.5, 1.5) for at in (j, i))
        draw(pen, thing, x, y, radius)
        places[i, j] = THINGS.index(thing) + 1
    caption = f"a {' '.join(first)} {RELATIONS[step]} a {' '.join(second)}"
    return np.asarray(image), places, caption


def pictures(
    pairs: list[tuple[tuple[str, str], tuple[str, str]]], count: int, seed: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Draws many pictures of these pairs of things."""
    chance = random.Random(seed)
    made = [picture(*chance.choice(pairs), chance) for _ in range(count)]
    images, places, captions = zip(*made, strict=True)
    return np.stack(images), np.stack(places), list(captions)


def eye() -> keras.Model:
    """A small convolutional network that tells what stands at each place."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((SIZE, SIZE, 3)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(16, 4, strides=2, padding="same", activation="relu"),
            layers.Conv2D(32, 4, strides=2, padding="same", activation="relu"),
            layers.Conv2D(64, 4, strides=4, padding="same", activation="relu"),
            layers.Conv2D(1 + len(THINGS), 1),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", default=4.0, type=float, help="of textmill's training")
    parser.add_argument("--pictures", default=10_000, type=int, help="to write captions of")
    parser.add_argument("--out", type=Path, help="folder of all files (default: a new one)")
    args = parser.parse_args()
    folder = args.out or Path(tempfile.mkdtemp(prefix="textmill-captions-"))
    folder.mkdir(parents=True, exist_ok=True)

    pairs = list(itertools.permutations(THINGS, 2))
    random.Random(0).shuffle(pairs)
    kept = len(pairs) // 5
    images, places, captions = pictures(pairs[kept:], min(args.pictures, 12_000), 1)
    unseen, _, wanted = pictures(pairs[:kept], args.pictures, 2)
    assert not set(wanted) & set(captions)

    keras.utils.set_random_seed(0)
    looking = eye()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    looking.compile("adam", loss, metrics=["accuracy"])
    looking.fit(images, places, epochs=4, batch_size=64, verbose=2)

    def features(some: np.ndarray) -> list[np.ndarray]:
        return list(looking.predict(some, batch_size=500, verbose=0).reshape(len(some), -1))

    table = pyarrow.table({"features": features(images), "caption": captions})
    pyarrow.parquet.write_table(table, folder / "train.parquet")
    names = [f"picture-{i}" for i in range(len(wanted))]
    table = pyarrow.table({"id": names, "features": features(unseen)})
    pyarrow.parquet.write_table(table, folder / "test.parquet")

    model = textmill.train(
        folder / "train.parquet", text="caption", context="features", out=folder / "model",
        minutes=args.minutes, min_count=1,
    )  # fmt: skip
    print(f"perplexity of captions it never saw: {model.metrics['test_perplexity']:.2f}")
    textmill.generate(
        folder / "model", prompts=folder / "test.parquet", out=folder / "captions", temperature=0,
        max_words=20,
    )  # fmt: skip
    shards = sorted((folder / "captions").glob("shard-*.jsonl"))
    rows = [json.loads(line) for shard in shards for line in shard.read_text().splitlines()]
    found = {row["id"].partition("#")[0]: row["text"] for row in rows}
    for name, caption in list(zip(names, wanted, strict=True))[:8]:
        print(f"{name}: {found[name]}" + ("" if found[name] == caption else f" (it is {caption})"))
    right = sum(found[name] == caption for name, caption in zip(names, wanted, strict=True))
    print(f"exact: {right / len(wanted):.1%} of {len(wanted):,} pictures of pairs never seen")


if __name__ == "__main__":
    main()
