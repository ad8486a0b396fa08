"""What the explorer shows of one sentence: views as HTML, a picture, a page to keep.

Nothing here knows of widgets. Answers of the models are computed once and kept.
"""

import hashlib
import html
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from explorer import card
from explorer.heatmap import sentence_heatmap, view_name
from explorer.knockout import without_heads, without_words
from explorer.page.build import page_html
from explorer.predict import (
    Prediction,
    chance_and_rank,
    mask_each,
    require_same_words,
    to_ids,
)
from explorer.vocabulary import special_ids, split
from helpers.figure import png

HERE = Path(__file__).parent
CSS = (HERE / "look.css").read_text("utf-8")


def slug(token: str) -> str:
    """ASCII letters and digits stay, any other character becomes uXXXX; 24 at most."""
    token = token.strip("<>[]") or token
    safe = (c if c.isascii() and c.isalnum() else f"u{ord(c):04x}" for c in token)
    return "".join(safe)[:24]


@dataclass(frozen=True)
class Choice:
    """What a reader has chosen: a word, models, and which attention.

    `layer` and `head` are those of `Prediction.attention`; rollout leaves the head out.
    """

    position: int
    models: tuple[str, ...]
    layer: int | str | None = -1
    head: int | None = None

    @property
    def attention(self) -> tuple:
        """Layer and head to ask for."""
        return self.layer, None if self.layer == "rollout" else self.head


def require_alike(models: dict, tokenizer) -> None:
    """Raises ValueError for models that cannot stand in one explorer."""
    if not models:
        raise ValueError("There is no model to explore; give one, with its name.")
    for size in ("vocab_size", "max_length", "n_layers", "n_heads"):
        sizes = {name: getattr(model.config, size) for name, model in models.items()}
        if len({*sizes.values()}) > 1:
            told = ", ".join(f"{name}: {value}" for name, value in sizes.items())
            raise ValueError(
                f"The models differ in {size} ({told}); give each its own explorer."
            )
    require_same_words(next(iter(models.values())), tokenizer)


