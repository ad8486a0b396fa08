"""Drawings of text: the map of the series, BERT beside GPT, ids and rows, merges."""

from itertools import pairwise

from safetensors.torch import load_file

from helpers import ROOT
from helpers.bpe import FIRST_BYTE, FIRST_MERGE, learn_merges, merge, token_bytes
from helpers.tokenizer import UNK, WordTokenizer, split_words
from notebooks.drawings import icons
from notebooks.drawings.kit import NORMAL, SMALL, Drawing, number, width_of

STATIONS = (
    ("Tokens", icons.tokens, "text becomes numbers"),
    ("Attention", icons.attention, "words look at words"),
    ("Model", icons.model, "layers become a model"),
    ("Training", icons.training, "the model learns"),
    ("Looking", icons.looking, "where the model looks"),
    ("Evidence", icons.evidence, "what held true"),
    ("Speed", icons.speed, "fast and robust training"),
    ("Bugs", icons.bugs, "faults that nobody sees"),
    ("BERT", icons.bert, "a real BERT in the same code"),
)


def series_map() -> Drawing:
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


def bert_and_gpt() -> Drawing:
    """The same sentence, as BERT and as GPT see it."""
    words, hidden = "the keys near the lamp are old".split(), 5
    d = Drawing(
        "BERT fills a blank, GPT writes the next word",
        """The drawing shows the sentence “the keys near the lamp are old” twice. Above,
        for BERT, the word “are” is replaced by [MASK]. Arrows lead to [MASK] from all
        other words, on both sides. BERT guesses the hidden word. In training, about 15
        of 100 words are hidden. Below, for GPT, a question mark stands in the place
        of “are”. Arrows lead to the question mark only from the words on its left,
        because “old” is not written yet. After every word, GPT guesses the next
        one.""",
        400,
    )
    panels = [
        (
            "BERT fills a blank and sees the words on both sides",
            "hides about 15 of 100 words",
        ),
        (
            "GPT writes the next word and sees the words before it",
            "guesses after every word",
        ),
    ]
    questions = "Which word is hidden here?", "Which word comes next?"
    for i, (title, how_often) in enumerate(panels):
        top = 14 + 192 * i
        y = top + 112
        d.head(24, top + 18, title)
        d.text(696, top + 18, how_often, SMALL, "quiet", "end")
        middles = [52 + 88 * j + 44 for j in range(len(words))]
        for j, (word, middle) in enumerate(zip(words, middles, strict=True)):
            text, how = word, {}
            if j == hidden:
                text = ("[MASK]", "?")[i]
                how = {"line": "red", "thick": 3, "bold": True}
            elif i == 1 and j > hidden:
                how = {"dash": True, "ink": "quiet", "fill": "paper"}
            d.box(middle - 38, y, 76, 34, text, **how)
            if j == hidden or "dash" in how:
                continue
            to = middles[hidden] + (26 if j > hidden else 12 - 11 * j)
            high = (middle + to) / 2, y - 20 - 0.25 * abs(to - middle)
            way = (middle, y - 3), high, (to, y - 6)
            d.arrow(*way, line="blue", curve=True, thick=2)
        side = middles[hidden] + 38
        d.text(side, y + 52, questions[i], SMALL, "red-ink", "end")
    d.text(side + 12, y + 52, "not written yet", SMALL, "quiet", "start")
    d.line([(24, 208), (696, 208)], "frame", 1)
    return d


def text_to_rows() -> Drawing:
    """A text, its tokens, their ids, and the rows of the embedding table."""
    text, look = "The old lamp was lost.", "old"
    tokens = split_words(text)
    tokenizer = WordTokenizer.load(ROOT / "weights" / "vocabulary.json")
    ids = tokenizer.encode(tokens)
    file = load_file(ROOT / "weights" / "no_dropout.safetensors")
    table = file["embedding.token.weight"].float()[:, :4].tolist()
    size = len(tokenizer)
    marked = ids[tokens.index(look)]
    quoted = ", ".join(f"“{token}”" for token in tokens[:-1])
    d = Drawing(
        "From text to rows of numbers",
        f"""The text “{text}” is split into the tokens {quoted} and a full stop. Each
        token becomes an id, in this order: {", ".join(map(str, ids))}. The word “lamp”
        is not in the vocabulary, so it becomes [UNK], whose id is {UNK}. On the left is
        the embedding table, with one row of 256 numbers for each of {size:,} words. On
        the right is the text, with one row for each token. Its shape is
        (T, D) = ({len(ids)}, 256). An arrow leads from row {marked} of the table to the
        row of the token “{look}”. Both rows begin with the numbers
        {", ".join(number(v, 2) for v in table[marked])}.""",
        548,
    )

    def row(x, y, label, i, last):
        strong = {"fill": "blue", "alpha": 0.4} if i == marked else {}
        d.text(x - last, y + 12.5, label, SMALL, at="end")
        d.cells(x, y, [[number(v, 2) for v in table[i]]], 46, 25, **strong)
        d.text(x + 198, y + 12.5, "…", ink="quiet")

    d.text(110, 34, "text", at="end", bold=True)
    d.text(124, 34, f"“{text}”", 16, at="start")
    d.text(110, 94, "tokens", at="end", bold=True)
    d.text(110, 150, "ids", at="end", bold=True)
    for j, (token, i) in enumerate(zip(tokens, ids, strict=True)):
        x = 124 + 94 * j
        how = {"line": "red", "thick": 2} if i == UNK else {}
        how |= {"fill": "blue", "alpha": 0.4} if i == marked else {}
        d.box(x, 79, 82, 30, tokenizer.words[i], **how)
        d.arrow((x + 41, 111), (x + 41, 133))
        d.box(x, 135, 82, 30, f"{i}", mono=True, **how)
        if i == UNK:
            missing = f"“{token}” is not in the vocabulary"
            d.text(x, 64, missing, SMALL, "red-ink", "start")
    left, right, top = 150, 480, 242
    for x, what, shape in (
        (left, "the table: one row for each word", f"(V, D) = ({size}, 256)"),
        (right, "the text: one row for each token", f"(T, D) = ({len(ids)}, 256)"),
    ):
        d.text(x + 92, 200, what, bold=True)
        d.text(x + 92, 220, shape, SMALL, "quiet", mono=True)
    near = [0, 1, None, 15, 16, None, 390, 391, 392, None, size - 1]
    for k, i in enumerate(near):
        y = top + 25 * k
        if i is None:
            d.text(left + 92, y + 12.5, "⋮", ink="quiet")
            continue
        d.text(left - 8, y + 12.5, f"{i}", SMALL, "quiet", "end", mono=True)
        row(left, y, tokenizer.words[i], i, 50)
        if i == marked:
            start = left + 212, y + 12.5
    for k, i in enumerate(ids):
        row(right, top + 25 + 25 * k, tokenizer.words[i], i, 8)
        if i == marked:
            end = right - 36, top + 25 + 25 * k + 12.5
    way = start, (start[0] + 52, start[1]), (end[0] - 52, end[1]), end
    d.arrow(*way, line="blue-ink", curve=True, thick=2)
    return d


