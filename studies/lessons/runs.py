"""One run of a lesson: trained, scored, recorded. Skipped if its record exists."""

import hashlib
import itertools
import time
from functools import cache

import torch
from torch import Tensor
from tqdm.auto import tqdm

from helpers import ROOT, record
from helpers.corpus import require_wikitext
from helpers.evaluate import evaluate
from helpers.masking import evaluation_subsets
from helpers.model import MaskedLanguageModel
from helpers.run import TrainingRun
from helpers.train import train_step
from studies.lab.runs import lone_rows, read_run
from studies.lessons.arms import (
    ARMS,
    KNOWN,
    Arm,
    hiding,
    known_only,
    scored,
    source,
    text_of,
    tokenizer_of,
)
from studies.lessons.words import known_words, score_words, words_asked

EVERY, PARTS = 100, 4  # a curve is scored so often, on one of so many parts of the text
RECORDS = ROOT / "plots" / "records" / "lessons"
# Arms whose models are asked the words that all vocabularies share.
VOCABULARIES = "base", "words_5000", "words_10000", "pieces_2000", "pieces_8000"


@cache
def digest(pieces: bool, vocab_size: int) -> str:
    """Which text, in which tokens: of the training and the validation split."""
    arm = Arm({"vocab_size": vocab_size}, pieces=pieces)
    texts = [text_of(arm, split) for split in ("train", "validation")]
    return hashlib.sha256(repr(texts).encode()).hexdigest()


def settings(name: str, seed: int) -> dict:
    """What makes a run this run, but for its text."""
    arm = ARMS[name]
    return {
        "arm": name,
        "seed": seed,
        "design": arm,
        "model": arm.model_config,
        "training": arm.train_config(seed),
    }


def wanted(name: str, seed: int) -> dict:
    """All of what makes a run this run."""
    arm = ARMS[name]
    text = digest(arm.pieces, arm.model_config.vocab_size)
    return settings(name, seed) | {"text": text}


def score(model, rows: tuple[Tensor, Tensor]) -> dict:
    """Loss and accuracy on the first seventh of the words of some rows."""
    found = evaluate(model, *rows)
    return {key: found[key] for key in ("loss", "accuracy", "words")}


def fit(name: str, seed: int, device: str) -> tuple:
    """Trains an arm's model; returns it with its curve and the seconds of its steps.

    FloatingPointError if it diverges.
    """
    arm = ARMS[name]
    config, steps = arm.train_config(seed), arm.steps
    torch.manual_seed(seed)
    model = MaskedLanguageModel(arm.model_config).to(device)
    run = TrainingRun(model, config, getattr(torch, config.precision))
    rows, hide, curve = scored(arm, PARTS), hiding(arm, seed), []
    bar = tqdm(total=steps, unit="step", desc=f"{name}, seed {seed}", leave=False)
    for ids_BT in itertools.islice(source(arm, seed), steps):
        start = time.monotonic()
        try:
            loss = train_step(run, ids_BT, config, steps, hide)
        except FloatingPointError as error:
            raise FloatingPointError(f"{name}, seed {seed} diverged: {error}") from None
        run.seconds += time.monotonic() - start
        if run.step % EVERY == 0:
            curve.append({"step": run.step, **score(model, rows), "batch": loss.item()})
            bar.set_postfix(validation=f"{curve[-1]['loss']:.2f}")
            bar.update(EVERY)
    bar.close()
    return model, curve, run.seconds


def score_alone(model, arm: Arm) -> dict:
    """The words of sentences of 5 to 40 words, each by itself, in the same sevenths."""
    tokenizer = tokenizer_of(arm.pieces, arm.model_config.vocab_size)
    lines, length = require_wikitext().validation, arm.model_config.max_length
    ids_BT = lone_rows(tokenizer, lines, length)
    return score(model, (ids_BT, evaluation_subsets(ids_BT)))


def run(name: str, seed: int) -> dict:
    """The record of a run, which is made unless it is there."""
    target, identity = RECORDS / f"{name}_seed_{seed}.json", wanted(name, seed)
    if found := read_run(target, identity):
        return found
    arm, device = ARMS[name], "cuda" if torch.cuda.is_available() else "cpu"
    model, curve, seconds = fit(name, seed, device)
    rows = scored(arm)
    found = {
        "hardware": record.hardware(),
        "seconds": seconds,
        **record.plain(identity),
    }
    found |= {"weights": sum(p.numel() for p in model.parameters())}
    found |= {"curve": curve, "validation": score(model, rows)}
    if arm.masks == "known only":
        found["validation_unread"] = score(model, (known_only(rows[0]), rows[1]))
    if arm.training.get("masks") == "independent":
        found["alone"] = score_alone(model, arm)
    if name in VOCABULARIES:
        corpus = require_wikitext()
        asked = words_asked(corpus.validation, known_words(corpus.train, KNOWN))
        tokenizer = tokenizer_of(arm.pieces, arm.model_config.vocab_size)
        found["asked"] = score_words(model, tokenizer, corpus.validation, asked)
    record.write(target, found)
    return found
