"""Sequence to sequence against a plain loop of torch, beam search over many rows against one row after the other, and BLEU on Multi30k.

The plain loop has the same network and optimizer, its pairs as lists of ids, and mini-batches at random, each padded to its longest.
"""

from __future__ import annotations

import gzip
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
from data import Data, public
from harness import Options, Report, Table, measure, median, ratio

from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.rows.batch import Batch

FITS = 3
# Until a training to its end has ended.
HOURS = 3 * 3600.0
PAIRS, STEPS = 6400, 50
# Of speed: input feeding in a loop over the words, the default.
NETWORK = {
    **{"num_embed_source": 256, "num_embed_target": 256, "rnn_num_hidden": 256, "rnn_cell_type": "gru", "rnn_attention_type": "bilinear"},
    **{"batch_size": 64, "learning_rate": 0.001, "min_word_count": 2},
}
# Of quality.
TRANSLATION = {
    **{**NETWORK, "rnn_attention_type": "dot", "rnn_input_feeding": False, "learning_rate": 0.002},
    **{"rnn_decoder_hidden_dropout": 0.2, "embed_dropout_source": 0.2, "embed_dropout_target": 0.2},
    **{"lr_scheduler_type": "fixed_rate_inv_sqrt_t", "fixed_rate_lr_half_life": 6, "checkpoint_frequency_num_batches": 227},
    **{"max_num_epochs": 15},
}


def compare_speed(data: Data, options: Options) -> Report:
    """Target words per second of the training loop, and of the plain one."""
    found = measure(loops_in_turn, folder=str(public("multi30k_en_de")), threads=1)
    ours, alike, plain = (median(found[name]) for name in ("ours", "at random", "plain"))
    table = Table(
        f"{PAIRS:,} pairs of Multi30k, {STEPS} steps of 64, one thread: target words per second", ["", "words/s", "this/plain loop"]
    )
    table.rows = [
        ["plain loop", f"{plain:,.0f}", "1.00"],
        ["ours, pairs at random", f"{alike:,.0f}", ratio(alike, plain)],
        ["ours, pairs of like lengths", f"{ours:,.0f}", ratio(ours, plain)],
    ]
    return Report([table], found, [f"Medians of {FITS} in turns, after one of each; CPU seconds."])


def compare_search(data: Data, options: Options) -> Report:
    """Rows per second of beam search over all rows together, and over one after the other."""
    found = measure(searches, folder=str(public("multi30k_en_de")))
    table = Table("Beams of 5, 1,000 sentences of Multi30k: rows per second", ["", "rows/s", "this/one after the other"])
    alone, together = found["alone"], median(found["together"])
    table.rows = [["one after the other", f"{alone:,.1f}", "1.00"], ["together", f"{together:,.1f}", ratio(together, alone)]]
    return Report([table], found, [f"One after the other: {found['rows alone']} of the rows, once."])


def measure_translation(data: Data, options: Options) -> Report:
    """BLEU on the test sentences of 2016 of a network that is trained to its end, by us and by a plain loop."""
    folder = str(public("multi30k_en_de"))
    with ThreadPoolExecutor() as pool:
        each = pool.map(lambda loop: measure(translated, folder=folder, loop=loop, threads=1, timeout=HOURS), LOOPS)
        found = dict(zip(LOOPS, each, strict=True))
    table = Table("Multi30k, English to German, test 2016, lower-cased words", ["", "BLEU", "perplexity", "CPU minutes of training"])
    for name, one in found.items():
        table.rows.append([name, f"{one['bleu']:.2f}", f"{one['perplexity']:.2f}", f"{one['seconds'] / 60:.0f}"])
    notes = [
        "256 units, GRU, attention by dot products, schedule and dropout alike; each serves its best epoch by the rows for validation.",
        "Beams of 5; BLEU is that of a corpus, of words as they were cut for training. A thread each, at the same time.",
    ]
    return Report([table], found, notes)


