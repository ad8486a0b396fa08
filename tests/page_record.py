"""Measures the page and writes plots/records/page.json.

    python -m tests.page_record

What the rounding of the weights costs, over all validation words; how far 1,000 answers
of the engine are from PyTorch's, in Node; and how long a reader waits, in Chromium.
`--only speed`, say, renews one part.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import torch

from explorer.attention_plots import attention_rollout
from explorer.page.__main__ import NAMES
from explorer.page.build import page_html
from explorer.page.node import node_model, node_question, run_in_node
from explorer.page.packed_weights import unpacked_copy
from explorer.predict import fill_mask
from helpers import ROOT
from helpers.checkpoint import load_model
from helpers.data import encode_lines, pack
from helpers.evaluate import evaluate
from helpers.masking import mask_subsets
from helpers.record import read_record, write_record
from studies.lab.machine import hardware
from studies.lab.scored_text import require_wikitext
from tests.browser import clicks, spread, stopwatch
from tests.fronts import BROWSER, FLAGS, TEXT, sync_playwright

RECORD = ROOT / "plots/records/page.json"
SENTENCES = 1_000
OPENINGS, CLICKS = 20, 45


def models() -> tuple[dict, object]:
    """The shipped models by their names, and their tokenizer."""
    found, tokenizer = {}, None
    for name in NAMES:
        path = ROOT / "weights" / f"{name}.safetensors"
        found[name], tokenizer, _ = load_model(path, tokenizer)
    return found, tokenizer


def cost() -> dict:
    """The validation loss with the weights as they are, and as a page reads them."""
    found, tokenizer = models()
    ids_BT = pack(encode_lines(tokenizer, require_wikitext().validation), 64)
    subset_BT = mask_subsets(ids_BT)
    told = {"what": "loss in nats, a seventh of all validation words hidden at a time"}
    for name, model in found.items():
        exact, page = (
            evaluate(m, ids_BT, subset_BT, range(7))
            for m in (model, unpacked_copy(model))
        )
        told[name] = {
            "words": exact["words"],
            "loss": round(exact["loss"], 5),
            "loss_in_page": round(page["loss"], 5),
            "cost": round(page["loss"] - exact["loss"], 5),
            "accuracy": round(exact["accuracy"], 5),
            "accuracy_in_page": round(page["accuracy"], 5),
        }
    return told


def sentences() -> list[tuple[list[str], int]]:
    """Validation sentences of 5 to 62 words, and a word to hide in each."""
    draw = torch.Generator().manual_seed(0)
    lines = [line.split(" ") for line in require_wikitext().validation]
    texts = []
    for words in lines:
        ends = [0, *(i + 1 for i, word in enumerate(words) if word == ".")]
        texts += [words[a:b] for a, b in itertools.pairwise(ends) if 5 <= b - a <= 62]
    order = torch.randperm(len(texts), generator=draw).tolist()[:SENTENCES]
    return [
        (texts[i], int(torch.randint(len(texts[i]), (1,), generator=draw)))
        for i in order
    ]


def exactness() -> dict:
    """The largest differences between the engine and PyTorch, with three digits."""
    found, tokenizer = models()
    model, texts = found["dropout"], sentences()
    given = {"model": node_model(model, 3)}
    given["questions"] = [node_question(tokenizer, *text, None) for text in texts]
    told = {"what": "largest difference from PyTorch, three digits a weight"}
    for name, simd in (("with the kernel", True), ("plain JavaScript", False)):
        furthest = {"probability": 0.0, "log-probability": 0.0, "attention": 0.0}
        furthest["rollout"] = 0.0
        answers = run_in_node(simd, **given)["readings"]
        for (words, position), answer in zip(texts, answers, strict=True):
            expected = fill_mask(model, tokenizer, words, position)
            chance_V = torch.tensor(answer["chance_V"])
            weights_NHTS = expected.weights_NHTS
            looks_NHS = weights_NHTS[:, :, position + 1]
            apart = {
                "probability": chance_V - expected.chance_V,
                "log-probability": (chance_V[5:] / expected.chance_V[5:]).log(),
                "attention": torch.tensor(answer["looks_NHS"]) - looks_NHS,
                "rollout": torch.tensor(answer["rollout_S"])
                - attention_rollout(weights_NHTS)[position + 1],
            }
            for kind, difference in apart.items():
                furthest[kind] = max(furthest[kind], float(difference.abs().max()))
        told[name] = {kind: float(f"{most:.2g}") for kind, most in furthest.items()}
    return told | {"sentences": len(texts)}


def opened(browser, path: Path, slow: bool = False):
    """A page in a context of its own, once its first answer is complete."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(path.as_uri() + ("?slow" if slow else ""))
    page.wait_for_selector("#head-table button", state="attached", timeout=60_000)
    return context, page


def speed() -> dict:
    """Sizes of the file, and how long a reader waits for what."""
    found, tokenizer = models()
    told = {
        "what": "milliseconds: from opening to the first answer, and from a click on a "
        "word until its answer and all its knock-outs are in the page",
        "words": 24,
        "openings": OPENINGS,
        "clicks": CLICKS,
        "load": round(os.getloadavg()[0], 1),  # what else runs on the machine
    }
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        told["chromium"] = browser.version
        for count in (1, 2):
            path = Path(folder) / f"{count}.html"
            some = {NAMES[name]: found[name] for name in [*found][:count]}
            path.write_text(page_html(some, tokenizer, TEXT, 1), "utf-8")
            times = []
            opened(browser, path)[0].close()  # a browser that has just started is slow
            for _ in range(OPENINGS):
                context, page = opened(browser, path)
                mark = "performance.getEntriesByName('first answer')[0].startTime"
                times.append(page.evaluate(mark))
                context.close()
            size = round(path.stat().st_size / 1e6, 2)
            entry = {"megabytes": size, "first_answer_ms": spread(times)}
            told["one model" if count == 1 else "two models"] = entry
        for name, slow in (("with the kernel", False), ("plain JavaScript", True)):
            context, page = opened(browser, Path(folder) / "1.html", slow)
            times = stopwatch(page, clicks(24, CLICKS if not slow else 20))[5:]
            told[name] = {
                "answer_ms": spread([time["answer"] for time in times]),
                "knock_outs_ms": spread([time["needed"] for time in times]),
            }
            context.close()
        browser.close()
    return told


def main(arguments: list[str] | None = None) -> None:
    """Reads the command line and renews the record, or parts of it."""
    parts = {"cost": cost, "exactness": exactness, "speed": speed}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=parts, nargs="+", default=[*parts])
    record = read_record(RECORD) if RECORD.exists() else {}
    record |= {"command": "python -m tests.page_record", "hardware": hardware()}
    for part in parser.parse_args(arguments).only:
        start = time.monotonic()
        record[part] = parts[part]()
        print(part, f"{time.monotonic() - start:.0f} s", json.dumps(record[part]))
        write_record(RECORD, record)


if __name__ == "__main__":
    main(sys.argv[1:])
