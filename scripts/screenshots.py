"""Makes the pictures in docs/ with headless Chromium (Debian: chromium, chromium-driver).

    python scripts/screenshots.py [MODEL] [--prompt TEXT] [--book FILE] [--report DIR --corpus FILE]

docs/play.png is the playground of MODEL; docs/report.png the report of an output; docs/lab-*.png
are the notebook's plots, where --book names a book: the notebook runs with the solution of the
tests, in its full length.
"""

from __future__ import annotations

import argparse
import base64
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from textmill.model.network.directory import load_model
from textmill.model.tensorflow_setup import use_one_thread
from textmill.pipeline.command.play import server

ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT = 1080, 1500


def playground(model: str, prompt: str, out: Path) -> None:
    """The page with a text, its bars, and greedy beside sampling."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    use_one_thread()
    with server(load_model(model), port=0, name=Path(model).name) as found, chromium() as browser:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        wait = WebDriverWait(browser, 120)
        browser.get(f"http://127.0.0.1:{found.server_port}/")
        browser.find_element(By.ID, "text").send_keys(prompt)
        for name, value in (("temperature", 0.6), ("top-k", 12)):
            browser.execute_script(
                "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
                "e.dispatchEvent(new Event('input'))", name, value,
            )  # fmt: skip
        browser.find_element(By.ID, "both").click()
        wait.until(lambda _: browser.find_element(By.ID, "greedy").text)
        browser.execute_script("document.activeElement.blur(); scrollTo(0, 0)")
        wait.until(lambda _: browser.find_element(By.CSS_SELECTOR, "#bars tr:nth-child(3)"))
        whole_page(browser, out)
        found.shutdown()


def report_of(directory: str, corpus: str | None, out: Path) -> None:
    """The report of an output, in full."""
    from textmill.model.text.corpus import CorpusSettings
    from textmill.pipeline.report.report import report

    files = None if corpus is None else CorpusSettings(paths=(corpus,))
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        report(directory, corpus=files, copied_words=5, out=folder)
        browser.get((Path(folder) / "report.html").as_uri())
        whole_page(browser, out)


def chromium() -> Any:
    """A browser without a window."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(flag)
    options.add_argument(f"--window-size={WIDTH},{HEIGHT}")
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


def whole_page(browser: Any, out: Path) -> None:
    """Takes a picture of the whole page."""
    height = browser.execute_script("return document.documentElement.scrollHeight")
    browser.set_window_size(WIDTH, height + 150)
    browser.save_screenshot(str(out))
    print(out)


def plots(book: str) -> None:
    """The notebook's pictures."""
    sys.path.insert(0, str(ROOT))  # the lab is in no wheel
    from lab.notebook.making import PICTURES, made, run

    os.environ["LAB_EXERCISES"] = str(ROOT / "tests" / "lab" / "lab_solution.py")
    os.environ["LAB_BOOK"] = str(Path(book).resolve())
    pictures = [
        output["data"]["image/png"]
        for cell in run(made()).cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    for name, picture in zip(PICTURES, pictures, strict=True):
        out = ROOT / "docs" / f"lab-{name}.png"
        out.write_bytes(base64.b64decode(picture))
        print(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--prompt", default="Alice was")
    parser.add_argument("--book")
    parser.add_argument("--report")
    parser.add_argument("--corpus")
    args = parser.parse_args()
    if args.book is not None:
        plots(args.book)
    if args.report is not None:
        report_of(args.report, args.corpus, ROOT / "docs" / "report.png")
    if args.model is not None:
        playground(args.model, args.prompt, ROOT / "docs" / "play.png")


if __name__ == "__main__":
    main()
