"""The text for a model of full size, or a sentence that says why there is none."""

from helpers.corpus import FOLDER_VARIABLE, TOY, Corpus, training_corpus


def full_size_text() -> Corpus | None:
    """The text of `training_corpus`; None, with one line, if only the toy corpus is.

    A model of full size on the toy corpus would take an hour and learn nothing more
    than a small one.
    """
    try:
        corpus, why = training_corpus(), f"{FOLDER_VARIABLE} chooses the toy corpus."
    except ConnectionError as error:
        corpus, why = None, f"{error}"
    if corpus and corpus.name != TOY:
        return corpus
    print(f"{why} So no model of full size is trained; those of toy size are above.")
    return None
