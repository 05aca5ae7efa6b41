"""Object detection on arrays: its networks, loss and learner, on any number of workers, resumed, and what it learns."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from sparkml_algos.algorithms.object_detection import network
from sparkml_algos.algorithms.object_detection.default_boxes import Matcher
from sparkml_algos.algorithms.object_detection.measures import figures, judged
from sparkml_algos.algorithms.object_detection.network import (
    Detector,
    DetectorLearner,
    candidates,
    frozen_layers,
    losses,
    put_base_weights,
)
from sparkml_algos.algorithms.object_detection.params import ObjectDetectorParams
from sparkml_algos.algorithms.object_detection.prediction import load
from sparkml_algos.algorithms.object_detection.preparing import Preparation
from sparkml_algos.algorithms.object_detection.settings import (
    RESNET50,
    VGG16,
    contradictions,
    most_boxes,
    settings_of,
    starting_problems,
)
from sparkml_algos.algorithms.object_detection.training import OBJECT_DETECTION
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import SingleProcess
from sparkml_algos.images.decoding import encode_png
from sparkml_algos.networks.images import to_input
from sparkml_algos.networks.optimizers import OptimizerSettings
from sparkml_algos.networks.resnet import scaled_channels
from sparkml_algos.networks.state import built
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.decoder import Decoder, record_batches
from sparkml_algos.rows.fields import Source
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training import checkpoint
from sparkml_algos.training.job import Job
from sparkml_algos.training.prepared import Place
from sparkml_algos.training.run import train_arrays
from tests.gang import in_threads
from tests.toys.scenes import scenes

IMAGES, BOXES = scenes(48, 0)
HELD = np.arange(48) % 4 == 0
DEFAULTS = {name: param.default for name, param in ObjectDetectorParams.declared.items()}
NETWORKS = {"vgg": {"base_network": VGG16}, "resnet": {"base_network": RESNET50}}


def settings(**given):
    small = {"base_width": 0.125, "image_shape": 64, "use_pretrained_model": 0, "epochs": 2, "mini_batch_size": 8, "learning_rate": 0.01}
    return {**DEFAULTS, **small, **given}


def fit(options, part=slice(None), communicator=None, **plan):
    if "validation" in plan:
        plan["validation"] = plan["validation"][part]
    return train_arrays(OBJECT_DETECTION, options, image=IMAGES[part], boxes=BOXES[part], communicator=communicator, **plan)


def rows_of(images, boxes=None, options=None):
    """A batch of rows as workers have it."""
    columns = {"image": images} if boxes is None else {"image": images, "boxes": boxes}
    fields = [field for field in OBJECT_DETECTION.fields_for(Hyperparameters(**(options or settings()))) if field.role in columns]
    decoder = Decoder([Source(field, [field.role]) for field in fields])
    return Batch.concat([decoder(one) for one in record_batches(fields, columns)] or [decoder.empty()])


def detector(classes=2, **given):
    return built(lambda: Detector(settings_of(Hyperparameters(**settings(**given)), classes), given.get("freeze_layer_pattern")), 1)


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS)
def base(request):
    return request.param


class TestNetworks:
    @pytest.mark.parametrize("side", [32, 64, 75, 100])
    def test_something_is_said_of_every_default_box(self, base, side):
        network = detector(3, image_shape=side, **base).eval()
        boxes = settings_of(Hyperparameters(**settings(image_shape=side, **base)), 3).boxes
        with torch.no_grad():
            scores, offsets = network(torch.zeros(2, 3, side, side))
        assert scores.shape == (2, len(boxes), 4) and offsets.shape == (2, len(boxes), 4)

    def test_of_300_pixels_there_are_as_many_boxes_as_in_the_paper(self, base):
        with torch.no_grad():
            scores, _ = detector(20, image_shape=300, base_width=0.01, **base).eval()(torch.zeros(1, 3, 300, 300))
        assert scores.shape == (1, 8732, 21)

    def test_what_is_said_is_in_the_order_of_the_default_boxes(self, base):
        """A head that knows nothing but where it stands says of each box what its place in its cell is."""
        network = detector(1, **base).eval()
        maps = settings_of(Hyperparameters(**settings(**base)), 1).maps
        with torch.no_grad():
            for head, one in zip(network.heads, maps, strict=True):
                head.weight.zero_()
                head.bias.copy_(torch.arange(one.per_cell * 6).float())
            scores, offsets = network(torch.zeros(1, 3, 64, 64))
        start = 0
        for one in maps:
            part = torch.cat([scores, offsets], 2)[0, start : start + one.side**2 * one.per_cell]
            assert torch.equal(part.reshape(one.side**2, -1), torch.arange(one.per_cell * 6).float().expand(one.side**2, -1))
            start += one.side**2 * one.per_cell

    def test_all_parameters_learn(self, base):
        network = detector(**base).train()
        scores, offsets = network(torch.randn(2, 3, 64, 64))
        (scores.square().sum() + offsets.square().sum()).backward()
        assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []

    def test_full_width_is_that_of_the_papers(self):
        with torch.device("meta"):
            vgg, resnet = (
                Detector(settings_of(Hyperparameters(**settings(base_width=1.0, base_network=name)), 20)) for name in (VGG16, RESNET50)
            )
        assert vgg.base.conv5_3.weight.shape == (512, 512, 3, 3) and vgg.base.fc6.weight.shape == (1024, 512, 3, 3)
        assert vgg.base.channels == [512, 1024] and resnet.base.channels == [512, 1024, 2048]
        assert [scaled_channels(64, width) for width in (1.0, 0.5, 0.25, 0.01)] == [64, 32, 16, 8]

    def test_weights_of_torchvision_and_timm_fit_vgg(self):
        network = detector(base_width=1.0).eval()
        random = torch.Generator().manual_seed(0)
        shapes_of = {
            "features": [(64, 3), (64, 64), (128, 64), (128, 128), (256, 128), (256, 256), (256, 256), (512, 256)] + [(512, 512)] * 5
        }
        places = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
        convolutions = {}
        for place, (out, into) in zip(places, shapes_of["features"], strict=True):
            convolutions[f"features.{place}.weight"] = torch.randn(out, into, 3, 3, generator=random)
            convolutions[f"features.{place}.bias"] = torch.randn(out, generator=random)
        first, second = torch.zeros(4096, 512 * 49), torch.zeros(4096, 4096)
        first[4, 0], second[8, 12] = 3.0, 5.0
        top = {"weight": first, "bias": torch.arange(4096.0)}, {"weight": second, "bias": torch.arange(4096.0)}
        torchvision = {f"classifier.{place}.{name}": tensor for place, one in zip((0, 3), top, strict=True) for name, tensor in one.items()}
        put_base_weights(network, {**convolutions, **torchvision, "classifier.6.weight": torch.zeros(1000, 4096)}, "vgg16.pth")
        state = network.base.state_dict()
        assert torch.equal(state["conv5_3.weight"], convolutions["features.28.weight"])
        assert torch.equal(state["fc6.bias"], torch.arange(0, 4096.0, 4)) and state["fc6.weight"][1, 0, 0, 0] == 3
        assert state["fc7.weight"][2, 3, 0, 0] == 5
        timm = {
            **{
                f"pre_logits.fc1.{name}": tensor.reshape(4096, 512, 7, 7) if name == "weight" else tensor for name, tensor in top[0].items()
            },
            **{f"pre_logits.fc2.{name}": tensor[..., None, None] if name == "weight" else tensor for name, tensor in top[1].items()},
            "head.fc.weight": torch.zeros(1000, 4096),
        }
        other = detector(base_width=1.0)
        put_base_weights(other, {**convolutions, **timm}, "model.safetensors")
        assert all(torch.equal(tensor, state[name]) for name, tensor in other.base.state_dict().items() if name != "length")
        with pytest.raises(ValueError, match=r"vgg\.pth are not those of this network: it lacks fc6.weight"):
            put_base_weights(network, convolutions, "vgg.pth")

    def test_weights_of_resnet_fit_by_name(self):
        network, other = detector(base_width=1.0, base_network=RESNET50), detector(base_width=1.0, base_network=RESNET50)
        weights = {name: torch.randn(tensor.shape) if tensor.dim() > 1 else tensor for name, tensor in other.base.state_dict().items()}
        put_base_weights(network, {**weights, "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}, "resnet50.pth")
        assert torch.equal(network.base.state_dict()["layer4.2.conv3.weight"], weights["layer4.2.conv3.weight"])
        with pytest.raises(ValueError, match=r"conv1\.weight"):
            put_base_weights(detector(base_network=RESNET50), weights, "resnet50.pth")


class TestFreezing:
    def test_layers_whose_name_matches_keep_their_weights_and_statistics(self, base):
        pattern = {VGG16: "^conv[12]_", RESNET50: "^(conv1|bn1|layer1)"}[base["base_network"]]
        options = settings(freeze_layer_pattern=pattern, epochs=1, optimizer="adam", **base)
        trained = fit(options)
        started = fit(settings(freeze_layer_pattern=pattern, epochs=1, learning_rate=1e-9, **base))
        layers = frozen_layers(detector(**base).base, pattern)
        same = {name for name, array in trained.arrays.items() if np.array_equal(array, started.arrays[name])}
        frozen = {name for name in trained.arrays if any(name.startswith(f"network/base.{layer}.") for layer in layers)}
        assert frozen and frozen <= same
        assert not any(name.startswith(("network/heads", "network/extras")) and name.endswith("weight") for name in same)

    def test_a_pattern_that_matches_nothing_is_refused_with_the_names_there_are(self):
        with pytest.raises(InvalidRows, match="matches no layer of the base network; it has conv1_1, conv1_2"):
            fit(settings(freeze_layer_pattern="stage1"))


class TestLoss:
    def test_it_is_that_of_its_definition(self):
        random = np.random.default_rng(0)
        scores, offsets = torch.randn(3, 40, 4, dtype=torch.float64), torch.randn(3, 40, 4, dtype=torch.float64)
        labels, targets = torch.zeros(3, 40, dtype=torch.int64), torch.randn(3, 40, 4, dtype=torch.float64)
        for image, count in enumerate((5, 0, 12)):
            labels[image, torch.from_numpy(random.permutation(40)[:count])] = torch.from_numpy(random.integers(1, 4, count))
        entropy, far = losses(scores, offsets, labels, targets)
        expected = 0.0
        for image in range(3):
            each = functional.cross_entropy(scores[image].float(), labels[image], reduction="none").numpy()
            positive = labels[image].numpy() > 0
            hardest = np.sort(each[~positive])[::-1][: 3 * max(1, positive.sum())]
            expected += each[positive].sum() + hardest.sum()
        assert float(entropy) == pytest.approx(expected, rel=1e-5)
        kept = labels > 0
        assert float(far) == pytest.approx(float(functional.smooth_l1_loss(offsets[kept], targets[kept], reduction="sum")), rel=1e-5)

    def test_an_image_full_of_objects_has_no_negatives_left(self):
        scores, labels = torch.randn(1, 6, 3), torch.ones(1, 6, dtype=torch.int64)
        entropy, _ = losses(scores, torch.zeros(1, 6, 4), labels, torch.zeros(1, 6, 4))
        assert float(entropy) == pytest.approx(float(functional.cross_entropy(scores[0], labels[0], reduction="sum")), rel=1e-5)

    def test_no_images_have_no_loss(self):
        entropy, far = losses(torch.zeros(0, 6, 3), torch.zeros(0, 6, 4), torch.zeros(0, 6, dtype=torch.int64), torch.zeros(0, 6, 4))
        assert float(entropy) == float(far) == 0

    def test_candidates_are_the_most_probable_pairs_of_box_and_class(self):
        scores, offsets = torch.randn(2, 9, 4), torch.randn(2, 9, 4)
        found = candidates(scores, offsets, 5)
        probable = scores.softmax(2)[:, :, 1:].reshape(2, -1)
        for image in range(2):
            best = probable[image].sort(descending=True).indices[:5]
            np.testing.assert_allclose(found.scores[image], probable[image][best])
            assert found.boxes[image].tolist() == (best // 3).tolist() and found.classes[image].tolist() == (best % 3).tolist()
            np.testing.assert_array_equal(found.offsets[image], offsets[image][best // 3])
        assert candidates(scores, offsets, 1000).scores.shape == (2, 27)


def learner_on(communicator, base, rows, network=None, shares_statistics=True):
    """A learner with the plain rows of a worker prepared in the middle of nothing."""
    options = Hyperparameters(**settings(**base))
    of = settings_of(options, 2)
    preparation = Preparation(Matcher(of.boxes), len(of.boxes), of.side, 1.0, False)
    job = Job(SimpleNamespace(marks_validation=False), communicator)
    watched = SimpleNamespace(marks_validation=False)
    learner = DetectorLearner(
        *(network or detector(**base), job, communicator, OptimizerSettings("sgd", 0.1), watched),
        **{"boxes": of.boxes, "classes": 2, "suppression": None, "prepared": None, "central": None, "overlap": 0.5, "points": "area"},
        shares_statistics=shares_statistics,
    )
    batch = preparation.central(rows_of([IMAGES[row] for row in rows], [BOXES[row] for row in rows]), Place(0, 0, 0, 0))
    return learner, batch


def tame(network):
    """A network whose residuals are small. As they start, fifty normalisations of few numbers make a hundredth of rounding errors."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bn3.weight"):
                parameter.fill_(0.1)
    return network


