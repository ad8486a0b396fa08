"""The explorer, driven through its traits as a page would drive it."""

import json
import re
from html.parser import HTMLParser

import ipywidgets as widgets
import pytest
import torch

from helpers import figure, predict, widget
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.predict import fill_mask
from helpers.sentence import percent
from helpers.tokenizer import SPECIALS, WordTokenizer
from helpers.widget import Explorer

TEXT = "the cat and the dog saw the $5 – ship ."
SIZES = {"n_layers": 2, "n_heads": 2, "d_model": 16, "d_ff": 16}


def build(seed: int, vocab_size: int) -> MaskedLanguageModel:
    torch.manual_seed(seed)
    model = MaskedLanguageModel(ModelConfig(vocab_size=vocab_size, **SIZES)).eval()
    for weight in model.parameters():
        weight.data *= 8  # far from even, so that mistakes show
    return model


@pytest.fixture(scope="module")
def tokenizer():
    return WordTokenizer([*SPECIALS, *"the cat and dog saw $ 5 – . a < > img".split()])


@pytest.fixture
def models(tokenizer):
    return {"with": build(0, len(tokenizer)), "without": build(1, len(tokenizer))}


@pytest.fixture
def explorer(models, tokenizer):
    return Explorer(models, tokenizer, TEXT)


class Page(HTMLParser):
    """The tags and the visible text of a piece of HTML."""

    def __init__(self, source: str):
        super().__init__()
        self.tags, self.text = set(), ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += data


def said(explorer) -> str:
    return Page(explorer.card.value).text


def alphas(explorer) -> list[float]:
    """The strength of blue of each word button."""
    rules = re.findall(r"nth-child\(\d+\) \{(.*?)\}", explorer.style.value)
    return [float(re.search(r"195, ([\d.]+)\)", rule)[1]) for rule in rules]


def ringed(explorer) -> list[int]:
    """The positions of the words with a red ring."""
    rules = re.findall(r"nth-child\((\d+)\) \{(.*?)\}", explorer.style.value)
    return [int(i) - 1 for i, rule in rules if "#c8102e" in rule]


def refused(explorer) -> str:
    """The sentence that the explorer shows in place of a result."""
    assert "role='alert'" in explorer.card.value
    return said(explorer)


def test_a_click_shows_what_a_fresh_forward_pass_says(explorer, models, tokenizer):
    for position in (3, 7, 0):
        explorer.words.index = position
        fresh = fill_mask(models["with"], tokenizer, TEXT, position)
        text = said(explorer)
        assert f"PRED: {fresh.pred}, {percent(fresh.p_pred)}." in text
        assert f"{percent(fresh.p_true)}, rank {fresh.rank_true}." in text
        for word, p in fresh.top:
            assert f"{word}{percent(p)}" in text
        share_S = fresh.attention()
        expected = (0.8 * share_S / share_S.max())[1:-1].tolist()
        assert alphas(explorer) == pytest.approx(expected, abs=1e-3)


def test_of_equal_words_only_the_clicked_one_is_masked(explorer):
    labels = explorer.words.options
    assert len(set(labels)) == len(labels) == 12
    assert [label.strip("\u200b") for label in labels] == predict.split_words(TEXT)
    for position in (6, 3, 0):
        explorer.words.index = position
        assert explorer.predictions[explorer.words.index].position == position
        assert ringed(explorer) == [position]


def test_layer_and_head_are_those_that_the_card_names(explorer):
    explorer.words.index = 4
    chosen = explorer.predictions[4]
    for layer, head, name in (
        ("mean of all", "mean of all", "mean of all layers, mean of all heads"),
        ("layer 1", "mean of all", "layer 1, mean of all heads"),
        ("layer 2", "head 1", "layer 2, head 1"),
        ("mean of all", "head 2", "mean of all layers, head 2"),
    ):
        explorer.layer.value, explorer.head.value = layer, head
        number = None if layer == "mean of all" else int(layer[-1]) - 1
        share_S = chosen.attention(
            number, None if "mean" in head else int(head[-1]) - 1
        )
        assert f"Attention of the masked word, {name}:" in said(explorer)
        assert f"{percent(float(share_S.max()))}; uniform would be" in said(explorer)
        expected = (0.8 * share_S / share_S.max())[1:-1].tolist()
        assert alphas(explorer) == pytest.approx(expected, abs=1e-3)
        # A blank choice is what a reader sees where a value is None.
        assert explorer.layer.label == layer and explorer.head.label == head


def test_the_shares_add_up_for_the_reader(explorer):
    found = re.search(
        r"([\d.]+) % on the words .*? ([\d.]+) % on \[CLS\], ([\d.]+) % on \[SEP\]",
        said(explorer),
    )
    assert sum(map(float, found.groups())) == pytest.approx(100, abs=0.16)
    assert "uniform would be 7.1 %" in said(explorer)


def test_a_click_or_choice_leaves_the_buttons_alone(explorer):
    changed = []
    explorer.words.observe(lambda change: changed.append(change.name))
    explorer.words.index = 5
    explorer.layer.index, explorer.head.index = 0, 2
    explorer.model.value = "without"
    assert {*changed} <= {"index", "value", "label"}


def test_a_sentence_is_computed_once(explorer, models, monkeypatch):
    calls = []
    for model in models.values():
        model.register_forward_hook(lambda *_: calls.append(1))
    for position in range(12):
        explorer.words.index = position
    assert calls == []
    explorer.text.value = "a cat ."
    explorer.text.value = TEXT
    assert len(calls) == 1


