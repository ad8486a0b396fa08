"""The lessons as claims, and what decides each of them.

A verdict follows from an interval and the claim's direction by one rule, `verdict`;
nobody words it by hand. Effects of trained arms are paired by seed; the other claims
take their numbers from the studies that measured them.
"""

from dataclasses import asdict, dataclass

from helpers import record
from helpers.settings import Number, SettingError, require
from studies import plateau_runs
from studies.lessons.arms import ARMS
from studies.lessons.readings import Effect, Runs, crossover, interval, readings
from studies.lessons.runs import RECORDS
from studies.lessons.tables import SEEDS

SAME = 0.05  # nats within which two losses count as the same
COMMAND = "python -m studies.lessons"
GRAMMAR, FACTS = "function words", "names"


EXPECTED = "above", "below", "same"
STUDIES = "growth", "dropout", "plateau", "knowledge"


@dataclass(frozen=True)
class Claim:
    """One sentence, and the number that decides it.

    `effect` is a paired difference of arms, or the name of the study that measured it.
    `expected` says where the claim wants it: "above" or "below" zero, by more than
    `margin`, or the "same", within `margin` of it. `lesson` is None for a choice of
    this study itself.
    """

    lesson: int | None
    text: str
    effect: Effect | str
    expected: str
    unit: str = "nats"
    margin: float = 0.0

    def __post_init__(self):
        require(self, expected=EXPECTED, margin=Number(0))
        if not isinstance(self.effect, Effect):
            require(self, effect=STUDIES)
            return
        if unknown := {*self.effect.arms} - ARMS.keys():
            raise ValueError(f"No such arms: {', '.join(sorted(unknown))}.")
        if self.effect.reading not in (known := (*readings({}),)):
            raise SettingError("reading", self.effect.reading, known)


AT_TIME, AT_STEPS = "loss at equal time", "loss at equal steps"
LONE = "loss on lone sentences"

