"""The study of fifty epochs: its halves, its rule for a recipe, and its runs."""

from dataclasses import replace

import pytest
import torch
from test_studies import elsewhere
from tiny import few_lines, same_weights

from helpers.checkpoint import load_model
from helpers.model import ModelConfig
from helpers.record import read_record, write_record
from helpers.tokenizer import WordTokenizer
from studies import fifty, shipped
from studies.lab import experiment

ONE, *_, FOUR = fifty.TRIALS
TRIAL_SEED = fifty.TRIAL_SEED


def test_the_halves_share_no_block_and_leave_none_out():
    rows_BT = torch.arange(7)[:, None]
    halves = [rows_BT[half].flatten().tolist() for half in fifty.HALVES.values()]
    assert halves == [[0, 2, 4, 6], [1, 3, 5]]


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Both studies with a tiny model on some lines of toy text, for two epochs."""
    monkeypatch.setattr(fifty, "EPOCHS", 2)
    monkeypatch.setattr(experiment, "training_corpus", few_lines)
    monkeypatch.setattr(fifty, "require_wikitext", few_lines)
    sizes = dict(vocab_size=104, max_length=16, n_layers=1, d_model=16, n_heads=2)
    arm = replace(fifty.KINDS["none"], model=ModelConfig(**sizes, d_ff=16))
    monkeypatch.setitem(fifty.KINDS, "none", arm)
    runs = elsewhere(fifty.STUDY, tmp_path, arms=fifty.fifty_arms(2))
    return runs, elsewhere(fifty.TRIAL_STUDY, tmp_path, arms=fifty.fifty_arms(1))


def test_the_best_weights_of_the_median_seed_are_shipped(small, tmp_path, monkeypatch):
    study, _ = small
    names = [study.run(f"none_{recipe}", 0)["name"] for recipe in (ONE, FOUR)]
    for seed, loss in ((1, 0.0), (2, 9.0)):  # around that of seed 0
        run = study.run(f"none_{ONE}", 0) | {"seed": seed}
        run["training"] = run["training"] | {"seed": seed}
        run["best"] = run["best"] | {"scoring": {"loss": loss}}
        write_record(study.folder / f"none_{ONE}_seed_{seed}.json", run)
    monkeypatch.setattr(shipped, "ROOT", tmp_path)
    tokenizer = WordTokenizer.train(few_lines().train, 104)
    shipped.ship_best_weights(study.results(), f"none_{ONE}", "long", tokenizer)
    kept, _, info = load_model(tmp_path / "weights" / "long.safetensors", tokenizer)
    assert (info["name"], info["run"]) == ("long", names[0])
    assert info["moment"] == "best"
    paths = [study.states / name / "best.safetensors" for name in names]
    made = [load_model(path, tokenizer)[0] for path in paths]
    assert same_weights(kept, made[0]) and not same_weights(kept, made[1])
    with pytest.raises(ValueError, match=f"There are no runs of all_{ONE}; make one"):
        shipped.ship_best_weights(study.results(), f"all_{ONE}", "long", tokenizer)


def test_a_run_records_both_halves_and_a_trial_has_a_part_of_the_text(small):
    study, trials = small
    run, trial = study.run(f"none_{FOUR}", 0), trials.run(f"none_{FOUR}", TRIAL_SEED)
    assert (
        (run["arm"], run["recipe"]) == (trial["arm"], trial["trial"]) == ("none", FOUR)
    )
    history = run["history"]
    assert history[-1]["epoch"] == 2 and run["training"]["patience"] > 10**5
    assert run["training"]["weight_decay"] == fifty.TRIALS[FOUR]["weight_decay"]
    assert all({"validation_loss", "scoring_loss"} <= {*entry} for entry in history)
    chosen = min(history, key=lambda entry: entry["validation_loss"])
    assert run["best_epoch"] == chosen["epoch"]
    # The last weights are scored on each half, and the halves make up the whole.
    assert run["last"]["scoring"]["words"] > run["last"]["validation"]["words"] / 3
    both = sum(run["last"][name]["words"] for name in fifty.HALVES)
    assert both == run["last"]["validation"]["words"]
    # A fifth of one half is also hidden singly, and the best weights may be the last.
    asked = run["best"]["singly"]["words"]
    assert asked == -(-run["best"]["scoring"]["words"] // 5)
    same = chosen["step"] == history[-1]["step"]
    assert (run["best"] == run["last"]) == same
    assert f"| none_{FOUR} | 1 |" in study.table(study.results())
    # And the trial.
    assert read_record(trials.folder / f"trial_none_{FOUR}.json") == trial
    assert trial["seed"] == TRIAL_SEED and "probes" not in trial["history"][0]
    losses = [entry["validation_loss"] for entry in trial["history"]]
    assert trial["best"]["validation_loss"] == min(losses)
    steps = history[-1]["step"], trial["history"][-1]["step"]
    assert steps[0] >= fifty.PART * steps[1] > 0 and trial["text"] != run["text"]
