# %% [markdown]
# # Anomalies on a stream: finding El Niño
#
# Every few years the Pacific off Peru turns warm for months. Fishermen called it El Niño, and it changes the weather of half the world. We
# have the temperature of that sea, month by month from 1950 to 2010, and let a **random cut forest** watch it as if it were live: it learns
# what is usual from the first thirty years, then scores each new month as it arrives on a Spark stream.
#
# The forest cuts the known points at random until each is alone. A point that is soon alone is far from the others; its **score** is high.
#
# The series is a small file of this project (NOAA ERSST.V3B, region Niño 1+2; in the public domain).

# %%
data = "../data"  # on a cluster: where you have put examples/data, such as s3://bucket/data
stream = "/tmp/el-nino-stream"  # on a cluster: a folder that driver and executors share

# %%
from pyspark.sql import functions as F

sea = spark.read.csv(f"{data}/el_nino.csv", header=True, schema="month date, temperature double")
print(f"months: {sea.count()}")

# %% [markdown]
# ## Take away what is usual: the season
#
# March is always warmer than August. The odd thing is not a warm month, but one warmer than *its* month should be. So subtract the mean
# of the month, as the years of learning know it; years to come must not have a say in what was usual before them.

# %%
past = sea.where("month < '1980-01-01'")
normal = past.groupBy(F.month("month").alias("of_year")).agg(F.avg("temperature").alias("usual")).cache()
steps = (
    sea.join(F.broadcast(normal), F.month("month") == F.col("of_year"))
    .select("month", "temperature", F.round(F.col("temperature") - F.col("usual"), 3).alias("departure"))
    .orderBy("month")
    .cache()
)
series = steps.select(F.col("month").cast("string"), "temperature", "departure")

# %% tags=["show"]
import matplotlib.pyplot as plt
import pandas as pd

series = series.toPandas()
figure, (top, bottom) = plt.subplots(2, 1, figsize=(10, 4.5), sharex=True, layout="constrained")
top.plot(pd.to_datetime(series["month"]), series["temperature"], linewidth=0.8)
top.set_ylabel("sea, °C")
bottom.plot(pd.to_datetime(series["month"]), series["departure"], linewidth=0.8, color="#d1662c")
bottom.axhline(0, color="#8c8c8c", linewidth=0.6)
label = bottom.set_ylabel("departure, °C")

# %% [markdown]
# ## From single months to shapes
#
# One warm month is weather; half a year of them is El Niño. `Shingle` turns the series into rows of six consecutive months, a **shingle**
# for each month with the five before it, so that an odd *course* becomes an odd *row*.
#
# ## Learn the usual
#
# Rows above `model.threshold` are called anomalous. Where it lies is a choice: here above 98 % of the scores of the years of learning, so
# that about one month in fifty of usual times raises an alarm.

# %%
from sparkml_algos import RandomCutForest, Shingle

shingle = Shingle(inputCols=["departure"], timeCol="month", size=6)
rows = shingle.transform(steps)
forest = RandomCutForest(
    num_trees=100, num_samples_per_tree=256, predictionCol="is_anomaly", thresholdMethod="quantile", thresholdQuantile=0.98,
    num_workers=2, seed=1,
)
model = forest.fit(rows.where("month < '1980-01-01'"))
print(f"threshold: {model.threshold:.2f}")
model

# %% [markdown]
# ## Watch
#
# Now the months arrive. A small function plays the world and writes each year into a folder; a Structured Streaming query reads what is
# new there. Spark has no windows of rows over a stream, so `foreachBatch` puts the last five months in front of the new ones, makes the
# shingles and scores them: a few lines that run unchanged for years. `availableNow` takes what is there and ends; on a real stream it is
# `processingTime="1 minute"`.

# %%
for year in range(1980, 2011):
    of_year = steps.where(F.year("month") == year).coalesce(1)
    of_year.write.mode("overwrite" if year == 1980 else "append").json(stream)

# %%
import pandas as pd

seen = [steps.where("month >= '1979-08-01' and month < '1980-01-01'").toPandas()]
alarms = []


def watch(batch, number):
    new = batch.orderBy("month").toPandas()
    before = pd.concat(seen).tail(5)
    scored = model.transform(shingle.transform(spark.createDataFrame(pd.concat([before, new]))))
    alarms.append(scored.select("month", "temperature", "departure", "score", "is_anomaly").toPandas())
    seen.append(new)


arriving = spark.readStream.schema(steps.schema).option("maxFilesPerTrigger", 8).option("latestFirst", "false").json(stream)
query = arriving.writeStream.foreachBatch(watch).trigger(availableNow=True).start()
query.awaitTermination()
print(f"batches: {len(alarms)}")

# %% [markdown]
# ## What was found
#
# The months as they were scored, each knowing only what came before it. Dots are alarms; the grey line below is the score, the dashed one
# the threshold.

# %%
watched = pd.concat(alarms)
watched["month"] = watched["month"].astype(str)
watched = spark.createDataFrame(watched).withColumn("threshold", F.lit(model.threshold)).orderBy("month").cache()
is_great = "month between '1982-11-01' and '1983-10-01' or month between '1997-06-01' and '1998-09-01'"
great, others = watched.where(is_great), watched.where(f"not ({is_great})")
print(f"alarms in the great El Niños: {great.agg(F.avg('is_anomaly')).first()[0]:.2f}")
print(f"alarms in all other months: {others.agg(F.avg('is_anomaly')).first()[0]:.2f}")

# %% tags=["show"]
from sparkml_algos.plotting import plot_anomalies

watched = watched.toPandas()
watched["month"] = pd.to_datetime(watched["month"])
ax = plot_anomalies(watched, time="month", value="departure", prediction="is_anomaly", threshold=watched["threshold"].iloc[0])

# %% [markdown]
# The two greatest of the century, 1982/83 and 1997/98, stand out: `alarms in the great El Niños: 0.93` of their months, against
# `alarms in all other months: 0.01`, most of them when the sea cools down again. In the lesser El Niños of 1987 and 1992 the score rises
# too, but stays below the threshold: a lower one would find them, and cry wolf more often. The forest was never told what to look for, only
# what was usual; so it also finds what nobody has thought of.
#
# ## Try next
#
# * `attributionCol="why"`: which of the six months made a row odd?
# * `size=12` sees slower shapes, `size=1` single months only.
# * `thresholdQuantile=0.95`: more alarms. Which of them are wolves?
