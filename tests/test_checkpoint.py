"""Weights on disk: what was saved comes back, and what is wrong is said to be so."""

import dataclasses
import hashlib
import io
import itertools
import json
import os
import pickle
import re
import subprocess
import sys
import zipfile

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from helpers import ROOT, checkpoint, record
from helpers.checkpoint import (
    load_model,
    load_state,
    locked,
    save_model,
    save_state,
    signed,
    vocabulary_digest,
)
from helpers.data import TrainingData
from helpers.masking import evaluation_subsets
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.run import TrainingRun
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


@pytest.mark.parametrize("value", [65_520.0, float("nan"), float("inf")])
def test_weights_that_are_no_numbers_of_16_bits_are_not_written(saved, value):
    before, model = saved.read_bytes(), build()
    with torch.no_grad():
        model.norm.bias[0] = value
    with pytest.raises(ValueError, match="not all numbers of 16 bits.*is not written"):
        save_model(saved, model, TOKENIZER, INFO)
    assert saved.read_bytes() == before


def test_a_tokenizer_of_another_size_is_refused(saved, monkeypatch):
    words = WordTokenizer([*SPECIALS, *"abcdef"])
    with pytest.raises(ValueError, match="has 11 words, but the model has vocab_size"):
        save_model(saved, build(), words, INFO)
    assert load_model(saved)[1].words == TOKENIZER.words
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "require_same_words", lambda *_: None)
        save_model(saved, build(), words, INFO)
    with pytest.raises(ValueError, match="has 11 words, but the model has vocab_size"):
        load_model(saved, words)


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


