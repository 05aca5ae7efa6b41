"""Spark ML Params from declarations, and those that many algorithms share: columns, and how a training job runs."""

from __future__ import annotations

import difflib
from typing import Any

from pyspark.ml.param import Param, Params

from sparkml_algos.arrays.hyperparameters import (
    ColumnParam,
    Declarations,
    DeclaredParam,
    InvalidParams,
    JobParam,
    documented,
    signature,
)


class SparkParam(Param):
    """The Param of Spark ML that a declaration describes."""

    def __init__(self, declaration: DeclaredParam) -> None:
        super().__init__(Params._dummy(), declaration.name, declaration.doc, declaration.convert)


class DeclaredParams(Declarations, Params):
    """Base of everything with declared Params: keyword constructor, accessors, checks that report all problems at once."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, param in cls.declared.items():
            setattr(cls, name, SparkParam(param))
            _add_accessors(cls, param)
        cls.__signature__ = signature(cls.declared)
        if cls.__doc__ and "{parameters}" in cls.__doc__:
            cls.__doc__ = documented(cls.__doc__, cls.declared)

    def __init__(self, **values: Any) -> None:
        super().__init__()
        self._setDefault(**{name: param.default for name, param in self.declared.items() if not param.required})
        self._set(**values)

    def _set(self, **values: Any) -> DeclaredParams:
        """Set Params by name, or raise one `InvalidParams` that lists every unknown name and bad value."""
        problems = []
        aliases = {alias: name for name, param in self.declared.items() for alias in param.aliases}
        for given, value in values.items():
            name = aliases.get(given, given)
            if name != given and name in values:
                problems.append(f"{given} is another name of {name}; give one of them")
                continue
            if name.startswith("_"):
                continue  # names the service reserves for itself; see the specification's rules common to all algorithms
            if name not in self.declared:
                close = difflib.get_close_matches(name, self.declared, 1)
                problems.append(f"unknown parameter {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
                continue
            try:
                self._paramMap[getattr(self, name)] = self.declared[name].convert(value)
            except ValueError as error:
                problems.append(str(error))
        if problems:
            raise InvalidParams(type(self).__name__, problems)
        return self

    def value(self, name: str) -> Any:
        """The value that counts: set, else default, in its declared type; None where there is none."""
        param = getattr(self, name)
        return self.declared[name].convert(self.getOrDefault(param)) if self.isDefined(param) else None

    def is_given(self, name: str) -> bool:
        """Whether there is a value, if only a default."""
        return self.isDefined(getattr(self, name))


def _add_accessors(cls: type, param: DeclaredParam) -> None:
    def setter(self: DeclaredParams, value: Any) -> DeclaredParams:
        return self._set(**{param.name: value})

    def getter(self: DeclaredParams) -> Any:
        return self.value(param.name)

    for function, prefix, doc in ((setter, "set", "Set"), (getter, "get", "The value of")):
        name = f"{prefix}{param.accessor}"
        function.__name__, function.__qualname__ = name, f"{cls.__qualname__}.{name}"
        function.__doc__, function.is_accessor = f"{doc} `{param.name}`: {param.doc}", True
        if getattr(getattr(cls, name, function), "is_accessor", False):  # a class may have its own
            setattr(cls, name, function)


class FeaturesParams(Declarations):
    """Where the features are."""

    featuresCol = ColumnParam("Features: a Vector column (dense, sparse or mixed) or an array of numbers.", default="features")
    featuresCols = ColumnParam("Features as a list of numeric columns, instead of featuresCol.", type=list)


class LabelParams(Declarations):
    """Where the label is."""

    labelCol = ColumnParam("Label column, numeric.", default="label")


class WeightParams(Declarations):
    """Where the weight of a row is."""

    weightCol = ColumnParam("Weight column, numeric and not negative; every row weighs 1 without it.")


class ValidationParams(Declarations):
    """Which rows are for validation."""

    validationIndicatorCol = ColumnParam(
        "Boolean column, true for rows to validate on; they are not trained on, and are held in the workers' memory."
    )


class IdParams(Declarations):
    """What the rows are called."""

    idCol = ColumnParam("Column of whole numbers, a different one for each row, by which the model names the rows it keeps.")


class GroupParams(Declarations):
    """Which rows are ranked together."""

    groupCol = ColumnParam("Group column: rows with the same value are ranked together; of any type.")


class BaseMarginParams(Declarations):
    """Where the score of a row starts."""

    baseMarginCol = ColumnParam("Column that the score of each row starts from, numeric; read by transform too.")


class PredictionParams(Declarations):
    """Where the prediction goes."""

    predictionCol = ColumnParam("Output column: the prediction.", default="prediction")


class ClassificationParams(PredictionParams):
    """Where the scores of the classes go."""

    probabilityCol = ColumnParam("Output column: a vector of the probability of each class.", default="probability")
    rawPredictionCol = ColumnParam("Output column: a vector of the raw score of each class.", default="rawPrediction")


class JobParams(Declarations):
    """How training runs on the cluster."""

    num_workers = JobParam(
        int, "Workers, each a Spark task; auto is one per task slot of the cluster.", default="auto", minimum=1, special=["auto"]
    )
    use_gpu = JobParam(bool, "Train on a GPU of its own for each worker, assigned by Spark.", default=False)
    data_distribution = JobParam(
        str,
        "ShardedByKey: each row on one worker; FullyReplicated: every row on every worker.",
        default="ShardedByKey",
        choices=["ShardedByKey", "FullyReplicated"],
    )
    shardKeyCol = ColumnParam("Rows with the same value in this column go to the same worker.")
    input_mode = JobParam(
        str,
        "File: read all rows, then train on them in random order; Pipe: train while rows arrive, in the order they arrive.",
        default="File",
        choices=["File", "Pipe"],
    )
    launch = JobParam(
        str,
        "barrier: one barrier stage; gang: ordinary tasks that meet at the driver; auto: gang under dynamic allocation, else barrier.",
        default="auto",
        choices=["auto", "barrier", "gang"],
    )
    communicator = JobParam(
        str,
        "Collectives between workers: tcp, which admits only the job's workers; gloo, nccl (torch's) or horovod, which admit whoever "
        "connects; auto is nccl with use_gpu, else tcp.",
        default="auto",
        choices=["auto", "tcp", "gloo", "nccl", "horovod"],
    )
    checkpoint_dir = JobParam(
        str,
        "Where to keep the state after each epoch, on storage every executor reaches (path, hdfs://, s3://); training resumes from it.",
    )
    max_retries = JobParam(int, "How often training is started again after a worker was lost.", default=0, minimum=0)
    seed = JobParam(int, "Seed of everything random.", default=0, minimum=0)
    start_timeout = JobParam(
        float, "Seconds within which all workers must have started once one has (gang).", default=300.0, minimum=0, min_exclusive=True
    )
    collective_timeout = JobParam(
        float,
        "Seconds a worker waits for the others before it gives up; in Pipe mode more than rows may take to arrive.",
        default=600.0,
        minimum=0,
        min_exclusive=True,
    )
    max_shard_bytes = JobParam(
        int,
        "Bytes of rows a worker holds in memory before it spills to disk; auto is half of what it may use.",
        default="auto",
        minimum=1,
        special=["auto"],
    )
    progress = JobParam(
        str, "Progress bar on the driver; auto shows it where output is interactive.", default="auto", choices=["auto", "on", "off"]
    )
