"""Does dropout help, and what ends the plateau? The two studies, from run to table."""

import shutil
from dataclasses import replace

import pytest
import torch
from tiny import few_lines

from helpers.checkpoint import load_model
from helpers.model import Embedding, ModelConfig
from helpers.record import read_record, write_record
from studies import dropout, fifty, plateau, positions
from studies.lab import experiment
from studies.lab.claims import Effect
from studies.lab.experiment import experiment_part
from studies.lab.study import StudyResults

TINY = dict(vocab_size=104, n_layers=1, d_model=16, n_heads=2, d_ff=16)


def elsewhere(study, tmp_path, **changes):
    """The study with its records and runs in a folder of their own."""
    places = {"folder": tmp_path / "records", "states": tmp_path / "runs"}
    return replace(study, **places, **changes)


@pytest.fixture
def toy(monkeypatch):
    """Some lines of the toy corpus stand for WikiText-2."""
    monkeypatch.setattr(experiment, "training_corpus", few_lines)
    monkeypatch.setattr(dropout, "require_wikitext", few_lines)


@pytest.fixture
def few(tmp_path):
    """Of the recorded runs of dropout those of two arms; of one arm one seed."""
    study = elsewhere(dropout.STUDY, tmp_path)
    study.folder.mkdir()
    for name in ("none", 0), ("none", 1), ("none", 2), ("attention", 1):
        file = "{}_8_epochs_seed_{}.json".format(*name)
        shutil.copy(dropout.STUDY.folder / file, study.folder)
    return study.results()


def test_the_gap_is_that_of_the_best_epoch():
    names = "epoch", "validation_loss", "train_loss"
    epochs = (0, 5.0, 4.9), (1, 4.0, 3.6), (2, 4.5, 3.3)
    history = [dict(zip(names, epoch, strict=True)) for epoch in epochs]
    read = {name: dropout.READINGS[name] for name in ("gap", "best_epoch")}
    values = [reading({"history": history}) for reading in read.values()]
    assert values == pytest.approx([0.4, 1])


def test_the_table_and_the_figure_name_what_is_missing(few):
    rows = few.study.table(few).splitlines()
    assert len({row.count("|") for row in rows}) == 1
    none, attention, every = rows[2:]
    assert none.startswith("| no dropout | 3 | ")
    assert attention.count("±") == 0 and attention.count("| +0.0") == 1
    missing = "0 | not run yet: `python -m studies.dropout --arms all`"
    assert every.startswith(f"| 0.1 at BERT's sites | {missing} |")
    left, right = dropout.dropout_figure(few).axes
    assert len(left.collections) == 2 * 2  # a band for each curve
    (text,) = (text.get_text() for text in right.texts)  # none for the base itself
    assert text.startswith("0.1 on attention weights\n+0.0") and "one seed" in text


@pytest.mark.parametrize("study", [dropout.STUDY, fifty.STUDY], ids=lambda s: s.name)
def test_the_figure_shows_every_arm_and_every_interval(study):
    results = study.results()
    left, right = dropout.dropout_figure(results).axes
    assert len(left.lines) == len(left.collections) == 2 * 3
    last = [run["history"][-1] for run in results.runs["none"].values()]
    mean = sum(entry["validation_loss"] for entry in last) / len(last)
    assert mean == pytest.approx(left.lines[0].get_ydata()[-1])
    assert f"{study.arms['none'].training.epochs:g} epochs" in left.get_title()
    for arm, text in zip(("attention", "all"), right.texts, strict=True):
        minus = results.effect(Effect(arm, "none"))
        half = (minus["high"] - minus["low"]) / 2
        assert f"{minus['mean']:+.3f} ± {half:.3f}" in text.get_text()


def test_a_run_is_trained_and_scored(toy, tmp_path):
    short = replace(dropout.FAST, epochs=0.05, evaluations=1, batch_size=4)
    arms = {"none": dropout.Arm(ModelConfig(**TINY), short)}
    study = elsewhere(dropout.STUDY, tmp_path, arms=arms)
    run = study.run("none", 1)
    assert run["test"].keys() == run["validation"].keys() == {"packed", "sentences"}
    assert study.results().readings["none"].keys() == dropout.READINGS.keys()
    weights = study.states / run["name"] / f"{run['name']}.safetensors"
    assert load_model(weights)[2]["seed"] == 1


# The plateau.


def test_a_seed_that_stays_on_the_plateau_makes_the_mean_a_bound():
    results = plateau.STUDY.results()
    stayed = plateau.plateau_runs(results, "learned")[2]
    assert [entry["step"] for entry in stayed["history"]] == [*plateau.EVALUATED]
    for entry in stayed["history"]:
        entry["validation_loss"] = 5.6
    table = plateau.plateau_table(results).splitlines()
    assert "over 1,200 | at least " in table[4] and "±" in table[2]
    assert table[5] == "| none (control) |  | 0.001 | over 1,200 | one seed |"
    left, right = plateau.plateau_figure(results).axes
    for axes, count in ((left, 4), (right, 3)):  # the control is on the left only
        assert sum(len(line.get_xdata()) > 2 for line in axes.lines) == count
        assert len(axes.collections) == count


