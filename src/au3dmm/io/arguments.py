"""Check arguments that callers of the Python interface give."""

from __future__ import annotations

import operator
from typing import Any

from au3dmm.errors import ConfigError


def whole_number(name: str, value: Any) -> int:
    """Return an argument as an int.

    Parameters
    ----------
    name : str
        What the argument is called, for the message.
    value : int
        Python's or numpy's.

    Raises
    ------
    ConfigError
        If it is anything else: a fraction, a truth value, text.

    Examples
    --------
    >>> import numpy as np
    >>> whole_number("first", np.uint8(7))
    7
    >>> whole_number("step_us", 1e4)
    Traceback (most recent call last):
        ...
    au3dmm.errors.ConfigError: step_us is 10000.0, expected a whole number (int)
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError as err:
        raise ConfigError(f"{name} is {value!r}, expected a whole number (int)") from err