class TestTraining:
    @pytest.mark.parametrize("ends", [[4], [8], [1, 3]], ids=str)
    def test_gradients_of_several_workers_are_those_of_one(self, base, ends, monkeypatch):
        # With all negatives: which of two that are about as hard is the last one to count, rounding decides.
        monkeypatch.setattr(network, "_NEGATIVES", 10_000)
        parts = [list(range(start, end)) for start, end in itertools.pairwise([0, *ends, 8])]
        networks = [tame(detector(**base)) for _ in parts]  # not in the threads, which have torch's random numbers in common

        def work(communicator):
            learner, batch = learner_on(communicator, base, parts[communicator.rank], networks[communicator.rank])
            sums = learner.combine(learner.gradient(batch), communicator)
            return sums.flat.numpy().copy()

        learner, batch = learner_on(SingleProcess(), base, range(8), tame(detector(**base)))
        expected = learner.gradient(batch).flat.numpy()
        for found in in_threads(len(parts), work):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())

    def test_without_syncbn_each_worker_normalises_by_its_own_images(self):
        parts = [range(4), range(4, 8)]
        networks = [tame(detector(base_network=RESNET50)) for _ in parts]

        def work(communicator):
            rank = communicator.rank
            learner, batch = learner_on(communicator, {"base_network": RESNET50}, parts[rank], networks[rank], shares_statistics=False)
            return learner.gradient(batch).flat.numpy().copy()

        for found, rows in zip(in_threads(2, work), parts, strict=True):
            learner, batch = learner_on(SingleProcess(), {"base_network": RESNET50}, rows, tame(detector(base_network=RESNET50)))
            np.testing.assert_array_equal(found, learner.gradient(batch).flat.numpy())

    def test_a_step_divides_by_the_boxes_of_all_images_that_are_matched(self):
        learner, batch = learner_on(SingleProcess(), {}, range(4))
        matched = (batch.labels > 0).sum(1)
        assert learner.weight(batch) == matched.sum() and matched.min() > 0
        empty = batch.replace(labels=np.zeros_like(batch.labels))
        assert learner.weight(empty) == 4

    def test_a_training_that_is_resumed_is_the_undisturbed_one_to_the_bit(self, base, tmp_path, monkeypatch):
        options = settings(epochs=3, optimizer="adam", learning_rate=0.001, lr_scheduler_step="1, 2", **base)
        expected = fit(options, validation=HELD)

        class Lost(Exception):
            pass

        save = checkpoint.CheckpointStore.save

        def save_and_die(store, epoch, state):
            save(store, epoch, state)
            if epoch == 2:
                raise Lost

        monkeypatch.setattr(checkpoint.CheckpointStore, "save", save_and_die)
        with pytest.raises(Lost):
            fit(options, validation=HELD, checkpoint_dir=str(tmp_path))
        monkeypatch.setattr(checkpoint.CheckpointStore, "save", save)
        found = fit(options, validation=HELD, checkpoint_dir=str(tmp_path))
        assert [epoch["epoch"] for epoch in found.values["history"]] == [1, 2, 3]
        for name, array in expected.arrays.items():
            np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)
        assert found.values["validation:mAP"] == expected.values["validation:mAP"]

    def test_metrics_of_validation_are_those_of_evaluation_on_any_number_of_workers(self):
        options = settings(epochs=2, optimizer="adam", score_threshold=0.0)
        one = fit(options, validation=HELD)
        assert {"train:loss", "train:cross_entropy", "train:smooth_l1", "validation:mAP", "validation:loss"} <= set(one.values)
        held = np.flatnonzero(HELD)
        rows = rows_of([IMAGES[row] for row in held], [BOXES[row] for row in held])
        predictor = load(one, Hyperparameters(**options), "cpu")
        found = figures(judged(predictor, Hyperparameters(**options), rows), 2, options["average_precision"])
        assert found["mAP"] == pytest.approx(one.values["validation:mAP"], abs=2e-3)

        def work(communicator):
            part = slice(0, 20) if communicator.rank == 0 else slice(20, None)
            return fit({**options, "epochs": 1, "learning_rate": 1e-9}, part, communicator, validation=HELD)

        two = in_threads(2, work)[0]
        alone = fit({**options, "epochs": 1, "learning_rate": 1e-9}, validation=HELD)
        for name in ("validation:mAP", "validation:loss"):
            assert two.values[name] == pytest.approx(alone.values[name], rel=1e-3, abs=1e-4), name

    @pytest.mark.slow  # the example of the algorithm's page learns in a fifth of the steps
    def test_it_learns_to_find_squares_and_discs(self):
        images, boxes = scenes(320, 1)
        held = np.arange(320) >= 260
        options = settings(
            **{"base_network": RESNET50, "epochs": 12, "mini_batch_size": 8, "optimizer": "adam", "learning_rate": 0.003},
            **{"max_expansion": 1.0, "lr_scheduler_step": "8, 11", "lr_scheduler_factor": 0.2},
        )
        artifact = train_arrays(OBJECT_DETECTION, options, image=images, boxes=boxes, validation=held, seed=0)
        assert artifact.values["validation:mAP"] > 0.65
        assert artifact.values["num_classes"] == 2

    def test_early_stopping_ends_where_the_map_is_not_gained_on(self):
        options = settings(epochs=30, learning_rate=1e-9, early_stopping=True, early_stopping_patience=2, early_stopping_min_epochs=3)
        assert len(fit(options, validation=HELD).values["history"]) == 3

    def test_every_optimizer_makes_steps(self):
        for optimizer in ("sgd", "adam", "rmsprop", "adadelta"):
            learned = fit(settings(optimizer=optimizer, epochs=1, learning_rate=0.001))
            assert all(np.isfinite(array).all() for array in learned.arrays.values())

    def test_a_piped_training_takes_the_same_rows(self):
        options = settings(num_classes=2, epochs=2)
        artifact = fit(options, input_mode="Pipe", validation=HELD)
        assert len(artifact.values["history"]) == 2
        with pytest.raises(InvalidRows, match="num_training_samples is 40, but there are 36 rows to train on"):
            fit({**options, "num_training_samples": 40}, input_mode="Pipe", validation=HELD)

    def test_images_of_nothing_are_trained_on_too(self):
        boxes = [row if place % 2 else row[:0] for place, row in enumerate(BOXES)]
        artifact = train_arrays(OBJECT_DETECTION, settings(epochs=1), image=IMAGES, boxes=boxes)
        assert np.isfinite(artifact.values["train:loss"])
        with pytest.raises(InvalidRows, match="no image has a box, so there is nothing to learn"):
            train_arrays(OBJECT_DETECTION, settings(), image=IMAGES, boxes=[row[:0] for row in BOXES])


