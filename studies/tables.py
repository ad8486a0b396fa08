"""The studies as Markdown tables; what has not been run is named, with its command."""

import statistics

TRAINED = "dropout", "no_dropout"
MODELS = {
    "dropout": "with dropout",
    "no_dropout": "without dropout",
    "untrained": "untrained (control)",
    "shuffled": "with dropout, words shuffled (control)",
}
GUESSES = {name: MODELS.get(name, name) for name in ("unigram", "bigram", *TRAINED)}
DIVISIONS = {
    "all": "all",
    "class": "class of the word",
    "quarter": "quarter of the block",
    "edge": "edge of the block",
    "unknown": "positions to the nearest [UNK]",
    "rank": "rank by frequency (1: most frequent)",
}
BROAD = 0.1  # below this mean weight on each target a head's gaze counts as spread


def between(found: dict, digits: int = 2, sign: str = "") -> str:
    """A mean with the ends of its bootstrap interval, as text; no zero has a minus."""
    mean, low, high = (
        f"{round(found[key], digits) + 0.0:{sign}.{digits}f}"
        for key in ("mean", "low", "high")
    )
    return f"{mean} ({low} to {high})"


def whole_percent(share: float) -> str:
    """A share as text: 58 %."""
    return f"{100 * share:.0f} %"


def shown_views(part: dict) -> dict[str, str]:
    """The attention that the erasure test is about: its key and its name."""
    *_, last = (view for view in part["correlation"] if view != "rollout")
    return {last: "last layer", "rollout": "rollout"}


def erasure_rules(part: dict) -> dict[str, str]:
    """By what rules words are picked, from the upper bound down: key and name."""
    rules, shown = {"largest": "largest fall of any (upper bound)"}, shown_views(part)
    rules |= {f"{view} most": f"most attended, {name}" for view, name in shown.items()}
    rules |= {"nearest": "nearest word", "random": "random word (mean of all)"}
    least = {f"{view} least": f"least attended, {name}" for view, name in shown.items()}
    return rules | least


