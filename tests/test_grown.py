"""The model that grows: its layers, its training, and how it is scored."""

from dataclasses import replace

import pytest
import torch
from test_studies import elsewhere
from tiny import few_lines, fresh_model, scattered

from helpers.model import ModelConfig
from helpers.tokenizer import MASK, PAD
from studies import fifty, grown
from studies.lab import experiment


@torch.no_grad()
def test_a_stacked_model_applies_its_layers_twice():
    model = scattered(fresh_model(n_layers=2), 0.3).eval()
    deep = grown.grow_layers(model).eval()
    ids_BT = torch.randint(5, 12, (3, 8))
    x_BTD = model.embedding(ids_BT)
    for block in (*model.blocks, *model.blocks):
        x_BTD = block(x_BTD)[0]
    expected_BTV = model.head(model.norm(x_BTD))
    assert deep.config == replace(model.config, n_layers=4)
    torch.testing.assert_close(deep(ids_BT), expected_BTV)
    assert not torch.allclose(model(ids_BT), expected_BTV, atol=1e-2)
    # The copies are copies: training one layer does not move another.
    first, copy = (deep.blocks[n].attention_norm.weight for n in (0, 2))
    first.zero_()
    assert copy.any()


def test_one_word_is_hidden_at_a_time_and_each_once():
    model, seen = fresh_model().eval(), []
    model.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    ids_BT = torch.tensor([[2, 5, 6, 7, 8, 9, 3, PAD], [2, 5, 1, 6, 10, 11, 7, 8]])
    result = grown.score_one_at_a_time(model, ids_BT)
    hidden = torch.cat([(rows == MASK).sum(1) for rows in seen])
    assert result["words"] == hidden.sum() == 11 and hidden.max() == 1


def test_a_run_trains_half_the_depth_first_and_the_deep_model_goes_on(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(experiment, "training_corpus", few_lines)
    monkeypatch.setattr(fifty, "require_wikitext", few_lines)
    sizes = dict(vocab_size=104, max_length=16, n_layers=2, d_model=16, n_heads=2)
    short = {"epochs": 2.0, "evaluations": 2, "learning_rate": 2e-2}
    arm = grown.GrownArm(
        ModelConfig(**sizes, d_ff=16),
        replace(grown.DEEP, **short),
        replace(grown.SHALLOW, **short),
    )
    study = elsewhere(grown.STUDY, tmp_path, arms={"grown": arm})
    run = study.run("grown", 0)
    before, start = run["shallow_history"][-1], run["history"][0]
    assert run["shallow_history"][0]["validation_loss"] > before["validation_loss"]
    # A copied layer disturbs, but what was learned is still there.
    untrained = run["shallow_history"][0]["validation_loss"]
    assert start["step"] == 0 and start["validation_loss"] < untrained
    assert run["history"][-1]["epoch"] == 2 and run["validation"]["words"] > 0
    assert run["one_at_a_time"]["words"] == run["validation"]["words"]
    assert f"| {run['test']['words']} | {run['test']['loss']:.3f} |" in study.table(
        study.results()
    )
    saved = study.states / run["name"] / "grown.safetensors"
    assert saved.exists() and study.run("grown", 0) == run
    with pytest.raises(ValueError, match="epochs is 2.0, not 3"):
        longer = replace(arm, shallow=replace(arm.shallow, epochs=3.0))
        replace(study, arms={"grown": longer}).run("grown", 0)
