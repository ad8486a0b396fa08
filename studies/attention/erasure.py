"""Does attention matter here? Words and heads are taken away: what does it cost?

If attention points to what an answer needs, masking the most attended word as well
costs most (Serrano & Smith 2019, section 4; Abnar & Zuidema 2020, section 4). Controls
are a model that was never trained, and sentences whose words are shuffled.

Shapes: W words of a sentence, O those of them that are compared; the others as in
helpers.layers. Losses and falls of log-probability are in nats.
"""

import math

import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from explorer.knockout import knockout_correlation, without_words
from explorer.predict import fill_mask
from helpers.data import TrainingData
from helpers.model import MaskedLanguageModel
from helpers.seeds import seeded
from studies.attention.figures import erasure_figure, heads_figure
from studies.attention.heads import head_costs
from studies.attention.tables import (
    TRAINED,
    erasure_layers_table,
    erasure_table,
    heads_table,
)
from studies.lab.runs import RECORDS
from studies.lab.scored_text import scored_sentences
from studies.lab.stats import CONFIDENCE, GROUP, RESAMPLES, bootstrap
from studies.lab.study import Measurement
from studies.lab.timing import timed
from studies.shipped import shipped_models

SENTENCES, SHORTEST, LONGEST = 1_000, 10, 40  # their number, and words of each
OTHERS = 5  # words of the vocabulary beside the masked one, at least
SEED = 0

Sentence = tuple[list[str], int]  # words, and which of them is masked


def erasable_places(tokenizer, words: list[str]) -> list[int]:
    """Positions of the words that the vocabulary holds; [UNK] stands for the others."""
    return [i for i, word in enumerate(words) if word in tokenizer.ids]


