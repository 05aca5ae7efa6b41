# %% [markdown]
# # Topics: what are SciPy's functions about?
#
# **Latent Dirichlet allocation** reads a pile of documents and finds *topics*: lists of words that keep company. Each document is then a
# mixture of topics. No labels, no dictionary, no grammar: only which words occur together.
#
# Our documents are the docstrings of SciPy, one for each public function and class, which is on every machine that has this package. SciPy
# sorts them into subpackages, `scipy.stats`, `scipy.signal`, `scipy.sparse` …, so that afterwards we can ask whether the topics make sense.

# %%
import importlib
import inspect

subpackages = ["fft", "integrate", "interpolate", "linalg", "ndimage", "optimize", "signal", "sparse", "special", "stats"]
documents = []
for subpackage in subpackages:
    module = importlib.import_module(f"scipy.{subpackage}")
    for name in module.__all__:
        text = inspect.getdoc(getattr(module, name)) or ""
        if len(text) > 400 and not inspect.ismodule(getattr(module, name)):
            documents.append((subpackage, name, text))
docs = spark.createDataFrame(documents, "subpackage string, name string, text string").repartition(2).cache()
print(f"documents: {docs.count()}")

# %% [markdown]
# ## From text to counts
#
# Topics are as good as the words they are made of. Examples (`>>> …`) and formulas are taken out, then stop words: those of English and
# those that every docstring has. Words in fewer than five documents, or in more than a quarter, tell nothing.

# %%
from pyspark.ml import Pipeline
from pyspark.ml.feature import CountVectorizer, RegexTokenizer, StopWordsRemover
from pyspark.sql import functions as F

in_every_docstring = """parameters returns return returned optional default none true false array arrays ndarray shape float int bool axis
value values input output see also notes examples references example scipy numpy import string object given specified used use using one two
three may must set number type name function functions method methods argument arguments keyword version added deprecated new follows based
note note following vol pp journal doi url http https www org arxiv press university science math end begin frac left right mathbf text
callable tuple list str array_like scalar dtype returned same first second otherwise case result results""".split()

english = StopWordsRemover.loadDefaultStopWords("english")
words = Pipeline(
    stages=[
        RegexTokenizer(inputCol="prose", outputCol="tokens", pattern="[^a-z]+", minTokenLength=3),
        StopWordsRemover(inputCol="tokens", outputCol="words", stopWords=english + in_every_docstring),
        CountVectorizer(inputCol="words", outputCol="counts", minDF=5, maxDF=0.25, vocabSize=3000),
    ]
)
prose = F.regexp_replace(F.regexp_replace("text", r"(?m)^\s*(>>>|\.\.\.).*$", " "), r":math:`[^`]*`", " ")
reader = words.fit(docs.withColumn("prose", prose))
counted = reader.transform(docs.withColumn("prose", prose)).cache()
vocabulary = reader.stages[-1].vocabulary
print(f"vocabulary: {len(vocabulary)}")

# %% [markdown]
# ## Ten topics
#
# The number of topics is yours to choose: few are broad, many are fine. This `LDA` first solves for the topics from how often words occur
# together, in threes, and then refines them by a few passes; it gives the same topics with one worker or a hundred.

# %%
from sparkml_algos import LDA

model = LDA(num_topics=10, featuresCol="counts", num_workers=2, seed=2).fit(counted)
topics = model.describe_topics(8, vocabulary).select("topic", F.array_join("terms", " ").alias("words"))
model

# %% tags=["show"]
topics = topics.toPandas()
for topic, words_of in zip(topics["topic"], topics["words"], strict=True):
    print(f"{topic}  {words_of}")

# %% [markdown]
# Read a line and give it a name; that is the test that matters. Some are easy: filters and their frequencies, sparse matrices and graphs,
# random variables and tests. The bars show how sharply a topic is drawn: one long bar is a topic of one word.

# %% tags=["show"]
from sparkml_algos.plotting import plot_topics

ax = plot_topics(model, vocabulary, topics=[0, 1, 2, 3], words=6)

# %% [markdown]
# ## Do they make sense?
#
# `transform` appends the mixture of each document. Take the largest share as *its* topic, and count topics by subpackage, which the
# algorithm has never seen.

# %%
from pyspark.ml.functions import vector_to_array

mixtures = model.transform(counted).withColumn("share", vector_to_array("topicDistribution"))
mixtures = mixtures.withColumn("topic", F.array_position("share", F.array_max("share")).cast("int") - 1).cache()
counts = mixtures.groupBy("subpackage", "topic").count()
most = counts.groupBy("topic").agg(F.max("count").alias("most")).agg(F.sum("most")).first()[0]
largest = docs.groupBy("subpackage").count().agg(F.max("count")).first()[0]
print(f"share of the largest subpackage: {largest / docs.count():.2f}")
print(f"purity of the topics: {most / docs.count():.2f}")

# %% tags=["show"]
import matplotlib.pyplot as plt

counts = counts.toPandas()
grid = counts.pivot(index="subpackage", columns="topic", values="count").fillna(0)
shares = grid.div(grid.sum(axis=1), axis=0)
figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
picture = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
ax.set_xticks(range(len(shares.columns)), [f"{int(topic)}" for topic in shares.columns])
ax.set_yticks(range(len(shares)), shares.index)
ax.set_xlabel("topic")
colorbar = figure.colorbar(picture, label="share of the subpackage's documents")

# %% [markdown]
# Guessing the largest subpackage for everything would be right for `share of the largest subpackage: 0.29` of the documents. Knowing only
# the topic, one is right for `purity of the topics: 0.70`. Where a subpackage has two topics it is two things: `stats` has distributions
# and tests; where two share one, as `linalg` and `optimize` do, they use the same words.
#
# ## A document as a mixture
#
# Few documents are about one thing. Here are three, the topic each has most of, and how much.

# %%
some = mixtures.where(F.col("name").isin("ttest_ind", "butter", "minimize")).select(
    "subpackage", "name", "topic", F.round(F.array_max("share"), 2).alias("largest_share")
).orderBy("name")

# %% tags=["show"]
some = some.toPandas()
some

# %% [markdown]
# ## Try next
#
# * `num_topics=5` and `30`: which topics merge, which split?
# * `alpha0=0.1` for purer documents, `10` for more even mixtures.
# * `refinements=0`: the topics as the equations give them. `model.evaluate(counted)` tells the two apart.
