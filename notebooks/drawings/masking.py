"""Drawings of what is hidden: padding from attention, and words from the model."""

import math

from scipy.special import softmax

from helpers.masking import IGNORE
from notebooks.drawings.svg import SMALL, Drawing, svg_number


def padding_mask_drawing() -> Drawing:
    """No word may look at padding: −∞ before softmax is 0 after it."""
    words = ["She", "slept", "[PAD]", "[PAD]"]
    scores = [[0.4, 1.2], [1.6, 0.3], [0.1, 0.1], [0.1, 0.1]]
    weights = [softmax([*row, -math.inf, -math.inf]) for row in scores]
    d = Drawing(
        "Padding is hidden before softmax",
        f"""A row of a batch holds the words “She” and “slept”, and two [PAD] tokens
        that fill the row up. On the left are the scores. In the columns of [PAD], the
        scores are set to minus infinity. On the right are the weights after softmax. In
        the columns of [PAD], the weights are exactly 0, and the two words share the
        whole weight. “She” gives itself the weight {svg_number(weights[0][0], 2)} and
        “slept” the weight {svg_number(weights[0][1], 2)}. The rows of the two [PAD]
        tokens are computed as well, but nobody reads these rows.""",
        296,
    )
    d.text(200, 34, "scores", bold=True)
    d.text(522, 34, "weights", ink="blue-ink", bold=True)
    for x in (96, 418):
        for j, word in enumerate(words):
            d.text(x + 52 * j + 26, 64, word, SMALL, "red-ink" if j > 1 else "ink")
    for i, word in enumerate(words):
        d.text(86, 97 + 34 * i, word, at="end", ink="quiet" if i > 1 else "ink")
        if i < 2:
            d.text(636, 97 + 34 * i, "sum 1", SMALL, "quiet", "start")
    for i in range(4):
        for j in range(4):
            y, ink = 80 + 34 * i, "ink" if i < 2 else "quiet"
            how = {"size": SMALL, "ink": ink, "radius": 0, "dash": i > 1}
            if j > 1:
                hidden = how | {"size": 15, "ink": "red-ink" if i < 2 else "quiet"}
                d.box(96 + 52 * j, y, 52, 34, "−∞", "plain", **hidden)
            else:
                text = svg_number(scores[i][j])
                d.box(96 + 52 * j, y, 52, 34, text, "plain", mono=True, **how)
            text, alpha = svg_number(weights[i][j], 2), weights[i][j] if i < 2 else 0
            d.box(418 + 52 * j, y, 52, 34, text, "blue", alpha=alpha, mono=True, **how)
    d.arrow((312, 114), (410, 114))
    d.text(360, 98, "softmax")
    d.text(360, 132, "of each row", SMALL, "quiet")
    d.text(252, 240, "real_BS is False here", SMALL, "red-ink")
    d.text(574, 240, "exactly 0", SMALL, "red-ink")
    d.text(360, 270, "The dashed rows are computed as well, but nobody reads them.")
    return d


def masking_drawing() -> Drawing:
    """Which words are hidden, and what the model sees in their place."""
    text = "the keys near the lamp are old but they are useful and the book behind the"
    words = (text + " clock is heavy .").split()
    chosen = {1: "[MASK]", 9: "river", 16: "clock"}
    fates = [
        (0.8, "80 % become [MASK]", "keys → [MASK]", "red", 0.4),
        (0.1, "10 % are random words", "are → river", "orange", 0.5),
        (0.1, "10 % stay as they are", "clock → clock", "green", 0.5),
    ]
    colours = dict(zip(chosen, (colour for *_, colour, _ in fates), strict=True))
    share = f"{100 * len(chosen) / len(words):.0f} %"
    d = Drawing(
        "Which words are hidden, and what the model sees",
        f"""A text of {len(words)} tokens, of which {len(chosen)} ({share}) are
        selected: "keys", "are" and "clock". Then the drawing shows what the model sees.
        80 % of all selected words become [MASK]: here, [MASK] stands in place of
        "keys". 10 % become a random word: here, "river" stands in place of "are". 10 %
        stay as they are: here, "clock" stays. All other tokens are unchanged. The
        labels are the true words at these three places and {IGNORE} everywhere else, so
        only the three selected words count in the loss.""",
        432,
    )
    d.head(24, 28, f"The text: {share} of its tokens are selected")

    def sentence(top, seen):
        for i, word in enumerate(words):
            x, y = 24 + 67.8 * (i % 10), top + 38 * (i // 10)
            how = {"line": "ink", "thick": 2.5} if i in chosen else {}
            if i in seen:
                how |= {"line": colours[i], "fill": colours[i], "alpha": 0.2}
            d.box(x, y, 62, 30, seen.get(i, word), size=SMALL, **how)

    sentence(48, {})
    x = 24
    for i, (part, what, example, colour, alpha) in enumerate(fates):
        wide = 672 * part
        d.box(x, 146, wide, 14, fill=colour, alpha=alpha, radius=0)
        x += wide
        left = 24 + 234 * i
        d.box(left, 174, 204, 60, fill=colour, alpha=alpha / 2, line=colour)
        d.text(left + 102, 192, what, bold=True)
        d.text(left + 102, 215, example, SMALL, mono=True)
    d.head(24, 266, "What the model sees")
    sentence(286, chosen)
    d.head(24, 384, "The labels")
    labels = f"“keys”, “are” and “clock” at the bold frames, {IGNORE} at all others"
    d.text(116, 384, labels.replace("-", "−"), at="start")
    said = "The loss counts only the places with a bold frame."
    d.text(116, 404, said, SMALL, "quiet", "start")
    return d
