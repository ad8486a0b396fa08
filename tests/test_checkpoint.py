"""Weights and states on disk: what was saved comes back, and what is wrong is said."""

import hashlib
import io
import json
import os
import pickle
from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch
from program import started
from safetensors import safe_open
from safetensors.torch import load_file, save
from tiny import CONFIG, at_call, fresh_model, knowing, random_data, same_weights

from helpers import checkpoint, parallel, resume
from helpers.checkpoint import load_model, save_model
from helpers.resume import load_state, save_state
from helpers.train import TrainingRun, train

TOKENIZER = knowing("abcdefg")
INFO = {"corpus": "none", "seed": 3, "validation": {"loss": 2.5}}
SHORT = replace(CONFIG, epochs=0.5, evaluations=1)


@pytest.fixture
def saved(tmp_path):
    """A model's file beside its vocabulary."""
    path = tmp_path / "new" / "model.safetensors"
    save_model(path, fresh_model(), TOKENIZER, INFO)
    TOKENIZER.save(path.parent / "vocabulary.json")
    return path


@pytest.mark.parametrize(
    "choices", [{"tied": False}, {"positions": "learned", "norm": "post"}]
)
def test_a_model_comes_back_as_it_was(choices, tmp_path):
    model, path = fresh_model(**choices), str(tmp_path / "model.safetensors")
    save_model(path, model, TOKENIZER, INFO)
    found, tokenizer, info = load_model(path, TOKENIZER)
    assert tokenizer is TOKENIZER and info == INFO
    assert found.config == model.config and not found.training
    assert {w.dtype for w in found.state_dict().values()} == {torch.float32}
    assert same_weights(found, model.half().float())
    tied = found.head.decoder.weight is found.embedding.token.weight
    assert tied == model.config.tied
    tensors = load_file(path).values()  # 16 bits, and each weight once
    assert {t.dtype for t in tensors} == {torch.float16}
    assert sum(t.numel() for t in tensors) == sum(p.numel() for p in model.parameters())


def test_the_vocabulary_beside_the_weights_is_taken_and_no_other(saved):
    assert load_model(saved)[1].words == TOKENIZER.words
    for words in ("abcdefh", "bacdefg", "abcdef", [*"abcdef", "\ud800"]):
        with pytest.raises(ValueError, match="another vocabulary; load"):
            load_model(saved, knowing(words))
    (saved.parent / "vocabulary.json").unlink()
    with pytest.raises(ValueError, match="vocabulary.json is missing"):
        load_model(saved)
    with pytest.raises(ValueError, match="none.safetensors is missing"):
        load_model(saved.with_name("none.safetensors"), TOKENIZER)


def test_what_would_not_load_is_not_written(saved):
    before = saved.read_bytes()
    for value in (65_520.0, float("nan")):
        model = fresh_model()
        torch.nn.init.constant_(model.norm.bias, value)
        with pytest.raises(ValueError, match="not all numbers of 16 bits.*not written"):
            save_model(saved, model, TOKENIZER, INFO)
    with pytest.raises(ValueError, match="has 11 words, but the model has vocab_size"):
        save_model(saved, fresh_model(), knowing("abcdef"), INFO)
    assert saved.read_bytes() == before