def erasure_table(summary: dict) -> str:
    """The erasure test as a Markdown table, a column for each model and text."""
    parts = [summary["erasure"][name] for name in MODELS]
    views = shown_views(parts[0])
    lines = [["Fall of the true word's log-probability (nats)", *MODELS.values()]]
    lines.append(["---"] * len(lines[0]))
    for rule, name in erasure_rules(parts[0]).items():
        lines.append([name, *(between(part["fall"][rule]) for part in parts)])
    for other in ("random", "least", "nearest"):
        for view, name in views.items():
            key = f"{view} most minus {other}"
            cells = [between(part["fall"][key], sign="+") for part in parts]
            lines.append([f"most minus {other}, {name}", *cells])
    for rule, name in erasure_rules(parts[0]).items():
        cells = [between(part["size"][rule]) for part in parts]
        lines.append([f"without its sign: {name}", *cells])
    beside = {view: f"most attended, {name}" for view, name in views.items()}
    for view, name in (beside | {"random": "random word"}).items():
        cells = [whole_percent(part["adjacent"][view]) for part in parts]
        lines.append([f"next to the masked word: {name}", *cells])
    for view, name in views.items():
        cells = []
        for found in (part["correlation"][view] for part in parts):
            low, high = found["quartiles"]
            text = f"{found['median']:.2f} ({low:.2f} to {high:.2f})"
            cells.append(f"{text}, {whole_percent(found['positive'])}")
        name = f"rank correlation, median (quartiles), above 0: {name}"
        lines.append([name, *cells])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def layers_table(summary: dict) -> str:
    """The erasure test of the trained models by layer, as a Markdown table."""
    lines = [
        "| Model | Attention | Most attended | Minus random | Minus nearest | "
        "Next to the masked word | Rank correlation |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in TRAINED:
        part = summary["erasure"][name]
        for view, found in part["correlation"].items():
            cells = [MODELS[name], view, between(part["fall"][f"{view} most"])]
            for other in ("random", "nearest"):
                minus = part["fall"][f"{view} most minus {other}"]
                cells.append(between(minus, sign="+"))
            cells += [whole_percent(part["adjacent"][view]), f"{found['median']:.2f}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def looked_at(looks: dict[str, float]) -> str:
    """Where a head mostly looks from masked words, with the share of its weight."""
    share, target = max((looks[t], t) for t in looks if t != "peak")
    if share < BROAD:
        return "spread"
    return f"{target.replace('-', '−')} {whole_percent(share)}"


def heads_table(summary: dict) -> str:
    """What heads and layers cost when they are off, as a Markdown table.

    A row a model: its loss; of single heads the highest three costs, each with what the
    head looks at, the median and the lowest, and how many intervals lie above or below
    0; the rank correlation of cost and peak; and each layer.
    """
    layers = [*summary["heads"]["dropout"]["layers"]]
    titles = ["Model", "Loss (nats)", "Costliest heads", "Median head", "Lowest"]
    titles += ["Above 0", "Below 0", "Peak and cost", *(f"All of {n}" for n in layers)]
    lines = [titles, ["---"] * len(titles)]
    for name, part in summary["heads"].items():
        heads = part["heads"]
        ranked = sorted(heads, key=lambda head: -heads[head]["cost"]["mean"])
        costs = [heads[head]["cost"] for head in ranked]
        means = [cost["mean"] for cost in costs]
        highest = (
            f"{head}: {mean:+.3f} ({looked_at(heads[head]['looks'])})"
            for head, mean in zip(ranked[:3], means, strict=False)
        )
        cells = [MODELS[name], f"{part['loss']:.3f}", "; ".join(highest)]
        cells += [f"{statistics.median(means):+.3f}", f"{means[-1]:+.3f}"]
        cells += [str(sum(cost["low"] > 0 for cost in costs))]
        cells += [str(sum(cost["high"] < 0 for cost in costs))]
        cells += [f"{part['peak_and_cost']:.2f}"]
        cells += [f"{part['layers'][layer]['cost']['mean']:+.3f}" for layer in layers]
        lines.append(cells)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def measured(found: dict, measure: str, sign: str = "") -> str:
    """An accuracy in percent or a loss in nats as text, with its interval."""
    if measure == "loss":
        return between(found, sign=sign)
    return between({key: 100 * end for key, end in found.items()}, 1, sign)


def knowledge_table(summary: dict, measure: str = "accuracy") -> str:
    """What each guess knows by kind of word, as a Markdown table.

    `measure` is "accuracy", in percent, or "loss", in nats a word.
    """
    unit = {"accuracy": "Right (%)", "loss": "Loss (nats a word)"}[measure]
    titles = [unit, "", "Share", *GUESSES.values()]
    titles += [f"{GUESSES[name]} minus bigram" for name in TRAINED]
    lines = [titles, ["---"] * len(titles)]
    for division, rows in (summary["bands"] | summary["within"]).items():
        heading = DIVISIONS.get(division, f"{DIVISIONS['unknown']}, {division} only")
        for name, row in rows.items():
            found = row[measure]
            cells = [heading, name, f"{100 * row['share']:.1f} %"]
            cells += [measured(found[guess], measure) for guess in GUESSES]
            cells += [
                measured(found[f"{guess} minus bigram"], measure, "+")
                for guess in TRAINED
            ]
            lines.append(cells)
            heading = ""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def alone_table(summary: dict) -> str:
    """The words of lone sentences, alone and in packed blocks, as a Markdown table."""
    parts = "packed", "alone", "alone minus packed"
    lines = [["Guess"], ["---"] * (1 + 2 * len(parts))]
    for unit in ("right (%)", "loss (nats)"):
        for part in ("In blocks", "Alone", "Alone minus in blocks"):
            lines[0].append(f"{part}, {unit}")
    for guess, name in GUESSES.items():
        cells = [name]
        for measure in ("accuracy", "loss"):
            found = summary["alone"][measure][guess]
            cells += [
                measured(found[part], measure, "+" if "minus" in part else "")
                for part in parts
            ]
        lines.append(cells)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
