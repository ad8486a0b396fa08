"""The lessons' arms, batches, masks, words and runs, held against slower ones."""

import hashlib
import itertools
import random
from collections import Counter
from dataclasses import asdict, replace
from functools import cache
from unittest.mock import Mock

import pytest
import torch
from tiny import at_call, tiny_model

from helpers import data
from helpers.bpe import BPETokenizer
from helpers.corpus import Corpus
from helpers.evaluate import evaluate, validate
from helpers.masking import IGNORE, mask_subsets, mask_tokens
from helpers.model import MaskedLanguageModel
from helpers.record import read_record
from helpers.tokenizer import CLS, MASK, PAD, SEP, UNK, WordTokenizer
from helpers.train import TrainingRun, train_step
from studies.lab import asked
from studies.lab.scored_text import scored_sentences
from studies.lessons import arms, costs, runs, study
from studies.lessons.arms import ARMS, FAST, LessonArm
from studies.lessons.study import STUDY

KNOWN, TOKENS, SMALL = 60, 2_048, 4
RATES = "mask_rate", "last_mask_rate"
WORDS = "the of , . <unk> café – naïve 東京 ) Zoë".split()
WORDS += [f"{a}{b}{c}" for a in ("dog", "run", "s") for b in "aeiou" for c in "xyzlmt"]


def made_up(count: int) -> list[str]:
    draw, chances = random.Random(count), [1 / (i + 2) for i in range(len(WORDS))]
    sizes = draw.choices([*range(1, 24), 70, 150], k=count)
    return [" ".join(draw.choices(WORDS, chances, k=size)) for size in sizes]


CORPUS = Corpus("made up", made_up(1_200), made_up(240), [])
BASE, READ = LessonArm({"vocab_size": KNOWN}), ARMS["read_10000"]
LAYOUTS = [f"{way}_{size}" for way in ("pack", "pad", "bucket") for size in (64, 128)]
WHOLE = WordTokenizer.train(CORPUS.train, KNOWN)
PIECES = BPETokenizer.train(CORPUS.train, 60)


@pytest.fixture(autouse=True)
def small_scale(tmp_path, monkeypatch):
    """A made-up text in place of WikiText, with fewer known words and larger parts."""
    monkeypatch.setattr(runs, "require_wikitext", lambda: CORPUS)
    monkeypatch.setattr(runs, "KNOWN", KNOWN)
    own = {"require_wikitext": lambda: CORPUS, "ROOT": tmp_path, "KNOWN": KNOWN}
    own |= {"TOKENS": TOKENS, "SMALL": SMALL}
    for cached in arms.arm_tokenizer, arms.arm_split:
        own[cached.__name__] = cache(cached.__wrapped__)  # nothing kept from before
    for name, value in own.items():
        monkeypatch.setattr(arms, name, value)
    monkeypatch.setattr(asked, "ASKED", {"shared": 40, "rare": 40})


