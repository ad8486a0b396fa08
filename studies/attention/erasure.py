"""Does attention matter here? Words and heads are taken away: what does it cost?

`python -m studies.attention.erasure` asks two trained models, and as controls one that
was never trained and sentences whose words are shuffled. Erasure: in 1,000 sentences of
the validation text one word is masked, and each other word in turn as well. If
attention points to what an answer needs, masking the most attended word costs most
(Serrano & Smith 2019, section 4; Abnar & Zuidema 2020, section 4). Heads: each is
switched off alone, then all of a layer (Michel et al. 2019, section 3.2). Left out:
words and heads in pairs, and gradients.

Shapes: M masked positions, W words of a sentence, O those of them that are compared, U
groups of blocks that are resampled; the others as in helpers.layers. Losses and falls
of log-probability are in nats.
"""

import time

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from explorer.knockout import heads_off, rank_correlation, without_words
from explorer.predict import Prediction, fill_mask
from helpers import ROOT, record
from helpers.data import TrainingData, lone_sentences
from helpers.evaluate import evaluate
from helpers.figure import png
from helpers.files import write_whole
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.seeds import seeded
from helpers.tokenizer import CLS, MASK, SEP
from studies.attention.figures import erasure_figure, heads_figure
from studies.lab.command import command
from studies.lab.runs import read_run, shipped_models
from studies.lab.stats import CONFIDENCE, GROUP, RESAMPLES, bootstrap
from studies.tables import TRAINED, erasure_table, heads_table, layers_table

SENTENCES, SHORTEST, LONGEST = 1_000, 10, 40  # their number, and words of each
OTHERS = 5  # words of the vocabulary beside the masked one, at least
SEED = 0
OFFSETS = range(-3, 4)  # from the masked position; 0 is itself
SUMMARY = ROOT / "plots" / "records" / "attention.json"


def in_vocabulary(tokenizer, words: list[str]) -> list[int]:
    """Positions of the words that the vocabulary holds; [UNK] stands for the others."""
    return [i for i, word in enumerate(words) if word in tokenizer.ids]


