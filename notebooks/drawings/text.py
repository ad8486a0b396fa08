"""Drawings of text: from a text to ids and rows, packed rows, merges."""

from itertools import pairwise

from safetensors.torch import load_file

from helpers import ROOT
from helpers.bpe import FIRST_BYTE, FIRST_MERGE, learn_merges, merge, token_bytes
from helpers.data import pack, pad
from helpers.tokenizer import CLS, PAD, SEP, SPECIALS, UNK, WordTokenizer, split_words
from notebooks.drawings.svg import SMALL, Drawing, svg_number, svg_text_width

COLOURS = ["blue", "orange", "green", "violet"]


def text_to_rows_drawing() -> Drawing:
    """A text, its tokens, their ids, and the rows of the embedding table."""
    text, look = "The old lamp was lost.", "old"
    tokens = split_words(text)
    tokenizer = WordTokenizer.load(ROOT / "weights" / "vocabulary.json")
    ids = tokenizer.encode(tokens)
    file = load_file(ROOT / "weights" / "dropout.safetensors")
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
        {", ".join(svg_number(v, 2) for v in table[marked])}.""",
        548,
    )

    def row(x, y, label, i, last):
        strong = {"fill": "blue", "alpha": 0.4} if i == marked else {}
        d.text(x - last, y + 12.5, label, SMALL, at="end")
        d.cells(x, y, [[svg_number(v, 2) for v in table[i]]], 46, 25, **strong)
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


def packing_drawing() -> Drawing:
    """The same sentences padded, one a row, and packed without gaps."""
    lengths, width, side = [5, 3, 11, 4, 14, 6, 3, 6], 16, 26
    lines = [[len(SPECIALS) + i] * n for i, n in enumerate(lengths)]
    padded, packed = pad(lines, width), pack(lines, width)
    shares = [
        f"{100 * (rows != PAD).float().mean():.0f} %" for rows in (padded, packed)
    ]
    d = Drawing(
        "Eight sentences, padded and packed",
        f"""Eight sentences in rows of {width} places, each sentence in a colour of its
        own. The upper part shows padding: each sentence has a row, with [CLS] before
        it, [SEP] behind it and empty [PAD] places up to the end. Of the
        {padded.numel()} places, {shares[0]} hold a token. The lower part shows packing:
        the sentences follow one another, and each ends with [SEP]. This stream is cut
        into rows that begin with [CLS]. The same sentences fill {len(packed)} rows, and
        {shares[1]} of the places hold a token.""",
        468,
    )
    texts = [
        ("Padding: a row for each sentence", padded, shares[0]),
        ("Packing: one stream, cut into rows", packed, shares[1]),
    ]
    top = 28
    for title, rows, share in texts:
        d.head(24, top, title)
        for i, row in enumerate(rows.tolist()):
            for j, token in enumerate(row):
                how = {"fill": "paper", "dash": True}
                if token in (CLS, SEP):
                    how = {"text": "CS"[token == SEP], "fill": "plain", "size": SMALL}
                elif token != PAD:
                    colour = COLOURS[(token - len(SPECIALS)) % 4]
                    how = {"fill": colour, "alpha": 0.5}
                where = 24 + side * j, top + 18 + 25 * i, side, 22
                d.box(*where, **({"radius": 0} | how))
        middle = top + 18 + 12.5 * len(rows)
        d.text(468, middle - 16, share, 24, at="start", bold=True)
        d.text(468, middle + 14, f"of {rows.numel()} places", at="start")
        d.text(468, middle + 34, "hold a token", at="start")
        top += 25 * len(rows) + 48
    d.box(24, top - 8, side, 22, "C", "plain", size=SMALL, radius=0)
    d.text(58, top + 3, "[CLS] begins a row", SMALL, at="start")
    d.box(200, top - 8, side, 22, "S", "plain", size=SMALL, radius=0)
    d.text(234, top + 3, "[SEP] ends a sentence", SMALL, at="start")
    d.box(396, top - 8, side, 22, "", "paper", dash=True, radius=0)
    d.text(430, top + 3, "[PAD] teaches nothing", SMALL, at="start")
    return d


def merge_tree_drawing() -> Drawing:
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
                wide = svg_text_width(piece, mono=True) + 14
                where = middle - wide / 2, y, wide, h
                d.box(*where, fill="paper", line=None)
                d.box(*where, piece, "blue", alpha=0.35, mono=True)
                at = middle - wide / 2 - 5, y + h / 2
                d.text(*at, f"{rank + 1}", SMALL, "blue-ink", "end", bold=True)
                ids[i : i + 2] = [FIRST_MERGE + rank]
                spans[i : i + 2] = [(middle, y)]
        x = middles[-1] + 14 + 30
    return d
