"""The lessons' arms, batches, masks, words and runs, held against slower ones."""

import hashlib
import itertools
import math
import random
from collections import Counter
from dataclasses import asdict, replace
from functools import cache

import pytest
import torch
from tiny import tiny_model

from helpers import data, record
from helpers.bpe import BPETokenizer
from helpers.corpus import Corpus
from helpers.evaluate import evaluate
from helpers.masking import IGNORE, evaluation_subsets, mask_tokens
from helpers.model import MaskedLanguageModel
from helpers.run import TrainingRun
from helpers.tokenizer import CLS, MASK, PAD, SEP, UNK, WordTokenizer
from helpers.train import train_step
from studies.lessons import arms as lesson_arms
from studies.lessons import costs as lesson_costs
from studies.lessons import runs as lesson_runs
from studies.lessons import words as lesson_words
from studies.lessons.arms import ARMS, FAST, STEPS, Arm, hiding, rate, scored, source
from studies.lessons.runs import EVERY, PARTS, fit, run, score

KNOWN, TOKENS, SMALL, MIXED = 60, 2_048, 4, 8
RATES = "mask_rate", "last_mask_rate"
WORDS = "the of , . <unk> café – naïve 東京 ) Zoë".split()
WORDS += [f"{a}{b}{c}" for a in ("dog", "run", "s") for b in "aeiou" for c in "xyzlmt"]


def made_up(count: int) -> list[str]:
    draw, chances = random.Random(count), [1 / (i + 2) for i in range(len(WORDS))]
    sizes = draw.choices([*range(1, 24), 70, 150], k=count)
    return [" ".join(draw.choices(WORDS, chances, k=size)) for size in sizes]


CORPUS = Corpus("made up", made_up(1_200), made_up(240), [])
BASE, READ = Arm({"vocab_size": KNOWN}), ARMS["read_10000"]
LAYOUTS = [f"{way}_{size}" for way in ("pack", "pad", "bucket") for size in (64, 128)]
WHOLE = WordTokenizer.train(CORPUS.train, KNOWN)
PIECES = BPETokenizer.train(CORPUS.train, 60)
SIZES = {"n_layers": 1, "d_model": 16, "d_ff": 16, "n_heads": 2, "max_length": 32}
SHORT = {"warmup": 0.5}
TINY = {  # by what their records hold beside the others
    "asked": Arm(SIZES, SHORT, masks="all hidden", steps=4),
    "validation_unread": Arm(SIZES, SHORT, masks="known only", steps=4),
    "alone": Arm(SIZES, SHORT | {"masks": "independent"}, layout="pad", steps=4),
}


@pytest.fixture(autouse=True)
def small_scale(tmp_path, monkeypatch):
    """The text in place of WikiText, with fewer known words and larger parts."""
    own = {"require_wikitext": lambda: CORPUS, "ROOT": tmp_path, "RECORDS": tmp_path}
    own |= {"KNOWN": KNOWN, "TOKENS": TOKENS, "SMALL": SMALL, "SHARED": 40, "RARE": 40}
    own |= {"ARMS": {**TINY}, "EVERY": 2, "VOCABULARIES": ("asked",), "MIXED": MIXED}
    for cached in lesson_arms.tokenizer_of, lesson_arms.encoded, lesson_runs.digest:
        own[cached.__name__] = cache(cached.__wrapped__)  # nothing kept from before
    for module in lesson_arms, lesson_runs, lesson_words, lesson_costs:
        for name in own.keys() & vars(module).keys():
            monkeypatch.setattr(module, name, own[name])


def factors(arm: Arm) -> dict:
    """All that an arm is made of but its steps; the warm-up counts steps."""
    config, own = asdict(arm.train_config(3)), ("pieces", "layout", "small")
    config |= {"warmup": round(config["warmup"] * arm.steps, 6), "hidden": arm.masks}
    return asdict(arm.model_config) | config | {key: getattr(arm, key) for key in own}


