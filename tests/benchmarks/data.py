"""The rows that are benchmarked on, as Parquet folders with a Vector column ``features``, dense or sparse, and maybe ``label``."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import scipy.sparse as sp
from harness import HERE, Skipped

REPOSITORY = HERE.parent.parent
DATA_VARIABLE = "SPARKML_ALGOS_DATA"

BLOB_ROWS, BLOB_FEATURES, BLOBS = 1_000_000, 64, 100
# Distance between centres is about 0.55·√(2·64) = 6.2 standard deviations of a blob: some 7 % of the rows lie nearer to another centre.
BLOB_SPREAD = 0.55
BLOB_SEED = 20_240_601
BLOB_CHUNK = 125_000
NORMAL_ROWS, NORMAL_FEATURES, NORMAL_SEED = 1_000_000, 10, 7
NORMAL_CHUNK = 250_000
# One copy of the word counts is read in a tenth of a second.
COUNT_COPIES = 10
MOVIELENS_USERS, MOVIELENS_FILMS = 943, 1682
CLICK_ROWS, CLICK_FEATURES, CLICK_FIELDS = 400_000, 2_000_000, 20
WIDE_CLICK_ROWS, WIDE_CLICK_FEATURES = 1_000_000, 10_000_000
CLICK_CHUNK = 50_000
CLICK_SEED = 1
# The same of census records, and of districts of California.
TABLE_COPIES = {"adult": 10, "california": 25}
TERMS = 3072
KNOWN_AS = {
    "mnist": "MNIST",
    "labelled mnist": "MNIST",
    "large": "mixture of Gaussians",
    "adult": "Adult",
    "sparse adult": "Adult, sparse",
    "california": "California housing",
    "waves": "made-up table",
}
# One task per core reads the documents.
DOCUMENT_FILES = 2


@dataclass(frozen=True)
class Dataset:
    """Rows on disk.

    Attributes
    ----------
    name : str
    path : str
        Parquet folder.
    rows, features : int
    k : int
        Clusters to look for; 0 where nobody looks for any.
    """

    name: str
    path: str
    rows: int
    features: int
    k: int

    @property
    def title(self) -> str:
        return f"{self.name} ({self.rows:,} x {self.features}{f', k={self.k}' if self.k else ''})"

    @property
    def subject(self) -> str:
        """For readers who do not know the names here."""
        return f"{KNOWN_AS.get(self.name, self.name)}, {self.rows:,} × {self.features}"


class Data:
    """Datasets in a folder, each written when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Dataset] = {}

    def get(self, name: str) -> Dataset:
        """``mnist``: 60,000 digits of 784 pixels in [0, 1]; ``labelled mnist`` with labels, ``labelled mnist test``
        the 10,000 others. ``large``: 1,000,000 rows of `blobs`. ``counts``: word counts of the
        20-newsgroups documents, sparse, ten times over. ``ratings``: who rates which film how, of MovieLens 100k without the test rows of
        the official first fold, ``ratings test`` these; a one for the user and one for the film. ``clicks`` and
        ``wide clicks``: see `clicks`.
        ``normal``: 1,000,000 rows of independent normal numbers.
        ``adult`` and ``sparse adult``: census records of two classes, categories one-hot;
        ``adult table``, ``bank``: the training part of the census, and whom a bank has called, once, see `standardised`;
        ``california``: districts and their house prices; both many times over.
        ``census``, ``census test``: Adult, text as codes, missing values as NaN; ``housing``, ``housing test``: California's districts,
        four fifths and the rest, label in 100,000 $. ``waves``: 200,000 rows whose classes depend on products and thresholds.
        ``newsgroups``: the word counts of the training documents once, ``newsgroups half`` half of
        the words of each test document; labels are the numbers of the documents.

        Raises
        ------
        Skipped
            If the files of a public dataset are not there.
        """
        if name not in self._made:
            k, chunks = {
                "mnist": (10, mnist),
                "labelled mnist": (10, labelled_mnist),
                "labelled mnist test": (10, functools.partial(labelled_mnist, "test")),
                "large": (BLOBS, blobs),
                "counts": (0, counts),
                "ratings": (0, ratings),
                "ratings test": (0, functools.partial(ratings, "test")),
                "clicks": (0, clicks),
                "wide clicks": (0, functools.partial(clicks, WIDE_CLICK_ROWS, WIDE_CLICK_FEATURES)),
                "normal": (0, normal),
                "adult": (0, adult),
                "adult table": (0, functools.partial(standardised, "adult/adult_train.csv.gz", ">50K")),
                "bank": (0, functools.partial(standardised, "bank_marketing/bank_full_no_divorced.csv.gz", "yes")),
                "sparse adult": (0, functools.partial(adult, sp.csr_array)),
                "california": (0, california),
                "census": (0, functools.partial(census, "train")),
                "census test": (0, functools.partial(census, "test")),
                "housing": (0, functools.partial(housing, True)),
                "housing test": (0, functools.partial(housing, False)),
                "waves": (0, waves),
                "newsgroups": (0, functools.partial(numbered_documents, "tr")),
                "newsgroups half": (0, functools.partial(numbered_documents, "ts_h1")),
            }[name]
            rows, features = write_vectors(self._folder / name, chunks())
            self._made[name] = Dataset(name, str(self._folder / name), rows, features, k)
        return self._made[name]


