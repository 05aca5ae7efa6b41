"""The JSON of spark-conf/ as the guides of EMR, of sparkmagic and of Zeppelin's REST interface document it."""

from __future__ import annotations

from typing import Any


def each(schema: dict[str, Any], *names: str) -> dict[str, Any]:
    """The same for properties of several names."""
    return dict.fromkeys(names, schema)


TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
CONFIGURATIONS = {
    "$defs": {
        "configurations": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "Classification": {"type": "string", "minLength": 1},
                    "Properties": TEXTS,
                    "Configurations": {"$ref": "#/$defs/configurations"},
                },
                "required": ["Classification", "Properties"],
                "additionalProperties": False,
            },
        }
    },
    "$ref": "#/$defs/configurations",
}
CREDENTIALS = {
    "type": "object",
    "properties": {
        **each({"type": "string"}, "username", "password", "url"),
        "auth": {"enum": ["None", "Kerberos", "Basic_Access"]},
    },
    "required": ["username", "password", "url", "auth"],
    "additionalProperties": False,
}
SPARKMAGIC = {
    "type": "object",
    "properties": {
        "kernel_python_credentials": CREDENTIALS,
        "kernel_scala_credentials": CREDENTIALS,
        # The body of Livy's POST /sessions.
        "session_configs": {
            "type": "object",
            "properties": {
                **each({"type": "string", "pattern": r"^\d+[mgMG]$"}, "driverMemory", "executorMemory"),
                **each({"type": "integer", "minimum": 1}, "driverCores", "executorCores", "numExecutors"),
                "conf": TEXTS,
            },
            "additionalProperties": False,
        },
        **each({"type": "integer", "minimum": 1}, "livy_session_startup_timeout_seconds", "wait_for_idle_timeout_seconds"),
        **each({"type": "integer"}, "livy_server_heartbeat_timeout_seconds", "heartbeat_refresh_seconds"),
        **each({"type": "boolean"}, "use_auto_viz", "coerce_dataframe"),
        "max_results_sql": {"type": "integer"},
        "pyspark_dataframe_encoding": {"type": "string"},
    },
    "required": ["kernel_python_credentials", "session_configs"],
    "additionalProperties": False,
}
ZEPPELIN = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "group": {"const": "spark"},
        "properties": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "value": {"type": ["string", "boolean"]},
                    "type": {"enum": ["string", "number", "textarea", "checkbox", "url", "password"]},
                },
                "required": ["name", "value", "type"],
            },
        },
        "interpreterGroup": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"enum": ["spark", "sql", "pyspark", "ipyspark"]},
                    "class": {"type": "string", "pattern": r"^org\.apache\.zeppelin\.spark\.\w+Interpreter$"},
                },
                "required": ["name", "class"],
            },
        },
        "dependencies": {"type": "array"},
        "option": {
            "type": "object",
            "properties": each({"enum": ["shared", "scoped", "isolated"]}, "perNote", "perUser"),
            "required": ["remote", "perNote", "perUser"],
        },
    },
    "required": ["name", "group", "properties", "interpreterGroup", "dependencies", "option"],
    "additionalProperties": False,
}
