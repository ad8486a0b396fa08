"""Weights on disk: what was saved comes back, and what is wrong is said to be so."""

import dataclasses
import hashlib
import io
import itertools
import json
import os
import pickle

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from helpers import ROOT
from helpers.checkpoint import (
    load_model,
    load_state,
    save_model,
    save_state,
    signed,
    vocabulary_digest,
)
from helpers.evaluate import TrainingData
from helpers.masking import evaluation_subsets
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.tokenizer import SPECIALS, WordTokenizer
from helpers.train import TrainConfig, train

SIZES = dict(vocab_size=12, max_length=8, n_layers=2, d_model=8, n_heads=2, d_ff=8)
TOKENIZER = WordTokenizer([*SPECIALS, *"abcdefg"])
INFO = {"corpus": "none", "seed": 3, "validation": {"loss": 2.5}}


def build(**choices):
    torch.manual_seed(0)
    return MaskedLanguageModel(ModelConfig(**(SIZES | choices))).eval()


@pytest.fixture
def saved(tmp_path):
    """A model's file beside its vocabulary."""
    path = tmp_path / "new" / "model.safetensors"
    save_model(path, build(), TOKENIZER, INFO)
    TOKENIZER.save(path.parent / "vocabulary.json")
    return path


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"tied": False},
        {"positions": "sinusoidal"},
        {"positions": "learned", "norm": "post", "dropout": 0.1},
    ],
)
def test_a_model_comes_back_as_it_was(choices, tmp_path):
    model, path = build(**choices), tmp_path / "model.safetensors"
    save_model(path, model, TOKENIZER, INFO)
    found, tokenizer, info = load_model(path, TOKENIZER)
    assert tokenizer is TOKENIZER
    assert info == INFO
    assert found.config == model.config
    assert not found.training
    for name, weight in model.state_dict().items():
        got = found.state_dict()[name]
        assert got.dtype == torch.float32
        assert torch.equal(got, weight.half().float()), name
    tied = found.head.decoder.weight is found.embedding.token.weight
    assert tied == model.config.tied
    ids = torch.tensor([[2, 5, 6, 7, 3, 0]])
    torch.testing.assert_close(found(ids), model(ids), atol=2e-3, rtol=0)


def test_the_vocabulary_beside_the_weights_is_taken(saved):
    _, tokenizer, _ = load_model(saved)
    assert tokenizer.words == TOKENIZER.words


def test_the_file_holds_16_bits_and_each_weight_once(saved):
    tensors = load_file(saved)
    assert {t.dtype for t in tensors.values()} == {torch.float16}
    assert sum(t.numel() for t in tensors.values()) == sum(
        p.numel() for p in build().parameters()
    )


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(ValueError, match="no weights at .*none.safetensors"):
        load_model(tmp_path / "none.safetensors", TOKENIZER)
    with pytest.raises(ValueError, match="no weights at"):
        load_model(tmp_path, TOKENIZER)


def test_a_missing_vocabulary_is_said_to_be_missing(saved):
    (saved.parent / "vocabulary.json").unlink()
    with pytest.raises(ValueError, match="vocabulary.json is missing"):
        load_model(saved)


@pytest.mark.parametrize(
    "words",
    [
        [*SPECIALS, *"abcdefh"],
        [*SPECIALS, *"bacdefg"],  # the same words in another order
        [*SPECIALS, *"abcdef"],
    ],
)
def test_another_vocabulary_is_refused(saved, words):
    with pytest.raises(ValueError, match="another vocabulary; load"):
        load_model(saved, WordTokenizer(words))


def test_words_of_any_kind_have_a_digest():
    digests = {
        vocabulary_digest(WordTokenizer([*SPECIALS, word]))
        for word in ("\ud800", "\ud801", "😀", "<b>", "\0")
    }
    assert len(digests) == 5


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 100, 2_000, -1])
def test_a_truncated_file_is_refused(saved, kept):
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(ValueError, match="is damaged"):
        load_model(saved, TOKENIZER)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\0" * 5_000])
def test_a_file_of_another_kind_is_refused(saved, content):
    saved.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        load_model(saved, TOKENIZER)


def test_a_damaged_header_never_gives_anything_but_a_sentence(saved):
    whole = saved.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    refused = 0
    for at in range(0, header, 7):
        saved.write_bytes(whole[:at] + bytes([whole[at] ^ 0x15]) + whole[at + 1 :])
        try:
            load_model(saved, TOKENIZER)
        except ValueError:
            refused += 1
    assert refused > header / 7 / 2  # the rest of the header is the user's own `info`


