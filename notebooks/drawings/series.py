"""The drawing of the series: its nine notebooks on one path."""

from notebooks.drawings import icons
from notebooks.drawings.svg import NORMAL, SMALL, Drawing

STATIONS = (
    ("Tokens", icons.tokens_icon, "text becomes numbers"),
    ("Attention", icons.attention_icon, "words look at words"),
    ("Model", icons.model_icon, "layers become a model"),
    ("Training", icons.training_icon, "the model learns"),
    ("Looking", icons.looking_icon, "where the model looks"),
    ("Evidence", icons.evidence_icon, "what held true"),
    ("Speed", icons.speed_icon, "fast and robust training"),
    ("Bugs", icons.bugs_icon, "faults that nobody sees"),
    ("BERT", icons.bert_icon, "a real BERT in the same code"),
)


def series_map_drawing() -> Drawing:
    """The nine notebooks as a path."""
    listed = " ".join(
        f"0{i} {name}: {what}." for i, (name, _, what) in enumerate(STATIONS, 1)
    )
    d = Drawing(
        "The path through the nine notebooks",
        f"""Nine stations stand on one path. {listed} The first five stations build a
        model, train it and look inside. The last four can be read in any order.""",
        388,
    )
    w, h, pitch, tops = 116, 122, 134, (46, 232)
    d.head(34, 26, "Build a model, train it, look inside", NORMAL)
    d.head(50, 213, "Then go on as you like", NORMAL)
    for way in (
        [(60, 107), (660, 107)],
        [(660, 107), (712, 107), (712, 188), (660, 188)],
        [(660, 188), (60, 188)],
        [(60, 188), (10, 188), (10, 293), (60, 293)],
        [(60, 293), (530, 293)],
    ):
        d.line(way, "blue", 5, curve=True, alpha=0.5)
    for i, (name, icon, _) in enumerate(STATIONS):
        x, y = 34 + pitch * (i % 5), tops[i // 5]
        d.box(x, y, w, h, fill="plain", radius=10)
        icon(d, x + w / 2, y + 44)
        d.text(x + w / 2, y + 102, f"0{i + 1} {name}", bold=True)
    for i, line in enumerate(("Each notebook", "also runs", "on its own.")):
        d.text(628, 274 + 20 * i, line, SMALL, "quiet")
    return d