def test_the_other_model_answers_for_the_same_word(explorer, models, tokenizer):
    explorer.words.index = 3
    explorer.model.value = "without"
    fresh = fill_mask(models["without"], tokenizer, TEXT, 3)
    assert explorer.words.index == 3
    assert f"PRED: {fresh.pred}, {percent(fresh.p_pred)}." in said(explorer)


def test_a_new_sentence_starts_at_its_first_word(explorer):
    explorer.words.index = 11
    explorer.text.value = "a dog saw the cat"
    assert explorer.words.index == 0
    assert len(explorer.predictions) == len(explorer.words.options) == 5
    assert ringed(explorer) == [0]


def test_a_word_outside_the_vocabulary_is_marked_and_cannot_be_right(explorer):
    explorer.words.index = 10
    assert "“ship” is outside the vocabulary" in said(explorer)
    assert "rank" not in said(explorer)
    rules = re.findall(r"nth-child\((\d+)\) \{(.*?)\}", explorer.style.value)
    dotted = [int(i) - 1 for i, rule in rules if "dotted" in rule]
    assert dotted == [10]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "There is no word in the text"),
        (" \n\t ", "There is no word in the text"),
        ("word " * 63, "63 words; the model takes at most 62"),
        ("word " * 10_000, "10000 words; the model takes at most 62"),
    ],
)
def test_bad_input_gets_one_clear_sentence(explorer, models, tokenizer, text, sentence):
    explorer.text.value = text
    assert sentence in refused(explorer)
    explorer.text.value = "the cat saw"  # and the explorer goes on
    assert "PRED" in said(explorer)
    assert sentence in refused(Explorer(models, tokenizer, text))


@pytest.mark.parametrize(
    "text",
    ["zzz", "😀 東京 שלום", "\0", "\ud800", "a\u202eb", "<unk>", "[MASK]", "x" * 9_999]
    + ["<img src=x onerror=alert(1)>", "</style><script>", "' onclick='x", "the " * 62],
)
def test_odd_input_gets_a_result_that_can_be_sent(models, tokenizer, text):
    explorer = Explorer(models, tokenizer, text)
    for position in range(len(explorer.words.options)):
        explorer.words.index = position
        assert "PRED" in said(explorer)
        assert Page(explorer.card.value).tags <= set(
            "div b br table tr td span".split()
        )
        assert Page(explorer.style.value).tags == {"style"}
        assert explorer.style.value.count("<") == 2
    for part in (explorer.text, explorer.words, explorer.style, explorer.card):
        json.dumps(part.get_state(), ensure_ascii=False, default=str).encode()
    for label in explorer.words.options:
        assert len(label) < 100
        assert label.strip("\u200b").isprintable()
    assert said(explorer).isprintable()


def test_an_error_is_shown_and_not_swallowed(explorer, monkeypatch):
    def fail(*_):
        raise RuntimeError("no <b>memory</b> left")

    monkeypatch.setattr(widget, "mask_each", fail)
    explorer.text.value = "the cat"
    assert refused(explorer) == "⚠ no <b>memory</b> left"


def luminance(rgb) -> float:
    """Relative luminance, WCAG 2.1."""
    linear = [
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
        for c in (channel / 255 for channel in rgb)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_words_stay_readable_on_the_strongest_blue(explorer):
    strongest = max(alphas(explorer))
    assert strongest <= 0.8
    blue = map(int, widget.BLUE.split(","))
    painted = [255 + 0.8 * (channel - 255) for channel in blue]
    contrast = (luminance(painted) + 0.05) / (luminance([17] * 3) + 0.05)
    assert contrast >= 4.5
    # Own colours of text and ground, so that a dark page changes neither.
    for source in (explorer.style.value, explorer.card.value):
        assert re.search(r"color: ?#111", source)
        assert re.search(r"background: ?#fff", source)


def test_only_stock_widgets_that_both_versions_have(explorer):
    def below(part):
        yield part
        for child in getattr(part, "children", ()):
            yield from below(child)

    kinds = {type(part) for part in below(explorer.box)}
    allowed = ("VBox", "HBox", "Text", "HTML", "ToggleButtons", "Dropdown")
    assert kinds <= {getattr(widgets, name) for name in allowed}
    assert explorer.text.continuous_update is False


def displayed(explorer, monkeypatch) -> list:
    sent = []
    for module in (figure, widget):
        monkeypatch.setattr(module, "display", lambda *a, **k: sent.append((a, k)))
    explorer._ipython_display_()
    return sent


def test_one_output_holds_the_widget_a_picture_and_a_text(
    models, tokenizer, monkeypatch
):
    explorer = Explorer(models, tokenizer, TEXT, position=4)
    ((bundle,), options) = displayed(explorer, monkeypatch)[0]
    view = bundle["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == explorer.box.model_id
    assert bundle["image/png"].startswith("iVBOR")
    assert "[CLS] the cat and the [MASK] saw" in bundle["text/plain"]
    assert options["metadata"]["image/png"]["alt"] == bundle["text/plain"]


def test_a_refused_first_sentence_is_displayed_too(models, tokenizer, monkeypatch):
    sent = displayed(Explorer(models, tokenizer, ""), monkeypatch)
    assert "application/vnd.jupyter.widget-view+json" in sent[0][0][0]


def test_a_single_model_needs_no_choice(models, tokenizer):
    explorer = Explorer({"with": models["with"]}, tokenizer, TEXT)
    row = explorer.box.children[4]
    assert row.children == (explorer.layer, explorer.head)
