"""Graphs of texts: labels, and vectors of words. Words are looked up in the graph; what is computed from the signs of a word is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from sparkml_algos.algorithms.blazingtext.classifier.counting import Counted
from sparkml_algos.algorithms.blazingtext.classifier.texts import END_OF_TEXT
from sparkml_algos.algorithms.blazingtext.vocabulary import CountedWords
from sparkml_algos.export.graph import ML, ROWS, TEXT, CannotExport, Graph, Input
from sparkml_algos.export.translation import Trained, Translation

# What parts words beside the blank.
_BLANKS = "\t\n\v\f\r\0"
# The id of what is no word of the vocabulary.
_UNKNOWN = -1
_WORDS = 20


def split(graph: Graph, texts: str) -> str:
    """The words of texts, shape (rows, places), with empty ones among them; the runtime parts them at one sign at a time."""
    empty = graph("Expand", graph.constant(np.array([[""]], object)), graph("Concat", graph.size(texts), graph.ints(1), axis=0))
    words = graph.several("StringSplit", texts, outputs=2)[0]
    for blank in _BLANKS:
        # Of no word at all a shape would not be known.
        words = graph("Concat", words, empty, axis=1)
        words = graph("Reshape", graph.several("StringSplit", words, outputs=2, delimiter=blank)[0], graph.ints(0, -1))
    return words


def looked_up(graph: Graph, words: str, vocabulary: Sequence[str]) -> str:
    """Ids of words, int64; -1 of those that are not known."""
    ids = list(range(len(vocabulary)))
    return graph("LabelEncoder", words, domain=ML, keys_strings=list(vocabulary), values_int64s=ids, default_int64=_UNKNOWN)


def mean_of(graph: Graph, vectors: np.ndarray, ids: str, known: str) -> str:
    """The mean of the vectors of some ids of each row, shape (rows, dim); 0 where there is none.

    Parameters
    ----------
    graph : Graph
    vectors : ndarray, shape (ids, dim)
    ids : str
        (rows, places)
    known : str
        Bool, which of them count.
    """
    place = graph("Where", known, ids, graph.constant(np.int64(0)))
    mask = graph.column(graph.real(known), 2)
    found = graph("Mul", graph("Gather", graph.weights(vectors), place, axis=0), mask)
    count = graph("Max", graph.sum(mask, 1), graph.reals(1))
    return graph("Div", graph.sum(found, 1), count)


def sentences(random: np.random.Generator, count: int, vocabulary: Sequence[str]) -> list[list[str]]:
    """Lists of words, known and unknown; some are empty."""
    lengths = random.integers(_WORDS, size=count) * (np.arange(count) % 13 != 5)
    return [
        ["unknown-word" if random.random() < 0.1 else vocabulary[place] for place in random.integers(len(vocabulary), size=length)]
        for length in lengths
    ]


class TextClassifier(Translation):
    """``BlazingTextClassifierModel`` of single words."""

    decisions = ("prediction", "predicted_label")
    types: ClassVar[Mapping[str, Any]] = {"predicted_label": TEXT}

    def __init__(self, trained: Trained) -> None:
        super().__init__(trained)
        if self.hyperparameters.word_ngrams > 1:
            raise CannotExport(
                f"word_ngrams={self.hyperparameters.word_ngrams}: n-grams are known by hashes of their words, which ONNX cannot "
                "compute; train with word_ngrams=1"
            )
        self._counted = Counted.of(self.artifact.arrays, self.artifact.values)
        self._words: list[str] = self._counted.words.words.to_pylist()

    def inputs(self) -> list[Input]:
        return [Input("text", TEXT, (ROWS,))]

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        words = split(graph, inputs["text"])
        # The end of a text is a word of its own where a text has it; what follows it is not read.
        marked = [*self._words, *([] if END_OF_TEXT in self._words else [END_OF_TEXT])]
        end = marked.index(END_OF_TEXT)
        ids = looked_up(graph, words, marked)
        ends = graph.cast(graph("Equal", ids, graph.constant(np.int64(end))), np.int64)
        before = graph("Equal", graph("CumSum", ends, graph.constant(np.int64(1))), graph.constant(np.int64(0)))
        known = graph("And", before, graph("GreaterOrEqual", ids, graph.constant(np.int64(0))))
        if END_OF_TEXT in self._words:
            shape = graph("Concat", graph.size(inputs["text"]), graph.ints(1), axis=0)
            ids = graph("Concat", ids, graph("Expand", graph.constant(np.array([[end]], np.int64)), shape), axis=1)
            known = graph("Concat", known, graph("Expand", graph.constant(np.array([[True]])), shape), axis=1)
        hidden = mean_of(graph, self.artifact.arrays["vectors"], ids, known)
        probability = graph("Softmax", graph.product(hidden, self.artifact.arrays["outputs"].T), axis=1)
        best = graph("ArgMax", probability, axis=1, keepdims=0)
        names = graph.constant(np.array(self._counted.labels, object))
        return {"prediction": graph.real(best), "predicted_label": graph("Gather", names, best, axis=0), "probability": probability}

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        texts = sentences(random, count, [word for word in self._words if word != END_OF_TEXT] or ["word"])
        blanks = [" ", "  ", "\t", " \n"]
        return {"text": [blanks[place % 4].join(words) for place, words in enumerate(texts)]}


class WordVectors(Translation):
    """``BlazingTextWord2VecModel`` without subwords: the mean of the vectors of the words of a list."""

    def __init__(self, trained: Trained) -> None:
        super().__init__(trained)
        if self.hyperparameters.subwords:
            raise CannotExport(
                "subwords=True: vectors are of hashes of parts of words, which ONNX cannot compute; train with subwords=False"
            )
        self._words: list[str] = CountedWords.from_arrays(self.artifact.arrays).words.to_pylist()

    def inputs(self) -> list[Input]:
        return [Input("text", TEXT, (ROWS, "words"))]

    def outputs(self, graph: Graph, inputs: Mapping[str, str]) -> dict[str, str]:
        ids = looked_up(graph, inputs["text"], self._words)
        known = graph("GreaterOrEqual", ids, graph.constant(np.int64(0)))
        return {"vector": mean_of(graph, self.artifact.arrays["inputs"][: len(self._words)], ids, known)}

    def rows(self, random: np.random.Generator, count: int) -> dict[str, Any]:
        return {"text": sentences(random, count, self._words)}
