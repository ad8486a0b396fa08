"""One run of a lesson: trained to its last step, scored on the way and at the end."""

import hashlib
import itertools
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from helpers.data import TrainingData, join_lines, steps_per_epoch
from helpers.masking import evaluation_subsets
from helpers.model import MaskedLanguageModel
from helpers.train import train
from studies.lab.runs import lone_rows, score
from studies.lab.wikitext import require_wikitext
from studies.lessons.arms import (
    KNOWN,
    Arm,
    encoded,
    known_only,
    rows_of,
    scored_rows,
    text_of,
    tokenizer_of,
    training_batches,
)
from studies.lessons.masking import mask_function
from studies.lessons.vocabulary import ASKED
from studies.lessons.words import places_of, score_words

EVERY, PARTS = 100, 4  # a curve is scored so often, on one of so many parts of the text


@cache
def digest(pieces: bool, vocab_size: int) -> str:
    """Which text, in which tokens: of the training and the validation split."""
    texts = [encoded(pieces, vocab_size, split) for split in ("train", "validation")]
    return hashlib.sha256(repr(texts).encode()).hexdigest()


def final_scores(model, arm: Arm) -> dict:
    """What a run's record says of its last weights, by what the arm was made for.

    Words are scored on the first seventh of them.
    """
    corpus, config = require_wikitext(), arm.model_config
    tokenizer = tokenizer_of(arm.pieces, config.vocab_size)
    ids_BT, subset_BT = scored_rows(arm)
    scores = {"validation": score(model, ids_BT, subset_BT, [0])}
    if arm.masks == "known only":
        scores["validation_unread"] = score(model, known_only(ids_BT), subset_BT, [0])
    if arm.training.get("masks") == "independent":
        alone_BT, _ = lone_rows(tokenizer, corpus.validation, config.max_length)
        subset_BT = evaluation_subsets(alone_BT)
        scores["alone"] = score(model, alone_BT, subset_BT, [0])
    if arm in ASKED:
        shared = {*tokenizer_of(False, KNOWN).words}
        places = places_of(corpus.validation, shared)
        scores["asked"] = score_words(model, tokenizer, corpus.validation, places)
    return scores


def make(arm: Arm, seed: int, folder: Path) -> dict:
    """Trains and scores one run; what is kept in the folder on the way is removed."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(seed)
    model = MaskedLanguageModel(arm.model_config).to(device)
    text = text_of(arm, "train")
    sample_BT = rows_of(arm, text)[:64]
    scored = *scored_rows(arm, PARTS), sample_BT, evaluation_subsets(sample_BT)
    data, config = TrainingData(join_lines(text), *scored), arm.train_config(seed)
    shape = arm.model_config.max_length, config.batch_size
    epochs = arm.steps / steps_per_epoch(data.stream, *shape)
    often = {"evaluations": arm.steps // EVERY, "patience": 10**6}  # never stops early

    def on_evaluation(run, entry: dict) -> None:
        entry["batch"] = float(run.loss)
        if run.step == arm.steps:
            entry["scores"] = final_scores(model, arm)

    run = train(
        model,
        data,
        replace(config, epochs=epochs, **often),
        folder,
        on_evaluation=on_evaluation,
        mask=mask_function(arm, seed),
        source=lambda start: itertools.islice(training_batches(arm, seed), start, None),
    )
    shutil.rmtree(folder)
    return {
        "seconds": run.seconds,
        "weights": sum(p.numel() for p in model.parameters()),
        "curve": [
            {
                "step": entry["step"],
                "loss": entry["validation_loss"],
                "accuracy": entry["validation_accuracy"],
                "words": int((data.subset_BT == 0).sum()),
                "batch": entry["batch"],
            }
            for entry in run.history
            if entry["step"] and entry["step"] % EVERY == 0
        ],
        **run.history[-1]["scores"],
    }
