"""The study of byte pairs: the same words are asked of both models, and one ships."""

from dataclasses import replace

import pytest
from test_studies import elsewhere
from tiny import few_lines, same_weights

from helpers.bpe import FIRST_MERGE, BPETokenizer
from helpers.checkpoint import load_model
from helpers.model import ModelConfig
from helpers.tokenizer import WordTokenizer
from studies import byte_pairs, shipped
from studies.lab import experiment


def small_tokenizer(pieces: bool, vocab_size: int):
    """A tokenizer of the toy text with so many ids."""
    lines = few_lines().train
    if pieces:
        return BPETokenizer.train(lines, vocab_size - FIRST_MERGE)
    return WordTokenizer.train(lines, vocab_size)


def test_byte_pairs_are_asked_the_same_words_and_shipped(tmp_path, monkeypatch):
    for module in (byte_pairs, experiment):
        for name in {"require_wikitext", "training_corpus"} & vars(module).keys():
            monkeypatch.setattr(module, name, few_lines)
    monkeypatch.setattr(byte_pairs, "arm_tokenizer", small_tokenizer)
    arms, sizes = {}, dict(max_length=16, n_layers=1, d_model=16, n_heads=2, d_ff=16)
    training = replace(byte_pairs.TRAINING, epochs=1.0, evaluations=1)
    for name, size in {"words": 60, "pieces": FIRST_MERGE + 20}.items():
        model = ModelConfig(vocab_size=size, **sizes)
        arm = byte_pairs.STUDY.arms[name]
        arms[name] = replace(arm, model=model, training=training)
    study = elsewhere(byte_pairs.STUDY, tmp_path, arms=arms)
    monkeypatch.setattr(byte_pairs, "STUDY", study)
    words, pieces = (study.run(name, 0)["asked"] for name in arms)
    for kind in ("shared", "rare"):
        assert words[kind]["words"] == pieces[kind]["words"] > 50
        assert pieces[kind]["held"] == 1 < pieces[kind]["tokens"]
    assert words["shared"]["tokens"] == 1
    assert words["rare"]["held"] == words["rare"]["right"] == 0
    rows = study.table(study.results()).splitlines()
    assert "| 2,000 words |" in rows[2] and "unknown |" in rows[2]
    assert "| 8,000 byte pairs |" in rows[3] and "unknown" not in rows[3]
    monkeypatch.setattr(shipped, "ROOT", tmp_path)
    byte_pairs.main(["--summary", "--ship"])
    weights = tmp_path / "weights" / "byte_pairs.safetensors"
    model, tokenizer, info = load_model(weights)
    assert isinstance(tokenizer, BPETokenizer)
    assert (info["name"], info["run"]) == ("byte_pairs", "pieces_seed_0")
    best = study.states / "pieces_seed_0" / "best.safetensors"
    assert same_weights(model, load_model(best, tokenizer)[0])
    # The digest is of the merges and their order, not of their number.
    first, second, *others = tokenizer.merges
    for other in (BPETokenizer([second, first, *others]), small_tokenizer(False, 60)):
        with pytest.raises(ValueError, match="trained with another vocabulary"):
            load_model(weights, other)
