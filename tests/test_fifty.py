"""The study of fifty epochs: its halves, its rule for a recipe, and its runs."""

import pytest
import torch
from test_studies import elsewhere
from tiny import few_lines, same_weights

from helpers.checkpoint import load_model
from helpers.model import ModelConfig
from helpers.record import read_record, write_record
from helpers.tokenizer import WordTokenizer
from studies import fifty
from studies.lab import experiment

ONE, TWO, THREE, FOUR = fifty.TRIALS
TRIAL_SEED = fifty.TRIAL_SEED


def test_the_halves_share_no_block_and_leave_none_out():
    rows_BT = torch.arange(7)[:, None]
    halves = [rows_BT[half].flatten().tolist() for half in fifty.HALVES.values()]
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
    assert fifty.choose_fifty_recipe(losses) == dict(zip(arms, chosen, strict=True))


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Both studies with a tiny model on some lines of toy text, for two epochs."""
    monkeypatch.setattr(fifty, "EPOCHS", 2)
    monkeypatch.setattr(experiment, "training_corpus", few_lines)
    monkeypatch.setattr(fifty, "require_wikitext", few_lines)
    sizes = dict(vocab_size=104, max_length=16, n_layers=1, d_model=16, n_heads=2)
    monkeypatch.setattr(fifty, "MODELS", {"none": ModelConfig(**sizes, d_ff=16)})
    runs = elsewhere(fifty.STUDY, tmp_path, arms=fifty.fifty_arms(2))
    return runs, elsewhere(fifty.TRIAL_STUDY, tmp_path, arms=fifty.fifty_arms(1))


def test_the_best_weights_of_the_chosen_recipe_and_the_median_seed_are_shipped(
    small, tmp_path, monkeypatch
):
    study, _ = small
    names = [study.run(f"none_{recipe}", 0)["name"] for recipe in (THREE, FOUR)]
    for seed, loss in ((1, 0.0), (2, 9.0)):  # around that of seed 0
        run = study.run(f"none_{FOUR}", 0) | {"seed": seed}
        run["training"] = run["training"] | {"seed": seed}
        run["best"] = run["best"] | {"scoring": {"loss": loss}}
        write_record(study.folder / f"none_{FOUR}_seed_{seed}.json", run)
    monkeypatch.setattr(fifty, "ROOT", tmp_path)
    tokenizer = WordTokenizer.train(few_lines().train, 104)
    tokenizer.save(tmp_path / "weights" / "vocabulary.json")
    losses = {"none": dict.fromkeys(fifty.TRIALS, 3.0) | {FOUR: 2.0}}
    monkeypatch.setattr(fifty, "fifty_trial_losses", lambda kinds: losses)
    fifty.ship_fifty(study.results())
    shipped, _, info = load_model(tmp_path / "weights" / "fifty.safetensors")
    assert info["run"] == f"none_{FOUR}_seed_0" and info["moment"] == "best"
    paths = [study.states / name / "best.safetensors" for name in names]
    kept = [load_model(path, tokenizer)[0] for path in paths]
    assert same_weights(shipped, kept[1]) and not same_weights(shipped, kept[0])
    losses["none"][ONE] = 1.0
    with pytest.raises(ValueError, match=f"No runs without dropout; .* --recipe {ONE}"):
        fifty.ship_fifty(study.results())


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