class TestRefusals:
    def train(self, boxes, **given):
        images = [encode_png(np.zeros((40, 60, 3), np.uint8))] * len(boxes)
        return train_arrays(OBJECT_DETECTION, settings(**given), image=images, boxes=[np.array(rows, np.float32) for rows in boxes])

    def test_boxes_that_cannot_be_are_refused_by_row_before_training(self):
        good = [[0, 1, 1, 5, 5]]
        with pytest.raises(InvalidRows, match=r"box 1, at left 60, top 2 of 5 x 5, has nothing within its image, which is 60 wide.*"
                           r"in row 2 of those to train on of worker 0"):  # fmt: skip
            self.train([good, good, [*good, [0, 60, 2, 5, 5]]])
        with pytest.raises(InvalidRows, match="box 0, has width 0, expected a number > 0, in row 1"):
            self.train([good, [[0, 1, 1, 0, 5]]])
        with pytest.raises(InvalidRows, match="box 0, has class_id 3, expected a whole number from 0 to 1, in row 0"):
            self.train([[[3, 1, 1, 5, 5]]], num_classes=2)

    def test_more_boxes_than_the_label_is_wide_are_refused_by_row(self):
        assert [most_boxes(width) for width in (350, 12, 11, 7, 6, 1)] == [69, 2, 1, 1, 0, 0]
        with pytest.raises(InvalidRows, match=r"has 3 boxes, expected 2 at most \(label_width=12 has room for so many.*in row 1"):
            self.train([[[0, 1, 1, 5, 5]], [[0, 1, 1, 5, 5]] * 3], label_width=12)

    def test_fractions_are_refused_where_they_are_none(self):
        with pytest.raises(InvalidRows, match="has its right edge at 6, expected a fraction of the image from 0 to 1, in row 0"):
            self.train([[[0, 1, 0, 5, 0.5]]], box_units="fractions")

    def test_boxes_in_fractions_give_the_model_of_those_in_pixels(self):
        options = settings(epochs=1)
        fractions = [row / [1, 64, 64, 64, 64] for row in BOXES]
        found = train_arrays(OBJECT_DETECTION, {**options, "box_units": "fractions"}, image=IMAGES, boxes=fractions)
        for name, array in fit(options).arrays.items():
            np.testing.assert_allclose(found.arrays[name], array, rtol=1e-4, atol=1e-5, err_msg=name)

    def test_a_wrong_number_of_images_is_refused(self):
        with pytest.raises(InvalidRows, match="num_training_samples is 3, but there are 48 rows to train on"):
            fit(settings(num_training_samples=3))

    @pytest.mark.parametrize(
        ("given", "what"),
        [
            ({"optimizer": "adam", "momentum": 0.5}, "momentum goes with optimizer='sgd' alone, which is 'adam'"),
            ({"optimizer": "adam", "weight_decay": 0.1}, "weight_decay goes with optimizer='sgd' or 'rmsprop' alone"),
            ({"early_stopping_patience": 3}, "early_stopping_patience is of no effect without early_stopping=True"),
            ({"early_stopping": True}, "early_stopping=True watches the mAP of rows for validation"),
            ({"kv_store": "dist_async"}, "kv_store='dist_async' is not supported"),
            ({"lr_scheduler_step": "10; 20"}, "lr_scheduler_step must be epochs"),
            ({"syncbn": False, "base_network": VGG16}, "syncbn is of no effect with base_network='vgg-16'"),
            ({"lr_scheduler_factor": 0.5}, "lr_scheduler_factor is of no effect without lr_scheduler_step"),
            ({"label_width": 6}, "label_width must be 7 or more"),
            ({"freeze_layer_pattern": "("}, "is no regular expression"),
        ],
        ids=str,
    )
    def test_settings_that_do_not_go_together_are_told(self, given, what):
        (problem,) = contradictions(Hyperparameters(**{**DEFAULTS, **given}), DEFAULTS, False)
        assert what in problem

    def test_the_table_of_defaults_is_without_problems(self):
        assert contradictions(Hyperparameters(**DEFAULTS), DEFAULTS, False) == []

    @pytest.mark.parametrize(
        ("given", "of_model", "what"),
        [
            ({}, False, "torchvision.models.vgg16"),
            ({"base_network": RESNET50}, False, "torchvision.models.resnet50"),
            ({"base_width": 0.5}, False, "no weights fit a network of base_width=0.5"),
            ({"use_pretrained_model": 0, "pretrained_weights": "a"}, False, "pretrained_weights is of no effect"),
            ({"pretrained_weights": "a"}, True, "pretrained_weights and setInitialModel are both given"),
        ],
        ids=str,
    )
    def test_weights_to_start_from_are_asked_for(self, given, of_model, what):
        (problem,) = starting_problems(Hyperparameters(**{**DEFAULTS, **given}), of_model)
        assert what in problem
        assert starting_problems(Hyperparameters(**{**DEFAULTS, "pretrained_weights": "a"}), False) == []


