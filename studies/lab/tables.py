"""How numbers with intervals are told in text, and tables."""


def plus_minus(interval: dict, digits: int, scale: float = 1.0, sign: str = "") -> str:
    """A mean and the half-width of its interval, if it has one: 2.894 ± 0.016."""
    text = f"{scale * interval['mean']:{sign}z.{digits}f}"  # z: a zero has no minus
    if interval["low"] is None:
        return text
    half_width = scale * (interval["high"] - interval["low"]) / 2
    return f"{text} ± {half_width:.{digits}f}"


def range_text(interval: dict, digits=2, scale=1.0, sign: str = "") -> str:
    """A mean and the ends of its interval, if it has one: +0.070 (+0.047 to +0.093)."""
    known = [end for k in ("mean", "low", "high") if (end := interval[k]) is not None]
    mean, *ends = (f"{scale * value:{sign}z.{digits}f}" for value in known)
    return f"{mean} ({' to '.join(ends)})" if ends else mean


def percent_text(share: float) -> str:
    """A share as text: 58 %."""
    return f"{100 * share:.0f} %"


def markdown_table(titles: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; a row that is too short is filled with empty cells."""
    lines = [titles, ["---"] * len(titles)]
    lines += [[*row, *[""] * (len(titles) - len(row))] for row in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
