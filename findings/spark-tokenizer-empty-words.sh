#!/usr/bin/env bash
# Spark 4.3.0: Tokenizer makes an empty word of each further blank, and CountVectorizer counts it.
#
# Guess:  it splits at white space, as its documentation says, as str.split and RegexTokenizer do: at runs of it.
# Seen:   it splits at each blank. Two in a row give an empty word, which becomes an entry of the vocabulary, the most frequent one in texts
#         that were aligned by blanks. RegexTokenizer drops words below minTokenLength, 1 by default.
# So:     take RegexTokenizer, or remove "" by StopWordsRemover or array_remove.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install pyspark==4.3.0 numpy==2.4.6

seen_as "Tokenizer: ['two', '', '', 'blanks']
RegexTokenizer: ['two', 'blanks']
vocabulary after Tokenizer: ['', 'blanks', 'two']" <<'PYTHON'
from pyspark.ml.feature import CountVectorizer, RegexTokenizer, Tokenizer
from pyspark.sql import SparkSession

builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
spark = builder.config("spark.ui.showConsoleProgress", "false").config("spark.sql.shuffle.partitions", "1").getOrCreate()

texts = spark.createDataFrame([("two   blanks",)], ["text"])
for tokenizer in (Tokenizer(inputCol="text", outputCol="words"), RegexTokenizer(inputCol="text", outputCol="words")):
    print(f"{type(tokenizer).__name__}: {tokenizer.transform(texts).first().words}")
words = Tokenizer(inputCol="text", outputCol="words").transform(texts)
print(f"vocabulary after Tokenizer: {CountVectorizer(inputCol='words', outputCol='counts').fit(words).vocabulary}")
spark.stop()
PYTHON
