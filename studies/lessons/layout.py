"""Lesson 2: is a length of 64 better than 128, and is padding why?"""

from helpers.record import read_record
from studies.lab.readings import Claim, Effect
from studies.lab.report import figure_of, interval_rows, named_rows
from studies.lessons.arms import STEPS, Arm
from studies.lessons.costs import COSTS
from studies.lessons.readings import AT_TIME, LONE

NAMES = {"pad": "one line per row", "bucket": "buckets", "pack": "packed"}
# A row may be short, so masks are drawn independently. Rows that are filled only as far
# as needed make shorter steps, so there are more.
ARMS = {
    f"{layout}_{length}": Arm(
        {"max_length": length},
        {"masks": "independent"},
        layout=layout,
        steps=STEPS + (100 * length // 64 if layout == "bucket" else 0),
    )
    for layout in ("pack", "pad", "bucket")
    for length in (64, 128)
}
PACKED = "pack_64", "pack_128"
CLAIMS = [
    Claim(
        "With one line per row, rows of 64 tokens beat rows of 128 tokens.",
        Effect("pad_64", "pad_128", AT_TIME),
        sides=("64, one line per row", "128, one line per row"),
        primary=True,
    ),
    Claim(
        "With packed rows, the lead of 64 tokens over 128 tokens is smaller than with "
        "one line per row.",
        Effect("pad_64", "pad_128", AT_TIME, PACKED),
    ),
    Claim(
        "Among rows of 64 tokens, packed rows beat padded rows.",
        Effect("pack_64", "pad_64", AT_TIME),
        sides=("64, packed", "64, one line per row"),
    ),
    Claim(
        "When each sentence is scored by itself, packed rows of 64 tokens still beat "
        "padded rows of 64 tokens.",
        Effect("pack_64", "pad_64", LONE),
        sides=("packed, lone sentences", "one line per row, lone sentences"),
    ),
    Claim(
        "When each sentence is scored by itself, the lead of 64 tokens over 128 tokens "
        "is still smaller with packed rows than with one line per row.",
        Effect("pad_64", "pad_128", LONE, PACKED),
    ),
    Claim(
        "Among rows of at most 64 tokens, buckets with lines of similar length beat "
        "padded rows.",
        Effect("bucket_64", "pad_64", AT_TIME),
        sides=("64, buckets", "64, one line per row"),
    ),
]


@figure_of(1, 3, size=(8.8, 3.3), sharey=True)
def figure(panels, results) -> None:
    """Three ways to fill rows, at two lengths: padding, words per second, loss."""
    sizes = [(layout, length) for layout in NAMES for length in (64, 128)]
    arms = [f"{layout}_{length}" for layout, length in sizes]
    recorded, rows = read_record(COSTS)["arms"], range(len(arms))
    bars = {"color": "#9a9a9a", "height": 0.6}
    padding = [100 * recorded[arm]["padding"] for arm in arms]
    shares = panels[0].barh(rows, padding, **bars)
    panels[0].bar_label(shares, fmt="{:.1f}", padding=3)
    panels[0].set(xlabel="[PAD], % of all positions", xlim=(0, 1.2 * max(padding)))
    pace = [recorded[arm]["asked"] / recorded[arm]["seconds"][1] for arm in arms]
    panels[1].barh(rows, pace, **bars)
    panels[1].set_xlabel("masked words per second")
    panels[1].xaxis.set_major_formatter("{x:,.0f}")
    interval_rows(panels[2], [results.readings[arm][AT_TIME] for arm in arms])
    panels[2].set_xlabel("loss at equal time (nats)")
    for axes in panels:
        named_rows(axes, [f"{NAMES[layout]}, {length}" for layout, length in sizes])
        axes.locator_params(axis="x", nbins=4)
    panels[2].margins(x=0.12)  # or a narrow interval would lie on the axis
    for axes in panels[1:]:
        axes.tick_params("y", length=0)
