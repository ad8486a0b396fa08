"""The training loop, from scratch: schedule, mixed precision, early stopping, resume.

Every random draw (order, cut, masks, dropout) is a function of the seed and the epoch
or step, so a run that was interrupted goes on as if it had not been, and several
processes agree with one. Left out: gradient accumulation. Source for masks drawn anew
at each step: Liu et al. 2019, section 4.1.

Shapes: B blocks, T positions, M positions of a block at which a word is asked, V
vocabulary.
"""

import hashlib
import os
import time
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from helpers import parallel
from helpers.checkpoint import load_state, save_state
from helpers.data import batches, seeded, steps_per_epoch
from helpers.evaluate import TrainingData, take_stock
from helpers.masking import IGNORE, asked, mask_tokens, mlm_loss
from helpers.optimize import (
    TrainConfig,
    make_optimizers,
    memory_advice,
    pick_dtype,
    rate_factor,
    set_rates,
)


class EarlyStopping:
    """Keeps the weights of the lowest validation loss and says when to stop.

    That is after `patience` evaluations in a row without a lower loss (Prechelt 1998).
    """

    def __init__(self, patience: int):
        self.patience, self.waited = patience, 0
        self.loss, self.step, self.weights = float("inf"), 0, {}

    @property
    def done(self) -> bool:
        return self.waited >= self.patience

    def update(self, loss: float, step: int, model: nn.Module) -> None:
        """Takes note of an evaluation."""
        if loss < self.loss:
            self.loss, self.step, self.waited = loss, step, 0
            self.weights = {k: v.clone() for k, v in model.state_dict().items()}
        else:
            self.waited += 1

    def restore(self, model: nn.Module) -> None:
        """Puts the best weights back."""
        model.load_state_dict(self.weights)


