"""The address of the published repository, in the notebooks and in other files."""

import argparse
import re
from pathlib import Path

from helpers import ROOT
from helpers.files import write_file
from notebooks.notebook_files import notebook_paths

SLUG = "OWNER/mini-transformer"


def repository_slug(text: str) -> str:
    """Checks that an option is OWNER/NAME as GitHub allows them, and returns it."""
    owner, name = r"[A-Za-z\d]+(-[A-Za-z\d]+)*", r"(?!\.{1,2}\Z)[\w.-]+(?<!\.git)"
    if not re.fullmatch(f"{owner}/{name}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no slug; write OWNER/NAME")
    return text


def live_page_address(slug: str) -> str:
    """The address of a repository's page on GitHub Pages."""
    return "{}.github.io/{}/".format(*slug.split("/"))


def stamp_address(slug: str) -> None:
    """Writes the slug of the published repository wherever the old one stands."""
    others = [ROOT / "README.md", ROOT / "interop" / "model_card.py"]
    for path in [Path(__file__), *others, *notebook_paths()]:
        text = path.read_text("utf-8")
        text = text.replace(live_page_address(SLUG), live_page_address(slug))
        write_file(path, text.replace(SLUG, slug))