def mnist() -> Iterator[np.ndarray]:
    """The training digits, pixels divided by 255."""
    for rows, _ in labelled_mnist():
        yield rows


def labelled_mnist(part: str = "train") -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Digits and their labels."""
    path = public(f"mnist/mnist_{part}.parquet")
    for batch in pq.ParquetFile(path).iter_batches(10_000, columns=["pixels", "label"]):
        yield batch["pixels"].flatten().to_numpy().reshape(len(batch), -1) / 255.0, batch["label"].to_numpy().astype(np.float64)


def counts() -> Iterator[sp.csr_array]:
    """Documents (18,845) by terms (3,072): how often each term occurs."""
    rows = sp.vstack([documents(split) for split in ("tr", "va", "ts")], format="csr")
    for _ in range(COUNT_COPIES):
        yield rows


def ratings(part: str = "train") -> Iterator[tuple[sp.csr_array, np.ndarray]]:
    """Users (943) and films (1,682) as ones, and the ratings."""
    table = pcsv.read_csv(public("movielens_100k/ratings.csv.gz"))
    table = table.filter(pc.xor(pc.equal(table["fold"], 1), part == "train"))
    users, films = (table[name].to_numpy() - 1 for name in ("user_id", "item_id"))
    places = np.stack([users, MOVIELENS_USERS + films], axis=1).ravel()
    ends = np.arange(0, len(places) + 1, 2)
    rows = sp.csr_array((np.ones(len(places)), places, ends), shape=(len(users), MOVIELENS_USERS + MOVIELENS_FILMS))
    yield rows, table["rating"].to_numpy().astype(np.float64)


def clicks(rows: int = CLICK_ROWS, features: int = CLICK_FEATURES) -> Iterator[tuple[sp.csr_array, np.ndarray]]:
    """Rows of as many ones as there are fields, of each field's values the first more often, and 0 or 1 for each row by what its values
    pull to."""
    random = np.random.default_rng(CLICK_SEED)
    pull = random.standard_normal(features)
    values = features // CLICK_FIELDS
    for _ in range(rows // CLICK_CHUNK):
        drawn = (values * random.random((CLICK_CHUNK, CLICK_FIELDS)) ** 4).astype(np.int32)
        places = drawn + values * np.arange(CLICK_FIELDS, dtype=np.int32)
        ends = np.arange(0, places.size + 1, CLICK_FIELDS)
        chunk = sp.csr_array((np.ones(places.size), places.ravel(), ends), shape=(CLICK_CHUNK, features))
        yield chunk, (chunk @ pull > 0).astype(np.float64)


def adult(form: Callable[[np.ndarray], np.ndarray | sp.csr_array] = np.asarray) -> Iterator[tuple[np.ndarray | sp.csr_array, np.ndarray]]:
    """Census records (48,842) by numbers and categories (108), and whether the income is above 50,000."""
    import pandas as pd

    table = pd.concat([pd.read_csv(public(f"adult/adult_{part}.csv.gz")) for part in ("train", "test")])
    label = (table.pop("income").str.strip() == ">50K").to_numpy(float)
    rows = form(pd.get_dummies(table).to_numpy(float))
    for _ in range(TABLE_COPIES["adult"]):
        yield rows, label


def standardised(name: str, positive: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A table whose last column is the label, categories one-hot, every column of mean 0 and deviation 1."""
    import pandas as pd

    table = pd.read_csv(public(name))
    label = (table.pop(table.columns[-1]).str.strip() == positive).to_numpy(float)
    rows = pd.get_dummies(table, dtype=float)
    yield ((rows - rows.mean()) / rows.std().replace(0, 1)).to_numpy(float), label


