"""What does the model know? Every validation word masked once, by what kind it is.

`python -m studies.attention.knowledge` asks two trained models and two guesses from
counts for the same words, with the same neighbours in sight: the most frequent word,
and the two-sided bigram of studies.attention.references. All seven subsets of
helpers.evaluate, each word once, all [MASK], dropout off, float32. Scores are by class
of the word, by its place in the block, by its distance to the nearest [UNK] and by its
frequency; by distance also within the three large classes, for beside [UNK] stand other
words than elsewhere. At last for the sentences that stand alone, against the same words
inside packed blocks. Left out: the test text, and whatever differs between two
trainings of one model.

Shapes: M masked words, U groups of neighbouring blocks that are resampled; the others
as in helpers.evaluate. Losses are in nats a word, accuracies are shares.
"""

import math
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from helpers import ROOT, record
from helpers.data import TrainingData, encode_lines, lone_sentences, pad
from helpers.figure import png
from helpers.files import write_whole
from helpers.masking import IGNORE, evaluation_subsets, masked_positions
from helpers.tokenizer import CLS, MASK, PAD, SPECIALS, UNK
from studies.attention.examples import FUNCTION_WORDS, MONTHS
from studies.attention.references import bigram, log_lift
from studies.figures import knowledge_figure
from studies.lab.command import command
from studies.lab.runs import read_run, shipped_models
from studies.lab.stats import CONFIDENCE, GROUP, RESAMPLES, bootstrap
from studies.tables import GUESSES, TRAINED, alone_table, knowledge_table

SUBSETS = 7
ALMOST_ALWAYS = 0.95  # of a name's occurrences in mid-sentence have a capital
ENDS = ".", "!", "?"  # of a sentence, as in helpers.data.lone_sentences
RULES = {
    "function words": "with a letter, and of the closed classes that "
    "studies/attention/examples.py lists; the case of the first letter is free, so "
    "“US” is none",
    "punctuation": "no letter and no digit, but for “=”",
    "heading marks": "“=”",
    "digits": "at least one digit",
    "names": "begins with a capital; in running text of the training split, behind a "
    f"word or a comma, it does so in at least {100 * ALMOST_ALWAYS:.0f} % of its "
    "occurrences; no month, none of the classes above",
    "other words": "all others, months and numbers in letters among them",
}
DISTANCES = {"1": (1, 1), "2": (2, 2), "3 to 4": (3, 4), "5 to 8": (5, 8)}
FAR = "9 and more, or none"
WITHIN = "function words", "punctuation", "other words"  # 92 % of all
RANKS = {
    "1 to 20": (1, 20),
    "21 to 100": (21, 100),
    "101 to 500": (101, 500),
    "501 and more": (501, math.inf),
}
SUMMARY = ROOT / "plots" / "records" / "knowledge.json"

Guess = Callable[[Tensor, Tensor], Tensor]  # (seen_BT, labels_BT) to logits_MV


def prior(stream: Tensor, vocab_size: int) -> Tensor:
    """Word frequencies of the training text, each count raised by one, (V,).

    As in helpers.evaluate.unigram; special tokens and [UNK] count as never seen.
    """
    counts_V = stream.bincount(minlength=vocab_size).double()
    counts_V[: MASK + 1] = 0
    return (counts_V + 1) / (counts_V + 1).sum()


def unigram_guess(prior_V: Tensor) -> Guess:
    """The word frequencies, whatever is in sight."""

    def guess(seen_BT: Tensor, labels_BT: Tensor) -> Tensor:
        return prior_V.log().expand(int((labels_BT != IGNORE).sum()), -1)

    return guess