class TrainingRun:
    """Everything that changes while a model is trained, hence all that is saved."""

    def __init__(self, model: nn.Module, config: TrainConfig, dtype: torch.dtype):
        self.model, self.network = model, parallel.together(model)
        self.dtype, self.step, self.seconds, self.history = dtype, 0, 0.0, []
        self.optimizers = make_optimizers(model, config)
        self.scaler = torch.amp.GradScaler(enabled=dtype == torch.float16)
        self.stopping = EarlyStopping(config.patience)

    def state_dict(self) -> dict:
        """What `load_state_dict` needs in order to go on as if nothing had been."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "dtype": self.dtype,
            "history": self.history,
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "scaler": self.scaler.state_dict(),
            "stopping": vars(self.stopping),
        }

    def load_state_dict(self, state: dict) -> None:
        self.step, self.seconds = state["step"], state["seconds"]
        self.history = state["history"]
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.scaler.load_state_dict(state["scaler"])
        vars(self.stopping).update(state["stopping"])

    def take_stock(self, data: TrainingData, epoch: float) -> None:
        """Scores the model, in the first process, and has all take note."""
        require_finite(self)
        found = parallel.from_first(lambda: take_stock(self.model, data))
        entry = {"step": self.step, "epoch": epoch, "seconds": self.seconds} | found
        self.history.append(entry)
        self.stopping.update(entry["validation_loss"], self.step, self.model)


def require_finite(run: TrainingRun, *numbers: Tensor) -> None:
    """Stops a run whose loss or weights are not finite; the best weights return."""
    norm = nn.utils.get_total_norm(run.model.parameters())
    if all(number.isfinite() for number in (norm, *numbers)):
        return
    if run.stopping.weights:
        run.stopping.restore(run.model)
    raise FloatingPointError(
        f"The loss is no longer a number at step {run.step}. The model has the weights "
        f"of step {run.stopping.step} back. Try half the learning_rate (and half the "
        "muon_rate), or a longer warmup."
    )


def train_step(run: TrainingRun, ids_BT: Tensor, config, total, hide=None) -> Tensor:
    """One update on one batch: mask, predict, compare, step. Returns the loss.

    `hide` may stand in for `mask_tokens`. The scaler acts with float16 only: it keeps
    small gradients from vanishing, and skips a step whose gradients overflowed.
    """
    device = next(run.model.parameters()).device
    change = (config.last_mask_rate - config.mask_rate) * run.step / total
    inputs_BT, labels_BT = (hide or mask_tokens)(
        ids_BT,
        run.model.config.vocab_size,
        config.mask_rate + change,
        seeded(config.seed, "mask", run.step),
        fixed=config.masks == "fixed",
    )
    at_BM, labels_BM = asked(labels_BT)
    count = int((labels_BM != IGNORE).sum())  # in the rows of all processes
    inputs_BT, at_BM, labels_BM = (
        parallel.own_rows(rows).to(device) for rows in (inputs_BT, at_BM, labels_BM)
    )
    rank, parts = parallel.part()
    # On GPUs each process drops for its own rows, so it needs draws of its own.
    own = (rank,) if rank and device.type == "cuda" else ()
    torch.manual_seed(seeded(config.seed, "dropout", run.step, *own).initial_seed())
    with torch.autocast(device.type, run.dtype, enabled=run.dtype != torch.float32):
        logits_BMV = run.network(inputs_BT, at_BM)
    loss = mlm_loss(logits_BMV, labels_BM, count)
    # Gradients are averaged over processes, and it is their sum that is wanted.
    run.scaler.scale(loss * parts).backward()
    shape = config.warmup, config.cooldown
    set_rates(run.optimizers, rate_factor(run.step, total, *shape))
    for optimizer in run.optimizers:
        run.scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(run.model.parameters(), config.clip)
    for optimizer in run.optimizers:
        run.scaler.step(optimizer)
        optimizer.zero_grad()
    run.scaler.update()
    run.step += 1
    return parallel.summed(loss.detach())


def evaluation_steps(total: int, evaluations: int) -> set[int]:
    """When to evaluate: evenly, and early on at 0, 1/64, 1/32 and 1/16 of the run."""
    early = {0, *(total // part for part in (64, 32, 16))}
    return early | {round(total * i / evaluations) for i in range(1, evaluations + 1)}


def identity(model, data: TrainingData, config: TrainConfig) -> dict:
    """What makes a run this run: its settings and a digest of its text."""
    digest = hashlib.sha256(data.stream.numpy().tobytes()).hexdigest()
    return asdict(model.config) | asdict(config) | {"text": digest}


def start_or_resume(model, data, config, folder, known: dict) -> TrainingRun:
    """The run that the folder holds, else a new one.

    Raises ValueError if its identity is not the one that is `known`.
    """
    path = None if folder is None else folder / "state.pt"
    state = parallel.from_first(lambda: load_state(path)) if path else {}
    for name, found in state.get("identity", known).items():
        if found != known.get(name):
            raise ValueError(
                f"{folder} holds another run: its {name} is {found}, not "
                f"{known.get(name)}. Choose another name, or delete it."
            )
    few_BT = data.validation_BT[: config.batch_size]
    # A run keeps its number format, whichever would be the faster one now.
    dtype = state.get("dtype") or parallel.from_first(
        lambda: pick_dtype(model, few_BT, config.precision)
    )
    run = TrainingRun(model, config, dtype)
    if state:
        run.load_state_dict(state)
    return run


def save_run(run: TrainingRun, known: dict, folder: Path) -> None:
    """Writes a run that is sound, with its identity, in the first process only."""
    require_finite(run)
    if parallel.part()[0] == 0:
        save_state(folder / "state.pt", run.state_dict() | {"identity": known})


def train(
    model,
    data: TrainingData,
    config: TrainConfig,
    folder=None,
    save_seconds=60.0,
    on_evaluation=lambda run: None,
) -> list[dict]:
    """Trains until the schedule or early stopping ends; then restores the best weights.

    Returns the history, one entry an evaluation. The run is saved in a `folder` at each
    evaluation and every `save_seconds`, and goes on from there. `on_evaluation` is
    called with the run after each evaluation, before it is saved. FloatingPointError
    when the loss is no longer a number, MemoryError when a batch is too large.
    """
    length = model.config.max_length
    per_epoch = steps_per_epoch(data.stream, length, config.batch_size)
    total = max(1, round(config.epochs * per_epoch))
    moments = evaluation_steps(total, config.evaluations)
    known, saved = identity(model, data, config), time.time()
    run = start_or_resume(model, data, config, folder, known)
    size = config.batch_size * length
    quiet = parallel.part()[0] > 0 or "TQDM_DISABLE" in os.environ
    done = {"total": total * size, "initial": run.step * size}
    bar = tqdm(**done, unit="token", unit_scale=True, disable=quiet)
    source = batches(data.stream, length, config.batch_size, config.seed, run.step)
    for ids_BT in source:
        due = run.step in moments and run.step not in (e["step"] for e in run.history)
        if due:
            run.take_stock(data, run.step / per_epoch)
            on_evaluation(run)
        if folder and (due or time.time() - saved > save_seconds):
            save_run(run, known, folder)
            saved = time.time()
        if run.stopping.done or run.step == total:
            break
        start = time.time()
        with memory_advice(config.batch_size):
            loss = train_step(run, ids_BT, config, total)
        bar.update(size)
        if run.step % 20 == 0:  # reading the loss waits until the GPU is done
            require_finite(run, loss)
            bar.set_postfix(loss=f"{loss:.2f}", validation=f"{run.stopping.loss:.2f}")
        run.seconds += time.time() - start
    bar.close()
    run.stopping.restore(model)
    return run.history


if __name__ == "__main__":
    from helpers.experiment import main

    main()