def rewrite(path, change):
    """Writes a safetensors file anew, its tensors and metadata changed."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata() | {"digest": "0" * 64}
    tensors = load_file(path)
    change(tensors, metadata)
    path.write_bytes(signed(save(tensors, metadata)))


def reconfigure(**choices):
    def change(tensors, metadata):
        config = json.loads(metadata["config"]) | choices
        metadata["config"] = json.dumps(config)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t, m: m.clear(), "is damaged or no model"),
        (lambda t, m: m.pop("vocabulary"), "is damaged or no model"),
        (lambda t, m: m.update(config="{"), "is damaged or no model"),
        (lambda t, m: m.update(config="[]"), "is damaged or no model"),
        (reconfigure(wings=2), "is damaged or no model"),
        (reconfigure(positions="relative"), "is damaged or no model"),
        (reconfigure(d_model="eight"), "is damaged or no model"),
        (reconfigure(n_heads=3), "is damaged or no model"),
        (reconfigure(d_model=16), "is damaged or no model"),
        (reconfigure(n_layers=3), "is damaged or no model"),
        (reconfigure(vocab_size=13), "is damaged or no model"),
        (lambda t, m: t.pop("norm.weight"), "is damaged or no model"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(saved, change, said):
    rewrite(saved, change)
    with pytest.raises(ValueError, match=said):
        load_model(saved, TOKENIZER)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


def test_no_file_runs_code(tmp_path):
    target, path = tmp_path / "executed", tmp_path / "bomb"
    bomb, buffer = pickle.dumps(Bomb(target), protocol=2), io.BytesIO()
    path.write_bytes(bomb)
    with pytest.raises(ValueError, match="is damaged"):
        load_model(path, TOKENIZER)
    torch.save({"model": Bomb(target)}, buffer)
    for content in (bomb, buffer.getvalue()):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="No state in .* is whole"):
            load_state(path)
        path.write_bytes(hashlib.sha256(content).digest() + content)
        with pytest.raises(ValueError, match="bomb holds no training state"):
            load_state(path)
    assert not target.exists()
    pickle.loads(bomb).close()
    assert target.exists()  # the bomb is a real one


@pytest.fixture
def states(tmp_path):
    """A state and, beside it, the one before; their steps are 2 and 1."""
    path = tmp_path / "run" / "state.pt"
    for step in (1, 2):
        save_state(path, {"step": step, "weights": torch.full((300,), float(step))})
    return path


def test_a_state_comes_back_as_it_was(tmp_path):
    path = tmp_path / "run" / "state.pt"
    assert load_state(path) == {}
    state = {"weights": torch.randn(3, dtype=torch.float64), "history": [{"step": 1}]}
    save_state(path, state | {"dtype": torch.bfloat16})
    found = load_state(path)
    assert torch.equal(found["weights"], state["weights"])
    assert found["history"] == state["history"]
    assert found["dtype"] == torch.bfloat16


def test_a_state_and_the_one_before_are_kept_and_nothing_else(states):
    assert load_state(states)["step"] == 2
    assert load_state(states.with_suffix(".old"))["step"] == 1
    assert {path.name for path in states.parent.iterdir()} == {"state.pt", "state.old"}


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 0x15
    path.write_bytes(content)


@pytest.mark.parametrize("part", range(8))
def test_a_byte_that_changed_is_noticed_wherever_it_is(states, part, capsys):
    """At the digest, at its end, and in 40 places of the file."""
    whole = states.read_bytes()
    places = {0, 31, 32, len(whole) - 1, *range(0, len(whole), len(whole) // 36)}
    for at in sorted(places)[part::8]:
        flip(states, at)
        assert load_state(states)["step"] == 1, at
        said = capsys.readouterr().out
        assert said == f"{states} is damaged; it is passed over.\n"
        flip(states, at)
        assert load_state(states)["step"] == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kept", [0, 1, 31, 32, 33, 500, -1])
def test_a_truncated_state_is_passed_over(states, kept, capsys):
    states.write_bytes(states.read_bytes()[:kept])
    assert load_state(states)["step"] == 1
    assert capsys.readouterr().out == f"{states} is damaged; it is passed over.\n"


def test_without_a_whole_state_the_run_is_refused(states, capsys):
    flip(states, 100)
    flip(states.with_suffix(".old"), 100)
    with pytest.raises(ValueError, match="No state in .*run is whole; choose"):
        load_state(states)
    assert capsys.readouterr().out.count("is damaged") == 2
    states.unlink()
    with pytest.raises(ValueError, match="is whole"):
        load_state(states)


def test_a_damaged_state_does_not_take_the_place_of_the_whole_one(states, capsys):
    flip(states, 100)
    save_state(states, {"step": 3})
    assert load_state(states)["step"] == 3
    assert load_state(states.with_suffix(".old"))["step"] == 1


def crash_at(call, monkeypatch):
    """Lets os.replace end the program at its first or second call."""
    calls, replace = itertools.count(), os.replace

    def replaced(*paths):
        if next(calls) == call:
            raise KeyboardInterrupt
        replace(*paths)

    monkeypatch.setattr(os, "replace", replaced)


@pytest.mark.parametrize("call", [0, 1])
def test_a_crash_at_a_change_of_names_leaves_a_state(states, call, monkeypatch, capsys):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        crash_at(call, patch)
        save_state(states, {"step": 3})
    assert states.exists() == (call == 0)
    assert load_state(states)["step"] == 2
    assert capsys.readouterr().out == ""
    for step in (3, 4):  # and the run can go on from there
        save_state(states, {"step": step})
        assert load_state(states)["step"] == step
    assert load_state(states.with_suffix(".old"))["step"] == 3


def test_a_crash_while_writing_leaves_the_state(states, monkeypatch):
    def crash(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "fsync", crash)
        save_state(states, {"step": 3})
    assert states.with_suffix(".tmp").exists()
    assert load_state(states)["step"] == 2
    save_state(states, {"step": 3})
    assert load_state(states)["step"] == 3
    assert not states.with_suffix(".tmp").exists()


def test_a_state_is_on_the_disk_before_it_gets_its_name(states, monkeypatch):
    calls, fsync, replace = [], os.fsync, os.replace

    def synced(file):
        calls.append(("fsync", os.fstat(file).st_size))
        fsync(file)

    def replaced(old, new):
        calls.append((old.name, new.name))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    save_state(states, {"step": 3})
    assert calls == [
        ("fsync", states.stat().st_size),
        ("state.pt", "state.old"),
        ("state.tmp", "state.pt"),
    ]


def words(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(len(SPECIALS), 12, (7 * 4 * 3,), generator=generator)


def made_of(stream):
    ids = stream[:32].view(4, 8)
    subset = evaluation_subsets(ids)
    return TrainingData(stream, ids, subset, ids, subset)


@pytest.mark.parametrize(
    ("choices", "config", "stream", "said"),
    [
        ({}, {"learning_rate": 1e-3}, words(), "learning_rate is 0.002, not 0.001"),
        ({}, {"epochs": 2}, words(), "epochs is 1, not 2"),
        ({}, {"seed": 1}, words(), "seed is 0, not 1"),
        ({"d_ff": 16}, {}, words(), "d_ff is 8, not 16"),
        ({"n_layers": 3}, {}, words(), "n_layers is 2, not 3"),
        ({}, {}, words(1), "text is [0-9a-f]{64}, not [0-9a-f]{64}"),
    ],
)
def test_a_folder_of_another_run_is_refused(choices, config, stream, said, tmp_path):
    mine = TrainConfig(epochs=1, batch_size=4, evaluations=1)
    history = train(build(), made_of(words()), mine, folder=tmp_path)
    before = (tmp_path / "state.pt").read_bytes()
    with pytest.raises(ValueError, match=f"holds another run: its {said}. Choose"):
        other = dataclasses.replace(mine, **config)
        train(build(**choices), made_of(stream), other, folder=tmp_path)
    assert (tmp_path / "state.pt").read_bytes() == before
    assert train(build(), made_of(words()), mine, folder=tmp_path) == history


@pytest.mark.parametrize("name", ["dropout", "no_dropout"])
def test_the_shipped_weights_load(name):
    model, tokenizer, info = load_model(ROOT / "weights" / f"{name}.safetensors")
    assert model.config.vocab_size == len(tokenizer)
    assert (model.config.dropout > 0) == (name == "dropout")
    assert info["name"] == name
