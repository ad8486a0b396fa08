"""Drawings of engineering: several processes, a state that survives a crash."""

import statistics

from notebooks.drawings.svg import SMALL, Drawing, svg_number


def processes_drawing() -> Drawing:
    """One batch, two processes, one mean gradient."""
    gradients = [0.3, 0.5]
    mean = svg_number(statistics.fmean(gradients), 2)
    d = Drawing(
        "Two processes train one model",
        f"""A batch of eight rows is divided: process 0 takes rows 0 to 3, and process 1
        takes rows 4 to 7. Both processes hold the same model. For one weight, process 0
        finds the gradient {svg_number(gradients[0], 2)}, and process 1 finds
        {svg_number(gradients[1], 2)}. All-reduce gives the mean, {mean}, to both
        processes. If both have equally many masked words, this mean is the gradient of
        the whole batch. Both processes take the same step, so their models stay
        equal.""",
        352,
    )
    d.text(72, 32, "one batch", bold=True)
    for i in range(8):
        where = 28, 56 + 29 * i + 22 * (i > 3), 88, 25
        d.box(*where, f"row {i}", ["orange", "green"][i // 4], alpha=0.35, size=SMALL)
    d.text(262, 32, "its rows, the same model", bold=True)
    d.text(482, 32, "all-reduce", bold=True)
    d.text(622, 32, "the same step", bold=True)
    d.box(430, 56, 104, 252, ["the mean", "of both", "", mean], "blue", alpha=0.35)
    for i, colour in enumerate(("orange", "green")):
        y = 56 + 138 * i
        ink = f"{colour}-ink"
        gradient = f"gradient {svg_number(gradients[i], 2)}"
        d.arrow((122, y + 57), (166, y + 57), line=ink, thick=2)
        lines = [f"process {i}", "forward, backward", gradient]
        d.box(170, y, 186, 114, lines, colour, alpha=0.2)
        d.arrow((358, y + 57), (426, y + 57), line=ink, thick=2)
        d.arrow((536, y + 57), (564, y + 57), line="blue-ink", thick=2)
        lines = [f"process {i}", "steps with", mean]
        d.box(568, y, 126, 114, lines, colour, alpha=0.2)
    d.text(360, 332, "Both processes take the same step, so the models stay equal.")
    return d


def checkpoint_drawing() -> Drawing:
    """Write aside, flush, rename: a crash leaves the old file whole, or the new."""
    steps = [
        ("1 write aside", "file.write(…)", "old, whole", "new, in part", "old"),
        ("2 flush", "os.fsync(…)", "old, whole", "new, whole", "old"),
        ("3 rename", "os.replace(…)", "new, whole", None, "new"),
    ]
    d = Drawing(
        "Write aside, flush, rename",
        """Three steps save the state of a training. First the new state is written to
        state.pt.part, beside the old one in state.pt; a crash now leaves the old state
        whole. Then the new state is flushed, so that it is on the disk and not only in
        memory; a crash still leaves the old state. Then state.pt.part is renamed to
        state.pt in one step that happens whole or not at all; a crash now leaves the
        new state. There is always at least one whole state.""",
        330,
    )
    for i, (name, code, old, new, left) in enumerate(steps):
        x = 24 + 232 * i
        middle = x + 104
        d.text(middle, 30, name, 15, bold=True)
        d.text(middle, 54, code, SMALL, "blue-ink", mono=True)
        d.box(x, 74, 208, 168, fill="plain", radius=10)
        fill = "green" if i == 2 else "orange"
        d.box(x + 14, 88, 180, 62, ["state.pt", old], fill, alpha=0.35)
        if new:
            how = {"dash": True, "alpha": 0.15} if i == 0 else {"alpha": 0.35}
            d.box(x + 14, 166, 180, 62, ["state.pt.part", new], "green", **how)
        else:
            d.arrow((middle, 222), (middle, 154), line="green-ink", thick=3, head=12)
        if i < 2:
            d.arrow((x + 211, 158), (x + 229, 158))
        d.text(middle, 272, "A crash here leaves", SMALL, "quiet")
        d.text(middle, 296, f"the {left} state", bold=True)
    return d
