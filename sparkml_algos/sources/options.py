"""The options of the data source, and the place in a record of every column."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sparkml_algos.sources.columns import FEATURES, LABEL, Slot

# The name under which vectors and labels stand in a record.
VALUES = "values"


class Options:
    """The options of the data source, checked; the same as those of the JVM bridge."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self.features = options.get("featuresColumnName", "features")
        self.label = options.get("labelColumnName", "label")
        self.names_label = "labelColumnName" in options or "labelEntries" in options
        self.names_label_entries = "labelEntries" in options
        self.slots = [*_slots(options, "labelEntries", self.label, LABEL), *_slots(options, "featureEntries", self.features, FEATURES)]
        columns = [slot.column.lower() for slot in self.slots]
        for twice in (column for column in columns if columns.count(column) > 1):
            raise ValueError(
                f"two entries of a record for the column {twice!r}; the options featuresColumnName, labelColumnName, featureEntries and "
                "labelEntries must name different ones"
            )
        self.num_features = None
        if "numFeatures" in options:
            text = options["numFeatures"].strip()
            if not text.isdecimal() or int(text) < 1:
                raise ValueError(f"option numFeatures must be an integer of at least 1, got {text!r}")
            self.num_features = int(text)
        self.float64 = _choice(options, "valueType", "float32", {"float32": False, "float64": True}, "float32 or float64")
        compressions = {"none": False, "uncompressed": False, "gzip": True}
        self.gzip = _choice(options, "compression", "none", compressions, "none, uncompressed or gzip")
        self.paths = json.loads(options["paths"]) if "paths" in options else [options["path"]] if "path" in options else []

    def slot(self, column: str) -> Slot:
        """The slot of a column."""
        found = next((slot for slot in self.slots if slot.column.lower() == column.lower()), None)
        if found is None:
            columns = ", ".join(repr(slot.column) for slot in self.slots)
            raise ValueError(
                f"column {column!r} has no place in a record; the columns are {columns}: select those, or name others with the options "
                "featuresColumnName and labelColumnName"
            )
        return found


def _slots(options: Mapping[str, str], option: str, column: str, map_: str) -> list[Slot]:
    if option not in options:
        return [Slot(column, map_, VALUES)]
    names = [name.strip() for name in options[option].split(",") if name.strip()]
    if not names:
        raise ValueError(f"option {option} must be names separated by commas, got {options[option]!r}")
    return [Slot(name, map_, name) for name in names]


def _choice(options: Mapping[str, str], name: str, default: str, choices: dict[str, bool], expected: str) -> bool:
    value = options.get(name, default).lower()
    if value not in choices:
        raise ValueError(f"option {name} must be {expected}, got {value!r}")
    return choices[value]
