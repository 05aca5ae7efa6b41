"""Times of schedules, windows, and threads that keep to them; no Spark here."""

from __future__ import annotations

import shlex
import threading
from datetime import datetime, timedelta, timezone

import pytest

from sparkml_algos.monitor import Cron, Monitor, MonitorJob, Schedule, daily, daily_every_x_hours, hourly
from sparkml_algos.monitor import schedule as schedule_module


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)


def times(cron: Cron, start: datetime, count: int) -> list[datetime]:
    found = [start]
    for _ in range(count):
        found.append(cron.following(found[-1]))
    return found[1:]


def test_expressions_of_the_service_mean_what_its_guide_says():
    assert hourly().expression == "cron(0 * ? * * *)" and daily(7).expression == "cron(0 7 ? * * *)"
    assert times(hourly(), at(2026, 12, 31, 22, 30), 3) == [at(2026, 12, 31, 23), at(2027, 1, 1), at(2027, 1, 1, 1)]
    assert times(daily(7), at(2026, 1, 1, 7), 2) == [at(2026, 1, 2, 7), at(2026, 1, 3, 7)]
    every = daily_every_x_hours(12, 17)
    assert every.expression == "cron(0 17/12 ? * * *)"
    assert times(every, at(2026, 1, 1), 3) == [at(2026, 1, 1, 5), at(2026, 1, 1, 17), at(2026, 1, 2, 5)]
    assert times(Cron("0 0/5 ? * * *"), at(2026, 1, 1, 19), 3) == [at(2026, 1, 1, 20), at(2026, 1, 2), at(2026, 1, 2, 5)]


def test_each_field_counts():
    # 1 is Sunday; 2024 has a 29 February and 2100 none.
    assert times(Cron("30 6 ? * 1 *"), at(2026, 11, 29, 7), 1) == [at(2026, 12, 6, 6, 30)]
    assert times(Cron("30 6 ? * MON-FRI *"), at(2026, 11, 27, 7), 1) == [at(2026, 11, 30, 6, 30)]
    assert times(Cron("0 0 29 2 ? *"), at(2096, 3, 1), 1) == [at(2104, 2, 29)]
    assert Cron("0,30 8-10/2 1 JAN ? 2027").between(at(2026, 1, 1), at(2030, 1, 1)) == [
        at(2027, 1, 1, hour, minute) for hour in (8, 10) for minute in (0, 30)
    ]
    with pytest.raises(ValueError, match="no time after"):
        Cron("0 0 1 1 ? 2027").following(at(2027, 1, 1))
    assert hourly().last(at(2026, 1, 1, 3)) == at(2026, 1, 1, 3) and hourly().last(at(2026, 1, 1, 3, 59)) == at(2026, 1, 1, 3)
    # However far away the years are.
    far = Cron("0 0 1 1 ? 2040,2199")
    assert far.following(at(2026, 1, 1)) == at(2040, 1, 1) and far.following(at(2040, 1, 1)) == at(2199, 1, 1)
    assert Cron("0 0 1 1 ? 1980").last(at(2026, 1, 1)) == at(1980, 1, 1)
    assert Cron("0 0 29 2 ? 1971,2000").following(at(1970, 1, 1)) == at(2000, 2, 29)
    assert Cron("0 0 29,31 2,4,12 ? *").last(at(2027, 12, 30)) == at(2027, 12, 29)
    # What has no zone is UTC, and other zones are turned into it.
    assert daily().following(datetime(2026, 1, 1, 12)) == at(2026, 1, 2)
    assert daily().following(datetime(2026, 1, 1, 23, tzinfo=timezone(timedelta(hours=-5)))) == at(2026, 1, 3)


@pytest.mark.parametrize(
    ("expression", "crontab"),
    [
        ("cron(0 * ? * * *)", "0 * * * *"),
        ("cron(0 17/12 ? * * *)", "0 5,17 * * *"),
        ("cron(15 0/8 ? * * *)", "15 0,8,16 * * *"),
        ("cron(0/20 6 ? * 2-6 *)", "0,20,40 6 * * 1,2,3,4,5"),
        ("cron(0 0 1,15 * ? *)", "0 0 1,15 * *"),
    ],
)
def test_crontab_says_the_same(expression, crontab):
    assert Cron(expression).crontab() == crontab


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("0 * ? * *", "six fields"),
        ("60 * ? * * *", "minutes: '60' is not from 0 to 59"),
        ("0 5-3 ? * * *", "ends before it begins"),
        ("0 0/0 ? * * *", "steps of 0"),
        ("0 0/25 ? * * *", "hours: steps are 1 to 24"),
        ("0 0 L * ? *", "day of the month: 'L' is not from 1 to 31"),
        ("0 0 ? * 2#1 *", "not a number, a range"),
        ("0 0 30 2 ? *", "there is no such time"),
        ("0 0 1 * 2 *", "cannot hold both"),
    ],
)
def test_what_is_no_expression_is_refused(expression, said):
    with pytest.raises(ValueError, match=said):
        Cron(expression)


def test_crontab_has_no_years():
    with pytest.raises(ValueError, match="crontab has no years"):
        Cron("0 0 1 1 ? 2027").crontab()


