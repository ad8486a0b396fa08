"""One training from corpus to record, on some lines of the toy corpus."""

import re
import shutil
from dataclasses import replace

import pytest
from tiny import few_lines

from helpers import ROOT, record
from helpers.checkpoint import load_model, save_model
from helpers.corpus import Corpus
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.tokenizer import WordTokenizer
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
    """Makes the run again in a copy of its folder."""
    monkeypatch.setattr(experiment, "training_corpus", few_lines)
    folder = shutil.copytree(made[0], tmp_path / "short")

    def run(model=TINY, config=SHORT) -> dict:
        return run_experiment(folder, model, config)

    run.folder = folder
    return run


def test_a_run_leaves_weights_vocabulary_and_record(made):
    folder, run = made
    names = {path.name for path in folder.iterdir()}
    assert {"short.json", "short.safetensors", "vocabulary.json"} <= names
    assert record.read(folder / "short.json") == run
    assert run["best_loss"] == min(e["validation_loss"] for e in run["history"])
    assert run["number_format"] == "torch.float32"
    # 2,000 words are asked for and some 100 exist; the model has no more.
    assert run["model"]["vocab_size"] == run["vocab_size"] < 200


def test_a_run_is_not_made_again_and_no_other_takes_its_place(made, again, monkeypatch):
    monkeypatch.setattr(experiment, "train", None)
    assert again() == made[1]
    path = again.folder / "short.json"
    with pytest.raises(ValueError, match="another run: its n_layers is 1, not 4"):
        again(model=ModelConfig())
    with pytest.raises(ValueError, match="holds another run: its seed is 0, not 1"):
        again(config=replace(SHORT, seed=1))
    for told, change in {
        "its corpus is another, not toy": {"corpus": "another"},
        "another run: its vocab_size is None": {"model": 5},
        "another run: its epochs is None": {"training": None},
    }.items():
        record.write(path, made[1] | change)
        with pytest.raises(ValueError, match=told):
            again()
    for content in ("{", "[]", "5", "null", "[" * 10**5):
        path.write_text(content, "utf-8")
        with pytest.raises(ValueError, match="short.json is missing, damaged"):
            again()


def without_some(folder):
    """Takes two parts out of the record."""
    run = record.read(folder / "short.json")
    record.write(
        folder / "short.json",
        {key: run[key] for key in run if key not in ("history", "best_accuracy")},
    )


HARM = {
    "short.safetensors is missing": lambda folder: (
        folder / "short.safetensors"
    ).unlink(),
    "short.safetensors": lambda folder: cut(folder / "short.safetensors"),
    "vocabulary.json is missing": lambda folder: (folder / "vocabulary.json").unlink(),
    "vocabulary.json is .*damaged": lambda folder: cut(folder / "vocabulary.json"),
    "trained with another vocabulary": lambda folder: WordTokenizer.train(
        ["other words"]
    ).save(folder / "vocabulary.json"),
    "short.safetensors or its vocabulary is of another run": lambda folder: save_model(
        folder / "short.safetensors", *load_model(folder / "short.safetensors")[:2], {}
    ),
    "it lacks best_accuracy, history": without_some,
}


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize("told", HARM)
def test_a_run_whose_results_are_not_its_own_is_made_again(made, again, told, capsys):
    before = load_model(again.folder / "short.safetensors")[0].state_dict()
    HARM[told](again.folder)
    assert again()["history"] == made[1]["history"]
    said = capsys.readouterr().out
    assert said.startswith("The record of short is there, but ") and re.search(
        told, said
    )
    assert said.count("\n") == 1 and said.endswith(" It is made again.\n")
    after, _, info = load_model(again.folder / "short.safetensors")
    assert info["name"] == "short" and info["best_loss"] == made[1]["best_loss"]
    assert all(after.state_dict()[name].equal(w) for name, w in before.items())
    again()
    assert capsys.readouterr().out == ""


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


def test_nothing_is_written_outside_runs():
    for name in ("../short", "short/1", str(ROOT / "short"), "", "."):
        with pytest.raises(ValueError, match="name is "):
            train.run_folder(name)
