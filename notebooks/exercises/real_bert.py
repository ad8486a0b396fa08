"""Graders of notebook 09."""

from interop.weight_names import BERT, their_weight_name
from notebooks.exercises import exercise
from notebooks.exercises.model import model_exercise_parameters


@exercise("9.1")
def grade_bert_weights(answer):
    for sizes in ((47, 19, 3, 30, 22), (30_522, 512, 12, 768, 3_072)):
        V, T, N, D, F = sizes
        # Two small models give the size of a block; BERT-base need not be built.
        one, two = (model_exercise_parameters(6, 3, D, F, n) for n in (1, 2))
        block = two - one
        want = (V + T + 2) * D + 2 * D + N * block
        if (found := answer(*sizes)) != want:
            gap = abs(found - want)
            return (
                f"For N = {N}, D = {D} and F = {F} you are off by {gap:,}, which is "
                f"{gap / D:g} times D. Look at the biases, the LayerNorms and the "
                "segments."
            )


@exercise("9.2")
def grade_bert_names(answer):
    for number in (0, 3, 11):
        for module in (name for name in BERT if name.startswith("blocks.")):
            for kind in ("weight", "bias"):
                ours = f"{module.format(number)}.{kind}"
                if (found := answer(ours)) != their_weight_name(ours, BERT):
                    return f"{ours} becomes {found}, which is not its name in BERT."


PIECES = {*"un play ##play ##able ##ed ##e ##d ##s able p ##l".split()}
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
        if (found := answer(word, PIECES)) == want:
            continue
        if want == ["[UNK]"]:
            return (
                f"{word!r} becomes {found}. If nothing fits, the whole word is one "
                "[UNK], even if a piece was found for its beginning."
            )
        return f"{word!r} becomes {found}. At each step, which is the longest piece?"
