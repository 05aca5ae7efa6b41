"""A monitor of data quality as a job of its own, and the lines by which cron, Airflow and spark-submit start it."""

from __future__ import annotations

import argparse
import logging
import shlex
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from sparkml_algos.monitor.actions import Action, Email, File, Log, Webhook
from sparkml_algos.monitor.captured import TIME, read_captured
from sparkml_algos.monitor.constraints import Baseline
from sparkml_algos.monitor.cron import Cron
from sparkml_algos.monitor.history import History
from sparkml_algos.monitor.monitor import Monitor, rows_between
from sparkml_algos.monitor.schedule import Schedule

CAPTURED = "captured"
_PROGRAM = Path(__file__).resolve().parents[1] / "watch.py"
_VIOLATED = 3  # exit status where it is asked for


@dataclass(frozen=True)
class MonitorJob:
    """A monitor of data quality, by paths: what another process needs to run it.

    Parameters
    ----------
    name : str
    cron : str
        Six fields; see `Cron`. An execution looks at the window that ends with the last scheduled time.
    baseline : str
        Folder with ``statistics.json`` and ``constraints.json``.
    rows : str
        Path of the rows, as Spark reads it.
    history : str
        Folder; see `History`.
    format : str
        Of the rows: a format of Spark's, or ``captured`` for the requests of an endpoint.
    time : str
        Column of times; of captured requests ``inference_time``.
    columns : tuple of str
        What is checked; by default the columns of the baseline. Of captured requests the names of the columns in CSV, in their order.
    start_offset, end_offset : str, optional
        See `Schedule`.
    webhook, file : str, optional
        Where alarms are sent, and appended to; they are always logged.
    email, sender, smtp : str, optional
        Addresses and host of a server that takes mail with STARTTLS and asks for no password.

    Raises
    ------
    ValueError
        If the expression is none, something of the e-mail is missing, or a column has a comma in its name.
    """

    name: str
    cron: str
    baseline: str
    rows: str
    history: str
    format: str = "parquet"
    time: str = TIME
    columns: tuple[str, ...] = ()
    start_offset: str | None = None
    end_offset: str | None = None
    webhook: str | None = None
    file: str | None = None
    email: str | None = None
    sender: str | None = None
    smtp: str | None = None

    def __post_init__(self) -> None:
        Cron(self.cron)
        mail = (self.email, self.sender, self.smtp)
        if any(mail) and not all(mail):
            raise ValueError("email, sender and smtp come together")
        if parted := [name for name in self.columns if "," in name or not name]:
            raise ValueError(f"columns: {', '.join(map(repr, parted))} cannot be listed on a command line, where commas part them")

    def arguments(self) -> list[str]:
        """The job's command line, without the program."""
        words: list[str] = []
        for one in fields(self):
            value = getattr(self, one.name)
            if one.default is not MISSING and value == one.default:
                continue
            words += [f"--{one.name.replace('_', '-')}={','.join(value) if isinstance(value, tuple) else value}"]
        return words

    def spark_submit(self, options: Sequence[str] = (), program: str = "spark-submit") -> str:
        """The line that runs it, once: the window that ends with the last scheduled time before now.

        Parameters
        ----------
        options : sequence of str
            Of spark-submit, such as ``["--master", "yarn"]``.
        program : str

        Returns
        -------
        str
            For a shell. The driver needs this package, in the place where it is here.
        """
        return shlex.join([program, *options, str(_PROGRAM), *self.arguments()])

    def crontab(self, options: Sequence[str] = (), program: str = "spark-submit") -> str:
        """The lines of a crontab; ``CRON_TZ`` says that times are UTC, which cronie reads.

        Parameters
        ----------
        options : sequence of str
        program : str

        Returns
        -------
        str
        """
        line = self.spark_submit(options, program).replace("%", "\\%")  # which cron takes for the end of a line
        return f"CRON_TZ=UTC\n{Cron(self.cron).crontab()} {line}\n"

    def airflow(self, options: Sequence[str] = (), program: str = "spark-submit") -> str:
        """The file of a DAG of Airflow (2 and 3), whose runs look at the windows that they are for, so that they may be filled in later.

        Parameters
        ----------
        options : sequence of str
        program : str

        Returns
        -------
        str
        """
        command = f"{self.spark_submit(options, program)} --at='{{{{ data_interval_end | ts }}}}'"
        name = "".join(character if character.isalnum() or character in "._-" else "_" for character in self.name)
        return _DAG.format(name=name, schedule=Cron(self.cron).crontab(), command=command)

    def monitor(self, spark: SparkSession) -> Monitor:
        """The monitor, in a session."""
        actions: list[Action] = [Log()]
        actions += [Webhook(self.webhook)] if self.webhook else []
        actions += [File(self.file)] if self.file else []
        if self.email and self.sender and self.smtp:
            actions.append(Email(self.email.split(","), self.sender, self.smtp))
        baseline = Baseline.load(self.baseline)
        columns = list(self.columns) or [one.name for one in baseline.constraints.features]

        def read() -> DataFrame:
            if self.format == CAPTURED:
                return read_captured(spark, self.rows, columns)
            return spark.read.format(self.format).load(self.rows)

        source = rows_between(read, self.time, columns)
        return Monitor(self.name, baseline, source=source, actions=actions, history=History(self.history))


_DAG = '''"""Made by MonitorJob.airflow."""

from datetime import datetime, timezone

from airflow import DAG

try:
    from airflow.providers.standard.operators.bash import BashOperator
except ImportError:  # before Airflow 3
    from airflow.operators.bash import BashOperator

with DAG({name!r}, schedule={schedule!r}, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc), catchup=False) as dag:
    BashOperator(task_id="monitor", bash_command={command!r})
'''


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a job from its command line; the exit status is 0, or 3 where something is violated and ``--fail-on-violations`` is given."""
    parser = argparse.ArgumentParser(
        prog="sparkml_algos.watch", description=MonitorJob.__doc__.partition("\n")[0] if MonitorJob.__doc__ else None
    )
    for one in fields(MonitorJob):
        parser.add_argument(f"--{one.name.replace('_', '-')}", required=one.default is MISSING, default=argparse.SUPPRESS)
    parser.add_argument("--at", help="the scheduled time, ISO 8601; by default now")
    parser.add_argument("--fail-on-violations", action="store_true")
    given = vars(parser.parse_args(arguments))
    at, strict = given.pop("at"), given.pop("fail_on_violations")
    if "columns" in given:
        given["columns"] = tuple(filter(None, given["columns"].split(",")))
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    job = MonitorJob(**given)
    spark = SparkSession.builder.appName(f"monitor {job.name}").getOrCreate()
    try:
        monitor = job.monitor(spark)
        schedule = Schedule(monitor, job.cron, start_offset=job.start_offset, end_offset=job.end_offset)
        time = datetime.now(timezone.utc) if at is None else datetime.fromisoformat(at.replace("Z", "+00:00"))
        execution = monitor.run(*schedule.window(Cron(job.cron).last(time)))
        print(f"{execution.status} {execution.key} {execution.alert} violations: {len(execution.violations)}")
    finally:
        spark.stop()
    return _VIOLATED if strict and execution.is_bad else 0