DIFFERENCES = {  # from the base or from another arm
    **{f"words_{n}": {"vocab_size": n} for n in (5_000, 10_000)},
    "read_10000": {"words_10000": {"hidden": "known only"}},
    "pieces_2000": {"pieces": True},
    "pieces_8000": {"pieces_2000": {"vocab_size": 8_000}},
    "untied": {"tied": False},
    "untied_10000": {"words_10000": {"tied": False}},
    "pack_64": {"masks": "independent"},
    "pack_128": {"pack_64": {"max_length": 128, "batch_size": TOKENS // 128}},
    **{f"pad_{n}": {f"pack_{n}": {"layout": "pad"}} for n in (64, 128)},
    **{f"bucket_{n}": {f"pack_{n}": {"layout": "bucket"}} for n in (64, 128)},
    **{f"layers_{n}": {"n_layers": n} for n in (1, 2, 6)},
    **{f"d_model_{n}": {"d_model": n, "d_ff": 2 * n} for n in (64, 128, 384)},
    **{f"heads_{n}": {"n_heads": n} for n in (1, 4, 16)},
    "small_fresh": {"small": True},
    "small_static": {"small_fresh": {"hidden": "static"}},
    "small_dropout": {"small_fresh": {"dropout": 0.1}},
    **{f"rate_{n}": dict.fromkeys(RATES, n / 100) for n in (10, 15, 40, 50)},
    "all_hidden": {"hidden": "all hidden"},
    "falling": {"learning_rate": 4e-3, "muon_rate": 0.02, "cooldown": 1 - 40 / STEPS},
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_an_arm_differs_in_what_it_is_named_for(name):
    reference, expected = "base", DIFFERENCES[name]
    if expected.keys() <= ARMS.keys():
        ((reference, expected),) = expected.items()
    mine, other = factors(ARMS[name]), factors(ARMS[reference])
    assert {key: mine[key] for key in mine if mine[key] != other[key]} == expected
    assert ARMS[name].steps % EVERY == 0  # the last step is scored


def test_the_base_is_the_fast_recipe_at_a_constant_rate():
    assert DIFFERENCES.keys() | {"base"} == ARMS.keys() and len(ARMS) <= 40
    expected = {"learning_rate": 2e-3, "muon_rate": 0.01, "cooldown": 0.0, "seed": 3}
    expected |= {"batch_size": TOKENS // 64, "warmup": 40, "precision": "bfloat16"}
    found, wanted = factors(ARMS["base"]), asdict(FAST) | expected
    assert {key: found[key] for key in wanted} == wanted


def lines_of(arm: Arm, split: str = "train", parts: int = 1) -> list[list[int]]:
    """The ids of an arm that reads words, without its own functions."""
    ids = WordTokenizer.train(CORPUS.train, arm.model_config.vocab_size).ids
    lines, small = getattr(CORPUS, split), arm.small and split == "train"
    lines = lines[: len(lines) // (SMALL if small else parts)]
    return [[ids.get(word, UNK) for word in line.split()] for line in lines]


def rows_of(arm: Arm, lines: list[list[int]]) -> list[tuple[int, ...]]:
    """Rows in the order of the text, without [PAD]."""
    size, end = arm.model_config.max_length - 2, [SEP]
    if arm.layout == "pack":
        lines, size, end = [[i for line in lines for i in [*line, SEP]]], size + 1, []
    cuts = ((line, i) for line in lines for i in range(0, len(line), size))
    return [(CLS, *line[i : i + size], *end) for line, i in cuts]


def first(arm: Arm, count: int, seed: int = 0) -> list[torch.Tensor]:
    return list(itertools.islice(source(arm, seed), count))


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ARMS)
def test_a_seed_has_its_own_batches_of_one_size(name):
    one, again, other = (first(ARMS[name], 70, seed) for seed in (0, 0, 1))
    assert same(one, again)
    assert not same(one[:3], other[:3]) and not same(one[-3:], other[-3:])
    assert ARMS[name].layout == "bucket" or {x.numel() for x in one} == {TOKENS}


@pytest.mark.parametrize("name", [*LAYOUTS[2:], "small_fresh"])
def test_each_row_comes_once_an_epoch(name):
    """Fewer than a batch are left out, but from buckets none; the order is new."""
    arm, size = ARMS[name], TOKENS // ARMS[name].model_config.max_length
    rows, batches, orders = rows_of(arm, lines_of(arm)), source(arm, 0), []
    left_out = 0 if arm.layout == "bucket" else len(rows) % size
    for _ in range(12):
        orders.append([])
        while len(orders[-1]) < len(rows) - left_out:
            found = next(batches).tolist()
            orders[-1] += [tuple(i for i in row if i != PAD) for row in found]
            longest = max(map(len, orders[-1][-len(found) :]))
            assert arm.layout != "bucket" or len(found[0]) == longest
        assert not Counter(orders[-1]) - Counter(rows) and len(found) <= size
    assert orders[0] != orders[1] and {*itertools.chain(*orders)} == {*rows}


@pytest.mark.parametrize("name", ["base", "pad_64", "bucket_64", "small_fresh"])
def test_less_text_than_a_batch_is_refused(name, monkeypatch):
    lines = [[7, 8, 9]] * (TOKENS // 64 - 1)  # fewer rows, packed far fewer
    monkeypatch.setattr(lesson_arms, "text_of", lambda *_: lines)
    with pytest.raises(ValueError, match="rows"):
        first(ARMS[name], 1)
    monkeypatch.setattr(lesson_arms, "text_of", lambda *_: lines * 22)
    assert first(ARMS[name], 1)


def test_known_words_alone_make_the_text_of_the_base():
    read, base = first(READ, 20, 1), first(BASE, 20, 1)
    assert same(map(lesson_arms.known_only, read), base)
    assert max(map(torch.max, base)) == KNOWN - 1 < max(map(torch.max, read))
    batches = data.batches(data.join(lines_of(BASE)), 64, TOKENS // 64, 1)
    assert same(base, itertools.islice(batches, 20))


def masked(hide, ids_BT, vocab_size=2_000, share=0.3, key=0, fixed=True):
    return hide(ids_BT, vocab_size, share, data.seeded(key), fixed=fixed)


@pytest.mark.parametrize("fixed", [True, False])
def test_masks_have_the_draws_of_the_base(fixed):
    (base_BT,), (read_BT,) = first(BASE, 1), first(READ, 1)
    inputs_BT, labels_BT = masked(mask_tokens, base_BT, KNOWN, fixed=fixed)
    expected = base_BT.where(labels_BT == IGNORE, MASK), labels_BT
    found = masked(hiding(ARMS["all_hidden"], 0), base_BT, KNOWN, fixed=fixed)
    assert same(found, expected) and hiding(ARMS["base"], 0) is mask_tokens
    expected = inputs_BT.where(read_BT < KNOWN, read_BT), labels_BT
    assert same(masked(hiding(READ, 0), read_BT, 10_000, fixed=fixed), expected)


@pytest.mark.parametrize("layout, small", [("pack", False), ("pad", True)])
def test_blocks_that_change_have_no_static_masks(layout, small):
    with pytest.raises(ValueError, match="small text"):
        hiding(Arm(masks="static", layout=layout, small=small), 0)


@pytest.mark.parametrize("share, masks", [(0.3, "fixed"), (0.15, "independent")])
def test_a_block_keeps_its_masks(share, masks):
    arm = replace(ARMS["small_static"], training=rate(share) | {"masks": masks})
    hides, kept = [hiding(arm, seed) for seed in (0, 0, 1)], {}
    for step, ids_BT in enumerate(first(arm, 30)):
        found = masked(hides[0], ids_BT, share=0.9, key=step)
        again, other = (masked(hide, ids_BT, key=-1) for hide in hides[1:])
        assert same(found, again) and not torch.equal(found[1], other[1])
        for row, *each in zip(*(x.tolist() for x in (ids_BT, *found)), strict=True):
            assert kept.setdefault(tuple(row), each) == each
    inputs_BT, labels_BT = map(torch.tensor, zip(*kept.values(), strict=True))
    ids_BT, asked_BT = torch.tensor([*kept]), labels_BT != IGNORE
    assert torch.equal(labels_BT, ids_BT.where(asked_BT, IGNORE))
    assert inputs_BT.max() > 1_900 and same(inputs_BT[~asked_BT], ids_BT[~asked_BT])
    assert (inputs_BT[asked_BT] == MASK).float().mean() == pytest.approx(0.8, abs=0.04)
    assert len({*map(tuple, asked_BT.tolist())}) == len(rows_of(arm, lines_of(arm)))
    assert asked_BT.sum() / (ids_BT > MASK).sum() == pytest.approx(share, abs=0.02)
    assert (len({*asked_BT.sum(1).tolist()}) <= 2) == (masks == "fixed")


@pytest.mark.parametrize("name", ["small_fresh", "read_10000", *LAYOUTS])
@pytest.mark.parametrize("parts", [1, 4])
def test_the_kth_word_is_in_the_same_subset_in_every_layout(name, parts):
    rows = rows_of(ARMS[name], lines_of(ARMS[name], "validation", parts))
    eligible = range(MASK + 1, KNOWN if name == "read_10000" else 10_000)
    count = sum(token in eligible for row in rows for token in row)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).tolist()
    subset = iter(i % 7 for _, i in sorted(zip(order, range(count), strict=True)))
    rows = [[[i, next(subset) if i in eligible else -1] for i in row] for row in rows]
    found = torch.stack(scored(ARMS[name], parts), -1).tolist()
    for row, expected in zip(found, sorted(rows, key=len), strict=True):
        assert row == expected + [[PAD, -1]] * (len(row) - len(expected))


@pytest.mark.parametrize("tokenizer", [WHOLE, PIECES])
def test_words_are_found_in_the_joined_text(tokenizer):
    lines = [*CORPUS.validation, "<unk> <unk> at <unk> , 東京 – <unk>", "= naïve ="]
    made = lesson_arms.tokenizer_of(tokenizer is PIECES, len(tokenizer))
    stream, where = lesson_words.spans(made, lines)
    for number, line in enumerate(lines):
        for place, word in enumerate(line.split()):
            ids = [stream[at] for at in where.pop((number, place))]
            assert ids == [UNK] or made.decode(ids).strip() == word
    assert not where
    assert stream == data.join(data.encode_lines(tokenizer, lines)).tolist()


def test_words_are_asked_at_equal_distances(monkeypatch):
    monkeypatch.setattr(lesson_words, "SHARED", 3)
    monkeypatch.setattr(lesson_words, "RARE", 2)
    lines = ["the cat <unk> the", "the x<unk> the", "the\u2009dog", "a dog the the a"]
    found = lesson_words.words_asked([*lines, "the the the"], {"the"})
    assert found == {"shared": [(0, 0), (3, 2), (4, 0)], "rare": [(0, 1), (3, 1)]}


@pytest.mark.parametrize(
    "start, stop, begin", [(50, 51, 45), (50, 53, 46), (0, 2, 0), (96, 99, 89)]
)
def test_a_word_stands_in_the_middle(start, stop, begin):
    text, rows = [CLS, *range(100 + begin, 110 + begin)], []
    for at in range(100 + start, 100 + stop):
        inputs = [MASK if at <= token < 100 + stop else token for token in text]
        rows.append((inputs, text.index(at), at))
    assert lesson_words.questions([*range(100, 199)], range(start, stop), 11) == rows


def test_a_word_longer_than_a_row_is_refused():
    stream = [*range(100, 199)]
    assert len(lesson_words.questions(stream, range(50, 60), 11)) == 10
    with pytest.raises(ValueError, match="11 tokens"):
        lesson_words.questions(stream, range(50, 61), 11)


def asked_alone(model, tokenizer, lines, number: int, place: int):
    """Bits of each piece of a word, in a row of its own, and whether it is right."""
    text, words = data.join(data.encode_lines(tokenizer, lines)), lines[number].split()
    before = sum(len(tokenizer.encode(line.split())) + 1 for line in lines[:number])
    start, stop = (before + len(tokenizer.encode(words[: place + i])) for i in (0, 1))
    begin = min(max(0, (start + stop) // 2 - 15), len(text) - 31)
    for at in range(start, stop):
        hidden = text.index_fill(0, torch.arange(at, stop), MASK)[begin : begin + 31]
        logits_TV = model(torch.cat([torch.tensor([CLS]), hidden])[None])[0]
        bits_V = -logits_TV[at - begin + 1].softmax(-1).log2()
        yield bits_V[text[at]].item(), bool(bits_V.argmin() == text[at])


@pytest.mark.parametrize("tokenizer", [WHOLE, PIECES])
def test_words_are_scored_as_one_by_one(tokenizer):
    lines, known = CORPUS.validation[:60], {*WHOLE.words[5:30]}
    assert lesson_words.known_words(CORPUS.train, 30) == known
    asked, model = lesson_words.words_asked(lines, known), tiny_model(len(tokenizer))
    likely = tokenizer.encode(["a", "the", WHOLE.words[40]])[1:3]
    model.head.decoder.bias.data[likely] += 6
    found = lesson_words.score_words(model, tokenizer, lines, asked)
    for kind, places in asked.items():
        words = {place: lines[place[0]].split()[place[1]] for place in places}
        held = [p for p in places if UNK not in tokenizer.encode([words[p]])]
        pieces = [[*asked_alone(model, tokenizer, lines, *place)] for place in held]
        bits = sum(bits for word in pieces for bits, _ in word)
        assert found[kind] == {
            "words": 40,
            "held": len(held) / 40,
            "right": sum(all(right for _, right in word) for word in pieces) / 40,
            "bits": pytest.approx(bits / sum(len(words[p]) + 1 for p in held), 1e-4),
            "tokens": sum(map(len, pieces)) / len(held),
        }
    assert found["rare"]["right"] > 0 or tokenizer is PIECES


def test_a_run_that_diverges_is_not_recorded(tmp_path, monkeypatch):
    def wild(run, *batch):
        torch.nn.init.constant_(run.model.head.decoder.bias, math.nan)
        return train_step(run, *batch)

    monkeypatch.setattr(lesson_runs, "train_step", wild)
    with pytest.raises(FloatingPointError, match="asked, seed 1 diverged: .* number"):
        run("asked", 1)
    assert [*tmp_path.glob("*.json")] == []


def test_a_record_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "a.json"
    record.write(path, {"a": 1})

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("helpers.files.os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        record.write(path, {"a": 2})
    assert record.read(path) == {"a": 1}


def test_byte_pairs_are_of_the_text_at_hand(monkeypatch):
    other = replace(CORPUS, name="another", train=CORPUS.train[:99])
    merges = []
    for corpus in CORPUS, other, CORPUS:
        lesson_arms.tokenizer_of.cache_clear()
        monkeypatch.setattr(lesson_arms, "require_wikitext", lambda found=corpus: found)
        merges.append(lesson_arms.tokenizer_of(True, 340).merges)
    assert merges[0] == merges[2] != merges[1]


@pytest.mark.parametrize("name", TINY)
def test_a_run_is_made_once(name, tmp_path, monkeypatch):
    arm, config = TINY[name], TINY[name].train_config(1)
    torch.manual_seed(1)
    again = TrainingRun(MaskedLanguageModel(arm.model_config), config, torch.bfloat16)
    for ids_BT in first(arm, 4, 1):
        loss = train_step(again, ids_BT, config, 4, hiding(arm, 1)).item()
    found, model, (ids_BT, subset_BT) = run(name, 1), again.model, scored(arm)
    assert found["curve"] == fit(name, 1, "cpu")[1] != fit(name, 0, "cpu")[1]
    expected = score(model, scored(arm, PARTS)) | {"step": 4, "batch": loss}
    assert found["curve"][0]["step"] == 2 and found["curve"][1:] == [expected]
    assert evaluate(model, ids_BT, subset_BT).items() >= found["validation"].items()
    text = repr([lines_of(arm), lines_of(arm, "validation")]).encode()
    assert found["text"] == hashlib.sha256(text).hexdigest()
    tokenizer, lines = WordTokenizer.train(CORPUS.train), CORPUS.validation
    if name == "asked":
        places = lesson_words.words_asked(lines, {*WHOLE.ids})
        again = lesson_words.score_words(model, tokenizer, lines, places)
    elif name == "alone":
        lines = sorted(data.lone_sentences(lines), key=lambda line: line.count(" "))
        ids_BT = data.pad(data.encode_lines(tokenizer, lines), 32)
        again = score(model, (ids_BT, evaluation_subsets(ids_BT)))
    else:
        again = score(model, (ids_BT.where(ids_BT < KNOWN, UNK), subset_BT))
    assert {key: found[key] for key in found.keys() & TINY.keys()} == {name: again}
    monkeypatch.setattr(lesson_runs, "fit", None)
    assert found == record.read(tmp_path / f"{name}_seed_1.json") == run(name, 1)
    monkeypatch.setitem(lesson_runs.ARMS, name, replace(arm, small=True))
    with pytest.raises(ValueError, match="another run: its small is False, not True"):
        run(name, 1)


@pytest.mark.parametrize("name", ["base", *LAYOUTS])
def test_costs_are_of_the_rows_of_an_arm(name):
    arm, length = ARMS[name], ARMS[name].model_config.max_length
    sizes, size = sorted(map(len, rows_of(arm, lines_of(arm)))), TOKENS // length
    parts = [sizes[i : i + size] for i in range(0, len(sizes), size)]
    widths = [part[-1] if arm.layout == "bucket" else length for part in parts]
    places = sum(len(part) * width for part, width in zip(parts, widths, strict=True))
    assert lesson_costs.padding(arm) == pytest.approx(1 - sum(sizes) / places)
    found = lesson_costs.timed_batches(arm)
    assert arm.layout == "bucket" or same(found, first(arm, 1))
    if arm.layout == "bucket":  # the middle of each of equal parts
        middle = [widths[int((i + 0.5) * len(parts) / MIXED)] for i in range(MIXED)]
        assert [ids_BT.shape for ids_BT in found] == [(size, width) for width in middle]


def test_a_new_arm_is_timed_beside_the_base_and_moves_nothing(tmp_path, monkeypatch):
    seconds = {"base": 2.0, "untied": 3.0, "layers_1": 1.0}
    turns = []

    def prepare(name, _):
        return lambda: turns.append(name) or seconds[name], {"asked": len(name)}

    monkeypatch.setattr(lesson_costs, "prepare", prepare)
    monkeypatch.setattr(lesson_costs, "COSTS", tmp_path / "costs.json")
    monkeypatch.setattr(lesson_costs, "ARMS", {name: ARMS[name] for name in seconds})
    monkeypatch.setattr(lesson_costs, "padding", lambda _: 0.0)
    assert lesson_costs.untimed() == [*seconds]
    first = lesson_costs.measure(["base", "untied"])
    assert turns[:4] == ["base", "untied"] * 2
    assert lesson_costs.untimed() == ["layers_1"]
    assert first["arms"]["untied"]["ratio"] == [1.5] * 3
    seconds["base"], turns[:] = 4.0, []
    lesson_costs.measure(["layers_1"])
    made, added = record.read(tmp_path / "costs.json"), {"ratio": [0.25] * 3}
    assert made["arms"].pop("layers_1").items() >= added.items()
    assert made == first and {*turns} == {"base", "layers_1"}
    assert lesson_costs.untimed() == []
    other = replace(ARMS["untied"], steps=7)
    monkeypatch.setitem(lesson_costs.ARMS, "untied", other)
    assert lesson_costs.untimed() == ["untied"]
    ratios = lesson_costs.measure(["untied"])["arms"]["untied"]["ratio"]
    assert ratios == [0.75] * 3 and lesson_costs.untimed() == []


@pytest.mark.parametrize(
    "name, value", [("layout", "packed"), ("masks", "fixed"), ("steps", 0)]
)
def test_an_arm_of_no_known_kind_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value!r}; choose"):
        Arm(**{name: value})
