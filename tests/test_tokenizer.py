"""The word-level tokenizer against WikiText-2 itself, and against unkind input."""

import json
import random
import re
import sys
import time
import unicodedata

import pytest

from helpers.bpe import BPETokenizer
from helpers.text import UNSEEN, join_words, split_words
from helpers.tokenizer import (
    CLS,
    MASK,
    SEP,
    SPECIALS,
    UNK,
    WordTokenizer,
    most_frequent_words,
)

# What a person types, how WikiText writes it, and how it is shown again if that
# differs from what was typed.
TYPED = [
    ("I don't think it's John's.", "I don 't think it 's John 's .", None),
    ("a state-of-the-art car", "a state @-@ of @-@ the @-@ art car", None),
    ("1,000,000 men ran 3.5 km", "1 @,@ 000 @,@ 000 men ran 3 @.@ 5 km", None),
    ("(see [1]); yes!", "( see [ 1 ] ) ; yes !", None),
    ('"Come in," he said.', '" Come in , " he said .', None),
    ("'Hello,' she said. 'I don't!'", "' Hello , ' she said . ' I don 't ! '", None),
    ("the Knights' coach", "the Knights ' coach", None),
    ("rock 'n' roll in the '80s", "rock ' n ' roll in the ' 80s", None),
    ("O'Brien and d'Andrade", "O 'Brien and d 'Andrade", None),
    ("Dr. J. Smith left the U.S.", "Dr. J. Smith left the U.S.", None),
    ("He is No. 5, not No. He", "He is No. 5 , not No . He", None),
    ("Jones Jr. was here. Jones Jr. Then", None, None),
    ("at 10:30 a.m. in 1950–51", "at 10 : 30 a.m. in 1950 – 51", None),
    ("it cost $5 (£4) or 80%", "it cost $ 5 ( £ 4 ) or 80 %", None),
    ("wait... what", "wait ... what", "wait ... what"),
    ("first- and second-hand", "first- and second @-@ hand", None),
    ("About.com. Then", "About.com . Then", None),
    ("and/or", "and / or", None),
    (
        "I’m ‘Bob’, a “star” now",
        "I 'm ' Bob ' , a \" star \" now",
        "I'm 'Bob', a \"star\" now",
    ),
    ("<unk>-based, 25,<unk>", "<unk> @-@ based , 25 @,@ <unk>", None),
    ("  much \t space \n", "much space", "much space"),
    ("cafe\u200b\u0301, a\u0323\u3164\u0302 ;", "café , ậ ;", "café, ậ;"),
    ("🇩🇪🇫🇷🇩🇪!🇩", "🇩🇪 🇫🇷 🇩🇪 ! 🇩", "🇩🇪 🇫🇷 🇩🇪! 🇩"),
    (",\u200da ...\u200d☕b", ", a ... ☕ b", ", a ... ☕ b"),
    ("\ufeffThe co\u00adop \u200b\u2060 is", "The coop is", "The coop is"),
    ("\u202ea\u202c \0 b\u200d \u200c", "a b", "a b"),
    ("می\u200cخواهم 👨\u200d👩\u200d👧!", "می\u200cخواهم 👨\u200d👩\u200d👧 !", None),
    ("क\u094d\u200dष ❤\ufe0f", "क\u094d\u200dष ❤", "क\u094d\u200dष ❤"),
    ("👍👍a☕b!__", "👍 👍 a ☕ b ! _ _", "👍 👍 a ☕ b! _ _"),
    ("a \u0301 b", "a \u0301 b", None),
    ("👍🏽👍a\u0301b", "👍🏽 👍 \u00e1b", "👍🏽 👍 \u00e1b"),
    ("the[MASK]'s (___)", "the [MASK] 's ( ___ )", "the [MASK]'s (___)"),
    ("Beyonce\u0301's \u212b", "Beyonc\u00e9 's \u00c5", "Beyonc\u00e9's \u00c5"),
    ("½ ² Ⅷ ٣,٤ 3.5 1,000,000 x² a.b.c U.S. A.1", None, None),
    (
        "Z\u0351\u036balgo\u0300\u0301\u0302 x\u030c.y e\u0329\u0301 ːˑː",
        None,
        "Z\u0351\u036balgò\u0301\u0302 x\u030c.y \u00e9\u0329 ːˑː",
    ),
    ("a\u200d" * 50_000, "a\u200d" * 49_999 + "a", "a\u200d" * 49_999 + "a"),
]
SMALL = WordTokenizer.train(["the cat saw the dog .", "the dog , <unk> [MASK]"], 11)


@pytest.mark.parametrize("typed, words, shown", TYPED, ids=range(len(TYPED)))
def test_typed_text_is_split_as_wikitext_is(typed, words, shown):
    if words is not None:
        assert " ".join(split_words(typed)) == words
    assert join_words(split_words(typed)) == (shown or typed)


