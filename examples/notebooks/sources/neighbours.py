# %% [markdown]
# # Neighbours: reading handwritten digits by comparison
#
# The simplest of all classifiers learns nothing: it keeps the examples. To read a new digit, it looks for the *k* known images that are
# most like it and lets them vote. That works surprisingly well, and it can show *why* it said what it said: the neighbours themselves.
#
# 1,797 images of 8 × 8 pixels come with scikit-learn (UCI, Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak).

# %%
import pandas as pd
from sklearn.datasets import load_digits

images = load_digits()
table = pd.DataFrame({"id": range(len(images.data)), "pixels": list(images.data), "digit": images.target})
digits = spark.createDataFrame(table, "id long, pixels array<float>, digit long").repartition(2, "id").cache()
known, new = digits.where("id % 5 != 0"), digits.where("id % 5 = 0")
print(f"known: {known.count()}")
print(f"new: {new.count()}")

# %% [markdown]
# ## Fit, and read
#
# *Fit* draws a sample of the known rows and puts them into an index; `sample_size` bounds what a model of billions of rows keeps. With
# `idCol` the model remembers which row is which. *Transform* finds the neighbours: each executor holds one index that its Python workers
# share.

# %%
from sparkml_algos import KNNClassifier

model = KNNClassifier(k=5, sample_size=10_000, featuresCol="pixels", labelCol="digit", idCol="id", num_workers=2).fit(known)
accuracy = model.evaluate(new)["test:accuracy"]
print(f"accuracy: {accuracy:.3f}")
model

# %% [markdown]
# Of the images it has never seen it reads nearly all, `accuracy: 0.986`, from raw pixels, without a single learned parameter.
#
# ## How many neighbours?
#
# One neighbour believes every smudge; a hundred ask digits that have nothing to do with it. `k` is a setting of the *model*: it may be
# changed without another fit, so trying some costs no training.

# %%
tried = [(k, model.setK(k).evaluate(new)["test:accuracy"]) for k in (1, 2, 3, 5, 10, 20, 50, 100)]
curve = spark.createDataFrame([(k, 1 - accuracy) for k, accuracy in tried], "k long, error double")
print(f"error with 1: {1 - dict(tried)[1]:.3f}")
print(f"error with 5: {1 - dict(tried)[5]:.3f}")
print(f"error with 100: {1 - dict(tried)[100]:.3f}")
model = model.setK(5)

# %% tags=["show"]
import matplotlib.pyplot as plt

curve = curve.toPandas()
figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.plot(curve["k"], curve["error"], marker="o")
ax.set_xscale("log")
ax.set_xlabel("neighbours k")
ax.set_ylabel("share of new digits read wrongly")
limits = ax.set_ylim(bottom=0)

# %% [markdown]
# A single neighbour is wrong more often, `error with 1: 0.022`, than a vote of five, `error with 5: 0.014`. A hundred of the about 144
# images of a digit are far too many: `error with 100: 0.114`.
#
# ## Which digits are mixed up?
#
# A **confusion matrix** has a row for each true digit and a column for each answer. What is off the diagonal is wrong.

# %%
read = model.transform(new).select("id", "digit", "prediction", "probability").cache()
answers = read.select("digit", "prediction")

# %% tags=["show"]
from sparkml_algos.plotting import plot_confusion_matrix

answers = answers.toPandas()
ax = plot_confusion_matrix(answers, label="digit")

# %% [markdown]
# ## Ask for the reasons
#
# `kneighbors` names the neighbours of each row, nearest first, so that they can be joined with whatever is known of them. Here are all the
# images that were read wrongly, each with its five neighbours: left the new image, with what it is; then those that voted, with theirs.

# %%
wrong = read.where("prediction != digit").join(new.select("id", "pixels"), "id")
asked = model.kneighbors(wrong.select("id", "digit", "pixels")).orderBy("id").limit(5).collect()
by_id = {row.id: row for row in digits.collect()}
print(f"read wrongly: {wrong.count()}")

# %% tags=["show"]
import matplotlib.pyplot as plt
import numpy as np

figure, axes = plt.subplots(len(asked), 6, figsize=(6, 1.15 * len(asked)), layout="constrained", squeeze=False)
for row, line in zip(asked, axes, strict=True):
    for place, (ax, name) in enumerate(zip(line, [row.id, *row.neighbors], strict=True)):
        ax.imshow(np.reshape(by_id[name].pixels, (8, 8)), cmap="gray_r", interpolation="nearest")
        ax.set_title(f"is {row.digit}" if place == 0 else f"{by_id[name].digit}", color="#d1662c" if place == 0 else "#2f6db3")
        ax.axis("off")
title = figure.suptitle("Left the new image, then the five that voted")

# %% [markdown]
# You may find that you would have hesitated too. Such rows can be told beforehand: when neighbours disagree, the largest **probability**,
# their share of the votes, is small. Let a person read those.

# %%
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as F

sure = read.withColumn("share", F.array_max(vector_to_array("probability"))).where("share = 1")
right = sure.where("prediction = digit").count() / sure.count()
print(f"all agree: {sure.count() / read.count():.3f}")
print(f"accuracy where all agree: {right:.3f}")

# %% [markdown]
# For most digits all five agree, `all agree: 0.922`, and then the answer is nearly always right: `accuracy where all agree: 0.994`.
#
# ## Try next
#
# * `dimension_reduction_type="sign", dimension_reduction_target=16`: a quarter of the numbers, how much of the accuracy?
# * `sample_size=200`: how few examples are enough?
# * `index_type="faiss.IVFFlat"` for millions of rows (`pip install 'sparkml-algos[knn]'`): it looks at the most promising part only.
