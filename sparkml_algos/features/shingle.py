"""Shingles: windows of consecutive steps of a series, a row per step."""

from __future__ import annotations

from pyspark.ml import Transformer
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from sparkml_algos.arrays.hyperparameters import ColumnParam, Declarations, DeclaredParam, InvalidParams
from sparkml_algos.core.columns import column, find, is_number, is_ordered
from sparkml_algos.core.inputs import column_problem, output_problems
from sparkml_algos.core.params import DeclaredParams
from sparkml_algos.core.saving import Persistable


class ShingleParams(Declarations):
    """Columns and settings of `Shingle`."""

    inputCols = ColumnParam("Numeric columns of the series; several make shingles of rows.", type=list)
    outputCol = ColumnParam("Output column: a vector of the values, oldest step first.", default="features")
    timeCol = ColumnParam("Column that orders the steps.")
    keyCols = ColumnParam("Columns that tell several series apart.", type=list)
    size = DeclaredParam(int, "Steps in a shingle.", required=True, minimum=1)
    incomplete = DeclaredParam(
        str,
        "Of steps without size - 1 others before them, or with a null in the shingle: drop the row, or make the shingle null.",
        default="drop",
        choices=["drop", "null"],
    )


class Shingle(Transformer, DeclaredParams, ShingleParams, Persistable):
    """Turns a series into rows of `size` consecutive steps, so that odd shapes and broken rhythms become odd rows.

    {parameters}

    Notes
    -----
    The row of a step holds this step and those before it, of each step the values of all `inputCols` together: size · inputs numbers, named
    ``value[-2]``, ``value[-1]``, ``value[0]`` for the features' metadata. Without `keyCols` Spark sorts the whole series in one task.
    Steps are taken as they come: gaps in time are not filled. Spark has no such windows over streams.

    Examples
    --------
    >>> from pyspark.ml import Pipeline
    >>> from sparkml_algos import RandomCutForest, Shingle
    >>> shingle = Shingle(inputCols=["load"], timeCol="timestamp", keyCols=["machine"], size=48)  # doctest: +SKIP
    >>> model = Pipeline(stages=[shingle, RandomCutForest()]).fit(dataframe)  # doctest: +SKIP
    """

    def _transform(self, dataset: DataFrame) -> DataFrame:
        problems = self.problems() or self._column_problems(dataset)
        if problems:
            raise InvalidParams(type(self).__name__, problems)
        names, size = self.value("inputCols"), self.value("size")
        keys = [find(dataset, name).column for name in self.value("keyCols") or []]
        steps = Window.partitionBy(*keys).orderBy(find(dataset, self.value("timeCol")).column)
        numbers = [find(dataset, name).column.cast("double") for name in names]
        values = [F.lag(number, back).over(steps) for back in range(size - 1, -1, -1) for number in numbers]
        made = dataset.select("*", F.array(*values).alias(_SHINGLE))
        is_complete = ~F.exists(column(_SHINGLE), lambda value: value.isNull())
        if self.value("incomplete") == "drop":
            made = made.where(is_complete)
        attributes = [
            {"idx": place * len(names) + i, "name": f"{name}[{place - size + 1}]"} for place in range(size) for i, name in enumerate(names)
        ]
        metadata = {"ml_attr": {"attrs": {"numeric": attributes}, "num_attrs": len(attributes)}}
        shingle = F.when(is_complete, array_to_vector(column(_SHINGLE))).alias(self.value("outputCol"), metadata=metadata)
        return made.select("*", shingle).drop(_SHINGLE)

    def _column_problems(self, dataset: DataFrame) -> list[str]:
        inputs, time, output = self.value("inputCols"), self.value("timeCol"), self.value("outputCol")
        needed = (("inputCols", inputs), ("timeCol", time), ("outputCol", output))
        problems = [f"{name} is required" for name, value in needed if not value]
        if dataset.isStreaming:
            problems.append("the dataset is a stream, over which Spark has no windows of rows; make shingles within foreachBatch")
        if problems:
            return problems
        for param, names, is_right, expected in (
            ("inputCols", inputs, is_number, "numeric"),
            ("timeCol", [time], is_ordered, "of a type that has an order"),
            ("keyCols", self.value("keyCols") or [], is_ordered, "of a type that has an order"),
        ):
            problems += [problem for name in names if (problem := column_problem(dataset, name, param, is_right, expected))]
        return problems + output_problems(dataset, [output], ["outputCol"])


_SHINGLE = "_sparkml_algos_shingle"
