"""Graders of notebook 09."""

from interop.weight_names import BERT, their_weight_name
from notebooks.exercises import CountedPieces, exercise
from notebooks.exercises.model import (
    model_exercise_block,
    model_exercise_parameters,
)


@exercise("9.1")
def grade_bert_weights(answer):
    for sizes in ((47, 19, 3, 30, 22), (30_522, 512, 12, 768, 3_072)):
        V, T, N, D, F = sizes
        # Two small models give the size of a block; BERT-base need not be built.
        one, two = (model_exercise_parameters(6, 3, D, F, n) for n in (1, 2))
        block = two - one
        want = (V + T + 2) * D + 2 * D + N * block
        found, more = answer(*sizes), answer(V, T, N + 1, D, F)
        if more - found != block:
            return model_exercise_block(D, F, block, more - found)
        if found != want:
            gap = f"{abs(found - want):,} too {'many' if found > want else 'few'}"
            return (
                f"The encoder blocks are right. For V, T, N, D, F = {sizes}, the rest "
                f"has {gap}. Look at the segments and at the LayerNorm of the "
                "embedding; the head does not count."
            )


@exercise("9.2")
def grade_bert_names(answer):
    for number in (0, 3, 11):
        for module in (name for name in BERT if name.startswith("blocks.")):
            for kind in ("weight", "bias"):
                ours = f"{module.format(number)}.{kind}"
                if (found := answer(ours)) != their_weight_name(ours, BERT):
                    return f"{ours} becomes {found}, which is not its name in BERT."


PIECES = CountedPieces("un play ##play ##able ##ed ##e ##d ##s able p ##l".split())
CUTS = {
    "play": ["play"],
    "played": ["play", "##ed"],
    "plays": ["play", "##s"],
    "unplayable": ["un", "##play", "##able"],
    "able": ["able"],
    "pled": ["p", "##l", "##ed"],
    "playing": ["[UNK]"],
    "xplay": ["[UNK]"],
}


@exercise("9.3")
def grade_bert_wordpiece(answer):
    for word, want in CUTS.items():
        if not isinstance(found := answer(word, PIECES), list):
            return f"the answer is a list of pieces, not {found!r}."
        if found == want:
            continue
        if want == ["[UNK]"]:
            return (
                f"{word!r} becomes {found}. If nothing fits, the whole word is one "
                "[UNK], even if a piece was found for its beginning."
            )
        return f"{word!r} becomes {found}. At each step, which is the longest piece?"