def test_the_base_has_half_the_fast_rates_for_ever():
    config = arms.BASE.train_config(3)
    own = {"learning_rate": 2e-3, "muon_rate": 0.01, "cooldown": 0.0, "seed": 3}
    own |= {"batch_size": TOKENS // 64, "warmup": 40 / 500, "precision": "bfloat16"}
    assert config == replace(FAST, **own)
    for arm in ARMS.values():
        assert arm.steps % runs.EVERY == 0  # the last step is scored
        config, length = arm.train_config(3), arm.model_config.max_length
        assert config.batch_size * length == TOKENS
        assert round(config.warmup * arm.steps) == 40


def lines_of(arm: LessonArm, split: str = "train", parts: int = 1) -> list[list[int]]:
    """The ids of an arm that reads words, without its own functions."""
    ids = WordTokenizer.train(CORPUS.train, arm.model_config.vocab_size).ids
    lines, small = getattr(CORPUS, split), arm.small and split == "train"
    lines = lines[: len(lines) // (SMALL if small else parts)]
    return [[ids.get(word, UNK) for word in line.split()] for line in lines]


def rows_of(arm: LessonArm, lines: list[list[int]]) -> list[tuple[int, ...]]:
    """Rows in the order of the text, without [PAD]."""
    size, end = arm.model_config.max_length - 2, [SEP]
    if arm.layout == "pack":
        lines, size, end = [[i for line in lines for i in [*line, SEP]]], size + 1, []
    cuts = ((line, i) for line in lines for i in range(0, len(line), size))
    return [(CLS, *line[i : i + size], *end) for line, i in cuts]


def first(arm: LessonArm, count: int, seed: int = 0) -> list[torch.Tensor]:
    return list(itertools.islice(arm.batches(seed), count))


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ["base", *LAYOUTS, "small_fresh", "pieces_2000"])
def test_a_seed_has_its_own_batches_of_one_size(name):
    one, again, other = (first(ARMS[name], 70, seed) for seed in (0, 0, 1))
    assert same(one, again)
    assert not same(one[:3], other[:3]) and not same(one[-3:], other[-3:])
    assert ARMS[name].layout == "bucket" or {x.numel() for x in one} == {TOKENS}


@pytest.mark.parametrize("name", [*LAYOUTS[2:], "small_fresh"])
def test_each_row_comes_once_an_epoch(name):
    """Fewer than a batch are left out, but from buckets none; the order is new."""
    arm, size = ARMS[name], TOKENS // ARMS[name].model_config.max_length
    rows, orders = rows_of(arm, lines_of(arm)), []
    batches = arm.batches(0)
    left_out = 0 if arm.layout == "bucket" else len(rows) % size
    for _ in range(12):
        orders.append([])
        while len(orders[-1]) < len(rows) - left_out:
            batch = next(batches).tolist()
            orders[-1] += [tuple(i for i in row if i != PAD) for row in batch]
            longest = max(map(len, orders[-1][-len(batch) :]))
            assert arm.layout != "bucket" or len(batch[0]) == longest
        assert not Counter(orders[-1]) - Counter(rows) and len(batch) <= size
    assert orders[0] != orders[1] and {*itertools.chain(*orders)} == {*rows}


def test_known_words_alone_make_the_text_of_the_base():
    read, base = first(READ, 20, 1), first(BASE, 20, 1)
    assert same(map(arms.arm_known_words, read), base)
    assert max(map(torch.max, base)) == KNOWN - 1 < max(map(torch.max, read))
    batches = data.batches(data.join_lines(lines_of(BASE)), 64, TOKENS // 64, 1)
    assert same(base, itertools.islice(batches, 20))


def masked(mask, ids_BT, vocab_size=2_000, share=0.3, key=0, fixed=True):
    return mask(ids_BT, vocab_size, share, data.seeded(key), fixed=fixed)


@pytest.mark.parametrize("fixed", [True, False])
def test_masks_have_the_draws_of_the_base(fixed):
    (base_BT,), (read_BT,) = first(BASE, 1), first(READ, 1)
    inputs_BT, labels_BT = masked(mask_tokens, base_BT, KNOWN, fixed=fixed)
    hidden_BT = base_BT.where(labels_BT == IGNORE, MASK)
    mask = ARMS["all_hidden"].mask(0)
    assert same(masked(mask, base_BT, KNOWN, fixed=fixed), (hidden_BT, labels_BT))
    expected = inputs_BT.where(read_BT < KNOWN, read_BT), labels_BT
    assert same(masked(READ.mask(0), read_BT, fixed=fixed), expected)
    assert ARMS["base"].mask(0) is mask_tokens


@pytest.mark.parametrize("share, masks", [(0.3, "fixed"), (0.15, "independent")])
def test_a_block_keeps_its_masks(share, masks):
    training = dict.fromkeys(RATES, share) | {"masks": masks}
    arm = replace(ARMS["small_static"], training=training)
    ways, kept = [arm.mask(seed) for seed in (0, 0, 1)], {}
    for step, ids_BT in enumerate(first(arm, 30)):
        once = masked(ways[0], ids_BT, share=0.9, key=step)
        again, other = (masked(mask, ids_BT, key=-1) for mask in ways[1:])
        assert same(once, again) and not torch.equal(once[1], other[1])
        for row, *each in zip(*(x.tolist() for x in (ids_BT, *once)), strict=True):
            assert kept.setdefault(tuple(row), each) == each
    inputs_BT, labels_BT = map(torch.tensor, zip(*kept.values(), strict=True))
    ids_BT, masked_BT = torch.tensor([*kept]), labels_BT != IGNORE
    assert torch.equal(labels_BT, ids_BT.where(masked_BT, IGNORE))
    assert same(inputs_BT[~masked_BT], ids_BT[~masked_BT]) and inputs_BT.max() > 1_900
    assert masked_BT.sum() / (ids_BT > MASK).sum() == pytest.approx(share, abs=0.02)
    assert (len({*masked_BT.sum(1).tolist()}) <= 2) == (masks == "fixed")


@pytest.mark.parametrize("name", ["small_fresh", "read_10000", *LAYOUTS])
@pytest.mark.parametrize("parts", [1, 4])
def test_the_kth_word_is_in_the_same_subset_in_every_layout(name, parts):
    rows = rows_of(ARMS[name], lines_of(ARMS[name], "validation", parts))
    eligible = range(MASK + 1, KNOWN if name == "read_10000" else 10_000)
    count = sum(token in eligible for row in rows for token in row)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).tolist()
    subset = iter(i % 7 for _, i in sorted(zip(order, range(count), strict=True)))
    rows = [[[i, next(subset) if i in eligible else -1] for i in row] for row in rows]
    scored = torch.stack(ARMS[name].scored_rows(parts), -1).tolist()
    for row, expected in zip(scored, sorted(rows, key=len), strict=True):
        assert row == expected + [[PAD, -1]] * (len(row) - len(expected))


def test_words_are_asked_at_equal_distances(monkeypatch):
    monkeypatch.setattr(asked, "ASKED", {"shared": 3, "rare": 2})
    lines = ["the cat <unk> the", "the x<unk> the", "the\u2009dog", "a dog the the a"]
    places = asked.asked_places([*lines, "the the the"], {"the"})
    assert places == {"shared": [(0, 0), (3, 2), (4, 0)], "rare": [(0, 1), (3, 1)]}


def asked_alone(model, tokenizer, lines, number: int, place: int):
    """Bits of each piece of a word, in a row of its own, and whether it is right."""
    text = data.join_lines(data.encode_lines(tokenizer, lines))
    line = lines[number].split()
    before = sum(len(tokenizer.encode(line.split())) + 1 for line in lines[:number])
    start, stop = (before + len(tokenizer.encode(line[: place + i])) for i in (0, 1))
    begin = min(max(0, (start + stop) // 2 - 15), len(text) - 31)
    for at in range(start, stop):
        hidden = text.index_fill(0, torch.arange(at, stop), MASK)[begin : begin + 31]
        logits_TV = model(torch.cat([torch.tensor([CLS]), hidden])[None])[0]
        bits_V = -logits_TV[at - begin + 1].softmax(-1).log2()
        yield bits_V[text[at]].item(), bool(bits_V.argmin() == text[at])


@pytest.mark.parametrize("tokenizer", [WHOLE, PIECES])
def test_words_are_scored_as_one_by_one(tokenizer):
    """At both ends of the text, too, where a word can't stand in the middle."""
    lines, known = ["a", *CORPUS.validation[:60], "a the"], {*WHOLE.words[5:30]}
    every, model = asked.asked_places(lines, known), tiny_model(len(tokenizer))
    every["shared"][:3] = [(0, 0), (61, 0), (61, 1)]
    likely = tokenizer.encode(["a", "the", WHOLE.words[40]])[1:3]
    model.head.decoder.bias.data[likely] += 6
    scores = asked.score_asked(model, tokenizer, lines, every)
    for kind, places in every.items():
        texts = {place: lines[place[0]].split()[place[1]] for place in places}
        held = [p for p in places if UNK not in tokenizer.encode([texts[p]])]
        pieces = [[*asked_alone(model, tokenizer, lines, *place)] for place in held]
        bits = sum(bits for word in pieces for bits, _ in word)
        assert scores[kind] == {
            "words": 40,
            "held": len(held) / 40,
            "right": sum(all(right for _, right in word) for word in pieces) / 40,
            "bits": pytest.approx(bits / sum(len(texts[p]) + 1 for p in held), 1e-4),
            "tokens": sum(map(len, pieces)) / len(held),
        }
    assert scores["rare"]["right"] > 0 or tokenizer is PIECES


SIZES = {"n_layers": 1, "d_model": 16, "d_ff": 16, "n_heads": 2, "max_length": 32}
SHORT = {"warmup": 0.5}
TINY = {  # by what their records hold beside the others
    "asked": LessonArm(SIZES, SHORT, masks="all hidden", steps=4),
    "validation_unread": LessonArm(SIZES, SHORT, masks="known only", steps=4),
    "alone": LessonArm(SIZES, SHORT | {"masks": "independent"}, layout="pad", steps=4),
}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The study with tiny arms, of which one is asked words."""
    monkeypatch.setattr(runs, "ASKED_ARMS", [TINY["asked"]])
    monkeypatch.setattr(runs, "EVERY", 2)
    arms.arm_text_digest.cache_clear()
    yield replace(STUDY, arms=TINY, folder=tmp_path, states=tmp_path, claims=())
    arms.arm_text_digest.cache_clear()


@pytest.mark.parametrize("name", TINY)
def test_a_run_is_of_its_arm(name, tiny, tmp_path):
    arm, config = TINY[name], TINY[name].train_config(1)
    torch.manual_seed(1)
    again = TrainingRun(MaskedLanguageModel(arm.model_config), config)
    for ids_BT in first(arm, 4, 1):
        loss = train_step(again, ids_BT, config, 4, arm.mask(1)).item()
    run, model, (ids_BT, subset_BT) = tiny.run(name, 1), again.model, arm.scored_rows()
    expected = runs.score(model, *arm.scored_rows(4), [0]) | {"step": 4, "batch": loss}
    assert run["curve"][0]["step"] == 2 and run["curve"][1:] == [expected]
    assert evaluate(model, ids_BT, subset_BT).items() >= run["validation"].items()
    text = repr([lines_of(arm), lines_of(arm, "validation")]).encode()
    assert run["text"] == hashlib.sha256(text).hexdigest()
    tokenizer, lines = WordTokenizer.train(CORPUS.train), CORPUS.validation
    if name == "asked":
        places = asked.asked_places(lines, {*WHOLE.ids})
        scores = asked.score_asked(model, tokenizer, lines, places)
    elif name == "alone":
        found = scored_sentences(lines, 5, 40)
        sentences = sorted((words for _, words in found), key=len)
        ids_BT = data.pad([*map(tokenizer.encode, sentences)], 32)
        scores = runs.score(model, ids_BT, mask_subsets(ids_BT), [0])
    else:
        scores = runs.score(model, ids_BT.where(ids_BT < KNOWN, UNK), subset_BT, [0])
    assert {key: run[key] for key in run.keys() & TINY.keys()} == {name: scores}
    assert [path.name for path in tmp_path.glob("*_seed_1*")] == [f"{name}_seed_1.json"]


def test_a_run_goes_on_where_it_was_interrupted(tiny, monkeypatch):
    """Even between a step and the evaluation that follows it."""
    whole = tiny.run("alone", 0)
    (tiny.folder / "alone_seed_0.json").unlink()
    stop = at_call(3, Mock(side_effect=KeyboardInterrupt), validate)
    monkeypatch.setattr("helpers.train.validate", stop)
    with pytest.raises(KeyboardInterrupt, match="at step 4"):
        tiny.run("alone", 0)
    assert tiny.run("alone", 0)["curve"] == whole["curve"]


@pytest.mark.parametrize("name", ["base", *LAYOUTS])
def test_costs_are_of_the_rows_of_an_arm(name, monkeypatch):
    monkeypatch.setattr(costs, "MIXED", 8)
    arm, length = ARMS[name], ARMS[name].model_config.max_length
    sizes, size = sorted(map(len, rows_of(arm, lines_of(arm)))), TOKENS // length
    parts = [sizes[i : i + size] for i in range(0, len(sizes), size)]
    widths = [part[-1] if arm.layout == "bucket" else length for part in parts]
    places = sum(len(part) * width for part, width in zip(parts, widths, strict=True))
    batches, padding = costs.cost_batches(arm)
    assert padding == pytest.approx(1 - sum(sizes) / places)
    assert arm.layout == "bucket" or same(batches, first(arm, 1))
    if arm.layout == "bucket":  # the middle of each of equal parts
        middle = [widths[int((i + 0.5) * len(parts) / 8)] for i in range(8)]
        assert [ids_BT.shape for ids_BT in batches] == [(size, n) for n in middle]


def test_a_new_arm_is_timed_beside_the_base_and_moves_nothing(tmp_path, monkeypatch):
    """And one whose design has changed."""
    seconds, turns = {"base": 2.0, "untied": 3.0, "layers_1": 1.0}, []
    some = {name: ARMS[name] for name in seconds}

    def cost_turn(arm):
        name = next(name for name in some if some[name] == arm)
        return lambda: turns.append(name) or seconds[name], {"design": asdict(arm)}

    def time(*names) -> dict:
        turns.clear()
        monkeypatch.setattr(study.Study, "make_missing", lambda *_: None)
        replace(STUDY, arms={name: some[name] for name in names}).make_missing([], [])
        return read_record(costs.COSTS)["arms"]

    monkeypatch.setattr(costs, "cost_turn", cost_turn)
    monkeypatch.setattr(costs, "COSTS", tmp_path / "costs.json")
    before = time("base", "untied")
    assert turns[:4] == ["base", "untied"] * 2
    assert before["untied"]["ratio"] == [1.5] * 3
    seconds["base"] = 4.0
    after = time(*some)
    assert {*turns} == {"base", "layers_1"}
    assert after.pop("layers_1")["ratio"] == [0.25] * 3 and after == before
    time(*some)
    assert turns == []
    some["untied"] = replace(ARMS["untied"], steps=7)
    assert time(*some)["untied"]["ratio"] == [0.75] * 3
