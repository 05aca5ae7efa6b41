"""Whether data and models are still what they were: baselines, drift, quality, bias; files are those of the service, both ways."""

from __future__ import annotations

from sparkml_algos.monitor.actions import Action, Alert, Callback, Email, File, Log, Webhook
from sparkml_algos.monitor.captured import Merged, merge_ground_truth, read_captured, read_ground_truth, window
from sparkml_algos.monitor.completeness import chance_of_gaps
from sparkml_algos.monitor.constraints import Baseline, Constraints, FeatureConstraints, MonitoringConfig, suggest_baseline
from sparkml_algos.monitor.cron import Cron, daily, daily_every_x_hours, hourly
from sparkml_algos.monitor.data_quality import check_data_quality, drift
from sparkml_algos.monitor.detectors import Adwin
from sparkml_algos.monitor.distances import categorical_distance, numeric_distance
from sparkml_algos.monitor.history import Execution, History
from sparkml_algos.monitor.job import MonitorJob
from sparkml_algos.monitor.model_drift import check_attribution_drift, check_bias_drift, ndcg
from sparkml_algos.monitor.model_quality import ModelQuality, check_model_quality, model_quality
from sparkml_algos.monitor.monitor import Monitor, NoRows, rows_between
from sparkml_algos.monitor.schedule import Schedule
from sparkml_algos.monitor.sketch import Kll
from sparkml_algos.monitor.statistics import FeatureStatistics, Statistics, statistics
from sparkml_algos.monitor.violations import MonitorReport, Violation

__all__ = [
    "Action",
    "Adwin",
    "Alert",
    "Baseline",
    "Callback",
    "Constraints",
    "Cron",
    "Email",
    "Execution",
    "FeatureConstraints",
    "FeatureStatistics",
    "File",
    "History",
    "Kll",
    "Log",
    "Merged",
    "ModelQuality",
    "Monitor",
    "MonitorJob",
    "MonitorReport",
    "MonitoringConfig",
    "NoRows",
    "Schedule",
    "Statistics",
    "Violation",
    "Webhook",
    "categorical_distance",
    "chance_of_gaps",
    "check_attribution_drift",
    "check_bias_drift",
    "check_data_quality",
    "check_model_quality",
    "daily",
    "daily_every_x_hours",
    "drift",
    "hourly",
    "merge_ground_truth",
    "model_quality",
    "ndcg",
    "numeric_distance",
    "read_captured",
    "read_ground_truth",
    "rows_between",
    "statistics",
    "suggest_baseline",
    "window",
]
