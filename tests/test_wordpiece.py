"""BERT's tokenizer as BERT's own cuts, and the explorer on it."""

import json

import pytest
import tokenizers
import torch
import transformers
from test_from_bert import random_bert

from explorer.predict import fill_mask, predict_each
from explorer.widget import Explorer
from interop.bert import from_bert
from interop.wordpiece import WordPiece

NAMES = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [*"abcdefg.", "##b", "##c", "the", "lamp", "##s", "key", "near", "é"]
MORE = [f"w{i}" for i in range(47 - len(NAMES) - len(PIECES))]  # as many as the models'


def written(folder, names=NAMES):
    """A folder with a vocabulary."""
    words = "\n".join([*names, *PIECES, *MORE])
    (folder / "vocab.txt").write_text(words + "\n", "utf-8")
    return folder


def test_wordpiece_cuts_as_berts_own_tokenizer_does(tmp_path):
    ours = WordPiece.load(written(tmp_path))
    theirs = transformers.BertTokenizerFast(str(tmp_path / "vocab.txt"))
    texts = ["The lamps, near", "abc Keys É ☕ key", "", "lamp\u00adlamps", "a" * 300]
    for text in texts:
        want = theirs(text, add_special_tokens=False)["input_ids"]
        assert ours.encode(text) == want, text
    words = ["the", "lamp", "##s", "☕", "[MASK]", "x", "[MASK]", "."]
    assert ours.split("The lamps ☕ [MASK]x___.") == words
    assert len(ours) == 47 and ours.special_tokens.silent == tuple(range(6))
    settings = tmp_path / "tokenizer_config.json"
    settings.write_text(json.dumps({"do_lower_case": False}), "utf-8")
    cased = WordPiece.load(tmp_path)  # a cased vocabulary keeps its case
    assert cased.encode("The the") == [NAMES.index("[UNK]"), ours.ids["the"]]


def test_a_tokenizer_that_is_not_berts_is_refused(tmp_path):
    with pytest.raises(ValueError, match="neither tokenizer.json nor vocab.txt"):
        WordPiece.load(tmp_path)
    for names, said in ((NAMES[:-1], r"no \[MASK\]"), (["a0", *NAMES], "PAD. is id 1")):
        with pytest.raises(ValueError, match=said):
            WordPiece.load(written(tmp_path, names))
    (tmp_path / "tokenizer.json").write_text("{}", "utf-8")
    with pytest.raises(ValueError, match="tokenizer.json is missing, damaged"):
        WordPiece.load(tmp_path)
    tokenizers.Tokenizer(tokenizers.models.BPE()).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match="is a BPE, not a WordPiece"):
        WordPiece.load(tmp_path)


def test_the_explorer_takes_a_bert_with_its_own_vocabulary(tmp_path):
    theirs, tokenizer = random_bert(), WordPiece.load(written(tmp_path))
    ours = from_bert(theirs.state_dict(), theirs.config)
    text = "The lamps ☕ near ___"
    told = predict_each(ours, tokenizer, text)
    words = ["the", "lamp", "##s", "☕", "near", "___"]
    assert told[2].words == words and told[2].true == "##s" and told[3].true is None
    # The model itself, asked by hand.
    known = {word: i for i, word in enumerate(tokenizer.words)}
    asked = ["[CLS]", "the", "lamp", "[MASK]", "[UNK]", "near", "[MASK]", "[SEP]"]
    with torch.no_grad():
        logits = theirs(torch.tensor([[known[word] for word in asked]])).logits[0, 3]
    logits[:6] = float("-inf")
    torch.testing.assert_close(told[2].chance_V, logits.softmax(-1), atol=1e-5, rtol=0)
    widget = Explorer({"bert": ours}, tokenizer, text, position=2)
    assert widget.views.unknown("bert") == [False, False, False, True, False, False]
    assert len(widget.head.options) == 1 + 5 and "##s" in widget.card.value
    for guess, said in (("key", "guess number"), ("lamps", "not one of the 41 words")):
        widget.guess.value = guess
        assert said in widget.own.value


def test_another_size_and_a_bert_without_its_head_are_refused(tmp_path):
    tokenizer = WordPiece.load(written(tmp_path))
    for theirs, said in (
        (random_bert(vocab_size=40), "47 words, but the model has vocab_size 40"),
        (random_bert(transformers.BertModel), "no output layer.*BertForMaskedLM"),
    ):
        ours = from_bert(theirs.state_dict(), theirs.config)
        with pytest.raises(ValueError, match=said):
            fill_mask(ours, tokenizer, "the ___")
