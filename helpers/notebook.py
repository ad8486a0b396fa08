"""What surrounds a lesson: its budget, its checks and their ledger."""

import os

verified: dict[str, str] = {}


def budget() -> str:
    """Returns what fits the machine: "full" with a GPU, else "quick".

    MINI_TRANSFORMER_BUDGET overrides it; ValueError if it is neither.
    """
    chosen = os.environ.get("MINI_TRANSFORMER_BUDGET")
    if chosen is None:
        import torch  # which a lesson without models does not wait for

        return "full" if torch.cuda.is_available() else "quick"
    if chosen not in ("quick", "full"):
        raise ValueError(
            f"MINI_TRANSFORMER_BUDGET is {chosen!r}; choose 'quick' or 'full'."
        )
    return chosen


def check(claim: str, condition, numbers: str = "") -> None:
    """Verifies a claim of the text: prints one line, or raises AssertionError.

    The condition is True or False, of Python, NumPy or PyTorch; else TypeError.
    """
    kind = str(getattr(condition, "dtype", type(condition).__name__))
    if kind.removeprefix("torch.") != "bool" or getattr(condition, "shape", ()) != ():
        raise TypeError(f"The condition of {claim!r} is not one truth value.")
    line = f"{claim} ({numbers})" if numbers else claim
    if not condition:
        verified.pop(claim, None)
        raise AssertionError(
            f"✗ {line}. If you changed a cell above, that may be why; "
            "otherwise restart and run all cells in order."
        )
    verified[claim] = numbers
    print(f"✓ {line}")


def ledger() -> None:
    """Prints how many claims of this notebook have been verified."""
    print(f"{len(verified)} claims verified.")
