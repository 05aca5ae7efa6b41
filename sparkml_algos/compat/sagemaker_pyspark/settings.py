"""The connector's Params: its names, converters and accessors, with the ranges of this package's declarations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.ml.param import Param, Params, TypeConverters

from sparkml_algos.arrays.hyperparameters import DeclaredParam
from sparkml_algos.compat.sagemaker_pyspark.natives import classes_of, translated

_CONVERTERS = {int: TypeConverters.toInt, float: TypeConverters.toFloat, str: TypeConverters.toString}


@dataclass(frozen=True)
class Setting:
    """A hyperparameter of one of the connector's Estimators.

    Parameters
    ----------
    name : str
    type : type
        What the connector holds it as, ``int``, ``float`` or ``str``; what a getter gives.
    declarations : sequence of dict of str to DeclaredParam
        Of the Estimators of the algorithm; a value is good that one of them takes.
    accessible : bool
        Whether it has a setter and a getter.
    """

    name: str
    type: type
    declarations: Sequence[dict[str, DeclaredParam]]
    accessible: bool = True

    @property
    def param(self) -> Param:
        """For an attribute of a class."""
        return Param(Params._dummy(), self.name, self._declared.doc if self._declared else "0: messages, 1: none.", _CONVERTERS[self.type])

    @property
    def accessor(self) -> str:
        """What follows ``set`` and ``get``."""
        return (self._declared.accessor if self._declared else None) or self.name.capitalize()

    @property
    def _declared(self) -> DeclaredParam | None:
        names = (self.name, "lambda" if self.name == "lambda_weights" else self.name)
        return next((known[name] for known in self.declarations for name in names if name in known), None)

    @property
    def is_flag(self) -> bool:
        """Whether it is true or false; the connector holds that as text, and its getters give a bool."""
        return self._declared is not None and self._declared.type is bool

    def checked(self, value: Any) -> Any:
        """The value as the Param takes it.

        Raises
        ------
        ValueError
            If none of the Estimators takes it.
        """
        problems = []
        for known in self.declarations:
            try:
                converted = [known[name].convert(one) for name, one in translated({self.name: value}).items() if name in known]
            except ValueError as error:
                problems.append(error)
                continue
            if converted:
                return str(converted[0]) if self.is_flag else str(value) if self.type is str else value
        raise problems[0]


def settings(algorithm: str, *, ints: str = "", floats: str = "", strings: str = "", hidden: Sequence[str] = ()) -> dict[str, Setting]:
    """The Params of an Estimator.

    Parameters
    ----------
    algorithm : str
        As `natives` calls it.
    ints, floats, strings : str
        Names, by what the connector holds them as.
    hidden : sequence of str
        Those without setter and getter.

    Returns
    -------
    dict of str to Setting
    """
    declarations = [cls.declared for cls in classes_of(algorithm)]
    typed = [(name, type_) for type_, names in ((int, ints), (float, floats), (str, strings)) for name in names.split()]
    return {name: Setting(name, type_, declarations, name not in hidden) for name, type_ in typed}


def add_accessors(cls: type, setting: Setting) -> None:
    """Give a class the Param of a setting, and its setter, which returns None, and getter."""

    def setter(self: Params, value: Any) -> None:
        self._set(**{setting.name: setting.checked(value)})

    def getter(self: Params) -> Any:
        value = self.getOrDefault(self.getParam(setting.name))
        return value == "True" if setting.is_flag else value

    setattr(cls, setting.name, setting.param)
    if not setting.accessible:
        return
    for function, prefix, doc in ((setter, "set", "Set"), (getter, "get", "The value of")):
        function.__name__ = f"{prefix}{setting.accessor}"
        function.__qualname__, function.__doc__ = f"{cls.__qualname__}.{function.__name__}", f"{doc} `{setting.name}`."
        setattr(cls, function.__name__, function)
