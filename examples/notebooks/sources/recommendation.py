# %% [markdown]
# # Recommendation: who would say yes to what?
#
# A shop knows a few things that each customer liked and wants to guess the rest. That is a table of people × things with holes in it, and
# the art is to fill the holes. **Factorization machines** do: they give each person and each thing a few numbers, its *factors*, and learn
# them so that the product of the two says how well they go together.
#
# Our people are the 435 members of the United States House of Representatives in 1984, our things 16 votes that the Congressional
# Quarterly Almanac picked as key, from the MX missile to duty-free exports; a yes is a like. We hide a fifth of the votes and guess them.
# The machine is told who voted and on what, nothing else; above all not the party.
#
# The votes are a small file of this project (UCI Congressional Voting Records, J. Schlimmer, CC BY 4.0).

# %%
data = "../data"  # on a cluster: where you have put examples/data, such as s3://bucket/data

# %%
from pyspark.sql import functions as F
from pyspark.sql.window import Window

members = spark.read.csv(f"{data}/house_votes_1984.csv", header=True)
bills = members.columns[1:]
members = members.withColumn("member", F.row_number().over(Window.orderBy(F.monotonically_increasing_id())) - 1)
votes = (
    members.unpivot(["member", "party"], bills, "bill", "vote")
    .where("vote is not null")
    .select("member", "bill", (F.col("vote") == "y").cast("double").alias("yes"))
)
is_hidden = F.pmod(F.hash("member", "bill"), F.lit(5)) == 0
known, hidden = votes.where(~is_hidden), votes.where(is_hidden)
print(f"known votes: {known.count()}")
print(f"hidden votes: {hidden.count()}")

# %% [markdown]
# ## One wide, nearly empty vector for each vote
#
# A factorization machine takes sparse vectors: of 450 entries, 434 for the members (one never voted) and 16 for the bills, two are 1.
# Spark's `StringIndexer` and `OneHotEncoder` make them. Whatever else is known, age or state or the day, would be more entries of the same
# vector; that is what sets these machines apart from plain matrix factorization.

# %%
from pyspark.ml import Pipeline
from pyspark.ml.feature import OneHotEncoder, StringIndexer, VectorAssembler

from sparkml_algos import FactorizationMachinesBinaryClassifier

encoding = Pipeline(
    stages=[
        StringIndexer(inputCols=["member", "bill"], outputCols=["m", "b"], stringOrderType="alphabetAsc"),
        OneHotEncoder(inputCols=["m", "b"], outputCols=["member_1", "bill_1"], dropLast=False),
        VectorAssembler(inputCols=["member_1", "bill_1"], outputCol="features"),
    ]
).fit(votes)
train = encoding.transform(known).withColumn("check", F.pmod(F.hash("bill", "member"), F.lit(10)) == 0).cache()
test = encoding.transform(hidden).cache()

# %% [markdown]
# ## With factors, and almost without
#
# `num_factors` is how many numbers describe a member or a bill. To see what they are good for, compare with a machine whose factors stand
# still: it knows only that some members say yes more often and that some bills are more popular.
#
# The rows marked in `check` are not trained on: after each epoch they say whether the machine still gets better, and the best epoch serves.

# %%
settings = dict(
    labelCol="yes", validationIndicatorCol="check", mini_batch_size=500, epochs=60, early_stopping_patience=15,
    linear_lr=0.05, num_workers=2, seed=1,
)
popularity = FactorizationMachinesBinaryClassifier(num_factors=2, factors_lr=0.0, factors_init_sigma=0.0, **settings).fit(train)
machine = FactorizationMachinesBinaryClassifier(
    num_factors=2, factors_lr=0.02, factors_init_sigma=0.5, factors_wd=0.0005, **settings
).fit(train)
name = "test:binary_classification_accuracy"
print(f"accuracy by popularity: {popularity.evaluate(test)[name]:.3f}")
print(f"accuracy with factors: {machine.evaluate(test)[name]:.3f}")

# %% [markdown]
# Popularity guesses `accuracy by popularity: 0.575` of the hidden votes, little more than a coin. With factors it is
# `accuracy with factors: 0.801`: knowing a dozen votes of a member is knowing most of the others.
#
# ## Did it train long enough?
#
# The error on the training rows (blue) falls on and on; on those set aside (orange) it has a lowest point, which is the one that serves.

# %% tags=["show"]
from sparkml_algos.plotting import plot_training_history

ax = plot_training_history(machine)

# %%
print(f"epoch that serves: {machine.served_epoch}")
machine

# %% [markdown]
# ## What the factors mean
#
# Nobody told the machine about parties. Lay the members' factors on a plane by their widest two directions and colour them by party
# afterwards:

# %%
import numpy as np

order = encoding.stages[0].labelsArray[0]
factors = machine.factors[: len(order)]
centred = factors - factors.mean(axis=0)
plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
party = dict(members.select(F.col("member").cast("string"), "party").collect())
places = spark.createDataFrame(
    [(party[member], float(x), float(y)) for member, (x, y) in zip(order, plane, strict=True)], "party string, x double, y double"
)

# %% tags=["show"]
import matplotlib.pyplot as plt

places = places.toPandas()
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for party_name, color in (("democrat", "#2f6db3"), ("republican", "#d1662c")):
    own = places[places["party"] == party_name]
    ax.scatter(own["x"], own["y"], s=14, alpha=0.7, color=color, label=party_name)
ax.set_xlabel("first direction of the factors")
ax.set_ylabel("second direction")
legend = ax.legend(frameon=False)

# %%
is_republican = np.array([party[member] == "republican" for member in order])
agrees = ((plane[:, 0] > 0) == is_republican).mean()
print(f"party told by the first direction: {max(agrees, 1 - agrees):.3f}")

# %% [markdown]
# The last figure says for how many members the first direction alone, found from votes, tells the party: one half would be chance.
#
# ## Recommend
#
# For one member, score every bill and sort: that is a recommendation. Here are those of which the machine is most and least sure for member
# 0, with what was really voted where it is on record.

# %%
from pyspark.ml.functions import vector_to_array

wishes = spark.createDataFrame([(0, bill) for bill in bills], "member int, bill string")
scored = machine.transform(encoding.transform(wishes)).withColumn("chance_of_yes", vector_to_array("probability")[1])
recommended = (
    scored.join(votes, ["member", "bill"], "left")
    .select("bill", F.round("chance_of_yes", 3).alias("chance_of_yes"), "yes")
    .orderBy("chance_of_yes", ascending=False)
)

# %% tags=["show"]
recommended = recommended.toPandas()
recommended

# %% [markdown]
# ## Try next
#
# * `num_factors=1` and `8`: how many numbers does a member of parliament need?
# * Add the party to the vector: does it help once the votes are known?
# * For ratings instead of likes: `FactorizationMachinesRegressor`.
