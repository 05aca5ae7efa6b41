"""``python -m sparkml_algos.check`` inspects an environment and a session; in Python, ``sparkml_algos.check(spark)`` does."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from sparkml_algos.checking.command import main
from sparkml_algos.checking.session import check


class _Callable(ModuleType):
    """Once this module is imported, it takes the place of the function of the same name among those of the package."""

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        return check(*arguments, **settings)


sys.modules[__name__].__class__ = _Callable

if __name__ == "__main__":
    main()
