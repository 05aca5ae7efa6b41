"""What an endpoint may be told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from sparkml_algos.serving.contract import Options

#: The service's largest body.
MAX_PAYLOAD_BYTES = 6 * 1024 * 1024


@dataclass(frozen=True)
class Capture:
    """Which requests and answers are written down.

    Parameters
    ----------
    folder : str or Path
        Files are ``folder/endpoint/variant/yyyy/mm/dd/hh/….jsonl``, hours in UTC.
    percentage : float
        Share of the requests, from 0 to 100, drawn one by one.
    input, output : bool
        Whether requests, and whether answers are.
    csv_types, json_types : tuple of str
        Content types whose bodies are written as text; others are base64.
    max_waiting, max_waiting_bytes : int
        Records that may wait to be written, and bytes of their bodies; what comes beyond that is left out and counted.
    """

    folder: str | Path
    percentage: float = 20.0
    input: bool = True
    output: bool = True
    csv_types: tuple[str, ...] = ("text/csv",)
    json_types: tuple[str, ...] = ("application/json", "application/jsonlines")
    max_waiting: int = 10_000
    max_waiting_bytes: int = 1 << 26

    def __post_init__(self) -> None:
        if not 0 <= self.percentage <= 100:
            raise ValueError(f"percentage must be from 0 to 100, got {self.percentage!r}")


@dataclass(frozen=True)
class Settings:
    """How an endpoint behaves.

    Parameters
    ----------
    name, variant : str
        What capture and metrics call the endpoint.
    max_bytes : int
        Of a body, also when it is unpacked; 413 beyond that.
    max_rows : int
        Of a request; 413 beyond that.
    max_waiting_rows : int
        Rows of all requests that wait for a model; 503 beyond that.
    max_waiting_bytes : int
        Of the bodies of all requests that are read or answered; 503 beyond that.
    max_batch_rows : int
        Rows of several requests that are scored together, at most.
    timeout : float
        Seconds that a request may take; 503 beyond that.
    token : str, optional
        Bearer token that every request but ``/ping`` must bring; 401 without.
    capture : Capture, optional
    models_root : str or Path, optional
        Folder under which ``POST /models`` may load models; without it the models of an endpoint stay what they are.
    max_models : int
        Models that may be loaded at a time; 507 beyond that.
    watch : float
        Seconds between looks at the models' folders, of which a changed one is loaded anew; 0: none.
    options : Options
        How models are served; their ``max_bytes`` are at most those from here.
    """

    name: str = "sparkml-algos"
    variant: str = "AllTraffic"
    max_bytes: int = MAX_PAYLOAD_BYTES
    max_rows: int = 100_000
    max_waiting_rows: int = 200_000
    max_waiting_bytes: int = 1 << 28
    max_batch_rows: int = 4096
    timeout: float = 60.0
    token: str | None = field(default=None, repr=False)
    capture: Capture | None = None
    models_root: str | Path | None = None
    max_models: int = 100
    watch: float = 0.0
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_rows", "max_waiting_rows", "max_waiting_bytes", "max_batch_rows", "timeout", "max_models"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0, got {getattr(self, name)!r}")
        if self.options.max_bytes > self.max_bytes:
            object.__setattr__(self, "options", replace(self.options, max_bytes=self.max_bytes))
        if not self.watch >= 0:
            raise ValueError(f"watch must be at least 0, got {self.watch!r}")
        if self.token is not None and len(self.token) < 16:
            raise ValueError("a token has at least 16 characters")
