"""The forms of Project Gutenberg's files since 1991: the book stays, all else goes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from textmill.model.text.corpus import read_corpus
from textmill.model.text.gutenberg import strip_gutenberg

BOOK = """THE LAMP ON THE QUAY

by A. Writer

PREFACE

I wrote this in the winter, for my sister.
She did not like it.

Note: the streets are those of the old town.

Chapter I

The lamp had been produced by hand, and nobody knew by whom.
It hung over the quay and was lit at six.

“Who prepared it?” the boy asked.

[Illustration: the lamp]

Nobody answered him, and the boats went out.

The end of it."""

GERMAN = """DIE LAMPE

Vorwort

Anmerkungen habe ich keine gemacht.

Die Lampe hing am Hafen und wurde um sechs angezündet.
Niemand wusste, von wem."""

FRENCH = """LA LAMPE

Au lecteur

Mon ami, ce petit conte fut écrit en hiver, et je te le donne comme il est.

La lampe pendait sur le quai ; on l'allumait à six heures.

Note de l'auteur : personne ne savait par qui."""

# -- the parts of the files ------------------------------------------------------------------------

NEWSLETTER = (
    """Please take a look at the important information in this header.
We encourage you to keep this file on your own disk.

**Welcome To The World of Free Plain Vanilla Electronic Texts**

*These Etexts Prepared By Hundreds of Volunteers and Donations*

"""
    + "We are planning to make more files this year, and need hours for each of them.\n\n" * 60
)

PRINT_TITLE = "***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN {}**START***\n"
PRINT_BODY = 'Why is this "Small Print!" statement here?  You know: lawyers.\n\n' + (
    "You can receive a refund, if you ask for it in thirty days.\n\n" * 150
)

TOP_1991 = """**This is the Project Gutenberg Etext of The Lamp on the Quay**
*****This file should be named lampq10.txt or lampq10.zip******

"""
PRINT_1991 = "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.07.02.92*END*\n"
TOP_1994 = """The Project Gutenberg Etext of The Lamp on the Quay, by A. Writer
#1 in our series by A. Writer


Copyright laws are changing all over the world, be sure to check
the copyright laws for your country before posting these files!!

"""
PRINT_1994 = "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n"
PRINT_2002 = "*END THE SMALL PRINT! FOR PUBLIC DOMAIN EBOOKS*Ver.02/11/02*END*\n"
PRINT_COPYRIGHT = "*SMALL PRINT! Ver.03.17.95 FOR COPYRIGHT PROTECTED ETEXTS*END*\n"

TOP_2001 = """The Project Gutenberg Etext of The Lamp on the Quay, by A. Writer

Copyright laws are changing all over the world, be sure to check
the laws for your country before redistributing these files!!!

This header should be the first thing seen when anyone starts to
view the etext. Do not change or edit it without written permission.

"""
TOP_2003 = """The Project Gutenberg EBook of The Lamp on the Quay, by A. Writer
(#15 in our series by A. Writer)

Copyright laws are changing all over the world. Be sure to check the
copyright laws for your country before downloading this file.

This header should be the first thing seen when viewing this Project
Gutenberg file.  Please do not remove it.

Please read the "legal small print," and other information about the
eBook and Project Gutenberg at the bottom of this file.


**Welcome To The World of Free Plain Vanilla Electronic Texts**

**eBooks Readable By Both Humans and By Computers, Since 1971**

*****These eBooks Were Prepared By Thousands of Volunteers!*****


Title: The Lamp on the Quay

Author: A. Writer

Release Date: March, 2003  [EBook #1234]
[Most recently updated: November 29, 2002]

Edition: 12

Language: English

Character set encoding: ASCII

"""
BOTTOM_2003 = (
    """This file should be named lampq10.txt or lampq10.zip

Project Gutenberg eBooks are often created from several printed
editions, all of which are confirmed as Public Domain in the US.

**The Legal Small Print**


(Three Pages)

"""
    + PRINT_TITLE.format("EBOOKS")
    + PRINT_BODY
    + PRINT_2002
)
TOP_2008 = """Project Gutenberg's The Lamp on the Quay, by A. Writer

This eBook is for the use of anyone anywhere at no cost and with
almost no restrictions whatsoever.


Title: The Lamp on the Quay

Release Date: June 25, 2008 [EBook #1234]

Language: English

"""
LICENCE = (
    """

Updated editions will replace the previous one--the old editions
will be renamed.

*** START: FULL LICENSE ***

THE FULL PROJECT GUTENBERG LICENSE

"""
    + "You may copy the work if you keep to paragraph 1.E.8 of these terms.\n\n" * 280
)
TOP_2025 = """The Project Gutenberg eBook of The Lamp on the Quay

This ebook is for the use of anyone anywhere in the United States and
most other parts of the world at no cost.

Title: The Lamp on the Quay

Release date: June 27, 2025 [eBook #76543]

Language: English

Credits: A. Volunteer


"""
CREDIT = "\n\n\nProduced by A. Volunteer and the Online\nDistributed Proofreading Team\n\n\n\n"


