"""Does attention matter here? Words and heads are taken away: what does it cost?

`python -m studies.attention.erasure` asks two trained models, and as controls one that
was never trained and sentences whose words are shuffled. In 1,000 sentences of the
validation text one word is masked, and each other word in turn as well. If attention
points to what an answer needs, masking the most attended word costs most (Serrano &
Smith 2019, section 4; Abnar & Zuidema 2020, section 4). Heads are silenced by
studies.attention.heads. Left out: words and heads in pairs, and gradients.

Shapes: W words of a sentence, O those of them that are compared; the others as in
helpers.layers. Losses and falls of log-probability are in nats.
"""

import math
import time

import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from explorer.knockout import knockout_correlation, without_words
from explorer.predict import fill_mask
from helpers.data import TrainingData
from helpers.model import MaskedLanguageModel
from helpers.record import write_record
from helpers.seeds import seeded
from studies.attention.figures import erasure_figure, heads_figure
from studies.attention.heads import heads
from studies.attention.tables import TRAINED, erasure_table, heads_table, layers_table
from studies.lab.command import RECORDS, command
from studies.lab.machine import hardware
from studies.lab.report import draw
from studies.lab.runs import lone_sentences, read_run, shipped_models
from studies.lab.stats import CONFIDENCE, GROUP, RESAMPLES, bootstrap

SENTENCES, SHORTEST, LONGEST = 1_000, 10, 40  # their number, and words of each
OTHERS = 5  # words of the vocabulary beside the masked one, at least
SEED = 0
SUMMARY = RECORDS / "attention.json"

Sentence = tuple[list[str], int]  # words, and which of them is masked


def in_vocabulary(tokenizer, words: list[str]) -> list[int]:
    """Positions of the words that the vocabulary holds; [UNK] stands for the others."""
    return [i for i, word in enumerate(words) if word in tokenizer.ids]