def bigram_guess(stream: Tensor, prior_V: Tensor, strength: float) -> Guess:
    """P(w | left) P(w | right) / P(w), as in studies.attention.references.bigram.

    A neighbour that is hidden, [CLS], or beyond the row says nothing.
    """
    forward_P2 = torch.stack([stream[:-1], stream[1:]], dim=1)
    lifts = [
        log_lift(pairs_P2, prior_V, strength)
        for pairs_P2 in (forward_P2, forward_P2.flip(1))
    ]

    def guess(seen_BT: Tensor, labels_BT: Tensor) -> Tensor:
        hidden_BT = labels_BT != IGNORE
        scores_MV = prior_V.log().repeat(int(hidden_BT.sum()), 1)
        for shift, lift_VV in zip((1, -1), lifts, strict=True):
            beside_BT = seen_BT.roll(shift, 1)
            beside_BT[:, 0 if shift == 1 else -1] = MASK
            beside_M = beside_BT[hidden_BT]
            known_M = (beside_M != MASK) & (beside_M != CLS)
            scores_MV[known_M] += lift_VV[beside_M[known_M]]
        scores_MV[:, : MASK + 1] = -math.inf
        return scores_MV

    return guess


def model_guess(model) -> Guess:
    """The logits of a model in eval mode."""

    def guess(seen_BT: Tensor, labels_BT: Tensor) -> Tensor:
        at_BM, labels_BM = masked_positions(labels_BT)
        return model(seen_BT, at_BM)[labels_BM != IGNORE]

    return guess


@torch.no_grad()
def ask(guess: Guess, ids_BT: Tensor, subset_BT: Tensor) -> dict[str, np.ndarray]:
    """Loss in nats and whether it was right, for each word of all subsets, (M,) each.

    Masks one subset after the other, as helpers.evaluate does; the words come row by
    row, in the order of the text.
    """
    loss_BT = torch.zeros(ids_BT.shape, dtype=torch.float64)
    right_BT = torch.zeros(ids_BT.shape, dtype=torch.float64)
    starts = [(n, b) for n in range(SUBSETS) for b in range(0, len(ids_BT), 64)]
    for subset, first in tqdm(starts, leave=False, desc="batches"):
        rows = slice(first, first + 64)
        longest = int((ids_BT[rows] != PAD).sum(1).max())
        part = rows, slice(longest)
        hidden_BT = subset_BT[part] == subset
        if not hidden_BT.any():
            continue
        seen_BT = ids_BT[part].masked_fill(hidden_BT, MASK)
        labels_BT = ids_BT[part].masked_fill(~hidden_BT, IGNORE)
        logits_MV, labels_M = guess(seen_BT, labels_BT), labels_BT[hidden_BT]
        losses_M = F.cross_entropy(logits_MV, labels_M, reduction="none")
        loss_BT[part][hidden_BT] = losses_M.double()
        right_BT[part][hidden_BT] = (logits_MV.argmax(-1) == labels_M).double()
    found_BT = {"accuracy": right_BT, "loss": loss_BT}
    return {key: each[subset_BT >= 0].numpy() for key, each in found_BT.items()}


def unknown_distance(ids_BT: Tensor) -> Tensor:
    """Positions from each token to the nearest [UNK] of its row, (B, T).

    0 at an [UNK] itself; the length of the row where there is none.
    """
    length = ids_BT.shape[1]
    at_T = torch.arange(length)
    apart_TS = (at_T[:, None] - at_T).abs()
    known_BS = ids_BT != UNK
    rows = [apart_TS.masked_fill(known_S, length).amin(1) for known_S in known_BS]
    return torch.stack(rows)


def described(ids_BT: Tensor, subset_BT: Tensor, place_BT: Tensor) -> dict:
    """What is known of each word that is masked, (M,) each, in the order of `ask`.

    Its id, its subset, its position in the row, the distance to the nearest [UNK]
    there, and its place in the document: the number of its token in the joined text.
    """
    position_BT = torch.arange(ids_BT.shape[1]).expand_as(ids_BT)
    found_BT = {"id": ids_BT, "subset": subset_BT, "position": position_BT}
    found_BT |= {"unknown": unknown_distance(ids_BT), "place": place_BT}
    return {key: each[subset_BT >= 0].numpy() for key, each in found_BT.items()}