def start(form: str) -> str:
    return f"*** START OF {form} ***\n\n"


def end(form: str) -> str:
    return f"\n\n\n*** END OF {form} ***\n\n"


THIS, THE = "THIS PROJECT GUTENBERG EBOOK THE LAMP", "THE PROJECT GUTENBERG EBOOK THE LAMP"
COMMA = "THE PROJECT GUTENBERG EBOOK, THE LAMP"

FORMS = {
    "1991": (TOP_1991 + NEWSLETTER + PRINT_BODY + PRINT_1991, ""),
    "1994": (
        TOP_1994 + NEWSLETTER + PRINT_TITLE.format("ETEXTS") + PRINT_BODY + PRINT_1994 + "\n\n",
        "\n\nEnd of Project Gutenberg Etext of The Lamp on the Quay\n",
    ),
    "1995, copyrighted": (TOP_1994 + NEWSLETTER + PRINT_COPYRIGHT, ""),
    "1999, with credits": (
        TOP_1994 + NEWSLETTER + PRINT_1994 + "\n\nThis etext was prepared by A. Volunteer, Ohio\n"
        "with help from others.\n\n\n\n",
        "\n\n\nEnd of The Project Gutenberg Etext of The Lamp on the Quay\n",
    ),
    "2001, print in front": (
        TOP_2001 + NEWSLETTER + PRINT_1994 + "\n\nScanned and proofed by A. Volunteer\n\n\n",
        "\n\nEnd of the Project Gutenberg Etext of The Lamp on the Quay\n",
    ),
    "2002, no marker": (
        TOP_2003,
        "\n\n\nEnd of the Project Gutenberg EBook of The Lamp on the Quay\n\n" + BOTTOM_2003,
    ),
    "2002, no marker and no closing line": (
        TOP_2003,
        "\n\n" + PRINT_TITLE.format("EBOOKS") + PRINT_BODY + PRINT_2002,
    ),
    "2002, a short print": (
        TOP_2003,
        "\n\nThe legal small print\n\n*END THE SMALL PRINT!\n",
    ),
    "2003": (
        TOP_2003 + start(COMMA) + "\n\n(Additional editing by A. Volunteer)\n\n\n",
        end(COMMA) + BOTTOM_2003,
    ),
    "2004, two closings": (
        TOP_2003 + "***START OF THE PROJECT GUTENBERG EBOOK THE LAMP***" + CREDIT,
        "\n\n\nEnd of Project Gutenberg's The Lamp\n\n"
        "***END OF THE PROJECT GUTENBERG EBOOK THE LAMP***\n\n"
        "******* This file should be named 1234.txt or 1234.zip *******\n" + LICENCE,
    ),
    "2004, only a header": (TOP_2003, ""),
    "2008": (
        TOP_2008 + start(THIS) + CREDIT,
        "\n\n\nEnd of Project Gutenberg's The Lamp, by A. Writer\n" + end(THIS) + LICENCE,
    ),
    "2008, copyrighted": (
        TOP_2008 + start("THE COPYRIGHTED PROJECT GUTENBERG EBOOK THE LAMP"),
        end("THE COPYRIGHTED PROJECT GUTENBERG EBOOK THE LAMP") + LICENCE,
    ),
    "2012, a long title": (
        TOP_2008 + start(f"{THIS} ON THE QUAY, AND\nOTHER TALES") + CREDIT,
        end(THIS) + LICENCE,
    ),
    "2021, an old file inside": (
        TOP_2025 + start(THE) + TOP_1994 + NEWSLETTER + PRINT_BODY + PRINT_1994,
        "\n\nEnd of Project Gutenberg Etext of The Lamp\n" + end(THE) + LICENCE,
    ),
    "2021, an old file inside, print at its end": (
        TOP_2025 + start(THE) + TOP_2003,
        "\n\nEnd of Project Gutenberg Etext of The Lamp\n" + BOTTOM_2003 + end(THE) + LICENCE,
    ),
    "2021, markers inside markers": (
        TOP_2025 + start(THE) + TOP_2008 + start(THIS) + CREDIT,
        end(THIS) + LICENCE + end(THE) + LICENCE,
    ),
    "2025": (TOP_2025 + start(THE), end(THE) + LICENCE),
    "2025, a number": (
        TOP_2025 + start("THE PROJECT GUTENBERG EBOOK 76543"),
        end("THE PROJECT GUTENBERG EBOOK 76543") + LICENCE,
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form):
    header, footer = FORMS[form]
    assert strip_gutenberg(f"{header}\n\n{BOOK}\n{footer}") == (BOOK, None)


# Headers and footers also met in other pairs.
HEADERS = {
    "old": "Some header\nCharacter set: ISO-8859-1\n\n"
    "*** START OF THIS PROJECT GUTENBERG EBOOK ALICE’S ADVENTURES ***\n\n\n"
    "Produced by A. Volunteer and\nthe Online Team at http://example.org\n\n\n",
    "new": "The Project Gutenberg eBook of X\n\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\n",
    "no space": "***START OF THE PROJECT GUTENBERG EBOOK X***\n\n",
    "two lines": "*** START OF THIS PROJECT GUTENBERG EBOOK A VERY\nLONG TITLE ***\n\n",
    "1994": "Licence text\n*** START: FULL LICENSE ***\n"
    "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n\n\n",
    "2002": "Licence\n*END THE SMALL PRINT! FOR PUBLIC DOMAIN EBOOKS*Ver.02/11/02*END*\n\n",
}
FOOTERS = {
    "none": "",
    "old": "\n\n\n\nEnd of Project Gutenberg’s Alice, by L. C.\n\n"
    "*** END OF THIS PROJECT GUTENBERG EBOOK ALICE ***\n\n***** This file *****\n"
    "*** START: FULL LICENSE ***\nlicence, *END*THE SMALL PRINT! again*END*\n",
    "new": "\n\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\nlicence\n",
    "line only": "\n\nEnd of the Project Gutenberg Etext of X\n",
}


@pytest.mark.parametrize("footer", FOOTERS)
@pytest.mark.parametrize("header", HEADERS)
def test_pairs(header, footer):
    assert strip_gutenberg(HEADERS[header] + BOOK + FOOTERS[footer]) == (BOOK, None)


GERMAN_FRONTS = [
    "Produced by Ä. Freiwillige and the Online\nDistributed Proofreading Team\n\n\n\n"
    "    Anmerkungen zur Transkription:\n\n"
    "    Schreibweise und Interpunktion wurden übernommen.\n\n"
    "    Gesperrter Text ist _so_ dargestellt.\n\n\n",
    "Produziert von A. Freiwillige\n\n\n[ Anmerkungen zur Transkription:\n\n"
    "  Der Umlaut steht als [oe].\n\n  Sonst blieb alles. ]\n\n",
    "Dieses Buch wurde erstellt von A. Freiwillige.\n\n"
    "Anmerkung zur Transkription: Offensichtliche Druckfehler wurden korrigiert.\n\n",
    "Dieses Buch wurde uns freundlicherweise zur Verfügung gestellt. Das Projekt\n"
    "ist unter der Adresse http://www.example.org erreichbar.\n\n",
    "+--------------------------------+\n| Anmerkungen zur Transkription  |\n"
    "|                                |\n| Kursives steht _so_.           |\n"
    "+--------------------------------+\n\n\n",
]
FRENCH_FRONTS = [
    "Produit par A. Volontaire\n\n\nNote sur la transcription:\n\n"
    "L'orthographe d'origine a été conservée.\n\nLes coquilles ont été corrigées.\n\n\n\n",
    "Produced by www.example.org and A. Volontaire\n\n\n"
    "Notes au lecteur de ce fichier:\nSeules les erreurs du typographe ont été corrigées.\n\n\n",
    "Au lecteur:\n\nCette version numérisée reproduit la version originale.\n\n"
    "La ponctuation n'a pas été modifiée.\n\n\n",
    "Ce document fut préparé par A. Volontaire\n\n"
    "Nous remercions la Bibliothèque nationale, qui a mis les images à disposition.\n\n",
    "[Note du transcripteur: on a gardé l'orthographe.]\n\n",
]


FRONTS = [
    *(
        (front, GERMAN, "Ende dieses Projekt Gutenberg Etextes Die Lampe")
        for front in GERMAN_FRONTS
    ),
    *((front, FRENCH, "Fin du Project Gutenberg Etext La Lampe") for front in FRENCH_FRONTS),
]


@pytest.mark.parametrize(("front", "book", "closing"), FRONTS)
def test_german_and_french_fronts(front, book, closing):
    today = TOP_2025 + start(THE) + front + book + end(THE) + LICENCE
    assert strip_gutenberg(today).text == book
    old = TOP_2003 + front + book + f"\n\n{closing}\n" + BOTTOM_2003
    assert strip_gutenberg(old).text == book


@pytest.mark.parametrize(
    "front",
    [
        "E-text prepared by A. Volunteer\n\n\n\n"
        "Note: Project Gutenberg also has an HTML version of this\n      file.\n"
        "      See 1234-h.htm or 1234-h.zip:\n"
        "      (https://www.gutenberg.org/files/1234/1234-h/1234-h.htm)\n\n\n"
        "Note: Images of the original pages are available through\n"
        "      Internet Archive. See\n      https://archive.org/details/lamp\n\n\n"
        "Transcriber's note:\n\n      Text in italics is enclosed by underscores.\n\n"
        "      More of it is at the end.\n\n\n\n\n",
        "This eBook was produced by A. Volunteer.\n\n",
        "This etext was produced from Tales of June 1931.\n\n",
        "Transcribed from the 1886 edition by A. Volunteer\n\n",
        "A. Volunteer, B. Volunteer, and the Online Distributed Proofreading Team\n\n",
        "Produced by sp12\n\n[Transcriber's Note: Obvious errors were corrected.]\n\n",
        "TRANSCRIBER’S NOTES\n\n\nThe list of chapters was made for this file.\n\n\n",
        "Transcriber's Note: Spelling was kept.\n\nHyphenation was made the same.\n\n",
        "(This file was produced from images generously made available\nby A Library)\n\n",
    ],
)
def test_english_fronts(front):
    text = TOP_2008 + start(THIS) + "\n\n" + front + BOOK + end(THIS) + LICENCE
    assert strip_gutenberg(text) == (BOOK, None)


@pytest.mark.parametrize(
    "begin",
    [
        "Note: the names are changed.",
        "NOTES\n\nNo spelling was changed.",
        "Produced by the long rain, the mud reached the doors.",
        "Prepared by his father, the boy said nothing.",
        "Dieses Buch wurde mir geschenkt.",
        "Au lecteur\n\nLa sottise, mon ami, occupe nos esprits.",
        "[Transcriber's Note: this bracket is open.\n\nSo it stays.",
        "*** a line of stars ***",
        "Title: a word that I do not like.",
    ],
)
def test_what_the_book_itself_begins_with(begin):
    text = f"{TOP_2025}{start(THE)}{begin}\n\n{BOOK}{end(THE)}{LICENCE}"
    assert strip_gutenberg(text).text == f"{begin}\n\n{BOOK}"


def test_a_note_eats_no_book_without_blank_lines():
    book = "A line of the book.\n" * 300
    text = f"{start(THE)}Transcriber's notes\n\n{book}{end(THE)}"
    assert strip_gutenberg(text) == (book.strip(), None)


def test_credits_inside_the_book_stay():
    inside = (
        f"{BOOK}\n\nProduced by A. Volunteer\n\nTranscriber's note: spelling was kept.\n\n{BOOK}"
    )
    assert strip_gutenberg(f"{start(THE)}{inside}{end(THE)}").text == inside


def test_several_books_in_one_file():
    files = [f"{FORMS[form][0]}\n{BOOK}\n{FORMS[form][1]}" for form in ("2008", "2025", "2003")]
    assert strip_gutenberg("\n".join(files)).text == "\n\n".join([BOOK] * 3)


@pytest.mark.parametrize("form", ["1994", "2002, no marker"])
def test_several_old_files_in_one(form):
    header, footer = FORMS[form]
    # Old files have no marker, and only a book longer than the header is sure.
    book = "\n\n".join([BOOK] * 20)
    assert strip_gutenberg(f"{header}\n{book}\n{footer}\n" * 3).text == "\n\n".join([book] * 3)


# -- a doubtful strip ------------------------------------------------------------------------------

ESSAY = "\n\n".join(
    f"{n}. A file has two lines of stars, and I shall show them." for n in range(90)
)


@pytest.mark.parametrize(
    "text",
    [
        f"{ESSAY}\n\n{start(THE)}",
        f"{ESSAY}\n\n{start(THE)}and no more.",
        f"{ESSAY}\n\n{start(THE)}...{end(THE)}",
        f"I quote.{end(THE)}{ESSAY}",
        f"I quote.\n\n{start(THE)}...{end(THE)}{ESSAY}",
        f"{ESSAY}\n\n{PRINT_1994}\nand no more.",
        f"{TOP_2008}{start(THE)}{end(THE)}",
        f"{TOP_2025}{ESSAY * 20}\n\n{start(THE)}...",
        f"{start(THE)}{CREDIT * 999}",
    ],
)
def test_nothing_is_removed_where_most_would_go(text):
    stripped = strip_gutenberg(text)
    assert stripped.text == text
    assert "nothing is removed" in stripped.note
    assert "\n" not in stripped.note


def test_the_user_is_told(tmp_path):
    path = tmp_path / "essay.txt"
    path.write_text(f"I quote.{end(THE)}{ESSAY}")
    corpus = read_corpus([str(path)], mode="stream")
    assert len(corpus.texts) == 92
    [note] = corpus.notes
    assert note.startswith(f"{path}: ")


@pytest.mark.parametrize("form", ["2003", "2008", "2025", "2021, markers inside markers"])
def test_a_poem_in_a_long_licence(form):
    header, footer = FORMS[form]
    assert strip_gutenberg(f"{header}\n\nOne lamp.\n\nTwo boats.\n{footer}") == (
        "One lamp.\n\nTwo boats.",
        None,
    )


# -- any text --------------------------------------------------------------------------------------

PIECES = [
    *("One word.", "Two\nlines.", "    indented", "a", "é", "* * *", "[", "]", "Copyright laws"),
    *(
        start(THE),
        start(THIS),
        end(THE),
        "***",
        "*** START OF",
        "*** END OF THIS PROJECT GUTENBERG",
    ),
    *(PRINT_1994, PRINT_2002, PRINT_TITLE.format("EBOOKS"), "**The Legal Small Print**\n"),
    *(TOP_1994, TOP_2003, TOP_2008, LICENCE[:300], "Produced by A. Volunteer", "Au lecteur"),
    *("End of Project Gutenberg's X", "Transcriber's note:", "[Transcriber's Note:", "Title: X"),
    *("*** START OF THE PROJECT GUTENBERG", "\u2003", "] *** START OF THE PROJECT GUTENBERG X ***"),
    ESSAY[:400],
]
GAPS = st.sampled_from(["\n", "\n\n", "\n\n\n", " ", "\n\n    ", ""])
MIXED = st.lists(st.tuples(st.sampled_from(PIECES), GAPS), max_size=12).map(
    lambda pairs: "".join(piece + gap for piece, gap in pairs)
)
PROSE = st.text(st.characters(exclude_characters="*"), max_size=300).filter(
    lambda text: "gutenberg" not in text.lower()
)


@given(PROSE)
@example("Produced by nobody.\n\n*** not a marker ***\n\nEnd of Project Gutenberg jokes")
@example("Copyright laws are changing in this chapter.\n\nThe first thing seen was a lamp." * 9)
@example("  Transcriber's note: this is a note.\n\n\n  \n")
@example("\n\nTitle: this\n\nLanguage: that\n")
def test_a_text_without_markers_is_left_alone(text):
    assert strip_gutenberg(text) == (text, None)


@given(MIXED)
def test_a_second_time_changes_nothing(text):
    once = strip_gutenberg(text).text
    assert strip_gutenberg(once).text == once


@given(MIXED)
def test_only_whole_pieces_go(text):
    """Words are left out, and none is made or moved."""
    words = iter(text.split())
    assert all(word in words for word in strip_gutenberg(text).text.split())


@given(st.lists(st.text("abc .,\n[]*", min_size=1, max_size=80), min_size=1, max_size=8))
def test_all_between_markers_stays(paragraphs):
    book = "\n\n".join(["Chapter", *paragraphs, "The end"])
    for header, footer in (FORMS["2003"], FORMS["2008"], FORMS["2025"]):
        assert strip_gutenberg(f"{header}\n\n{book}{footer}") == (book, None)


# -- real files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "first", "last", "words"),
    [
        ("alice", "ALICE’S ADVENTURES IN WONDERLAND", "THE END", 26_460),
        ("alice_ascii", "ALICE'S ADVENTURES IN WONDERLAND", "THE END", 26_460),
        ("alice_2025", "[Illustration]", "THE END", 26_525),
        ("sherlock", "THE ADVENTURES OF SHERLOCK HOLMES", None, 104_519),
        ("verwandlung", "DIE VERWANDLUNG", None, 19_340),
    ],
)
def test_real_books(shared, name, first, last, words):
    texts = read_corpus([str(shared / "books" / f"{name}.txt")], mode="stream").texts
    assert texts[0].startswith(first)
    assert last is None or texts[-1] == last
    assert not any("Gutenberg" in text for text in (*texts[:3], *texts[-3:]))
    assert sum(len(text.split()) for text in texts) == pytest.approx(words, rel=0.003)


@pytest.mark.parametrize("name", ["pg_old", "pg_note"])
def test_forms_that_failed_once(shared, name):
    corpus = read_corpus([str(shared / "cases" / f"{name}.txt")], mode="stream")
    assert len(corpus.texts) == 300
    assert corpus.texts[0].startswith("Chapter 0. It was")
    assert corpus.texts[-1].startswith("Chapter 299. It was")
    assert corpus.notes == ()