def choose(tokenizer, lines: list[str], count: int = SENTENCES) -> tuple[list, dict]:
    """`count` sentences at equal distances, each with a masked position; and counts.

    Of n sentences with enough words of the vocabulary, in the order of the text, those
    numbered floor(i n / count) for i = 0, 1, …; the masked word is drawn from its words
    of the vocabulary, all alike.
    """
    sentences = lone_sentences(lines, SHORTEST, LONGEST)
    usable = [w for w in sentences if len(in_vocabulary(tokenizer, w)) > OTHERS]
    chosen = []
    for i in range(count):
        words = usable[i * len(usable) // count]
        places = in_vocabulary(tokenizer, words)
        draw = torch.randint(len(places), (1,), generator=seeded(SEED, "mask", i))
        chosen.append((words, places[int(draw)]))
    left_out = {"too_few_words": len(sentences) - len(usable)}
    left_out["between_chosen"] = len(usable) - count
    return chosen, {"found": len(sentences), "left_out": left_out, "chosen": count}


def shuffled(words: list[str], position: int, number: int) -> Sentence:
    """The same words in a random order, and where the masked one stands in it."""
    draw = seeded(SEED, "shuffle", number)
    order = torch.randperm(len(words), generator=draw).tolist()
    return [words[i] for i in order], order.index(position)


def picks(fall_O: Tensor, distance_O: Tensor, attention: dict[str, Tensor]) -> dict:
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


def erase(model, tokenizer, words: list[str], position: int) -> dict:
    """One sentence: how well it is predicted, and what each other word does for that.

    A fall is that of the true word's log-probability when another word is masked as
    well. [CLS], [SEP] and words outside the vocabulary are neither masked nor ranked.
    """
    prediction = fill_mask(model, tokenizer, words, position)
    others = torch.tensor(in_vocabulary(tokenizer, words))
    others = others[others != position]
    distance_O = (others - position).abs()
    log_chance_W = without_words(model, tokenizer, prediction).log()
    fall_O = log_chance_W[position] - log_chance_W[others]
    views = {f"layer {n + 1}": n for n in range(model.config.n_layers)}
    attention = {  # of a layer, the mean over its heads; [CLS] stands first
        view: prediction.attention(layer)[others + 1]
        for view, layer in (views | {"rollout": "rollout"}).items()
    }
    beside_O = (distance_O == 1).double()
    adjacent = {view: beside_O[x.argmax()].item() for view, x in attention.items()}
    correlation = {
        view: knockout_correlation(x, fall_O) for view, x in attention.items()
    }
    return {
        "log_probability": math.log(prediction.p_true),
        "accuracy": prediction.pred == prediction.true,
        "fall": picks(fall_O, distance_O, attention),
        "size": picks(fall_O.abs(), distance_O, attention),
        "adjacent": adjacent | {"random": beside_O.mean().item()},
        "correlation": correlation,
    }


def spread(correlations: pd.Series) -> dict:
    """Median, quartiles and share above 0 of the correlations that are defined."""
    defined = correlations.dropna().astype(float)
    low, median, high = defined.quantile([0.25, 0.5, 0.75]).tolist()
    summary = {"sentences": len(defined), "median": median, "quartiles": [low, high]}
    return summary | {"positive": float((defined > 0).mean())}


def erasure(model, tokenizer, sentences: list[Sentence]) -> dict:
    """The erasure test of one model: means over sentences, with intervals.

    fall: of the true word's log-probability; size: the same without its sign; adjacent:
    how often the word is next to the masked one; correlation: Spearman's, of attention
    with the fall, by sentence.
    """
    bar = tqdm(sentences, leave=False, desc="sentences")
    rows = pd.DataFrame([erase(model, tokenizer, *sentence) for sentence in bar])

    def table(part: str) -> pd.DataFrame:
        return pd.DataFrame([*rows[part]])

    return {
        "sentences": len(rows),
        "log_probability": float(rows["log_probability"].mean()),
        "accuracy": float(rows["accuracy"].mean()),
        "fall": bootstrap(dict(table("fall"))),
        "size": bootstrap(dict(table("size"))),
        "adjacent": table("adjacent").mean().to_dict(),
        "correlation": {view: spread(x) for view, x in table("correlation").items()},
    }


def measure(models, tokenizer, corpus, source, path=SUMMARY, count=SENTENCES) -> dict:
    """Makes the parts that the record lacks, one after the other; returns the record.

    Takes what `shipped_models` returns. ValueError if the record is of other weights or
    of another text.
    """
    config = models["dropout"].config
    torch.manual_seed(SEED)
    models = models | {"untrained": MaskedLanguageModel(config).eval()}
    data = TrainingData.prepare(tokenizer, corpus, config.max_length)
    sentences, counts = choose(tokenizer, corpus.validation, count)
    mixed = [shuffled(*sentence, i) for i, sentence in enumerate(sentences)]
    identity = source | {
        "sentences": {"shortest": SHORTEST, "longest": LONGEST} | counts,
        "bootstrap": {"resamples": RESAMPLES, "confidence": CONFIDENCE},
        "seed": SEED,
        "blocks_in_a_group": GROUP,
    }
    summary = read_run(path, identity) or identity | {"erasure": {}, "heads": {}}
    jobs = [("erasure", n, erasure, m, tokenizer, sentences) for n, m in models.items()]
    jobs += [("erasure", "shuffled", erasure, models["dropout"], tokenizer, mixed)]
    jobs += [("heads", n, heads, m, data) for n, m in models.items()]
    for test, name, make, *material in tqdm(jobs, desc="parts"):
        if name not in summary[test]:
            begun = time.perf_counter()
            part = make(*material) | {"seconds": round(time.perf_counter() - begun, 1)}
            summary[test][name] = part | {"hardware": hardware()}
            write_record(path, summary)
    return summary


def main(arguments: list[str] | None = None) -> None:
    """Measures what is missing, then draws and prints."""
    about = "Mask words and silence heads; what the record holds is not measured again."
    parser = command("attention.erasure", about)
    parser.parse_args(arguments)
    with parser.one_sentence():
        summary = measure(*shipped_models(*TRAINED))
        draw("attention_erasure.png", erasure_figure(summary))
        draw("attention_heads.png", heads_figure(summary))
        for table in (erasure_table, layers_table, heads_table):
            print(table(summary), end="\n\n")


if __name__ == "__main__":
    main()