def packed_places(ids_BT: Tensor) -> Tensor:
    """The number in the joined text of each token of packed blocks, (B, T)."""
    size = ids_BT.shape[1] - 1
    return torch.arange(len(ids_BT))[:, None] * size + torch.arange(-1, size)


def placed_sentences(lines: list[str]) -> list[tuple[str, int]]:
    """The sentences of helpers.data.lone_sentences, each with the place of its first
    word: its number in the text that helpers.data.join makes of the lines."""
    found, start = [], 0
    for line in lines:
        words, at = line.split(), 0
        for sentence in lone_sentences([line]):
            own = sentence.split()
            while words[at : at + len(own)] != own:
                at = 1 + next(i for i in range(at, len(words)) if words[i] in ENDS)
            found.append((sentence, start + at))
            at += len(own)
        start += len(words) + 1  # [SEP]
    return found


def lone_rows(tokenizer, lines: list[str], length: int) -> tuple[Tensor, Tensor]:
    """Sentences standing alone, short to long, and the places of their tokens, (B, T).

    The rows that the dropout study scores.
    """
    placed = placed_sentences(lines)
    placed.sort(key=lambda pair: len(pair[0].split()))
    ids_BT = pad(encode_lines(tokenizer, [sentence for sentence, _ in placed]), length)
    start_B = torch.tensor([place for _, place in placed])
    return ids_BT, start_B[:, None] + torch.arange(-1, length - 1)


def small(word: str) -> str:
    """The word with its first letter in lower case."""
    return word[:1].lower() + word[1:]


def proper_names(words: list[str], lines: list[str]) -> frozenset[str]:
    """Those of `words` that are names, by what the training text writes.

    A word with a capital is one if in running text, behind a word or a comma, at least
    95 % of its occurrences have it; its lower-case form counts as the other 5 %.
    """
    inside = Counter()
    for line in lines:
        if line.startswith("="):
            continue
        tokens = line.split()
        for before, word in zip(tokens, tokens[1:], strict=False):
            inside[word] += before == "," or any(map(str.isalnum, before))
    return frozenset(
        word
        for word in words
        if word[:1].isupper()
        and inside[word] > 0
        and inside[word] >= ALMOST_ALWAYS * (inside[word] + inside[small(word)])
    )


def word_class(word: str, names: frozenset[str]) -> str:
    """One of `RULES`; the first that fits, in their order."""
    if {word, small(word)} & FUNCTION_WORDS and any(map(str.isalpha, word)):
        return "function words"
    if word == "=":
        return "heading marks"
    if not any(map(str.isalnum, word)):
        return "punctuation"
    if any(map(str.isdigit, word)):
        return "digits"
    named = word in names and word not in MONTHS
    return "names" if named else "other words"


def bands(words: dict, classes: list[str], length: int) -> dict[str, dict]:
    """Which words belong where, (M,) bool each: five ways to divide all of them.

    `classes` holds the class of each id; quarters are of the block's `length`; first
    and last are the first word behind [CLS] and the last position of a block.
    """
    ones_M = np.ones(len(words["id"]), dtype=bool)
    class_M = np.array(classes)[words["id"]]
    quarter_M = words["position"] * 4 // length
    first_M, last_M = words["position"] == 1, words["position"] == length - 1
    rank_M = words["id"] - len(SPECIALS) + 1

    def between(values_M, limits: dict) -> dict:
        return {
            name: (low <= values_M) & (values_M <= high)
            for name, (low, high) in limits.items()
        }

    unknown = between(words["unknown"], DISTANCES | {FAR: (9, math.inf)})
    quarters = "first quarter", "second quarter", "third quarter", "last quarter"
    return {
        "all": {"all words": ones_M},
        "class": {name: class_M == name for name in RULES},
        "quarter": {name: quarter_M == i for i, name in enumerate(quarters)},
        "edge": {
            "first word": first_M,
            "last word": last_M,
            "between them": ~first_M & ~last_M,
        },
        "unknown": unknown,
        "rank": between(rank_M, RANKS),
    }


