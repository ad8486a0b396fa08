"""The leads of the speedrun: how a model grows, how it is trained, what is told."""

import copy
from dataclasses import replace
from unittest.mock import Mock

import pytest
from test_studies import TINY, elsewhere
from tiny import at_call, few_lines, same_weights, tiny_model

from helpers import train as training
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.record import read_record, write_record
from helpers.resume import load_state
from studies.lab import experiment
from studies.lab.study import StudyResults
from studies.speed import leads, recipes


def test_a_stacked_model_has_the_blocks_over_and_over():
    model = tiny_model(30, 2)
    deep = leads.stacked_model(model, 4)
    assert deep.config.n_layers == len(deep.blocks) == 4
    for number, block in enumerate(deep.blocks):
        assert same_weights(block, model.blocks[number % 2])
    for name in ("embedding", "norm", "head"):
        assert same_weights(getattr(deep, name), getattr(model, name))
    assert deep.head.decoder.weight is deep.embedding.token.weight  # still tied
    own, shared = {*deep.parameters()}, {*model.parameters()}
    assert len(own) == len([*MaskedLanguageModel(deep.config).parameters()])
    assert not own & shared


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """The study with a lead in three stages, on some lines of toy text."""
    monkeypatch.setattr(experiment, "training_corpus", few_lines)
    model, config = ModelConfig(**TINY), replace(leads.RECIPE, batch_size=8)
    arm = replace(leads.LEADS["stacked_twice"], model=model, training=config, steps=30)
    return elsewhere(leads.STUDY, tmp_path, arms={"stacked_twice": arm})


def test_each_stage_goes_on_with_what_the_one_before_has_learned(toy, monkeypatch):
    seen = []

    def watched(model, data, config, folder):
        begun = copy.deepcopy(model)
        run = training.train(model, data, config, folder)
        seen.append((begun, model, run.step, config))
        return run

    monkeypatch.setattr(leads, "train", watched)
    run = toy.run("stacked_twice", 3)
    begun, ended, steps, configs = zip(*seen, strict=True)
    assert [len(model.blocks) for model in ended] == [1, 2, 4] and steps == (10,) * 3
    for before, after, untrained in zip(ended, begun[1:], begun, strict=False):
        for number, block in enumerate(after.blocks):
            was = number % len(before.blocks)
            assert same_weights(block, before.blocks[was])
            assert not same_weights(block, untrained.blocks[was])
    assert [config.cooldown for config in configs] == [0, 0, leads.RECIPE.cooldown]
    assert configs[0].seed == 3 and len({config.seed for config in configs}) == 3
    assert all(config.patience > 5 for config in configs)
    assert (run["layers"], run["steps"]) == ([1, 2, 4], 30) and run["validation"]
    other = {"stacked_twice": replace(toy.arms["stacked_twice"], layers=(2, 4))}
    with pytest.raises(ValueError, match="another run: its layers is"):
        replace(toy, arms=other).results()


def test_a_lead_goes_on_in_the_stage_in_which_it_was_killed(toy, monkeypatch):
    whole = toy.run("stacked_twice", 0)["validation"]
    again = replace(toy, folder=toy.folder / "other", states=toy.states / "other")
    dying = at_call(15, Mock(side_effect=KeyboardInterrupt), training.train_step)
    monkeypatch.setattr(training, "train_step", dying)
    with pytest.raises(KeyboardInterrupt):
        again.run("stacked_twice", 0)
    stages = (again.states / "stacked_twice_seed_0" / f"stage_{n}" for n in range(3))
    steps = [load_state(stage / "state.pt").get("step") for stage in stages]
    assert steps == [10, 4, None]
    assert again.run("stacked_twice", 0)["validation"] == whole


def test_a_timed_step_is_one_of_the_lead(monkeypatch):
    monkeypatch.setattr(experiment, "training_corpus", few_lines)
    seen = []

    def timed(model, config):
        return lambda ids_BT: seen.append((model.config.n_layers, config, len(ids_BT)))

    monkeypatch.setattr(recipes.timing, "timed_training_step", timed)
    model, config = ModelConfig(**TINY), replace(leads.RECIPE, batch_size=8)
    assert recipes.timed_recipe_step(model, config)() > 0
    assert seen == [(1, config, 8)]


def test_a_step_of_a_lead_with_stages_takes_the_mean_of_theirs(monkeypatch, tmp_path):
    monkeypatch.setattr(leads, "FOLDER", tmp_path)
    seconds = {1: 1.0, 2: 2.0, 4: 6.0}

    def step(model, config):
        return lambda: seconds[model.n_layers] * config.batch_size / 64

    monkeypatch.setattr(recipes, "timed_recipe_step", step)
    monkeypatch.setattr(recipes, "ROUNDS", 3)
    with pytest.raises(ValueError, match="make it: python -m studies.speed.leads --t"):
        leads.leads_table(leads.STUDY.results())
    leads.time_leads()
    times = read_record(tmp_path / recipes.TIMES)
    assert times["rounds"] == 3 and times["recipe"]["ratio"] == [1, 1, 1]
    assert times["stacked"]["seconds"] == [4, 4, 4]
    assert (
        times["stacked_twice"]["ratio"] == times["half_batches"]["ratio"] == [0.5] * 3
    )
    times["recipes"]["masks"][1]["mask_rate"] = 0.2
    write_record(tmp_path / recipes.TIMES, times)
    with pytest.raises(ValueError, match="holds another run: its mask_rate is 0.2"):
        leads.leads_table(leads.STUDY.results())


def test_leads_take_the_time_of_the_recipe():
    """Within 2 %: their steps were set before the times on record were taken."""
    times = read_record(leads.FOLDER / recipes.TIMES)
    long = leads.EPOCHS * recipes.PER_EPOCH
    for name, arm in (leads.LEADS | leads.LONG).items():
        ratio = times[name.removeprefix("long_")]["ratio"][1]
        whole = long if name in leads.LONG else leads.STEPS
        assert arm.steps * ratio == pytest.approx(whole, rel=0.02)


def test_a_lead_without_the_recipe_beside_it_has_no_difference():
    results = leads.STUDY.results()
    runs = {name: results.runs[name] for name in ("masks", "long_stacked")}
    *_, short, long = leads.leads_table(StudyResults(leads.STUDY, runs)).splitlines()
    assert (
        short.endswith("|  |") and long.endswith("|  |") and "| 20 epochs: 2," in long
    )
