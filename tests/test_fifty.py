"""The study of fifty epochs: its halves, its rule for a recipe, and its runs."""

import dataclasses

import pytest
import torch

from helpers import record
from helpers.corpus import toy_corpus
from helpers.model import ModelConfig
from studies import fifty

ONE, TWO, THREE, FOUR = fifty.TRIALS


def test_the_halves_share_no_block_and_leave_none_out():
    rows_BT = torch.arange(7)[:, None]
    halves = [fifty.half(rows_BT, name).flatten().tolist() for name in fifty.HALVES]
    assert halves == [[0, 2, 4, 6], [1, 3, 5]]


@pytest.mark.parametrize(
    "none, dropout, chosen",
    [
        # One recipe is the best of both, or near the best of both.
        ([3.00, 2.90, 3.20, 3.10], [3.10, 3.00, 3.30, 3.20], (TWO, TWO)),
        ([3.00, 3.009, 3.20, 3.10], [3.10, 3.00, 3.30, 3.20], (TWO, TWO)),
        # Two are near in both arms: the one with the lower mean.
        ([3.000, 3.002, 4.0, 4.0], [3.009, 3.000, 4.0, 4.0], (TWO, TWO)),
        # None is near in both: each arm has its own.
        ([3.00, 3.10, 3.20, 3.20], [3.20, 3.10, 3.05, 3.20], (ONE, THREE)),
    ],
)
def test_a_recipe_is_shared_if_it_is_near_the_best_of_each_arm(none, dropout, chosen):
    arms = {"none": none, "all": dropout}
    losses = {arm: dict(zip(fifty.TRIALS, of, strict=True)) for arm, of in arms.items()}
    assert fifty.choose(losses) == dict(zip(arms, chosen, strict=True))


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A tiny model on the toy text, two epochs, records and runs in a folder."""
    sizes = dict(vocab_size=200, max_length=16, n_layers=1, d_model=16, n_heads=2)
    tiny = ModelConfig(**sizes, d_ff=16)
    monkeypatch.setattr(fifty, "ARMS", {"none": tiny})
    monkeypatch.setattr(fifty, "EPOCHS", 2)
    monkeypatch.setattr(fifty, "ROOT", tmp_path)
    monkeypatch.setattr(fifty, "RECORDS", tmp_path / "records")
    text = toy_corpus()
    few = {"train": 600, "validation": 60, "test": 60}
    part = {split: getattr(text, split)[:count] for split, count in few.items()}
    corpus = dataclasses.replace(text, **part)
    monkeypatch.setattr("studies.lab.experiment.training_corpus", lambda: corpus)
    monkeypatch.setattr(fifty, "require_wikitext", lambda: corpus)


def test_a_run_records_both_halves_at_each_epoch_and_both_moments(small, monkeypatch):
    found = fifty.run("none", 0, ONE)
    history = found["history"]
    assert history[-1]["epoch"] == 2 and found["training"]["patience"] > 10**5
    assert all({"validation_loss", "scoring_loss"} <= {*entry} for entry in history)
    chosen = min(history, key=lambda entry: entry["validation_loss"])
    assert found["best_epoch"] == chosen["epoch"]
    # The last weights are those of the last entry, a seventh of each half.
    assert found["last"]["scoring"]["words"] > found["last"]["validation"]["words"] / 3
    both = sum(found["last"][name]["words"] for name in fifty.HALVES)
    assert both == found["last"]["validation"]["words"]
    kept = sorted((fifty.ROOT / "runs/fifty" / found["name"]).glob("step_*"))
    assert len(kept) == len([entry for entry in history if entry["step"]])
    # Made once: the second time it is read.
    monkeypatch.setattr(fifty, "train", None)
    assert fifty.run("none", 0, ONE) == found
    assert record.read(fifty.RECORDS / f"{found['name']}.json") == found


def test_a_trial_has_a_part_of_the_text_and_another_seed(small):
    found = fifty.trial("none", FOUR)
    assert found["seed"] == fifty.TRIAL_SEED and "probes" not in found["history"][0]
    assert found["training"]["weight_decay"] == fifty.TRIALS[FOUR]["weight_decay"]
    whole = fifty.run("none", 0, FOUR)
    steps = whole["history"][-1]["step"], found["history"][-1]["step"]
    assert steps[0] >= fifty.PART * steps[1] > 0 and found["text"] != whole["text"]
