"""Params that are declared once: type, default, range, choices, documentation.

From a declaration come the Spark `Param`, its converter and check, the constructor keyword, ``setX``/``getX`` and the entry in the
class's documentation. Declarations themselves need no Spark; `core.params` makes Params of them.
"""

from __future__ import annotations

import inspect
import json
import keyword
import numbers
import textwrap
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

#: Values of an algorithm's hyperparameters by name, as attributes.
Hyperparameters = SimpleNamespace


class InvalidParams(ValueError, TypeError):
    """Params that are unknown, missing, of the wrong type or out of range; the message lists all of them."""

    def __init__(self, subject: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        lines = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"{subject}: {problems[0]}" if len(problems) == 1 else f"{subject}:{lines}")


class DeclaredParam:
    """What a Param is called, takes and is for.

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
    of : type, optional
        Of a list, the type of its items, ``int`` or ``float``, to which a range then applies; any by default.
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
    on_model : bool, optional
        Whether it can be set on a fitted Model, which is so for what scoring or evaluating reads: by default for all but hyperparameters.
    """

    order: ClassVar[int] = 1  # of the kind, among constructor keywords and in documentation

    def __init__(
        self,
        type: type,
        doc: str,
        *,
        default: Any = None,
        required: bool = False,
        of: type | None = None,
        minimum: float | None = None,
        maximum: float | None = None,
        min_exclusive: bool = False,
        max_exclusive: bool = False,
        choices: Sequence[Any] | None = None,
        special: Sequence[Any] = (),
        aliases: Sequence[str] = (),
        accessor: str | None = None,
        on_model: bool | None = None,
    ) -> None:
        self.on_model = not isinstance(self, Hyperparameter) if on_model is None else on_model
        self.type, self.doc, self.default, self.required = type, doc, default, required
        self.of, self.minimum, self.maximum = of, minimum, maximum
        self.min_exclusive, self.max_exclusive = min_exclusive, max_exclusive
        self.choices = None if choices is None else list(choices)
        self.special, self.aliases, self.accessor = list(special), list(aliases), accessor

    def __set_name__(self, owner: type, name: str) -> None:
        self.named(name)

    def named(self, name: str) -> DeclaredParam:
        """This declaration, under a name; an attribute of a class gets its own."""
        self.name = name
        self.accessor = self.accessor or "".join(part[:1].upper() + part[1:] for part in name.split("_"))
        return self

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
            converted = [_CONVERTERS[self.of](item) for item in converted] if self.of else converted
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
        elif self._number in (int, float):
            words = f"a list of {self.of.__name__}s" if self.of else words
            low = self.minimum is not None and f"{'>' if self.min_exclusive else '>='} {self.minimum:g}"
            high = self.maximum is not None and f"{'<' if self.max_exclusive else '<='} {self.maximum:g}"
            words += " " + " and ".join(bound for bound in (low, high) if bound) if low or high else ""
        return " or ".join([words, *map(repr, self.special)])

    @property
    def _number(self) -> type:
        """Type of what a range applies to."""
        return self.of or self.type

    def _allows(self, value: Any) -> bool:
        if self.choices is not None:
            return value in self.choices
        if self._number not in (int, float):
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


class ColumnParam(DeclaredParam):
    """The name of a column."""

    def __init__(self, doc: str, default: str | None = None, type: type = str) -> None:
        super().__init__(type, doc, default=default)


class JobParam(DeclaredParam):
    """How training runs on the cluster; it does not change what is learned beyond the order of the rows."""

    order = 2


class Declarations:
    """A group of declared Params, to be mixed into classes that hold values for them.

    Attributes
    ----------
    declared : dict of str to DeclaredParam
        Of the class and its bases: required ones, hyperparameters, columns, job.
    reads : sequence of `rows.fields.Field`
        Columns that are read, which have Params of their own.
    """

    reads: ClassVar[Sequence[Any]] = ()
    declared: ClassVar[dict[str, DeclaredParam]] = {}
    _own: ClassVar[dict[str, DeclaredParam]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._own = {name: param for name, param in vars(cls).items() if isinstance(param, DeclaredParam)}
        cls.declared = _declared(cls)

    def value(self, name: str) -> Any:
        """The value that counts: set, else default, in its declared type; None where there is none."""
        raise NotImplementedError

    def is_given(self, name: str) -> bool:
        """Whether there is a value, if only a default."""
        raise NotImplementedError

    def hyperparameters(self) -> dict[str, Any]:
        """Values of the algorithm's hyperparameters by name."""
        return {name: self.value(name) for name, param in self.declared.items() if isinstance(param, Hyperparameter)}

    def problems(self) -> list[str]:
        """What is wrong with the values as they stand, also with those that came through a param map."""
        found = []
        for name, param in self.declared.items():
            if not self.is_given(name):
                found.append(f"{name} is required: {param.doc[:1].lower()}{param.doc[1:]}")
                continue
            try:
                self.value(name)
            except ValueError as error:
                found.append(str(error))
        return found


def _declared(cls: type[Declarations]) -> dict[str, DeclaredParam]:
    declared: dict[str, DeclaredParam] = {}
    for base in cls.__mro__:
        for name, param in vars(base).get("_own", {}).items():
            declared.setdefault(name, param)
    return in_order(declared)


def in_order(declared: dict[str, DeclaredParam]) -> dict[str, DeclaredParam]:
    """Required Params first, then hyperparameters, columns, job."""
    return dict(sorted(declared.items(), key=lambda item: (item[1].order, not item[1].required)))


def signature(declared: dict[str, DeclaredParam]) -> inspect.Signature:
    """Of a constructor that takes these as keywords."""
    keywords = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=param.default)
        for name, param in declared.items()
        if not keyword.iskeyword(name)
    ]
    if len(keywords) < len(declared):  # such as lambda, which can only be given by ``**``
        keywords.append(inspect.Parameter("named", inspect.Parameter.VAR_KEYWORD))
    return inspect.Signature(keywords)


def documented(doc: str, declared: dict[str, DeclaredParam]) -> str:
    """A class's documentation with an entry for each Param in place of ``{parameters}``."""
    lines = ["Parameters", "----------"]
    for name, param in declared.items():
        state = "required" if param.required else f"default {param.default!r}"
        lines.append(f"{name} : {param.describe()}, {state}")
        says = f"{param.doc} Also {', '.join(param.aliases)}." if param.aliases else param.doc
        lines.extend(textwrap.wrap(says, 110, initial_indent="    ", subsequent_indent="    "))
    return inspect.cleandoc(doc).replace("{parameters}", "\n".join(lines))


def _to_int(value: Any) -> int:
    number: Any = float(value) if isinstance(value, str) else value
    is_number = isinstance(number, numbers.Real) and not isinstance(number, (bool, np.bool_))
    if not is_number or number != int(number):
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
