"""Compiling kernels by numba, and the directory in which compiled ones are kept.

numba keeps what it has compiled as pickles, and a pickle can run anything when it is read. They are therefore kept only in a directory that
belongs to this user and that nobody else can write; the Python workers of a host share it, so that each kernel is compiled once per host.
"""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

from sparkml_algos.version import __version__

logger = logging.getLogger(__name__)

#: Where compiled kernels are kept, instead of in the cache of the user's home.
DIRECTORY = "SPARKML_ALGOS_KERNEL_CACHE"

#: Freedoms that have no part in the bits of a result: no number is NaN or infinite, and the sign of a zero does not matter.
FINITE = frozenset({"nnan", "ninf", "nsz"})

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def kernel(
    function: Callable[..., Any] | None = None, *, fastmath: bool | frozenset[str] = False, inline: str = "never"
) -> Callable[..., Any]:
    """Compile a function when it is first called, or read it from the directory where it is kept.

    It runs without Python's lock, and divides by zero as NumPy does. Functions that it calls are kernels too.

    Parameters
    ----------
    function : callable
        Of arrays and numbers.
    fastmath : bool or set of str, default False
        True: sums may be made in any order, which lets the compiler use vector units; results differ in the last bits. Or the freedoms of
        LLVM that are given, by their names: see `FINITE`.
    inline : {"never", "always"}, default "never"
        Put the function into those that call it.

    Returns
    -------
    callable
    """
    if function is None:
        return lambda function: kernel(function, fastmath=fastmath, inline=inline)
    # numba looks at its setting when a function is declared; what the user has set for functions of his own is left as it was.
    before, directory = numba.config.CACHE_DIR, directory_of_kernels()
    numba.config.CACHE_DIR = str(directory or "")
    try:
        return numba.njit(
            cache=directory is not None,
            nogil=True,
            error_model="numpy",
            fastmath=fastmath if isinstance(fastmath, bool) else set(fastmath),
            inline=inline,
        )(function)
    finally:
        numba.config.CACHE_DIR = before


@cache
def directory_of_kernels() -> Path | None:
    """Where compiled kernels are kept: what ``SPARKML_ALGOS_KERNEL_CACHE`` names, else ``sparkml_algos`` in the user's cache, else, where
    there is no home that can be written, one in the temporary directory. None, and every process compiles for itself, where none of them is
    this user's alone; one line of the log says why."""
    given = os.environ.get(DIRECTORY)
    version = f"kernels-{__version__}"
    if given:
        places = [Path(given)]
    else:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
        places = [home / "sparkml_algos" / version, Path(tempfile.gettempdir()) / f"sparkml_algos-{os.getuid()}" / version]
    refused = []
    for place in places:
        try:
            return _own(place)
        except OSError as error:
            refused.append(f"{place}: {error}")
    logger.warning("Compiled kernels are not kept, each process compiles its own: %s", "; ".join(refused))
    return None


def _own(directory: Path) -> Path:
    """Make the directory, and refuse it where someone else owns it, can write it or could put another in its place."""
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    above, found = directory.parent.stat(), directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError("is a link or a file, not a directory")
    if found.st_uid != os.getuid():
        raise PermissionError(f"belongs to user {found.st_uid}, not to {os.getuid()}")
    if found.st_mode & OTHERS_WRITE:
        raise PermissionError("others can write it")
    # Whoever can write the directory above could put another in its place, unless only owners may move what is theirs.
    if above.st_uid not in (0, os.getuid()) or above.st_mode & OTHERS_WRITE and not above.st_mode & stat.S_ISVTX:
        raise PermissionError("others can write the directory above it")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError("cannot be written")
    return directory
