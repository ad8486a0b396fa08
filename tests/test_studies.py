"""The studies: their statistics, what they compare with, and what they write."""

import json
import math
from dataclasses import asdict, dataclass, replace

import pytest
import torch
from scipy import stats

from helpers import ROOT, record
from helpers.checkpoint import load_state, save_state
from helpers.corpus import FOLDER_VARIABLE
from helpers.data import TrainingData
from helpers.evaluate import unigram
from helpers.masking import evaluation_subsets
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.tokenizer import CLS
from studies import dropout, plateau, plateau_runs
from studies.attention.references import GUESSES, bigram, references
from studies.figures import (
    dropout_study,
    plateau_study,
)
from studies.lab import experiment, runs
from studies.lab.stats import one_sided_p, student
from studies.tables import dropout_table, plateau_table


def test_an_interval_is_students():
    values = [1.0, 2.0, 4.0]
    found = student(values)
    low, high = stats.t.interval(0.95, 2, 7 / 3, stats.sem(values))
    assert (found["n"], found["mean"]) == (3, pytest.approx(7 / 3))
    assert found["half_width"] == pytest.approx((high - low) / 2)
    assert student([5.0]) == {"n": 1, "mean": 5.0, "half_width": None}


def test_a_one_sided_test_looks_to_one_side():
    assert one_sided_p([1.0, 1.1, 0.9], 2.0) < 0.01
    assert one_sided_p([3.0, 3.1, 2.9], 2.0) > 0.99


def chain(count: int, vocab_size: int, sure: float):
    """Text in which each word follows from the one before with a probability."""
    draw = torch.Generator().manual_seed(0)
    words, spread = [5], vocab_size - 5
    jump = torch.rand(count, generator=draw) > sure
    anywhere = torch.randint(5, vocab_size, (count,), generator=draw)
    for i in range(count):
        following = 5 + (words[-1] - 5 + 1) % spread
        words.append(int(anywhere[i]) if jump[i] else following)
    return torch.tensor(words)


