"""One experiment from corpus to record, on the toy corpus."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import record
from helpers.bpe import BPETokenizer
from helpers.checkpoint import load_model, save_model
from helpers.corpus import FOLDER_VARIABLE, Corpus
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.tokenizer import WordTokenizer
from studies.lab import experiment
from studies.lab.experiment import run_experiment

TINY = ModelConfig(n_layers=1, d_model=16, n_heads=2, d_ff=16)
SHORT = TrainConfig(epochs=0.05, batch_size=16, evaluations=1, precision="float32")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "ROOT", tmp_path)
    monkeypatch.setenv(FOLDER_VARIABLE, "toy")
    return tmp_path / "runs" / "short"


def test_a_run_leaves_weights_vocabulary_and_record(place):
    found = run_experiment("short", TINY, SHORT)
    left = sorted(path.name for path in place.iterdir())
    assert {"short.json", "short.safetensors", "vocabulary.json"} <= {*left}
    assert found["best_loss"] == min(e["validation_loss"] for e in found["history"])
    assert found["number_format"] == "torch.float32"


def test_a_corpus_of_few_words_has_a_model_of_few(place):
    """2,000 are asked for and 104 exist; an untrained model might say any of them."""
    found = run_experiment("short", TINY, SHORT)
    assert found["model"]["vocab_size"] == found["vocab_size"] < 2_000


def test_a_run_is_not_made_again_and_no_other_takes_its_place(place, monkeypatch):
    found = run_experiment("short", TINY, SHORT)
    monkeypatch.setattr(experiment, "train", None)
    assert run_experiment("short", TINY, SHORT) == found
    with pytest.raises(ValueError, match="another run"):
        run_experiment("short", ModelConfig.bert(), SHORT)


def test_the_words_of_another_run_are_named(place):
    run_experiment("short", TINY, SHORT)
    with pytest.raises(ValueError, match="holds another run: its .*seed.* 0.* 1"):
        run_experiment("short", TINY, replace(SHORT, seed=1))
    found = record.read(place / "short.json")
    record.write(place / "short.json", found | {"corpus": "another"})
    with pytest.raises(ValueError, match="its corpus is another, not toy"):
        run_experiment("short", TINY, SHORT)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_run_that_has_lost_its_weights_says_so_and_makes_them(place, damage, capsys):
    found, weights = run_experiment("short", TINY, SHORT), place / "short.safetensors"
    before = load_model(weights)[0].state_dict()
    damage(weights)
    assert run_experiment("short", TINY, SHORT)["history"] == found["history"]
    assert "short.safetensors" in (said := capsys.readouterr().out)
    assert "made again" in said
    after = load_model(weights)[0].state_dict()
    assert all(after[name].equal(weight) for name, weight in before.items())


HARM = {
    "vocabulary.json is missing": lambda place: (place / "vocabulary.json").unlink(),
    "vocabulary.json is .*damaged": lambda place: (
        place / "vocabulary.json"
    ).write_text("{", "utf-8"),
    "trained with another vocabulary": lambda place: WordTokenizer.train(
        ["other words"]
    ).save(place / "vocabulary.json"),
    "short.safetensors or its vocabulary is of another run": lambda place: save_model(
        place / "short.safetensors", *load_model(place / "short.safetensors")[:2], {}
    ),
    "it lacks best_accuracy, history": lambda place: record.write(
        place / "short.json",
        {
            key: value
            for key, value in record.read(place / "short.json").items()
            if key not in ("history", "best_accuracy")
        },
    ),
}


@pytest.mark.parametrize("said", HARM)
def test_a_run_whose_results_are_not_its_own_is_made_again(place, said, capsys):
    found = run_experiment("short", TINY, SHORT)
    HARM[said](place)
    assert run_experiment("short", TINY, SHORT)["history"] == found["history"]
    told = capsys.readouterr().out
    assert re.search(said, told) and told.endswith(" It is made again.\n")
    assert load_model(place / "short.safetensors")[2]["name"] == "short"
    run_experiment("short", TINY, SHORT)
    assert capsys.readouterr().out == ""


def test_a_text_without_words_is_said_to_have_none(place, monkeypatch):
    empty = Corpus("odd", ["<unk> <unk> [MASK]"] * 99, ["<unk>"], [])
    monkeypatch.setattr(experiment, "training_corpus", lambda: empty)
    with pytest.raises(ValueError, match="text of odd has no words; take another"):
        run_experiment("short", TINY, SHORT)


@pytest.mark.parametrize("option", ["--precision=float16", "--batch-size=1000000000"])
def test_an_option_that_does_not_fit_the_place_is_refused(place, option, capsys):
    sizes = ["--n-layers=1", "--d-model=16", "--n-heads=2", "--d-ff=16"]
    with pytest.raises(SystemExit) as ended:
        experiment.main(["--name=short", *sizes, "--epochs=0.05", option])
    name, value = option.split("=")
    assert ended.value.code == 2
    assert f": {name} is " in (said := capsys.readouterr().err) and value in said


def test_nothing_is_written_outside_runs(place):
    for name in ("../short", "short/1", str(place.parent.parent / "short"), "", "."):
        with pytest.raises(ValueError, match="name is "):
            run_experiment(name, TINY, SHORT)
    assert not place.parent.exists() and [*place.parent.parent.iterdir()] == []


def test_a_path_may_be_a_string(tmp_path):
    record.write(str(tmp_path / "new" / "a.json"), {"a": 1})
    assert record.read(str(tmp_path / "new" / "a.json")) == {"a": 1}
    words = WordTokenizer.train(["one two"])
    words.save(str(tmp_path / "words.json"))
    assert WordTokenizer.load(str(tmp_path / "words.json")).words == words.words
    pairs = BPETokenizer.train(["one two one two"], 2)
    pairs.save(str(tmp_path / "pairs.json"))
    assert BPETokenizer.load(str(tmp_path / "pairs.json")).merges == pairs.merges


@pytest.mark.parametrize("harm", ["gone", "zeroed", "older"])
def test_a_record_without_its_weights_is_said_and_mended(place, harm, capsys):
    found, path = run_experiment("short", TINY, SHORT), place / "short.safetensors"
    content = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(bytes(len(content)) if harm == "zeroed" else content[:-1])
    again = run_experiment("short", TINY, SHORT)
    said = capsys.readouterr().out
    assert said.startswith("The record of short is there, but ") and str(path) in said
    assert said.count("\n") == 1 and said.endswith(" It is made again.\n")
    assert again["history"] == found["history"]
    assert load_model(path)[2]["best_loss"] == found["best_loss"]


def test_a_record_of_another_corpus_is_another_run(place):
    found = run_experiment("short", TINY, SHORT)
    record.write(place / "short.json", found | {"corpus": "WikiText-2"})
    with pytest.raises(ValueError, match="its corpus is WikiText-2, not toy"):
        run_experiment("short", TINY, SHORT)
