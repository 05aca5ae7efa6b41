"""Rows for the jobs of this folder: customers, made up, some of whom leave.

    python examples/jobs/make_rows.py /tmp/customers

writes ``train.parquet`` and ``new.parquet`` there, with the columns ``id``, ``age``, ``income``, ``visits`` and ``left`` (0 or 1).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--rows", type=int, default=2000, help="rows to train on; there are a tenth as many new ones")
    given = arguments.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    customers(random, given.rows).to_parquet(given.folder / "train.parquet")
    customers(random, given.rows // 10).to_parquet(given.folder / "new.parquet")
    print(f"{given.folder}: train.parquet ({given.rows} rows), new.parquet ({given.rows // 10} rows)")


def customers(random: np.random.Generator, rows: int) -> pd.DataFrame:
    """Who visits seldom and is young leaves more often."""
    age, income, visits = random.uniform(18, 80, rows), random.lognormal(10, 0.5, rows), random.poisson(6, rows)
    chance = 1 / (1 + np.exp(0.08 * (age - 45) + 0.9 * (visits - 6)))
    leaves = (random.uniform(size=rows) < chance).astype(int)
    return pd.DataFrame({"id": np.arange(rows), "age": age, "income": income, "visits": visits, "leaves": leaves})


if __name__ == "__main__":
    main()
