"""The one exception of all formats."""

from __future__ import annotations


class FormatError(ValueError):
    """Bytes that are not what their format says.

    Parameters
    ----------
    reason : str
        What was found and what was expected.
    file : str, optional
        Name of the file or body.
    offset : int, optional
        Bytes from its (uncompressed) start to the frame or line at fault.
    """

    def __init__(self, reason: str, file: str = "<bytes>", offset: int | None = None) -> None:
        super().__init__(f"{file}{'' if offset is None else f', byte {offset}'}: {reason}")
        self.reason, self.file, self.offset = reason, file, offset

    def __reduce__(self) -> tuple[type[FormatError], tuple[str, str, int | None]]:
        return type(self), (self.reason, self.file, self.offset)
