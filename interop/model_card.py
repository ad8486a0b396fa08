"""The model card: README.md of an exported folder."""

from helpers.bpe import BPETokenizer
from interop.weight_names import BERT, weight_names

REPOSITORY = "https://github.com/OWNER/mini-transformer"
HEAD = """\
---
language: en
license: cc-by-sa-4.0
library_name: transformers
pipeline_tag: fill-mask
datasets:
- Salesforce/wikitext
widget:
- text: "She was born in London, and [MASK] first album was released in 2005."
---

# mini-transformer: {name}

A small masked language model, built from scratch in a series of notebooks.

| | |
| --- | --- |
| layers, heads | {layers}, {heads} |
| d_model, feed-forward layer | {d_model}, {d_ff} |
| vocabulary | {words:,} tokens |
| longest text | {length} tokens, special ones included |
| weights | {numbers:,} |

```python
from transformers import pipeline

fill = pipeline("fill-mask", model="{name}")
fill("She was born in London, and [MASK] first album was released in 2005.")
```

The architecture is {architecture}.
It needs no code of its own: transformers 4.57 or newer opens the folder as it is.
"""
ARCHITECTURES = {
    True: "BERT's, so the weights are those of `BertForMaskedLM`",
    False: "pre-norm with rotary positions, which transformers calls `EsmForMaskedLM`",
}
DATA = """
## Data

WikiText-2 (`wikitext-2-v1`; Merity et al. 2016): two million words of good English
Wikipedia articles.

{split}
"""
SPLITS = {
    False: """\
`tokenizer.json` splits any text as WikiText is split (`it 's`, `well @-@ known`) and
keeps the case of letters. About 26 % of WikiText-2's words are outside a vocabulary of
2,000 and become `[UNK]`.""",
    True: "Byte-pair encoding leaves no text unknown.",
}
LIMITS = """
## Limits

* It is made for teaching. It knows grammar better than facts.
* It has read nothing but Wikipedia, and repeats what its authors wrote about people.
* It scores `[UNK]` like any word; mini-transformer itself leaves special tokens out of
  its answers and divides by the rest.
* `[CLS]`, `[SEP]`, `[PAD]`, `[UNK]` and `[MASK]` typed into a text are special tokens.

## Licence

The weights and the vocabulary are under
[CC BY-SA 4.0](https://creativecommons.org/licenses/by-sa/4.0/). They are derived from
WikiText-2, which Stephen Merity, Caiming Xiong, James Bradbury and Richard Socher made
from articles of the English Wikipedia under CC BY-SA 3.0; the authors of each article
are named in its history. The code that made them is under the MIT licence:
{repository}
"""


def card_training(training: dict, record: dict) -> str:
    """How the model was trained."""
    return f"""
## Training

{training["epochs"]:g} epochs of packed rows in batches of {training["batch_size"]},
{training["optimizer"]} with a rate of {training["learning_rate"]} and, for the matrices
of the blocks, {training["muon_rate"]}, weight decay {training["weight_decay"]}.
{100 * training["mask_rate"]:.0f} % of the words were masked in each row, and the masks
were drawn anew each time. Dropout {record["model"]["dropout"]}, seed {record["seed"]}.
The validation loss was lowest at step {record["best_step"]:,}.
"""


def card_results(record: dict) -> str:
    """What was measured, a row for each split and kind of row."""
    kinds = {"packed": "packed rows", "sentences": "sentences alone"}
    rows = [
        f"| {split} | {kinds[kind]} | {of['loss']:.3f} | {100 * of['accuracy']:.1f} % "
        f"| {of['words']:,} |"
        for split in ("validation", "test")
        for kind, of in record.get(split, {}).items()
    ]
    table = "\n".join(rows)
    return f"""
## Results

Loss in nats and the share of words named rightly, when a seventh of the words of the
vocabulary is hidden at a time, until each has been hidden once. One run.

| WikiText-2 | read as | loss | right | words |
| --- | --- | --- | --- | --- |
{table}
"""


def model_card(name: str, model, tokenizer, record: dict | None = None) -> str:
    """The card of a model. Of a record it takes what is there, and invents nothing."""
    config, record = model.config, record or {}
    text = HEAD.format(
        name=name,
        layers=config.n_layers,
        heads=config.n_heads,
        d_model=config.d_model,
        d_ff=config.d_ff,
        words=config.vocab_size,
        numbers=sum(p.numel() for p in model.parameters()),
        length=config.max_length,
        architecture=ARCHITECTURES[weight_names(config) is BERT],
    )
    if record.get("corpus") == "WikiText-2":
        text += DATA.format(split=SPLITS[isinstance(tokenizer, BPETokenizer)])
    else:
        told = record.get("corpus", "This is not recorded.")
        text += f"\n## Data\n\n{told}\n"
    if "training" in record:
        text += card_training(record["training"], record)
    text += card_results(record) if "validation" in record else ""
    return text + LIMITS.format(repository=REPOSITORY)