def test_what_nobody_sees_is_no_word():
    signs = [chr(i) for i in range(sys.maxunicode + 1)]
    of = {sign: unicodedata.category(sign) for sign in signs}
    unseen = {s for s in signs if of[s] in ("Cc", "Cf") and not s.isspace()}
    unseen |= {s for s in signs if "VARIATION SELECTOR" in unicodedata.name(s, "")}
    unseen |= {*"\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"}
    assert len(unseen) > 400 and {"\u200d", "\ufeff", "\xad", "\0"} < unseen
    for sign in unseen:
        assert split_words(f"{sign} a{sign} {sign}b {sign}") == ["a", "b"], ascii(sign)
        assert sign in "\u200c\u200d" or split_words(f"a{sign}b") == ["ab"]
    seen = [s for s in signs if UNSEEN.match(s) and s not in unseen]
    assert {of[sign] for sign in seen} <= {"Cn", "Cf"}  # what Unicode has in reserve
    parts = [sign for sign in signs if sign.isspace()]
    assert all(split_words(f"a{sign}b") == ["a", "b"] for sign in parts)
    lines = ["\ufeff a \u200b", "\ufeff b \xad \u200d"]
    assert most_frequent_words(lines, 9) == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "👍🏽 👨‍👩‍👧 👩🏽‍🚀 🏳️‍🌈 🇩🇪 1️⃣ ❤️ ☕ 🏴\U000e0067\U000e0062\U000e0065\U000e007f",
        "हिन्दी சிங்கம் ภาษาไทย שָׁלוֹם مُحَمَّد می‌خواهم क्\u200dष",
        "the ___ and [MASK] ______",
    ],
)
def test_what_is_seen_as_one_stays_one_word(text):
    whole = unicodedata.normalize("NFC", text).replace("\ufe0f", "")
    assert split_words(text) == whole.split(" ")
    close = split_words(whole.replace(" ", "!"))
    assert [word for word in close if word != "!"] == whole.split(" ")


def test_words_of_odd_signs_stay_too():
    draw = random.Random(0)
    signs = [*"ab7é🇩🇪👍🏽☕,-;_ˑष", "...", "___", "[MASK]", "<unk>", " "]
    signs += [*"\u200b\u200c\u200d\u0301\u094d\u3164"]
    for _ in range(20_000):
        text = "".join(draw.choices(signs, k=6))
        words = split_words(text)
        assert "" not in words and split_words(" ".join(words)) == words, ascii(text)


LONG = "word ", "x", "'x", "' ", "'a ", "No. ", "A.", "-", "\xad"
LONG += "\u200d", "\u200d ", "a\u200d"
UNKIND = [
    "",
    "\0 \x1c\x1d\x85 \xa0 \u3000 \n\t",
    "😀👨‍👩‍👧 🏳️‍🌈 👍🏽 👩🏽‍🚀 🇩🇪🇫🇷🇩🇪!🇩 1️⃣ ❤️ ☕",
    "🏴\U000e0067\U000e0062\U000e0065\U000e007f!",
    "שלום עולם. مرحبا हिन्दी சிங்கம் ภาษาไทย שָׁלוֹם مُحَمَّد می\u200cخواهم क्\u200dष",
    "你好,世界。\u202eabc\u2066",
    "<b>bold</b> &amp; <script>alert(1)</script>",
    "the[MASK]'s (___) ______ and ___",
    *(piece * 20_000 for piece in LONG),
]


@pytest.mark.parametrize(
    "text", [*UNKIND, "\ud800 \udfff"], ids=lambda text: ascii(text[:12])
)
def test_unkind_text_gives_a_result_soon(text):
    start = time.process_time()
    words, ids = split_words(text), SMALL.encode(text)
    unseen = r"[\0\xad\u200d\u202e\u2066\ufe0f\s]"
    assert re.sub(unseen, "", "".join(words)) == re.sub(unseen, "", text)
    assert len(ids) == len(words) and isinstance(join_words(words), str)
    assert isinstance(SMALL.decode(ids), str)
    assert time.process_time() - start < 2


def test_text_never_becomes_a_special_token():
    assert set(SMALL.encode("[MASK] [PAD] [CLS]")) == {UNK}
    assert SMALL.encode([*SPECIALS, "<unk>"]) == [UNK] * 6
    assert SMALL.decode([CLS, 5, MASK, SEP]) == "[CLS] the [MASK] [SEP]"
    for i in (-1, 11):
        with pytest.raises(ValueError, match=f"no id {i}; ids go from 0 to 10"):
            SMALL.decode([i])


def test_a_saved_vocabulary_comes_back(tmp_path):
    odd = [*SPECIALS, "–", "naïve", "東京", "\ud800", "\u2028", '"', "\\"]
    WordTokenizer(odd).save(tmp_path / "a.json")
    assert WordTokenizer.load(tmp_path / "a.json").words == odd


DAMAGED = [
    b'{"words": ["[PAD]",',
    b"\xff\xfe",
    b"[" * 100_000,
    b"[1, 2]",
    b'{"words": "[PAD]"}',
    b'{"words": ["the", "of"]}',
    json.dumps({"words": [*SPECIALS, "a", "a"]}).encode(),
    json.dumps({"words": [*SPECIALS, 5]}).encode(),
    b'{"merges": [[5, 6, 7]]}',
    b'{"merges": [["a", "b"]]}',
    b'{"merges": [[5.0, 6.5]]}',
    b'{"merges": [[5, 261]]}',
    b'{"merges": [[-1, 6]]}',
    None,
]


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: str(content)[:20])
@pytest.mark.parametrize("kind", [WordTokenizer, BPETokenizer])
def test_a_damaged_or_foreign_file_is_refused(tmp_path, kind, content):
    path = tmp_path / "vocabulary.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"vocabulary\.json.*Save it again"):
        kind.load(path)
