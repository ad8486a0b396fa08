"""The pages: the tables of the studies, all links, the README and the glossary."""

import re
from importlib import import_module

import nbformat
import pytest
from test_commands import COMMANDS

from helpers import ROOT
from notebooks.address import SLUG, live_page_address
from notebooks.notebook_files import notebook_paths
from studies import pages

PAGES = pages.pages_of_studies()
README, GLOSSARY = ROOT / "README.md", ROOT / "notebooks" / "GLOSSARY.md"
OTHERS = [README, ROOT / "CONTRIBUTING.md", GLOSSARY]
LINK = re.compile(r"(!?)\[([^\]]*(?:\[[^\]]*\][^\]]*)*)\]\(([^)\s]+)\)")
OURS = "explorer|helpers|interop|notebooks|studies"
IMPORT = re.compile(rf"from ((?:{OURS})[\w.]*) import (\w+(?:, \w+)*)")
SOURCE = re.compile(r'(?:src|srcset|href)="([^"]+)"')


def anchors(text: str) -> set[str]:
    """What GitHub calls the headings of a page."""
    titles = re.findall(r"^#+ (.*)", text, re.M)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


def test_the_tables_of_the_pages_are_those_of_the_records():
    texts = [path.read_text("utf-8") for path in PAGES]
    assert [pages.page_with_tables(text) for text in texts] == texts
    shown = [mark[2] for text in texts for mark in pages.TABLE.finditer(text)]
    assert sorted(shown) == sorted(pages.TABLES)


def test_an_old_table_is_replaced_and_an_unknown_one_is_refused(monkeypatch):
    monkeypatch.setattr(pages, "TABLES", {"one": lambda: "| new |\n| --- |"})
    text = "a\n\n<!-- table: one -->\n\n{}\n\nb\n"
    new = text.format("| new |\n| --- |")
    assert pages.page_with_tables(text.format("| old |\n| --- |\n| 1 |")) == new
    with pytest.raises(KeyError, match="other"):
        pages.page_with_tables(text.replace("one", "other"))


@pytest.mark.parametrize("path", [*OTHERS, *PAGES], ids=str)
def test_links_lead_somewhere_and_pictures_have_a_text(path):
    page = path.read_text("utf-8")
    links = LINK.findall(page)
    assert links
    links += [("", "", source) for source in SOURCE.findall(page)]
    for picture in re.findall(r"<img [^>]*>", page):
        assert len(re.search(r'alt="([^"]+)"', picture)[1]) > 40
    for picture, text, target in links:
        assert text or not picture, f"{target} has no alternative text"
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        place = path.parent / file if file else path
        assert place.exists(), target
        assert not anchor or anchor in anchors(place.read_text("utf-8")), target


def test_the_list_of_studies_names_every_page_and_every_command():
    listed = (ROOT / "studies" / "README.md").read_text("utf-8")
    assert {name for name in COMMANDS if f"`python -m {name}" not in listed} == set()
    targets = {target.partition("#")[0] for _, _, target in LINK.findall(listed)}
    names = {str(path.relative_to(ROOT / "studies")) for path in PAGES}
    assert names - targets == {"README.md"}


def test_the_readme_is_short_and_leads_to_what_a_reader_wants():
    page = README.read_text("utf-8")
    assert page.count("\n") <= 150
    wanted = [
        "## Who it is for, and what you will build",
        "## The notebooks",
        "## Five findings",
        "## Run it",
        "## What is where",
        "## Related projects, and why an encoder",
        "## Limits",
        "## Cite, licence and credits",
    ]
    places = [page.index(title) for title in wanted]
    assert places == sorted(places)
    findings = page[places[2] : page.index("\n## ", places[2] + 3)]
    assert len(re.findall(r"^\* .* → \[[^\]]+\]\(studies/", findings, re.M)) == 5
    above = page[: places[0]]
    assert f"https://{live_page_address(SLUG)}" in above
    assert "05_attention.ipynb" in above
    assert re.findall(r"```sh\n(.*?)\n```", page, re.S) == [
        "python -m pip install -r requirements.txt -r interop/requirements.txt"
        " && python -m notebooks --run",
        "python -m pip install -r requirements.txt -r tests/requirements.txt"
        " && python -m pytest",
    ]


def test_each_term_of_the_glossary_stands_in_the_notebook_that_it_names():
    row = re.compile(r"^\| (.+?) \| (.+?) \| \[(\d\d)\]\(\3_\w+\.ipynb\) \|$", re.M)
    page = GLOSSARY.read_text("utf-8")
    terms = row.findall(page)
    entries = re.findall(r"^\| (?!Term|---)", page, re.M)
    assert len({term for term, _, _ in terms}) == len(terms) == len(entries) > 50
    texts = {
        path.name[:2]: "\n".join(cell.source for cell in nbformat.read(path, 4).cells)
        for path in notebook_paths()
    }
    for term, meaning, number in terms:
        assert meaning.endswith(".") and len(meaning.split()) <= 30, term
        found = re.search(rf"(?<!\w){re.escape(term)}", texts[number], re.I)
        assert found, f"{term} is not in notebook {number}"


@pytest.mark.parametrize(
    "path", [*OTHERS, *PAGES, *notebook_paths()], ids=lambda path: path.name
)
def test_what_a_text_tells_a_reader_to_import_is_there(path):
    text = path.read_text("utf-8")
    if path.suffix == ".ipynb":
        cells = nbformat.reads(text, 4).cells
        text = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    for module, names in IMPORT.findall(text):
        for name in re.findall(r"\w+", names):
            assert hasattr(import_module(module), name), f"{module} has no {name}"


@pytest.mark.parametrize("path", [README, notebook_paths()[0]], ids=lambda p: p.name)
def test_the_glossary_can_be_found(path):
    assert "GLOSSARY.md)" in path.read_text("utf-8")
