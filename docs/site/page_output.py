"""Is this the output that the page shows? The rules, which docs/these-pages.md gives to authors.

- Text is compared word by word: line breaks, columns and the lines of tables do not matter.
- `…` as a word stands for any words, within a word for any characters.
- A number may differ by 5 %, or by 1 in its last shown digit. Scores of a fit differ between processors.
- A number with a unit of time, memory or rate may be any number; so may a date; hexadecimal ids may be any id.
"""

from __future__ import annotations

import re

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_LINES = str.maketrans(dict.fromkeys("─│┃━┏┓┗┛┡┩╇┳┻┴┬└┘┌┐├┤┼╭╮╰╯╡╞╪", " "))
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
_ID = re.compile(r"\b[0-9a-f]{8,}\b")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.+Z]+)?")
_UNIT = re.compile(r"^[\W]*(?:s|ms|min|h|d|MiB|MB|GiB|GB|KiB|KB|bytes|images/s|it/s|%)\b")
_TOLERANCE = 0.05
_GAP = "…"


def difference(shown: str, printed: str) -> str:
    """Say where the printed text departs from the shown one; empty where it does not."""
    actual = words(printed)
    parts = _segments(words(shown))
    position = 0
    for number, part in enumerate(parts):
        first, last = number == 0, number == len(parts) - 1
        if not part:
            position = len(actual) if last and number else position
            continue
        end = len(actual) - len(part)
        starts = [position] if first else [end] if last else range(position, end + 1)
        start = next((at for at in starts if at >= position and _same(part, actual[at : at + len(part)])), None)
        if start is None:
            return _departure(part, actual[position:] if not first else actual)
        position = start + len(part)
    beyond = " ".join(actual[position : position + 30])
    return f"printed beyond what is shown: {beyond}" if beyond else ""


def words(text: str) -> list[str]:
    """Return the words of a text, without colours and the lines of tables."""
    return _ANSI.sub("", text).translate(_LINES).split()


def _segments(shown: list[str]) -> list[list[str]]:
    """Return the words between the gaps."""
    parts: list[list[str]] = [[]]
    for word in shown:
        if word == _GAP:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _same(part: list[str], actual: list[str]) -> bool:
    if len(part) != len(actual):
        return False
    following = [*part[1:], ""]
    return all(
        alike(a, b, measured=bool(_UNIT.match(after))) for a, b, after in zip(part, actual, following, strict=True)
    )


def alike(shown: str, printed: str, *, measured: bool = False) -> bool:
    """Return whether two words are the same but for what may differ. `measured`: a unit follows."""
    shown, printed = (_ID.sub("ID", _DATE.sub("DATE", word)) for word in (shown, printed))
    if _GAP in shown:
        return re.fullmatch(".*".join(re.escape(part) for part in shown.split(_GAP)), printed) is not None
    if _NUMBER.sub("#", shown) != _NUMBER.sub("#", printed):
        return False
    attached = bool(re.search(r"\d(?:s|ms|MiB|MB|GB|KB)\W*$", shown))
    if measured or attached:
        return True
    return all(_near(a, b) for a, b in zip(_NUMBER.findall(shown), _NUMBER.findall(printed), strict=True))


def _near(shown: str, printed: str) -> bool:
    a, b = (float(text.replace(",", "")) for text in (shown, printed))
    decimals = len(shown.partition(".")[2].partition("e")[0])
    return abs(a - b) <= max(_TOLERANCE * abs(a), 1.000001 * 10**-decimals if decimals else 0)


def _departure(part: list[str], actual: list[str]) -> str:
    """Return the first word of a part that has no counterpart where most of the words before it have one."""
    best, where = 0, 0
    for at in range(len(actual)):
        count = 0
        for a, b, after in zip(part, actual[at:], [*part[1:], ""], strict=False):
            if not alike(a, b, measured=bool(_UNIT.match(after))):
                break
            count += 1
        if count > best:
            best, where = count, at
    shown = " ".join(part[max(best - 4, 0) : best + 8])
    printed = " ".join(actual[max(where + best - 4, 0) : where + best + 8])
    return f"shown: {shown!r}; printed: {printed!r}"
