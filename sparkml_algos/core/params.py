"""Spark ML Params from declarations and fields."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

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
from sparkml_algos.core.hints import hint
from sparkml_algos.core.mixins import register
from sparkml_algos.rows.fields import Field

D = TypeVar("D", bound="DeclaredParams")


class SparkParam(Param):
    """The Param of Spark ML that a declaration describes.

    Parameters
    ----------
    declaration : DeclaredParam
    method : callable, optional
        A static method that the class has under this name, which the service may have given to a hyperparameter too. The Param is called in
        its place.
    """

    def __init__(self, declaration: DeclaredParam, method: Callable[[], Any] | None = None) -> None:
        super().__init__(Params._dummy(), declaration.name, declaration.doc, declaration.convert)
        self.method = method

    def __call__(self) -> Any:
        """What the method gives."""
        if self.method is None:
            raise TypeError(f"{self.name} is a Param; get{self.name[:1].upper()}{self.name[1:]}() gives its value")
        return self.method()


class DeclaredParams(Declarations, Params):
    """Base of everything with declared Params: keyword constructor, accessors, checks that report all problems at once."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        columns = {param.name: param for field in cls.reads if cls._names(field) for param in _column_params(field)}
        cls.declared = in_order({**columns, **cls.declared})
        for name, param in cls.declared.items():
            setattr(cls, name, SparkParam(param, _method(cls, name)))
            _add_accessors(cls, param, cls._settable(param))
        register(cls)
        cls.__signature__ = signature(cls.declared)
        if cls.__doc__ and "{parameters}" in cls.__doc__:
            cls.__doc__ = documented(cls.__doc__, cls.declared)

    @classmethod
    def _names(cls, field: Field) -> bool:
        """Whether instances name the column of a field."""
        return True

    @classmethod
    def _settable(cls, param: DeclaredParam) -> bool:
        """Whether there is a setter; without it the constructor sets the value, or training does."""
        return True

    def _fixed(self, name: str, value: Any) -> str | None:
        """Why a Param cannot take a value now; None if it can."""
        return None

    def __init__(self, **values: Any) -> None:
        super().__init__()
        self._setDefault(**{name: param.default for name, param in self.declared.items() if not param.required})
        self._set(**values)

    def setParams(self, **values: Any) -> DeclaredParams:
        """Set Params by keyword, as the constructor takes them."""
        return self._set(**values)

    def _set(self, **values: Any) -> DeclaredParams:
        """Set Params by name, or raise one `InvalidParams` that lists every unknown name and bad value."""
        return self._put(values, self._fixed)

    def set(self, param: Param, value: Any) -> None:
        """Set a Param of this instance."""
        self._shouldOwn(param)
        self._set(**{param.name: value})

    def clear(self, param: Param) -> None:
        """Let a Param have its default again."""
        if self.isSet(param) and (refused := self._fixed(param.name, self.declared[param.name].default)):
            raise InvalidParams(type(self).__name__, [refused])
        super().clear(param)

    def copy(self: D, extra: Mapping[Param, Any] | None = None) -> D:
        """A copy with the same uid and, of the extra Params, those that are its own.

        Parameters
        ----------
        extra : mapping of Param to value, optional
        """
        for param in extra or {}:
            if not isinstance(param, Param):
                raise TypeError(f"expecting a Param, got {param!r}")
        copied = copy.copy(self)
        copied._paramMap, copied._defaultParamMap = dict(self._paramMap), dict(self._defaultParamMap)
        own = {param.name: value for param, value in (extra or {}).items() if self._testOwnParam(param.parent, param.name)}
        copied._set(**own)
        return copied

    def _put(self, values: Mapping[str, Any], fixed: Callable[[str, Any], str | None] = lambda name, value: None) -> DeclaredParams:
        """Set Params by name: all of them, or none where there is a problem with any, such as what `fixed` says."""
        problems, converted = [], {}
        aliases = {alias: name for name, param in self.declared.items() for alias in param.aliases}
        for given, value in values.items():
            name = aliases.get(given, given)
            if name != given and name in values:
                problems.append(f"{given} is another name of {name}; give one of them")
                continue
            if name.startswith("_"):
                continue  # names the service reserves for itself; see the specification's rules common to all algorithms
            if name not in self.declared:
                problems.append(f"unknown parameter {name!r}{hint(name, self.declared)}")
                continue
            try:
                converted[getattr(self, name)] = new = self.declared[name].convert(value)
            except ValueError as error:
                problems.append(str(error))
                continue
            if refused := fixed(name, new):
                problems.append(refused)
        if problems:
            raise InvalidParams(type(self).__name__, problems)
        self._paramMap.update(converted)
        return self

    def __getattr__(self, name: str) -> Any:
        """Only for what is not there: say what stands for an accessor of another library."""
        prefix, accessor = name[:3], name[3:]
        if prefix in ("set", "get") and accessor[:1].isupper():
            accessors = {param.accessor: known for known, param in self.declared.items()}
            if accessor in accessors:
                reason = f"{accessors[accessor]} is fixed by training; fit again to change it"
                raise AttributeError(f"{type(self).__name__} has no {name}: {reason}")
            raise AttributeError(f"{type(self).__name__} has no {name}{hint(accessor[:1].lower() + accessor[1:], self.declared)}")
        return self.__getattribute__(name)  # so that what a property has raised is not hidden

    def __repr__(self) -> str:
        """Class, uid and what is set."""
        return self._shown({param.name: value for param, value in self._paramMap.items()})

    def _shown(self, facts: Mapping[str, Any]) -> str:
        return ", ".join([f"{type(self).__name__}: uid={self.uid}", *(f"{name}={_short(value)}" for name, value in facts.items())])

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


def _method(cls: type, name: str) -> Callable[[], Any] | None:
    """The static method that a class has under a name, or had until a Param took its place."""
    there = inspect.getattr_static(cls, name, None)
    return there.method if isinstance(there, SparkParam) else there.__func__ if isinstance(there, staticmethod) else None


# Longer values, such as a booster to start from, are cut.
_SHOWN_LENGTH = 60


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"


def _column_params(field: Field) -> Iterator[ColumnParam]:
    yield ColumnParam(field.doc, default=field.default).named(field.param)
    if field.list_param:
        doc = f"{field.role.capitalize()} as a list of numeric columns, instead of {field.param}."
        yield ColumnParam(doc, type=list).named(field.list_param)


def _add_accessors(cls: type, param: DeclaredParam, is_settable: bool) -> None:
    def setter(self: DeclaredParams, value: Any) -> DeclaredParams:
        return self._set(**{param.name: value})

    def getter(self: DeclaredParams) -> Any:
        return self.value(param.name)

    for function, prefix, doc in ((setter, "set", "Set"), (getter, "get", "The value of"))[not is_settable :]:
        name = f"{prefix}{param.accessor}"
        function.__name__, function.__qualname__ = name, f"{cls.__qualname__}.{name}"
        function.__doc__, function.is_accessor = f"{doc} `{param.name}`: {param.doc}", True
        if getattr(getattr(cls, name, function), "is_accessor", False):  # a class may have its own
            setattr(cls, name, function)