def california() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Districts of California (20,433 without those of unknown bedrooms) by numbers (8), and their house prices."""
    import pandas as pd

    table = pd.read_csv(public("california_housing/housing.csv.gz")).dropna().drop(columns=["ocean_proximity"])
    label = table.pop("median_house_value").to_numpy(float)
    for _ in range(TABLE_COPIES["california"]):
        yield table.to_numpy(float), label


def numbered_documents(split: str) -> Iterator[tuple[sp.csr_array, np.ndarray]]:
    """Documents of a part in chunks, and their numbers."""
    rows = documents(split)
    for numbers in np.array_split(np.arange(rows.shape[0]), DOCUMENT_FILES):
        yield rows[numbers], numbers.astype(np.float64)


def documents(split: str) -> sp.csr_array:
    """How often each of 3,072 terms occurs in each document of a part of 20-newsgroups: ``tr``, ``va``, ``ts``, or ``ts_h1`` and ``ts_h2``,
    the halves of the documents of ``ts``."""
    table = pcsv.read_csv(public("newsgroups20/bow_etm.csv.gz"))
    table = table.filter(pc.equal(table["split"], split))
    document, term, count = (table[name].to_numpy() for name in ("doc", "term", "count"))
    return sp.csr_array((count.astype(np.float64), (document, term)), shape=(int(document.max()) + 1, TERMS))


def blobs() -> Iterator[np.ndarray]:
    """A mixture of 100 Gaussians of unit variance in 64 dimensions; blob *i* has weight 1/√i, so the largest is ten times the smallest."""
    random = np.random.default_rng(BLOB_SEED)
    centers = BLOB_SPREAD * random.standard_normal((BLOBS, BLOB_FEATURES))
    weights = 1 / np.sqrt(np.arange(1, BLOBS + 1))
    for _ in range(BLOB_ROWS // BLOB_CHUNK):
        blob = random.choice(BLOBS, BLOB_CHUNK, p=weights / weights.sum())
        yield centers[blob] + random.standard_normal((BLOB_CHUNK, BLOB_FEATURES))


def normal() -> Iterator[np.ndarray]:
    """Independent standard normal numbers."""
    random = np.random.default_rng(NORMAL_SEED)
    for _ in range(NORMAL_ROWS // NORMAL_CHUNK):
        yield random.standard_normal((NORMAL_CHUNK, NORMAL_FEATURES))


def census(part: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """14 features in their order; text is the place of a value in alphabetical order among those of the training part."""
    train, table = (pcsv.read_csv(public(f"adult/adult_{name}.csv.gz")) for name in ("train", part))
    columns = []
    for name in table.column_names[:-1]:
        values = table[name].to_pylist()
        if isinstance(values[0], str):
            codes = {value: code for code, value in enumerate(sorted(set(train[name].to_pylist()) - {"?"}))}
            values = [codes.get(value, np.nan) for value in values]
        columns.append(np.array(values, np.float64))
    yield np.column_stack(columns), np.array([value == ">50K" for value in table[table.column_names[-1]].to_pylist()], np.float64)


def housing(train: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Nine features, the last the place of `ocean_proximity` in alphabetical order; rows in random order."""
    table = pcsv.read_csv(public("california_housing/housing.csv.gz"))
    places = sorted(set(table["ocean_proximity"].to_pylist()))
    names = [name for name in table.column_names if name not in ("median_house_value", "ocean_proximity")]
    columns = [np.array([np.nan if value is None else value for value in table[name].to_pylist()], np.float64) for name in names]
    columns.append(np.array([places.index(value) for value in table["ocean_proximity"].to_pylist()], np.float64))
    rows, label = np.column_stack(columns), table["median_house_value"].to_numpy() / 1e5
    order = np.random.default_rng(0).permutation(len(rows))
    chosen = order[: len(rows) * 4 // 5] if train else order[len(rows) * 4 // 5 :]
    yield rows[chosen], label[chosen]


def waves() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """28 normal features; log-odds of a sine, a product and a threshold of seven of them."""
    random = np.random.default_rng(BLOB_SEED)
    for _ in range(2):
        rows = random.standard_normal((100_000, 28))
        odds = 2 * np.sin(2 * rows[:, 0]) + rows[:, 1] * rows[:, 2] + (rows[:, 3] > 0) * rows[:, 4] - rows[:, 5] + 0.5 * rows[:, 6]
        yield rows, (random.logistic(size=len(rows)) < odds).astype(np.float64)


def public(name: str) -> Path:
    """A file of the public datasets.

    Raises
    ------
    Skipped
        If it is not there.
    """
    path = Path(os.environ.get(DATA_VARIABLE) or REPOSITORY.parent / "shared" / "data") / name
    if not path.exists():
        raise Skipped(f"{path} does not exist; set {DATA_VARIABLE} to a folder that has {name}")
    return path


def write_vectors(folder: Path, chunks: Iterator[np.ndarray | sp.csr_array | tuple[np.ndarray, np.ndarray]]) -> tuple[int, int]:
    """Write a file per chunk, shape (rows, features), or rows and their labels, as Spark would write dense or, of a CSR matrix, sparse
    vectors.

    Returns
    -------
    (int, int)
        Rows and features.
    """
    rows = features = 0
    for number, chunk in enumerate(chunks):
        chunk, label = chunk if isinstance(chunk, tuple) else (chunk, None)
        folder.mkdir(exist_ok=True)
        table = _vectors(chunk.astype(np.float64, copy=False), label)
        pq.write_table(table, folder / f"part-{number:05d}.parquet", compression="snappy")
        rows, features = rows + chunk.shape[0], chunk.shape[1]
    return rows, features


def read_vectors(path: str) -> np.ndarray:
    """The rows of such a folder, shape (rows, features), float32."""
    parts = []
    for file in sorted(Path(path).glob("*.parquet")):
        values = pc.struct_field(pq.read_table(file)["features"], "values")
        parts.append(values.combine_chunks().flatten().to_numpy().astype(np.float32).reshape(len(values), -1))
    return np.concatenate(parts)


def _vectors(rows: np.ndarray | sp.csr_array, label: np.ndarray | None) -> pa.Table:
    """A table that Spark reads as a column of `DenseVector`: the storage type of its VectorUDT, and the schema as Spark notes it down."""
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql.types import DoubleType, StructField, StructType

    count, width = rows.shape
    if isinstance(rows, np.ndarray):
        offsets = pa.array(np.arange(0, count * width + 1, width, dtype=np.int32))
        kinds, sizes, indices = pa.array(np.ones(count, np.int8)), pa.nulls(count, pa.int32()), pa.nulls(count, pa.list_(pa.int32()))
        values = pa.ListArray.from_arrays(offsets, pa.array(rows.ravel()))
    else:
        offsets = pa.array(rows.indptr.astype(np.int32))
        kinds, sizes = pa.array(np.zeros(count, np.int8)), pa.array(np.full(count, width, np.int32))
        indices = pa.ListArray.from_arrays(offsets, pa.array(rows.indices.astype(np.int32)))
        values = pa.ListArray.from_arrays(offsets, pa.array(rows.data))
    features = pa.StructArray.from_arrays([kinds, sizes, indices, values], ["type", "size", "indices", "values"])
    fields, columns = [StructField("features", VectorUDT())], {"features": features}
    if label is not None:
        fields.append(StructField("label", DoubleType()))
        columns["label"] = pa.array(label)
    schema = json.loads(StructType(fields).json())
    return pa.table(columns).replace_schema_metadata({"org.apache.spark.sql.parquet.row.metadata": json.dumps(schema)})
