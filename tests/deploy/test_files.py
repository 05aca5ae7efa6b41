"""The files of examples/endpoint/: what reads them would take them, and they fit the endpoint and each other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from sparkml_algos.serve import _parser
from sparkml_algos.version import __version__
from tests.saved.expected import SAVED

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "endpoint"
MANIFESTS = sorted(FOLDER.rglob("*.yaml"))

NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
LABELS = {"type": "object", "additionalProperties": {"type": "string"}}
METADATA = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {"name": NAME, "labels": LABELS, "annotations": LABELS, "namespace": NAME},
}
SECONDS = {"type": "integer", "minimum": 1}
PORT = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 65535}, NAME]}
PROBE = {
    "type": "object",
    "additionalProperties": False,
    "minProperties": 1,
    "properties": {
        "httpGet": {
            "type": "object",
            "required": ["path"],
            "additionalProperties": False,
            "properties": {"path": {"const": "/ping"}, "port": PORT},
        },
        "tcpSocket": {"type": "object", "required": ["port"], "additionalProperties": False, "properties": {"port": PORT}},
        **dict.fromkeys(("periodSeconds", "timeoutSeconds", "failureThreshold", "initialDelaySeconds"), SECONDS),
    },
}
QUANTITIES = {"type": "object", "additionalProperties": False, "properties": {key: {"type": "string"} for key in ("cpu", "memory")}}
CONTAINER = {
    "type": "object",
    "required": ["image", "args"],
    "additionalProperties": False,
    "properties": {
        "name": NAME,
        "image": {"type": "string"},
        "args": {"type": "array", "items": {"type": "string"}},
        "env": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string"},
                    "value": {"type": "string"},
                    "valueFrom": {"type": "object", "required": ["secretKeyRef"]},
                },
            },
        },
        "ports": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["containerPort"],
                "additionalProperties": False,
                "properties": {"name": NAME, "containerPort": {"const": 8080}},
            },
        },
        **dict.fromkeys(("startupProbe", "readinessProbe", "livenessProbe"), PROBE),
        "resources": {"type": "object", "additionalProperties": False, "properties": dict.fromkeys(("requests", "limits"), QUANTITIES)},
        "securityContext": {"type": "object"},
        "volumeMounts": {"type": "array", "items": {"type": "object", "required": ["name", "mountPath"]}},
    },
}
POD = {
    "type": "object",
    "required": ["containers"],
    "additionalProperties": False,
    "properties": {
        "containers": {"type": "array", "minItems": 1, "items": CONTAINER},
        "volumes": {"type": "array"},
        "terminationGracePeriodSeconds": SECONDS,
        "automountServiceAccountToken": {"type": "boolean"},
        "securityContext": {"type": "object"},
        "containerConcurrency": SECONDS,
        "timeoutSeconds": SECONDS,  # of Knative
    },
}
TEMPLATE = {
    "type": "object",
    "required": ["spec"],
    "additionalProperties": False,
    "properties": {
        "metadata": {"type": "object", "properties": {"labels": LABELS, "annotations": LABELS}, "additionalProperties": False},
        "spec": POD,
    },
}
SELECTOR = {"type": "object", "required": ["matchLabels"], "properties": {"matchLabels": LABELS}, "additionalProperties": False}
#: What each kind may have in its specification.
SPECS = {
    ("apps/v1", "Deployment"): {
        "required": ["selector", "template"],
        "properties": {"replicas": SECONDS, "selector": SELECTOR, "strategy": {"type": "object"}, "template": TEMPLATE},
    },
    ("v1", "Service"): {"required": ["ports", "selector"], "properties": {"ports": {"type": "array"}, "selector": LABELS}},
    ("policy/v1", "PodDisruptionBudget"): {"required": ["selector"], "properties": {"maxUnavailable": SECONDS, "selector": SELECTOR}},
    ("keda.sh/v1alpha1", "ScaledObject"): {
        "required": ["scaleTargetRef", "triggers"],
        "properties": {
            "scaleTargetRef": {"type": "object", "required": ["name"]},
            **dict.fromkeys(("minReplicaCount", "maxReplicaCount", "pollingInterval", "cooldownPeriod"), SECONDS),
            "advanced": {"type": "object"},
            "triggers": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["type", "metadata"],
                    "additionalProperties": False,
                    "properties": {
                        "type": {"const": "prometheus"},
                        "metricType": {"enum": ["AverageValue", "Value"]},
                        "metadata": {
                            "type": "object",
                            "required": ["serverAddress", "query", "threshold"],
                            "additionalProperties": {"type": "string"},
                        },
                    },
                },
            },
        },
    },
    ("serving.knative.dev/v1", "Service"): {"required": ["template"], "properties": {"template": TEMPLATE}},
}


def documents() -> list[dict[str, Any]]:
    return [document for path in MANIFESTS for document in yaml.safe_load_all(path.read_text())]


def containers() -> list[dict[str, Any]]:
    specs = [document["spec"].get("template", {}).get("spec", {}) for document in documents()]
    return [container for spec in specs for container in spec.get("containers", ())]


def test_every_manifest_is_of_its_kind() -> None:
    assert len(documents()) == 5
    for document in documents():
        spec = SPECS[document["apiVersion"], document["kind"]]
        schema = {
            "type": "object",
            "required": ["apiVersion", "kind", "metadata", "spec"],
            "additionalProperties": False,
            "properties": {
                "apiVersion": {},
                "kind": {},
                "metadata": METADATA,
                "spec": {"type": "object", "additionalProperties": False, **spec},
            },
        }
        jsonschema.validate(document, schema)


def test_manifests_fit_each_other() -> None:
    by_kind = {(document["apiVersion"], document["kind"]): document for document in documents()}
    deployment = by_kind["apps/v1", "Deployment"]
    labels, pod = deployment["spec"]["template"]["metadata"]["labels"], deployment["spec"]["template"]["spec"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels == by_kind["v1", "Service"]["spec"]["selector"]
    assert by_kind["policy/v1", "PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert by_kind["keda.sh/v1alpha1", "ScaledObject"]["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    for container in containers():
        assert {mount["name"] for mount in container["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}
        assert container["image"].endswith(f":{__version__}")
    settings = _parser().parse_args(["model", *pod["containers"][0]["args"][1:]])
    assert pod["terminationGracePeriodSeconds"] >= settings.drain + 30


def test_the_command_knows_the_arguments_of_the_manifests() -> None:
    for container in containers():
        assert container["args"][0] == "serve"
        settings = _parser().parse_args(["model", *container["args"][1:]])
        assert settings.name in str([document for document in documents() if document["kind"] == "ScaledObject"])


def test_autoscaling_asks_for_metrics_that_there_are() -> None:
    pytest.importorskip("fastapi")
    import re

    from sparkml_algos.serving.endpoint.metrics import Metrics

    text = Metrics().text("customers", "AllTraffic")
    queries = [trigger["metadata"]["query"] for document in documents() for trigger in document["spec"].get("triggers", ())]
    assert len(queries) == 2
    for query in queries:
        (name,) = re.findall(r"sparkml_algos_\w+", query)
        assert f"\n{name}{{" in text


@pytest.mark.parametrize(("tool", "name"), [("hadolint", "Dockerfile"), ("shellcheck", "entrypoint.sh")])
def test_tools_find_nothing_wrong(tool: str, name: str) -> None:
    arguments = ["--ignore", "DL3013"] if tool == "hadolint" else []
    done = subprocess.run([Path(sys.executable).parent / tool, *arguments, FOLDER / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["serve"], {}, "{one} --host 0.0.0.0 --port 8080 --workers 1 --max-bytes 6291456 --outputs "),
        (
            ["serve", "--drain", "5"],
            {"WORKERS": "3"},
            "{one} --host 0.0.0.0 --port 8080 --workers 3 --max-bytes 6291456 --outputs  --drain 5",
        ),
        ([], {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "0"}, "{one} --host 0.0.0.0 --port 8080 --workers 1 --max-bytes 1073741824 --outputs "),
        (["serve"], {"MODEL_DIR": "{all}"}, "{all}/a {all}/b --host 0.0.0.0 --port 8080 --workers 1 --max-bytes 6291456 --outputs "),
    ],
)
def test_the_entry_starts_the_endpoint(arguments: list[str], environment: dict[str, str], expected: str, tmp_path: Path) -> None:
    names = {"one": str(SAVED / "KMeansModel"), "all": str(tmp_path / "models")}
    for name in ("a", "b"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "metadata").symlink_to(SAVED / "KMeansModel" / "metadata")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text('#!/bin/sh\n[ "$1 $2" = "-m sparkml_algos.serve" ] && shift 2 && echo "$@"\n')
    (tmp_path / "bin" / "python").chmod(0o755)
    given = {"MODEL_DIR": names["one"], **{name: value.format(**names) for name, value in environment.items()}}
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["sh", str(FOLDER / "entrypoint.sh"), *arguments], env={"PATH": path, **given}, capture_output=True, text=True)
    assert done.stdout.rstrip("\n") == expected.format(**names), done.stderr


def test_the_entry_refuses_what_is_no_number() -> None:
    environment = {"PATH": os.environ["PATH"], "MODEL_DIR": str(SAVED / "KMeansModel"), "SAGEMAKER_MAX_PAYLOAD_IN_MB": "6MB"}
    done = subprocess.run(["sh", str(FOLDER / "entrypoint.sh"), "serve"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "must be a whole number, got '6MB'" in done.stderr


def test_the_entry_says_that_there_is_no_model(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", str(FOLDER / "entrypoint.sh"), "serve"],
        env={"PATH": os.environ["PATH"], "MODEL_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "no saved model" in done.stderr
