"""One run of a lesson: trained to its last step, scored on the way and at the end."""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from helpers.data import TrainingData, join_lines, steps_per_epoch
from helpers.masking import mask_subsets
from helpers.model import MaskedLanguageModel
from helpers.train import train
from studies.lab.asked import asked_places, score_asked
from studies.lab.machine import DEVICE
from studies.lab.scored_text import require_wikitext, score, score_sentences
from studies.lessons import arms
from studies.lessons.arms import KNOWN, LessonArm

ASKED_ARMS = [arms.ARMS[name] for name in arms.VOCABULARIES]
EVERY, PARTS = 100, 4  # a curve is scored so often, on one of so many parts of the text


def lesson_run_scores(model, arm: LessonArm) -> dict:
    """What a run's record says of its last weights, by what the arm was made for.

    Words are scored on the first seventh of them.
    """
    corpus = require_wikitext()
    ids_BT, subset_BT = arm.scored_rows()
    scores = {"validation": score(model, ids_BT, subset_BT, [0])}
    if arm.masks == "known only":
        known_BT = arms.arm_known_words(ids_BT)
        scores["validation_unread"] = score(model, known_BT, subset_BT, [0])
    if arm.training.get("masks") == "independent":
        scores["alone"] = score_sentences(model, arm.tokenizer, corpus.validation, [0])
    if arm in ASKED_ARMS:
        known = {*arms.arm_tokenizer(False, KNOWN).words}
        places = asked_places(corpus.validation, known)
        scores["asked"] = score_asked(model, arm.tokenizer, corpus.validation, places)
    return scores


def make_lesson_run(arm: LessonArm, seed: int, folder: Path) -> dict:
    """Trains and scores one run; what is kept in the folder on the way is removed."""
    torch.manual_seed(seed)
    model = MaskedLanguageModel(arm.model_config).to(DEVICE)
    text = arm.lines("train")
    sample_BT = arm.rows(text)[:64]
    scored = *arm.scored_rows(PARTS), sample_BT, mask_subsets(sample_BT)
    data, config = TrainingData(join_lines(text), *scored), arm.train_config(seed)
    shape = arm.model_config.max_length, config.batch_size
    epochs = arm.steps / steps_per_epoch(data.stream, *shape)
    often = {"evaluations": arm.steps // EVERY, "patience": 10**6}  # never stops early

    def on_evaluation(run, entry: dict) -> None:
        entry["batch"] = float(run.loss)
        if run.step == arm.steps:
            entry["scores"] = lesson_run_scores(model, arm)

    run = train(
        model,
        data,
        replace(config, epochs=epochs, **often),
        folder,
        on_evaluation=on_evaluation,
        mask=arm.mask(seed),
        source=lambda start: itertools.islice(arm.batches(seed), start, None),
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
