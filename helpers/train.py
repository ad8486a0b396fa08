"""The training loop, from scratch: schedule, mixed precision, early stopping, resume.

Every random draw (order, cut, masks, dropout) is a function of the seed and the epoch
or step, so a run that was interrupted goes on as if it had not been, and several
processes agree with one. Left out: gradient accumulation. Source for masks drawn anew
at each step: Liu et al. 2019, section 4.1.

Shapes: B blocks, T positions, M positions of a block at which a word is asked, V
vocabulary.
"""

import os
import time
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from helpers import parallel
from helpers.checkpoint import locked
from helpers.data import TrainingData, batches, steps_per_epoch
from helpers.evaluate import require_match, validate
from helpers.interrupt import held_back, whole_or_undone
from helpers.masking import IGNORE, mask_tokens, masked_positions, mlm_loss
from helpers.optimize import TrainConfig, memory_advice, rate_factor, set_rates
from helpers.run import (
    TrainingRun,
    identity,
    require_finite,
    save_run,
    start_or_resume,
)
from helpers.seeds import seeded


def update(run: TrainingRun, loss: Tensor, config: TrainConfig, total: int) -> None:
    """One step of all optimisers along the gradients of a loss, or of none.

    The scaler acts with float16 only: it keeps small gradients from vanishing. Where
    its factor was too large the gradients overflow; then the step is left out and the
    factor is lowered. FloatingPointError where no factor is to blame.
    """
    run.model.zero_grad()  # an interrupted step may have left something
    run.scaler.scale(loss).backward()
    shape = config.warmup, config.cooldown
    set_rates(run.optimizers, rate_factor(run.step, total, *shape))
    for optimizer in run.optimizers:
        run.scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(run.model.parameters(), config.clip)
    sound, factor = norm.isfinite(), run.scaler.get_scale()
    with held_back():
        for optimizer in run.optimizers if sound else ():
            run.scaler.step(optimizer)
        run.scaler.update()
        if not sound and run.scaler.get_scale() == factor:
            require_finite(run, norm)
        run.step += 1


def train_step(run: TrainingRun, ids_BT: Tensor, config, total, hide=None) -> Tensor:
    """One update on one batch: mask, predict, compare, step. Returns the loss.

    `hide` may stand in for `mask_tokens`. A batch in which no word can be asked has a
    loss of 0 and changes nothing.
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
    at_BM, labels_BM = masked_positions(labels_BT)
    count = int((labels_BM != IGNORE).sum())  # in the rows of all processes
    inputs_BT, at_BM, labels_BM = (
        parallel.own_rows(rows).to(device) for rows in (inputs_BT, at_BM, labels_BM)
    )
    if not count:
        run.step += 1
        return torch.zeros((), device=device)
    rank, parts = parallel.part()
    # On GPUs each process drops for its own rows, so it needs draws of its own.
    own = (rank,) if rank and device.type == "cuda" else ()
    torch.manual_seed(seeded(config.seed, "dropout", run.step, *own).initial_seed())
    with torch.autocast(device.type, run.dtype, enabled=run.dtype != torch.float32):
        logits_BMV = run.network(inputs_BT, at_BM)
    loss = mlm_loss(logits_BMV, labels_BM, count)
    # Gradients are averaged over processes, and it is their sum that is wanted.
    update(run, loss * parts, config, total)
    return parallel.summed(loss.detach())


def evaluation_steps(total: int, evaluations: int) -> set[int]:
    """When to evaluate: evenly, and early on at 0, 1/64, 1/32 and 1/16 of the run."""
    early = {0, *(total // part for part in (64, 32, 16))}
    return early | {round(total * i / evaluations) for i in range(1, evaluations + 1)}


def take_steps(run: TrainingRun, data, config, save, save_seconds, then) -> None:
    """The loop: to the end of the schedule, or until early stopping ends it.

    After each evaluation it calls `then` with the run. After that, and every
    `save_seconds`, it calls `save`.
    """
    length = run.model.config.max_length
    per_epoch = steps_per_epoch(data.stream, length, config.batch_size)
    total = max(1, round(config.epochs * per_epoch))
    if run.step > total:
        raise ValueError(f"The run is at step {run.step} of {total}; name another.")
    moments = evaluation_steps(total, config.evaluations)
    size, saved = config.batch_size * length, time.monotonic()
    quiet = parallel.part()[0] > 0 or "TQDM_DISABLE" in os.environ
    done = {"total": total * size, "initial": run.step * size}
    bar = tqdm(**done, unit="token", unit_scale=True, disable=quiet)
    source = batches(data.stream, length, config.batch_size, config.seed, run.step)
    run.network.train()
    for ids_BT in source:
        due = run.step in moments and run.step not in (e["step"] for e in run.history)
        if due:
            require_finite(run)
            found = parallel.from_first(lambda: validate(run.model, data))
            with whole_or_undone(run, run.stopping):
                run.take_note(run.step / per_epoch, found)
                then(run)
        if due or time.monotonic() - saved > save_seconds:
            save()
            saved = time.monotonic()
        if run.stopping.done or run.step >= total:
            break
        start = time.monotonic()
        with memory_advice(config.batch_size, parallel.part()[1]):
            loss = train_step(run, ids_BT, config, total)
        bar.update(size)
        if run.step % 20 == 0:  # reading the loss waits until the GPU is done
            bar.set_postfix(loss=f"{loss:.2f}", validation=f"{run.stopping.loss:.2f}")
        run.seconds += time.monotonic() - start
    bar.close()


def train(
    model,
    data: TrainingData,
    config: TrainConfig,
    folder: str | Path | None = None,
    save_seconds=60.0,
    on_evaluation=lambda run: None,
) -> list[dict]:
    """Trains until the schedule or early stopping ends; then restores the best weights.

    Returns the history, one entry an evaluation. The run is saved in a `folder` at each
    evaluation, every `save_seconds` and after Ctrl-C, and goes on from there.
    `on_evaluation` is called with the run after each evaluation, before it is saved.
    FloatingPointError when the loss is no longer a number, MemoryError when a batch is
    too large, ValueError when the folder holds another run or is in use.
    """
    require_match(model, data, config)
    if folder == "":
        raise ValueError("folder is ''; name one, or give None to save nothing.")
    folder = None if folder is None else Path(folder)
    known = identity(model, data, config)
    with locked(folder), torch.inference_mode(False):  # gradients, whoever calls
        run = start_or_resume(model, data, config, folder, known)
        save = partial(save_run, run, known, folder)
        try:
            take_steps(run, data, config, save, save_seconds, on_evaluation)
        except KeyboardInterrupt:
            save()
            kept = f"run the same again to go on from {folder}."
            said = kept if folder else "it had no folder to be saved in."
            said = f"Interrupted at step {run.step:,}: {said}"
            raise KeyboardInterrupt(said) from None
    run.stopping.restore(model)
    return run.history
