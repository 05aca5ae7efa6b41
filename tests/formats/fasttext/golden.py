"""Writes the files beside it, and what fastText predicts by them; run by hand with fasttext-wheel 0.9.2 and NumPy 1."""

from __future__ import annotations

import json
from pathlib import Path

import fasttext

FOLDER = Path(__file__).parent
TEXTS = [
    "__label__sport the home team won the match",
    "__label__politics the law passed by one vote",
    "__label__sport a goal in the last minute of the match",
    "__label__politics the minister speaks to the house",
    "__label__sport __label__politics the minister opens the match",
    "__label__sport Müller scored again",
    "__label__politics naïve Wähler vote again",
    "__label__politics the vote on the law",
]
ASKED = ["the match", "the vote on the law", "Müller won the vote", "unknown words alone", "", "the home __label__sport team"]


def main() -> None:
    corpus = FOLDER / "texts.txt"
    corpus.write_text("".join(f"{text}\n" for text in TEXTS))
    settings = {"dim": 4, "epoch": 30, "lr": 0.5, "thread": 1, "verbose": 0}
    predicted = {}
    for name, ngrams, buckets in (("supervised", 1, 0), ("bigrams", 3, 50)):
        model = fasttext.train_supervised(str(corpus), wordNgrams=ngrams, bucket=buckets, **settings)
        model.save_model(str(FOLDER / f"{name}.bin"))
        answers = [model.predict(text, k=2) for text in ASKED]
        predicted[name] = [dict(zip(labels, map(float, shares), strict=True)) for labels, shares in answers]
    model = fasttext.train_unsupervised(str(corpus), model="skipgram", bucket=20, minCount=2, **settings)
    model.save_model(str(FOLDER / "skipgram.bin"))
    (FOLDER / "predicted.json").write_text(json.dumps({"asked": ASKED, "predicted": predicted}, indent=1) + "\n")


if __name__ == "__main__":
    main()
