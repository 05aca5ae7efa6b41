"""The measured table of faults, for `tests/cluster/README.md`: the tests write it when ``SPARKML_ALGOS_FAULT_REPORT`` names a file.

Rows of earlier runs are kept beside it, in a file of the same name ending in ``.json``, so that the table can be measured in parts.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.cluster.driver import IMAGES

NETWORKS = ("IP Insights", "neural topic model", "Object2Vec", "DeepAR", "Seq2Seq")
PATH = os.environ.get("SPARKML_ALGOS_FAULT_REPORT")


INTRODUCTION = """# Faults

`test_faults.py` trains k-means, the linear learner, XGBoost, networks (IP Insights, the neural topic model, Object2Vec, DeepAR, sequence
to sequence) and networks of images (the image classifier, the object detector, the semantic segmenter) on a Spark standalone cluster of
three hosts (network namespaces of one machine), lets something go wrong in the middle, and measures what the user is told, how long it
takes, and what work is lost. In every case the model equals the undisturbed one to the last bit, and no process, connection or file is left
behind; the tests check both.

```bash
export SPARKML_ALGOS_TEST_SESSION=hosts
bash tests/run.sh tests/cluster/test_faults.py                                                             # all faults
SPARKML_ALGOS_FAULT_REPORT=$PWD/tests/cluster/README.md bash tests/run.sh tests/cluster/test_faults.py    # writes this page, too
```

Two workers, `max_retries=2`, `collective_timeout=12`, a checkpoint per epoch (XGBoost writes fewer, so that they take 5 % of its time).
Hosts that fall silent are given up by Spark after 15 s here (`spark.network.timeout`; its default is 120 s).

* *until error*: from the fault until the driver logs the failed attempt; with `max_retries=0`, `fit` raises then. Of a store: the warning.
* *until next checkpoint*: from the fault until training has gone on by an epoch; of a store, from its return.
* *work lost*: from the last checkpoint to the fault, which strikes about half an epoch after one. Where a checkpoint followed the fault,
  for Spark lets a preempted task go on for a while, it is the time of an epoch, a bound. A disk that is full before the first checkpoint
  costs all since `fit` was called.
* *times slower*: what an epoch takes under the fault, relative to an undisturbed one. The delay holds each way, and epochs are short here.
* `dynamic` is launch `gang` under dynamic allocation. Lost packets are lost as the sender hands them to its card, up to 64 KiB each.

Measured on two shared cores: seconds are this machine's. Networks had other work beside, and under launch `gang` more rows, whose epochs
took 0.2 to 1.1 s.
"""


@dataclass(frozen=True)
class Row:
    """What one fault did to one training.

    Parameters
    ----------
    fault, algorithm, launch : str
    happens, seen : str
        In a few words; and what the user is told.
    error : float, optional
        Seconds from the fault until the user is told.
    checkpoint : float, optional
        Until the next checkpoint.
    lost : float, optional
        Seconds of work done again.
    slower : float, optional
        Time of an epoch under the fault, relative to an undisturbed one.
    """

    fault: str
    algorithm: str
    launch: str
    happens: str
    seen: str
    error: float | None = None
    checkpoint: float | None = None
    lost: float | None = None
    slower: float | None = None


def report(row: Row) -> None:
    """Add a row to the table, or replace the one of the same fault, algorithm and launch."""
    if not PATH:
        return
    path = Path(PATH)
    beside = path.with_suffix(".json")
    known = [Row(**fields) for fields in json.loads(beside.read_text())] if beside.exists() else []
    rows = [one for one in known if key(one) != key(row)] + [row]
    beside.write_text(json.dumps([asdict(one) for one in rows], indent=1))
    path.write_text(page(rows))


def key(row: Row) -> tuple[str, str, str]:
    return row.fault, row.algorithm, row.launch


def page(rows: list[Row]) -> str:
    """The README."""
    order = list(dict.fromkeys(row.fault for row in rows))
    lines = [INTRODUCTION, *summary(rows, order), "", "Every measurement:", ""]
    lines += ["| fault | algorithm | launch | error s | next checkpoint s | work lost s | times slower | what the user is told |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for row in sorted(rows, key=lambda row: (order.index(row.fault), row.algorithm, row.launch)):
        numbers = (row.error, row.checkpoint, row.lost, row.slower)
        cells = [row.fault, row.algorithm, row.launch, *map(_number, numbers), _without_paths(row.seen).replace("|", "\\|")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def summary(rows: list[Row], order: list[str]) -> list[str]:
    """The short table: a row per fault, one more of networks and one of images, the range over algorithms and launches."""
    lines = ["| fault | what happens | until error s | until next checkpoint s | work lost s | times slower | measured |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    for fault in order:
        for kind in ("", ", networks", ", images"):
            of_it = [row for row in rows if row.fault == fault and _kind(row.algorithm) == kind]
            if of_it:
                ranges = [_range([getattr(row, name) for row in of_it]) for name in ("error", "checkpoint", "lost", "slower")]
                lines.append("| " + " | ".join([fault + kind, of_it[0].happens, *ranges, f"{len(of_it)} times"]) + " |")
    return lines


def _kind(algorithm: str) -> str:
    return ", networks" if algorithm in NETWORKS else ", images" if algorithm in IMAGES else ""


def _without_paths(text: str) -> str:
    """Temporary directories are called otherwise each time."""
    return re.sub(re.escape(tempfile.gettempdir()) + r"/[^\s:']*", "…", text)


def _range(values: list[float | None]) -> str:
    known = sorted(value for value in values if value is not None)
    if not known:
        return ""
    low, high = _number(known[0]), _number(known[-1])
    return low if low == high else f"{low} – {high}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
