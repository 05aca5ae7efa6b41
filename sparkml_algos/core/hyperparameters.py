"""Params that are declared once: type, default, range, choices, documentation.

From a declaration come the Spark `Param`, its converter and check, the constructor keyword, ``setX``/``getX`` and the entry in the
class's documentation.
"""

from __future__ import annotations

import difflib
import inspect
import json
import keyword
import numbers
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from pyspark.ml.param import Param, Params


class InvalidParams(ValueError, TypeError):
    """Params that are unknown, missing, of the wrong type or out of range; the message lists all of them."""

    def __init__(self, subject: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        lines = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"{subject}: {problems[0]}" if len(problems) == 1 else f"{subject}:{lines}")


class DeclaredParam(Param):
    """A Param that knows its type, default and range.

    Parameters
    ----------
    type : type
        ``int``, ``float``, ``bool``, ``str`` or ``list``. Strings are parsed as the service does: ``"1e-3"``, ``"true"``,
        ``'["msd"]'``, ``"msd,ssd"`` or ``"(0, 1)"``.
    doc : str
        One line.
    default : optional
        None for a Param that may stay unset.
    required : bool
        Whether `fit` needs a value.
    minimum, maximum : number, optional
        Range, closed unless `min_exclusive`, `max_exclusive`.
    choices : sequence, optional
        Allowed values; of a list, allowed items.
    special : sequence, optional
        Values allowed besides type and range, such as ``auto``.
    aliases : sequence of str
        Other names that keyword arguments may use.
    accessor : str, optional
        What follows ``set`` and ``get``; from the name by default.
    """

    order: ClassVar[int] = 1  # of the kind, among constructor keywords and in documentation

    def __init__(
        self,
        type: type,
        doc: str,
        *,
        default: Any = None,
        required: bool = False,
        minimum: float | None = None,
        maximum: float | None = None,
        min_exclusive: bool = False,
        max_exclusive: bool = False,
        choices: Sequence[Any] | None = None,
        special: Sequence[Any] = (),
        aliases: Sequence[str] = (),
        accessor: str | None = None,
    ) -> None:
        super().__init__(Params._dummy(), "", doc, self.convert)
        self.type, self.default, self.required = type, default, required
        self.minimum, self.maximum = minimum, maximum
        self.min_exclusive, self.max_exclusive = min_exclusive, max_exclusive
        self.choices = None if choices is None else list(choices)
        self.special, self.aliases, self.accessor = list(special), list(aliases), accessor

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.accessor = self.accessor or "".join(part[:1].upper() + part[1:] for part in name.split("_"))

    def convert(self, value: Any) -> Any:
        """The value in its declared type; None where the Param may be unset.

        Raises
        ------
        ValueError
            Naming the Param, what it takes and what it was given.
        """
        if value is None and not self.required:
            return None
        if isinstance(value, str) and value in self.special:
            return value
        try:
            converted = _CONVERTERS[self.type](value)
        except (TypeError, ValueError, OverflowError):
            raise self._refused(value) from None
        items = converted if self.type is list else [converted]
        if self.type is list and not items or not all(self._allows(item) for item in items):
            raise self._refused(value)
        return converted

    def describe(self) -> str:
        """Type and range in words, for messages and documentation."""
        words = {int: "an int", float: "a float", bool: "a bool", str: "a str", list: "a list"}[self.type]
        if self.choices:
            options = ", ".join(map(repr, self.choices))
            words = f"a list of {options}" if self.type is list else f"one of {options}"
        elif self.type in (int, float):
            low = self.minimum is not None and f"{'>' if self.min_exclusive else '>='} {self.minimum:g}"
            high = self.maximum is not None and f"{'<' if self.max_exclusive else '<='} {self.maximum:g}"
            words += " " + " and ".join(bound for bound in (low, high) if bound) if low or high else ""
        return " or ".join([words, *map(repr, self.special)])

    def _allows(self, value: Any) -> bool:
        if self.choices is not None:
            return value in self.choices
        if self.type not in (int, float):
            return True
        if isinstance(value, float) and not np.isfinite(value):
            return False
        above = self.minimum is None or (value > self.minimum if self.min_exclusive else value >= self.minimum)
        below = self.maximum is None or (value < self.maximum if self.max_exclusive else value <= self.maximum)
        return above and below

    def _refused(self, value: Any) -> ValueError:
        return ValueError(f"{self.name} must be {self.describe()}, got {value!r}")


class Hyperparameter(DeclaredParam):
    """A hyperparameter of the algorithm, by the name the specification gives it."""

    order = 0


class OwnHyperparameter(Hyperparameter):
    """A setting of the algorithm that the specification does not have."""


