"""Spark ML Params from declarations and fields."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from pyspark.ml.param import Param, Params

from sparkml_algos.arrays.hyperparameters import (
    ColumnParam,
    Declarations,
    DeclaredParam,
    Hyperparameter,
    InvalidParams,
    documented,
    in_order,
    signature,
)
from sparkml_algos.rows.fields import Field


class SparkParam(Param):
    """The Param of Spark ML that a declaration describes."""

    def __init__(self, declaration: DeclaredParam) -> None:
        super().__init__(Params._dummy(), declaration.name, declaration.doc, declaration.convert)


class DeclaredParams(Declarations, Params):
    """Base of everything with declared Params: keyword constructor, accessors, checks that report all problems at once."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        columns = {param.name: param for field in cls.reads if cls._names(field) for param in _column_params(field)}
        cls.declared = in_order({**columns, **cls.declared})
        for name, param in cls.declared.items():
            setattr(cls, name, SparkParam(param))
            _add_accessors(cls, param)
        cls.__signature__ = signature(cls.declared)
        if cls.__doc__ and "{parameters}" in cls.__doc__:
            cls.__doc__ = documented(cls.__doc__, cls.declared)

    @classmethod
    def _names(cls, field: Field) -> bool:
        """Whether instances name the column of a field."""
        return True

    def __init__(self, **values: Any) -> None:
        super().__init__()
        self._setDefault(**{name: param.default for name, param in self.declared.items() if not param.required})
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

    def title(self) -> str:
        """What it is called among others: its class and the hyperparameters that it needs, as in ``KMeans k=10``."""
        needed = (name for name, param in self.declared.items() if isinstance(param, Hyperparameter) and param.required)
        return " ".join([type(self).__name__, *(f"{name}={self.value(name)}" for name in needed if self.is_given(name))])

    def is_given(self, name: str) -> bool:
        """Whether there is a value, if only a default."""
        return self.isDefined(getattr(self, name))


def _column_params(field: Field) -> Iterator[ColumnParam]:
    yield ColumnParam(field.doc, default=field.default).named(field.param)
    if field.list_param:
        doc = f"{field.role.capitalize()} as a list of numeric columns, instead of {field.param}."
        yield ColumnParam(doc, type=list).named(field.list_param)


def _add_accessors(cls: type, param: DeclaredParam) -> None:
    def setter(self: DeclaredParams, value: Any) -> DeclaredParams:
        return self._set(**{param.name: value})

    def getter(self: DeclaredParams) -> Any:
        return self.value(param.name)

    for function, prefix, doc in ((setter, "set", "Set"), (getter, "get", "The value of")):
        name = f"{prefix}{param.accessor}"
        function.__name__, function.__qualname__ = name, f"{cls.__qualname__}.{name}"
        function.__doc__, function.is_accessor = f"{doc} `{param.name}`: {param.doc}", True
        if getattr(getattr(cls, name, function), "is_accessor", False):  # a class may have its own
            setattr(cls, name, function)
