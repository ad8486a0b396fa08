"""One experiment from corpus to record, on the toy corpus."""

import pytest

from helpers import experiment, record
from helpers.checkpoint import load_model
from helpers.corpus import load_corpus
from helpers.experiment import run_experiment
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig

TINY = ModelConfig(n_layers=1, d_model=16, n_heads=2, d_ff=16)
SHORT = TrainConfig(epochs=0.05, batch_size=16, evaluations=1, precision="float32")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "ROOT", tmp_path)
    monkeypatch.setattr(experiment, "load_corpus", lambda: load_corpus("toy"))
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
