"""What a Python has, told by itself.

It takes the standard library alone: the text of this file is run by the Python of executors, where this package may not be.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
import socket
import sys


def survey(distributions, imported):  # noqa: ANN001, ANN201 - read above; annotations would have to be understood where the text is run
    """The Python that runs this.

    Parameters
    ----------
    distributions : dict of str to list of str
        By the name of a library, what it may be called where it is installed.
    imported : list of str
        Libraries to import, besides: they may be there and broken.

    Returns
    -------
    dict
        ``host``, ``python``, ``version``, ``package`` (the version of this package, or None), ``libraries`` (their versions; None
        for a missing one), ``broken`` (what importing those that are broken says).
    """
    libraries = {name: _version(name, called) for name, called in distributions.items()}
    broken = {}
    for name in imported:
        try:
            if libraries[name] is not None:
                importlib.import_module(name)
        except Exception as error:
            broken[name] = f"{type(error).__name__}: {error}"
    package = None
    if importlib.util.find_spec("sparkml_algos"):
        package = importlib.import_module("sparkml_algos.version").__version__
    return {
        "host": socket.gethostname(),
        "python": sys.executable,
        "version": platform.python_version(),
        "package": package,
        "libraries": libraries,
        "broken": broken,
    }


def _version(name, called):  # noqa: ANN001, ANN202
    if importlib.util.find_spec(name) is None:
        return None
    for distribution in called:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "?"
