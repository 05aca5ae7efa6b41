"""Sequence to sequence on arrays: its networks by steps and as a whole, on any number of workers, resumed, and what it learns."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
import torch

from sparkml_algos.algorithms.seq2seq.network import Seq2SeqNetwork, padded, parts, translations
from sparkml_algos.algorithms.seq2seq.params import FIELDS, Seq2SeqParams
from sparkml_algos.algorithms.seq2seq.prediction import load
from sparkml_algos.algorithms.seq2seq.settings import contradictions, settings_of
from sparkml_algos.algorithms.seq2seq.training import SEQ2SEQ
from sparkml_algos.algorithms.seq2seq.words import RESERVED, Sides, Words, put_words, words_of
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.ragged import Ragged
from sparkml_algos.formats.columns import Column, RecordBatch
from sparkml_algos.networks.state import built
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.decoder import Decoder, record_batches
from sparkml_algos.rows.fields import Source
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.rows.lists import Sentence
from sparkml_algos.serving.requests import columns_of_records
from sparkml_algos.training import checkpoint
from sparkml_algos.training.run import train_arrays
from tests.gang import in_threads

WORDS = [f"w{number}" for number in range(8)]
RANDOM = np.random.default_rng(0)
SOURCE = [[WORDS[word] for word in RANDOM.integers(0, len(WORDS), length)] for length in RANDOM.integers(1, 6, 480)]
REVERSED = [row[::-1] for row in SOURCE]
HELD = np.arange(len(SOURCE)) % 6 == 0

RNN = {"encoder_type": "rnn", "decoder_type": "rnn"}
NETWORKS = {
    "lstm mlp": {},
    "gru bilinear": {"rnn_cell_type": "gru", "rnn_attention_type": "bilinear", "rnn_decoder_state_init": "avg"},
    "dot without feeding": {"rnn_attention_type": "dot", "rnn_input_feeding": False},
    "fixed": {"rnn_attention_type": "fixed", "rnn_decoder_state_init": "zero"},
    "deep": {"num_layers_encoder": 3, "num_layers_decoder": 3, "rnn_residual_connections": True},
    "deep, attention on top": {"num_layers_decoder": 2, "rnn_attention_in_upper_layers": False, "rnn_input_feeding": False},
    "deep without feeding": {"num_layers_decoder": 2, "rnn_input_feeding": False, "rnn_cell_type": "gru"},
    "residual from the first": {
        **{"rnn_residual_connections": True, "rnn_first_residual_layer": 1, "num_embed_source": 12, "num_embed_target": 12},
        **{"num_layers_encoder": 2, "num_layers_decoder": 2},
    },
    "a single residual layer": {
        **{"rnn_residual_connections": True, "rnn_first_residual_layer": 1, "num_embed_source": 12, "num_embed_target": 12},
    },
    "cnn": {"encoder_type": "cnn", "decoder_type": "cnn", "num_layers_encoder": 2, "num_layers_decoder": 2},
    "cnn encoder": {"encoder_type": "cnn", "cnn_kernel_width_encoder": 4, "cnn_activation_type": "relu"},
    "cnn decoder": {"decoder_type": "cnn", "cnn_kernel_width_decoder": 1, "cnn_activation_type": "tanh"},
}


def settings(**given):
    small = {"num_embed_source": 10, "num_embed_target": 9, "rnn_num_hidden": 12, "cnn_num_hidden": 8, "batch_size": 40}
    defaults = {name: param.default for name, param in Seq2SeqParams.declared.items()}
    return {**defaults, **small, "checkpoint_frequency_num_batches": 5, "max_num_batches": 10, **given}


def fit(options, target=REVERSED, part=slice(None), communicator=None, **plan):
    columns = {"source": SOURCE[part], "target": target[part]}
    if "validation" in plan:
        plan["validation"] = plan["validation"][part]
    return train_arrays(SEQ2SEQ, options, communicator=communicator, **columns, **plan)


def ragged(lists):
    arrow = Sentence().arrays(lists)[""]
    values = arrow.values
    return Ragged(values if pa.types.is_string(values.type) else values.to_numpy(), arrow.offsets.to_numpy().astype(np.int64))


def predicted(artifact, options, source=SOURCE):
    return load(artifact, Hyperparameters(**options), "cpu")(Batch(source=ragged(source)))


def network_of(sizes=(20, 15), **given):
    return built(lambda: Seq2SeqNetwork(settings_of(Hyperparameters(**settings(**given)), sizes)), 1).eval().double()


def sides_of(words=WORDS, **values):
    artifact = Artifact(values={"length_ratio": 1.0, "length_deviation": 0.0, **values})
    for role in ("source", "target"):
        put_words(artifact, role, [*RESERVED, *words])
    return Sides.of(artifact, Hyperparameters(**settings()))


class TestNetworks:
    @pytest.fixture(params=NETWORKS.values(), ids=NETWORKS)
    def network(self, request):
        return network_of(**request.param)

    def test_steps_of_the_decoder_give_what_it_gives_for_a_whole_sentence(self, network):
        source, lengths = padded(Ragged(np.array([4, 5, 6, 7, 8, 9]), np.array([0, 4, 6])), "cpu")
        given = torch.tensor([[2, 5, 6, 7, 8], [2, 9, 9, 4, 4]])
        with torch.no_grad():
            whole = network(source, lengths, given, torch.ones(2, 5, dtype=torch.bool)).view(2, 5, -1)
            state = network.encode(source, lengths)
            for place in range(5):
                scores, weights, state = network.scores(given[:, place : place + 1], state)
                torch.testing.assert_close(scores[:, 0], whole[:, place])
                torch.testing.assert_close(weights.sum(2), torch.ones(2, 1).double())
                assert (weights[1, 0, 2:] == 0).all()

    def test_a_sentence_is_alone_what_it_is_beside_others(self, network):
        lists = Ragged(np.array([4, 5, 6, 7, 8, 9]), np.array([0, 4, 6]))
        given, is_word = torch.tensor([[2, 5, 6], [2, 9, 4]]), torch.ones(2, 3, dtype=torch.bool)
        with torch.no_grad():
            together = network(*padded(lists, "cpu"), given, is_word).view(2, 3, -1)
            alone = network(*padded(lists.take(np.array([1])), "cpu"), given[1:], is_word[1:])
        torch.testing.assert_close(alone, together[1])

    def test_no_word_knows_those_after_it(self, network):
        source, lengths = padded(Ragged(np.array([4, 5, 6]), np.array([0, 3])), "cpu")
        one, other = torch.tensor([[2, 5, 6, 7]]), torch.tensor([[2, 5, 8, 9]])
        is_word = torch.ones(1, 4, dtype=torch.bool)
        with torch.no_grad():
            first, second = network(source, lengths, one, is_word), network(source, lengths, other, is_word)
        torch.testing.assert_close(first[:2], second[:2])
        assert not torch.allclose(first[2:], second[2:])

    def test_all_parameters_learn(self, network):
        source, lengths = padded(Ragged(np.array([4, 5, 6, 7]), np.array([0, 4])), "cpu")
        network.train()(source, lengths, torch.tensor([[2, 5, 6]]), torch.ones(1, 3, dtype=torch.bool)).square().sum().backward()
        assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []

    def test_a_translation_does_not_depend_on_those_beside_it(self, network):
        sides = Sides(*(Words([*RESERVED, *map(str, range(size - 4))], "source") for size in (20, 15)), 1.0, 0.5, (10, 10))
        sentences = Ragged(RANDOM.integers(4, 20, 30), np.cumsum([0, 1, 7, 4, 2, 9, 4, 3]))
        together = translations(network, sentences, sides, 3, "cpu", keeps_notes=True)
        for row, found in enumerate(together):
            (alone,) = translations(network, sentences.take(np.array([row])), sides, 3, "cpu", keeps_notes=True)
            assert alone.tokens == found.tokens
            length = sentences.lengths[row]
            torch.testing.assert_close(alone.notes[:, :length], found.notes[:, :length])

    def test_a_translation_that_does_not_end_has_as_many_words_as_it_may(self, network):
        sides = Sides(*(Words([*RESERVED, *map(str, range(size - 4))], "source") for size in (20, 15)), 1.0, 0.0, (10, 3))
        with torch.no_grad():
            network.output.bias[sides.target.id_of("</s>")] = -1e3
        found = translations(network, Ragged(np.array([4, 5, 6]), np.array([0, 2, 3])), sides, 2, "cpu", keeps_notes=True)
        assert [(len(one.tokens), len(one.notes)) for one in found] == [(3, 3), (3, 3)]


def test_parts_have_room_for_their_words():
    lengths = np.sort(RANDOM.integers(1, 50, 300))
    found = list(parts(lengths, 200))
    assert np.concatenate([lengths[part] for part in found]).tolist() == lengths.tolist()
    assert all(lengths[part][-1] * len(lengths[part]) <= 200 for part in found)
    assert [len(lengths[part]) for part in parts(np.array([300, 400]), 200)] == [1, 1]


class TestTraining:
    def test_a_network_learns_to_copy(self):
        options = settings(
            **{"num_embed_source": 24, "num_embed_target": 24, "rnn_num_hidden": 32, "learning_rate": 0.01, "bleu_sample_size": -1},
            **{"max_num_batches": 200, "checkpoint_frequency_num_batches": 50, "rnn_attention_type": "dot"},
        )
        artifact = fit(options, target=SOURCE, validation=HELD, seed=1)
        assert artifact.values["validation:bleu"] > 90
        found = predicted(artifact, options)["target"].to_pylist()
        assert np.mean([text == " ".join(row) for text, row in zip(found, SOURCE, strict=True)]) > 0.9

    def test_a_network_learns_to_reverse_and_looks_at_the_right_words(self):
        options = settings(
            **{"num_embed_source": 24, "num_embed_target": 24, "rnn_num_hidden": 32, "learning_rate": 0.01, "rnn_cell_type": "gru"},
            **{"max_num_batches": 250, "checkpoint_frequency_num_batches": 50, "optimized_metric": "accuracy"},
        )
        artifact = fit(options, validation=HELD, seed=1)
        assert artifact.values["validation:accuracy"] > 0.95
        outputs = predicted(artifact, options)
        found = outputs["words"]
        assert np.mean([row.to_pylist() == wanted for row, wanted in zip(found, REVERSED, strict=True)]) > 0.9
        looks = [np.array(row) for row in outputs["matrix"].to_pylist()]
        assert all(one.shape == (length, len(row)) for one, length, row in zip(looks, found.lengths, SOURCE, strict=True))

    @pytest.mark.parametrize("ends", [[240], [480], [30, 400]], ids=str)
    def test_steps_of_several_workers_are_those_of_one(self, ends):
        options = settings(batch_size=1000, optimizer_type="sgd", learning_rate=0.5, max_num_batches=4, bleu_sample_size=-1)
        expected = fit(options, validation=HELD)
        slices = [slice(start, end) for start, end in itertools.pairwise([0, *ends, len(SOURCE)])]

        def work(communicator):
            return fit(options, part=slices[communicator.rank], communicator=communicator, validation=HELD)

        found = in_threads(len(slices), work)[0]
        for name, array in found.arrays.items():
            np.testing.assert_allclose(array, expected.arrays[name], rtol=1e-4, atol=1e-5, err_msg=name)
        for name in ("validation:perplexity", "validation:accuracy", "validation:bleu", "train:perplexity"):
            assert found.values[name] == pytest.approx(expected.values[name], rel=1e-4), name

    @pytest.mark.parametrize("frequency", [5, 7])
    def test_a_training_that_is_resumed_is_the_undisturbed_one_to_the_bit(self, frequency, tmp_path, monkeypatch):
        options = settings(
            **{"max_num_batches": 24, "checkpoint_frequency_num_batches": frequency, "embed_dropout_source": 0.2},
            **{"rnn_decoder_hidden_dropout": 0.3, "plateau_reduce_lr_threshold": 1, "learning_rate": 0.3, "checkpoint_threshold": 9},
        )
        expected, save = fit(options, validation=HELD), checkpoint.CheckpointStore.save
        saved = []

        def save_and_lose(store, epochs_done, state):
            save(store, epochs_done, state)
            saved.append(state)
            if epochs_done == 2:
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(checkpoint.CheckpointStore, "save", save_and_lose)
            with pytest.raises(KeyboardInterrupt):
                fit(options, validation=HELD, checkpoint_dir=str(tmp_path))
        found = fit(options, validation=HELD, checkpoint_dir=str(tmp_path))
        assert set(found.arrays) == set(expected.arrays)
        assert all(np.array_equal(found.arrays[name], array) for name, array in expected.arrays.items())
        assert "plateau" in saved[-1].values

    def test_training_ends_after_so_many_checkpoints_without_a_gain(self):
        options = settings(learning_rate=1e-12, max_num_batches=-1, checkpoint_threshold=3, optimized_metric="accuracy")
        history = fit(options, validation=HELD).values["history"]
        assert len(history) == 4

    @pytest.mark.parametrize(
        "ends", [{}, {"validation": HELD}, {"max_num_batches": 5}, {"max_num_epochs": 1}], ids=lambda ends: ", ".join(ends)
    )
    def test_a_training_whose_end_is_not_in_sight_is_warned_of(self, ends, caplog):
        given, plan = {"max_num_batches": -1, **ends}, {"validation": HELD} if "validation" in ends else {}
        given.pop("validation", None)
        fit(settings(learning_rate=1e-12, checkpoint_threshold=1, optimized_metric="accuracy", **given), **plan)
        assert ("nothing ends this training" in caplog.text) == (not ends)

    def test_it_does_not_end_before_the_least_number_of_epochs(self):
        options = settings(learning_rate=1e-12, max_num_batches=-1, checkpoint_threshold=1, min_num_epochs=4, optimized_metric="accuracy")
        assert len(fit(options, validation=HELD).values["history"]) == 8  # 10 updates an epoch, 5 a checkpoint

    def test_a_given_number_of_epochs_is_trained_whether_anything_is_gained_or_not(self):
        options = settings(learning_rate=1e-12, max_num_batches=-1, max_num_epochs=3, checkpoint_threshold=1, optimized_metric="accuracy")
        assert len(fit(options, validation=HELD).values["history"]) == 6

    def test_a_cap_of_updates_may_end_it_within_a_stretch(self):
        history = fit(settings(max_num_batches=7, checkpoint_frequency_num_batches=5)).values["history"]
        assert len(history) == 2

    @pytest.mark.parametrize("changed", [{"max_seq_len_target": 2}, {"bucketing_enabled": False}, {"batch_size": 20}])
    def test_it_trains_with(self, changed):
        assert np.isfinite(fit(settings(**changed), validation=HELD).values["validation:perplexity"])

    @pytest.mark.parametrize(
        "changed",
        [
            *({"lr_scheduler_type": name} for name in ("fixed_rate_inv_t", "fixed_rate_inv_sqrt_t")),
            {"lr_scheduler_type": "fixed_rate_inv_t", "fixed_rate_lr_half_life": 1},
            {"optimizer_type": "rmsprop"},
            {"optimizer_type": "sgd", "momentum": 0.9},
            {"clip_gradient": 1e-4, "optimizer_type": "sgd"},
            {"weight_decay": 0.5},
            {"weight_init_type": "uniform", "weight_init_scale": 0.05},
            {"weight_init_scale": 1.0},
            {"xavier_factor_type": "out"},
            {"bucket_width": 1},
            {"bucketing_enabled": False},
            {"embed_dropout_target": 0.3},
            {"rnn_decoder_state_init": "zero"},
            {"rnn_input_feeding": False},
            {"min_word_count": 200},
            {"max_vocab_size_target": 6},
            {"optimizer_type": "sgd"},
        ],
        ids=str,
    )
    def test_a_setting_has_an_effect(self, changed):
        common = {"learning_rate": 0.1, **({"bucket_width": 1} if "bucketing_enabled" in changed else {})}
        plain = _plain(tuple(sorted(common.items())))
        assert fit(settings(**{**common, **changed})).values["train:perplexity"] != plain

    def test_rows_to_judge_on_choose_the_state(self):
        options = settings(learning_rate=0.5, max_num_batches=30)
        artifact = fit(options, validation=HELD)
        perplexities = [one["validation:perplexity"] for one in artifact.values["history"]]
        assert artifact.values["validation:perplexity"] == min(perplexities)
        assert artifact.values["epoch"] == int(np.argmin(perplexities)) + 1

    def test_validation_figures_are_those_of_the_whole(self):
        options = settings()
        artifact = fit(options, validation=HELD)
        from sparkml_algos.algorithms.seq2seq.measures import load_judge

        rows = np.flatnonzero(HELD)
        batch = Batch(source=ragged([SOURCE[row] for row in rows]), target=ragged([REVERSED[row] for row in rows]))
        found = load_judge(artifact, Hyperparameters(**options), "cpu")(batch)
        assert np.exp(found["cross_entropy"] / found["words"]) == pytest.approx(artifact.values["validation:perplexity"], rel=1e-4)
        assert found["accuracy"] / found["words"] == pytest.approx(artifact.values["validation:accuracy"], rel=1e-4)


_KNOWN = {}


def _plain(common):
    if common not in _KNOWN:
        _KNOWN[common] = fit(settings(**dict(common))).values["train:perplexity"]
    return _KNOWN[common]


class TestWords:
    def test_words_are_numbered_by_falling_frequency_after_the_reserved_ones(self):
        artifact = train_arrays(SEQ2SEQ, settings(max_num_batches=1), source=["b a a", "c b a"], target=["x", "y </s> y"])
        assert words_of(artifact, "source") == [*RESERVED, "a", "b", "c"]
        assert words_of(artifact, "target") == [*RESERVED, "y", "x"]

    def test_rare_words_are_unknown(self):
        options = settings(max_num_batches=1, min_word_count=2, max_vocab_size_target=5)
        artifact = train_arrays(SEQ2SEQ, options, source=["b a a", "c b a"], target=["x z", "y y z"])
        assert words_of(artifact, "source") == [*RESERVED, "a", "b"]
        assert words_of(artifact, "target") == [*RESERVED, "y"]

    def test_ids_and_words_are_translated_alike(self):
        options = settings()
        artifact = fit(options)
        ids = {word: place for place, word in enumerate(words_of(artifact, "source"))}
        of_words = predicted(artifact, options)
        of_ids = predicted(artifact, options, [[ids[word] for word in row] for row in SOURCE])
        assert np.array_equal(of_ids["target"].values, of_words["ids"].values)
        texts = [" ".join(row.to_pylist()) for row in of_words["words"]]
        assert of_words["target"].to_pylist() == texts

    @pytest.mark.parametrize("rows", [[[4, 5, 6], [7]], [[4, 5], [6, 7]]], ids=["of any length", "of one length"])
    def test_records_are_read_as_ids(self, rows):
        values = ragged(rows) if len(rows[1]) == 1 else np.array(rows, np.int32)
        records = RecordBatch(len(rows), {"source": Column.of(values)})
        columns = columns_of_records([FIELDS[0]], records)
        read = Decoder([Source(FIELDS[0], ["source"])])(next(record_batches([FIELDS[0]], columns)))
        assert [row.tolist() for row in sides_of().source.encoded(read.source)] == rows

    def test_what_is_written_like_a_reserved_word_is_unknown(self):
        encoded = sides_of().source.encoded(ragged([["</s>", "w1", "never seen"]]))
        assert encoded.values.tolist() == [1, 5, 1]

    def test_references_have_no_unknown_words_to_be_right_about(self):
        target = ragged([["w1", "never seen", "w2"]])
        rows = sides_of().encoded(Batch(source=target, target=target))
        assert rows.target.values.tolist() == [5, 1, 6] and rows.whole.values.tolist() == [5, -1, 6]

    @pytest.mark.parametrize("ids, what", [([4, 12], "word 1 of row 0 .* ids from 0 to 11"), ([4, 3], "</s>: sentences must come without")])
    def test_ids_that_no_sentence_has_are_refused(self, ids, what):
        with pytest.raises(InvalidRows, match=what):
            sides_of().target.encoded(ragged([ids]))

    def test_ids_without_a_vocabulary_are_refused(self):
        with pytest.raises(InvalidRows, match="source is given by the ids of its words, which need a vocabulary"):
            train_arrays(SEQ2SEQ, settings(), source=[[4, 5]], target=[[4]])

    def test_a_vocabulary_without_reserved_words_is_refused(self):
        with pytest.raises(ValueError, match="of the source lacks the reserved words <unk>, </s>"):
            put_words(Artifact(), "source", ["<pad>", "<s>", "a"])

    def test_a_vocabulary_with_a_word_twice_is_refused(self):
        with pytest.raises(ValueError, match="has the word 'a' twice"):
            put_words(Artifact(), "target", [*RESERVED, "a", "a"])

    @pytest.mark.parametrize("empty", ["source", "target"])
    def test_an_empty_sentence_is_refused_by_its_row(self, empty):
        columns = {"source": ["a b", "c"], "target": ["x", "y"], empty: ["a", ""]}
        with pytest.raises(InvalidRows, match=f"{empty} column '{empty}' is empty, expected at least one word, in row 1"):
            train_arrays(SEQ2SEQ, settings(), **columns)

    def test_lengths_are_in_buckets_of_the_longer_side(self):
        sides = sides_of(length_ratio=2.0)
        rows = Batch(source=Ragged(np.zeros(13, int), np.cumsum([0, 2, 5, 6])), target=Ragged(np.zeros(25, int), np.cumsum([0, 4, 11, 10])))
        assert sides.buckets(rows, 10).tolist() == [1, 2, 2]

    def test_translations_have_a_limit_by_the_lengths_of_training(self):
        sides = sides_of(length_ratio=1.5, length_deviation=0.25)
        assert sides.limits(np.array([1, 20, 99])) == [11, 41, 101]

    def test_sentences_are_read_as_far_as_is_said(self):
        options = settings(max_seq_len_source=2)
        artifact = fit(options)
        cut = predicted(artifact, options, [row[:2] for row in SOURCE])
        assert predicted(artifact, options)["target"].to_pylist() == cut["target"].to_pylist()


class TestContradictions:
    @pytest.mark.parametrize(
        "given, what",
        [
            ({"momentum": 0.9}, "momentum goes with optimizer_type='sgd' alone, which is 'adam'"),
            ({"optimized_metric": "bleu"}, "optimized_metric='bleu' needs bleu_sample_size"),
            ({"rnn_num_hidden": 13}, "rnn_num_hidden must be even"),
            ({"encoder_type": "cnn", "rnn_attention_type": "dot"}, "cnn_num_hidden and rnn_num_hidden to be equal, got 8 and 12"),
            ({"rnn_residual_connections": True, "rnn_first_residual_layer": 1}, "num_embed_source must be rnn_num_hidden=12, got 10"),
            ({"max_num_batches": 0}, "max_num_batches must be >= 1, or -1"),
            ({"bleu_sample_size": -2}, "bleu_sample_size must be >= 0, or -1"),
            ({"min_num_epochs": 3, "max_num_epochs": 2}, "min_num_epochs=3 is more than max_num_epochs=2"),
            ({"learning_rate": 0.0}, "learning_rate must be > 0"),
            ({"optimizer_type": "sgd", "momentum": -0.5}, "momentum must be >= 0 and < 1"),
            ({"clip_gradient": 0.0}, "clip_gradient must not be 0"),
            ({"weight_init_scale": 0.0}, "weight_init_scale must not be 0"),
            ({"weight_decay": -1.0}, "weight_decay must be >= 0"),
            ({"plateau_reduce_lr_factor": 2.0}, "plateau_reduce_lr_factor must be > 0 and <= 1"),
        ],
        ids=str,
    )
    def test_they_are_named(self, given, what):
        found = contradictions(Hyperparameters(**settings(**given)), None)
        assert any(what in problem for problem in found), found

    def test_bleu_without_rows_for_validation_is_refused(self):
        with pytest.raises(InvalidRows, match="needs pairs for validation"):
            fit(settings(bleu_sample_size=5))