def test_a_damaged_file_is_refused_wherever_the_damage_is(saved):
    """Cut off, another file, or one bit in the header, the digest or the numbers."""
    whole = saved.read_bytes()
    digest = whole.index(b'"digest"')
    near = {*range(16), *range(digest, digest + 80, 7)}
    others = [whole[:size] for size in (0, 7, 8, 100, -1)] + [b"<html>404</html>"]
    for at in sorted(near | {*range(0, len(whole), 9)}):
        others.append(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
    for content in others:
        saved.write_bytes(content)
        with pytest.raises(ValueError, match=f"^{saved} is missing, damaged or of"):
            load_model(saved, TOKENIZER)
    saved.write_bytes(whole)
    load_model(saved, TOKENIZER)


def reconfigure(**choices):
    def change(tensors, metadata):
        config = json.loads(metadata["config"]) | choices
        metadata["config"] = json.dumps(config)

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda t, m: m.clear(),
        lambda t, m: m.pop("vocabulary"),
        lambda t, m: m.update(config="{"),
        lambda t, m: t.pop("norm.weight"),
        reconfigure(wings=2),
        reconfigure(d_model=16),
        reconfigure(n_layers=3),
        reconfigure(vocab_size=10**9),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(saved, change):
    """With a digest that fits, and without one."""
    with safe_open(saved, "pt") as file:
        metadata = file.metadata() | {"digest": "0" * 64}
    tensors = load_file(saved)
    change(tensors, metadata)
    content = save(tensors, metadata)
    saved.write_bytes(checkpoint.signed_checkpoint(content))
    with pytest.raises(ValueError, match="of another kind .*again, or train it again"):
        load_model(saved, TOKENIZER)
    saved.write_bytes(content)
    with pytest.raises(ValueError, match="does not fit its digest.*again"):
        load_model(saved, TOKENIZER)


@pytest.mark.parametrize("how", ["whole", "part", "in place"])
def test_a_compiled_model_saves_and_loads_under_its_own_names(how, tmp_path):
    plain, compiled, path = fresh_model(), fresh_model(), tmp_path / "m.safetensors"
    if how == "whole":
        compiled = torch.compile(compiled)
    elif how == "part":
        compiled.blocks[0] = torch.compile(compiled.blocks[0])
    else:
        compiled.compile()
    save_model(path, compiled.train(), TOKENIZER, INFO)
    assert same_weights(load_model(path, TOKENIZER)[0].half(), plain.half())
    run, other = TrainingRun(compiled, CONFIG), TrainingRun(fresh_model(), CONFIG)
    run.stopping.update(1.0, 0, compiled)
    state = run.state_dict()
    assert not [k for k in (*state["model"], *run.stopping.weights) if "_orig" in k]
    other.load_state_dict(state)  # a run may be compiled now and not later
    run.load_state_dict(other.state_dict())
    run.stopping.restore(compiled)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


def test_no_file_runs_code(tmp_path):
    target, path, buffer = tmp_path / "executed", tmp_path / "bomb", io.BytesIO()
    torch.save({"model": Bomb(target)}, buffer)
    bomb = pickle.dumps(Bomb(target), protocol=2)
    for content in (bomb, buffer.getvalue()):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is missing, damaged"):
            load_model(path, TOKENIZER)
        path.write_bytes(hashlib.sha256(content).digest() + content)
        with pytest.raises(ValueError, match="bomb is missing, damaged or of another"):
            load_state(path)
    assert not target.exists()
    pickle.loads(bomb).close()
    assert target.exists()  # the bomb is a real one


@pytest.fixture
def states(tmp_path):
    """A state and, beside it, the one before; their steps are 2 and 1."""
    path = tmp_path / "run" / "state.pt"
    assert load_state(str(path)) == {}
    for step in (1, 2):
        save_state(path, {"step": step, "dtype": torch.bfloat16, "w": torch.ones(300)})
    return path


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 0x15
    path.write_bytes(content)


def test_a_damaged_state_is_passed_over_and_takes_no_place(states, capsys):
    """A changed byte anywhere, or a file that is cut off."""
    old, told = states.with_suffix(".old"), f"{states} is damaged; it is passed over.\n"
    assert {*states.parent.iterdir()} == {states, old}
    whole = states.read_bytes()
    for at in {0, 31, 32, len(whole) - 1, *range(0, len(whole), len(whole) // 36)}:
        flip(states, at)
        assert load_state(states)["step"] == 1, at
        assert capsys.readouterr().out == told
        flip(states, at)
    assert load_state(states)["step"] == 2 and capsys.readouterr().out == ""
    for size in (0, 31, 32, 33, 500, -1):
        states.write_bytes(whole[:size])
        assert load_state(states)["step"] == 1
    save_state(str(states), {"step": 3})
    assert load_state(states)["step"] == 3 and load_state(old)["step"] == 1
    flip(states, 40)
    flip(old, 40)
    for _ in range(2):  # none is whole, nor is there one beside it
        with pytest.raises(ValueError, match="No state in .*run is whole. Choose"):
            load_state(states)
        states.unlink(missing_ok=True)


@pytest.mark.parametrize("name, number", [("fsync", 1), ("replace", 1), ("replace", 2)])
def test_a_crash_at_any_moment_leaves_a_state(
    states, name, number, monkeypatch, capsys
):
    """While it goes to the disk, or at the first or second change of names after it."""
    crash = at_call(number, Mock(side_effect=KeyboardInterrupt), getattr(os, name))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, name, crash)
        save_state(states, {"step": 3})
    assert states.exists() == (number != 2)
    assert load_state(states)["step"] == 2
    assert capsys.readouterr().out == ""
    for step in (3, 4):  # and the run can go on from there
        save_state(states, {"step": step})
        assert load_state(states)["step"] == step
    assert load_state(states.with_suffix(".old"))["step"] == 3
    assert not states.with_suffix(".pt.part").exists()


HUGE = torch.zeros(1).expand(2**31)  # of 8 GB, if it were copied
FOREIGN = [
    lambda state: [1, 2],
    lambda state: state | {"identity": [1]},
    lambda state: state | {"optimizers": []},
    lambda state: state | {"model": state["model"] | {"norm.bias": HUGE}},
]


@pytest.mark.parametrize("change", FOREIGN)
def test_a_whole_file_that_is_no_state_of_this_run_is_refused(change, tmp_path):
    train(fresh_model(), random_data(), SHORT, tmp_path)
    path = tmp_path / "state.pt"
    save_state(path, change(load_state(path)))
    with pytest.raises(ValueError, match=f"^{path} is missing, damaged or of another"):
        train(fresh_model(), random_data(), SHORT, tmp_path)


def test_a_folder_of_another_run_is_refused(tmp_path):
    whole = train(fresh_model(), random_data(), SHORT, folder=tmp_path)
    before, other = (tmp_path / "state.pt").read_bytes(), random_data(1)
    for choices, config, change, said in [
        ({}, {"learning_rate": 1e-3}, {}, "learning_rate is 0.002, not 0.001"),
        ({"d_ff": 16}, {}, {}, "d_ff is 8, not 16"),
        ({}, {}, {"stream": other.stream}, "text is [0-9a-f]{64}, not "),
        ({}, {}, {"validation_BT": other.validation_BT}, "validation_BT is"),
        ({}, {}, {"sample_BT": other.sample_BT}, "sample_BT is"),
    ]:
        with pytest.raises(ValueError, match=f"holds another run: its {said}.*Choose"):
            data = replace(random_data(), **change)
            train(fresh_model(**choices), data, replace(SHORT, **config), tmp_path)
    assert (tmp_path / "state.pt").read_bytes() == before
    again = train(fresh_model(), random_data(), SHORT, folder=tmp_path)
    assert again.history == whole.history


def test_a_state_of_before_is_still_of_its_run(tmp_path):
    """Without digests of what is scored, or a newer field."""
    whole = train(fresh_model(), random_data(), SHORT, tmp_path)
    path = tmp_path / "state.pt"
    state = load_state(path)
    del state["loss"]
    identity = {part: state["identity"][part] for part in ("model", "training", "text")}
    del identity["model"]["tied"], identity["training"]["clip"]
    save_state(path, state | {"identity": identity})
    assert train(fresh_model(), random_data(), SHORT, tmp_path).history == whole.history


def test_a_second_training_in_a_folder_ends_and_touches_nothing(tmp_path):
    data, states = random_data(), []

    def second(run, entry):
        before = {p: p.read_bytes() for p in tmp_path.glob("state.*")}
        with pytest.raises(ValueError, match="Another training is at work in"):
            train(fresh_model(), data, SHORT, str(tmp_path))
        states.append(before == {p: p.read_bytes() for p in tmp_path.glob("state.*")})

    history = train(fresh_model(), data, SHORT, tmp_path, 60.0, second).history
    assert states == [True] * len(history)
    assert train(fresh_model(), data, SHORT, tmp_path).history == history


def test_a_killed_training_leaves_its_folder_free(tmp_path):
    program = (
        "import signal, pathlib\nfrom helpers.resume import lock_run_folder\n"
        f"with lock_run_folder(pathlib.Path({str(tmp_path)!r})):\n"
        "    print('in', flush=True)\n    signal.pause()"
    )
    with started("-c", program) as run:
        assert run.stdout.readline() == "in\n"
        taken = pytest.raises(ValueError, match="Another training")
        with taken, resume.lock_run_folder(tmp_path):
            pass
        run.kill()
    with resume.lock_run_folder(tmp_path):
        pass


def test_only_the_first_process_locks_and_writes(tmp_path, monkeypatch):
    run, data = TrainingRun(fresh_model(), SHORT), random_data()
    monkeypatch.setattr(parallel, "rank", lambda: 1)
    identity = resume.resume_identity(run.model, data, SHORT)
    with resume.resumable_run(run, tmp_path, identity, 0) as save:
        save()
    assert [*tmp_path.iterdir()] == []
    with pytest.raises(ValueError, match="^folder is ''; name one"):
        train(fresh_model(), data, SHORT, "")
