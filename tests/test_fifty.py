"""The study of fifty epochs: its halves, its rule for a recipe, and its runs."""

from dataclasses import replace

import pytest
import torch
from test_studies import elsewhere
from tiny import few_lines, same_weights

from helpers.bpe import FIRST_MERGE, BPETokenizer
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


def test_all_recorded_runs_read_the_same_text():
    texts = {True: set(), False: set()}
    for arm, runs in fifty.STUDY.runs().items():
        texts[fifty.STUDY.arms[arm].pieces] |= {run["text"] for run in runs.values()}
    assert len(texts[False]) == 1 and len(texts[True]) <= 1


def small_tokenizer(pieces: bool, vocab_size: int):
    """A tokenizer of the toy text with so many ids."""
    lines = few_lines().train
    if pieces:
        return BPETokenizer.train(lines, vocab_size - FIRST_MERGE)
    return WordTokenizer.train(lines, vocab_size)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Both studies with tiny models on some lines of toy text, for two epochs."""
    monkeypatch.setattr(fifty, "EPOCHS", 2)
    monkeypatch.setattr(experiment, "training_corpus", few_lines)
    monkeypatch.setattr(fifty, "require_wikitext", few_lines)
    monkeypatch.setattr(fifty, "arm_tokenizer", small_tokenizer)
    sizes = dict(max_length=16, n_layers=1, d_model=16, n_heads=2, d_ff=16)
    for kind, size in {"none": 60, "pieces": FIRST_MERGE + 20}.items():
        model = ModelConfig(vocab_size=size, **sizes)
        arm = replace(fifty.KINDS[kind], model=model)
        monkeypatch.setitem(fifty.KINDS, kind, arm)
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
    shipped.ship_best_weights(study.results(), f"none_{ONE}", "long")
    tokenizer = small_tokenizer(False, 60)
    kept, _, info = load_model(tmp_path / "weights" / "long.safetensors", tokenizer)
    assert (info["name"], info["run"]) == ("long", names[0])
    assert info["moment"] == "best"
    paths = [study.states / name / "best.safetensors" for name in names]
    made = [load_model(path, tokenizer)[0] for path in paths]
    assert same_weights(kept, made[0]) and not same_weights(kept, made[1])
    with pytest.raises(ValueError, match=f"There are no runs of all_{ONE}; make one"):
        shipped.ship_best_weights(study.results(), f"all_{ONE}", "long")


def test_byte_pairs_are_trained_and_shipped_and_asked_the_same_words(
    small, tmp_path, monkeypatch
):
    study, _ = small
    runs = [study.run(f"{kind}_{ONE}", 0) for kind in ("none", "pieces")]
    words, pieces = (run["best"]["asked"] for run in runs)
    assert words["shared"]["words"] == pieces["shared"]["words"] > 100
    assert words["shared"]["tokens"] == 1 < pieces["shared"]["tokens"]
    assert words["rare"]["words"] == pieces["rare"]["words"] > 50
    assert (words["rare"]["held"], pieces["rare"]["held"]) == (0, 1)
    assert runs[0]["text"] != runs[1]["text"]
    monkeypatch.setattr(shipped, "ROOT", tmp_path)
    shipped.ship_best_weights(study.results(), f"pieces_{ONE}", "pairs")
    weights = tmp_path / "weights" / "pairs.safetensors"
    tokenizer = BPETokenizer.load(weights.with_suffix(".json"))
    model, *_ = load_model(weights, tokenizer)
    best = study.states / runs[1]["name"] / "best.safetensors"
    assert same_weights(model, load_model(best, tokenizer)[0])
    others = [BPETokenizer([*reversed(tokenizer.merges[:2]), *tokenizer.merges[2:]])]
    others.append(small_tokenizer(False, 60))
    for other in others:
        with pytest.raises(ValueError, match="trained with another vocabulary"):
            load_model(weights, other)


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
