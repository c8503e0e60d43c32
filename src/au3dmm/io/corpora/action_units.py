"""Read action units out of names: what a folder or a note says is shown, in one spelling."""

from __future__ import annotations

import re

_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
_JOINTS = (
    (re.compile(r"[()\[\]]"), ""),  # 12(L) is 12L
    (re.compile(r"\bAU[\s_]+(?=\d)", re.IGNORECASE), "AU"),
    (re.compile(r"(?<=\d)[\s_-]+(?=(?:left|right|[lr])(?![a-z0-9]))", re.IGNORECASE), "_"),
    (re.compile(r"\b(left|right)[\s_-]+(?:AU)?(?=\d)", re.IGNORECASE), r"\1_"),
    (re.compile(r"\b(?!left|right)[a-z]{3,}[\s_-]+\d+\b", re.IGNORECASE), ""),  # take 2
)
_SPLIT = re.compile(r"[+,;&/\s]+|[-_](?=AU\d)|(?<=[0-9a-z])-(?=[lru]?\d)", re.IGNORECASE)
_TOKEN = re.compile(
    r"""
    (?: (?P<word>left|right) _ )?
    (?P<before> [a-z]{0,3} )  # L12, R10A, U12 (one-sided), AU12, LAU12
    0* (?P<number> [1-9]\d? )
    (?P<after> [a-z]{0,3} )  # sides and intensities
    (?: _ (?P<side> left|right|l|r ) (?![a-z0-9]) )?
    (?: [_.-] .* )?  # the number of a take
    """,
    re.IGNORECASE | re.VERBOSE,
)
_PREFIXES = {"", "au", "ad", "a", "u", "t", "b", "l", "r", "lau", "rau"}


def parse_action_units(text: str) -> tuple[str, ...]:
    """Return the action units that a name speaks of, in order of number and side.

    Names are written by people: separators, sides before or after the number, letters of intensity and words of other
    kinds all occur. A letter L or R is the subject's left or right; A to E are intensities and dropped, like all other
    letters (FACS writes U for one-sided, T and B for top and bottom of the lips). What is no action unit is passed
    over, never an error. Zero and numbers of three digits are none.

    Parameters
    ----------
    text : str
        Like ``1+2+5`` (D3DFACS), ``4L+12R`` or ``AU6 + AU12``.

    Returns
    -------
    tuple of str
        Like ``("AU1", "AU2_left")``, each once.

    Examples
    --------
    >>> for text in ("1+2", "1+2+4+5+11+17+38", "25+12+25", "AU6 + AU12", "au01_au02", "6,12", "1-2"):
    ...     print(f"{text:18}", *parse_action_units(text))
    1+2                AU1 AU2
    1+2+4+5+11+17+38   AU1 AU2 AU4 AU5 AU11 AU17 AU38
    25+12+25           AU12 AU25
    AU6 + AU12         AU6 AU12
    au01_au02          AU1 AU2
    6,12               AU6 AU12
    1-2                AU1 AU2
    >>> for text in ("4L+12R", "L12", "R10A+25", "AU12_left", "12 right", "left AU12", "12LE", "12(r)", "2+2L", "12LR"):
    ...     print(f"{text:18}", *parse_action_units(text))
    4L+12R             AU4_left AU12_right
    L12                AU12_left
    R10A+25            AU10_right AU25
    AU12_left          AU12_left
    12 right           AU12_right
    left AU12          AU12_left
    12LE               AU12_left
    12(r)              AU12_right
    2+2L               AU2 AU2_left
    12LR               AU12
    >>> for text in ("12b", "12E", "12i", "u12", "12_2", "1+2_take3", "26 open", "smile+12", "take 2", "sentence01"):
    ...     print(f"{text:18}", *parse_action_units(text))
    12b                AU12
    12E                AU12
    12i                AU12
    u12                AU12
    12_2               AU12
    1+2_take3          AU1 AU2
    26 open            AU26
    smile+12           AU12
    take 2
    sentence01
    """
    for pattern, replacement in _JOINTS:
        text = pattern.sub(replacement, text)
    found: set[tuple[int, str]] = set()
    for token in _SPLIT.split(text):
        match = _TOKEN.fullmatch(token)
        if match is not None and match["before"].lower() in _PREFIXES:
            found.add((int(match["number"]), _side(match)))
    return tuple(f"AU{number}" + (f"_{side}" if side else "") for number, side in sorted(found))


def _side(match: re.Match[str]) -> str:
    letters = [*match["before"].lower().removesuffix("au"), *match["after"]]
    words = [word.lower() for word in (*letters, match["word"] or "", match["side"] or "")]
    sides = {_SIDES[word] for word in words if word in _SIDES}
    return sides.pop() if len(sides) == 1 else ""  # both sides are no side