def erasure_sentences(tokenizer, lines: list[str], count: int) -> tuple[list, dict]:
    """`count` sentences at equal distances, each with a masked position; and counts.

    Of n sentences with enough words of the vocabulary, in the order of the text, those
    numbered floor(i n / count) for i = 0, 1, …; the masked word is drawn from its words
    of the vocabulary, all alike.
    """
    sentences = [words for _, words in scored_sentences(lines, SHORTEST, LONGEST)]
    usable = [w for w in sentences if len(erasable_places(tokenizer, w)) > OTHERS]
    chosen = []
    for i in range(count):
        words = usable[i * len(usable) // count]
        places = erasable_places(tokenizer, words)
        draw = torch.randint(len(places), (1,), generator=seeded(SEED, "mask", i))
        chosen.append((words, places[int(draw)]))
    left_out = {"too_few_words": len(sentences) - len(usable)}
    left_out["between_chosen"] = len(usable) - count
    return chosen, {"found": len(sentences), "left_out": left_out, "chosen": count}


def erasure_control(words: list[str], position: int, number: int) -> Sentence:
    """The same words in a random order, and where the masked one stands in it."""
    draw = seeded(SEED, "shuffle", number)
    order = torch.randperm(len(words), generator=draw).tolist()
    return [words[i] for i in order], order.index(position)


def erasure_picks(fall_O: Tensor, distance_O: Tensor, attention: dict) -> dict:
    """What masking a word costs, by the rule that picks it from O others.

    random: the mean over all of them, which is what a draw costs on average; nearest:
    the one next to the masked position, or the mean of two at that distance; largest:
    the highest of all, known only afterwards. Then the most and the least attended (of
    equals the first), and differences.
    """
    nearest = fall_O[distance_O == distance_O.min()].mean()
    rules = {"random": fall_O.mean(), "nearest": nearest, "largest": fall_O.max()}
    for view, weights_O in attention.items():
        most, least = fall_O[weights_O.argmax()], fall_O[weights_O.argmin()]
        rules |= {f"{view} most": most, f"{view} least": least}
        others = {"random": rules["random"], "least": least, "nearest": nearest}
        for name, fall in others.items():
            rules[f"{view} most minus {name}"] = most - fall
    return {name: value.item() for name, value in rules.items()}


def erase_words(model, tokenizer, words: list[str], position: int) -> dict:
    """One sentence: how well it is predicted, and what each other word does for that.

    A fall is that of the true word's log-probability when another word is masked as
    well. [CLS], [SEP] and words outside the vocabulary are neither masked nor ranked.
    """
    prediction = fill_mask(model, tokenizer, words, position)
    others = torch.tensor(erasable_places(tokenizer, words))
    others = others[others != position]
    distance_O = (others - position).abs()
    log_chance_W = without_words(model, tokenizer, prediction).log()
    fall_O = log_chance_W[position] - log_chance_W[others]
    views = {f"layer {n + 1}": n for n in range(model.config.n_layers)}
    views["rollout"] = "rollout"
    # Of a layer, the mean over its heads; [CLS] stands first.
    attention = {v: prediction.attention(of)[others + 1] for v, of in views.items()}
    beside_O = (distance_O == 1).double()
    adjacent = {view: beside_O[x.argmax()].item() for view, x in attention.items()}
    correlation = {
        view: knockout_correlation(x, fall_O) for view, x in attention.items()
    }
    return {
        "log_probability": math.log(prediction.p_true),
        "accuracy": prediction.pred == prediction.true,
        "fall": erasure_picks(fall_O, distance_O, attention),
        "size": erasure_picks(fall_O.abs(), distance_O, attention),
        "adjacent": adjacent | {"random": beside_O.mean().item()},
        "correlation": correlation,
    }


def erasure_correlation(correlations: pd.Series) -> dict:
    """Median, quartiles and share above 0 of the correlations that are defined."""
    defined = correlations.dropna().astype(float)
    low, median, high = defined.quantile([0.25, 0.5, 0.75]).tolist()
    summary = {"sentences": len(defined), "median": median, "quartiles": [low, high]}
    return summary | {"positive": float((defined > 0).mean())}


def erasure_test(model, tokenizer, sentences: list[Sentence]) -> dict:
    """The erasure test of one model: means over sentences, with intervals.

    fall: of the true word's log-probability; size: the same without its sign; adjacent:
    how often the word is next to the masked one; correlation: Spearman's, of attention
    with the fall, by sentence.
    """
    bar = tqdm(sentences, leave=False, desc="sentences")
    rows = pd.DataFrame([erase_words(model, tokenizer, *sentence) for sentence in bar])

    parts = "fall", "size", "adjacent", "correlation"
    fall, size, adjacent, correlation = (pd.DataFrame([*rows[part]]) for part in parts)
    return {
        "sentences": len(rows),
        "log_probability": float(rows["log_probability"].mean()),
        "accuracy": float(rows["accuracy"].mean()),
        "fall": bootstrap(dict(fall)),
        "size": bootstrap(dict(size)),
        "adjacent": adjacent.mean().to_dict(),
        "correlation": {v: erasure_correlation(x) for v, x in correlation.items()},
    }


def measure_erasure(models, tokenizer, corpus, source, count=SENTENCES) -> dict:
    """The record: both tests, of each model. Takes what `shipped_models` returns."""
    config = models["dropout"].config
    torch.manual_seed(SEED)
    models = models | {"untrained": MaskedLanguageModel(config).eval()}
    data = TrainingData.prepare(tokenizer, corpus, config.max_length)
    sentences, counts = erasure_sentences(tokenizer, corpus.validation, count)
    mixed = [erasure_control(*sentence, i) for i, sentence in enumerate(sentences)]

    asked = {n: (model, tokenizer, sentences) for n, model in models.items()}
    asked["shuffled"] = models["dropout"], tokenizer, mixed
    return source | {
        "sentences": {"shortest": SHORTEST, "longest": LONGEST} | counts,
        "bootstrap": {"resamples": RESAMPLES, "confidence": CONFIDENCE},
        "seed": SEED,
        "blocks_in_a_group": GROUP,
        "erasure": {name: timed(erasure_test, *who) for name, who in asked.items()},
        "heads": {name: timed(head_costs, one, data) for name, one in models.items()},
    }


STUDY = Measurement(
    "attention.erasure",
    "Mask words and silence heads.",
    RECORDS / "attention.json",
    lambda: measure_erasure(*shipped_models(*TRAINED)),
    {"erasure": erasure_table, "layers": erasure_layers_table, "heads": heads_table},
    {"attention_erasure.png": erasure_figure, "attention_heads.png": heads_figure},
)
main = STUDY.main

if __name__ == "__main__":
    main()