class Views:
    """One sentence in the eyes of one or more models of the same vocabulary.

    ValueError where the first model cannot take the sentence. `scope` is the class of
    the element that holds the word buttons.
    """

    def __init__(self, models: dict, tokenizer, text: str, scope: str):
        self.models, self.tokenizer, self.scope = models, tokenizer, scope
        self.text, self.answers = text, {}
        self.words = self.ask(mask_each, next(iter(models)))[0].words
        special = special_ids(tokenizer)
        self.unknown = [i == special.unk for i in to_ids(tokenizer, self.words)]
        self.n_words = len(tokenizer) - len(special.silent)
        self.n_layers = next(iter(models.values())).config.n_layers

    def ask(self, question, model: str, position: int | None = None):
        """A model's answer, on the sentence or on one position of it."""
        key = question, model, position
        if key not in self.answers:
            about = self.text
            if position is not None:
                about = self.ask(mask_each, model)[position]
            self.answers[key] = question(self.models[model], self.tokenizer, about)
        return self.answers[key]

    def questions(self, choice: Choice) -> list[tuple]:
        """What the knock-outs will ask and nobody has asked yet."""
        kinds = without_words, without_heads
        asked = [(kind, m, choice.position) for m in choice.models for kind in kinds]
        return [question for question in asked if question not in self.answers]

    def predictions(self, choice: Choice) -> list[Prediction]:
        """What each chosen model says of the masked word."""
        return [self.ask(mask_each, m)[choice.position] for m in choice.models]

    def shares(self, choice: Choice) -> tuple[list, float]:
        """Attention of each model, and the largest share: the scale of all."""
        shares = [p.attention(*choice.attention) for p in self.predictions(choice)]
        return shares, max(float(share_S.max()) for share_S in shares)

    def side_by_side(self, choice: Choice, parts: list[str]) -> str:
        """One part a model, each under the model's name if there are several."""
        titles = [f"<h4>{html.escape(model)}</h4>" for model in choice.models]
        titles = titles if len(titles) > 1 else [""]
        sections = map("<section>{}{}</section>".format, titles, parts)
        return f'<div class="mt-cards">{"".join(sections)}</div>'

    def seen(self, choice: Choice) -> dict[str, str]:
        """Style of the buttons, scale and card of one view."""
        shares, vmax = self.shares(choice)
        view = view_name(*choice.attention, self.n_layers)
        parts, several = [], len(shares) > 1
        for prediction, share_S in zip(self.predictions(choice), shares, strict=True):
            part = card.card_html(prediction, share_S, view, self.n_words)
            if several:
                blue_S = (card.STRONGEST * share_S / vmax).tolist()
                part = card.strip_html(prediction, self.unknown, blue_S) + part
            parts.append(part)
        # Of several models each paints its own sentence, and the buttons stay plain.
        blue_S = ((0 if several else card.STRONGEST) * shares[0] / vmax).tolist()
        position, length = choice.position, len(blue_S)
        return {
            "style": card.words_css(self.scope, position, self.unknown, blue_S),
            "scale": card.scale_html(vmax, length, self.unknown),
            "card": self.side_by_side(choice, parts),
        }

    def knocked_out(self, question, choice: Choice) -> tuple[list, float]:
        """Probabilities after knock-outs, and the largest change of all models.

        A point at least, so that a change of nothing is not drawn as the largest.
        """
        after = [self.ask(question, model, choice.position) for model in choice.models]
        changes = zip(after, self.predictions(choice), strict=True)
        furthest = max(float((p - told.p_target).abs().max()) for p, told in changes)
        return after, max(furthest, 0.01)

    def words_knocked(self, choice: Choice) -> str:
        """Each other word taken away, beside the attention that it gets."""
        shares, vmax = self.shares(choice)
        after, furthest = self.knocked_out(without_words, choice)
        told = zip(self.predictions(choice), shares, after, strict=True)
        parts = [card.words_html(*one, self.unknown, vmax, furthest) for one in told]
        return self.side_by_side(choice, parts)

    def heads_knocked(self, choice: Choice) -> str:
        """Each head switched off; the same for every layer and head chosen."""
        after, furthest = self.knocked_out(without_heads, choice)
        told = zip(self.predictions(choice), after, strict=True)
        parts = [card.heads_html(*one, furthest) for one in told]
        return self.side_by_side(choice, parts)

    def own(self, choice: Choice, guess: str) -> str:
        """The reader's own guess with its probability and rank."""
        words = split(self.tokenizer, guess)
        if not words:
            return ""
        word_id = self.tokenizer.ids.get(words[0]) if len(words) == 1 else None
        if word_id is None:
            return card.unknown_html(" ".join(words), self.n_words)
        scores = [
            chance_and_rank(p.chance_V, word_id) for p in self.predictions(choice)
        ]
        parts = [card.own_html(words[0], *score, self.n_words) for score in scores]
        return self.side_by_side(choice, parts)

    def heatmaps(self, choice: Choice) -> list:
        """The view as figures, one a model, on one scale."""
        vmax, several = self.shares(choice)[1], len(choice.models) > 1
        given = *choice.attention, vmax
        return [
            sentence_heatmap(prediction, *given, model if several else "")
            for model, prediction in zip(
                choice.models, self.predictions(choice), strict=True
            )
        ]

    def picture(self, choice: Choice) -> bytes:
        """The view as PNG, one heatmap below the other."""
        parts = [Image.open(io.BytesIO(png(f))) for f in self.heatmaps(choice)]
        whole = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)))
        top = 0
        for part in parts:
            whole.paste(part, (0, top))
            top += part.height
        buffer = io.BytesIO()
        whole.save(buffer, "png")
        return buffer.getvalue()

    def page(self, choice: Choice) -> str:
        """One HTML file with the models and the sentence, as it is seen now."""
        layer, head = choice.attention
        if isinstance(layer, int):
            layer = str(layer % self.n_layers)
        start = {"model": choice.models[0], "layer": layer or ""}
        start |= {"head": "" if head is None else str(head)}
        given = self.models, self.tokenizer, self.text, choice.position
        return page_html(*given, **start)

    def file_name(self, choice: Choice) -> str:
        """A name for what is saved, without ending: safe, and of this view alone."""
        prediction = self.predictions(choice)[0]
        unknown = "blank" if prediction.blank else "[UNK]"
        true, pred = slug(prediction.true or unknown), slug(prediction.pred)
        state = repr((self.text, choice)).encode()
        digest = hashlib.sha256(state).hexdigest()[:8]
        return f"explorer_pos{choice.position}_true-{true}_pred-{pred}_{digest}"
