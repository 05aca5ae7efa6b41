"""When a monitor looks: the service's expressions of six fields, in UTC, and what other schedulers call the same.

The fields are minutes, hours, day of the month, month, day of the week and year. The service takes ``cron(0 * ? * * *)``,
``cron(0 HH ? * * *)``, ``cron(0 HH/N ? * * *)`` and ``NOW``; here each field may be ``*``, ``?``, a number, a range, steps, or a list of
these.
"""

from __future__ import annotations

import calendar
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from datetime import time as clock

NOW = "NOW"
_MONTHS = {name: i + 1 for i, name in enumerate(("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"))}
_DAYS = {name: i + 1 for i, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))}
_HOURS, _LAST_HOUR = 24, 23
_EXPRESSION = re.compile(r"cron\((.*)\)")
_PART = re.compile(r"(\*|\?|(\w+)(?:-(\w+))?)(?:/(\d+))?")


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    words: tuple[tuple[str, int], ...] = ()


_FIELDS = (
    _Field("minutes", 0, 59),
    _Field("hours", 0, _LAST_HOUR),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, tuple(_MONTHS.items())),
    _Field("day of the week", 1, 7, tuple(_DAYS.items())),
    _Field("year", 1970, 2199),
)


@dataclass(frozen=True)
class Cron:
    """Times of a schedule, in UTC.

    Parameters
    ----------
    expression : str
        Six fields, in ``cron(…)`` or bare. Days of the week are 1 (Sunday) to 7, or ``SUN`` to ``SAT``. One of both days is ``?``.

    Raises
    ------
    ValueError
        If a field is not what it may be, or the time never comes.

    Notes
    -----
    ``HH/N`` of hours is every N hours from HH on, over midnight too, as the service has it: ``17/12`` is 17 and 5. Of any other field it
    goes to the end of the field, as elsewhere. Where N does not divide 24, hours begin anew with HH each day.

    Examples
    --------
    >>> Cron("cron(0 17/12 ? * * *)").crontab()
    '0 5,17 * * *'
    """

    expression: str
    # The fields as texts, and the values that each allows, ascending.
    _texts: tuple[str, ...] = field(init=False, repr=False, compare=False, default=())
    _values: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        found = _EXPRESSION.fullmatch(self.expression.strip())
        texts = (found[1] if found else self.expression).split()
        if len(texts) != len(_FIELDS):
            names = ", ".join(one.name for one in _FIELDS)
            raise ValueError(f"a cron expression has six fields ({names}); {self.expression!r} has {len(texts)}")
        if not {"?", "*"} & {texts[2], texts[4]}:
            raise ValueError(f"{self.expression!r}: one of day of the month and day of the week is '?', for they cannot hold both")
        values = tuple(_values(text, one) for text, one in zip(texts, _FIELDS, strict=True))
        object.__setattr__(self, "_texts", tuple(texts))
        object.__setattr__(self, "_values", values)
        if next(self._days(date.min), None) is None:
            raise ValueError(f"{self.expression!r}: there is no such time")

    def following(self, time: datetime) -> datetime:
        """The first time of the schedule after a time.

        Parameters
        ----------
        time : datetime
            Without a zone it is UTC.

        Raises
        ------
        ValueError
            If there is none any more.
        """
        found = next(self._after(utc(time)), None)
        if found is None:
            raise ValueError(f"{self.expression!r}: there is no time after {time}")
        return found

    def last(self, time: datetime) -> datetime:
        """The last time of the schedule that is not after a time.

        Parameters
        ----------
        time : datetime

        Raises
        ------
        ValueError
            If there was none.
        """
        now = utc(time)
        for day in self._days(now.date(), back=True):
            times = [one for one in self._of_day(day) if one <= now]
            if times:
                return times[-1]
        raise ValueError(f"{self.expression!r}: there is no time before {time}")

    def between(self, start: datetime, end: datetime) -> list[datetime]:
        """Times after `start` and up to `end`.

        Parameters
        ----------
        start, end : datetime

        Returns
        -------
        list of datetime
        """
        found = []
        for one in self._after(utc(start)):
            if one > utc(end):
                break
            found.append(one)
        return found

    def crontab(self) -> str:
        """The five fields of crontab and of Airflow, which have no year, and 0 for Sunday; read in UTC.

        Raises
        ------
        ValueError
            If the expression is of some years only.
        """
        if self._texts[5] not in ("*", "?"):
            raise ValueError(f"{self.expression!r}: crontab has no years; it would run in all")
        minutes, hours, days, months, weekdays = (
            _crontab(values, one, 1 if one.name == "day of the week" else 0)
            for values, one in zip(self._values[:5], _FIELDS[:5], strict=True)
        )
        return f"{minutes} {hours} {days} {months} {weekdays}"

    def _after(self, time: datetime) -> Iterator[datetime]:
        for day in self._days(time.date()):
            yield from (one for one in self._of_day(day) if one > time)

    def _days(self, start: date, back: bool = False) -> Iterator[date]:
        """Days that have times, from one on, or from it backwards."""
        _, _, days, months, weekdays, years = (values[::-1] if back else values for values in self._values)
        years = tuple(year for year in years if (year <= start.year if back else year >= start.year))
        for year, month, day in itertools.product(years, months, days):
            if day > calendar.monthrange(year, month)[1]:
                continue
            found = date(year, month, day)
            if (found <= start if back else found >= start) and found.isoweekday() % 7 + 1 in weekdays:
                yield found

    def _of_day(self, day: date) -> list[datetime]:
        minutes, hours = self._values[:2]
        return [datetime.combine(day, clock(hour, minute), timezone.utc) for hour in hours for minute in minutes]


