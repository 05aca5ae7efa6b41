# %% [markdown]
# # Classification: which tumours are malignant?
#
# 569 biopsies, 30 measurements of the cell nuclei in each: radius, texture, concavity and so on, as mean, standard error and worst. 212 of
# the tumours were malignant. `XGBoostClassifier` learns to tell them: some dozens of small decision trees, each correcting the ones before.
#
# You will choose settings with Spark's own `CrossValidator`, judge the result on rows that no choice has seen, look at the kinds of
# mistakes, and ask the model what it looks at.
#
# The biopsies come with scikit-learn (UCI, Breast Cancer Wisconsin (Diagnostic), W. Wolberg, O. Mangasarian, N. Street).

# %%
from sklearn.datasets import load_breast_cancer

table = load_breast_cancer(as_frame=True).frame
table.columns = [name.replace(" ", "_") for name in table.columns]
measured = [name for name in table.columns if name != "target"]
table["malignant"] = 1.0 - table.pop("target")
table["part"] = [row % 4 for row in range(len(table))]
biopsies = spark.createDataFrame(table)
learned, held_out = biopsies.where("part < 3").cache(), biopsies.where("part = 3").cache()
print(f"learned from: {learned.count()}")
print(f"held out: {held_out.count()}")

# %% [markdown]
# A quarter is **held out**: no training and no choice of settings sees it, so that the figures at the end are honest.
#
# ## Choose settings
#
# Deeper trees can say more and also learn chance by heart; a small `eta` learns more slowly and more surely. `CrossValidator` tries each
# combination three times: it trains on two thirds of the rows and judges on the third that is left, the **fold**. For this Estimator, all
# combinations of a fold share one reading of the rows. (`foldCol` says which row is in which fold; without it they are drawn.)
#
# Judged is by the **area under the ROC curve**: how likely a malignant tumour gets a higher score than a benign one. 1 is perfect, 0.5 is
# a coin.

# %%
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder

from sparkml_algos import XGBoostClassifier

trees = XGBoostClassifier(
    objective="binary:logistic", num_round=40, subsample=0.8, featuresCols=measured, labelCol="malignant", num_workers=2, seed=3
)
grid = ParamGridBuilder().addGrid(trees.max_depth, [2, 4]).addGrid(trees.eta, [0.05, 0.3]).build()
evaluator = BinaryClassificationEvaluator(labelCol="malignant")
search = CrossValidator(estimator=trees, estimatorParamMaps=grid, evaluator=evaluator, numFolds=3, foldCol="part", parallelism=2)
chosen = search.fit(learned)

# %%
tried = spark.createDataFrame(
    [
        (params[trees.max_depth], params[trees.eta], float(auc), float(deviation))
        for params, auc, deviation in zip(grid, chosen.avgMetrics, chosen.stdMetrics, strict=True)
    ],
    "max_depth int, eta double, auc double, deviation double",
).orderBy("auc", ascending=False)
print(f"best area in validation: {max(chosen.avgMetrics):.3f}")

# %% tags=["show"]
tried = tried.toPandas()
tried

# %% [markdown]
# All are good, and they differ by less than their deviation from fold to fold, so do not read much into the order. What counts is that the
# choice was not made on the rows we judge by.
#
# ## How good is it?

# %%
model = chosen.bestModel
scored = model.transform(held_out).cache()
auc = evaluator.evaluate(scored)
print(f"area on held out rows: {auc:.3f}")
print(f"accuracy on held out rows: {scored.where('prediction = malignant').count() / scored.count():.3f}")
model

# %% [markdown]
# The best area in the folds was `best area in validation: 0.991`; on the held out rows it is `area on held out rows: 0.995`, and
# `accuracy on held out rows: 0.972` of the diagnoses are right.
#
# Which mistakes are made is a choice, for a malignant tumour that is missed is worse than a second look at a benign one. The ROC curve has
# all choices on it: to the right more false alarms, upwards more of the malignant ones found. What leaves Spark for the picture is one
# number a row.

# %%
from pyspark.ml.functions import vector_to_array

probability = vector_to_array("probability")[1].alias("probability")
judged = scored.select("malignant", "prediction", probability)

# %% tags=["show"]
import matplotlib.pyplot as plt

from sparkml_algos.plotting import plot_confusion_matrix, plot_roc_curve

judged = judged.toPandas()
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
ax = plot_roc_curve(judged, label="malignant", ax=left)
ax = plot_confusion_matrix(judged, label="malignant", class_names=["benign", "malignant"], ax=right)

# %% [markdown]
# With the threshold at one half some malignant tumours are missed. A lower one finds more of them, at the price of more false alarms:

# %%
for threshold in (0.5, 0.2, 0.1):
    again = model.copy().setThreshold(threshold).transform(held_out)
    found = again.where("malignant = 1 and prediction = 1").count() / again.where("malignant = 1").count()
    alarms = again.where("malignant = 0 and prediction = 1").count()
    print(f"threshold {threshold}: {found:.3f} of the malignant found, {alarms} false alarms")

# %% [markdown]
# ## What does it look at?
#
# The **gain** of a feature is how much its splits improve the fit, on average. A handful of the 30 measurements carry most: how large and
# how dented the *worst* nuclei of a sample are.

# %% tags=["show"]
from sparkml_algos.plotting import plot_feature_importances

ax = plot_feature_importances(model, top=10, importance_type="total_gain")

# %%
gains = model.get_feature_importances("total_gain")
first = sorted(gains, key=gains.get, reverse=True)[:5]
print("first five:", ", ".join(first))
print(f"share of the first five: {sum(gains[name] for name in first) / sum(gains.values()):.2f}")

# %% [markdown]
# The first five of 30 have most of all gain, `share of the first five: 0.82`. But features that say the same, such as radius, perimeter
# and area, share it among them: a small bar does not mean *useless*, only *not needed beside the others*.
#
# ## Try next
#
# * `contributionsCol="why"`: SHAP values, what each measurement adds to the score of *this* biopsy.
# * `validationIndicatorCol` and `early_stopping_rounds=10`: stop when more trees no longer help, then `plot_training_history(model)`.
# * `model.get_booster()` gives the plain xgboost booster, for everything else that library can.
