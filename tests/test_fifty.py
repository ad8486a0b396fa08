"""The study of fifty epochs: its halves, runs and trials, and what is shipped."""

from dataclasses import replace

import pytest
import torch
from test_studies import TINY, elsewhere
from tiny import few_lines, same_weights

from helpers.checkpoint import load_model
from helpers.model import ModelConfig
from helpers.record import read_record, write_record
from studies import fifty, shipped
from studies.lab import experiment
from studies.lab.experiment import best_evaluation

*_, FOUR = fifty.TRIALS
TRIAL_SEED, MODEL = fifty.TRIAL_SEED, ModelConfig(**TINY, max_length=16)


def test_the_halves_share_no_block_and_leave_none_out():
    rows_BT = torch.arange(7)[:, None]
    halves = [rows_BT[half].flatten().tolist() for half in fifty.HALVES.values()]
    assert halves == [[0, 2, 4, 6], [1, 3, 5]]


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Both studies with a tiny model on some lines of toy text, for two epochs."""
    monkeypatch.setattr(experiment, "training_corpus", few_lines)
    monkeypatch.setattr(fifty.scored_text, "require_wikitext", few_lines)
    small, short = [], {"epochs": 2.0, "evaluations": 2}
    for study, name in (fifty.STUDY, "none"), (fifty.TRIAL_STUDY, f"none_{FOUR}"):
        arm = study.arms[name]
        arm = replace(arm, model=MODEL, training=replace(arm.training, **short))
        small.append(elsewhere(study, tmp_path, arms={name: arm}))
    return small


def test_the_best_weights_of_the_median_seed_are_shipped(small, tmp_path, monkeypatch):
    study, _ = small
    made = study.run("none", 0)
    for seed, loss in ((1, 0.0), (2, 9.0), (3, 0.0), (4, 0.0)):  # 0 to 2 count
        run = made | {"seed": seed, "training": made["training"] | {"seed": seed}}
        run["best"] = run["best"] | {"scoring": {"loss": loss, "accuracy": 0.1}}
        name = study.pattern.format(arm="none", seed=seed)
        write_record(study.folder / f"{name}.json", run)
    monkeypatch.setattr(shipped, "ROOT", tmp_path)
    monkeypatch.setattr(shipped, "RECORDS", tmp_path)
    monkeypatch.setattr(shipped, "require_wikitext", few_lines)
    with pytest.raises(ValueError, match="no runs of all with seed 0, 1, 2; make"):
        shipped.ship_models(study.results(), ["none", "all"])
    assert not (tmp_path / "weights").exists() and not [*tmp_path.glob("*.json")]
    arms = study.arms | {"attention": study.arms["none"]}  # of which none ships
    monkeypatch.setattr(fifty, "STUDY", replace(study, arms=arms, figures={}))
    fifty.main(["--ship", "--arms", "none", "attention"])
    kept, tokenizer, info = load_model(tmp_path / "weights" / "no_dropout.safetensors")
    assert info["run"] == made["name"] and info["moment"] == "best"
    best = study.states / made["name"] / "best.safetensors"
    assert same_weights(kept, load_model(best, tokenizer)[0])
    record = read_record(tmp_path / "no_dropout.json")
    assert (record["name"], record["run"]) == ("no_dropout", made["name"])
    assert (record["seed"], record["vocab_size"]) == (0, 104)
    assert record["wasted"]["pack"] < record["wasted"]["pad"]
    best = made["best"]
    ways = {"packed": best["validation"], "sentences": best["sentences"]}
    assert record["validation"] == ways and record["test"] == {"packed": best["test"]}
    assert record["best_step"] == best_evaluation(made["history"])["step"]


def test_a_run_records_both_halves_and_a_trial_has_a_part_of_the_text(small):
    study, trials = small
    run, trial = study.run("none", 0), trials.run(f"none_{FOUR}", TRIAL_SEED)
    assert run["arm"] == trial["arm"] == "none"
    history = run["history"]
    assert history[-1]["epoch"] == 2 and run["training"]["patience"] > 10**5
    assert trial["training"]["weight_decay"] == fifty.TRIALS[FOUR]["weight_decay"]
    assert all({"validation_loss", "scoring_loss"} <= {*entry} for entry in history)
    chosen = min(history, key=lambda entry: entry["validation_loss"])
    # The last weights are scored on each half, and the halves make up the whole.
    assert run["last"]["scoring"]["words"] > run["last"]["validation"]["words"] / 3
    both = sum(run["last"][name]["words"] for name in fifty.HALVES)
    assert both == run["last"]["validation"]["words"]
    # A fifth of one half is also hidden singly, and the best weights may be the last.
    assert run["best"]["singly"]["words"] == -(-run["best"]["scoring"]["words"] // 5)
    assert (run["best"] == run["last"]) == (chosen["step"] == history[-1]["step"])
    assert "| no dropout | 1 |" in study.table(study.results())
    # And the trial.
    assert read_record(trials.folder / f"trial_none_{FOUR}_seed_100.json") == trial
    assert trial["seed"] == TRIAL_SEED and "probes" not in trial["history"][0]
    losses = [entry["validation_loss"] for entry in trial["history"]]
    assert trial["best"]["validation_loss"] == min(losses)
    steps = history[-1]["step"], trial["history"][-1]["step"]
    assert steps[0] >= fifty.PART * steps[1] > 0 and trial["text"] != run["text"]
