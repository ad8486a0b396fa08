"""A tiny explorer, driven through its traits as a page would drive it, and read."""

import re
from html.parser import HTMLParser

import pytest
import torch
from tiny import knowing, tiny_model

from explorer import Explorer

TEXT = "the cat and the dog saw the $5 – ship ."
SECOND = "a dog saw the cat and the cat saw $ 5 – a dog and the cat ."
TOKENIZER = knowing("the cat and dog saw $ 5 – . a < > img".split())


# Whoever changes a model takes copies.
MODELS = {
    "with": tiny_model(len(TOKENIZER), 0),
    "without": tiny_model(len(TOKENIZER), 1),
}


class Page(HTMLParser):
    """The elements and the visible text of a piece of HTML, or of a widget."""

    def __init__(self, part):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(getattr(part, "value", part))

    def handle_starttag(self, tag, attrs):
        self.elements.append({"tag": tag, **dict(attrs)})

    def handle_data(self, data):
        self.text += data

    def find(self, name: str) -> list[dict]:
        """The elements of a class or tag, or with an attribute of this name."""
        names = ([e["tag"], *e.get("class", "").split(), *e] for e in self.elements)
        return [e for e, own in zip(self.elements, names, strict=True) if name in own]

    def numbers(self, name: str, attribute: str = "data-p") -> list[float]:
        """The exact numbers of some elements."""
        return [float(element[attribute]) for element in self.find(name)]


def near(numbers, apart: float = 1e-6):
    """Numbers, of a tensor also, that others are to equal but for rounding."""
    return pytest.approx(torch.as_tensor(numbers).flatten().tolist(), abs=apart)


def pressed(row) -> list[int]:
    """The buttons that show that they are pressed, to the eye and in words."""
    seen = [i for i, b in enumerate(row.buttons) if "mod-active" in b._dom_classes]
    told = [i for i, b in enumerate(row.buttons) if b.tooltip.endswith(row.pressed)]
    assert seen == told
    return seen


class Explored(Explorer):
    """An explorer of MODELS, unless other ones are given, that can be read."""

    def __init__(self, text: str = TEXT, models=MODELS, tokenizer=TOKENIZER, **others):
        super().__init__(models, tokenizer, text, **others)

    def said(self) -> str:
        """The answer in words."""
        return Page(self.card).text

    def marked(self, sign: str) -> list[int]:
        """The positions of the words whose style has a sign."""
        rules = re.findall(r"nth-child\((\d+)\) \{(.*?)\}", self.style.value)
        return [int(i) - 1 for i, rule in rules if sign in rule]

    def refused(self) -> str:
        """The sentence that stands in place of a result, of which nothing is left."""
        assert 'role="alert"' in self.card.value
        parts = self.style, self.scale, self.own, self.other, self.needed, self.heads
        assert [part.value for part in (*parts, self.change.told)] == [""] * 7
        return self.said()

    def calls(self, name: str = "with", error: BaseException | None = None) -> list:
        """Collects the calls of one of its models, and has them raise errors."""
        calls = []

        def hook(*_):
            calls.append(1)
            if error:
                raise error

        self.models[name].register_forward_hook(hook)
        return calls

    def parts(self, part=None):
        """All widgets that it consists of."""
        part = part or self.box
        yield part
        for child in getattr(part, "children", ()):
            yield from self.parts(child)
