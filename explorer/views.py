"""What the explorer shows of one sentence: views as HTML, a picture, a page to keep.

Nothing here knows of widgets. Answers of the models are computed once and kept.
"""

import hashlib
from dataclasses import dataclass
from numbers import Integral

from explorer import markup
from explorer.heatmap import heatmap_caption, heatmap_view, sentence_heatmap
from explorer.knockout import without_heads, without_words
from explorer.page.build import page_html
from explorer.predict import (
    Prediction,
    predict_each,
    predicted_chance,
    predicted_guess_chance,
    prediction_words,
)
from explorer.saving import file_slug
from explorer.tables import heads_table_html, words_table_html
from explorer.tokens import (
    has_byte_pair_tokens,
    special_tokens,
    split_for_tokens,
    token_key,
    token_vocabulary_text,
    word_tokens,
)
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


def require_view_arguments(models, tokenizer, places: dict) -> dict:
    """Each model's tokenizer; ValueError unless an explorer can show all of this.

    Models have names. The tokenizer is one for all, or a dict with one for each. Each
    place is a text and a position.
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
    several = isinstance(tokenizer, dict)
    tokenizers = tokenizer if several else dict.fromkeys(models, tokenizer)
    if models.keys() != tokenizers.keys():
        given = ", ".join(map(str, tokenizers)) or "no model"
        told = f"There are tokenizers for {given}; give one for each of "
        raise ValueError(f"{told}{', '.join(models)}.")
    different = {token_key(t): t for t in tokenizers.values()}  # equal ones once
    if len(different) > 1 and any(hasattr(t, "split") for t in different.values()):
        raise ValueError(
            "The tokenizers split a text into different words; give each model its own "
            "explorer."
        )
    for size in ("max_length", "n_layers", "n_heads"):
        sizes = {name: getattr(model.config, size) for name, model in models.items()}
        if len({*sizes.values()}) > 1:
            told = ", ".join(f"{name}: {value}" for name, value in sizes.items())
            raise ValueError(
                f"The models differ in {size} ({told}); give each its own explorer."
            )
    for name, model in models.items():
        require_model_vocabulary(model, tokenizers[name])
    return {name: different[token_key(t)] for name, t in tokenizers.items()}


class Views:
    """One sentence in the eyes of one or more models.

    `tokenizers` has that of each model. ValueError where a model cannot take the
    sentence. `scope` is the class of the element that holds the word buttons.
    """

    def __init__(self, models: dict, tokenizers: dict, text: str, scope: str):
        self.models, self.tokenizers, self.scope = models, tokenizers, scope
        self.text, self.answers = text, {}
        for name, model in models.items():
            self.words = prediction_words(model, tokenizers[name], text)
        self.ask(predict_each, next(iter(models)))
        self.n_layers = next(iter(models.values())).config.n_layers

    def unknown(self, model: str) -> list[bool]:
        """Which words are outside a model's vocabulary."""
        tokenizer = self.tokenizers[model]
        unk = special_tokens(tokenizer).unk
        return [unk in ids for ids in word_tokens(tokenizer, self.words)]

    def ask(self, question, model: str, position: int | None = None):
        """A model's answer, on the sentence or on one position of it."""
        key = question, model, position
        if key not in self.answers:
            about = self.text
            if position is not None:
                about = self.ask(predict_each, model)[position]
            given = self.models[model], self.tokenizers[model], about
            self.answers[key] = question(*given)
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
        lengths = told.n_tokens, len(share_S)
        scale = markup.attention_scale_markup(view, vmax, *lengths)
        about = without_words, choice.model, choice.position
        if choice.need and about in self.answers:
            change_W = self.ask(*about) - told.p_target
            furthest = max(float(change_W.abs().max()), 0.01)
            change_S = [0, *(change_W / furthest).tolist(), 0]
            scale = markup.need_scale_markup(told.target, furthest)
        shares = (share_S / vmax).tolist()
        painted = self.unknown(choice.model), shares, change_S
        return markup.markup_colours_css(*buttons, *painted), scale

    def answer(self, choice: ViewChoice) -> str:
        """What the model says of the hidden word."""
        size = token_vocabulary_text(self.tokenizers[choice.model])
        return markup.answer_markup(self.prediction(choice), size)

    def other_answers(self, choice: ViewChoice) -> str:
        """What the other models say of it."""
        others = self.others(choice)
        answers = ((model, self.prediction(choice, model)) for model in others)
        return "".join(markup.other_answer_markup(*answer) for answer in answers)

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
        words = words_table_html(told, share_S, after_W, furthest)
        return words, heads_table_html(told, after_NH, furthest)

    def own(self, choice: ViewChoice, guess: str) -> str:
        """The reader's own guess with its probability and rank."""
        model, tokenizer = self.models[choice.model], self.tokenizers[choice.model]
        words, prediction = split_for_tokens(tokenizer, guess), self.prediction(choice)
        if not words:
            return ""
        if len(words) > 1 and has_byte_pair_tokens(tokenizer):
            return markup.refused_guess_markup("Type one word.")
        try:
            asked = model, tokenizer, prediction, words[0]
            known = predicted_guess_chance(*asked) if len(words) == 1 else None
        except ValueError as error:
            return markup.refused_guess_markup(str(error))
        if known is None:
            size = token_vocabulary_text(tokenizer)
            told = f"That is not one of the {size} that the model knows."
            return markup.refused_guess_markup(told)
        return markup.own_guess_markup(words[0], *known)

    def chance(self, choice: ViewChoice, answer: Prediction, ids: list[int]) -> float:
        """What the chosen model, which gave an answer, gives to another word there."""
        asked = self.models[choice.model], self.tokenizers[choice.model], answer
        return predicted_chance(*asked, ids)

    def picture(self, choice: ViewChoice) -> bytes:
        """The view as PNG."""
        about = self.prediction(choice), choice.layer, choice.head
        note = choice.model if len(self.models) > 1 else ""
        return figure_png(sentence_heatmap(*about, note=note))

    def picture_text(self, choice: ViewChoice) -> str:
        """The view in words, for those who do not see the picture."""
        prediction = self.prediction(choice)
        sentence = " ".join(map(markup.markup_text, prediction.tokens))
        return f"The explorer: {sentence}. {heatmap_caption(prediction)}"

    def page(self, choice: ViewChoice) -> str:
        """One HTML file with the models and the sentence, as it is seen now.

        The page reads words. ValueError for a model that reads byte pairs.
        """
        tokenizer = self.tokenizers[choice.model]
        if has_byte_pair_tokens(tokenizer):
            raise ValueError(
                "A saved page holds models that read words; this one reads byte pairs."
            )
        alike = (n for n, own in self.tokenizers.items() if own is tokenizer)
        layer, head = ("" if n is None else str(n) for n in (choice.layer, choice.head))
        start = {"model": choice.model, "layer": layer, "head": head}
        start["paint"] = "need" if choice.need else "attention"
        models = {name: self.models[name] for name in alike}
        return page_html(models, tokenizer, self.text, choice.position, **start)

    def file_name(self, choice: ViewChoice) -> str:
        """A name for what is saved, without ending: safe, and of this view alone."""
        prediction = self.prediction(choice)
        unknown = "blank" if prediction.blank else "[UNK]"
        true, pred = file_slug(prediction.true or unknown), file_slug(prediction.pred)
        state = repr((self.text, choice)).encode()
        digest = hashlib.sha256(state).hexdigest()[:8]
        return f"explorer_pos{choice.position}_true-{true}_pred-{pred}_{digest}"
