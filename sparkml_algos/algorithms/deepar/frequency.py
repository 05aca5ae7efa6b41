"""How far apart the steps of series are: their times, what the calendar says of them, and the lags worth looking at.

Times are those of a clock without a time zone. All of it is arithmetic on whole numbers, a step being so many minutes, hours, days, weeks
or months.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

#: The units that the specification has, and what they are called.
UNITS = {"min": "minutes", "H": "hours", "D": "days", "W": "weeks", "M": "months"}

_FORM = re.compile(r"([1-9][0-9]*)?(min|[HDWM])")
# Microseconds of a unit; months have none.
_MICROSECONDS = {"min": 60_000_000, "H": 3_600_000_000, "D": 86_400_000_000, "W": 604_800_000_000}
# The last steps before a step that are looked at whatever the unit.
_RECENT = 7
# Cycles that are longer than a step, in units, and how many of them are looked back: those of the day, the week, the month and the year.
_CYCLES: Mapping[str, Sequence[tuple[int, int]]] = {
    "min": ((60, 3), (1440, 7), (10080, 4)),
    "H": ((24, 7), (168, 4), (720, 1)),
    "D": ((7, 4), (30, 2), (364, 2)),
    "W": ((4, 3), (52, 3)),
    "M": ((12, 3),),
}
# What the calendar says of a step, by unit, as the specification has it.
_PARTS: Mapping[str, Sequence[str]] = {
    "min": ("minute_of_hour", "hour_of_day", "day_of_week", "day_of_month", "day_of_year"),
    "H": ("hour_of_day", "day_of_week", "day_of_month", "day_of_year"),
    "D": ("day_of_week", "day_of_month", "day_of_year"),
    "W": ("day_of_month", "week_of_year"),
    "M": ("month_of_year",),
}


@dataclass(frozen=True)
class Frequency:
    """So many units from step to step.

    Parameters
    ----------
    unit : str
        A key of `UNITS`.
    multiple : int
    """

    unit: str
    multiple: int = 1

    @classmethod
    def parse(cls, text: str) -> Frequency:
        """Of a text such as ``H`` or ``5min``.

        Raises
        ------
        ValueError
            If it is none.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(f"time_freq must be a whole number, or none, and one of {', '.join(UNITS)}, such as 5min, got {text!r}")
        return cls(match[2], int(match[1] or 1))

    def __str__(self) -> str:
        return f"{self.multiple if self.multiple > 1 else ''}{self.unit}"

    @property
    def seconds(self) -> int | None:
        """Of a step; None of months."""
        return None if self.unit == "M" else _MICROSECONDS[self.unit] // 1_000_000 * self.multiple

    @property
    def lags(self) -> tuple[int, ...]:
        """How many steps back the values are that the network sees, ascending: the last ones, and those one cycle of the calendar ago, two,
        and so on, with their neighbours."""
        found = set(range(1, _RECENT + 1))
        for units, times in _CYCLES[self.unit]:
            if units > self.multiple:
                found |= {round(units * k / self.multiple) + beside for k in range(1, times + 1) for beside in (-1, 0, 1)}
        return tuple(sorted(lag for lag in found if lag > 0))

    @property
    def season(self) -> int:
        """Steps of the shortest cycle of the calendar: a day of hours, a week of days; 1 where none is a whole number of steps."""
        first = {"min": 1440, "H": 24, "D": 7, "W": 52, "M": 12}[self.unit]
        return first // self.multiple if first % self.multiple == 0 and first > self.multiple else 1

    @property
    def num_calendar(self) -> int:
        """Numbers that `calendar` gives of a step."""
        return 2 * len(_PARTS[self.unit])

    def times(self, start: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """The times of steps, datetime64[us], of the shape that both broadcast to.

        Parameters
        ----------
        start : ndarray of datetime64[us]
            Of step 0.
        steps : ndarray of int
            May be negative.
        """
        if self.unit != "M":
            return start + (steps * (_MICROSECONDS[self.unit] * self.multiple)).astype("timedelta64[us]")
        month = start.astype("datetime64[M]")
        day = np.timedelta64(1, "D").astype("timedelta64[us]")
        within = start - month.astype("datetime64[us]")
        date, time = within - within % day, within % day
        moved = month + steps.astype(np.int64) * self.multiple
        # As calendars do: a month after the 30th of January is the last of February. Ends of months are followed by ends of months.
        last = _last_day(moved)
        return moved.astype("datetime64[us]") + np.where(date == _last_day(month), last, np.minimum(date, last)) + time

    def calendar(self, start: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """What the calendar says of steps: the place in each cycle, as the sine and the cosine of an angle.

        Parameters
        ----------
        start : ndarray of datetime64[us], shape (series,)
        steps : ndarray of int, shape (series, steps)

        Returns
        -------
        ndarray of float32, shape (num_calendar, series, steps)
        """
        found = np.empty((self.num_calendar, *steps.shape), np.float32)
        shares = _shares(self.times(start[:, None], steps), _PARTS[self.unit])
        for place, share in enumerate(shares):
            angle = (2 * np.pi * share).astype(np.float32)
            np.sin(angle, out=found[2 * place])
            np.cos(angle, out=found[2 * place + 1])
        return found


def _last_day(months: np.ndarray) -> np.ndarray:
    """How far the last day of months, datetime64[M], is from their first, timedelta64[us]."""
    return (months + 1).astype("datetime64[us]") - months.astype("datetime64[us]") - np.timedelta64(1, "D")


def _shares(times: np.ndarray, parts: Sequence[str]) -> list[np.ndarray]:
    """How far each time is in its hour, day, week, month, year: from 0 to below 1."""
    seconds = times.astype("datetime64[s]").astype(np.int64)
    days = seconds // 86400
    found: dict[str, np.ndarray] = {}
    if "minute_of_hour" in parts:
        found["minute_of_hour"] = seconds // 60 % 60 / 60
    if "hour_of_day" in parts:
        found["hour_of_day"] = seconds // 3600 % 24 / 24
    if "day_of_week" in parts:
        found["day_of_week"] = (days + 3) % 7 / 7  # the first of January 1970 was a Thursday
    dates = days.astype("datetime64[D]")
    if "day_of_month" in parts:
        found["day_of_month"] = (dates - dates.astype("datetime64[M]")).astype(np.int64) / 31
    if "day_of_year" in parts or "week_of_year" in parts:
        day = (dates - dates.astype("datetime64[Y]")).astype(np.int64)
        found["day_of_year"], found["week_of_year"] = day / 366, day // 7 / 53
    if "month_of_year" in parts:
        found["month_of_year"] = dates.astype("datetime64[M]").astype(np.int64) % 12 / 12
    return [found[part] for part in parts]
