"""What attention and the answers depend on, as Markdown tables from the records."""

import pandas as pd

from studies.lab.tables import markdown_table, percent_text, range_text

TRAINED = "dropout", "no_dropout"
MODELS = {
    "dropout": "with dropout",
    "no_dropout": "without dropout",
    "untrained": "untrained (control)",
    "shuffled": "with dropout, words shuffled (control)",
}
VIEWS = {"layer 4": "last layer", "rollout": "rollout"}
RULES = {  # by which a word is picked and masked as well, from the upper bound down
    "largest": "largest fall of any (upper bound)",
    "layer 4 most": "most attended, last layer",
    "rollout most": "most attended, rollout",
    "nearest": "nearest word",
    "random": "random word (mean of all)",
    "layer 4 least": "least attended, last layer",
    "rollout least": "least attended, rollout",
}
GUESSES = {name: MODELS.get(name, name) for name in ("unigram", "bigram", *TRAINED)}
COLUMNS = GUESSES | {f"{k} minus bigram": f"{GUESSES[k]} minus bigram" for k in TRAINED}
DIVISIONS = {
    "all": "all",
    "class": "class of the word",
    "quarter": "quarter of the block",
    "edge": "edge of the block",
    "unknown": "positions to the nearest [UNK]",
    "rank": "rank by frequency (1: most frequent)",
}
BROAD = 0.1  # below this mean weight on each target a head's gaze counts as spread


def erasure_column(part: dict) -> dict[str, str]:
    """The cells of one model and text in the table of the erasure test, by row."""
    fall, size = part["fall"], part["size"]
    cells = {name: range_text(fall[rule]) for rule, name in RULES.items()}
    for other in ("random", "least", "nearest"):
        for view, name in VIEWS.items():
            minus = fall[f"{view} most minus {other}"]
            cells[f"most minus {other}, {name}"] = range_text(minus, sign="+")
    for rule, name in RULES.items():
        cells[f"without its sign: {name}"] = range_text(size[rule])
    beside = {view: f"most attended, {name}" for view, name in VIEWS.items()}
    for view, name in (beside | {"random": "random word"}).items():
        share = percent_text(part["adjacent"][view])
        cells[f"next to the masked word: {name}"] = share
    for view, name in VIEWS.items():
        spread = part["correlation"][view]
        low, high = spread["quartiles"]
        cells[f"rank correlation, median (quartiles), above 0: {name}"] = (
            f"{spread['median']:.2f} ({low:.2f} to {high:.2f}), "
            f"{percent_text(spread['positive'])}"
        )
    return cells


def erasure_table(summary: dict) -> str:
    """The erasure test, a column for each model and text."""
    columns = [erasure_column(summary["erasure"][name]) for name in MODELS]
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    titles = ["Fall of the true word's log-probability (nats)", *MODELS.values()]
    return markdown_table(titles, rows)


def erasure_layers_table(summary: dict) -> str:
    """The erasure test of the trained models by layer."""
    titles = ["Model", "Attention", "Most attended", "Minus random", "Minus nearest"]
    titles += ["Next to the masked word", "Rank correlation"]
    rows = []
    for name in TRAINED:
        part = summary["erasure"][name]
        for view, spread in part["correlation"].items():
            row = [MODELS[name], view, range_text(part["fall"][f"{view} most"])]
            for other in ("random", "nearest"):
                minus = part["fall"][f"{view} most minus {other}"]
                row.append(range_text(minus, sign="+"))
            row += [percent_text(part["adjacent"][view]), f"{spread['median']:.2f}"]
            rows.append(row)
    return markdown_table(titles, rows)


def looks_cell(looks: dict[str, float]) -> str:
    """Where a head mostly looks from masked words, with the share of its weight."""
    share, target = max((looks[t], t) for t in looks if t != "peak")
    if share < BROAD:
        return "spread"
    return f"{target.replace('-', '−')} {percent_text(share)}"


def heads_table(summary: dict) -> str:
    """What heads and layers cost when they are silenced, a row for each model.

    Its loss; of single heads the highest three costs, each with what the head looks at,
    the median and the lowest, and how many intervals lie above or below 0; the rank
    correlation of cost and peak; and each layer.
    """
    titles = ["Model", "Loss (nats)", "Costliest heads", "Median head", "Lowest"]
    titles += ["Above 0", "Below 0", "Peak and cost"]
    titles += [f"All of {layer}" for layer in summary["heads"]["dropout"]["layers"]]
    rows = []
    for name, part in summary["heads"].items():
        heads = part["heads"].items()
        ranked = sorted(heads, key=lambda item: -item[1]["cost"]["mean"])
        costs = pd.DataFrame([head["cost"] for _, head in ranked])
        highest = [
            f"{place}: {head['cost']['mean']:+.3f} ({looks_cell(head['looks'])})"
            for place, head in ranked[:3]
        ]
        row = [MODELS[name], f"{part['loss']:.3f}", "; ".join(highest)]
        row += [f"{costs['mean'].median():+.3f}", f"{costs['mean'].min():+.3f}"]
        row += [f"{(costs['low'] > 0).sum()}", f"{(costs['high'] < 0).sum()}"]
        row += [f"{part['peak_and_cost']:.2f}"]
        row += [f"{x['cost']['mean']:+.3f}" for x in part["layers"].values()]
        rows.append(row)
    return markdown_table(titles, rows)


def knowledge_cell(means: dict, name: str, measure: str) -> str:
    """An accuracy in percent or a loss in nats as text, with its interval.

    Of all means, the one of that name; a difference has a sign.
    """
    digits, scale = {"accuracy": (1, 100), "loss": (2, 1)}[measure]
    return range_text(means[name], digits, scale, "+" if "minus" in name else "")


def knowledge_table(summary: dict, measure: str = "accuracy") -> str:
    """What each guess knows by kind of word.

    `measure` is "accuracy", in percent, or "loss", in nats a word.
    """
    unit = {"accuracy": "Right (%)", "loss": "Loss (nats a word)"}[measure]
    titles, rows = [unit, "", "Share", *COLUMNS.values()], []
    for division, bands in (summary["bands"] | summary["within"]).items():
        heading = DIVISIONS.get(division, f"{DIVISIONS['unknown']}, {division} only")
        for name, band in bands.items():
            cells = (knowledge_cell(band[measure], key, measure) for key in COLUMNS)
            rows.append([heading, name, f"{100 * band['share']:.1f} %", *cells])
            heading = ""
    return markdown_table(titles, rows)


def knowledge_alone_table(summary: dict) -> str:
    """The words of lone sentences, alone and in packed blocks."""
    parts = {"packed": "In blocks", "alone": "Alone"}
    parts["alone minus packed"] = "Alone minus in blocks"
    units = {"accuracy": "right (%)", "loss": "loss (nats)"}
    columns = [(measure, part) for measure in units for part in parts]
    titles = ["Guess", *(f"{parts[part]}, {units[m]}" for m, part in columns)]
    rows = []
    for guess, name in GUESSES.items():
        means = {measure: summary["alone"][measure][guess] for measure in units}
        rows.append([name, *(knowledge_cell(means[m], part, m) for m, part in columns)])
    return markdown_table(titles, rows)