class DeclaredParams(Params):
    """Base of everything with declared Params: keyword constructor, accessors, checks that report all problems at once.

    Attributes
    ----------
    declared : dict of str to DeclaredParam
    unread_in_training : sequence of str
        Params that name input columns for the model alone; `fit` does not look for these columns.
    """

    declared: ClassVar[dict[str, DeclaredParam]] = {}
    unread_in_training: ClassVar[Sequence[str]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.declared = _declared_params(cls)
        for param in list(vars(cls).values()):
            if isinstance(param, DeclaredParam):
                _add_accessors(cls, param)
        keywords = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=param.default)
            for name, param in cls.declared.items()
            if not keyword.iskeyword(name)
        ]
        if len(keywords) < len(cls.declared):  # such as lambda, which can only be given by ``**``
            keywords.append(inspect.Parameter("named", inspect.Parameter.VAR_KEYWORD))
        cls.__signature__ = inspect.Signature(keywords)
        if cls.__doc__ and "{parameters}" in cls.__doc__:
            cls.__doc__ = _document(cls.__doc__, cls.declared)

    def __init__(self, **values: Any) -> None:
        super().__init__()
        defaults = {name: param.default for name, param in self.declared.items() if not param.required}
        self._setDefault(**defaults)
        self._set(**values)

    def _set(self, **values: Any) -> DeclaredParams:
        """Set Params by name, or raise one `InvalidParams` that lists every unknown name and bad value."""
        problems = []
        aliases = {alias: name for name, param in self.declared.items() for alias in param.aliases}
        for given, value in values.items():
            name = aliases.get(given, given)
            if name != given and name in values:
                problems.append(f"{given} is another name of {name}; give one of them")
                continue
            if name.startswith("_"):
                continue  # names the service reserves for itself; see the specification's rules common to all algorithms
            if name not in self.declared:
                close = difflib.get_close_matches(name, self.declared, 1)
                problems.append(f"unknown parameter {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
                continue
            try:
                self._paramMap[getattr(self, name)] = self.declared[name].convert(value)
            except ValueError as error:
                problems.append(str(error))
        if problems:
            raise InvalidParams(type(self).__name__, problems)
        return self

    def value(self, name: str) -> Any:
        """The value that counts: set, else default, in its declared type; None where there is none."""
        param = getattr(self, name)
        return self.declared[name].convert(self.getOrDefault(param)) if self.isDefined(param) else None

    def hyperparameters(self) -> dict[str, Any]:
        """Values of the algorithm's hyperparameters by name."""
        return {name: self.value(name) for name, param in self.declared.items() if isinstance(param, Hyperparameter)}

    def problems(self) -> list[str]:
        """What is wrong with the Params as they stand, also with those that came through a param map."""
        found = []
        for name, param in self.declared.items():
            if not self.isDefined(getattr(self, name)):
                found.append(f"{name} is required: {param.doc[:1].lower()}{param.doc[1:]}")
                continue
            try:
                self.value(name)
            except ValueError as error:
                found.append(str(error))
        return found


def _declared_params(cls: type) -> dict[str, DeclaredParam]:
    """Declared Params of a class and its bases: required ones, hyperparameters, columns, job."""
    declared: dict[str, DeclaredParam] = {}
    for base in cls.__mro__:
        for name, param in vars(base).items():
            if isinstance(param, DeclaredParam):
                declared.setdefault(name, param)
    return dict(sorted(declared.items(), key=lambda item: (item[1].order, not item[1].required)))


def _add_accessors(cls: type, param: DeclaredParam) -> None:
    def setter(self: DeclaredParams, value: Any) -> DeclaredParams:
        return self._set(**{param.name: value})

    def getter(self: DeclaredParams) -> Any:
        return self.value(param.name)

    for function, prefix, doc in ((setter, "set", "Set"), (getter, "get", "The value of")):
        name = f"{prefix}{param.accessor}"
        function.__name__, function.__qualname__ = name, f"{cls.__qualname__}.{name}"
        function.__doc__ = f"{doc} `{param.name}`: {param.doc}"
        setattr(cls, name, function)


def _document(doc: str, declared: dict[str, DeclaredParam]) -> str:
    lines = ["Parameters", "----------"]
    for name, param in declared.items():
        state = "required" if param.required else f"default {param.default!r}"
        lines.append(f"{name} : {param.describe()}, {state}")
        says = f"{param.doc} Also {', '.join(param.aliases)}." if param.aliases else param.doc
        lines.extend(textwrap.wrap(says, 110, initial_indent="    ", subsequent_indent="    "))
    return inspect.cleandoc(doc).replace("{parameters}", "\n".join(lines))


def _to_int(value: Any) -> int:
    number = float(value) if isinstance(value, str) else value
    if isinstance(number, (bool, np.bool_)) or not isinstance(number, numbers.Real) or number != int(number):
        raise ValueError
    return int(value) if isinstance(value, str) and value.strip().lstrip("+-").isdigit() else int(number)


def _to_float(value: Any) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (str, numbers.Real)):
        raise ValueError
    return float(value)


def _to_bool(value: Any) -> bool:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise ValueError


def _to_str(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _to_list(value: Any) -> list[Any]:
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("(") and text.endswith(")"):
            text = f"[{text[1:-1].rstrip(', ')}]"
        value = json.loads(text) if text.startswith("[") else [item.strip() for item in text.split(",") if item.strip()]
    if not isinstance(value, (list, tuple, np.ndarray)):
        raise ValueError
    return [item.item() if isinstance(item, np.generic) else item for item in value]


_CONVERTERS: dict[type, Callable[[Any], Any]] = {
    int: _to_int,
    float: _to_float,
    bool: _to_bool,
    str: _to_str,
    list: _to_list,
}
