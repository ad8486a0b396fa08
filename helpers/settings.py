"""Settings are honoured or refused.

The values that a setting may have are a container: a `NumberSetting`, or a tuple of
names.
"""

import math
import numbers
import sys
from collections.abc import Container
from dataclasses import dataclass


@dataclass(frozen=True)
class NumberSetting:
    """The finite numbers from `low` to `high`; only whole ones if `kind` is int.

    With `open` the lower end itself does not belong.
    """

    low: float = -math.inf
    high: float = math.inf
    kind: type = float
    open: bool = False

    @classmethod
    def whole(cls, low: int, high: int = 10**9) -> "NumberSetting":
        """The whole numbers from `low` to `high`; beyond a billion it is a slip."""
        return cls(low, high, int)

    def __contains__(self, value) -> bool:
        real = numbers.Integral if self.kind is int else numbers.Real
        if not isinstance(value, real) or isinstance(value, bool):
            return False
        value = value if isinstance(value, int) else float(value)
        above = self.low < value if self.open else self.low <= value
        return above and value <= self.high and abs(value) <= sys.float_info.max

    def __str__(self) -> str:
        what = "a whole number" if self.kind is int else "a number"
        if self.low > -math.inf:
            what += f" above {self.low:,}" if self.open else f" from {self.low:,}"
        return what + (f" up to {self.high:,}" if self.high < math.inf else "")


POSITIVE, SHARE = NumberSetting(0, open=True), NumberSetting(0, 1)


class SettingError(ValueError):
    """A setting that cannot be honoured: its name, its value, and what can."""

    def __str__(self) -> str:
        name, value, wanted = self.args
        if isinstance(wanted, tuple):
            wanted = " or ".join(map(repr, wanted))
        return f"{name} is {value!r}; choose {wanted}."


def require_settings(settings, **allowed: Container) -> None:
    """Raises SettingError for the first attribute that has a value not allowed.

    NumPy's values and the like become Python's own: equal settings are one run, and a
    record can hold them.
    """
    for name, values in allowed.items():
        if (value := getattr(settings, name)) not in values:
            raise SettingError(name, value, values)
        if isinstance(values, tuple):
            value = values[values.index(value)]
        elif isinstance(values, NumberSetting) and type(value) not in (int, float):
            value = values.kind(value)
        object.__setattr__(settings, name, value)