def test_a_plateau_record_of_another_run_is_refused(tmp_path):
    study, name = elsewhere(plateau.STUDY, tmp_path), "rotary_rate_0.001_seed_0.json"
    run = read_record(plateau.STUDY.folder / name)
    first = "rotary_rate_0.0005_seed_0.json"
    write_record(study.folder / first, read_record(plateau.STUDY.folder / first))
    coarse = [entry for entry in run["history"] if entry["step"] % 80 == 0]
    for change, told in (
        ({"unigram_loss": 5.5}, "another unigram_loss"),
        ({"number_format": "torch.float32"}, "another number_format"),
        ({"model": run["model"] | {"n_layers": 5}}, "another run: its n_layers"),
        ({"training": run["training"] | {"clip": 2.0}}, "another run: its clip"),
        ({"training": run["training"] | {"warmup": 0.1}}, "another run: its warm-up"),
        ({"history": run["history"][:9]}, "another run: its warm-up"),
        ({"history": coarse}, "another run: its warm-up"),
    ):
        write_record(study.folder / name, run | change)
        with pytest.raises(ValueError, match=told):
            study.results()


def test_the_best_rate_leaves_first_then_is_lowest():
    def ended(left: int, loss: float) -> dict:
        losses = {0: 5.6, left: 5.0, 1_200: loss}
        history = [{"step": s, "validation_loss": x} for s, x in losses.items()]
        return {0: {"unigram_loss": 5.6, "history": history}}

    def best(*runs: dict) -> str:
        names = [f"rotary_rate_{rate:g}" for rate in plateau.RATES]
        results = StudyResults(plateau.STUDY, dict(zip(names, runs, strict=False)))
        return plateau.plateau_arm(results, "rotary")

    never = {0: {"unigram_loss": 5.6, "history": [{"validation_loss": 5.2}]}}
    assert best(never, ended(800, 3.0), ended(160, 4.0)) == "rotary_rate_0.002"
    assert best(ended(160, 3.0), never, ended(160, 4.0)) == "rotary_rate_0.0005"
    with pytest.raises(ValueError, match="rotary_rate_0.002 is missing; make it: pyt"):
        best(never, never)


@pytest.mark.parametrize("kind", ["rotary", "noise"])
def test_a_run_of_the_plateau_is_trained_and_read(kind, toy, tmp_path, monkeypatch):
    own = {"STEPS": 6, "WARM_UP": 2, "BLOCKS": 16, "EVALUATED": range(0, 7, 3)}
    recipe = replace(positions.RECIPE, batch_size=8, evaluations=2, warmup=2 / 6)
    for name, value in own.items():
        monkeypatch.setattr(plateau, name, value)
    arm = plateau.ARMS[f"{kind}_rate_0.002"]
    arm = replace(arm, model=replace(arm.model, **TINY), training=recipe)
    study = elsewhere(plateau.STUDY, tmp_path, arms={f"{kind}_rate_0.002": arm})
    run = study.run(f"{kind}_rate_0.002", 3)
    assert [entry["step"] for entry in run["history"]] == [0, 3, 6]
    assert (run["positions"], run["rate"], run["seed"]) == (kind, 2e-3, 3)
    (readings,) = study.results().readings.values()
    assert readings.keys() == {"step_left", "lowest"}


@pytest.mark.parametrize("table", positions.TRAINED)
def test_the_controls_are_trained_tables_as_large_as_the_waves(table):
    config, ids_BT = ModelConfig(positions="sinusoidal", **TINY), torch.arange(64)[None]
    embedding = Embedding(config)
    before, waves_TD = embedding(ids_BT), embedding.waves_TD.clone()
    positions.train_positions(embedding, table)
    after = embedding(ids_BT)
    assert torch.equal(before, after) == (table == "waves")
    size, wanted = (x.square().mean().item() for x in (embedding.waves_TD, waves_TD))
    assert size == pytest.approx(wanted, rel=0.15)
    after.sum().backward()
    moved = {name for name, p in embedding.named_parameters() if p.grad is not None}
    assert moved == {"token.weight", "waves_TD"}


def test_a_subsample_is_spread_over_the_text(toy):
    data = experiment.prepare_experiment(ModelConfig(), 0)[2]
    few, distance = experiment_part(data, 4), len(data.subset_BT) // 4
    assert distance > 1 and len(few.validation_BT) == len(few.subset_BT) == 4
    assert torch.equal(few.validation_BT[1], data.validation_BT[distance])
    assert len(few.sample_BT) == 1 and few.stream is data.stream
