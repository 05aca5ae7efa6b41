# %% [markdown]
# # Monitoring: bicycles, and a world that moves on
#
# A city rents out bicycles. We learn from 2011 how many are rented on a day, put the model behind an **endpoint**, and ask it each day of
# 2012. The endpoint writes down what it was asked and what it answered; the truth comes a day later. A **monitor** looks once a month: are
# the days like those we have learned from, and are the answers still good? When they are not, an **alarm** calls a function that trains
# anew.
#
# The rows are days: a small file of this project, made from the bike sharing data of Washington (H. Fanaee-T, J. Gama, 2014; UCI, CC BY
# 4.0).

# %%
data = "../data"  # on a cluster: where you have put examples/data, such as s3://bucket/data
folder = "/tmp/bikes-monitored"  # on a cluster: a folder that driver and executors share

# %%
import shutil

from pyspark.sql import functions as F

shutil.rmtree(folder, ignore_errors=True)
schema = "date date, holiday int, workingday int, weather double, temperature double, humidity double, wind double, rentals double"
weather = ["weather", "temperature", "humidity", "wind"]
features = ["day", "weekday", "month", "workingday", *weather]
days = (
    spark.read.csv(f"{data}/bike_days.csv", header=True, schema=schema)
    .withColumn("day", F.datediff("date", F.lit("2011-01-01").cast("date")))
    .withColumn("weekday", F.weekday("date"))
    .withColumn("month", F.month("date"))
    .withColumn("quarter", F.quarter("date"))
    .withColumn("features", F.array(*(F.col(name).cast("double") for name in features)))
    .coalesce(1)
    .cache()
)
year, future = days.where("date < '2012-01-01'"), days.where("date >= '2012-01-01'")
print(f"days to learn from: {year.count()}")

# %% [markdown]
# ## Learn, and say how good is good
#
# One day in five is kept aside. The error on those days is what the model is worth; half as much again is where we want to be woken up.

# %%
from sparkml_algos import XGBoostRegressor
from sparkml_algos.monitor import model_quality

learner = XGBoostRegressor(labelCol="rentals", num_round=120, max_depth=4, eta=0.08, subsample=0.8, seed=1, num_workers=1)
model = learner.fit(year.where("day % 5 != 0"))
quality = model_quality(model.transform(year.where("day % 5 = 0")), "Regression", ground_truth="rentals", inference="prediction")
limit = 1.5 * quality.metrics["rmse"]
constraints = {"regression_constraints": {"rmse": {"threshold": limit, "comparison_operator": "GreaterThanThreshold"}}}
print(f"error in rentals on days kept aside: {quality.metrics['rmse']:.0f}")
model

# %% [markdown]
# ## Are the days like those of last year?
#
# A baseline holds what the columns are like. July is not like the whole year, so there is one for each quarter: this spring is compared
# with last spring. The distance is the largest difference of the cumulative distributions, less what chance makes of ninety days.

# %%
from datetime import datetime

from sparkml_algos.monitor import History, Log, Monitor, check_data_quality, suggest_baseline

baselines = {quarter: suggest_baseline(year.where(f"quarter = {quarter}").select(*weather)) for quarter in range(1, 5)}


def like_last_year(rows):
    quarter = rows.agg(F.max("quarter")).first()[0]
    return check_data_quality(rows.drop("quarter"), baselines[quarter])


history = History(f"{folder}/history")
of_weather = Monitor("weather", like_last_year, actions=[Log()], history=history)
starts = [datetime(2012, month, 1) for month in (1, 4, 7, 10)] + [datetime(2013, 1, 1)]
for start, end in zip(starts, starts[1:]):
    of_weather.look(future.where(f"quarter = {(start.month + 2) // 3}").select("quarter", *weather), start, end)
print(f"quarters whose weather is another: {sum(one.is_bad for one in of_weather.executions())}")

# %% [markdown]
# ## Serve, watch, train anew
#
# `deploy` starts an endpoint on this machine; `--capture` makes it write requests and answers down. Every request has the date as its
# inference id, by which the truth is found later. The monitor is in alert after a month whose error is above the limit. Its action trains
# on all days that are over by then and puts the new model behind a new endpoint. The first model is kept to see what would have become of
# it.

# %%
import time
from pathlib import Path

from sparkml_algos.monitor import Callback, check_model_quality, merge_ground_truth, read_captured
from sparkml_algos.serving import deploy
from sparkml_algos.serving.local import CSVDeserializer, CSVSerializer

capture = ["--capture", f"{folder}/captured", "--capture-percentage", "100"]