@pytest.mark.parametrize("part", range(4))
def test_a_single_bit_that_changed_is_noticed_wherever_it_is(saved, part):
    """In the length of the header, its metadata, its padding, in the numbers."""
    whole, digest = saved.read_bytes(), saved.read_bytes().index(b'"digest"')
    near = {*range(16), *range(digest, digest + 80)}
    for at in range(part, len(whole), 4):
        for bit in range(8) if at in near else (at // 4 % 8,):
            flipped = bytes([whole[at] ^ (1 << bit)])
            saved.write_bytes(whole[:at] + flipped + whole[at + 1 :])
            with pytest.raises(ValueError, match=re.escape(str(saved))):
                load_model(saved, TOKENIZER)
    saved.write_bytes(whole)
    load_model(saved, TOKENIZER)


def test_a_file_without_a_digest_or_with_other_metadata_is_refused(saved):
    with safe_open(saved, "pt") as file:
        metadata, tensors = file.metadata(), load_file(saved)
    config = json.dumps(json.loads(metadata["config"]) | {"n_heads": 4})
    older = {k: v for k, v in metadata.items() if k != "digest"}
    for changed in (metadata | {"config": config}, metadata | {"info": "{}"}, older):
        saved.write_bytes(save(tensors, changed))
        with pytest.raises(ValueError, match="does not fit its digest.*again"):
            load_model(saved, TOKENIZER)


@pytest.mark.parametrize(
    "sizes",
    [
        {"n_layers": 10**9},
        {"n_layers": 10**4},
        {"vocab_size": 10**10},
        {"d_model": 10**7},
        {"d_ff": 10**10},
        {"max_length": 10**10, "positions": "sinusoidal"},
        {"max_length": 10**10, "positions": "learned"},
        {"n_layers": 10**5, "d_model": 2, "d_ff": 1, "n_heads": 1, "vocab_size": 6},
    ],
)
def test_a_file_that_claims_a_huge_model_is_refused_at_once(saved, sizes, monkeypatch):
    """With a digest that fits; no model is built."""
    rewrite(saved, reconfigure(**sizes))
    monkeypatch.setattr(checkpoint, "MaskedLanguageModel", None)
    with pytest.raises(
        ValueError, match="describes a larger model than it holds|is damaged.*choose"
    ):
        load_model(saved, TOKENIZER)


def test_tensors_that_are_not_there_are_not_allocated(saved):
    """A header that claims 8 GB, with a digest that fits."""
    header = {
        "head.norm.bias": {"dtype": "F16", "shape": [2**32], "data_offsets": [0, 2**33]}
    }
    header["__metadata__"] = {"digest": "0" * 64}
    text = json.dumps(header, separators=(",", ":")).encode()
    saved.write_bytes(signed(len(text).to_bytes(8, "little") + text + b"\0" * 64))
    with pytest.raises(ValueError, match="is damaged or no model"):
        load_model(saved, TOKENIZER)


@pytest.mark.parametrize("how", ["whole", "part", "in place"])
def test_a_compiled_model_saves_and_loads_under_its_own_names(how, tmp_path):
    plain, compiled, path = build(), build(), str(tmp_path / "model.safetensors")
    if how == "whole":
        compiled = torch.compile(compiled)
    elif how == "part":
        compiled.blocks[0] = torch.compile(compiled.blocks[0])
    else:
        compiled.compile()
    save_model(path, compiled.train(), TOKENIZER, INFO)
    found = load_model(path, TOKENIZER)[0]
    assert found.state_dict().keys() == plain.state_dict().keys()
    for name, weight in plain.state_dict().items():
        assert torch.equal(found.state_dict()[name], weight.half().float()), name
    run = TrainingRun(compiled, TrainConfig(), torch.float32)
    run.stopping.update(1.0, 0, compiled)
    state = run.state_dict()
    assert not [k for k in (*state["model"], *run.stopping.weights) if "_orig" in k]
    other = TrainingRun(plain, TrainConfig(), torch.float32)
    other.load_state_dict(state)  # a run may be compiled now and not later
    run.load_state_dict(other.state_dict())
    run.stopping.restore(compiled)


def test_a_path_may_be_text(tmp_path):
    place = str(tmp_path / "run" / "state.pt")
    assert load_state(place) == {}
    save_state(place, {"step": 3})
    assert load_state(place) == {"step": 3}


FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize("what", ["state", "weights", "record"])
def test_a_full_disk_leaves_what_was_there_and_says_so(
    what, saved, states, monkeypatch
):
    path = {"state": states, "weights": saved, "record": saved.with_suffix(".json")}
    path = path[what]
    act = {
        "state": lambda: save_state(path, {"step": 3}),
        "weights": lambda: save_model(path, build(tied=False), TOKENIZER, {}),
        "record": lambda: record.write(path, {"a": 1}),
    }[what]
    if what == "record":
        record.write(path, {"a": 0})
    before = {p: p.read_bytes() for p in path.parent.iterdir()}

    def full(_):
        raise FULL

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=f"^{path.parent}.*cannot be written .No sp"):
            act()
    assert {p: p.read_bytes() for p in path.parent.iterdir()} == before
    act()
    assert path.read_bytes() != before[path]


def test_where_no_folder_can_be_it_is_said(tmp_path):
    (tmp_path / "file").write_text("", "utf-8")
    for act in (
        lambda: save_state(tmp_path / "file" / "state.pt", {}),
        lambda: save_model(tmp_path / "file" / "m", build(), TOKENIZER, {}),
        lambda: train(build(), made_of(words()), SHORT, tmp_path / "file" / "run"),
    ):
        with pytest.raises(OSError, match=str(tmp_path / "file")):
            act()


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
    assert states.with_suffix(".pt.part").exists()
    assert load_state(states)["step"] == 2
    save_state(states, {"step": 3})
    assert load_state(states)["step"] == 3
    assert not states.with_suffix(".pt.part").exists()


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
        ("state.pt.part", "state.pt"),
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


SHORT = TrainConfig(epochs=1, batch_size=4, evaluations=1, precision="float32")