def sums(answers: dict, chosen_M: np.ndarray, unit_M: np.ndarray, count: int) -> tuple:
    """Sums over the chosen words by unit, and how many words those are, (U,) each.

    Sums are keyed by measure and guess; a model minus the bigram is one of the guesses.
    """
    unit = unit_M[chosen_M]
    found = {}
    for measure in ("accuracy", "loss"):
        for name in GUESSES:
            values = answers[name][measure][chosen_M]
            found[measure, name] = np.bincount(unit, values, minlength=count)
        for name in TRAINED:
            minus = found[measure, name] - found[measure, "bigram"]
            found[measure, f"{name} minus bigram"] = minus
    return found, np.bincount(unit, minlength=count)


def scores(answers: dict, chosen_M, unit_M: np.ndarray, count: int) -> dict:
    """Accuracy and loss of each guess on the chosen words, with intervals.

    Units of neighbouring blocks are resampled, all guesses alike, so that a model minus
    the bigram is paired.
    """
    sums_U, words_U = sums(answers, chosen_M, unit_M, count)
    words = int(words_U.sum())
    found = {"words": words, "share": words / len(unit_M)}
    for (measure, name), value in bootstrap(sums_U, words_U).items():
        found.setdefault(measure, {})[name] = value
    return found


def compare(packed: dict, alone: dict, words: dict, lone: dict, size: int) -> dict:
    """The words of lone sentences, alone and inside packed blocks, with intervals.

    `words` and `lone` describe them; `size` is the number of tokens in a unit.
    ValueError if a word of a sentence is not found at its place in the blocks.
    """
    inside_M = np.searchsorted(words["place"], lone["place"])
    for key in ("place", "id"):
        if not np.array_equal(words[key].take(inside_M, mode="clip"), lone[key]):
            raise ValueError("The sentences are not of the text in the blocks.")
    unit_M, all_M = lone["place"] // size, np.ones(len(inside_M), dtype=bool)
    count = int(words["place"].max()) // size + 1
    same = {
        name: {measure: values[inside_M] for measure, values in found.items()}
        for name, found in packed.items()
    }
    alone_U, words_U = sums(alone, all_M, unit_M, count)
    packed_U, _ = sums(same, all_M, unit_M, count)
    parts = {"alone": alone_U, "packed": packed_U}
    parts["alone minus packed"] = {k: alone_U[k] - packed_U[k] for k in alone_U}
    flat = {(*k, part): v for part, own in parts.items() for k, v in own.items()}
    found = {"words": int(words_U.sum()), "accuracy": {}, "loss": {}}
    for (measure, name, part), value in bootstrap(flat, words_U).items():
        found[measure].setdefault(name, {})[part] = value
    return found


def answers_of(guesses: dict[str, Guess], ids_BT: Tensor, subset_BT: Tensor) -> dict:
    """What each guess makes of each word of all subsets."""
    bar = tqdm(guesses.items(), leave=False, desc="guesses")
    return {name: ask(guess, ids_BT, subset_BT) for name, guess in bar}


def on_subset_0(answers: dict, words: dict) -> dict:
    """Loss and accuracy of the guesses from counts, on the words of references.json."""
    first_M = words["subset"] == 0
    return {
        name: {key: float(answers[name][key][first_M].mean()) for key in answers[name]}
        for name in ("unigram", "bigram")
    }


