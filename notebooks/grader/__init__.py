"""A grader for a whole model: plug in your own tokenizer, masking, attention, … .

    from notebooks.grader import Adapters, grade_model
    grade_model(Adapters(mask=my_mask, loss=my_loss))

Every part that you give is tested; the others are left out. A check does not depend on
how a part is written: it calls the part on the CPU and looks at what comes back, within
seconds. Each check that fails names the fault that most often causes it. No check can
see whether a model is any good; for that you need a validation text.
"""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, fields
from importlib import import_module
from types import SimpleNamespace
from typing import Any

PARTS = "tokenizer mask attention loss model train".split()


@dataclass(frozen=True)
class Adapters:
    """Your own code behind the calls that the checks make. All fields are optional.

    Ids 0 to 4 are [PAD], [UNK], [CLS], [SEP] and [MASK], as in the series. B is the
    batch, T and S positions, H heads, K their size, V the vocabulary. The label of a
    position that the model need not predict is -100.

    - `tokenizer(lines, vocab_size)` returns an object with `encode(words)`, a list of
      ids, and `decode(ids)`, a text whose words are separated by spaces.
    - `mask(ids_BT, vocab_size, generator)` returns inputs and labels, both (B, T).
    - `attention(q_BHTK, k_BHSK, v_BHSK, real_BS, p)` returns the mixed values
      (B, H, T, K) and the weights (B, H, T, S); `real_BS` is False at [PAD], or None;
      `p` is the dropout on the weights, which is switched on.
    - `loss(logits_BTV, labels_BT)` returns a number, in nats.
    - `model(vocab_size, max_length, dropout)` returns a module that maps ids (B, T) to
      logits (B, T, V). With `tied`, its embedding and its output share their weights.
    - `train(module, ids_BT, vocab_size, steps, seed)` trains a module on these rows,
      masked anew at each step, and returns the loss of each step.
    """

    tokenizer: Callable | None = None
    mask: Callable | None = None
    attention: Callable | None = None
    loss: Callable | None = None
    model: Callable | None = None
    train: Callable | None = None
    tied: bool = True


@dataclass(frozen=True)
class GraderCheck:
    """One question about a part. `look` returns whether it passes and what it saw."""

    part: str
    title: str
    remedy: str
    look: Callable[[Any], tuple[bool, str]]


@dataclass(frozen=True)
class GraderResult:
    """A check with its outcome."""

    check: GraderCheck
    passed: bool
    seen: str


CHECKS: list[GraderCheck] = []


def grader_check(title: str, remedy: str):
    """Decorator: a function of the evidence becomes a check of its module's part."""

    def add(look):
        part = look.__module__.rpartition(".")[2]
        CHECKS.append(GraderCheck(part, title, remedy, look))
        return look

    return add


def grader_difference(left, right) -> float:
    """The largest difference between two tensors."""
    return float((left - right).abs().max())


def grader_results(adapters: Adapters) -> list[GraderResult]:
    """The outcome of each check of the parts that are given, in order."""
    if not isinstance(adapters, Adapters):
        raise TypeError(f"{adapters!r:.40} is no Adapters; write Adapters(mask=…).")
    outcomes = []
    for part in PARTS:
        module = import_module(f"notebooks.grader.{part}")
        if getattr(adapters, part) is None:
            continue
        checks, evidence = [c for c in CHECKS if c.part == part], SimpleNamespace()
        try:
            getattr(module, f"{part}_evidence")(evidence, adapters)
        except Exception as error:  # of the reader's code
            seen = f"it raised {type(error).__name__}: {error}"
            outcomes += [GraderResult(one, False, seen) for one in checks]
            continue
        outcomes += [run_grader_check(one, evidence) for one in checks]
    return outcomes


def run_grader_check(one: GraderCheck, evidence) -> GraderResult:
    """Runs a check, which fails if the code under test raises an error."""
    try:
        passed, seen = one.look(evidence)
        return GraderResult(one, bool(passed), seen)
    except Exception as error:
        return GraderResult(one, False, f"it raised {type(error).__name__}: {error}")


def grade_model(adapters: Adapters) -> None:
    """Prints, for each part, how many checks pass, and what is wrong with the rest."""
    outcomes = grader_results(adapters)
    for part in PARTS:
        own = [result for result in outcomes if result.check.part == part]
        if not own:
            continue
        passed = sum(result.passed for result in own)
        print(f"{part}: {passed} of {len(own)} checks pass.")
        for seen, failed in group_grader_failures(own).items():
            for result in failed:
                print(f"  ✗ {result.check.title}: {seen}.")
                print(textwrap.indent(textwrap.fill(result.check.remedy, 72), "    "))
    parts = {result.check.part for result in outcomes}
    if missing := [f.name for f in fields(Adapters) if f.name in {*PARTS} - parts]:
        print(f"Not given, and not tested: {', '.join(missing)}.")


def group_grader_failures(
    outcomes: list[GraderResult],
) -> dict[str, list[GraderResult]]:
    """The failed checks by what was seen; an error that fails them all is kept once."""
    failed: dict[str, list[GraderResult]] = {}
    for result in outcomes:
        if not result.passed:
            failed.setdefault(result.seen, []).append(result)
    return {
        seen: some[:1] if seen.startswith("it raised") else some
        for seen, some in failed.items()
    }