class Seen(Monitor):
    """A monitor that notes its windows, and fails where it is told to."""

    def __init__(self, failing: int = -1) -> None:
        super().__init__("seen", lambda rows: None, source=lambda start, end: None)
        self.windows, self.failing, self.enough = [], failing, threading.Event()

    def run(self, start, end, *, act=True):
        self.windows.append((start, end))
        if len(self.windows) >= 3:
            self.enough.set()
        if len(self.windows) - 1 == self.failing:
            raise RuntimeError("no rows today")
        return "execution"


def test_windows_go_from_the_time_before_or_by_offsets():
    schedule = Schedule(Seen(), daily(6))
    assert schedule.window(at(2026, 1, 2, 6)) == (at(2026, 1, 1, 6), at(2026, 1, 2, 6))
    late = Schedule(Seen(), hourly(), start_offset="-P8D", end_offset="-P1D")
    assert late.window(at(2020, 1, 9, 13)) == (at(2020, 1, 1, 13), at(2020, 1, 8, 13))
    with pytest.raises(ValueError, match="come together"):
        Schedule(Seen(), hourly(), start_offset="-P8D")
    with pytest.raises(ValueError, match="NOW needs"):
        Schedule(Seen(), "NOW")
    with pytest.raises(ValueError, match="has no source"):
        Schedule(Monitor("x", lambda rows: None), hourly())


def test_what_is_due_is_run_and_a_failure_stops_nothing():
    monitor = Seen(failing=1)
    found = Schedule(monitor, hourly()).run_due(at(2026, 1, 1, 0, 30), at(2026, 1, 1, 3, 30))
    assert found == ["execution"] * 2
    assert monitor.windows == [(at(2026, 1, 1, hour), at(2026, 1, 1, hour + 1)) for hour in range(3)]


def test_now_is_run_at_once():
    monitor = Seen()
    schedule = Schedule(monitor, "NOW", start_offset="-PT2H", end_offset="-PT1H")
    schedule._clock = lambda: at(2026, 1, 1, 12)
    assert schedule.start().status == "Stopped"
    assert monitor.windows == [(at(2026, 1, 1, 10), at(2026, 1, 1, 11))]


def test_a_thread_runs_each_window_once_and_ends_when_it_is_told(monkeypatch):
    # A clock of which a hundredth of a second is half an hour.
    monkeypatch.setattr(schedule_module, "_MOST_SECONDS", 0.01)
    monitor, ticks = Seen(), [at(2026, 1, 1, 0, 10)]
    schedule = Schedule(monitor, hourly())

    def clock() -> datetime:
        ticks[0] += timedelta(minutes=20)
        return ticks[0]

    schedule._clock = clock
    assert schedule.start().status == "Scheduled"
    with pytest.raises(RuntimeError, match="runs already"):
        schedule.start()
    assert monitor.enough.wait(20)
    schedule.stop(20)
    assert schedule.status == "Stopped" and not schedule._thread.is_alive()
    ends = [end for _, end in monitor.windows]
    assert ends == [at(2026, 1, 1, 1) + timedelta(hours=i) for i in range(len(ends))]
    assert schedule.describe()["ScheduleConfig"] == {"ScheduleExpression": "cron(0 * ? * * *)"}


def test_a_schedule_without_further_times_stops():
    schedule = Schedule(Seen(), Cron("0 0 1 1 ? 2020,2021"))
    schedule._clock = lambda: at(2026, 1, 1)
    schedule.start()._thread.join(20)
    assert schedule.status == "Stopped" and schedule.describe()["NextExecutionTime"] is None
    with pytest.raises(ValueError, match=r"no time before .* give start_offset"):
        schedule.window(at(2020, 1, 1))


JOB = MonitorJob("my customers", "cron(0 6 ? * * *)", "/data/base line", "/data/rows", "/data/history", time="at", columns=("a", "b"))


def test_a_job_is_printed_for_others_and_read_again():
    words = shlex.split(JOB.spark_submit(["--master", "yarn"]))
    assert words[:3] == ["spark-submit", "--master", "yarn"] and words[3].endswith("sparkml_algos/watch.py")
    assert words[4:] == JOB.arguments()
    assert "--columns=a,b" in words and "--baseline=/data/base line" in words and not any("webhook" in word for word in words)
    first, second = JOB.crontab().splitlines()
    assert first == "CRON_TZ=UTC" and second.startswith("0 6 * * * spark-submit ")
    dag = JOB.airflow()
    compile(dag, "dag.py", "exec")
    assert "DAG('my_customers', schedule='0 6 * * *'" in dag and "{{ data_interval_end | ts }}" in dag


def test_a_job_with_half_an_address_is_refused():
    with pytest.raises(ValueError, match="come together"):
        MonitorJob("m", "cron(0 6 ? * * *)", "b", "r", "h", email="a@b.c")
    with pytest.raises(ValueError, match="six fields"):
        MonitorJob("m", "hourly", "b", "r", "h")


def test_a_column_that_a_command_line_cannot_list_is_refused():
    with pytest.raises(ValueError, match="columns: 'a,b' cannot be listed"):
        MonitorJob("m", "cron(0 6 ? * * *)", "b", "r", "h", columns=("a,b", "c"))


def test_a_monitor_says_what_it_may_not_be():
    with pytest.raises(ValueError, match="got 3 of 2"):
        Monitor("m", lambda rows: None, datapoints_to_alert=3, evaluation_period=2)
    with pytest.raises(ValueError, match="notify is 'change' or 'always'"):
        Monitor("m", lambda rows: None, notify="never")
    with pytest.raises(ValueError, match="must not be empty"):
        Monitor("", lambda rows: None)