def prepared(stream, text, vocab_size):
    ids = torch.cat([torch.full((len(text) // 15, 1), CLS), text.view(-1, 15)], 1)
    subset = evaluation_subsets(ids)
    return TrainingData(stream, ids, subset, ids, subset)


def test_a_two_sided_bigram_uses_both_neighbours():
    """The left neighbour alone, always in view, would leave 1.2 nats."""
    text = chain(60_000, 45, 0.8)
    data = prepared(text[:45_000], text[45_000:60_000], 45)
    one_sided = -(0.805 * math.log(0.805) + 0.195 * math.log(0.005))
    found = bigram(data, 45)
    assert found["loss"] < one_sided - 0.1
    assert found["accuracy"] > 0.75


def test_a_bigram_of_unrelated_words_is_the_unigram():
    text = chain(60_000, 45, 0.0)
    data = prepared(text[:45_000], text[45_000:60_000], 45)
    plain = unigram(data.stream, data.validation_BT, data.subset_BT, 45)
    assert bigram(data, 45)["loss"] == pytest.approx(plain["loss"], abs=0.02)


def test_a_bigram_does_not_see_what_is_hidden():
    """A word hidden in the same subset changes no other guess than its own."""
    text = chain(6_000, 45, 0.8)
    data = prepared(text[:4_500], text[4_500:6_000], 45)
    all_hidden = torch.zeros_like(data.subset_BT)
    all_hidden[:, 0] = -1
    everything = TrainingData(
        data.stream, data.validation_BT, all_hidden, data.sample_BT, all_hidden
    )
    # Nothing is left to look at, so both are the unigram.
    found = bigram(everything, 45)
    plain = unigram(data.stream, data.validation_BT, all_hidden, 45)
    assert found["loss"] == pytest.approx(plain["loss"], abs=2e-3)


def test_references_are_in_order():
    text = chain(60_000, 45, 0.8)
    data = prepared(text[:45_000], text[45_000:60_000], 45)
    found = references(data, 45)
    assert found["uniform"] == {"loss": math.log(45), "accuracy": 1 / 45}
    losses = [found[name]["loss"] for name in ("uniform", "unigram", "bigram")]
    assert losses == sorted(losses, reverse=True)


def fake_run(arm: str, seed: int, loss: float, epochs=8.0) -> dict:
    scores = {
        layout: {"loss": loss, "accuracy": 0.4, "words": 10}
        for layout in ("packed", "sentences")
    }
    history = [
        {"step": s, "epoch": e, "seconds": 9.0 * e, "train_loss": loss - 0.1 * e}
        | {"validation_loss": loss + abs(e - 4) / 10, "validation_accuracy": 0.4}
        for s, e in ((0, 0), (10, 1), (40, 4), (80, 8))
    ]
    return {
        **record.plain(dropout.identity(arm, seed, int(epochs))),
        "number_format": "torch.bfloat16",
        "hardware": {"device": "a machine"},
        "validation": scores,
        "test": scores,
        "history": history,
    }


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Records of two arms, three seeds each; the third arm has one."""
    records = tmp_path / "dropout_study"
    records.mkdir()
    monkeypatch.setattr(dropout, "RECORDS", records)
    monkeypatch.setattr(dropout, "SUMMARY", tmp_path / "dropout_study.json")
    guesses = dict.fromkeys(GUESSES, {"loss": 3.8, "accuracy": 0.3})
    (tmp_path / "references.json").write_text(json.dumps(guesses), "utf-8")
    runs = [fake_run("none", seed, 3.0 + seed) for seed in range(3)]
    runs += [fake_run("all", seed, 3.2 + seed + 0.1 * seed) for seed in range(3)]
    runs += [fake_run("attention", 1, 3.9)]
    for run in runs:
        name = dropout.run_name(run["arm"], run["seed"], 8)
        (records / f"{name}.json").write_text(json.dumps(run), "utf-8")
    return runs


def test_differences_are_paired_by_seed(study):
    table = dropout.summarise()["budgets"]["8"]
    found = table["all"]["minus_none"]["loss"]
    assert found.pop("values") == pytest.approx([0.2, 0.3, 0.4])
    assert found == pytest.approx(student([0.2, 0.3, 0.4]))
    # The spread over seeds is ten times that of the differences, and does not count.
    assert found["half_width"] < table["all"]["means"]["loss"]["half_width"] / 5
    alone = table["attention"]["minus_none"]["loss"]
    assert (alone["n"], alone["half_width"]) == (1, None)
    assert alone["mean"] == pytest.approx(3.9 - 4.0)


def test_runs_of_another_recipe_are_not_mixed_in(study):
    path = dropout.RECORDS / f"{dropout.run_name('all', 2, 8)}.json"
    path.write_text(json.dumps(study[5] | {"number_format": "torch.float32"}), "utf-8")
    with pytest.raises(ValueError, match="another number format; compare"):
        dropout.summarise()


CHANGES = {
    "d_ff is 8, not 512": lambda r: r | {"model": r["model"] | {"d_ff": 8}},
    "dropout is 0.5": lambda r: r | {"model": r["model"] | {"dropout": 0.5}},
    "clip is 2": lambda r: r | {"training": r["training"] | {"clip": 2.0}},
    "wings is 2": lambda r: r | {"model": r["model"] | {"wings": 2}},
    "seed is 7": lambda r: r | {"seed": 7},
    "arm is none": lambda r: r | {"arm": "none"},
    "corpus is toy": lambda r: r | {"corpus": "toy"},
}


@pytest.mark.parametrize("told", CHANGES)
def test_a_record_that_is_not_of_its_arm_is_neither_skipped_nor_summarised(study, told):
    path = dropout.RECORDS / f"{dropout.run_name('all', 2, 8)}.json"
    path.write_text(json.dumps(CHANGES[told](study[5])), "utf-8")
    for act in (dropout.summarise, lambda: dropout.run("all", 2, 8)):
        with pytest.raises(ValueError, match=f"{path} holds .*: its {told}") as caught:
            act()
        said = str(caught.value)
        assert "arm or the record was changed; restore it" in said
        assert not any(word in said for word in ("delete", "move", "another name"))


def test_an_arm_that_was_changed_is_not_taken_as_done(study, monkeypatch):
    monkeypatch.setitem(dropout.ARMS, "all", ModelConfig(dropout=0.5))
    for act in (dropout.summarise, lambda: dropout.run("all", 2, 8)):
        with pytest.raises(ValueError, match="its dropout is 0.1, not 0.5"):
            act()


def test_a_copy_under_another_name_is_refused(study):
    for name in (
        "all_8_epochs_seed_9",
        "every_8_epochs_seed_0",
        "all_8_epochs_seed_02",
        "all_08_epochs_seed_2",
    ):
        path = dropout.RECORDS / f"{name}.json"
        path.write_text(json.dumps(study[5]), "utf-8")
        with pytest.raises(ValueError, match=name):
            dropout.summarise()
        path.unlink()


ODD = {
    "a list": lambda r: [],
    "no history": lambda r: {k: v for k, v in r.items() if k != "history"},
    "no number format": lambda r: {k: v for k, v in r.items() if k != "number_format"},
    "no validation": lambda r: r | {"validation": None},
    "text as settings": lambda r: r | {"training": "fast"},
    "text as a loss": lambda r: r | {"test": {"packed": {"loss": "3.1"}}},
    "a loss that is NaN": lambda r: r | {"test": {"packed": {"loss": math.nan}}},
}


@pytest.mark.parametrize("odd", ODD)
def test_a_record_of_another_kind_is_named(study, odd):
    path = dropout.RECORDS / f"{dropout.run_name('all', 2, 8)}.json"
    path.write_text(json.dumps(ODD[odd](study[5])), "utf-8")
    with pytest.raises(
        ValueError, match=f"{path}:? (is missing|.* restore it as it was)"
    ):
        dropout.summarise()


@pytest.mark.parametrize("odd", [[], {}, {"bigram": {"loss": 3.8}}, None])
def test_references_of_another_kind_are_named(study, odd):
    record.write(dropout.RECORDS.parent / "references.json", odd)
    with pytest.raises(
        ValueError, match="references.json (is missing|lacks .* restore it)"
    ):
        dropout.summarise()
    assert not dropout.SUMMARY.exists()


def test_a_field_newer_than_a_record_had_its_default(study, monkeypatch):
    """As ModelConfig's and TrainConfig's would have, had they another field."""

    @dataclass(frozen=True)
    class Newer(TrainConfig):
        wings: int = 2

    def newer(arm, seed, epochs):
        config = Newer(**asdict(older(arm, seed, epochs)["training"]))
        return older(arm, seed, epochs) | {"training": replace(config, wings=wings)}

    older = dropout.identity
    monkeypatch.setattr(dropout, "identity", newer)
    wings = 2
    assert dropout.summarise()
    wings = 3
    with pytest.raises(ValueError, match="its wings is 2, not 3"):
        dropout.summarise()


def test_the_committed_records_are_of_their_arms():
    for path in (ROOT / "plots" / "records" / "dropout_study").glob("*.json"):
        arm, epochs, seed = dropout.RUN.fullmatch(path.stem).groups()
        wanted = dropout.identity(arm, int(seed), int(epochs))
        assert runs.known(path, wanted, dropout.FREE)


def test_the_gap_is_that_of_the_best_epoch(study):
    row = dropout.summarise()["budgets"]["8"]["none"]["runs"][0]
    assert row["best_epoch"] == 4
    assert row["gap"] == pytest.approx(0.4)
    assert row["hours"] == pytest.approx(72 / 3_600)


def test_a_run_whose_record_exists_is_not_made_again(study, monkeypatch):
    monkeypatch.setattr(dropout, "run_experiment", None)
    dropout.run("none", 0, 8)
    with pytest.raises(TypeError):
        dropout.run("none", 7, 8)


def test_the_figure_shows_every_run_and_every_interval(study):
    figure = dropout_study(dropout.summarise(), study)
    left, right = figure.axes
    curves = [line for line in left.lines if len(line.get_xdata()) > 2]
    assert len(curves) == 2 * len(study)
    texts = [text.get_text() for text in right.texts]
    assert any("+0.300 ±" in text for text in texts)
    assert any("-0.100" in text and "±" not in text for text in texts)


def test_the_table_names_what_is_missing(study):
    rows = dropout_table(dropout.summarise()).splitlines()
    assert len({row.count("|") for row in rows}) == 1
    none, attention, every, on_gpu = rows[2:]
    assert on_gpu.startswith("| 50 | all three | 0 | not run yet: `python -m")
    assert "| 3 | 4.000 ± 2.484 | 40.0 ± 0.0 % |  |" in none
    assert "| 1 | 3.900 | 40.0 % | -0.100 |" in attention
    assert "+0.300 ± 0.248" in every
    (dropout.RECORDS / f"{dropout.run_name('attention', 1, 8)}.json").unlink()
    table = dropout_table(dropout.summarise())
    assert "| 8 | 0.1 on attention weights | 0 | not run yet: `python -m" in table


def test_a_state_in_place_is_not_replaced(tmp_path):
    config = TrainConfig(epochs=1.0, warmup=0.2, evaluations=1, cooldown=0.0)
    short = record.plain({"model": ModelConfig(), "training": config, "text": "t"})
    config = replace(config, epochs=4.0, warmup=0.05, evaluations=4)
    wanted = {"model": ModelConfig(), "training": config, "text": "t"}
    long = record.plain(wanted)
    save_state(tmp_path / "short" / "state.pt", {"step": 1, "identity": short})
    place = tmp_path / "long" / "state.pt"
    runs.lengthen(place.parents[1] / "short", place.parent, wanted)
    assert load_state(place) == {"step": 1, "identity": long}
    save_state(place, {"step": 2, "identity": long})
    place.unlink()  # killed between two renamings: only the one before is left
    save_state(tmp_path / "short" / "state.pt", {"step": 9, "identity": short})
    runs.lengthen(place.parents[1] / "short", place.parent, wanted)
    assert load_state(place)["step"] == 1


@pytest.mark.parametrize(
    "change, same",
    [
        ({"epochs": 4.0, "warmup": 0.05, "evaluations": 9}, True),
        ({"epochs": 4.0}, False),  # another number of steps to warm up
        ({"cooldown": 0.5}, False),
        ({"seed": 1}, False),
    ],
)
def test_settings_start_the_same(change, same):
    one = TrainConfig(epochs=1.0, warmup=0.2, evaluations=1, cooldown=0.0)
    assert runs.same_start(one, replace(one, **change)) == same
    falling = replace(one, cooldown=0.9)
    assert not runs.same_start(falling, falling)  # its rate knows the length


def test_fewer_blocks_are_spread_over_the_text(monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, "toy")
    data = experiment.prepare(ModelConfig(), 0)[2]
    few = runs.subsample(data, 16)
    assert len(few.validation_BT) == len(few.subset_BT) == 16
    assert torch.equal(
        few.validation_BT[1], data.validation_BT[len(data.subset_BT) // 16]
    )
    assert len(few.sample_BT) == 2
    assert few.stream is data.stream


SCORES = "seconds", "train_loss", "validation_loss", "validation_accuracy"


def fake_plateau(positions: str, rate: float, seed: int, leaves: int) -> dict:
    """A record whose loss leaves the plateau at a step; its run may be longer."""
    history = [
        dict.fromkeys(SCORES, 3.0 if step >= leaves else 5.6)
        | {"step": step, "most_predicted": 9, "most_predicted_share": 0.2}
        | {"probes": [{"predicted": 9 if step < leaves else 7, "p": 0.5}]}
        for step in (*range(0, 2 * plateau.STEPS, plateau.EVERY), 31)
    ]
    config = replace(
        plateau.RECIPE, epochs=6.0, warmup=0.05, learning_rate=rate, seed=seed
    )
    said = {"left": ["a"], "right": ["b"], "true": "seven", "pred": "?", "p": 0.0}
    return {
        "positions": positions,
        "rate": rate,
        "seed": seed,
        "model": asdict(ModelConfig(positions=positions)),
        "training": asdict(config),
        "number_format": "torch.bfloat16",
        "unigram_loss": 5.6,
        "samples": [{"predictions": [said]}],
        "history": history,
    }


def wanted_of(found: dict) -> dict:
    """What the study would have trained: half as long."""
    training = TrainConfig(**found["training"] | {"epochs": 3.0, "warmup": 0.1})
    settings = {"model": ModelConfig(**found["model"]), "training": training}
    return settings | {"unigram_loss": found["unigram_loss"]}


@pytest.fixture
def collapse(tmp_path, monkeypatch):
    """Three kinds of positions, of three seeds each, as read from their records."""
    monkeypatch.setattr(plateau, "SUMMARY", tmp_path / "plateau.json")
    leaves = {"rotary": 80, "sinusoidal": 240, "learned": 1_000}
    arms = {}
    for positions, first in leaves.items():
        arms[positions] = []
        for seed in range(3):
            found = fake_plateau(positions, 1e-3, seed, first + 120 * seed)
            path = tmp_path / f"{positions}_{seed}.json"
            path.write_text(json.dumps(found), "utf-8")
            arms[positions].append(plateau.read(path, wanted_of(found)))
    control = fake_plateau("none", 1e-3, 0, plateau.STEPS + 40)
    path.write_text(json.dumps(control), "utf-8")
    control = plateau.read(path, wanted_of(control))
    trials = {positions: seeds[:1] * 3 for positions, seeds in arms.items()}
    return trials, arms, control, [f"word {i}" for i in range(9)] + ["the"]


def test_the_plateau_is_left_within_the_steps_or_never(collapse):
    trials, arms, control, words = collapse
    rows = plateau.summarise(trials, arms, control, words)["arms"]
    assert rows["rotary"]["steps"] == [80, 200, 320]
    assert rows["learned"]["steps"] == [1_000, 1_120, None]  # it came to 1,240
    assert (rows["learned"]["never"], rows["rotary"]["never"]) == (1, 0)
    assert arms["learned"][0]["history"][-1]["step"] == plateau.STEPS
    table = plateau_table(plateau.summarise(trials, arms, control, words)).splitlines()
    assert "| 80, 80, 80 | 0.001 | 80, 200, 320 | 200 ± 298 |" in table[2]
    assert "| 1,000, 1,120, over 1,200 | at least 1107 |" in table[4]
    assert table[5] == "| none (control) |  | 0.001 | over 1,200 | one seed |"


def test_the_same_words_are_shown_for_all_positions(collapse):
    trials, arms, control, words = collapse
    samples = plateau.summarise(trials, arms, control, words)["samples"]
    said = {s["phase"]: s["predictions"][0] for s in samples}
    assert said["rotary"]["pred"] == said["sinusoidal"]["pred"] == "word 7"
    assert said["learned"]["pred"] == "the"
    assert {s["step"] for s in samples} == {plateau.SHOWN}


def test_a_plateau_record_of_another_run_is_refused(tmp_path):
    found = fake_plateau("rotary", 1e-3, 0, 80)
    path, wanted = tmp_path / "rotary_0.json", wanted_of(found)
    assert plateau.read(path, wanted) is None
    path.write_text(json.dumps(found), "utf-8")
    assert plateau.read(path, wanted)
    coarse = [e for e in found["history"] if e["step"] % 80 == 0]
    for changed, name in (
        (found | {"unigram_loss": 5.5}, "unigram_loss"),
        (found | {"model": found["model"] | {"n_layers": 5}}, "n_layers"),
        (found | {"training": found["training"] | {"clip": 2.0}}, "clip"),
        (found | {"training": found["training"] | {"warmup": 0.1}}, "warm-up"),
        (found | {"history": found["history"][:9]}, "warm-up"),
        (found | {"history": coarse}, "warm-up"),
    ):
        path.write_text(json.dumps(changed), "utf-8")
        with pytest.raises(ValueError, match=f"another run: its {name}"):
            plateau.read(path, wanted)
    for part in ("number_format", "history"):
        rest = {key: value for key, value in found.items() if key != part}
        path.write_text(json.dumps(rest), "utf-8")
        with pytest.raises(ValueError, match=f"{path} is no record .*{part}"):
            plateau.read(path, wanted)


def test_the_best_rate_leaves_first_then_is_lowest():
    def ended(rate: float, left: int | None, loss: float) -> dict:
        losses = [{"validation_loss": loss}]
        return {"rate": rate, "step_left": left, "history": losses}

    trials = [ended(1, None, 1.0), ended(2, 800, 5.0), ended(3, 160, 4.0)]
    assert plateau.best_rate(trials) == 3
    assert plateau.best_rate([*trials, ended(4, 160, 3.0)]) == 4
    assert plateau.best_rate(trials[:2]) == 2


def test_the_records_of_the_plateau_are_found():
    summary = record.read(plateau_runs.SUMMARY)
    runs = plateau_runs.runs_of(summary)
    wanted = [(k, r["rate"], s) for k, r in summary["arms"].items() for s in r["seeds"]]
    wanted.append(plateau_runs.CONTROL)
    assert [(run["positions"], run["rate"], run["seed"]) for run in runs] == wanted
    assert len(runs) == 10


def test_formats_are_not_mixed_on_the_plateau(collapse):
    trials, arms, control, words = collapse
    control["number_format"] = "torch.float32"
    with pytest.raises(ValueError, match="compare within one"):
        plateau.summarise(trials, arms, control, words)


def test_the_plateau_figure_has_a_line_a_run(collapse):
    trials, arms, control, words = collapse
    runs = [*sum(arms.values(), []), control]
    for axes in plateau_study(
        plateau.summarise(trials, arms, control, words), runs
    ).axes:
        assert sum(len(line.get_xdata()) > 2 for line in axes.lines) == len(runs)
