"""What several test files need."""

import pytest

from helpers.corpus import load_corpus


@pytest.fixture(scope="session")
def wikitext():
    """WikiText-2; a test that asks for it is skipped where it is not at hand."""
    corpus = load_corpus()
    if corpus.name != "WikiText-2":
        pytest.skip("WikiText-2 is not at hand")
    return corpus
