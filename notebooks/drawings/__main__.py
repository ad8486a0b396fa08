"""Writes all drawings to plots/drawings: `python -m notebooks.drawings`."""

from helpers.files import write_whole
from notebooks.drawings import (
    FOLDER,
    attention,
    engineering,
    model,
    positions,
    text,
    training,
)
from notebooks.drawings.kit import Drawing

DRAWINGS = (
    *(text.series_map, text.bert_and_gpt, text.text_to_rows, text.merge_tree),
    *(attention.attention, attention.heads, attention.padding_mask, positions.rotary),
    *(model.block, model.model, model.masking, training.packing),
    *(training.training_step, positions.rollout, training.paired_seeds),
    *(engineering.processes, engineering.checkpoint),
)


def drawings() -> dict[str, Drawing]:
    """Each drawing under its name."""
    return {draw.__name__: draw() for draw in DRAWINGS}


def main() -> None:
    """Draws all and writes those that changed."""
    for name, drawing in drawings().items():
        path, content = FOLDER / f"{name}.svg", drawing.svg()
        if not path.exists() or path.read_text("utf-8") != content:
            write_whole(path, content)
            print(f"{name}.svg was written.")


if __name__ == "__main__":
    main()
