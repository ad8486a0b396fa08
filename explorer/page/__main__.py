"""Writes the explorer as one HTML file that needs neither server nor network."""

import argparse
from pathlib import Path

from explorer.page.build import page_html
from helpers import ROOT
from helpers.checkpoint import load_model
from helpers.files import write_file

NAMES = {"dropout": "with dropout", "no_dropout": "without dropout"}
TEXT = (
    "She was born in London, and her first album was released in the United States in "
    "2005."
)
POSITION = 7
ABOUT = (
    "The model was trained on WikiText-2, which is made of articles of the English "
    'Wikipedia and is under <a href="https://creativecommons.org/licenses/by-sa/3.0/">'
    "CC BY-SA</a>; its words and weights are derived from it. Everything runs in this "
    "page, and what you type stays here."
)


def main(arguments: list[str] | None = None) -> Path:
    """Reads the command line, writes the page and returns its path."""
    parser = argparse.ArgumentParser(prog="explorer.page", description=__doc__)
    weights = ROOT / "weights"
    parser.add_argument(
        "--models",
        nargs="+",
        type=Path,
        default=[weights / f"{name}.safetensors" for name in NAMES],
        help="weights files, each beside the vocabulary.json that they share",
    )
    parser.add_argument("--out", type=Path, default=Path("page.html"))
    parser.add_argument(
        "--sentence", default=TEXT, help="the sentence at the beginning"
    )
    parser.add_argument("--word", type=int, help="the place of the word hidden first")
    parser.add_argument(
        "--digits",
        type=int,
        choices=(1, 2, 3),
        default=1,
        help="characters for each weight: 1 is small, 3 as exact as 16 bits",
    )
    given = parser.parse_args(arguments)
    models, tokenizer = {}, None
    for path in given.models:
        name = NAMES.get(path.stem, path.stem)
        models[name], tokenizer, _ = load_model(path, tokenizer)
    word = given.word
    if word is None and given.sentence == TEXT:
        word = POSITION
    page = page_html(
        models, tokenizer, given.sentence, word, digits=given.digits, about=ABOUT
    )
    write_file(given.out, page)
    print(f"{given.out}: {len(page.encode()) / 1e6:.2f} MB")
    return given.out


if __name__ == "__main__":
    main()