def test_a_run_that_is_scored_on_other_text_is_another_run(tmp_path):
    history = train(build(), made_of(words()), SHORT, tmp_path)
    for part in ("validation_BT", "subset_BT", "sample_BT", "sample_subset_BT"):
        data = made_of(words())
        setattr(data, part, getattr(data, part)[:2])
        with pytest.raises(ValueError, match=f"another run: its {part} is"):
            train(build(), data, SHORT, tmp_path)
    assert train(build(), made_of(words()), SHORT, tmp_path) == history


def test_a_state_of_before_is_still_of_its_run(tmp_path):
    """All settings in one, without digests of what is scored, or a newer field."""
    history = train(build(), made_of(words()), SHORT, tmp_path)
    state = load_state(tmp_path / "state.pt")
    older = state["identity"]["model"] | state["identity"]["training"]
    del older["clip"], older["tied"]
    older["text"] = state["identity"]["text"]
    save_state(tmp_path / "state.pt", state | {"identity": older})
    assert train(build(), made_of(words()), SHORT, tmp_path) == history
    for change, said in (
        ({"clip": 2.0}, "clip is 2.0, not 1.0"),
        ({"tied": False}, "tied is False, not True"),
        ({"text": "x"}, "text is x"),
        ({"text": None}, "text is None"),
    ):
        save_state(tmp_path / "state.pt", state | {"identity": older | change})
        with pytest.raises(ValueError, match=f"another run: its {said}"):
            train(build(), made_of(words()), SHORT, tmp_path)


def changed(state, *path, value):
    """A copy of a state with another value at a place."""
    if not path:
        return value
    copy = state.copy()
    copy[path[0]] = changed(state[path[0]], *path[1:], value=value)
    return copy


