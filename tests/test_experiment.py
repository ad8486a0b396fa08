"""One training from corpus to record, on some lines of the toy corpus."""

import shutil
from dataclasses import replace

import pytest
from tiny import few_lines

from helpers.checkpoint import load_model
from helpers.corpus import Corpus
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.record import read_record, write_record
from studies import train
from studies.lab import experiment
from studies.lab.experiment import run_experiment

TINY = ModelConfig(n_layers=1, d_model=16, n_heads=2, d_ff=16)
SHORT = TrainConfig(epochs=0.1, batch_size=4, evaluations=1, precision="float32")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a run, and its record."""
    folder = tmp_path_factory.mktemp("runs") / "short"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "training_corpus", few_lines)
        return folder, run_experiment(folder, TINY, SHORT)


@pytest.fixture
def again(made, tmp_path, monkeypatch):
    """A copy of that folder, in which the run can be made again."""
    monkeypatch.setattr(experiment, "training_corpus", few_lines)
    return shutil.copytree(made[0], tmp_path / "short")


def test_a_run_leaves_weights_vocabulary_and_record(made):
    folder, run = made
    assert read_record(folder / "short.json") == run
    model, tokenizer, info = load_model(folder / "short.safetensors")
    assert info == {key: run[key] for key in ("name", "corpus", "seed", "best_loss")}
    assert run["best_loss"] == min(e["validation_loss"] for e in run["history"])
    assert run["number_format"] == "torch.float32"
    # 2,000 words are asked for and some 100 exist; the model has no more.
    assert len(tokenizer) == model.config.vocab_size == run["vocab_size"] < 200


def test_a_run_is_not_made_again_and_no_other_takes_its_place(made, again, monkeypatch):
    monkeypatch.setattr(experiment, "train", None)
    assert run_experiment(again, TINY, SHORT) == made[1]
    with pytest.raises(ValueError, match="another run: its n_layers is 1, not 4"):
        run_experiment(again, ModelConfig(), SHORT)
    with pytest.raises(ValueError, match="holds another run: its seed is 0, not 1"):
        run_experiment(again, TINY, replace(SHORT, seed=1))
    write_record(again / "short.json", made[1] | {"corpus": "another"})
    with pytest.raises(ValueError, match="its corpus is another, not toy"):
        run_experiment(again, TINY, SHORT)


def test_a_run_whose_weights_are_missing_is_made_again(made, again):
    path = again / "short.safetensors"
    before = load_model(path)[0].state_dict()
    path.unlink()
    assert run_experiment(again, TINY, SHORT)["history"] == made[1]["history"]
    after = load_model(path)[0].state_dict()
    assert all(after[name].equal(weight) for name, weight in before.items())


def test_a_text_without_words_is_said_to_have_none(tmp_path, monkeypatch):
    empty = Corpus("odd", ["<unk> <unk> [MASK]"] * 99, ["<unk>"], [])
    monkeypatch.setattr(experiment, "training_corpus", lambda: empty)
    with pytest.raises(ValueError, match="text of odd has no words; take another"):
        run_experiment(tmp_path / "short", TINY, SHORT)


@pytest.mark.parametrize("option", ["--precision=float16", "--batch-size=1000000000"])
def test_an_option_that_does_not_fit_the_place_is_refused(
    option, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(train, "ROOT", tmp_path)
    monkeypatch.setattr(experiment, "training_corpus", few_lines)
    sizes = ["--n-layers=1", "--d-model=16", "--n-heads=2", "--d-ff=16"]
    with pytest.raises(SystemExit) as ended:
        train.main(["--name=short", *sizes, "--epochs=0.05", option])
    name, value = option.split("=")
    assert ended.value.code == 2
    assert f": {name} is " in (said := capsys.readouterr().err) and value in said
