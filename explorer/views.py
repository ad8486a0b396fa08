"""What the explorer shows of one sentence: views as HTML, a picture, a page to keep.

Nothing here knows of widgets. Answers of the models are computed once and kept.
"""

import hashlib
from dataclasses import dataclass
from numbers import Integral

from explorer import markup
from explorer.heatmap import heatmap_view, sentence_heatmap
from explorer.knockout import without_heads, without_words
from explorer.page.build import page_html
from explorer.predict import (
    Prediction,
    chance_and_rank,
    ids_to_predict,
    predict_each,
)
from explorer.saving import file_slug
from explorer.vocabulary import special_ids, vocabulary_words
from helpers.figure import figure_png
from helpers.model import require_model_vocabulary


@dataclass(frozen=True)
class ViewChoice:
    """What a reader has chosen: a hidden word, a model, and what colours show.

    `layer` and `head` are those of `Prediction.attention`; `need` paints what the
    answer needed instead.
    """

    position: int
    model: str
    layer: int | str | None = None
    head: int | None = None
    need: bool = False


def require_view_arguments(models, tokenizer, places: dict) -> None:
    """Raises ValueError unless an explorer can show the models and the places.

    Models have names and are alike; each place is a text and a position.
    """
    if not (isinstance(models, dict) and all(isinstance(n, str) for n in models)):
        raise ValueError(
            f"models is {models!r:.20}…; give a dict from names, strings, to models."
        )
    for label, place in places.items():
        match place:
            case str(), Integral() | None:
                continue
        raise ValueError(
            f"{label} is {place!r}; give a text, and a whole number or None."
        )
    if not models:
        raise ValueError("There is no model to explore; give one, with its name.")
    for size in ("vocab_size", "max_length", "n_layers", "n_heads"):
        sizes = {name: getattr(model.config, size) for name, model in models.items()}
        if len({*sizes.values()}) > 1:
            told = ", ".join(f"{name}: {value}" for name, value in sizes.items())
            raise ValueError(
                f"The models differ in {size} ({told}); give each its own explorer."
            )
    require_model_vocabulary(next(iter(models.values())), tokenizer)


class Views:
    """One sentence in the eyes of one or more models of the same vocabulary.

    ValueError where the first model cannot take the sentence. `scope` is the class of
    the element that holds the word buttons.
    """

    def __init__(self, models: dict, tokenizer, text: str, scope: str):
        self.models, self.tokenizer, self.scope = models, tokenizer, scope
        self.text, self.answers = text, {}
        self.words = self.ask(predict_each, next(iter(models)))[0].words
        special = special_ids(tokenizer)
        self.unknown = [i == special.unk for i in ids_to_predict(tokenizer, self.words)]
        self.n_words = len(tokenizer) - len(special.silent)
        self.n_layers = next(iter(models.values())).config.n_layers

    def ask(self, question, model: str, position: int | None = None):
        """A model's answer, on the sentence or on one position of it."""
        key = question, model, position
        if key not in self.answers:
            about = self.text
            if position is not None:
                about = self.ask(predict_each, model)[position]
            self.answers[key] = question(self.models[model], self.tokenizer, about)
        return self.answers[key]

    def questions(self, choice: ViewChoice) -> list[tuple]:
        """What is shown after the prediction, and nobody has asked for yet."""
        kinds = without_words, without_heads
        asked = [(kind, choice.model, choice.position) for kind in kinds]
        asked += [(predict_each, model, None) for model in self.others(choice)]
        return [question for question in asked if question not in self.answers]

    def others(self, choice: ViewChoice) -> list[str]:
        """The models that are not chosen."""
        return [model for model in self.models if model != choice.model]

    def prediction(self, choice: ViewChoice, model: str | None = None) -> Prediction:
        """What the chosen model, or another one, says of the hidden word."""
        return self.ask(predict_each, model or choice.model)[choice.position]

    def colours(self, choice: ViewChoice) -> tuple[str, str]:
        """The style of the word buttons, and what their colours stand for.

        Attention is shown as long as it is not known what the answer needed.
        """
        told, buttons = self.prediction(choice), (self.scope, choice.position)
        share_S, change_S = told.attention(choice.layer, choice.head), None
        view = heatmap_view(choice.layer, choice.head, self.n_layers)
        vmax = float(share_S.max())
        scale = markup.attention_scale_html(view, vmax, len(share_S))
        about = without_words, choice.model, choice.position
        if choice.need and about in self.answers:
            change_W = self.ask(*about) - told.p_target
            furthest = max(float(change_W.abs().max()), 0.01)
            change_S = [0, *(change_W / furthest).tolist(), 0]
            scale = markup.need_scale_html(told.target, furthest)
        shares = (share_S / vmax).tolist()
        return markup.word_colours_css(*buttons, self.unknown, shares, change_S), scale

    def answer(self, choice: ViewChoice) -> str:
        """What the model says of the hidden word."""
        return markup.answer_html(self.prediction(choice), self.n_words)

    def other_answers(self, choice: ViewChoice) -> str:
        """What the other models say of it."""
        others = self.others(choice)
        answers = ((model, self.prediction(choice, model)) for model in others)
        return "".join(markup.other_answer_html(*answer) for answer in answers)

    def needs(self, choice: ViewChoice) -> tuple[str, str]:
        """Each other word and each head taken away: two tables, on one scale.

        It ends at a point at least, so that a change of nothing is not drawn as large.
        """
        told = self.prediction(choice)
        after_W, after_NH = (
            self.ask(kind, choice.model, choice.position)
            for kind in (without_words, without_heads)
        )
        changes = [after - told.p_target for after in (after_W, after_NH)]
        furthest = max(0.01, *(float(change.abs().max()) for change in changes))
        share_S = told.attention(choice.layer, choice.head)
        words = markup.words_table_html(told, share_S, after_W, furthest)
        return words, markup.heads_table_html(told, after_NH, furthest)

    def own(self, choice: ViewChoice, guess: str) -> str:
        """The reader's own guess with its probability and rank."""
        words = vocabulary_words(self.tokenizer, guess)
        if not words:
            return ""
        word_id = self.tokenizer.ids.get(words[0]) if len(words) == 1 else None
        if word_id is None:
            return markup.unknown_word_html(self.n_words)
        chance_V = self.prediction(choice).chance_V
        return markup.own_guess_html(words[0], *chance_and_rank(chance_V, word_id))

    def picture(self, choice: ViewChoice) -> bytes:
        """The view as PNG."""
        about = self.prediction(choice), choice.layer, choice.head
        note = choice.model if len(self.models) > 1 else ""
        return figure_png(sentence_heatmap(*about, note=note))

    def page(self, choice: ViewChoice) -> str:
        """One HTML file with the models and the sentence, as it is seen now."""
        layer, head = ("" if n is None else str(n) for n in (choice.layer, choice.head))
        start = {"model": choice.model, "layer": layer, "head": head}
        start["paint"] = "need" if choice.need else "attention"
        given = self.models, self.tokenizer, self.text, choice.position
        return page_html(*given, **start)

    def file_name(self, choice: ViewChoice) -> str:
        """A name for what is saved, without ending: safe, and of this view alone."""
        prediction = self.prediction(choice)
        unknown = "blank" if prediction.blank else "[UNK]"
        true, pred = file_slug(prediction.true or unknown), file_slug(prediction.pred)
        state = repr((self.text, choice)).encode()
        digest = hashlib.sha256(state).hexdigest()[:8]
        return f"explorer_pos{choice.position}_true-{true}_pred-{pred}_{digest}"