HUGE = torch.zeros(1).expand(2**31)  # of 8 GB, if it were copied
FOREIGN = {
    "a list": lambda s: [1, 2],
    "a number": lambda s: 3,
    "an empty dict": lambda s: {},
    "no keys of a run": lambda s: {"weights": HUGE},
    "no identity": lambda s: {k: v for k, v in s.items() if k != "identity"},
    "no step": lambda s: {k: v for k, v in s.items() if k != "step"},
    "an identity that is none": lambda s: changed(s, "identity", value=[1]),
    "a text as step": lambda s: changed(s, "step", value="1"),
    "a text as format": lambda s: changed(s, "dtype", value="float32"),
    "a text as history": lambda s: changed(s, "history", value="none"),
    "another history": lambda s: changed(s, "history", value=[{"a": 1}]),
    "a huge weight": lambda s: changed(s, "model", "norm.bias", value=HUGE),
    "a weight as text": lambda s: changed(s, "model", "norm.bias", value="x"),
    "no weights": lambda s: changed(s, "model", value={}),
    "other best weights": lambda s: changed(
        s, "stopping", "weights", "norm.bias", value=HUGE
    ),
    "a text as patience": lambda s: changed(s, "stopping", "patience", value="3"),
    "no optimizer": lambda s: changed(s, "optimizers", value=[]),
    "a huge mean": lambda s: changed(
        s, "optimizers", 0, "state", 0, "exp_avg", value=HUGE
    ),
    "no settings of a model": lambda s: changed(s, "identity", "model", value=None),
    "a text for a model": lambda s: changed(s, "identity", "model", value="x"),
    "a list for a training": lambda s: changed(s, "identity", "training", value=[]),
    "a tensor as a size": lambda s: changed(
        s, "identity", "model", "d_ff", value=torch.ones(2)
    ),
    "a step below 0": lambda s: changed(s, "step", value=-1),
    "a step that is no number": lambda s: changed(s, "step", value=True),
    "weights that are no numbers": lambda s: changed(
        s, "model", "norm.bias", value=torch.full((8,), float("nan"))
    ),
    "best weights that are no numbers": lambda s: changed(
        s, "stopping", "weights", "norm.bias", value=torch.full((8,), float("inf"))
    ),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_whole_file_that_is_no_state_of_this_run_is_refused(what, tmp_path):
    train(build(), made_of(words()), SHORT, tmp_path)
    path = tmp_path / "state.pt"
    save_state(path, FOREIGN[what](load_state(path)))
    with pytest.raises(ValueError, match=f"^{path} holds no training state"):
        train(build(), made_of(words()), SHORT, tmp_path)


def test_a_state_beyond_the_end_of_the_run_is_refused(tmp_path):
    train(build(), made_of(words()), SHORT, tmp_path)
    path = tmp_path / "state.pt"
    save_state(path, load_state(path) | {"step": 4})
    with pytest.raises(ValueError, match="is at step 4 of 3"):
        train(build(), made_of(words()), SHORT, tmp_path)


@pytest.mark.parametrize(
    "groups", [None, [], {"peak": 1.0}, {"eps": "x"}, {"betas": None}, {"params": [9]}]
)
def test_only_averages_of_the_optimisers_come_from_a_state(groups, tmp_path):
    config = dataclasses.replace(SHORT, epochs=4, evaluations=2)
    with pytest.raises(KeyboardInterrupt):
        train(build(), made_of(words()), config, tmp_path, 0.0, stop_at_six)
    path = tmp_path / "state.pt"
    state = load_state(path)
    assert state["step"] == 6
    given = state["optimizers"][0]["param_groups"]
    if isinstance(groups, dict):
        groups = [group | groups for group in given]
    save_state(path, changed(state, "optimizers", 0, "param_groups", value=groups))
    resumed, whole = build(), build()
    train(resumed, made_of(words()), config, tmp_path)
    train(whole, made_of(words()), config)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def stop_at_six(run):
    if run.step == 6:
        raise KeyboardInterrupt


def test_a_state_that_would_unpack_to_far_more_is_refused(tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data/0", b"\0" * 10**7)
    path, packed = tmp_path / "state.pt", content.getvalue()
    path.write_bytes(hashlib.sha256(packed).digest() + packed)
    with pytest.raises(ValueError, match=f"^{path} holds no training state.*packed"):
        load_state(path)


def test_a_second_training_in_a_folder_ends_and_touches_nothing(tmp_path):
    found = []

    def second(run):
        before = {p: p.read_bytes() for p in tmp_path.glob("state.*")}
        with pytest.raises(ValueError, match="Another training is at work in"):
            train(build(), made_of(words()), SHORT, str(tmp_path))
        found.append(before == {p: p.read_bytes() for p in tmp_path.glob("state.*")})

    history = train(build(), made_of(words()), SHORT, tmp_path, 60.0, second)
    assert found == [True] * len(history)
    assert train(build(), made_of(words()), SHORT, tmp_path) == history


def test_a_killed_training_leaves_its_folder_free(tmp_path):
    program = (
        "import os, signal, pathlib\nfrom helpers.checkpoint import locked\n"
        f"with locked(pathlib.Path({str(tmp_path)!r})):\n"
        "    print('in', flush=True)\n    signal.pause()"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8"
    ) as run:
        assert run.stdout.readline() == "in\n"
        with pytest.raises(ValueError, match="Another training"), locked(tmp_path):
            pass
        run.kill()
    with locked(tmp_path):
        pass


def test_only_the_first_process_locks(tmp_path, monkeypatch):
    with locked(tmp_path):
        monkeypatch.setattr(checkpoint.parallel, "part", lambda: (1, 2))
        with locked(tmp_path):
            pass


@pytest.mark.parametrize("name", ["dropout", "no_dropout"])
def test_the_shipped_weights_load(name):
    model, tokenizer, info = load_model(ROOT / "weights" / f"{name}.safetensors")
    assert model.config.vocab_size == len(tokenizer)
    assert (model.config.dropout > 0) == (name == "dropout")
    assert info["name"] == name
