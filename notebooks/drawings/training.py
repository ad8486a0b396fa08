"""Drawings of training: a step, and pairs of runs."""

import math
import statistics

from notebooks.drawings.svg import SMALL, Drawing, svg_number


def training_step_drawing() -> Drawing:
    """The five parts of a training step, in a circle."""
    parts = [
        ("mask", "hide some of the words", "mask_tokens(ids, …)", 360, 60),
        ("forward", "guess the hidden words", "model(inputs)", 586, 176),
        ("loss", "how bad was the guess?", "mlm_loss(logits, labels)", 534, 348),
        ("backward", "a slope for each weight", "loss.backward()", 186, 348),
        ("step", "move every weight a little", "optimizer.step()", 134, 176),
    ]
    flows = ["inputs", "logits", "one number", "gradients", "new weights"]
    said = "; ".join(f"{name}: {what}" for name, what, *_ in parts)
    first = svg_number(math.log(2_000), 2)
    d = Drawing(
        "One training step is a circle",
        f"""Five boxes in a circle. {said}. An arrow leads from each box to the next and
        says what is handed on: {", ".join(flows)}. The next batch begins with the new
        weights. The first loss is about ln V, which is {first} nats for 2,000
        words.""",
        416,
    )
    for i, (name, what, code, x, y) in enumerate(parts):
        d.box(x - 112, y - 40, 224, 80, radius=10)
        d.text(x, y - 23, f"{i + 1} {name}", 15, bold=True)
        d.text(x, y, what, SMALL)
        d.text(x, y + 23, code, SMALL, "blue-ink", mono=True)
    arrows = [
        [(474, 60), (586, 60), (586, 132)],
        [(586, 218), (586, 270), (548, 304)],
        [(420, 348), (360, 348), (302, 348)],
        [(172, 306), (134, 270), (134, 220)],
        [(134, 134), (134, 60), (244, 60)],
    ]
    labels = [(600, 76), (600, 268), (360, 330), (120, 268), (120, 76)]
    sides = ["start", "start", "middle", "end", "end"]
    for points, flow, place, at in zip(arrows, flows, labels, sides, strict=True):
        d.arrow(*points, line="blue", thick=3, curve=True, head=11)
        d.text(*place, flow, SMALL, "quiet", at)
    d.text(360, 186, "one step", 20, bold=True)
    d.text(360, 212, "then the next batch", at="middle")
    d.text(360, 246, f"The first loss is about ln V = {first} nats.", SMALL, "quiet")
    return d


def paired_seeds_drawing() -> Drawing:
    """Two arms with five seeds: the differences of pairs vary less than the losses."""

    def half_width(values: list[float], t: float) -> float:
        return t * statistics.stdev(values) / len(values) ** 0.5

    a = [3.765, 3.668, 3.722, 3.640, 3.694]
    change = [-0.024, -0.037, -0.018, -0.027, -0.034]
    b = [loss + c for loss, c in zip(a, change, strict=True)]
    mean = statistics.fmean(change)
    apart = math.hypot(half_width(a, 2.306), half_width(b, 2.306))  # 8 degrees
    paired = half_width(change, 2.776)  # 4 degrees of freedom
    words = [f"{svg_number(mean, 3)} ± {svg_number(h, 3)}" for h in (apart, paired)]
    pairs = "; ".join(
        f"with seed {i}, from {svg_number(x, 3)} to {svg_number(y, 3)}"
        for i, (x, y) in enumerate(zip(a, b, strict=True))
    )
    d = Drawing(
        "Pairs of runs show a small difference",
        f"""Two models, A and B, have invented losses for five seeds each. On the left,
        a line joins the two losses of each seed. The seeds lie far apart, but every
        line falls a little from A to B: {pairs}. On the right is the mean difference,
        B minus A, with its 95 % interval. As two groups of unrelated runs, the losses
        give {words[0]} nats, and the interval includes 0. As five pairs, the losses
        give {words[1]} nats, and the interval does not include 0.""",
        380,
    )
    d.head(24, 30, "Five seeds, two models")
    d.text(24, 52, "invented losses, in nats", SMALL, "quiet", "start")

    def height(loss):
        return 90 + (3.78 - loss) * 1300

    for x, name in ((96, "model A"), (250, "model B")):
        d.line([(x, 82), (x, 318)], "frame", 1)
        d.text(x, 342, name, bold=True)
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        d.line([(96, height(x)), (250, height(y))], "edge")
        d.circle(96, height(x), 6, "orange")
        d.circle(250, height(y), 6, "blue")
        d.text(82, height(x), svg_number(x, 3), SMALL, at="end")
        d.text(264, height(y), f"seed {i}", SMALL, "quiet", "start")
    d.head(362, 30, "The difference B − A")
    d.text(362, 52, "mean and 95 % interval, in nats", SMALL, "quiet", "start")

    def across(difference):
        return 590 + 1900 * difference

    d.line([(across(0), 76), (across(0), 312)], "edge", dash=True)
    d.line([(across(-0.11), 312), (across(0.055), 312)], "edge", 1)
    for tick in (-0.1, -0.05, 0, 0.05):
        d.line([(across(tick), 312), (across(tick), 317)], "edge", 1)
        d.text(across(tick), 330, svg_number(tick, 2) if tick else "0", SMALL)
    rows = [
        ("as two groups", apart, words[0], 112, "orange"),
        ("as pairs", paired, words[1], 228, "green"),
    ]
    for title, half, text, y, colour in rows:
        d.text(across(0) - 12, y - 22, title, at="end", bold=True)
        ends = (across(mean - half), y + 4), (across(mean + half), y + 4)
        d.line(ends, colour, 5)
        d.circle(across(mean), y + 4, 7, colour)
        d.text(across(0) - 12, y + 28, text, SMALL, at="end", mono=True)
    for difference in change:
        d.circle(across(difference), 276, 4.5, "green", alpha=0.7)
    d.text(across(-0.05), 276, "the five differences", SMALL, "quiet", "end")
    return d
