"""Durations and moments, as people write and read them.

Command line, pure.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", re.IGNORECASE)
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def parse_duration(text: str) -> float:
    """Read `90`, `1.5`, `500ms`, `30s`, `10m`, `2h` or `1d`; returns seconds, >= 0.

    Raises:
        ValueError: it is none of these; the text is fit to be shown.
    """
    match = _DURATION.fullmatch(text.strip())
    factor = _UNITS.get(match[2].lower() or "s") if match else None
    seconds = float(match[1]) * factor if match and factor else math.nan
    if not match or not factor or not math.isfinite(seconds):
        raise ValueError(f"{text!r} is no duration; write 90, 1.5, 500ms, 30s, 10m, 2h or 1d")
    return seconds


def duration(seconds: float) -> str:
    """Write a duration with two figures that matter: `12 ms`, `3.4 s`, `2 min 5 s`, `3 d 4 h`."""
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return _pair(whole, _MINUTE, "min", 1, "s")
    if whole < _DAY:
        return _pair(whole, _HOUR, "h", _MINUTE, "min")
    return _pair(whole, _DAY, "d", _HOUR, "h")


def _pair(whole: int, large: int, large_name: str, small: int, small_name: str) -> str:
    rest = whole % large // small
    return f"{whole // large} {large_name}" + (f" {rest} {small_name}" if rest else "")


def moment(at: datetime) -> str:
    """Write a moment: UTC, to the millisecond, so that texts sort as times do."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"


def age(at: datetime, now: datetime) -> str:
    """Write how long ago a moment was, in one figure: `45 s`, `3 min`, `2 h`, `4 d`."""
    # Redis' clock and ours may differ a little.
    seconds = max(0.0, (now - at).total_seconds())
    for size, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {name}"
    return f"{seconds:.0f} s"