def read(folder: str, part: str, side: str) -> list[list[str]]:
    text = gzip.open(f"{folder}/{part}.{side}.gz", "rt", encoding="utf-8").read()
    return [re.findall(r"\w+|[^\w\s]", line.lower()) for line in text.splitlines()]


def hyperparameters(**given: Any) -> dict[str, Any]:
    from sparkml_algos.algorithms.seq2seq.params import Seq2SeqParams

    return {**{name: param.default for name, param in Seq2SeqParams.declared.items()}, **given}


def loops_in_turn(folder: str) -> dict[str, Any]:
    """Target words per CPU second of our loop and of the plain one, a number for each turn."""
    import torch

    torch.set_num_threads(1)
    source, target = (read(folder, "train", side)[:PAIRS] for side in ("en", "de"))
    ids, wanted = (_ids(rows) for rows in (source, target))
    found: dict[str, list[float]] = {"ours": [], "at random": [], "plain": []}
    for _ in range(FITS + 1):
        found["ours"].append(_ours(source, target))
        found["at random"].append(_ours(source, target, bucketing_enabled=False))
        found["plain"].append(plain_loop(*ids, *wanted))
    return {name: values[1:] for name, values in found.items()}


def _ours(source: list[list[str]], target: list[list[str]], **given: Any) -> float:
    """Words per CPU second of the second of two stretches, each of `STEPS` steps."""
    from sparkml_algos.algorithms.seq2seq.network import Seq2SeqLearner
    from sparkml_algos.algorithms.seq2seq.training import SEQ2SEQ
    from sparkml_algos.training.run import train_arrays

    words, marks = [0], []

    class Timed(Seq2SeqLearner):
        def begin_step(self, progress):
            if progress.step in (STEPS, 2 * STEPS - 1):
                marks.append((time.process_time(), words[0]))
            super().begin_step(progress)

        def gradient(self, batch):
            words[0] += int(self.weight(batch))
            return super().gradient(batch)

    import sparkml_algos.algorithms.seq2seq.network as module

    settings = hyperparameters(**NETWORK, **given, max_num_batches=2 * STEPS, checkpoint_frequency_num_batches=2 * STEPS)
    module.Seq2SeqLearner = Timed
    try:
        train_arrays(SEQ2SEQ, settings, source=source, target=target)
    finally:
        module.Seq2SeqLearner = Seq2SeqLearner
    (begin, before), (end, after) = marks
    return (after - before) / (end - begin)


def _ids(rows: list[list[str]]) -> tuple[list[list[int]], int]:
    """Words as ids from 4 on, those that occur once as 1; and how many ids there are."""
    counts: dict[str, int] = {}
    for row in rows:
        for word in row:
            counts[word] = counts.get(word, 0) + 1
    known = {word: place + 4 for place, word in enumerate(word for word, count in counts.items() if count > 1)}
    return [[known.get(word, 1) for word in row] for row in rows], len(known) + 4


