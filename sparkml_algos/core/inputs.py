"""The columns of a DataFrame that an Estimator or Model reads: checked, with all problems in one list, and as Spark expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from sparkml_algos.cluster.launcher import RECORD_BATCH_BYTES
from sparkml_algos.core.columns import Found, existing, find, is_ids, is_number, is_vector, parts, refusal, twice
from sparkml_algos.core.params import DeclaredParams
from sparkml_algos.rows.decoder import Decoder
from sparkml_algos.rows.fields import FEATURES, Field, Source
from sparkml_algos.rows.kinds import Facts, arrow_names
from sparkml_algos.rows.lists import Sentence
from sparkml_algos.rows.vectors import PACKED, Vector

# An Arrow record batch has this many rows where the width of a row is not known.
RECORD_BATCH_ROWS = 4096
MAX_RECORD_BATCH_ROWS = 1 << 16
# Vectors may be sparse, and then as wide as they like: a batch has so many at least, dense ones of 32,768 values being 64 MiB.
MIN_RECORD_BATCH_VECTORS = 512

Pack = Callable[[Found], Column | None]


@dataclass(frozen=True)
class Inputs:
    """The input columns of an Estimator or Model in one DataFrame.

    Attributes
    ----------
    sources : list of Source
        The fields that are read, with all that the schema says of them.
    columns : list of list of Found
        For each of them, the columns of the dataset.
    shard_key : Found or None
        What rows are dealt by.
    packed : dict of str to Column, optional
        By role, vectors that are read in packed form.
    """

    sources: list[Source]
    columns: list[list[Found]]
    shard_key: Found | None = None
    packed: Mapping[str, Column] | None = None

    def packing(self, pack: Pack) -> Inputs:
        """The same inputs, of which those vectors are read in packed form that can be.

        Parameters
        ----------
        pack : callable
            ``pack(found)`` is a Vector column in packed form, None where that is not possible.
        """
        forms = {source.field.role: _form(columns, pack) for source, columns in zip(self.sources, self.columns, strict=True)}
        return replace(self, packed={role: form for role, form in forms.items() if form is not None})

    def decoder(self, facts: Mapping[str, Facts] | None = None) -> Decoder:
        """A decoder of these columns; facts are what a model knows of them from training."""
        decoder = Decoder(self.sources)
        decoder.know(facts or {})
        return decoder

    @property
    def read(self) -> list[Column]:
        """What a decoder reads, as columns of the dataset."""
        return [part for _, part in self._named_parts()]

    @property
    def read_names(self) -> list[str]:
        """Names of the columns of `read`."""
        return [name for name, _ in self._named_parts()]

    @property
    def read_types(self) -> list[pa.DataType]:
        """Their Arrow types."""
        kinds = {name: type_ for source in self.sources for name, type_ in _types(source.field)}
        return [kinds[name] for name in self.read_names]

    def _named_parts(self) -> Iterator[tuple[str, Column]]:
        packed = self.packed or {}
        for source, columns in zip(self.sources, self.columns, strict=True):
            kind, role = source.field.kind, source.field.role
            if role in packed:
                yield _packed_name(source), packed[role].alias(_packed_name(source))
            else:
                yield from zip(arrow_names(role, kind), parts(kind, role, columns), strict=False)

    def dealt(self, pack: Pack) -> tuple[list[Column], list[Column], str | None]:
        """What is dealt to the workers, what they read of it, and the name of what it is dealt by.

        Rows are dealt as they are, which was measured faster than converting them before, but for vectors that can be packed.

        Parameters
        ----------
        pack : callable
            ``pack(found)`` is a Vector column in packed form, None where that is not possible.
        """
        sent: dict[tuple[str, ...], Column] = {}

        def send(found: Found) -> Found:
            sent.setdefault(found.path, found.column.alias(f"column{len(sent)}"))
            return replace(found, column=F.col(f"column{list(sent).index(found.path)}"))

        packed, read = [], []
        for source, columns in zip(self.sources, self.columns, strict=True):
            kind, role = source.field.kind, source.field.role
            form = _form(columns, pack)
            if form is None:
                read += parts(kind, role, [send(found) for found in columns])
            else:
                name = f"packed{len(packed)}"
                packed.append(form.alias(name))
                read.append(F.col(name).alias(_packed_name(source)))
        key = None
        if self.shard_key is not None:
            send(self.shard_key)
            key = f"column{list(sent).index(self.shard_key.path)}"
        return [*packed, *sent.values()], read, key

    @property
    def num_features(self) -> int | None:
        """Length of the vectors, as far as the schema tells."""
        return next((source.field.kind.num_features for source in self.sources if isinstance(source.field.kind, Vector)), None)

    @property
    def feature_names(self) -> list[str] | None:
        """Names of the single features, from ``ml_attr`` metadata or the list of columns."""
        vectors = zip(self.sources, self.columns, strict=True)
        columns = next((columns for source, columns in vectors if isinstance(source.field.kind, Vector)), None)
        return None if columns is None else _described(columns)[1]

    @property
    def rows_per_record_batch(self) -> int:
        """Rows of one Arrow batch, from the width of a row."""
        width, least = 0, 1
        for source, columns in zip(self.sources, self.columns, strict=True):
            kind = source.field.kind
            if not isinstance(kind, Vector):
                width += kind.row_bytes
                continue
            if kind.num_features is None:
                return RECORD_BATCH_ROWS
            width += 4 * kind.num_features
            least = MIN_RECORD_BATCH_VECTORS if is_vector(columns[0].type) else least
        return max(least, min(MAX_RECORD_BATCH_ROWS, RECORD_BATCH_BYTES // max(1, width)))


def _form(columns: Sequence[Found], pack: Pack) -> Column | None:
    """Columns that are a vector, in packed form."""
    return pack(columns[0]) if len(columns) == 1 and is_vector(columns[0].type) else None


def _packed_name(source: Source) -> str:
    kind = source.field.kind
    return arrow_names(source.field.role, kind)[list(kind.parts).index(PACKED)]


def _types(field: Field) -> Iterator[tuple[str, pa.DataType]]:
    return zip(arrow_names(field.role, field.kind), field.kind.parts.values(), strict=True)


def input_problems(dataset: DataFrame, params: DeclaredParams, fields: Sequence[Field], shard_key: str | None = None) -> list[str]:
    """What is wrong with the columns that `params` name for these fields; an empty list if nothing."""
    problems = []
    for field in fields:
        named = _named(params, field)
        if not named and field.default is not None:
            problems.append(f"{field.param} is required: name a column; it is {params.value(field.param)!r}")
        param = field.list_param if len(named) > 1 or _is_list(params, field) else field.param
        problems += [f"{param} names {name!r} more than once" for name in sorted(set(twice(dataset, named)))]
        problems += [problem for name in named if (problem := _problem(dataset, name, param, field, _is_list(params, field)))]
    if shard_key:
        problems += _missing(dataset, shard_key, "shardKeyCol")
    if problems:
        return problems
    declared, found = _declared_dimension(params), read_inputs(dataset, params, fields)
    for source, columns in zip(found.sources, found.columns, strict=True):
        known = _described(columns)[0] if source.field.role == FEATURES else None
        if declared and known and declared != known:
            of = source.field.list_param if len(columns) > 1 else f"column {source.names[0]!r}"
            problems.append(f"feature_dim is {declared} but {of} has {known} features")
    return problems


def read_inputs(dataset: DataFrame, params: DeclaredParams, fields: Sequence[Field], shard_key: str | None = None) -> Inputs:
    """The columns that `params` name for these fields; call `input_problems` first."""
    sources, columns = [], []
    for field in fields:
        names = _named(params, field)
        if not names:
            continue
        found = [find(dataset, name) for name in names]
        if isinstance(field.kind, Vector):
            known = (_declared_dimension(params) if field.role == FEATURES else None) or _described(found)[0]
            field = field.of(replace(field.kind, num_features=field.kind.num_features or known))
        elif isinstance(field.kind, Sentence):
            field = field.of(replace(field.kind, of_ids=is_ids(found[0].type)))
        sources.append(Source(field, names))
        columns.append(found)
    return Inputs(sources, columns, find(dataset, shard_key) if shard_key else None)


def output_problems(dataset: DataFrame, names: Sequence[str], params: Sequence[str]) -> list[str]:
    """What is wrong with output columns of these names, which the `params` give."""
    problems = [] if names else [f"no output has a column; name one of {', '.join(params)}"]
    for name in names:
        if there := existing(dataset, name):
            same = "" if there == name else f" as {there!r}"
            problems.append(f"output column {name!r} exists already{same}; drop it or rename the output")
    return problems + [f"output column {name!r} is named twice; rename one of the outputs" for name in sorted(set(twice(dataset, names)))]


def _named(params: DeclaredParams, field: Field) -> list[str]:
    """The columns that are the field; none if it is left out."""
    if _is_list(params, field):
        return params.value(field.list_param)
    name = params.value(field.param)
    return [name] if name else []


def _is_list(params: DeclaredParams, field: Field) -> bool:
    return bool(field.list_param and params.value(field.list_param))


def column_problem(dataset: DataFrame, name: str, param: str, is_right: Callable[[DataType], bool], expected: str) -> str | None:
    """What is wrong with the column that a Param names, if it must be there and of a type that is right."""
    problems = _missing(dataset, name, param)
    if problems:
        return problems[0]
    type_ = find(dataset, name).type
    return None if is_right(type_) else f"{param}: column {name!r} is {type_.simpleString()}; it must be {expected}"


def _problem(dataset: DataFrame, name: str, param: str, field: Field, is_list: bool) -> str | None:
    if is_list:
        return column_problem(dataset, name, param, is_number, "numeric")
    if missing := _missing(dataset, name, param):
        return missing[0]
    type_ = find(dataset, name).type
    expected = refusal(field.kind, type_)
    if expected is None:
        return None
    column = f"{field.role} column {name!r}" if isinstance(field.kind, Vector) else f"{param}: column {name!r}"
    return f"{column} is {type_.simpleString()}; it must be {expected}"


def _missing(dataset: DataFrame, name: str, param: str) -> list[str]:
    """What keeps a column of this name from being found; an empty list if nothing."""
    try:
        found = find(dataset, name)
    except ValueError as error:
        return [f"{param}={error}"]
    return [] if found else [f"{param}={name!r} is not a column of the dataset; it has {', '.join(dataset.columns)}"]


def _described(columns: Sequence[Found]) -> tuple[int | None, list[str] | None]:
    """Number and names of the features, as far as the schema tells."""
    if is_number(columns[0].type):
        return len(columns), [".".join(found.path) for found in columns]
    attributes = columns[0].field.metadata.get("ml_attr", {})
    named = {attr["idx"]: attr.get("name") for group in attributes.get("attrs", {}).values() for attr in group}
    count = attributes.get("num_attrs") or len(named) or None
    if not named or None in named.values() or len(named) != count:
        return count, None
    return count, [named[index] for index in sorted(named)]


def _declared_dimension(params: DeclaredParams) -> int | None:
    """`feature_dim`, where an algorithm has it and it is a number."""
    declared = params.value("feature_dim") if "feature_dim" in params.declared else None
    return None if declared == "auto" else declared