def hourly() -> Cron:
    """Every hour, at its beginning."""
    return Cron("cron(0 * ? * * *)")


def daily(hour: int = 0) -> Cron:
    """Every day at an hour.

    Parameters
    ----------
    hour : int
        0 to 23, in UTC.
    """
    return Cron(f"cron(0 {hour} ? * * *)")


def daily_every_x_hours(hour_interval: int, starting_hour: int = 0) -> Cron:
    """Every so many hours.

    Parameters
    ----------
    hour_interval : int
        1 to 24.
    starting_hour : int
        0 to 23, in UTC.
    """
    return Cron(f"cron(0 {starting_hour}/{hour_interval} ? * * *)")


def utc(time: datetime) -> datetime:
    """A time in UTC; one without a zone is taken for UTC."""
    return time.replace(tzinfo=timezone.utc) if time.tzinfo is None else time.astimezone(timezone.utc)


def _values(text: str, one: _Field) -> tuple[int, ...]:
    """What a field allows, ascending."""
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{one.name}: {part!r} is not a number, a range such as 1-5, steps such as 0/6, * or ?")
        every = int(match[4] or 1)
        if not every:
            raise ValueError(f"{one.name}: {part!r} has steps of 0")
        if match[1] in ("*", "?"):
            found |= set(range(one.low, one.high + 1, every))
            continue
        low = _number(match[2], one)
        if match[4] and not match[3] and one.name == "hours":
            if every > _HOURS:
                raise ValueError(f"hours: steps are 1 to {_HOURS}, not {every}")
            found |= {(low + step) % _HOURS for step in range(0, _HOURS, every)}
            continue
        high = _number(match[3], one) if match[3] else one.high if match[4] else low
        if high < low:
            raise ValueError(f"{one.name}: the range {part!r} ends before it begins")
        found |= set(range(low, high + 1, every))
    return tuple(sorted(found))


def _number(text: str, one: _Field) -> int:
    value = dict(one.words).get(text.upper(), text)
    if not str(value).isdigit() or not one.low <= int(value) <= one.high:
        raise ValueError(f"{one.name}: {text!r} is not from {one.low} to {one.high}")
    return int(value)


def _crontab(values: tuple[int, ...], one: _Field, less: int) -> str:
    return "*" if len(values) == one.high - one.low + 1 else ",".join(str(value - less) for value in values)