def merge_tree() -> Drawing:
    """Byte-pair merges of four words, as trees."""
    counts = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
    merges = learn_merges(counts, 7)
    pieces = [piece.decode("latin-1") for piece in token_bytes(merges)]
    words = {word: [FIRST_BYTE + b for b in word.encode()] for word in counts}
    steps = []
    for rank, both in enumerate(merges):
        times = sum(
            counts[word] * [*pairwise(ids)].count(both) for word, ids in words.items()
        )
        words = {w: merge(ids, both, FIRST_MERGE + rank) for w, ids in words.items()}
        steps.append((*(pieces[i] for i in both), times))
    said = ", ".join(f"“{a}” + “{b}” ({times} times)" for a, b, times in steps)
    left = " ".join(
        f"The word “{word}” is {' + '.join(f'“{pieces[i]}”' for i in ids)}."
        if len(ids) > 1
        else f"The word “{word}” is one piece."
        for word, ids in words.items()
    )
    d = Drawing(
        "Seven merges build words from letters",
        f"""A text contains “low” 5 times, “lower” 2 times, “newest” 6 times and
        “widest” 3 times. Seven times, the most frequent pair of neighbouring pieces is
        merged into one piece. The pairs are, in this order: {said}. Trees over the
        letters of each word show which pieces grow together. This is the result of the
        seven merges. {left}""",
        376,
    )
    d.head(24, 30, "Each step merges the most frequent pair")
    for i, (a, b, times) in enumerate(steps):
        x = 24 + 96.8 * i
        d.box(x, 50, 91, 64)
        d.text(x + 45.5, 62, f"{i + 1}", SMALL, "blue-ink", bold=True)
        d.text(x + 45.5, 82, f"{a} + {b}", SMALL, mono=True)
        d.text(x + 45.5, 102, f"{times} times", SMALL, "quiet")
    x, h, floor = 34, 28, 300
    for word, count in counts.items():
        ids = [FIRST_BYTE + b for b in word.encode()]
        middles = [x + 14 + 28 * i for i in range(len(ids))]
        spans = [(m, floor) for m in middles]
        both = middles[0] + middles[-1]
        d.text(both / 2, floor + 48, f"{word} × {count}", bold=True)
        for i, middle in zip(ids, middles, strict=True):
            d.box(middle - 12.5, floor, 25, h, pieces[i], mono=True)
        for rank, pair in enumerate(merges):
            while pair in pairwise(ids):
                i = [*pairwise(ids)].index(pair)
                (a, low), (b, other) = spans[i : i + 2]
                middle, y = (a + b) / 2, min(low, other) - 48
                fork = [(a, low), (a, y + 38), (b, y + 38), (b, other)]
                d.line(fork, "blue-ink")
                d.line([(middle, y + 38), (middle, y + h)], "blue-ink")
                piece = pieces[FIRST_MERGE + rank]
                wide = width_of(piece, mono=True) + 14
                where = middle - wide / 2, y, wide, h
                d.box(*where, fill="paper", line=None)
                d.box(*where, piece, "blue", alpha=0.35, mono=True)
                at = middle - wide / 2 - 5, y + h / 2
                d.text(*at, f"{rank + 1}", SMALL, "blue-ink", "end", bold=True)
                ids[i : i + 2] = [FIRST_MERGE + rank]
                spans[i : i + 2] = [(middle, y)]
        x = middles[-1] + 14 + 30
    return d
