"""The study of byte pairs: the same words are asked of both models, and one ships."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from test_studies import elsewhere
from tiny import few_lines, same_weights, tiny_model

from helpers import ROOT
from helpers.bpe import FIRST_MERGE, BPETokenizer
from helpers.checkpoint import load_model, save_model
from helpers.model import ModelConfig
from helpers.record import read_record
from helpers.tokenizer import WordTokenizer
from studies import byte_pairs, shipped
from studies.lab import experiment
from studies.lab.runs import RECORDS

LINES = few_lines().train
WORDS, PAIRS = WordTokenizer.train(LINES, 60), BPETokenizer.train(LINES, 20)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_record_compares_with_the_shipped_model_of_the_same_recipe():
    (run,) = byte_pairs.STUDY.results().runs["pieces"].values()
    weights = ROOT / "weights" / "no_dropout.safetensors"
    assert run["weights"] == {"no_dropout": digest(weights)}
    words = read_record(RECORDS / "no_dropout.json")
    assert (run["seed"], run["training"]) == (words["seed"], words["training"])


def test_byte_pairs_are_asked_the_same_words_and_shipped(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "ROOT", tmp_path)
    path = tmp_path / "weights" / "no_dropout.safetensors"
    path.parent.mkdir()
    WORDS.save(path.with_name("vocabulary.json"))
    save_model(path, tiny_model(len(WORDS), 2), WORDS, {"corpus": few_lines().name})
    monkeypatch.setattr(shipped, "require_wikitext", few_lines)
    monkeypatch.setattr(byte_pairs, "arm_tokenizer", lambda *_: PAIRS)
    monkeypatch.setattr(experiment, "training_corpus", few_lines)
    sizes = dict(max_length=16, n_layers=1, d_model=16, n_heads=2, d_ff=16)
    model = ModelConfig(vocab_size=FIRST_MERGE + 20, **sizes)
    training = replace(byte_pairs.WHOLE, epochs=1.0, evaluations=1)
    arms = {"pieces": byte_pairs.Arm(model, training)}
    study = elsewhere(byte_pairs.STUDY, tmp_path, arms=arms)
    monkeypatch.setattr(byte_pairs, "STUDY", study)
    run = study.run("pieces", 2)
    words, pieces = run["asked"]["words"], run["asked"]["pieces"]
    assert run["weights"] == {"no_dropout": digest(path)}
    for kind in ("shared", "rare"):
        assert words[kind]["words"] == pieces[kind]["words"] > 50
        assert pieces[kind]["held"] == 1 < pieces[kind]["tokens"]
    assert words["shared"]["tokens"] == 1
    assert words["rare"]["held"] == words["rare"]["right"] == 0
    rows = study.table(study.results()).splitlines()
    assert "| 2,000 words |" in rows[2] and "unknown |" in rows[2]
    assert "| 8,000 byte pairs |" in rows[3] and "unknown" not in rows[3]
    byte_pairs.main(["--summary", "--ship"])
    weights = tmp_path / "weights" / "byte_pairs.safetensors"
    kept, tokenizer, info = load_model(weights)
    assert tokenizer.merges == PAIRS.merges
    assert (info["name"], info["run"]) == ("byte_pairs", "pieces_seed_2")
    best = study.states / "pieces_seed_2" / "best.safetensors"
    assert same_weights(kept, load_model(best, PAIRS)[0])
    # The digest is of the merges and their order, not of their number.
    first, second, *others = PAIRS.merges
    for other in (BPETokenizer([second, first, *others]), WORDS):
        with pytest.raises(ValueError, match="trained with another vocabulary"):
            load_model(weights, other)
