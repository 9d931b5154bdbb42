"""What each command of `textmill` takes. Loads nothing heavy: `--help` must answer at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from textmill.model import settings
from textmill.model.settings import GenerationSettings, TrainSettings, VocabularySettings
from textmill.pipeline.command.adder import Adder
from textmill.pipeline.engines.dataflow import PRESETS as DATAFLOW

# The ways of `augment --with`; `AugmentSettings`, which checks them, loads too much for help.
WAYS = ("generated", "pseudo", "rewritten", "swap", "delete", "aeda", "masked")


# -- train and evaluate ----------------------------------------------------------------------------


def _train(add: Adder) -> None:
    add("corpus", "CORPUS", "text files, patterns such as 'books/*.txt', or tables", nargs="+")
    add("--out", "MODEL", "write the model to this new directory", required=True)
    read = add.group("how the text is read")
    read("--mode", settings.MODES, "stream: one long text, the state carried through it; lines: "
         "each line a text of its own (default: stream, for tables lines)",
         default=None)  # fmt: skip
    read("--level", settings.LEVELS, "what a token is: words and punctuation, characters, or what "
         "stands between spaces (default: %(default)s)")  # fmt: skip
    read("--text", "COLUMN", "take the texts from this column of a table, by name or number "
         "(default: text, if --label, --context or --source is given)")  # fmt: skip
    read("--label", "COLUMN", "take a label for each text from this column of a table, by name or "
         "number; fasttext reads files with __label__ marks (default: no labels)",
         dest="labels")  # fmt: skip
    read("--labels", "COLUMN", argparse.SUPPRESS)  # the name of --label before
    read("--context", "COLUMN", "start each text from the numbers in these columns of a table: one "
         "that holds lists of equal length, or several that hold a number each (default: none)",
         nargs="+", default=())  # fmt: skip
    read("--source", "COLUMN", "write each text from what stands in this column of a table, such "
         "as a text in another language (default: none)")  # fmt: skip
    read("--encoding", "NAME", "decode the files from this (default: UTF-8, or what a byte-order "
         "mark says)")  # fmt: skip
    read("--no-unwrap", None, "take each line for a paragraph (default: blank lines part them)",
         dest="unwrap", action="store_false")  # fmt: skip
    read("--min-count", "N", "leave words that the training part holds fewer than N times out of "
         "the vocabulary (default: 2, at the levels char and whitespace 1)")  # fmt: skip
    read("--max-size", "N", "put at most N words into the vocabulary (default: %(default)s)")
    how_long = add.group("how long it trains, and from what it goes on")
    how_long("--minutes", "N", "stop after N minutes, reading and validation included (default: no "
             "limit)", type=float)  # fmt: skip
    how_long("--epochs", "N", "stop after N passes over the training part (default: 40, with "
             "--minutes no limit)")  # fmt: skip
    how_long("--init-from", "MODEL", "begin with the words, sizes and weights of this model "
             "(default: begin anew)")  # fmt: skip
    how_long("--resume", None, "go on with a stopped training into MODEL")
    how_long("--checkpoint-minutes", "N", "write a checkpoint every N minutes (default: "
             "%(default)g)", type=float)  # fmt: skip
    how_long("--seed", "N", "seed the first weights, dropout and order with N (default: "
             "%(default)s)")  # fmt: skip
    network = add.group("the network")
    network("--preset", (settings.AUTO, *settings.PRESETS), "size of the network (default: auto, "
            "by corpus and budget)", default=settings.AUTO)  # fmt: skip
    network("--output", settings.OUTPUTS, "softmax over all words, or over the frequent ones and "
            "clusters of the others (default: auto, what is faster)", default="auto")  # fmt: skip
    network("--attention", None, "look at all of the source at each word (default: only its end "
            "state is known)")  # fmt: skip
    network("--precision", settings.PRECISIONS, "precision of matrix products; bfloat16 is for "
            "GPUs (default: %(default)s)")  # fmt: skip
    network("--no-average", None, "keep the weights themselves (default: running means of them)",
            dest="average", action="store_false")  # fmt: skip
    rate = add.group(
        "regularisation and learning rate (those without a default are chosen by corpus and budget)"
    )
    rate("--dropout", "X", "drop this share of features, from 0 to 1")
    rate("--weight-drop", "X", "drop this share of the recurrent weights, from 0 to 1")
    rate("--word-dropout", "X", "drop this share of the vocabulary as inputs, from 0 to 1")
    rate("--activation-penalty", "X", "add X times the mean square of the last layer to the loss")
    rate("--slowness-penalty", "X", "add X times the mean square of the last layer's changes to "
         "the loss")  # fmt: skip
    rate("--learning-rate", "X", "let the rate of AdamW rise to X")
    rate("--schedule", settings.SCHEDULES, "how the rate falls after its peak (default: "
         "%(default)s)")  # fmt: skip
    rate("--weight-decay", "X", "AdamW's decay of weights (default: %(default)g)")
    rate("--clip", "X", "scale gradients down to a norm of at most X (default: %(default)g)")
    shown = add.group("what is shown")
    shown("--tensorboard", "DIR", "write logs for TensorBoard to this directory (default: none)")
    shown("--json", None, "print the metrics as JSON")
    shown("--quiet", None, "show no progress")


def _evaluate(add: Adder) -> None:
    add("model", "MODEL", "model directory")
    add("text", "TEXT", "text files, read as the model's corpus was", nargs="+")
    add("--part", ("all", "train", "valid", "test"), "measure on this part of the texts, by "
        "position (default: test for the model's own corpus or with --baselines, else "
        "all)")  # fmt: skip
    add("--baselines", None, "measure a Kneser-Ney 5-gram and a unigram model of the texts' first "
        "90 %% too")  # fmt: skip
    add("--encoding", "NAME", "decode the files from this (default: as the model's corpus)")
    add("--references", None, "also write a text for each row, from its label, numbers or source, "
        "and compare it with the row's own: BLEU, chrF, exact match, length")  # fmt: skip
    add("--beams", "N", "with --references, write by a beam search of N beams (default: the most "
        "probable word at each step)", default=0)  # fmt: skip
    add("--length-penalty", "X", "divide log p of this beam search's texts by ((5 + words) / 6)^X "
        "(default: %(default)g)", default=0.6)  # fmt: skip
    add("--max-words", "N", "with --references, cut a text after N words (default: %(default)s)",
        default=100)  # fmt: skip
    add("--lowercase", None, "with --references, take upper and lower case for equal")
    add("--json", None, "print the figures as JSON")


# -- sample and generate ---------------------------------------------------------------------------


def _sample(add: Adder) -> None:
    add("model", "MODEL", "model directory")
    add("prompt", "PROMPT", "beginnings of the texts (default: an empty one)", nargs="*",
        default=[])  # fmt: skip
    add("--row", "FILE:N", "begin with rows of prompt files, such as rows.jsonl:3, with their own "
        "numbers, labels and settings; may be given several times (default: with PROMPT)",
        action="append", default=[])  # fmt: skip
    _drawing(add, temperatures=1)
    add.group("what is shown")("--json", None, "print an object for each text as JSON")


def _score(add: Adder) -> None:
    add("model", "MODEL", "model directory")
    add("file", "FILE", "file of texts, one a line, or a table with --text; - reads the standard "
        "input")  # fmt: skip
    add("--text", "COLUMN", "take the texts from this column of a table, by name or number "
        "(default: a text a line)")  # fmt: skip
    add("--label", "NAME", "score the texts with this label, for a model trained with labels")
    add("--encoding", "NAME", "decode the file from this (default: UTF-8, or what a byte-order "
        "mark says)")  # fmt: skip
    add("--tokens", None, "print the log-probability of each token, too")
    add("--json", None, "print a JSON object for each text")
    add("--quiet", None, "print no summary on the standard error")


def _generate(add: Adder) -> None:
    _prompts(add)
    add("--out", "DIR", "write the texts to this new directory", required=True)
    _drawing(add, temperatures="+")
    _files(add)
    where = add.group("where it runs")
    where("--workers", "N", "run N processes on this machine (default: one for each core, with a "
          "GPU one)")  # fmt: skip
    where("--dataflow", tuple(DATAFLOW), "run on Dataflow, with flags for cpu, gpu or cheap "
          "workers; flags after -- override them (default: run here)")  # fmt: skip
    where("--no-wait", None, "send the job to a runner elsewhere and do not wait for its end",
          dest="wait", action="store_false")  # fmt: skip
    where("--resume", None, "go on with a stopped run into DIR, or begin one")
    shown = add.group("what is shown")
    shown("--max-rejected", "SHARE", "end with status 3 if more than this share of the rows is "
          "rejected, from 0 to 1 (default: %(default)g)", default=0.01)  # fmt: skip
    shown("--json", None, "print the counts as JSON")
    shown("--quiet", None, "show no progress")


def _plan(add: Adder) -> None:
    _prompts(add)
    run = add.group("the run that is planned")
    run("--workers", "N", "numbers of workers, each with a core like the one that measures "
        "(default: ten from 1 to 1000)", nargs="+")  # fmt: skip
    run("--price", "P", "price of a worker for an hour, in any currency (default: no cost is told)")
    run("--rows", "N", "plan as if there were N rows like those of the prompts (default: as many "
        "as there are)")  # fmt: skip
    run("--scratch", "DIR", "a folder to make for the measurement, and to remove; a plan for an "
        "engine elsewhere (flags after --) needs one that its workers reach (default: on this "
        "machine)")  # fmt: skip
    _drawing(add, temperatures="+")
    _files(add)
    add.group("what is shown")("--json", None, "print the plan as JSON")


def _prompts(add: Adder) -> None:
    add("model", "MODEL", "model directory")
    add("--prompts", "GLOB", "prompt files or patterns: .txt (a prompt a line), .jsonl, .csv, "
        ".tsv, .parquet; - is the standard input, a prompt a line", nargs="+",
        required=True)  # fmt: skip


def _files(add: Adder) -> None:
    read = add.group("how prompts are read")
    read("--delimiter", "C", "character between the cells of a .csv; tab for a tab (default: a "
         "comma)", default=",")  # fmt: skip
    read("--encoding", "NAME", "decode the files from this (default: UTF-8, or what a byte-order "
         "mark says)")  # fmt: skip
    read("--prompt-column", "NAME", "take the prompts from this column or field (default: "
         "%(default)s)", default="prompt")  # fmt: skip
    read("--id-column", "NAME", "take the ids from this column or field (default: %(default)s)",
         default="id")  # fmt: skip
    read("--strict", None, "refuse a field or column that is neither prompt, id nor a setting "
         "(default: carry it through)")  # fmt: skip
    written = add.group("how texts are written")
    written("--format", "NAME", "jsonl, csv, parquet, tfrecord or text (default: %(default)s)",
            default="jsonl")  # fmt: skip
    written("--compression", "NAME", "none, gzip or zstd (default: none, for parquet zstd)")


def _drawing(add: Adder, *, temperatures: int | str) -> None:
    drawn = add.group("what is drawn")
    drawn("--samples", "N", "write N texts for each prompt and temperature (default: %(default)s)",
          short="-n")  # fmt: skip
    several = "" if temperatures == 1 else "; several give --samples texts at each"
    drawn("--temperature", "T", f"divide the logits by T; 0 is greedy{several} (default: 1)",
          short="-t", dest="temperatures", nargs=temperatures)  # fmt: skip
    drawn("--top-k", "K", "keep only the K most probable words (default: %(default)s, off)")
    drawn("--top-p", "P", "keep only the most probable words that make up P of the probability "
          "(default: %(default)g, off)")  # fmt: skip
    drawn("--min-p", "P", "keep only words at least P times as probable as the best (default: "
          "%(default)g, off)")  # fmt: skip
    drawn("--min-words", "N", "end no text before N words (default: %(default)s)")
    drawn("--max-words", "N", "cut a text after N words (default: %(default)s)")
    drawn("--repetition-penalty", "X", "divide the logits of words that stand in the text already "
          "by X where above 0, else multiply (default: %(default)g, off)")  # fmt: skip
    drawn("--no-repeat-ngram", "N", "draw no N words in a row that stand in the text already "
          "(default: %(default)s, off)")  # fmt: skip
    drawn("--beams", "N", "draw nothing: write the --samples best texts that a beam search of N "
          "beams finds (default: %(default)s, off)")  # fmt: skip
    drawn("--length-penalty", "X", "divide log p of a beam search's texts by ((5 + words) / 6)^X "
          "(default: %(default)g)")  # fmt: skip
    drawn("--state-noise", "X", "add normal noise of this deviation to the state that each text "
          "starts from (default: %(default)g, off)")  # fmt: skip
    drawn("--ban", "WORD", "never draw this word of the vocabulary; may be given several times",
          action="append")  # fmt: skip
    drawn("--stop", "WORD", "end a text before this word of the vocabulary; may be given several "
          "times", action="append")  # fmt: skip
    drawn("--label", "NAME", "write texts of this label, for a model trained with labels")
    drawn("--unknown", None, "let <unk> be drawn (default: never)")
    drawn("--echo", None, "put the prompt before each text")
    drawn("--seed", "N", "draw by the random numbers of seed N (default: %(default)s)")
    drawn("--precision", settings.PRECISIONS, "precision of matrix products; bfloat16 is faster on "
          "some processors and gives other texts (default: %(default)s)")  # fmt: skip


# -- augment ---------------------------------------------------------------------------------------


def _augment(add: Adder) -> None:
    # What is left out is told by AugmentSettings and FilterSettings, which load too much for help.
    add("data", "DATA", "table with a row for each text: .csv, .tsv, .jsonl or .parquet")
    add("--text", "COLUMN", "take the texts from this column, by name or number", required=True)
    add("--label", "COLUMN", "take the labels from this column, by name or number", required=True)
    add("--out", "FILE", "write the new table to this file, of the kind that its name says",
        required=True)  # fmt: skip
    add("--encoding", "NAME", "decode the table from this (default: UTF-8, or what a byte-order "
        "mark says)")  # fmt: skip
    many = add.group("how many rows are added, and how they are made")
    many("--per-example", "N", "add N rows for each real one (default: 10)")
    many("--per-label", "N", "add N rows for each label (default: by --per-example)")
    many("--balance", None, "fill all labels up to the largest")
    many("--candidates", "N", "write N texts to choose from for each row to add (default: 4)")
    many("--with", WAYS, "ways to make rows, one or several: by the model, by labelling texts of "
         "--unlabelled, by rewriting real rows, or by edits of them (default: pseudo with "
         "--unlabelled, else generated)",
         nargs="+", dest="methods", metavar="NAME")  # fmt: skip
    many("--unlabelled", "TEXT", "files of texts of the same kind without labels, a text a line; "
         "each gets the label that the classifier gives it, and a model learns from them first "
         "(default: none)", nargs="+")  # fmt: skip
    many("--probabilities", None, "add a column p_LABEL for each label, with its probability")
    many("--temperature", "T", "divide the logits by T; 0 is greedy (default: 0.8)", nargs="+",
         short="-t", dest="temperatures")  # fmt: skip
    many("--seed", "N", "do all of it by the random numbers of seed N (default: 0)")
    model = add.group("the model that writes them")
    model("--level", settings.LEVELS, "what a token is: words and punctuation, characters, or what "
          "stands between spaces (default: word)")  # fmt: skip
    model("--minutes", "N", "train for at most N minutes (default: 3)", type=float)
    model("--epochs", "N", "pass over the rows at most N times (default: 30, with few rows more)")
    model("--init-from", "MODEL", "begin with this model (default: begin anew)")
    sieve = add.group("which texts are rejected")
    sieve("--min-confidence", "P", "those in whose label the classifier has less confidence than P "
          "(default: 0)")  # fmt: skip
    sieve("--max-copied", "N", "those with more than N words in a row that stand in one real row "
          "(default: 7, at --level char 24 characters)")  # fmt: skip
    sieve("--max-copied-share", "X", "those of whose words a larger share stands in such a run "
          "(default: 0.6)")  # fmt: skip
    sieve("--max-similarity", "X", "those with a larger Jaccard similarity to another row "
          "(default: 0.79)")  # fmt: skip
    sieve("--max-loops", "X", "those with a larger share of words that repeat those before them "
          "(default: 0.05)")  # fmt: skip
    sieve("--length-slack", "X", "those shorter or longer than the label's real rows by more than "
          "this share (default: 0.25)")  # fmt: skip
    sieve("--max-perplexity", "X", "those with more than X times the candidates' median perplexity "
          "(default: 3)")  # fmt: skip
    sieve("--max-unseen", "X", "those of whose pairs of neighbouring words a larger share stands "
          "in no real row (default: 0.9)")  # fmt: skip
    where = add.group("how it runs, and what is shown")
    where("--check", None, "measure what the added rows are worth to a classifier; takes six times "
          "as long")  # fmt: skip
    where("--workers", "N", "run N processes on this machine (default: one for each core, with a "
          "GPU one)")  # fmt: skip
    where("--resume", None, "go on with a stopped run into FILE")
    where("--json", None, "print the counts as JSON")
    where("--quiet", None, "show no progress")


# -- what looks at a model or an output ------------------------------------------------------------


def _export(add: Adder) -> None:
    add("model", "MODEL", "model directory")
    add("--to", settings.EXPORTS, "keras: a file of stock layers; saved-model: a directory for "
        "TensorFlow, with functions for one step and for whole texts; onnx: a file",
        required=True)  # fmt: skip
    add("--out", "PATH", "write it to this new file or directory", required=True)
    add("--states", None, "make the state an input and an output (keras and onnx; a SavedModel has "
        "both)")  # fmt: skip


def _import(add: Adder) -> None:
    add("file", "FILE", "Keras file, .keras, of a network of textmill's shape")
    add("--vocabulary", "PATH", "take the words from this model directory or vocabulary.txt",
        required=True)  # fmt: skip
    add("--out", "MODEL", "write the model to this new directory", required=True)
    add("--label", "NAME", "names of the labels, in the order of the network's input (default: "
        "those of the model directory)", nargs="+", dest="labels")  # fmt: skip
    add("--mode", settings.MODES, "how it was trained: on one long text, or on lines (default: as "
        "the model directory, else lines)", default=None)  # fmt: skip


def _verify(add: Adder) -> None:
    add("directory", "DIR", "directory that generate made")
    add("--json", None, "print the verdict as JSON")


def _report(add: Adder) -> None:
    add("directory", "DIR", "directory that generate made, or FILE.augment of augment")
    add("--out", "DIR", "write report.html and report.json to this directory (default: into the "
        "one that is reported on)")  # fmt: skip
    corpus = add.group("what the model was trained on")
    corpus("--corpus", "FILE", "measure what was copied from these texts, and show the lengths and "
           "word frequencies of real text (default: an augmentation's real rows)",
           nargs="+")  # fmt: skip
    corpus("--mode", settings.MODES, "read the corpus as in its training (default: stream, for "
           "tables lines)")  # fmt: skip
    corpus("--text", "COLUMN", "take the texts from this column of the corpus, by name or number, "
           "if it is a table")  # fmt: skip
    corpus("--encoding", "NAME", "decode the corpus from this (default: UTF-8, or what a "
           "byte-order mark says)")  # fmt: skip
    corpus("--copied-words", "N", "count N words in a row that the corpus has too as copied "
           "(default: %(default)s)", default=8)  # fmt: skip
    add.group("what is shown")("--json", None, "print report.json")


def _bench(add: Adder) -> None:
    add("model", "MODEL", "model directory")
    add("--slots", "N", "draw so many texts at a time, one number or several (default: 64 128 256)",
        nargs="+", default=[64, 128, 256])  # fmt: skip
    add("--words", "N", "draw N words of each text (default: %(default)s)", default=40)
    add("--texts", "N", "draw N texts for each measurement (default: 8 for each slot)", default=0)
    add("--json", None, "print the figures as JSON")


def _play(add: Adder) -> None:
    add("model", "MODEL", "model directory")
    add("--port", "N", "serve the page at this port of 127.0.0.1; 0 is any that is free (default: "
        "%(default)s)", default=8000)  # fmt: skip
    add("--rows", "FILE", "offer the first rows of this prompt file to start from (default: none)")


def _books(add: Adder) -> None:
    add("--gutenberg", "N", "fetch the book of this number from Project Gutenberg, once (default: "
        "none)")  # fmt: skip
    add("--built-in", None, "take the language reference that every Python carries; needs no "
        "network")  # fmt: skip
    add("--out", "FILE", "write the book to this new file (default: gutenberg-N.txt or "
        "built-in.txt)")  # fmt: skip
    add("--json", None, "print the counts as JSON")


def _demo(add: Adder) -> None:
    add("--out", "DIR", "write all of it to this directory, or to one of that name with a number "
        "(default: %(default)s)", default="textmill-demo")  # fmt: skip
    add("--minutes", "N", "train for N minutes (default: %(default)s)", type=float, default=2.5)
    add("--workers", "N", "run N processes on this machine (default: one for each core, with a GPU "
        "one)")  # fmt: skip
    add("--quiet", None, "show no progress")


@dataclass(frozen=True, kw_only=True)
class _Command:
    """What the help says of a command, and its options.

    Attributes:
        summary: what it does, begun with a verb.
        usage: what follows its name.
        example: a whole command.
        add_options: adds its options.
        kinds: settings that have the defaults of its options.
        more: what else is to be known.
    """

    summary: str
    usage: str
    example: str
    add_options: Callable[[Adder], None]
    kinds: tuple[Any, ...] = ()
    more: str = ""


_RUNNER = "What follows -- goes to Beam, such as -- --runner=DirectRunner."
TAKES = {
    "train": _Command(
        summary="train a model on a book, a corpus or a labelled table",
        usage="CORPUS... --out MODEL [options]",
        example="textmill train alice.txt --out alice --minutes 5",
        add_options=_train,
        kinds=(TrainSettings, VocabularySettings),
    ),
    "evaluate": _Command(
        summary="measure how well a model predicts texts: perplexity, bits a character",
        usage="MODEL TEXT... [options]",
        example="textmill evaluate alice alice.txt --baselines",
        add_options=_evaluate,
    ),
    "sample": _Command(
        summary="show a few texts of a model in the terminal",
        usage="MODEL [PROMPT...] [options]",
        example="textmill sample alice 'Alice was' -n 3 -t 0.7",
        add_options=_sample,
        kinds=(GenerationSettings,),
    ),
    "score": _Command(
        summary="tell how probable a model finds each text of a file",
        usage="MODEL FILE [options]",
        example="textmill score alice sentences.txt --tokens",
        add_options=_score,
    ),
    "generate": _Command(
        summary="write texts for every prompt of files, in bulk",
        usage="MODEL --prompts GLOB... --out DIR [options] [-- RUNNER FLAGS]",
        example="textmill generate alice --prompts 'prompts/*.txt' --out out --samples 5",
        add_options=_generate,
        kinds=(GenerationSettings,),
        more=_RUNNER,
    ),
    "augment": _Command(
        summary="add rows to a labelled table, written by a model of it",
        usage="DATA --text COLUMN --label COLUMN --out FILE [options] [-- RUNNER FLAGS]",
        example="textmill augment few.csv --text text --label label --out more.csv",
        add_options=_augment,
        more=_RUNNER,
    ),
    "export": _Command(
        summary="write a model as a file that Keras, TensorFlow or ONNX opens without textmill",
        usage="MODEL --to KIND --out PATH [options]",
        example="textmill export alice --to keras --out alice.keras",
        add_options=_export,
    ),
    "import": _Command(
        summary="make a model of a network that was trained in plain Keras",
        usage="FILE --vocabulary PATH --out MODEL [options]",
        example="textmill import tuned.keras --vocabulary alice --out tuned",
        add_options=_import,
    ),
    "verify": _Command(
        summary="check an output of generate against its manifest",
        usage="DIR [options]",
        example="textmill verify out",
        add_options=_verify,
    ),
    "report": _Command(
        summary="make a page with the figures and pictures of an output",
        usage="DIR [options]",
        example="textmill report out --corpus alice.txt",
        add_options=_report,
    ),
    "bench": _Command(
        summary="measure how fast a model writes here, beside what the machine could do",
        usage="MODEL [options]",
        example="textmill bench alice --slots 64 128",
        add_options=_bench,
    ),
    "plan": _Command(
        summary="tell shards, hours, memory and cost of a run before it is started",
        usage="MODEL --prompts GLOB... [options]",
        example="textmill plan alice --prompts 'prompts/*.txt' --workers 8 64",
        add_options=_plan,
        kinds=(GenerationSettings,),
    ),
    "play": _Command(
        summary="serve a page that shows the next word's probabilities",
        usage="MODEL [options]",
        example="textmill play alice",
        add_options=_play,
    ),
    "books": _Command(
        summary="fetch a book to train on, by its number in Project Gutenberg",
        usage="--gutenberg N | --built-in [options]",
        example="textmill books --gutenberg 11 --out alice.txt",
        add_options=_books,
    ),
    "demo": _Command(
        summary="train, generate and report on the text every Python carries",
        usage="[options]",
        example="textmill demo --minutes 1",
        add_options=_demo,
    ),
}