def served(fitted):
    return deploy(fitted, serializer=CSVSerializer(), deserializer=CSVDeserializer(), arguments=capture)


now = {"model": model, "predictor": served(model), "trainings": 0}


def train_anew(alert):
    until = alert.execution.end.date().isoformat()
    fitted = learner.fit(days.where(f"date < '{until}'"))
    now["predictor"].delete_endpoint()
    now.update(model=fitted, predictor=served(fitted), trainings=now["trainings"] + 1)


def answered(month, asked):
    """What was asked and answered in a month, once the endpoint has written it down."""
    for _ in range(60):
        if list(Path(f"{folder}/captured").rglob("*.jsonl")):
            found = read_captured(spark, f"{folder}/captured", features, ["predicted"])
            found = found.where(F.month(F.to_date("inference_id")) == month)
            if found.count() == asked:
                return found
        time.sleep(0.5)
    raise TimeoutError("the endpoint has not written down what it was asked")


def still_good(rows):
    return check_model_quality(model_quality(rows, "Regression", ground_truth="rentals", inference="predicted"), constraints)


of_model = Monitor("rentals", still_good, actions=[Log(), Callback(train_anew)], history=history, notify="always")
truth = days.select(F.col("date").cast("string").alias("inference_id"), F.col("rentals").cast("string").alias("ground_truth"))
for month in range(1, 13):
    rows = future.where(f"month = {month}").orderBy("date").collect()
    for row in rows:
        now["predictor"].predict([list(row["features"])], inference_id=str(row["date"]))
    merged = merge_ground_truth(answered(month, len(rows)), truth).rows
    numbers = merged.select(F.col("ground_truth").cast("double").alias("rentals"), F.col("predicted").cast("double").alias("predicted"))
    of_model.look(numbers, datetime(2012, month, 1), datetime(2012 + month // 12, month % 12 + 1, 1))
now["predictor"].delete_endpoint()
print(f"months with an alarm: {sum(one.is_bad for one in of_model.executions())}")
print(f"trainings: {now['trainings']}")

# %% [markdown]
# ## What became of it
#
# The error of each month, of the first model, which never learned anything new, and of the one that the alarms have kept up.

# %%
of_months = history.to_dataframe(spark, "rentals").where("metric = 'rmse'")
kept_up = of_months.select(F.month(F.date_add("start", 15)).alias("month"), F.col("value").alias("kept_up"))
first = model.transform(future).groupBy("month").agg(F.sqrt(F.avg((F.col("prediction") - F.col("rentals")) ** 2)).alias("first_model"))
errors = kept_up.join(first, "month").orderBy("month").withColumn("limit", F.lit(limit)).cache()
means = errors.agg(F.avg("kept_up"), F.avg("first_model")).first()
print(f"error kept up, as a part of that of the first model: {means[0] / means[1]:.2f}")

# %% tags=["show"]
import matplotlib.pyplot as plt

errors = errors.toPandas()
figure, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
ax.plot(errors["month"], errors["first_model"], color="#8c8c8c", label="first model")
ax.plot(errors["month"], errors["kept_up"], color="#2f6db3", label="kept up")
ax.plot(errors["month"], errors["limit"], color="#d1662c", linestyle="--", linewidth=1, label="limit")
ax.set_xlabel("month of 2012")
ax.set_ylabel("error, rentals a day")
legend = ax.legend(frameon=False)

# %% [markdown]
# `months with an alarm: 0.00` of twelve led to `trainings: 0.00`. In words: the weather hardly tells anything (`quarters whose weather is
# another: 0.00`), it is the people who changed. A check of the inputs alone would have slept through it; it takes the truth, even a late
# one.
#
# ## Why the new model says what it says
#
# Attributions of trees are exact. The day, counted from the first, is what the new model has learned to look at.

# %%
from sparkml_algos.explain import explain

explanation = explain(now["model"], future.select("features").cache())
worth = explanation.global_values()["label0"]
print(f"share of the day in all attributions: {worth['f0'] / sum(worth.values()):.2f}")

# %% tags=["show"]
from sparkml_algos.plotting import plot_explanations

ax = plot_explanations(explanation, "beeswarm")

# %% [markdown]
# ## Try next
#
# * `of_model.save_html("rentals.html")`: the page of the monitor, with every metric over time.
# * `Webhook`, `Email` and `File` beside `Callback`: who else should know?
# * `Schedule(monitor, "cron(0 6 ? * * *)").start()` looks every morning by itself, `MonitorJob(…).crontab()` prints the line for cron.
# * `datapoints_to_alert=2, evaluation_period=3`: an alarm only after two bad months of three. What does patience cost?