CLAIMS = (
    Claim(
        1,
        "At a length of 64 the part of attention that grows with the square of the "
        "length is most of a step.",
        "growth",
        "above",
        "% of a step beyond half",
    ),
    Claim(
        2,
        "With one line a row, a max_length of 64 beats 128.",
        Effect("pad_64", "pad_128", AT_TIME),
        "below",
    ),
    Claim(
        2,
        "That lead comes with padding: in packed rows it is smaller.",
        Effect("pad_64", "pad_128", AT_TIME, ("pack_64", "pack_128")),
        "below",
    ),
    Claim(
        2,
        "At 64, packing beats padding.",
        Effect("pack_64", "pad_64", AT_TIME),
        "below",
    ),
    Claim(
        2,
        "On the same sentences, each alone, packing beats padding, too.",
        Effect("pack_64", "pad_64", LONE),
        "below",
    ),
    Claim(
        2,
        "On these, too, the lead of 64 over 128 is smaller in packed rows.",
        Effect("pad_64", "pad_128", LONE, ("pack_64", "pack_128")),
        "below",
    ),
    Claim(
        2,
        "At 64, buckets of similar length beat padding.",
        Effect("bucket_64", "pad_64", AT_TIME),
        "below",
    ),
    Claim(
        3,
        "With 2,000 words a model learns those better than one with 10,000.",
        Effect("base", "words_10000", "shared"),
        "above",
        "points",
    ),
    Claim(
        3,
        "8,000 byte pairs name more rare words than 10,000 words do.",
        Effect("pieces_8000", "words_10000", "rare"),
        "above",
        "points",
    ),
    Claim(
        3,
        "8,000 byte pairs cost the frequent words nothing (within a point).",
        Effect("pieces_8000", "base", "shared"),
        "same",
        "points",
        1.0,
    ),
    Claim(
        3,
        "[UNK] costs the other words: with 8,000 more words to be read beside them, "
        "the same 2,000 are easier.",
        Effect("read_10000", "base"),
        "below",
    ),
    Claim(
        4,
        "In the same time, a model with half of the layers gets further.",
        Effect("layers_2", "base", AT_TIME),
        "below",
    ),
    Claim(
        4,
        "In the same time, a model of half the width gets further.",
        Effect("d_model_128", "base", AT_TIME),
        "below",
    ),
    Claim(
        4,
        "One head is as good as eight (within 0.05 nats).",
        Effect("heads_1", "base", AT_STEPS),
        "same",
        margin=SAME,
    ),
    Claim(
        5,
        "With 2,000 words, tying does not matter (within 0.05 nats).",
        Effect("base", "untied"),
        "same",
        margin=SAME,
    ),
    Claim(
        5,
        "With 10,000 words, tying does not matter (within 0.05 nats).",
        Effect("words_10000", "untied_10000"),
        "same",
        margin=SAME,
    ),
    Claim(6, "Dropout lowers the loss within eight epochs.", "dropout", "below"),
    Claim(
        6,
        "On a small text, read over and over, dropout lowers the loss.",
        Effect("small_dropout", "small_fresh", "best loss"),
        "below",
    ),
    Claim(
        6,
        "On a small text, masks drawn anew at each step beat masks that stay.",
        Effect("small_fresh", "small_static", "best loss"),
        "below",
    ),
    Claim(
        6,
        "With masks that stay, early stopping saves more than 0.05 nats.",
        Effect("small_static", "small_static", "best minus last"),
        "below",
        margin=SAME,
    ),
    Claim(
        6,
        "With fresh masks, early stopping saves more than 0.05 nats.",
        Effect("small_fresh", "small_fresh", "best minus last"),
        "below",
        margin=SAME,
    ),
    Claim(
        7,
        "The collapse ends once positions are known: rotary ones end it sooner than "
        "learned ones.",
        "plateau",
        "below",
        "steps",
    ),
    Claim(
        7,
        "15 % masked, BERT's share, beats 30 %.",
        Effect("rate_15", "base"),
        "below",
    ),
    Claim(
        7,
        "80/10/10 beats [MASK] at every place.",
        Effect("base", "all_hidden"),
        "below",
    ),
    Claim(
        8,
        "The model knows grammar better than facts: function words better than names.",
        "knowledge",
        "above",
        "points",
    ),
    Claim(
        None,
        "A rate that falls to 0 beats half of it held constant.",
        Effect("falling", "base"),
        "below",
    ),
)


def verdict(found: dict, expected: str, margin: float = 0.0) -> str:
    """What an interval says of a claim.

    Too few seeds decide nothing; nor does an interval that holds both answers. `n` is
    None where the interval is not one over seeds.
    """
    if found["n"] is not None and found["n"] < SEEDS:
        return "unfinished"
    low, high = found["low"], found["high"]
    if expected == "same":
        if -margin < low and high < margin:
            return "holds"
        return "does not hold" if low > margin or high < -margin else "open"
    if expected == "above":
        low, high = -high, -low
    if high < -margin:
        return "holds"
    return "does not hold" if low > -margin else "open"


def core_minutes(runs: list[dict]) -> float:
    """Minutes of one core that some runs took, by the clocks of their records."""
    return sum(run["seconds"] * run["hardware"]["threads"] for run in runs) / 60


def step_minutes(arms: list[str], seeds: int, costs: dict) -> float:
    """Minutes of one core for the steps of some arms, by the times of `costs`.

    Several runs at once share a machine, so their own clocks would say too much.
    """
    seconds = 0.0
    for arm in arms:
        cost = costs["arms"][arm]
        threads = cost.get("hardware", costs["hardware"])["threads"]
        seconds += ARMS[arm].steps * cost["seconds"][1] * threads
    return seeds * seconds / 60


def from_arms(claim: Claim, runs: Runs, costs: dict) -> dict:
    """The effect of a claim about arms of this study, and what it takes to measure."""
    arms = [*dict.fromkeys(claim.effect.arms)]
    found = claim.effect.measure(runs, readings(costs))
    made = [runs[arm][seed] for arm in arms for seed in found["seeds"]]
    steps = [f"{n:,}" for n in sorted({ARMS[arm].steps for arm in arms})]
    return asdict(claim.effect) | {
        "found": found,
        "budget": " or ".join(steps) + " steps",
        "hardware": sorted({run["hardware"]["device"] for run in made}),
        "core_minutes": step_minutes(arms, SEEDS, costs),
        "records": "lessons/",
        "command": f"{COMMAND} --arms {' '.join(arms)}",
    }


