"""How long names and texts may be, and how many of them a run may have; as the service has it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NAME, DESCRIPTION, TAGS = 120, 3072, 50
PARAMETERS, PARAMETER_TEXT, METRIC_NAME, ARTIFACTS = 300, 2500, 255, 60
MESSAGE = 1024
COMPARED = 20


def check_name(name: Any, what: str) -> str:
    """A name in lower case.

    Raises
    ------
    ValueError
        If it is no text of 1 to 120 characters.
    """
    if not isinstance(name, str) or not 0 < len(name.strip()) <= NAME:
        raise ValueError(f"{what} must be a text of 1 to {NAME} characters, got {name!r}")
    return name.strip().lower()


def check_description(text: str | None) -> None:
    """
    Raises
    ------
    ValueError
    """
    if text is not None and len(text) > DESCRIPTION:
        raise ValueError(f"a description has at most {DESCRIPTION} characters, this one has {len(text)}")


def check_tags(tags: Mapping[str, Any] | None) -> dict[str, str]:
    """Tags as texts.

    Raises
    ------
    ValueError
    """
    found = {str(name): str(value) for name, value in (tags or {}).items()}
    if len(found) > TAGS:
        raise ValueError(f"there may be {TAGS} tags, these are {len(found)}")
    return found


def parameter_text(name: str, value: Any) -> str:
    """A parameter as it is kept.

    Raises
    ------
    ValueError
        If it is no str, int or float, or too long.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"the name of a parameter must be a text, got {name!r}")
    if not isinstance(value, (str, int, float)):
        raise ValueError(f"parameter {name!r} must be a str, int or float, got {type(value).__name__}")
    text = str(value)
    if len(text) > PARAMETER_TEXT:
        raise ValueError(f"parameter {name!r} has {len(text)} characters, at most {PARAMETER_TEXT} are kept; log it as a file")
    return text


def check_metric(name: str, value: Any, step: int | None) -> float:
    """A metric's value as a float.

    Raises
    ------
    ValueError
    """
    if not isinstance(name, str) or not 0 < len(name) <= METRIC_NAME:
        raise ValueError(f"the name of a metric must be a text of 1 to {METRIC_NAME} characters, got {name!r}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"metric {name!r} must be a number, got {value!r}") from None
    if isinstance(value, str):
        raise ValueError(f"metric {name!r} must be a number, got {value!r}")
    if step is not None and (not isinstance(step, int) or step < 0):
        raise ValueError(f"the step of metric {name!r} must be an int >= 0, got {step!r}")
    return number


def typed(text: str) -> str | int | float:
    """A parameter as it is read: what reads as a number is one, but NaN, which would be another one in each run, and what has a ``_``,
    which Python passes over: ``100_50`` may be the sizes of two layers."""
    if "_" in text:
        return text
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return text if math.isnan(number) else number
    return text


def is_number(value: Any) -> bool:
    """Whether it is an int or a float that is a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
