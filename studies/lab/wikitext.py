"""The text that the studies are about."""

from helpers.corpus import FOLDER_VARIABLE, WIKITEXT, Corpus, training_corpus


def require_wikitext() -> Corpus:
    """WikiText-2 itself, for studies, whose records are about no other text.

    Raises ConnectionError where it is not within reach, ValueError where another text
    was chosen.
    """
    corpus = training_corpus()
    if corpus.name != WIKITEXT:
        raise ValueError(
            f"This is about WikiText-2, and the text at hand is {corpus.name!r}: "
            f"correct or remove {FOLDER_VARIABLE}, which has chosen it."
        )
    return corpus
