"""Trainings in several processes, for test_parallel.py.

As a program it measures in 1, 2 and 4 processes, which are forks of it, so that PyTorch
is imported once. Under `torchrun` it trains, and process 1 ends itself once.
"""

import faulthandler
import hashlib
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch
import torch._dynamo  # every optimiser wants it
import torch.distributed as dist
from tiny import Interruption, acting
from torch import Tensor

from helpers.corpus import load_corpus
from helpers.data import TrainingData
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.optimize import TrainConfig
from helpers.tokenizer import PAD, SPECIALS, UNK, WordTokenizer
from helpers.train import TrainingRun, train, train_step
from studies.lab.experiment import join_experiment_processes

LENGTH, VOCABULARY = 16, 128  # more words than the toy corpus has
LAST, CHANGE, DEATH = 20, 9, 13  # steps
CONFIG = TrainConfig(
    epochs=0.1,
    batch_size=24,
    evaluations=LAST,
    patience=99,
    masks="independent",
    precision="float32",
)


def prepare() -> TrainingData:
    """Some of the toy corpus, so that an epoch's tenth are LAST steps."""
    corpus = load_corpus("toy")
    tokenizer = WordTokenizer.train(corpus.train)
    data = TrainingData.prepare(tokenizer, corpus, LENGTH, sample=32)
    data.stream = data.stream[: (LENGTH - 1) * CONFIG.batch_size * LAST * 10]
    data.validation_BT, data.subset_BT = data.validation_BT[:64], data.subset_BT[:64]
    return data


def build(dropout: float) -> MaskedLanguageModel:
    torch.manual_seed(0)
    sizes = dict(vocab_size=VOCABULARY, n_layers=2, d_model=16, n_heads=2, d_ff=32)
    return MaskedLanguageModel(ModelConfig(max_length=LENGTH, dropout=dropout, **sizes))


def batch() -> Tensor:
    """Eight rows, two of them short, and nothing but [UNK] in the second half."""
    draw = torch.Generator().manual_seed(1)
    ids_BT = torch.randint(len(SPECIALS), VOCABULARY, (8, LENGTH), generator=draw)
    ids_BT[:2, 3:], ids_BT[4:] = PAD, UNK
    return ids_BT


def gradients() -> dict[str, Tensor]:
    """What the optimisers get after one backward pass over a batch, in float64."""
    model, config, found = build(0.1).double(), replace(CONFIG, clip=1e9), {}
    run = TrainingRun(model, config)
    run.optimizers[0].register_step_pre_hook(
        lambda *_: found.update(
            {name: p.grad.clone() for name, p in model.named_parameters()}
        )
    )
    train_step(run, batch(), config, LAST)
    return found


def curve(data, optimizer="adamw", folder=None, act=lambda step: None) -> dict:
    """Trains; `act` is called before each step. The losses and what is left."""
    model, losses, validation = build(0.1), {}, []

    def note(run, entry):
        validation.append(entry["validation_loss"])
        if run.step:
            losses[run.step - 1] = float(run.loss)

    config = replace(CONFIG, optimizer=optimizer)
    source = acting(act, data, LENGTH, config)
    with suppress(Interruption):
        train(model, data, config, folder, 0.0, note, source=source)
    content = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
    digest = hashlib.sha256(content).hexdigest()
    return {"losses": losses, "validation": validation, "digest": digest}


def stop(step: int) -> None:
    if step == CHANGE:
        raise Interruption


def measure(rank: int, world_size: int, folder: Path, data: TrainingData) -> None:
    """All that test_parallel.py wants to know of one process."""
    faulthandler.dump_traceback_later(150, exit=True)  # seconds; says where it hangs
    torch.set_num_threads(1)
    if world_size > 1:
        place = f"file://{folder}/meet{world_size}"
        dist.init_process_group("gloo", place, rank=rank, world_size=world_size)
    found = {"gradients": gradients()}
    for optimizer in ("adamw", "muon"):
        found[optimizer] = curve(data, optimizer)
    run = TrainingRun(build(0.1), CONFIG)
    nothing = train_step(run, batch().fill_(UNK), CONFIG, LAST)
    found["nothing"] = nothing.item(), run.step
    if world_size == 1:
        curve(data, folder=folder / "change", act=stop)
    if world_size == 2:
        found["change"] = curve(data, folder=folder / "change")
        try:
            train(build(0.0), data, replace(CONFIG, batch_size=5))
        except ValueError as error:
            found["refusal"] = str(error)
    torch.save(found, folder / f"{world_size}-{rank}.pt")
    if world_size > 1:
        dist.destroy_process_group()


def measure_all(folder: Path) -> None:
    """In 1, 2 and 4 processes, one after the other."""
    torch.set_num_threads(1)  # threads would not survive a fork
    data = prepare()
    for world_size in (1, 2, 4):
        torch.multiprocessing.start_processes(
            measure, (world_size, folder, data), world_size, start_method="fork"
        )


def train_and_die(folder: Path) -> None:
    """A training under `torchrun`; process 1 is killed at a step, the first time."""
    torch.set_num_threads(1)
    rank, mark = int(os.environ["RANK"]), folder / "died"
    if mark.exists():
        time.sleep(3 * (1 - rank))  # in which 1 must not go by where 0 was before
    join_experiment_processes()

    def die(step: int) -> None:
        if (rank, step) == (1, DEATH) and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    found = curve(prepare(), folder=folder / "run", act=die)
    torch.save(found, folder / f"rank{rank}.pt")


if __name__ == "__main__":
    action = train_and_die if "RANK" in os.environ else measure_all
    action(Path(sys.argv[1]))