def choose(tokenizer, lines: list[str], count: int = SENTENCES) -> tuple[list, dict]:
    """`count` sentences at equal distances, each with a masked position; and counts.

    Of n sentences with enough words of the vocabulary, in the order of the text, those
    numbered floor(i n / count) for i = 0, 1, …; the masked word is drawn from its words
    of the vocabulary, all alike.
    """
    found = [line.split() for line in lone_sentences(lines, SHORTEST, LONGEST)]
    kept = [words for words in found if len(in_vocabulary(tokenizer, words)) > OTHERS]
    chosen = []
    for i in range(count):
        words = kept[i * len(kept) // count]
        places = in_vocabulary(tokenizer, words)
        draw = torch.randint(len(places), (1,), generator=seeded(SEED, "mask", i))
        chosen.append((words, places[int(draw)]))
    left_out = {"too_few_words": len(found) - len(kept)}
    left_out["between_chosen"] = len(kept) - count
    return chosen, {"found": len(found), "left_out": left_out, "chosen": count}


def shuffled(words: list[str], position: int, number: int) -> tuple[list[str], int]:
    """The same words in a random order, and where the masked one stands in it."""
    generator = seeded(SEED, "shuffle", number)
    order = torch.randperm(len(words), generator=generator).tolist()
    return [words[i] for i in order], order.index(position)


def views(n_layers: int) -> dict:
    """Attention by name: each layer, mean over heads, and rollout."""
    layers = {f"layer {n + 1}": n for n in range(n_layers)}
    return layers | {"rollout": "rollout"}


def falls(model, tokenizer, prediction: Prediction) -> Tensor:
    """Fall of the true word's log-probability with each word masked as well, (W,).

    In nats, above 0 where the word had spoken for the true one; special tokens and
    [UNK] are no answers.
    """
    log_chance_W = without_words(model, tokenizer, prediction).log()
    return log_chance_W[prediction.position] - log_chance_W


def picks(fall_O: Tensor, distance_O: Tensor, attention: dict[str, Tensor]) -> dict:
    """What masking a word costs, by the rule that picks it from O others.

    random: the mean over all of them, which is what a draw costs on average; nearest:
    the one next to the masked position, or the mean of two at that distance; largest:
    the highest of all, known only afterwards. Then the most and the least attended (of
    equals the first), and differences.
    """
    nearest_O = distance_O == distance_O.min()
    rules = {"random": fall_O.mean(), "nearest": fall_O[nearest_O].mean()}
    rules["largest"] = fall_O.max()
    for view, weights_O in attention.items():
        most, least = fall_O[weights_O.argmax()], fall_O[weights_O.argmin()]
        rules |= {f"{view} most": most, f"{view} least": least}
        rules[f"{view} most minus random"] = most - rules["random"]
        rules[f"{view} most minus least"] = most - least
        rules[f"{view} most minus nearest"] = most - rules["nearest"]
    return {name: value.item() for name, value in rules.items()}


def erase(model, tokenizer, words: list[str], position: int) -> dict:
    """One sentence: the prediction, and what each other word of the vocabulary does.

    [CLS], [SEP] and words outside the vocabulary are neither masked nor ranked.
    """
    prediction = fill_mask(model, tokenizer, words, position)
    others = torch.tensor(in_vocabulary(tokenizer, words))
    others = others[others != position]
    distance_O = (others - position).abs()
    fall_O = falls(model, tokenizer, prediction)[others]
    attention = {
        name: prediction.attention(layer)[others + 1]  # after [CLS]
        for name, layer in views(model.config.n_layers).items()
    }
    beside = {
        name: float(distance_O[weights_O.argmax()] == 1)
        for name, weights_O in attention.items()
    }
    return {
        "p_true": prediction.p_true,
        "right": prediction.pred == prediction.true,
        "fall": picks(fall_O, distance_O, attention),
        "size": picks(fall_O.abs(), distance_O, attention),
        "adjacent": beside | {"random": (distance_O == 1).float().mean().item()},
        "correlation": {
            name: rank_correlation(weights_O, fall_O)
            for name, weights_O in attention.items()
        },
    }


def columns(rows: list[dict], key: str) -> dict[str, list]:
    """The values of all rows under `key`, by their names."""
    return {name: [row[key][name] for row in rows] for name in rows[0][key]}


def spread(values: list[float | None]) -> dict:
    """Median, quartiles and share above 0 of the correlations that are defined."""
    defined = np.array([value for value in values if value is not None])
    low, median, high = np.quantile(defined, (0.25, 0.5, 0.75)).tolist()
    found = {"sentences": len(defined), "median": median, "quartiles": [low, high]}
    return found | {"positive": float((defined > 0).mean())}


def erasure(model, tokenizer, sentences: list[tuple[list[str], int]]) -> dict:
    """The erasure test of one model: means over sentences, with intervals.

    fall: of the true word's log-probability; size: the same without its sign; adjacent:
    how often the word is next to the masked one; correlation: Spearman's, of attention
    with the fall, by sentence.
    """
    rows = [
        erase(model, tokenizer, words, position)
        for words, position in tqdm(sentences, leave=False, desc="sentences")
    ]
    shares, correlations = columns(rows, "adjacent"), columns(rows, "correlation")
    return {
        "sentences": len(rows),
        "log_probability": float(np.mean(np.log([row["p_true"] for row in rows]))),
        "accuracy": float(np.mean([row["right"] for row in rows])),
        "fall": bootstrap(columns(rows, "fall")),
        "size": bootstrap(columns(rows, "size")),
        "adjacent": {name: float(np.mean(share)) for name, share in shares.items()},
        "correlation": {name: spread(found) for name, found in correlations.items()},
    }


def score(model, data: TrainingData) -> dict[str, np.ndarray]:
    """Summed loss, right answers and words of each group of blocks, (U,) each."""
    parts = zip(
        data.validation_BT.split(GROUP), data.subset_BT.split(GROUP), strict=True
    )
    scores = [evaluate(model, ids_BT, number_BT) for ids_BT, number_BT in parts]
    words_U = np.array([found["words"] for found in scores])
    found = {"words": words_U}
    for key in ("loss", "accuracy"):
        found[key] = words_U * np.array([found[key] for found in scores])
    return found


def switches(n_layers: int, n_heads: int) -> dict[str, Tensor]:
    """Which heads are off, (N, H), by name: each alone, then all of a layer."""
    off = {}
    for n in range(n_layers):
        for h in range(n_heads):
            off[f"layer {n + 1} head {h + 1}"] = one = torch.zeros(n_layers, n_heads)
            one[n, h] = 1
    for n in range(n_layers):
        off[f"layer {n + 1}"] = layer = torch.zeros(n_layers, n_heads)
        layer[n] = 1
    return {name: off_NH.bool() for name, off_NH in off.items()}


@torch.no_grad()
def gaze(model, data: TrainingData) -> dict[str, Tensor]:
    """Mean weight that masked positions give to each target, (N, H) each.

    By offset, "+1" is the next token, and by token, [CLS] and [SEP]; a neighbour may be
    such a token, and then counts as both. "peak" is the mean of the largest weight.
    """
    total, count = {}, 0
    parts = zip(data.validation_BT.split(64), data.subset_BT.split(64), strict=True)
    for ids_BT, number_BT in parts:
        masked_BT = number_BT == 0
        first_BM = torch.zeros(len(ids_BT), 1, dtype=torch.long)  # no word is needed
        inputs_BT = ids_BT.masked_fill(masked_BT, MASK)
        _, weights_BNHTS = model(inputs_BT, first_BM, need_weights=True)
        row, at = masked_BT.nonzero(as_tuple=True)
        weights_MNHS = weights_BNHTS[row, :, :, at]
        at_S = torch.arange(ids_BT.shape[1])
        targets = {
            f"{o:+d}" if o else "self": at_S == (at + o)[:, None] for o in OFFSETS
        }
        targets |= {"[CLS]": ids_BT[row] == CLS, "[SEP]": ids_BT[row] == SEP}
        sums = {
            name: torch.einsum("mnhs,ms->nh", weights_MNHS, target_MS.float())
            for name, target_MS in targets.items()
        }
        sums["peak"] = weights_MNHS.amax(-1).sum(0)
        total = {name: total.get(name, 0) + sums[name] for name in sums}
        count += len(at)
    return {name: sum_NH / count for name, sum_NH in total.items()}


def heads(model, data: TrainingData) -> dict:
    """What each head costs when it is off, where it looks, and what a layer costs.

    Costs are differences in validation loss to the intact model, paired by group of
    blocks; `peak_and_cost` is the rank correlation of both over all heads.
    """
    intact = score(model, data)
    off = switches(model.config.n_layers, model.config.n_heads)
    found = {}
    for name, off_NH in tqdm(off.items(), leave=False, desc="heads, layers"):
        found[name] = score(heads_off(model, off_NH[None]), data)
    costs = {name: one["loss"] - intact["loss"] for name, one in found.items()}
    costs = bootstrap(costs, intact["words"])
    total = intact["words"].sum()
    rows = {
        name: {"cost": costs[name], "accuracy": float(one["accuracy"].sum() / total)}
        for name, one in found.items()
    }
    seen = {
        name: mean_NH.flatten().tolist() for name, mean_NH in gaze(model, data).items()
    }
    each = [name for name in rows if "head" in name]
    for i, name in enumerate(each):
        rows[name]["looks"] = {target: means[i] for target, means in seen.items()}
    cost = torch.tensor([rows[name]["cost"]["mean"] for name in each])
    return {
        "words": int(total),
        "groups": len(intact["words"]),
        "loss": float(intact["loss"].sum() / total),
        "accuracy": float(intact["accuracy"].sum() / total),
        "heads": {name: rows[name] for name in each},
        "layers": {name: rows[name] for name in rows if name not in each},
        "peak_and_cost": rank_correlation(torch.tensor(seen["peak"]), cost),
    }


def untrained(config: ModelConfig) -> MaskedLanguageModel:
    """A model of that configuration as it is before its first step, in eval mode."""
    torch.manual_seed(SEED)
    return MaskedLanguageModel(config).eval()


def measure() -> dict:
    """Makes the parts that the record lacks, one after the other; returns the record.

    ValueError if the text is not the one that the models were trained on, or if the
    record is of other weights.
    """
    models, tokenizer, corpus, source = shipped_models(*TRAINED)
    config = models["dropout"].config
    models["untrained"] = untrained(config)
    sentences, counts = choose(tokenizer, corpus.validation)
    wanted = source | {
        "sentences": {"shortest": SHORTEST, "longest": LONGEST} | counts,
        "bootstrap": {"resamples": RESAMPLES, "confidence": CONFIDENCE},
        "seed": SEED,
        "blocks_in_a_group": GROUP,
    }
    found = read_run(SUMMARY, wanted) or wanted | {"erasure": {}, "heads": {}}
    mixed = [shuffled(*sentence, i) for i, sentence in enumerate(sentences)]
    jobs = [("erasure", name, name, sentences) for name in models]
    jobs += [("erasure", "shuffled", "dropout", mixed)]
    jobs += [("heads", name, name, None) for name in models]
    data = TrainingData.prepare(tokenizer, corpus, config.max_length)
    for test, name, model, text in tqdm(jobs, desc="parts"):
        if name in found[test]:
            continue
        begun = time.perf_counter()
        if test == "erasure":
            part = erasure(models[model], tokenizer, text)
        else:
            part = heads(models[model], data)
        part["seconds"] = round(time.perf_counter() - begun, 1)
        found[test][name] = part | {"hardware": record.hardware()}
        record.write(SUMMARY, found)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measures what is missing, then draws and prints."""
    parser = command(
        "attention",
        "Mask words and switch heads off, resumable; parts that the record holds are "
        "skipped.",
    )
    parser.parse_args(arguments)
    with parser.one_sentence():
        summary = measure()
        figures = {
            "attention_erasure.png": erasure_figure(summary),
            "attention_heads.png": heads_figure(summary),
        }
        for name, figure in figures.items():
            write_whole(ROOT / "plots" / name, png(figure))
        for table in (erasure_table, layers_table, heads_table):
            print(table(summary), end="\n\n")


if __name__ == "__main__":
    main()