def plain_loop(source: list[list[int]], source_size: int, target: list[list[int]], target_size: int) -> float:
    """What one writes by hand; target words per CPU second."""
    import torch
    from torch import nn
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

    dim, hidden = NETWORK["num_embed_source"], NETWORK["rnn_num_hidden"]
    of_source, of_target = nn.Embedding(source_size, dim), nn.Embedding(target_size, dim)
    encoder, cell = nn.GRU(dim, hidden // 2, batch_first=True, bidirectional=True), nn.GRUCell(dim + hidden, hidden)
    start, keys, join, output = (
        nn.Linear(hidden, hidden),
        nn.Linear(hidden, hidden, False),
        nn.Linear(2 * hidden, hidden),
        nn.Linear(hidden, target_size),
    )
    modules = nn.ModuleList([of_source, of_target, encoder, cell, start, keys, join, output])
    optimizer = torch.optim.Adam(modules.parameters(), lr=NETWORK["learning_rate"])
    order = np.random.default_rng(0).permutation(len(source))
    words = 0
    for step in range(2 * STEPS):
        if step == STEPS:
            begin, words = time.process_time(), 0
        rows = np.take(order, range(64 * step, 64 * step + 64), mode="wrap")
        x = pad_sequence([torch.tensor(source[row]) for row in rows], batch_first=True)
        y = pad_sequence([torch.tensor([2, *target[row], 3]) for row in rows], batch_first=True)
        lengths = torch.tensor([len(source[row]) for row in rows])
        given, wanted = y[:, :-1], y[:, 1:]
        packed, ends = encoder(pack_padded_sequence(of_source(x), lengths, batch_first=True, enforce_sorted=False))
        states, _ = pad_packed_sequence(packed, batch_first=True)
        state = torch.tanh(start(torch.cat([ends[0], ends[1]], dim=1)))
        mask = torch.arange(states.shape[1]) >= lengths[:, None]
        scored, vectors = keys(states), of_target(given)
        fed, hiddens = torch.zeros_like(state), []
        for place in range(given.shape[1]):
            state = cell(torch.cat([vectors[:, place], fed], dim=1), state)
            weights = torch.bmm(scored, state[:, :, None])[:, :, 0].masked_fill(mask, -torch.inf).softmax(1)
            context = torch.bmm(weights[:, None], states)[:, 0]
            fed = torch.tanh(join(torch.cat([state, context], dim=1)))
            hiddens.append(fed)
        is_word = wanted != 0
        scores = output(torch.stack(hiddens, dim=1)[is_word])
        loss = nn.functional.cross_entropy(scores, wanted[is_word])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(modules.parameters(), 1.0)
        optimizer.step()
        words += int(is_word.sum())
    return words / (time.process_time() - begin)


def searches(folder: str) -> dict[str, Any]:
    """Rows per second of a network that is trained a little, on 1,000 rows together and on some of them one after the other."""
    from sparkml_algos.algorithms.seq2seq.prediction import load
    from sparkml_algos.algorithms.seq2seq.training import SEQ2SEQ
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.training.run import train_arrays

    settings = hyperparameters(**NETWORK, max_num_batches=300, checkpoint_frequency_num_batches=300)
    source, target = (read(folder, "train", side)[:PAIRS] for side in ("en", "de"))
    artifact = train_arrays(SEQ2SEQ, settings, source=source, target=target)
    predict = load(artifact, Hyperparameters(**settings), "cpu")
    rows = read(folder, "test_2016_flickr", "en")
    lists = _ragged(rows)

    def rate(parts: list[slice]) -> float:
        began = time.perf_counter()
        count = sum(len(predict(Batch(source=lists.take(part)))["target"]) for part in parts)
        return count / (time.perf_counter() - began)

    some = [slice(row, row + 1) for row in range(0, len(rows), 10)]
    rate(some[:5])
    return {"alone": rate(some), "rows alone": len(some), "together": [rate([slice(None)]) for _ in range(FITS)]}


def translated(folder: str, loop: str) -> dict[str, Any]:
    """BLEU and perplexity on the test, and CPU seconds of training, of one of `LOOPS`."""
    import torch

    from sparkml_algos.algorithms.seq2seq.measures import load_judge
    from sparkml_algos.arrays import bleu
    from sparkml_algos.arrays.hyperparameters import Hyperparameters

    torch.set_num_threads(1)
    settings = hyperparameters(**TRANSLATION)
    train, held, test = (_pairs(folder, part) for part in ("train", "val", "test_2016_flickr"))
    began = time.process_time()
    artifact = LOOPS[loop](settings, train, held)
    seconds = time.process_time() - began
    found = load_judge(artifact, Hyperparameters(**settings), "cpu")(test)
    perplexity = float(np.exp(found["cross_entropy"] / found["words"]))
    return {"bleu": bleu.bleu(found["bleu"]), "perplexity": perplexity, "seconds": seconds}


def _pairs(folder: str, part: str) -> Batch:
    sides = (read(folder, part, side) for side in ("en", "de"))
    return Batch(**{role: _ragged(rows) for role, rows in zip(("source", "target"), sides, strict=True)})


def _ragged(rows: list[list[str]]) -> Ragged:
    return Ragged(pa.array([word for row in rows for word in row]), np.cumsum([0, *map(len, rows)]))


def _trained(settings: dict[str, Any], train: Batch, held: Batch) -> Artifact:
    from sparkml_algos.algorithms.seq2seq.training import SEQ2SEQ
    from sparkml_algos.training.run import train_arrays

    rows = Batch.concat([train, held])
    marked = np.arange(len(rows)) >= len(train)
    return train_arrays(SEQ2SEQ, settings, source=rows.source, target=rows.target, validation=marked, seed=1)


def _trained_plainly(settings: dict[str, Any], train: Batch, held: Batch) -> Artifact:
    """The same network by a loop over mini-batches at random; the vocabularies are those of a training of one step."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy
    from torch.nn.utils.rnn import pad_sequence

    from sparkml_algos.algorithms.seq2seq.network import Seq2SeqNetwork
    from sparkml_algos.algorithms.seq2seq.settings import settings_of
    from sparkml_algos.algorithms.seq2seq.words import END, START, Sides
    from sparkml_algos.arrays.hyperparameters import Hyperparameters
    from sparkml_algos.networks.initial import start_weights
    from sparkml_algos.networks.state import state_of, to_artifact

    of = Hyperparameters(**settings)
    artifact = _trained({**settings, "max_num_batches": 1, "checkpoint_frequency_num_batches": 1}, train, held)
    sides = Sides.of(artifact, of)
    torch.manual_seed(1)
    network = Seq2SeqNetwork(settings_of(of, sides.sizes))
    start_weights(network, of.weight_init_type, of.weight_init_scale, of.xavier_factor_type)
    optimizer = torch.optim.Adam(network.parameters(), lr=of.learning_rate)
    half_life = of.fixed_rate_lr_half_life * of.checkpoint_frequency_num_batches
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + 3 * step / half_life) ** -0.5)

    def tensors(rows: Batch) -> list[list[torch.Tensor]]:
        rows = sides.encoded(rows)
        return [[torch.from_numpy(ids) for ids in np.split(lists.values, lists.offsets[1:-1])] for lists in (rows.source, rows.target)]

    def loss(source: list[torch.Tensor], target: list[torch.Tensor]) -> torch.Tensor:
        given = pad_sequence([torch.cat([start, row]) for row in target], batch_first=True)
        wanted = pad_sequence([torch.cat([row, end]) for row in target], batch_first=True, padding_value=-1)
        source_lengths = torch.tensor([len(row) for row in source])
        scores = network(pad_sequence(source, batch_first=True), source_lengths, given, wanted >= 0)
        return cross_entropy(scores, wanted[wanted >= 0])

    start, end = (torch.tensor([sides.target.id_of(word)]) for word in (START, END))
    (source, target), (held_source, held_target) = tensors(train), tensors(held)
    best = np.inf
    for _ in range(of.max_num_epochs):
        network.train()
        for rows in torch.randperm(len(source)).split(of.batch_size):
            optimizer.zero_grad()
            loss([source[row] for row in rows], [target[row] for row in rows]).backward()
            nn.utils.clip_grad_value_(network.parameters(), of.clip_gradient)
            optimizer.step()
            schedule.step()
        network.eval()
        with torch.no_grad():
            found = float(loss(held_source, held_target))
        if found < best:
            best, kept = found, {name: tensor.clone() for name, tensor in state_of(network).items()}
    artifact.arrays |= to_artifact(kept).arrays
    return artifact


LOOPS = {"ours": _trained, "a plain loop of the same network": _trained_plainly}
CASES = {"speed": compare_speed, "search": compare_search, "translation": measure_translation}
