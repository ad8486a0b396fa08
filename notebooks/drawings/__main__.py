"""Writes all drawings to plots/drawings: `python -m notebooks.drawings`."""

from helpers.files import write_file
from notebooks.drawings import (
    FOLDER,
    attention,
    engineering,
    masking,
    model,
    positions,
    series,
    text,
    training,
)
from notebooks.drawings.svg import Drawing

MODULES = attention, engineering, masking, model, positions, series, text, training
ENDING = "_drawing"  # of the functions that draw


def all_drawings() -> dict[str, Drawing]:
    """Each drawing under its name, which is that of its function without the ending."""
    return {
        name.removesuffix(ENDING): draw()
        for module in MODULES
        for name, draw in vars(module).items()
        if name.endswith(ENDING)
    }


def main() -> None:
    """Draws all and writes those that changed."""
    for name, drawing in all_drawings().items():
        path, content = FOLDER / f"{name}.svg", drawing.svg()
        if not path.exists() or path.read_text("utf-8") != content:
            write_file(path, content)
            print(f"{name}.svg was written.")


if __name__ == "__main__":
    main()
