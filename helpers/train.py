"""The training loop, from scratch, and the run: all that changes while it trains.

Every random draw (order, cut, masks, dropout) is a function of the seed and the epoch
or step, so a run that was interrupted goes on as if it had not been, and several
processes agree with one. Left out: gradient accumulation. Source for masks drawn anew
at each step: Liu et al. 2019, section 4.1.

Shapes: B blocks, T positions, M masked positions of a block, V vocabulary.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from helpers import parallel
from helpers.checkpoint import checkpoint_weights, load_weights
from helpers.data import TrainingData, batches, steps_per_epoch
from helpers.evaluate import require_scorable_data, validate
from helpers.interrupt import delay_interrupt
from helpers.masking import IGNORE, mask_tokens, masked_positions, mlm_loss
from helpers.optimize import TrainConfig, make_optimizers, pick_dtype, rate_factor
from helpers.resume import (
    Resumable,
    require_finite_run,
    resumable_run,
    resume_identity,
)
from helpers.seeds import seeded


class EarlyStopping:
    """Keeps the weights of the lowest validation loss and says when to stop.

    It says so after `patience` evaluations without a lower loss (Prechelt 1998).
    """

    def __init__(self, patience: int):
        self.patience, self.waited = patience, 0
        self.loss, self.step, self.weights = float("inf"), 0, {}

    @property
    def done(self) -> bool:
        return self.waited >= self.patience

    def update(self, loss: float, step: int, model: nn.Module) -> None:
        """Records the loss of an evaluation, and the weights if it is the lowest."""
        if loss < self.loss:
            self.loss, self.step, self.waited = loss, step, 0
            self.weights = {k: v.clone() for k, v in checkpoint_weights(model).items()}
        else:
            self.waited += 1

    def restore(self, model: nn.Module) -> None:
        """Puts the best weights back."""
        load_weights(model, self.weights)


class TrainingRun(Resumable):
    """Everything that changes while a model is trained."""

    def __init__(self, model: nn.Module, config: TrainConfig):
        self.model, self.network = model, parallel.distribute_model(model)
        self.optimizers = make_optimizers(model, config)
        self.stopping = EarlyStopping(config.patience)
        self.step, self.seconds, self.loss, self.history = 0, 0.0, 0.0, []
        self.precision, self.scaling = config.precision, {}
        self.choose_dtype()

    def choose_dtype(self, begun_in: torch.dtype | None = None) -> None:
        self.dtype = pick_dtype(self.model, self.precision, begun_in)
        device = next(self.model.parameters()).device.type
        self.scaler = torch.amp.GradScaler(device, enabled=self.dtype == torch.float16)


def train_step(
    run: TrainingRun, ids_BT: Tensor, config: TrainConfig, total, mask=mask_tokens
) -> Tensor:
    """One step on one batch: mask, predict, compare, follow the gradients.

    Returns the loss in nats per word. `total` is the number of steps in the run. A
    batch in which no word can be masked has a loss of 0 and changes no weight.
    """
    change = (config.last_mask_rate - config.mask_rate) * run.step / total
    words, rate = run.model.config.vocab_size, config.mask_rate + change
    draw, fixed = seeded(config.seed, "mask", run.step), config.masks == "fixed"
    inputs_BT, labels_BT = mask(ids_BT, words, rate, draw, fixed=fixed)
    at_BM, labels_BM = masked_positions(labels_BT)
    if not (count := int((labels_BM != IGNORE).sum())):
        run.step += 1
        return torch.zeros(())
    device = next(run.model.parameters()).device
    inputs_BT, at_BM, labels_BM = (
        parallel.shard(batch).to(device, non_blocking=True)
        for batch in (inputs_BT, at_BM, labels_BM)
    )
    torch.manual_seed(parallel.dropout_seed(config.seed, run.step, device))
    run.model.zero_grad()
    with torch.autocast(device.type, run.dtype, enabled=run.dtype != torch.float32):
        logits_BMV = run.network(inputs_BT, at_BM)
    # The processes average their gradients, so each divides by the mean word count.
    loss = mlm_loss(logits_BMV, labels_BM, count / parallel.world_size())
    run.scaler.scale(loss).backward()
    apply_gradients(run, config, total)
    return parallel.mean_over_processes(loss.detach())


def apply_gradients(run: TrainingRun, config: TrainConfig, total: int) -> None:
    """Clips the gradients and moves the weights, at the learning rate of this step.

    With float16 the scaler first divides the gradients by its factor. If the factor
    was so large that one overflowed, it is lowered, and all optimisers skip the step.
    """
    factor = rate_factor(run.step, total, config.warmup, config.cooldown)
    for optimizer in run.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = factor * group["peak"]
        run.scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(run.model.parameters(), config.clip)
    overflow = run.scaler.is_enabled() and not norm.isfinite()
    with delay_interrupt():  # Ctrl-C waits, so a step is whole or not taken
        for optimizer in [] if overflow else run.optimizers:
            run.scaler.step(optimizer)
        run.scaler.update()
        run.step += 1


def evaluation_steps(total: int, evaluations: int) -> set[int]:
    """When to evaluate: at even intervals, and early at 0, 1/64, 1/32 and 1/16."""
    early = {0, *(total // part for part in (64, 32, 16))}
    return early | {round(total * i / evaluations) for i in range(1, evaluations + 1)}


def evaluate_in_training(run: TrainingRun, data, epoch: float, on_evaluation) -> None:
    """Adds both losses to the history of a run; raises an error if it diverged."""
    require_finite_run(run)
    entry = {"step": run.step, "epoch": epoch, "seconds": run.seconds}
    entry |= parallel.broadcast(lambda: validate(run.model, data))
    on_evaluation(run, entry)
    with delay_interrupt():
        run.history = [*run.history, entry]
        run.stopping.update(entry["validation_loss"], run.step, run.model)


@contextmanager
def memory_advice(batch_size: int) -> Iterator[None]:
    """Turns running out of memory into a MemoryError that names a remedy."""
    try:
        yield
    except RuntimeError as error:  # of which torch.OutOfMemoryError is one
        message = str(error)
        if "out of memory" not in message and "can't allocate memory" not in message:
            raise
        half = batch_size // 2
        less = f"batch_size={half}" if half else "a smaller model or shorter blocks"
        raise MemoryError(
            f"A batch of {batch_size} blocks does not fit into memory; use {less}."
        ) from error


def run_steps(run: TrainingRun, data, config, source, mask, on_evaluation, save):
    """Trains to the end of the schedule, or until early stopping ends the run.

    `source` gives the batches from a step on. `save` is told if it must save now.
    """
    length = run.model.config.max_length
    per_epoch = steps_per_epoch(data.stream, length, config.batch_size)
    total = max(1, round(config.epochs * per_epoch))
    due = evaluation_steps(total, config.evaluations) - {e["step"] for e in run.history}
    quiet = parallel.rank() > 0 or "TQDM_DISABLE" in os.environ
    bar = tqdm(total=total, initial=run.step, unit="step", disable=quiet)
    run.network.train()
    for ids_BT in source(run.step):
        if run.step in due:
            evaluate_in_training(run, data, run.step / per_epoch, on_evaluation)
        save(run.step in due)
        if run.stopping.done or run.step >= total:
            break
        start = time.monotonic()
        with memory_advice(config.batch_size):
            run.loss = train_step(run, ids_BT, config, total, mask)
        if run.step % 20 == 0 or run.step in due:  # reading waits for the GPU
            bar.set_postfix(loss=float(run.loss), validation=run.stopping.loss)
        run.seconds += time.monotonic() - start
        bar.update()
    bar.close()


@torch.inference_mode(False)  # gradients, even if the caller has none
def train(
    model,
    data: TrainingData,
    config: TrainConfig,
    folder: str | Path | None = None,
    save_seconds=60.0,
    on_evaluation=lambda run, entry: None,
    mask=mask_tokens,
    source: Callable | None = None,
) -> TrainingRun:
    """Trains until the schedule or early stopping ends; then restores the best weights.

    The run is saved in a `folder` at each evaluation, every `save_seconds` and after
    Ctrl-C; the next call resumes it. `on_evaluation` gets the run and the new entry of
    its history, and may add to the entry. `mask` and `source` can replace `mask_tokens`
    and `batches`. Raises FloatingPointError when the loss is no longer a number,
    MemoryError when a batch is too large, ValueError when the folder holds another run
    or is in use.
    """
    require_scorable_data(model, data, config.batch_size)
    choices = model.config.max_length, config.batch_size, config.seed
    source = source or partial(batches, data.stream, *choices)
    run = TrainingRun(model, config)
    known = resume_identity(model, data, config)
    with resumable_run(run, folder, known, save_seconds) as save:
        run_steps(run, data, config, source, mask, on_evaluation, save)
    run.stopping.restore(model)
    return run
