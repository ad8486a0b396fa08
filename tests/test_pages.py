"""The pages of the studies: their tables, their links, and what they leave out."""

import re

import pytest

from helpers import ROOT
from studies import pages

PAGES = pages.pages()
LINK = re.compile(r"(!?)\[([^\]]*(?:\[[^\]]*\][^\]]*)*)\]\(([^)\s]+)\)")
COMMANDS = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for path in (ROOT / "studies").rglob("*.py")
    if "\nif __name__ ==" in path.read_text("utf-8")
}


def anchors(text: str) -> set[str]:
    """What GitHub calls the headings of a page."""
    titles = re.findall(r"^#+ (.*)", text, re.M)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


def test_the_tables_of_the_pages_are_those_of_the_records():
    texts = [path.read_text("utf-8") for path in PAGES]
    assert [pages.with_tables(text) for text in texts] == texts
    shown = [mark[2] for text in texts for mark in pages.TABLE.finditer(text)]
    assert sorted(shown) == sorted(pages.TABLES)


def test_an_old_table_is_replaced_and_an_unknown_one_is_refused(monkeypatch):
    monkeypatch.setattr(pages, "TABLES", {"one": lambda: "| new |\n| --- |"})
    text = "a\n\n<!-- table: one -->\n\n{}\n\nb\n"
    new = text.format("| new |\n| --- |")
    assert pages.with_tables(text.format("| old |\n| --- |\n| 1 |")) == new
    with pytest.raises(KeyError, match="other"):
        pages.with_tables(text.replace("one", "other"))


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES], ids=str)
def test_links_lead_somewhere_and_pictures_have_a_text(path):
    links = LINK.findall(path.read_text("utf-8"))
    assert links
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
