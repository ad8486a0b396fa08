"""The training loop, from scratch: schedule, mixed precision, early stopping, resume.

Every random draw (order, cut, masks, dropout) is a function of the seed and the epoch
or step, so a run that was interrupted goes on as if it had not been. Left out: several
GPUs and gradient accumulation. Source for masks drawn anew at each step: Liu et al.
2019, section 4.1.

Shapes: B blocks, T positions, M selected positions in a row, V vocabulary.
"""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from helpers.checkpoint import load_state, save_state
from helpers.data import cut
from helpers.evaluate import TrainingData, take_stock
from helpers.masking import IGNORE, mask_tokens, mlm_loss
from helpers.optimize import make_optimizers, pick_dtype, rate_factor, set_rates


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Rates are peaks; `warmup` and `mask_rate` are shares."""

    epochs: float = 6.0
    batch_size: int = 64  # blocks a step
    optimizer: str = "adamw"  # or "muon": Muon for the blocks' matrices
    learning_rate: float = 2e-3
    muon_rate: float = 0.02
    weight_decay: float = 0.1
    warmup: float = 0.05
    mask_rate: float = 0.15
    clip: float = 1.0
    evaluations: int = 12  # spread evenly, beside the early ones
    patience: int = 3  # evaluations without a lower loss before stopping
    seed: int = 0


def seeded(*key) -> torch.Generator:
    """A generator on the CPU whose draws depend on `key` alone, on every machine."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))


def steps_per_epoch(stream: Tensor, length: int, batch_size: int) -> int:
    """Full batches in one pass over the text, at least 1."""
    return max(1, len(stream) // ((length - 1) * batch_size))


def batches(
    stream: Tensor, length: int, config: TrainConfig, start: int = 0
) -> Iterator[Tensor]:
    """Training batches (B, T) from step `start` on, without end.

    Each epoch cuts the stream at another offset and shuffles the blocks anew, so that
    a word does not always stand in the same place beside the same neighbours.
    """
    per_epoch = steps_per_epoch(stream, length, config.batch_size)
    for epoch in itertools.count(start // per_epoch):
        draw = seeded(config.seed, "order", epoch)
        offset = int(torch.randint(length - 1, (1,), generator=draw))
        blocks_BT = cut(stream, length, offset)
        order = torch.randperm(len(blocks_BT), generator=draw)
        for step in range(start % per_epoch, per_epoch):
            first = step * config.batch_size
            yield blocks_BT[order[first : first + config.batch_size]]
        start = 0


def train_step(model, ids_BT, optimizers, scaler, dtype, config, step) -> Tensor:
    """One update on one batch: mask, predict, compare, step. Returns the loss.

    The scaler acts with float16 only: it multiplies the loss so that small gradients do
    not vanish, and skips a step whose gradients overflowed.
    """
    device = next(model.parameters()).device
    draw = seeded(config.seed, "mask", step)
    inputs_BT, labels_BT = mask_tokens(
        ids_BT, model.config.vocab_size, config.mask_rate, draw
    )
    inputs_BT, labels_BT = inputs_BT.to(device), labels_BT.to(device)
    selected_BT = labels_BT != IGNORE
    torch.manual_seed(seeded(config.seed, "dropout", step).initial_seed())
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        logits_MV = model(inputs_BT, selected_BT)
    loss = mlm_loss(logits_MV, labels_BT[selected_BT])
    scaler.scale(loss).backward()
    for optimizer in optimizers:
        scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), config.clip)
    for optimizer in optimizers:
        scaler.step(optimizer)
        optimizer.zero_grad()
    scaler.update()
    return loss.detach()


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


def evaluation_steps(total: int, evaluations: int) -> set[int]:
    """When to evaluate: evenly, and early on at 0, 1/64, 1/32 and 1/16 of the run."""
    early = {0, *(total // part for part in (64, 32, 16))}
    return early | {round(total * i / evaluations) for i in range(1, evaluations + 1)}


def snapshot(model, optimizers, scaler, stopping, history) -> dict:
    """All that a run needs in order to go on, as `resume` reads it."""
    return {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "scaler": scaler.state_dict(),
        "stopping": vars(stopping),
        "history": history,
    }


def resume(state: dict, model, optimizers, scaler, stopping, history) -> int:
    """Puts a snapshot back into a run's objects; returns the step to go on from."""
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    scaler.load_state_dict(state["scaler"])
    vars(stopping).update(state["stopping"])
    history.extend(state["history"])
    return history[-1]["step"]


def train(
    model, data: TrainingData, config: TrainConfig, run: Path | None = None
) -> list[dict]:
    """Trains until the schedule or early stopping ends; then restores the best weights.

    Returns the history, one entry an evaluation. With a folder `run` the state is saved
    there at each evaluation, and a run that was interrupted goes on from it.
    """
    length = model.config.max_length
    per_epoch = steps_per_epoch(data.stream, length, config.batch_size)
    total = max(1, round(config.epochs * per_epoch))
    moments = evaluation_steps(total, config.evaluations)
    state = {} if run is None else load_state(run / "state.pt")
    few_BT = data.validation_BT[: config.batch_size]
    # A run keeps its number format, whichever would be the faster one now.
    dtype = state.get("dtype") or pick_dtype(model, few_BT)
    scaler = torch.amp.GradScaler(enabled=dtype == torch.float16)
    optimizers = make_optimizers(model, config)
    stopping, history = EarlyStopping(config.patience), []
    parts = model, optimizers, scaler, stopping, history
    start = resume(state, *parts) if state else 0
    bar = tqdm(total=total * config.batch_size * length, unit="token", unit_scale=True)
    for step, ids_BT in enumerate(batches(data.stream, length, config, start), start):
        if step in moments and (not history or step > history[-1]["step"]):
            history.append(take_stock(model, data, step, step / per_epoch))
            stopping.update(history[-1]["validation_loss"], step, model)
            if run is not None:
                save_state(run / "state.pt", snapshot(*parts) | {"dtype": dtype})
        if stopping.done or step == total:
            break
        set_rates(optimizers, rate_factor(step, total, config.warmup))
        loss = train_step(model, ids_BT, optimizers, scaler, dtype, config, step)
        bar.update(ids_BT.numel())
        if step % 20 == 0:  # reading the loss makes a GPU wait, so not at every step
            bar.set_postfix(loss=f"{loss:.2f}", validation=f"{stopping.loss:.2f}")
    bar.close()
    stopping.restore(model)
    return history


if __name__ == "__main__":
    from helpers.experiment import main

    main()