@pytest.fixture(scope="module")
def artifact():
    return fit(settings(epochs=2, optimizer="adam"))


class TestPrediction:
    def test_outputs_say_the_same_in_pixels_and_fractions(self, artifact):
        wide = encode_png(np.random.default_rng(0).integers(0, 256, (50, 100, 3), np.uint8))
        found = load(artifact, Hyperparameters(**settings()), "cpu")(rows_of([IMAGES[0], wide]))
        assert found["pixels"].tolist() == [[64, 64, 3], [100, 50, 3]]
        for structs, rows, (width, height, _) in zip(
            found["detections"].to_pylist(), found["prediction"], found["pixels"].tolist(), strict=True
        ):
            assert len(structs) == len(rows) > 0
            scores = [one["score"] for one in structs]
            assert scores == sorted(scores, reverse=True) and min(scores) >= 0.01
            for one, (number, score, xmin, ymin, xmax, ymax) in zip(structs, rows.tolist(), strict=True):
                assert (one["class_id"], one["score"]) == (number, score) and 0 <= xmin < xmax <= 1 and 0 <= ymin < ymax <= 1
                wanted = [xmin * width, ymin * height, (xmax - xmin) * width, (ymax - ymin) * height]
                np.testing.assert_allclose([one[name] for name in ("left", "top", "width", "height")], wanted, rtol=1e-6, atol=1e-6)

    def test_an_image_is_alone_what_it_is_beside_others(self, artifact):
        predictor = load(artifact, Hyperparameters(**settings(score_threshold=0.05)), "cpu")
        together = predictor(rows_of(IMAGES[:11]))["prediction"]
        for row in (0, 7, 10):
            np.testing.assert_allclose(predictor(rows_of(IMAGES[row : row + 1]))["prediction"][0], together[row], atol=1e-4)

    def test_settings_of_scoring_say_what_is_left(self, artifact):
        def numbers(**given):
            found = load(artifact, Hyperparameters(**settings(**given)), "cpu")(rows_of(IMAGES[:4]))["prediction"]
            return int(found.lengths.sum())

        default = numbers()
        assert numbers(score_threshold=0.3) < default and numbers(nms_threshold=0.2) < default < numbers(nms_threshold=0.9)
        assert numbers(force_suppress=True) < default and numbers(nms_topk=3) <= 12

    def test_no_rows_have_no_detections(self, artifact):
        found = load(artifact, Hyperparameters(**settings()), "cpu")(rows_of([]))
        assert len(found["detections"]) == len(found["prediction"]) == 0 and found["pixels"].shape == (0, 3)


def test_the_network_sees_what_preparation_makes():
    options = Hyperparameters(**settings())
    of = settings_of(options, 2)
    preparation = Preparation(Matcher(of.boxes), len(of.boxes), of.side, 2.0, False)
    batch = rows_of(IMAGES[:5], BOXES[:5])
    random, central, none = (
        preparation.training(batch, Place(0, 0, 0, 0)),
        preparation.central(batch, Place(0, 0, 0, 0)),
        preparation.training(batch.take(slice(0, 0)), Place(0, 0, 0, 0)),
    )
    assert random.image.shape == central.image.shape == (5, 64, 64, 3) and not np.array_equal(random.image, central.image)
    assert (central.labels.max(1) > 0).all() and len(none) == 0 and none.labels.shape == (0, len(of.boxes))
    np.testing.assert_allclose(central.objects.values * [1, 64, 64, 64, 64], np.concatenate(BOXES[:5]), atol=1e-4)
    parts = [
        preparation.training(batch.take(slice(start, end)), replace(Place(0, 0, 0, 0), first=start)) for start, end in ((0, 2), (2, 5))
    ]
    np.testing.assert_array_equal(Batch.concat(parts).image, random.image)
    assert to_input(random.image, "cpu").shape == (5, 3, 64, 64)
