"""Records: whose they are, and what they say of a training."""

import pytest
import torch

from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.record import read_record, record_identity, require_same_record
from studies.lab.samples import phases_to_sample, sampled_phases

IDENTITY = {"model": ModelConfig(), "training": TrainConfig(), "text": "digest"}


def test_a_run_is_known_by_its_settings_field_by_field():
    recorded = record_identity(IDENTITY)
    del recorded["model"]["norm_eps"]  # a field that is newer than the record
    require_same_record("here", recorded, IDENTITY)
    recorded["training"]["seed"] = 7
    require_same_record("here", recorded, IDENTITY, free=("seed",))
    for change, said in [
        (recorded, "here holds another run: its seed is 7, not 0"),
        ({"text": None}, "its text is None, not digest"),
        ({"model": {"unknown": 1}}, "its unknown is 1, not None"),
        ({"training": [1]}, "its epochs is None, not"),
    ]:
        with pytest.raises(ValueError, match=said):
            require_same_record("here", record_identity(IDENTITY) | change, IDENTITY)


@pytest.mark.parametrize("content", ["{", "[]", "5", "null", "[" * 10**5, None])
def test_a_record_that_cannot_be_read_is_named(content, tmp_path):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(ValueError, match=r"a\.json is missing, damaged"):
        read_record(path)


def history(*losses: float) -> list[dict]:
    probe = {"block": 0, "position": 3, "predicted": 1, "p": 0.5}
    scores = {"most_predicted": 2, "most_predicted_share": 0.25, "probes": [probe]}
    return [{"step": i, "validation_loss": x} | scores for i, x in enumerate(losses)]


def test_phases_are_those_evaluations():
    for losses, steps in {
        (7.6, 5.7, 5.5, 4.4, 3.0, 3.1): dict(start=0, plateau=1, after=3, end=4),
        (7.6, 5.5, 5.0): dict(start=0, plateau=1, end=2),
        (7.6,): dict(start=0, plateau=0, end=0),
    }.items():
        chosen = phases_to_sample(history(*losses), unigram_loss=5.62)
        assert {phase: entry["step"] for phase, entry in chosen.items()} == steps


def test_samples_show_a_word_among_its_neighbours():
    ids = torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]])
    first, *_ = sampled_phases(history(7.6, 5.0), 5.0, ids, "a b c d e".split())
    assert first["phase"] == "start" and first["most_predicted"] == "c"
    (said,) = first["predictions"]
    assert said["left"] == ["a", "b", "c"] and said["true"] == "d"
    assert said["right"] == ["e", "a", "b", "c", "d", "e"]
    assert (said["pred"], said["p"]) == ("b", 0.5)
