"""What led to what: datasets, runs, models, versions, deployments, as a graph in the tracking store.

Entities that are no runs are kept as runs of an experiment that lists leave out; an edge is a tag of the entity that it begins at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from sparkml_algos.tracking import store
from sparkml_algos.tracking.store import PREFIX

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

EXPERIMENT = "sparkml_algos.lineage"
CONTRIBUTED, ASSOCIATED, DERIVED, PRODUCED, SAME = "ContributedTo", "AssociatedWith", "DerivedFrom", "Produced", "SameAs"
ASSOCIATIONS = (CONTRIBUTED, ASSOCIATED, DERIVED, PRODUCED, SAME)
CONTEXT, ACTION, ARTIFACT, COMPONENT = "Context", "Action", "Artifact", "TrialComponent"
DATA_SET, MODEL, MODEL_PACKAGE, ENDPOINT, DEPLOYMENT, GROUP = (
    "DataSet",
    "Model",
    "ModelPackage",
    "Endpoint",
    "ModelDeployment",
    "ModelPackageGroup",
)
APPROVAL = "Approval"
MOST_DEPTH, MOST_RESULTS, MOST_TYPES, MOST_LINEAGE_TYPES = 10, 50, 5, 4

_EDGE, _LINKED, _KIND, _URI = f"{PREFIX}edge.", f"{PREFIX}linked", f"{PREFIX}lineage", f"{PREFIX}source_uri"

Direction = Literal["Ascendants", "Descendants", "Both"]


@dataclass(frozen=True)
class Entity:
    """A node of the graph.

    Attributes
    ----------
    id : str
        Of its run in the store.
    lineage_type : str
        ``Context``, ``Action``, ``Artifact`` or ``TrialComponent``, which is a run.
    name, type, status : str
        `type` such as ``DataSet``, ``Model``, ``Endpoint``, ``TrainingJob``.
    source_uri, source_type : str or None
    properties : dict of str to str
    created, modified : datetime
    """

    id: str
    lineage_type: str
    name: str
    type: str
    status: str
    source_uri: str | None = None
    source_type: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    created: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    modified: datetime = field(default_factory=lambda: datetime.now(timezone.utc))


@dataclass(frozen=True)
class Edge:
    """An association of two entities, by their ids."""

    source: str
    destination: str
    type: str


@dataclass(frozen=True)
class Answer:
    """What a query has found: entities, the nearest first, and the edges that it went along."""

    entities: list[Entity]
    edges: list[Edge]


class Lineage:
    """The graph of a tracking store.

    Parameters
    ----------
    tracking_uri : str, optional
        See `get_tracking_uri`.

    Examples
    --------
    >>> from sparkml_algos.tracking import Lineage
    >>> lineage = Lineage()
    >>> [entity.source_uri for entity in lineage.datasets_of(model_uri)]  # doctest: +SKIP
    ['s3://customers/2026-11.parquet']
    """

    def __init__(self, tracking_uri: str | None = None) -> None:
        self.tracking_uri = store.get_tracking_uri(tracking_uri)

    # -- entities

    def artifact(
        self,
        source_uri: str,
        type: str,
        name: str | None = None,
        *,
        source_type: str | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> Entity:
        """What is at an address; the same entity whenever the address is the same, with the properties of the last call added.

        Parameters
        ----------
        source_uri : str
        type : str
            ``DataSet``, ``Model``, ``ModelPackage``, ``Image`` …
        name : str, optional
        source_type : str, optional
        properties : mapping, optional

        Returns
        -------
        Entity
        """
        if not source_uri:
            raise ValueError("an artifact needs a source_uri")
        return self._entity(ARTIFACT, name or source_uri, type, source_uri, source_type, "Completed", properties, unique=True)

    def action(
        self,
        name: str,
        type: str,
        source_uri: str | None = None,
        *,
        status: str = "Completed",
        source_type: str | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> Entity:
        """Something that was done, such as a deployment (``ModelDeployment``) or an approval."""
        return self._entity(ACTION, name, type, source_uri, source_type, status, properties)

    def context(
        self,
        name: str,
        type: str,
        source_uri: str | None = None,
        *,
        source_type: str | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> Entity:
        """What groups others, such as an ``Endpoint`` or a ``ModelPackageGroup``; one of each name and type."""
        return self._entity(CONTEXT, name, type, source_uri, source_type, "Created", properties, unique=True)

    def run(self, run: Any) -> Entity:
        """A run, or the run of this id, as an entity."""
        run_id = run if isinstance(run, str) else run.run_id
        return _entity_of(store.client_of(self.tracking_uri).get_run(run_id))

    def find(self, address: Any) -> Entity:
        """The entity that is meant: itself, a `Run`, the id of either, or a source URI.

        Raises
        ------
        ValueError
            If there is none.
        """
        if isinstance(address, Entity):
            return address
        if not isinstance(address, str):
            return self.run(address)
        for entity in self._stored(store.equals(f"tags.`{_URI}`", address)):
            if entity.source_uri == address:
                return entity
        from mlflow.exceptions import MlflowException

        try:
            return self.run(address)
        except MlflowException:
            raise ValueError(
                f"the lineage knows no {address!r}: it is neither the source URI of an entity nor the id of one or of a run"
            ) from None

    def _entity(
        self,
        lineage_type: str,
        name: str,
        type: str,
        source_uri: str | None,
        source_type: str | None,
        status: str,
        properties: Mapping[str, Any] | None,
        unique: bool = False,
    ) -> Entity:
        tags = {f"{PREFIX}property.{key}": str(value) for key, value in (properties or {}).items()}
        if unique:
            what = (
                store.equals(f"tags.`{_URI}`", str(source_uri))
                if lineage_type == ARTIFACT
                else store.equals(f"tags.`{PREFIX}entity_name`", name)
            )
            for known in self._stored(what):
                same = known.source_uri == source_uri if lineage_type == ARTIFACT else (known.name, known.type) == (name, type)
                if known.lineage_type == lineage_type and same:
                    if any(known.properties.get(key) != str(value) for key, value in (properties or {}).items()):
                        store.log(self.tracking_uri, known.id, tags={**tags, f"{PREFIX}modified": str(store.now())})
                    return self.run(known.id)
        tags |= {_KIND: lineage_type, f"{PREFIX}type": type, f"{PREFIX}status": status, f"{PREFIX}entity_name": name}
        tags |= {key: value for key, value in {_URI: source_uri, f"{PREFIX}source_type": source_type}.items() if value is not None}
        client = store.client_of(self.tracking_uri)
        made = client.create_run(self._experiment(), start_time=store.now(), tags=tags, run_name=name[:250])
        client.set_terminated(made.info.run_id)
        return self.run(made.info.run_id)

    def _experiment(self) -> str:
        return store.experiment_id(self.tracking_uri, EXPERIMENT, {f"{PREFIX}hidden": "true"})

    def _stored(self, filter_string: str) -> Iterable[Entity]:
        return (_entity_of(run) for run in store.runs_of(self.tracking_uri, [self._experiment()], filter_string))

    # -- edges

    def associate(self, source: Any, destination: Any, type: str = CONTRIBUTED) -> Edge:
        """Say what a source is to a destination.

        Parameters
        ----------
        source, destination : Entity, Run or str
            See `find`.
        type : {"ContributedTo", "AssociatedWith", "DerivedFrom", "Produced", "SameAs"}

        Returns
        -------
        Edge

        Raises
        ------
        ValueError
        """
        if type not in ASSOCIATIONS:
            raise ValueError(f"an association is one of {', '.join(ASSOCIATIONS)}, got {type!r}")
        begin, end = self.find(source), self.find(destination)
        if begin.id == end.id:
            raise ValueError(f"{begin.name} cannot be associated with itself")
        store.log(self.tracking_uri, begin.id, tags={f"{_EDGE}{end.id}": type, _LINKED: "true"})
        store.log(self.tracking_uri, end.id, tags={_LINKED: "true"})
        return Edge(begin.id, end.id, type)

    def _graph(self) -> tuple[dict[str, Entity], list[Edge]]:
        experiments = [one.experiment_id for one in store.all_experiments(self.tracking_uri)] + [self._experiment()]
        entities, edges = {}, []
        for run in store.runs_of(self.tracking_uri, list(dict.fromkeys(experiments)), f"tags.`{_LINKED}` = 'true'"):
            entities[run.info.run_id] = _entity_of(run)
            for key, type in run.data.tags.items():
                if key.startswith(_EDGE):
                    edges.append(Edge(run.info.run_id, key.removeprefix(_EDGE), type))
        return entities, [edge for edge in edges if edge.destination in entities]

    def frame(self) -> pd.DataFrame:
        """The table of edges: source, destination, type, and name and type of either side.

        Returns
        -------
        pandas.DataFrame
        """
        import pandas as pd

        entities, edges = self._graph()
        names = ["source", "source_name", "source_type", "association", "destination", "destination_name", "destination_type"]
        rows = []
        for one in edges:
            begin, end = entities[one.source], entities[one.destination]
            rows.append((begin.id, begin.name, begin.type, one.type, end.id, end.name, end.type))
        return pd.DataFrame(rows, columns=names)

    def dataframe(self, spark: SparkSession) -> DataFrame:
        """The table of edges in Spark, to be kept where tables are.

        Parameters
        ----------
        spark : SparkSession
        """
        frame = self.frame()
        return spark.createDataFrame(
            [tuple(row) for row in frame.itertuples(index=False)], ", ".join(f"{name} string" for name in frame.columns)
        )

    # -- questions

    def query(
        self,
        start: Any,
        direction: Direction = "Both",
        max_depth: int = MOST_DEPTH,
        *,
        include_edges: bool = True,
        max_results: int = MOST_RESULTS,
        types: Sequence[str] | None = None,
        lineage_types: Sequence[str] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        modified_after: datetime | None = None,
        modified_before: datetime | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> Answer:
        """What is connected with an entity. Filters choose among what was found; the way to it may lead through anything.

        Parameters
        ----------
        start : Entity, Run or str
            See `find`; it is not among the answers.
        direction : {"Ascendants", "Descendants", "Both"}
            ``Both`` goes either way from every entity that it meets.
        max_depth : int, default 10
            Edges from the start, at most 10.
        include_edges : bool, default True
        max_results : int, default 50
            At most 50.
        types : sequence of str, optional
            At most 5, such as ``DataSet``.
        lineage_types : sequence of str, optional
            At most 4: ``Artifact``, ``Action``, ``Context``, ``TrialComponent``.
        created_after, created_before, modified_after, modified_before : datetime, optional
        properties : mapping of str to str, optional
            Of which any pair must match.

        Returns
        -------
        Answer

        Raises
        ------
        ValueError
        """
        if direction not in ("Ascendants", "Descendants", "Both"):
            raise ValueError(f"direction must be 'Ascendants', 'Descendants' or 'Both', got {direction!r}")
        if not isinstance(max_depth, int) or not 1 <= max_depth <= MOST_DEPTH:
            raise ValueError(f"max_depth must be 1 to {MOST_DEPTH}, got {max_depth!r}")
        if not isinstance(max_results, int) or not 1 <= max_results <= MOST_RESULTS:
            raise ValueError(f"max_results must be 1 to {MOST_RESULTS}, got {max_results!r}")
        if len(types or ()) > MOST_TYPES or len(lineage_types or ()) > MOST_LINEAGE_TYPES:
            raise ValueError(f"there may be {MOST_TYPES} types and {MOST_LINEAGE_TYPES} lineage_types")
        first = self.find(start)
        entities, edges = self._graph()
        near, went = walk(first.id, edges, direction, max_depth)

        def chosen(one: Entity) -> bool:
            return (
                (not types or one.type in types)
                and (not lineage_types or one.lineage_type in lineage_types)
                and (created_after is None or one.created >= _aware(created_after))
                and (created_before is None or one.created <= _aware(created_before))
                and (modified_after is None or one.modified >= _aware(modified_after))
                and (modified_before is None or one.modified <= _aware(modified_before))
                and (not properties or any(one.properties.get(key) == value for key, value in properties.items()))
            )

        found = [entities[id] for id in near if chosen(entities[id])]
        return Answer(found[:max_results], went if include_edges else [])

    def datasets_of(self, model: Any) -> list[Entity]:
        """The datasets that a model, a run or an endpoint comes from."""
        return self.query(model, "Ascendants", types=[DATA_SET]).entities

    def models_of(self, dataset: Any) -> list[Entity]:
        """The models, and versions of models, that a dataset has led to."""
        return self.query(dataset, "Descendants", types=[MODEL, MODEL_PACKAGE]).entities

    def endpoints_of(self, address: Any) -> list[Entity]:
        """The endpoints that a model or a dataset has led to."""
        return self.query(address, "Descendants", types=[ENDPOINT]).entities

    def jobs_of(self, address: Any) -> list[Entity]:
        """The runs that have led to an endpoint or a model."""
        return self.query(address, "Ascendants", lineage_types=[COMPONENT]).entities

    def deploy(self, model: Any, endpoint: str, properties: Mapping[str, Any] | None = None) -> Entity:
        """Say that a model, or a version of one, answers at an endpoint.

        Parameters
        ----------
        model : Entity or str
        endpoint : str
            Its name, or address.
        properties : mapping, optional

        Returns
        -------
        Entity
            The endpoint.
        """
        what = self.find(model)
        where = self.context(endpoint, ENDPOINT, endpoint, properties=properties)
        done = self.action(f"deployment of {what.name} to {endpoint}"[:250], DEPLOYMENT, what.source_uri)
        self.associate(what, done, CONTRIBUTED)
        self.associate(done, where, ASSOCIATED)
        return where


def walk(start: str, edges: Sequence[Edge], direction: Direction, max_depth: int) -> tuple[list[str], list[Edge]]:
    """Ids within so many edges of a start, the nearest first, and the edges on the way."""
    after: dict[str, list[tuple[str, Edge]]] = {}
    for edge in edges:
        if direction in ("Descendants", "Both"):
            after.setdefault(edge.source, []).append((edge.destination, edge))
        if direction in ("Ascendants", "Both"):
            after.setdefault(edge.destination, []).append((edge.source, edge))
    met: dict[str, None] = {start: None}
    went: dict[Edge, None] = {}
    border = [start]
    for _ in range(max_depth):
        following = []
        for id in border:
            for other, edge in after.get(id, ()):
                went[edge] = None
                if other not in met:
                    met[other] = None
                    following.append(other)
        border = following
    return [id for id in met if id != start], list(went)


def _entity_of(run: Any) -> Entity:
    tags, created = run.data.tags, datetime.fromtimestamp(run.info.start_time / 1000, timezone.utc)
    is_run = _KIND not in tags
    ended = run.info.end_time or run.info.start_time
    modified = datetime.fromtimestamp(int(tags.get(f"{PREFIX}modified", ended)) / 1000, timezone.utc)
    start = f"{PREFIX}property."
    properties = {key.removeprefix(start): value for key, value in tags.items() if key.startswith(start)}
    types = {"training": "TrainingJob", "trial": "TrainingJob", "tuning": "HyperParameterTuningJob"}
    if is_run:
        known = {"Repository": "mlflow.source.git.repoURL", "CommitId": "mlflow.source.git.commit", "GeneratedBy": "mlflow.source.name"}
        properties |= {shown: tags[tag] for shown, tag in known.items() if tag in tags}
    return Entity(
        id=run.info.run_id,
        lineage_type=COMPONENT if is_run else tags[_KIND],
        name=tags.get(f"{PREFIX}entity_name", run.info.run_name),
        type=types.get(tags.get(f"{PREFIX}kind", ""), "Run") if is_run else tags[f"{PREFIX}type"],
        status=run.info.status if is_run else tags[f"{PREFIX}status"],
        source_uri=tags.get(_URI),
        source_type=tags.get(f"{PREFIX}source_type"),
        properties=properties,
        created=created,
        modified=modified,
    )


def _aware(when: datetime) -> datetime:
    return when if when.tzinfo else when.astimezone()