def from_growth() -> dict:
    """The share of a step at length 64 that grows with the length, beyond a half."""
    growth = record.read(RECORDS.parent / "growth.json")
    parts = {form: crossover(growth, form == "fused") for form in ("written", "fused")}
    share, error = (parts["written"][key] for key in ("share_at_64", "largest_error"))
    ends = {"low": 100 * (share - error) - 50, "high": 100 * (share + error) - 50}
    timed = [row["ms"] for row in growth["growth"] if "max_length" in row]
    return {
        "found": {"n": None, "mean": 100 * share - 50} | ends | parts,
        "budget": f"{len(timed)} kinds of steps, 3 each",
        "hardware": [growth["hardware"]["device"]],
        "core_minutes": growth["hardware"]["threads"] * 4 * sum(timed) / 60_000,
        "records": "growth.json",
        "command": "python -m studies.speed.scaling --growth",
    }


def from_dropout() -> dict:
    """The loss with dropout at BERT's sites minus that without, after eight epochs."""
    table = record.read(RECORDS.parent / "dropout_study.json")["budgets"]["8"]
    values = table["all"]["minus_none"]["loss"]["values"]
    made = [run for arm in ("none", "all") for run in table[arm]["runs"]]
    return {
        "found": interval(values) | {"values": values},
        "budget": "8 epochs",
        "hardware": [table["all"]["hardware"]["device"]],
        "core_minutes": 60 * sum(run["hours"] for run in made),
        "records": "dropout_study/",
        "command": "python -m studies.dropout",
    }


def from_plateau() -> dict:
    """Steps until the plateau is left with rotary positions, minus those with learned.

    Each at the rate that is best for it.
    """
    summary, kinds = record.read(plateau_runs.SUMMARY), ("rotary", "learned")
    pairs = zip(*(summary["arms"][kind]["steps"] for kind in kinds), strict=True)
    values = [rotary - learned for rotary, learned in pairs]
    made = [run for run in plateau_runs.runs_of(summary) if run["positions"] in kinds]
    seconds = [run["history"][-1] | {"hardware": run["hardware"]} for run in made]
    return {
        "found": interval(values) | {"values": values},
        "budget": "up to 1,200 steps",
        "hardware": sorted({run["hardware"]["device"] for run in made}),
        "core_minutes": core_minutes(seconds),
        "records": "plateau/",
        "command": "python -m studies.plateau",
    }


def from_knowledge() -> dict:
    """Points by which function words are named more often than names, no dropout.

    The two intervals, bootstrapped over the text, are added.
    """
    known = record.read(RECORDS.parent / "knowledge.json")
    classes = known["bands"]["class"]
    good, bad = (classes[kind]["accuracy"]["no_dropout"] for kind in (GRAMMAR, FACTS))
    pairs = {"mean": ("mean", "mean"), "low": ("low", "high"), "high": ("high", "low")}
    ends = {key: 100 * (good[a] - bad[b]) for key, (a, b) in pairs.items()}
    return {
        "found": {"n": None} | ends,
        "budget": f"{known['words']:,} words asked",
        "hardware": [known["hardware"]["device"]],
        "core_minutes": known["seconds"] * known["hardware"]["threads"] / 60,
        "records": "knowledge.json",
        "command": "python -m studies.attention.knowledge",
    }


OTHERS = {
    "growth": from_growth,
    "dropout": from_dropout,
    "plateau": from_plateau,
    "knowledge": from_knowledge,
}


def decide(claim: Claim, runs: Runs, costs: dict) -> dict:
    """A claim's line of the closing table: what was found, and what it says."""
    said = {key: value for key, value in vars(claim).items() if key != "effect"}
    if isinstance(claim.effect, str):
        said |= OTHERS[claim.effect]()
    else:
        said |= from_arms(claim, runs, costs)
    return said | {"verdict": verdict(said["found"], claim.expected, claim.margin)}
