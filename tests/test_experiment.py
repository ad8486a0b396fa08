"""One experiment from corpus to record, on the toy corpus."""

import pytest

from helpers import experiment
from helpers.corpus import FOLDER_VARIABLE
from helpers.experiment import run_experiment
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig

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