def study(models: dict, tokenizer, corpus, length: int) -> dict:
    """Asks for every word, in packed blocks and in lone sentences, and adds up."""
    steps = tqdm(total=4, desc="count, blocks, sentences, intervals")
    data = TrainingData.prepare(tokenizer, corpus, length)
    prior_V = prior(data.stream, len(tokenizer))
    strength = bigram(data, len(tokenizer))["strength"]
    guesses = {
        "unigram": unigram_guess(prior_V),
        "bigram": bigram_guess(data.stream, prior_V, strength),
    }
    guesses |= {name: model_guess(model) for name, model in models.items()}
    names = proper_names(tokenizer.words, corpus.train)
    classes = [word_class(word, names) for word in tokenizer.words]
    steps.update()

    ids_BT, subset_BT = data.validation_BT, data.subset_BT
    words = described(ids_BT, subset_BT, packed_places(ids_BT))
    packed = answers_of(guesses, ids_BT, subset_BT)
    steps.update()
    lone_BT, place_BT = lone_rows(tokenizer, corpus.validation, length)
    lone_subset_BT = evaluation_subsets(lone_BT)
    lone = described(lone_BT, lone_subset_BT, place_BT)
    alone = answers_of(guesses, lone_BT, lone_subset_BT)
    steps.update()

    size = GROUP * (length - 1)
    unit_M, count = words["place"] // size, math.ceil(len(ids_BT) / GROUP)
    divided = bands(words, classes, length)

    def scored(parts: dict, within_M: np.ndarray) -> dict:
        chosen = {name: chosen_M & within_M for name, chosen_M in parts.items()}
        return {
            name: scores(packed, chosen_M, unit_M, count)
            for name, chosen_M in chosen.items()
            if chosen_M.any()
        }

    everywhere_M = divided["all"]["all words"]
    found = {
        "words": len(words["id"]),
        "sentences": len(lone_BT),
        "resampled_groups": count,
        "bigram_strength": strength,
        "classes": {
            name: {"rule": rule}
            | {"vocabulary": classes[len(SPECIALS) :].count(name)}
            | {"most_frequent": most_frequent(tokenizer.words, classes, name)}
            for name, rule in RULES.items()
        },
        "subset_0": on_subset_0(packed, words),
        "bands": {name: scored(parts, everywhere_M) for name, parts in divided.items()},
        "within": {
            name: scored(divided["unknown"], divided["class"][name]) for name in WITHIN
        },
        "alone": compare(packed, alone, words, lone, size),
    }
    steps.update()
    steps.close()
    return found


def most_frequent(words: list[str], classes: list[str], name: str) -> list[str]:
    """The ten most frequent words of a class; ids go from frequent to rare."""
    pairs = zip(words[len(SPECIALS) :], classes[len(SPECIALS) :], strict=True)
    return [word for word, own in pairs if own == name][:10]


def measure() -> dict:
    """Measures what the record would hold, unless it is there; returns the record.

    ValueError if the text is not the one that the models were trained on, or if the
    record is of other weights.
    """
    models, tokenizer, corpus, source = shipped_models(*TRAINED)
    wanted = source | {
        "bootstrap": {"resamples": RESAMPLES, "confidence": CONFIDENCE},
        "blocks_in_a_group": GROUP,
    }
    if found := read_run(SUMMARY, wanted):
        return found
    begun = time.perf_counter()
    length = models["dropout"].config.max_length
    found = wanted | study(models, tokenizer, corpus, length)
    found["seconds"] = round(time.perf_counter() - begun, 1)
    record.write(SUMMARY, found | {"hardware": record.hardware()})
    return record.read(SUMMARY)


def main(arguments: list[str] | None = None) -> None:
    """Measures what is missing, then draws and prints."""
    parser = command(
        "knowledge",
        "Mask every validation word once and score by kind of word; a record that is "
        "there is not measured again.",
    )
    parser.parse_args(arguments)
    with parser.one_sentence():
        summary = measure()
        write_whole(ROOT / "plots/knowledge.png", png(knowledge_figure(summary)))
        for measure_name in ("accuracy", "loss"):
            print(knowledge_table(summary, measure_name), end="\n\n")
        print(alone_table(summary))


if __name__ == "__main__":
    main()
