"""Puts one HTML file together: models, words, engine and all that a reader touches.

The file asks for nothing else, so it works by double click, from a stick, on a phone,
and on any server of plain files.
"""

import base64
import html
import json
from dataclasses import asdict
from pathlib import Path
from string import Template

from explorer.page.packed_weights import pack_weights
from explorer.page.patterns import javascript_patterns
from explorer.page.wasm import kernel_wasm
from explorer.tokens import has_byte_pair_tokens, token_vocabulary_text
from helpers.text import split_words

HERE = Path(__file__).parent
LOOK = HERE.parent / "look.css"
SCRIPTS = "product", "engine", "worker", "view", "more"


def page_source(name: str) -> str:
    """A file beside this one."""
    return (HERE / name).read_text("utf-8")


def require_page_model(models: dict) -> None:
    """Raises ValueError for a model that the page's engine does not know."""
    for name, model in models.items():
        config = model.config
        if (config.positions, config.norm) != ("rotary", "pre"):
            raise ValueError(
                f"The page runs models with rotary positions and norms before each "
                f"layer; {name} has {config.positions!r} and {config.norm!r}."
            )
        if config.d_model // config.n_heads % 4 or config.d_ff % 4:
            raise ValueError(
                f"The page takes four numbers at a time; {name} has heads of "
                f"{config.d_model // config.n_heads} and d_ff {config.d_ff}."
            )


def page_sentences(sentences: list[dict], tokenizer, longest: int) -> list[dict]:
    """The sentences that a model can take, and whose hidden word it knows."""
    kept = []
    for sentence in sentences:
        words = split_words(sentence["text"])
        asked = words[sentence["position"]]
        if len(words) <= longest and (asked in tokenizer.ids or asked == "___"):
            kept.append(sentence)
    return kept


def page_vocabulary_explanation(tokenizer) -> str:
    """What a model can read, in a sentence that begins with “It”."""
    size = token_vocabulary_text(tokenizer)
    if has_byte_pair_tokens(tokenizer):
        return (
            f"It reads {size}, which are words and parts of words, so no word is "
            "unknown to it. It sees how many byte pairs a hidden word has; a blank has "
            "one."
        )
    return f"It knows {size}; any other word is “unknown” to it, whatever it is."


def page_explanation(models: dict, tokenizers: dict) -> str:
    """What a reader is looking at, the same in page and widget."""
    (name, model), *others = models.items()
    size = sum(weight.numel() for weight in model.parameters())
    told = f"{size / 1e6:.1f} million" if size > 1e5 else f"{size:,}"
    first = tokenizers[name]
    more = (
        f"<p>The model “{html.escape(other)}” reads in another way. "
        f"{page_vocabulary_explanation(tokenizers[other])}</p>"
        for other, _ in others
        if tokenizers[other] is not first
    )
    text = Template(page_source("about.html"))
    knows = page_vocabulary_explanation(first)
    return text.substitute(size=told, knows=knows) + "".join(more)


def page_html(
    models: dict, tokenizer, text: str, position=0, digits=1, about="", **start
) -> str:
    """The page of some models, alike in sizes and vocabulary, that begins with a text.

    `digits` characters carry each number of a matrix (packed_weights.py); `start` may
    choose model, layer and head, by what their buttons say to view.js. ValueError for a
    model that the engine cannot run.
    """
    require_page_model(models)
    described, weights = [], {}
    for i, (name, model) in enumerate(models.items()):
        table, packed = pack_weights(model, digits)
        config = asdict(model.config)
        described.append(dict(name=name, config=config, table=table, digits=digits))
        weights[name] = f'<script type="text/plain" id="weights-{i}">{packed}</script>'
    start = {"text": text, "position": position, "model": next(iter(models))} | start
    first = models[start["model"]]
    ordered = {start["model"]: first} | models  # the one that is shown comes first
    longest = first.config.max_length - 2
    given = {
        "models": described,
        "words": tokenizer.words,
        "patterns": [*javascript_patterns().values()],
        "kernel": base64.b64encode(kernel_wasm()).decode(),
        "start": start,
    }
    for name, sentences in json.loads(page_source("sentences.json")).items():
        given[name] = page_sentences(sentences, tokenizer, longest)
    return Template(page_source("page.html")).substitute(
        {name: page_source(f"{name}.js") for name in SCRIPTS},
        css=LOOK.read_text("utf-8") + page_source("page.css"),
        given=json.dumps(given).replace("<", "\\u003c"),  # which could end the script
        first=weights.pop(start["model"]),
        others="\n".join(weights.values()),
        several="" if len(models) > 1 else "hidden",
        explained=page_explanation(ordered, dict.fromkeys(models, tokenizer)),
        about=about or html.escape("Saved from mini-transformer."),
    )
