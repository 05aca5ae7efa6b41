"""Versions of registered models, and what was approved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sparkml_algos.tracking import store
from sparkml_algos.tracking.lineage import APPROVAL, ASSOCIATED, CONTRIBUTED, GROUP, MODEL, MODEL_PACKAGE, Lineage
from sparkml_algos.tracking.store import PREFIX

Approval = Literal["PendingManualApproval", "Approved", "Rejected"]
APPROVALS = ("PendingManualApproval", "Approved", "Rejected")
FOLDER = f"{PREFIX}folder"  # of the run, in which the model of a version is
_APPROVAL, _APPROVED = f"{PREFIX}approval", "approved"


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model.

    Attributes
    ----------
    name : str
    version : int
    approval : str
        ``PendingManualApproval``, ``Approved`` or ``Rejected``.
    run_id : str or None
        Of the run that has made it.
    uri : str
        ``models:/name/version``.
    tags : dict of str to str
    """

    name: str
    version: int
    approval: str
    run_id: str | None
    uri: str
    tags: dict[str, str]


def register_model(
    model: Any,
    name: str,
    *,
    approval: Approval = "PendingManualApproval",
    description: str | None = None,
    tags: dict[str, str] | None = None,
    tracking_uri: str | None = None,
) -> ModelVersion:
    """Make a logged model the next version of a registered one.

    Parameters
    ----------
    model : str or Run
        ``runs:/run id/name``, or the run whose model is called ``model``.
    name : str
        Of the registered model, which is made if it is not there.
    approval : {"PendingManualApproval", "Approved", "Rejected"}
    description : str, optional
    tags : dict of str to str, optional
    tracking_uri : str, optional

    Returns
    -------
    ModelVersion

    Raises
    ------
    ValueError
        If that is no logged model.
    """
    if approval not in APPROVALS:
        raise ValueError(f"approval must be one of {', '.join(APPROVALS)}, got {approval!r}")
    if not isinstance(model, str):
        model, tracking_uri = f"runs:/{model.run_id}/model", model.tracking_uri
    uri = store.get_tracking_uri(tracking_uri)
    client = store.client_of(uri)
    run_id, folder = of_run(model)
    if "MLmodel" not in {Path(file.path).name for file in client.list_artifacts(run_id, folder)}:
        raise ValueError(f"{model} is no logged model: the run has no {folder}/MLmodel")
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
        is_new = True
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        is_new = False
    source = f"{client.get_run(run_id).info.artifact_uri}/{folder}"
    made = client.create_model_version(name, source, run_id, tags={**(tags or {}), FOLDER: folder}, description=description)
    lineage = Lineage(uri)
    package = lineage.artifact(f"models:/{name}/{made.version}", MODEL_PACKAGE, f"{name}, version {made.version}")
    lineage.associate(lineage.artifact(model, MODEL), package, CONTRIBUTED)
    lineage.associate(package, lineage.context(name, GROUP, f"models:/{name}", properties={"new": is_new} if is_new else None), ASSOCIATED)
    return set_approval(name, int(made.version), approval, tracking_uri=uri)


def set_approval(name: str, version: int, approval: Approval, message: str | None = None, tracking_uri: str | None = None) -> ModelVersion:
    """Approve or reject a version; the alias ``approved`` is the version that was approved last.

    Parameters
    ----------
    name : str
    version : int
    approval : {"PendingManualApproval", "Approved", "Rejected"}
    message : str, optional
        Why.
    tracking_uri : str, optional

    Returns
    -------
    ModelVersion
    """
    if approval not in APPROVALS:
        raise ValueError(f"approval must be one of {', '.join(APPROVALS)}, got {approval!r}")
    uri = store.get_tracking_uri(tracking_uri)
    client = store.client_of(uri)
    client.set_model_version_tag(name, str(version), _APPROVAL, approval)
    if message:
        client.set_model_version_tag(name, str(version), f"{PREFIX}approval_message", message)
    aliases = client.get_registered_model(name).aliases
    if approval == "Approved":
        client.set_registered_model_alias(name, _APPROVED, str(version))
    elif str(aliases.get(_APPROVED)) == str(version):
        client.delete_registered_model_alias(name, _APPROVED)
    if approval != "PendingManualApproval":
        lineage = Lineage(uri)
        done = lineage.action(f"{approval}: {name}, version {version}", APPROVAL, properties={"message": message or ""})
        lineage.associate(done, lineage.artifact(f"models:/{name}/{version}", MODEL_PACKAGE), ASSOCIATED)
    return _version_of(client.get_model_version(name, str(version)))


def model_versions(name: str | None = None, tracking_uri: str | None = None) -> list[ModelVersion]:
    """All versions of a registered model, or of all of them, the newest first.

    Parameters
    ----------
    name : str, optional
    tracking_uri : str, optional
    """
    client, found, token = store.client_of(store.get_tracking_uri(tracking_uri)), [], None
    while True:
        page = client.search_model_versions(store.equals("name", name) if name else None, page_token=token)
        found += [_version_of(one) for one in page if name is None or one.name == name]
        token = page.token
        if not token:
            return sorted(found, key=lambda one: (one.name, -one.version))


def _version_of(made: Any) -> ModelVersion:
    tags = {key: value for key, value in made.tags.items() if not key.startswith(PREFIX)}
    approval = made.tags.get(_APPROVAL, APPROVALS[0])
    return ModelVersion(made.name, int(made.version), approval, made.run_id or None, f"models:/{made.name}/{made.version}", tags)


def registered(client: Any, model_uri: str) -> Any:
    """MLflow's version at ``models:/name/version`` or ``models:/name@alias``.

    Raises
    ------
    ValueError
        If the address is neither.
    """
    rest = model_uri.removeprefix("models:/").lstrip("/")
    if "@" in rest:
        name, _, alias = rest.rpartition("@")
        return client.get_model_version_by_alias(name, alias)
    name, _, version = rest.rpartition("/")
    if not name or not version.isdigit():
        raise ValueError(f"{model_uri} is neither models:/name/version nor models:/name@alias")
    return client.get_model_version(name, version)


def of_run(address: str) -> tuple[str, str]:
    """Run and folder of ``runs:/run id/folder``.

    Raises
    ------
    ValueError
        If the address is another one.
    """
    run_id, _, folder = address.removeprefix("runs:/").lstrip("/").partition("/")
    if not address.startswith("runs:/") or not run_id or not folder:
        raise ValueError(f"{address} is not runs:/run id/name")
    return run_id, folder
