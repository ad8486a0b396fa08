"""The leads of the speedrun: how a model grows, how it is trained, what is told."""

from dataclasses import replace

import pytest
import torch
from test_studies import TINY, elsewhere
from tiny import few_lines, same_weights, tiny_model

from helpers import train as training
from helpers.model import ModelConfig
from studies.lab import experiment
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
    alone = deep.state_dict()
    with torch.no_grad():
        model.blocks[0].feed_forward.expand.weight.add_(1)
    assert all(torch.equal(alone[k], v) for k, v in deep.state_dict().items())
    assert len({id(p) for p in deep.parameters()}) == len([*deep.parameters()])


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """The study with a lead in two stages, on some lines of toy text."""
    monkeypatch.setattr(experiment, "training_corpus", few_lines)
    model, config = ModelConfig(**TINY), replace(leads.RECIPE, batch_size=8)
    arm = replace(leads.LEADS["stacked"], model=model, training=config, steps=20)
    return elsewhere(leads.STUDY, tmp_path, arms={"stacked": arm})


def test_each_stage_has_its_share_of_the_steps_and_only_the_last_cools_down(
    toy, monkeypatch
):
    seen = []

    def watched(model, data, config, folder):
        run = training.train(model, data, config, folder)
        seen.append((model.config.n_layers, run.step, config))
        return run

    monkeypatch.setattr(leads, "train", watched)
    run = toy.run("stacked", 3)
    layers, steps, configs = zip(*seen, strict=True)
    assert layers == (2, 4) and steps == (10, 10)
    first, second = configs
    assert first.cooldown == 0 < second.cooldown == leads.RECIPE.cooldown
    assert first.seed == 3 != second.seed and run["validation"]["words"] > 100
    assert (run["layers"], run["steps"]) == ([2, 4], 20)
    with pytest.raises(ValueError, match="another run: its layers is"):
        replace(toy, arms={"stacked": replace(toy.arms["stacked"], layers=(4,))}).runs()


def test_a_step_of_a_lead_with_stages_takes_the_mean_of_theirs(monkeypatch):
    monkeypatch.setattr(leads, "write_record", lambda path, record: seen.update(record))
    seconds = {1: 1.0, 2: 2.0, 4: 6.0}
    step = "timed_recipe_step"
    monkeypatch.setattr(leads, step, lambda model, _: lambda: seconds[model.n_layers])
    seen = {}
    monkeypatch.setattr(recipes, "ROUNDS", 3)
    leads.time_leads()
    assert seen["rounds"] == 3 and seen["recipe"]["ratio"] == [1, 1, 1]
    assert seen["stacked"]["seconds"] == [4, 4, 4]
    assert seen["stacked_twice"]["ratio"] == [0.5] * 3


def test_leads_take_the_time_of_the_recipe():
    """Within 2 %: their steps were set before the times on record were taken."""
    times = leads.read_record(leads.FOLDER / leads.TIMES)
    for name, arm in leads.LEADS.items():
        assert arm.steps * times[name]["ratio"][1] == pytest.approx(1_200, rel=0.02)
