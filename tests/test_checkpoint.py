"""Weights on disk: what was saved comes back, and what is wrong is said to be so."""

import json
import pickle

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from helpers import ROOT
from helpers.checkpoint import (
    load_model,
    load_state,
    save_model,
    save_state,
    vocabulary_digest,
)
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.tokenizer import SPECIALS, WordTokenizer

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
        metadata = file.metadata()
    tensors = load_file(path)
    change(tensors, metadata)
    save_file(tensors, path, metadata)


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
        (reconfigure(d_model=16), "does not fit its own configuration"),
        (reconfigure(n_layers=3), "does not fit its own configuration"),
        (reconfigure(vocab_size=13), "does not fit its own configuration"),
        (lambda t, m: t.pop("norm.weight"), "does not fit its own configuration"),
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
    bomb = pickle.dumps(Bomb(target), protocol=2)
    path.write_bytes(bomb)
    with pytest.raises(ValueError, match="is damaged"):
        load_model(path, TOKENIZER)
    with pytest.raises(ValueError, match="is damaged"):
        load_state(path)
    torch.save({"model": Bomb(target)}, path)
    with pytest.raises(ValueError, match="is damaged"):
        load_state(path)
    assert not target.exists()
    pickle.loads(bomb).close()
    assert target.exists()  # the bomb is a real one


def test_a_state_comes_back_and_no_half_written_one(tmp_path, monkeypatch):
    path = tmp_path / "run" / "state.pt"
    assert load_state(path) == {}
    state = {"weights": torch.randn(3, dtype=torch.float64), "history": [{"step": 1}]}
    save_state(path, state | {"dtype": torch.bfloat16})
    found = load_state(path)
    assert torch.equal(found["weights"], state["weights"])
    assert found["history"] == state["history"]
    assert found["dtype"] == torch.bfloat16

    def crash(state, file):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", crash)
    with pytest.raises(KeyboardInterrupt):
        save_state(path, {"history": []})
    assert load_state(path)["history"] == state["history"]


def test_a_truncated_state_is_refused(tmp_path):
    path = tmp_path / "state.pt"
    save_state(path, {"weights": torch.zeros(1_000)})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="state.pt is damaged; delete it"):
        load_state(path)


@pytest.mark.parametrize("name", ["dropout", "no_dropout"])
def test_the_shipped_weights_load(name):
    model, tokenizer, info = load_model(ROOT / "weights" / f"{name}.safetensors")
    assert model.config.vocab_size == len(tokenizer)
    assert (model.config.dropout > 0) == (name == "dropout")
    assert info["name"] == name
