# %% [markdown]
# # Clusters: how many kinds of wine are there?
#
# 178 wines from one region of Italy were measured in a laboratory: alcohol, colour, phenols, 13 numbers each. They were made of three kinds
# of grape. Can the numbers alone tell that there are *three*, and which wine is of which?
#
# `KMeans` places *k* centres so that the wines are near to theirs. You will see why features must be scaled first, how the **elbow** says
# which k to take, and how to judge what was found.
#
# The wines come with scikit-learn (UCI Wine, M. Forina et al.).

# %%
from sklearn.datasets import load_wine

table = load_wine(as_frame=True).frame.rename(columns={"target": "grape", "od280/od315_of_diluted_wines": "dilution"})
measured = [name for name in table.columns if name != "grape"]
wines = spark.createDataFrame(table)
print(f"wines: {wines.count()}")
print(f"measurements: {len(measured)}")

# %% [markdown]
# ## Why scaling matters
#
# A cluster is what is *near*, and near depends on units. Proline is counted in hundreds of milligrams, hue in tenths. Look at the standard
# deviations: in a sum of squares, proline is nearly all there is.

# %%
from pyspark.sql import functions as F

spread = spark.createDataFrame(
    [(name, wines.agg(F.stddev(name)).first()[0]) for name in ("proline", "magnesium", "alcohol", "hue")],
    "measurement string, standard_deviation double",
)

# %% tags=["show"]
spread = spread.toPandas()
spread

# %% [markdown]
# Two pipelines, the same but for one stage: `StandardScaler` divides each measurement by its standard deviation. **Purity** is the share of
# wines that are of the most frequent grape of their cluster; the algorithm has never seen the grapes.

# %%
from pyspark.ml import Pipeline
from pyspark.ml.feature import StandardScaler, VectorAssembler

from sparkml_algos import KMeans

assembler = VectorAssembler(inputCols=measured, outputCol="raw")
scaler = StandardScaler(inputCol="raw", outputCol="features", withMean=True)
settings = dict(k=3, epochs=10, init_method="kmeans++", num_workers=2, seed=1)


def purity(clustered):
    sizes = clustered.groupBy("prediction", "grape").count()
    best = sizes.groupBy("prediction").agg(F.max("count").alias("of_its_grape"))
    return best.agg(F.sum("of_its_grape")).first()[0] / clustered.count()


unscaled = Pipeline(stages=[assembler, KMeans(featuresCol="raw", **settings)]).fit(wines)
pipeline = Pipeline(stages=[assembler, scaler, KMeans(**settings)]).fit(wines)
print(f"purity as measured: {purity(unscaled.transform(wines)):.3f}")
print(f"purity when scaled: {purity(pipeline.transform(wines)):.3f}")

# %% [markdown]
# Unscaled, the clusters are little more than classes of proline: `purity as measured: 0.702`. Scaled, all 13 measurements have a say:
# `purity when scaled: 0.966`.
#
# ## How many clusters?
#
# Here we know the answer. In general you do not, so draw the **elbow**: the mean squared distance of a wine to its centre, for each k. It
# always falls, down to zero when every wine is a cluster of its own. Look for the bend, after which another centre gains little.
#
# MLlib would train anew for every k. `KMeans.elbow` keeps many centres in one training and serves every k from them.

# %%
scaled = pipeline.transform(wines).drop("prediction", "distance_to_cluster")
elbow = KMeans(**{**settings, "k": 10}).elbow(scaled, ks=range(1, 11))

# %% tags=["show"]
from sparkml_algos.plotting import plot_elbow

elbow = elbow.toPandas()
ax = plot_elbow(elbow)
title = ax.set_title("The curve bends at k = 3")

# %% [markdown]
# From 1 to 3 each centre takes away a good part of the distance, from then on only a little: the bend is at 3.
#
# ## A second opinion
#
# The **silhouette** compares, for each wine, how far it is from its own cluster and from the next one: 1 is far apart, 0 is on the border.
# Spark's own `ClusteringEvaluator` computes it, on any column of clusters.

# %%
from pyspark.ml.evaluation import ClusteringEvaluator

for k in (2, 3, 4):
    clustered = KMeans(**{**settings, "k": k}).fit(scaled).transform(scaled)
    print(f"silhouette of {k}: {ClusteringEvaluator().evaluate(clustered):.3f}")

# %% [markdown]
# The best is again three clusters, `silhouette of 3: 0.451`; four have `silhouette of 4: 0.421`.
#
# ## What was found
#
# A fitted model shows what was trained, on how many workers, and where the time went.

# %%
model = pipeline.stages[-1]
model

# %%
clustered = pipeline.transform(wines)
grapes = clustered.groupBy("prediction").pivot("grape").count().fillna(0).orderBy("prediction")
grapes = grapes.select(F.col("prediction").alias("cluster"), *(F.col(str(i)).alias(f"grape_{i}") for i in range(3)))

# %% tags=["show"]
grapes = grapes.toPandas()
grapes

# %% [markdown]
# Each cluster is nearly one grape; the few wines in the wrong one are all of the middle grape, which lies between the others.
#
# To see that, look at the 13 dimensions from their two widest sides: `PCA` finds them. The second picture says what the two axes are made
# of: along the first lie wines rich in flavanoids and phenols, or poor; along the second those strong in alcohol and colour, or weak.

# %%
from pyspark.ml.functions import vector_to_array

from sparkml_algos import PCA

plane = PCA(num_components=2, num_workers=2).fit(clustered)
share = plane.explained_variance_ratio.sum()
print(f"variance shown: {share:.3f}")
place = vector_to_array("projection")
points = plane.transform(clustered).select(place[0].alias("first"), place[1].alias("second"), "prediction", "grape")

# %% tags=["show"]
import matplotlib.pyplot as plt

points = points.toPandas()
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for cluster, wines_of in points.groupby("prediction"):
    ax.scatter(wines_of["first"], wines_of["second"], s=18, label=f"cluster {int(cluster)}")
ax.set_xlabel("first component")
ax.set_ylabel("second component")
legend = ax.legend(frameon=False)

# %% tags=["show"]
from sparkml_algos.plotting import plot_components

ax = plot_components(plane, feature_names=measured)

# %% [markdown]
# The plane holds little more than half of what there is to see, `variance shown: 0.554`; the clusters were found in all 13 dimensions.
#
# ## Try next
#
# * `withMean=False`, or no scaling of one column: which clusters break?
# * `KMeans(k=3, epochs=1)`: one pass is enough for large data, ten cost nothing here.
# * Save it: `pipeline.write().overwrite().save("wine-clusters")`; `PipelineModel.load` gives it back, to any Spark that has this package.
