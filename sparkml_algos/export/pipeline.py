"""A saved pipeline as one graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparkml_algos.export.algorithms import translation_of
from sparkml_algos.export.comparison import both_qualities
from sparkml_algos.export.graph import PRECISIONS, ROWS, TEXT, CannotExport, Graph, Input
from sparkml_algos.export.stages import Frame, double, translate
from sparkml_algos.export.translation import EXACT, OfFeatures, Trained, Translation
from sparkml_algos.names import EXPORTS, current_name
from sparkml_algos.rows.kinds import Text
from sparkml_algos.rows.vectors import Vector
from sparkml_algos.serving.contract import Options
from sparkml_algos.serving.pipelines.columns import NUMBER, NUMBER_OR_VECTOR, VECTOR, WORDS
from sparkml_algos.serving.pipelines.own import outputs_of, settle
from sparkml_algos.serving.pipelines.pipeline import ServedPipeline
from sparkml_algos.serving.pipelines.saved import SavedStage, stages_of

# Of a column of which no stage says what is usual.
_DEVIATION = 10.0
# Stages that say of a vector how long it is, and by what.
_SIZED = {
    "IDFModel": "idf",
    "MaxAbsScalerModel": "maxAbs",
    "MinMaxScalerModel": "originalMin",
    "RobustScalerModel": "median",
    "StandardScalerModel": "mean",
}
# What makes a vector of its column.
_MAKES_VECTORS = ("VectorAssembler", "OneHotEncoderModel", "ElementwiseProduct", "Normalizer", "PCAModel", "VectorSlicer", *_SIZED)
_MAKES_VECTORS = (*_MAKES_VECTORS, "ChiSqSelectorModel", "UnivariateFeatureSelectorModel", "VarianceThresholdSelectorModel")


class WholePipeline:
    """A saved ``PipelineModel``.

    Its outputs are the columns that models of this package make, and what stages behind the last of these make; without such a model what
    the last stage makes.

    Parameters
    ----------
    path : Path
    widths : mapping of str to int
        How many numbers a column of vectors has that the pipeline reads and that no stage tells the length of; such a column is of numbers
        unless it is named here.

    Raises
    ------
    CannotExport, CannotServe
        Naming the stage that cannot be part of a graph.
    """

    name = "PipelineModel"
    shapes: Mapping[str, tuple[int | str, ...]] = {}

    def __init__(self, path: Path, widths: Mapping[str, int] | None = None) -> None:
        self._served = ServedPipeline.load(path, Options())
        self._stages = stages_of(path)
        self._models = {one.uid: translation_of(Trained.read(one.path)) for one in self._stages if is_ours(one)}
        self._widths = {**self._told(), **(widths or {})}
        translations = self._models.values()
        self.decisions: Sequence[str] = [column for one in self._stages if one.uid in self._models for column in self._decided(one)]
        self.tolerance = max((one.tolerance for one in translations), default=EXACT)
        self.compared_rows = min((one.compared_rows for one in translations), default=Translation.compared_rows)
        self.precisions: Sequence[str] = [name for name in PRECISIONS if all(name in one.precisions for one in translations)]
        self._vectors = frozenset({*self._widths, *self._made_vectors()})

    def inputs(self) -> list[Input]:
        return [self._input(name, kind) for name, kind in self._served.inputs.items()]

    def build(self, graph: Graph) -> dict[str, tuple[str, Any]]:
        frame = Frame(graph)
        for one in self.inputs():
            tensor = graph.input(one)
            frame.put(one.name, tensor if one.dtype is TEXT else graph.real(tensor), TEXT if one.dtype is TEXT else None)
        made: list[list[str]] = []
        for stage in self._stages:
            before = dict(frame.tensors)
            if stage.uid in self._models:
                self._append(graph, stage, frame)
            elif stage.uid in self._served.needed:
                translate(graph, stage, frame, self._vectors)
            made.append([name for name, tensor in frame.tensors.items() if before.get(name) != tensor])
        return {name: (frame.tensors[name], frame.types.get(name, graph.number)) for name in self._shown(made)}

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        """Labels that are known, values between the edges of buckets, numbers around what scalers have seen."""
        found: dict[str, Any] = {}
        for stage in self._stages:
            for name, values in self._usual(stage, random, count).items():
                found.setdefault(name, values)
        for one in self.inputs():
            if one.name not in found:
                shape = (count,) if len(one.shape) == 1 else (count, self._widths[one.name])
                found[one.name] = [""] * count if one.dtype is TEXT else random.normal(0, _DEVIATION, shape)
        return {one.name: found[one.name] for one in self.inputs()}

    def asked(self, columns: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], Mapping[str, Any]]:
        feeds = {one.name: np.asarray(columns[one.name], object if one.dtype is TEXT else np.float64) for one in self.inputs()}
        given = {name: values.tolist() if values.dtype == object else values for name, values in feeds.items()}
        frame = self._served.transform(given)
        return feeds, _Settled(frame)

    def settled(self, found: Mapping[str, np.ndarray], ours: Mapping[str, Any]) -> Mapping[str, Any]:
        return ours

    def quality(self, ours: Mapping[str, Any], found: Mapping[str, np.ndarray], label: Any) -> dict[str, tuple[float, float]]:
        return both_qualities(ours, found, self.decisions, label)

    # --------------------------------------------------------------------------------------------------------------- own models

    def _append(self, graph: Graph, stage: SavedStage, frame: Frame) -> None:
        translation = self._models[stage.uid]
        outputs = translation.outputs(graph, {one.name: self._read(graph, stage, translation, one, frame) for one in translation.inputs()})
        for column, name in self._columns(stage).items():
            if name in outputs:
                frame.put(column, outputs[name], translation.types.get(name))

    def _read(self, graph: Graph, stage: SavedStage, translation: Translation, wanted: Input, frame: Frame) -> str:
        """What the graph of a model takes, from the columns of the frame."""
        field = next(one for one in translation.trained.model.fields if one.role == wanted.name)
        several = stage.param(field.list_param) if field.list_param else None
        if several:
            return graph.cast(graph.stacked(*(frame.numbers(name) for name in several)), np.float32)
        column = stage.param(field.param)
        if isinstance(field.kind, Vector):
            return graph.cast(frame.numbers(column), np.float32)
        if isinstance(field.kind, Text) and frame.types.get(column) is TEXT:
            return frame.tensors[column]
        raise CannotExport(
            f"stage {stage.uid} ({translation.trained.name}) reads {column!r} as {type(field.kind).__name__}, which a graph has not; "
            "export the model by itself"
        )

    def _columns(self, stage: SavedStage) -> dict[str, str]:
        """Of each output column of a model its output."""
        trained = self._models[stage.uid].trained
        found = outputs_of(trained.name, trained.hyperparameters)
        return {stage.param(param): output for param, output in found.items() if stage.param(param)}

    def _decided(self, stage: SavedStage) -> list[str]:
        return [column for column, output in self._columns(stage).items() if output in self._models[stage.uid].decisions]

    # ------------------------------------------------------------------------------------------------------------------ columns

    def _input(self, name: str, kind: str) -> Input:
        if name in self._widths or kind == VECTOR:
            if name not in self._widths:
                raise CannotExport(f"no stage tells how many numbers {name!r} has: say so, widths={{{name!r}: …}}")
            return Input(name, np.float64, (ROWS, self._widths[name]))
        if kind in (NUMBER, NUMBER_OR_VECTOR):
            return Input(name, np.float64, (ROWS,))
        if kind == WORDS:
            raise CannotExport(f"the pipeline reads lists of words, {name!r}, which no column of a graph is")
        return Input(name, TEXT, (ROWS,))

    def _told(self) -> dict[str, int]:
        """How many numbers vectors have that are read, where a stage tells."""
        found: dict[str, int] = {}
        for stage in self._stages:
            kind = _spark(stage)
            if kind in _SIZED:
                found.setdefault(stage.param("inputCol"), len(stage.vector(_SIZED[kind])))
            elif kind == "PCAModel":
                found.setdefault(stage.param("inputCol"), len(stage.matrix("pc")))
            elif kind == "VectorSizeHint":
                found.setdefault(stage.param("inputCol"), int(stage.param("size")))
            elif isinstance(model := self._models.get(stage.uid), OfFeatures) and not stage.param("featuresCols"):
                found.setdefault(stage.param("featuresCol"), model.num_features())
        return found

    def _made_vectors(self) -> set[str]:
        """Columns of vectors that stages make."""
        found: set[str] = set()
        for stage in self._stages:
            kind = _spark(stage)
            if kind in _MAKES_VECTORS:
                found |= set(stage.columns("outputCol", "outputCols"))
            elif kind == "Binarizer":
                pairs = zip(stage.columns("inputCol", "inputCols"), stage.columns("outputCol", "outputCols"), strict=True)
                found |= {output for name, output in pairs if name in found or name in self._widths}
            elif stage.uid in self._models:
                found |= {column for column, output in self._columns(stage).items() if output in _VECTORS}
        return found

    def _shown(self, made: list[list[str]]) -> list[str]:
        own = [place for place, stage in enumerate(self._stages) if stage.uid in self._models]
        if not own:
            return made[-1]
        return list(dict.fromkeys(name for place, names in enumerate(made) if place in own or place > own[-1] for name in names))

    def _usual(self, stage: SavedStage, random: np.random.Generator, count: int) -> dict[str, Any]:
        """What columns that a stage reads usually hold."""
        kind = _spark(stage)
        if kind == "StringIndexerModel":
            labels = stage.value("labelsArray") if "labelsArray" in stage.table.column_names else [stage.value("labels")]
            more = ["no such label"] if stage.param("handleInvalid") == "keep" else []
            names = stage.columns("inputCol", "inputCols")
            return {name: random.choice([*known, *more], count).tolist() for name, known in zip(names, labels, strict=True)}
        if kind == "OneHotEncoderModel":
            names = stage.columns("inputCol", "inputCols")
            return {name: random.integers(size, size=count) for name, size in zip(names, stage.value("categorySizes"), strict=True)}
        if kind == "Bucketizer":
            several = stage.metadata["paramMap"].get("splitsArray") or [stage.param("splits")]
            names = stage.columns("inputCol", "inputCols")
            return {name: _within([double(one) for one in splits], random, count) for name, splits in zip(names, several, strict=True)}
        if kind == "ImputerModel":
            found = {}
            for name in stage.columns("inputCol", "inputCols"):
                found[name] = random.normal(float(stage.value(name)), _DEVIATION, count)
                found[name][random.random(count) < 0.1] = np.nan
            return found
        if kind == "StandardScalerModel":
            center, spread = stage.vector("mean"), stage.vector("std")
            return {stage.param("inputCol"): center + spread * random.normal(size=(count, len(center)))}
        if stage.uid in self._models and isinstance(translation := self._models[stage.uid], OfFeatures) and not stage.param("featuresCols"):
            return {stage.param("featuresCol"): translation.rows(random, count)["features"].astype(np.float64)}
        if stage.uid in self._models and "text" in (rows := self._models[stage.uid].rows(random, count)) and stage.param("textCol"):
            return {stage.param("textCol"): rows["text"]}
        return {}


# Outputs of models that are vectors.
_VECTORS = ("projection", "probability", "raw", "votes", "distances", "labels", "topic_mixture", "topic_weights", "scores", "vector")


class _Settled(Mapping[str, Any]):
    """Columns of a frame, each made when it is looked up."""

    def __init__(self, frame: dict[str, Any]) -> None:
        self._frame = frame

    def __getitem__(self, name: str) -> Any:
        settle(self._frame, name)
        column = self._frame[name]
        column = column.toarray() if hasattr(column, "toarray") else column
        return np.array(column, object) if isinstance(column, list) and column and isinstance(column[0], str) else np.asarray(column)

    def __iter__(self) -> Any:
        return iter(self._frame)

    def __len__(self) -> int:
        return len(self._frame)


def _spark(stage: SavedStage) -> str:
    """The class of a stage of Spark's; nothing of another."""
    return stage.cls.rpartition(".")[2] if stage.cls.startswith("org.apache.spark.") else ""


def is_ours(stage: SavedStage) -> bool:
    """Whether a stage is a model of this package."""
    name = current_name(stage.cls)
    return name.startswith("sparkml_algos.") and name.rpartition(".")[2] in EXPORTS and name.endswith("Model") and "Vocabulary" not in name


def _within(splits: list[float], random: np.random.Generator, count: int) -> np.ndarray:
    """Numbers between the first and the last of some, and these themselves."""
    finite = [one for one in splits if np.isfinite(one)] or [0.0]
    low, high = (finite[0] - (splits[0] == -np.inf) * _DEVIATION), (finite[-1] + (splits[-1] == np.inf) * _DEVIATION)
    return np.where(random.random(count) < 0.2, random.choice(finite, count), random.uniform(low, high, count))
