"""Image classification on arrays: its steps are a plain loop's on any number of workers, resumed to the bit, and it learns shapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sparkml_algos.algorithms.image_classification.params import ImageClassifierParams
from sparkml_algos.algorithms.image_classification.prediction import load
from sparkml_algos.algorithms.image_classification.preparation import Preparation
from sparkml_algos.algorithms.image_classification.settings import shape_of
from sparkml_algos.algorithms.image_classification.training import IMAGE_CLASSIFICATION
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.collectives.communicator import SingleProcess
from sparkml_algos.images.decoding import encode_png
from sparkml_algos.networks.batch_norm import share_statistics
from sparkml_algos.networks.images import to_input
from sparkml_algos.networks.resnet import ResNet
from sparkml_algos.networks.state import built
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.decoder import Decoder, record_batches
from sparkml_algos.rows.fields import Source
from sparkml_algos.rows.images import Image
from sparkml_algos.rows.kinds import InvalidRows, InvalidValue
from sparkml_algos.rows.shard import Shard
from sparkml_algos.training import checkpoint
from sparkml_algos.training.job import Job
from sparkml_algos.training.prepared import PreparedBatches
from sparkml_algos.training.run import train_arrays
from tests.gang import in_threads, process_gang
from tests.toys.shapes import CLASSES, shapes

PIXELS, LABEL = shapes(96, 16, seed=0)
FILES = [encode_png(image) for image in PIXELS]


def settings(**given):
    defaults = {name: param.default for name, param in ImageClassifierParams.declared.items()}
    small = {"num_layers": 20, "image_shape": "3,16,16", "epochs": 2, "mini_batch_size": 32, "learning_rate": 0.05, "momentum": 0.0}
    return {**defaults, **small, **given}


def fit(options, part=slice(None), communicator=None, files=FILES, label=LABEL, **plan):
    return train_arrays(IMAGE_CLASSIFICATION, options, communicator=communicator, image=files[part], label=label[part], **plan)


def fit_part(communicator, parts, options):
    return fit(options, parts[communicator.rank], communicator)


def network(artifact):
    return {name: array for name, array in artifact.arrays.items() if "num_batches" not in name}


def predicted(artifact, options, files=FILES):
    return load(artifact, Hyperparameters(**options), "cpu")(Batch(image=Image().arrays(files)[""]))


def gradients(rows, dtype=torch.float64, communicator=None):
    """Of the parameters of a ResNet-20, by the loss of some rows."""
    network = built(lambda: ResNet(20, CLASSES), 0).to(dtype).train()
    if communicator is not None:
        share_statistics(network, communicator)
    pixels, label = PIXELS[rows].copy(), LABEL[rows].copy()
    scores = network(to_input(pixels, "cpu", dtype=dtype))
    (nn.functional.cross_entropy(scores, torch.from_numpy(label).long(), reduction="sum") / len(PIXELS)).backward()
    return {name: parameter.grad.numpy() for name, parameter in network.named_parameters()}


def shared_gradients(ends, dtype=torch.float64):
    """What workers with rows up to these ends find together."""
    parts = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    found = in_threads(len(parts), lambda communicator: gradients(parts[communicator.rank], dtype, communicator))
    return {name: sum(part[name] for part in found) for name in found[0]}


def length_of_difference(found, expected):
    """Between two gradients, as a share of the length of one."""
    squares = [(((found[name] - array) ** 2).sum(), (array.astype(np.float64) ** 2).sum()) for name, array in expected.items()]
    return float(np.sqrt(np.divide(*np.sum(squares, axis=0))))


class TestSteps:
    @pytest.mark.parametrize(
        ("options", "plain"),
        [
            ({"momentum": 0.9, "weight_decay": 0.01}, lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=0.01)),
            ({"optimizer": "nag", "momentum": 0.9}, lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=1e-4, nesterov=True)),
            ({"optimizer": "adam", "beta_1": 0.8, "eps": 1e-2}, lambda p: torch.optim.Adam(p, 0.05, betas=(0.8, 0.999), eps=1e-2)),
            ({"optimizer": "rmsprop", "gamma": 0.8, "eps": 1e-1}, lambda p: torch.optim.RMSprop(p, 0.05, alpha=0.8, eps=1e-1)),
        ],
        ids=["sgd", "nag", "adam", "rmsprop"],
    )
    def test_are_those_of_a_plain_loop_with_any_optimizer(self, options, plain):
        """Sums of 32 bits in another order part two trainings of such a network by a share of a hundredth; the wrong step by far more."""
        found = fit(settings(mini_batch_size=96, epochs=3, **options))
        expected = built(lambda: ResNet(20, CLASSES), 0)
        start = {name: tensor.clone() for name, tensor in expected.state_dict().items()}
        optimizer = plain(expected.parameters())
        for _ in range(3):
            loss = nn.functional.cross_entropy(expected(to_input(PIXELS, "cpu")), torch.from_numpy(LABEL).long())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert found.values["train:loss"] == pytest.approx(loss.item(), rel=2e-2)
        moved = {name: (tensor - start[name]).numpy() for name, tensor in expected.state_dict().items() if name.endswith("weight")}
        ours = {name: found.arrays[f"network/{name}"] - start[name].numpy() for name in moved}
        apart = np.sqrt(sum(((ours[name] - moved[name]) ** 2).sum() for name in moved))
        assert apart < 0.1 * np.sqrt(sum((array**2).sum() for array in moved.values()))

    def test_are_to_the_bit_those_of_a_plain_loop_over_the_same_augmented_mini_batches(self):
        options = {"momentum": 0.9, "augmentation_type": "crop", "pad_size": 2}
        options |= {"epochs": 4, "mini_batch_size": 20, "lr_scheduler_step": "2,3"}
        found = fit(settings(**options), seed=5)
        fields = [field for field in IMAGE_CLASSIFICATION.fields_for(Hyperparameters(**settings())) if field.role in ("image", "label")]
        decoder = Decoder([Source(field, [field.role]) for field in fields])
        shard = Shard(record_batches(fields, {"image": FILES, "label": LABEL}), decoder, seed=5)
        job = Job(shard, SingleProcess(), seed=5)
        batches = PreparedBatches(job, 20, Preparation(Hyperparameters(**settings(**options))).for_training)
        expected = built(lambda: ResNet(20, CLASSES), 5).train()
        optimizer = torch.optim.SGD(expected.parameters(), 0.05, momentum=0.9, weight_decay=1e-4)
        for epoch in job.epochs(4):
            optimizer.param_groups[0]["lr"] = 0.05 * 0.1 ** sum(epoch >= fall for fall in (2, 3))
            for batch in batches.of_epoch(epoch):
                optimizer.zero_grad()
                scores = expected(to_input(batch.image, "cpu"))
                nn.functional.cross_entropy(scores, torch.from_numpy(batch.label).long(), reduction="sum").backward()
                for parameter in expected.parameters():
                    parameter.grad.mul_(1 / len(batch))
                optimizer.step()
        for name, array in network(found).items():
            np.testing.assert_array_equal(array, expected.state_dict()[name.removeprefix("network/")].numpy(), name)

    @pytest.mark.parametrize("ends", [[48, 96], [7, 96], [0, 96], [10, 50, 96]], ids=str)
    def test_gradients_of_several_workers_are_those_of_one(self, ends):
        one = gradients(slice(None))
        for name, array in shared_gradients(ends).items():
            np.testing.assert_allclose(array, one[name], rtol=1e-4, atol=1e-6 * np.abs(one[name]).max(), err_msg=name)

    def test_with_32_bits_they_differ_as_torchs_own_do_with_the_rows_in_another_order(self):
        exact, one = gradients(slice(None)), gradients(slice(None), torch.float32)
        turned = gradients(slice(None, None, -1), torch.float32)
        several = shared_gradients([48, 96], torch.float32)
        own, rounding, ours = (length_of_difference(found, one) for found in (turned, exact, several))
        assert 1e-5 < own < 0.02 and ours < 2 * max(own, rounding)

    def test_of_two_processes_are_those_of_one(self):
        options = settings(mini_batch_size=96, epochs=2)
        one = fit(options)
        two = process_gang(2)(fit_part, [slice(0, 40), slice(40, 96)], options)[0]
        for entry, expected in zip(two.values["history"], one.values["history"], strict=True):
            assert entry["train:loss"] == pytest.approx(expected["train:loss"], rel=1e-3)
        weights, expected = two.arrays["network/fc.weight"], one.arrays["network/fc.weight"]
        np.testing.assert_allclose(weights, expected, rtol=0, atol=0.02 * np.abs(expected).max())

    def test_without_syncbn_each_worker_normalises_by_its_own_images_and_scores_by_the_mean(self):
        options = settings(mini_batch_size=96, epochs=1, syncbn=False)
        of_one = [fit(settings(mini_batch_size=48, epochs=1), part) for part in (slice(0, 48), slice(48, 96))]
        two = in_threads(2, lambda c: fit_part(c, [slice(0, 48), slice(48, 96)], options))[0]
        kept = [name for name in two.arrays if "running" in name]
        assert kept
        for name in kept:
            np.testing.assert_allclose(two.arrays[name], np.mean([one.arrays[name] for one in of_one], axis=0), rtol=1e-5, atol=1e-7)
        # A step: the mean of what either half says of the start.
        start = built(lambda: ResNet(20, CLASSES), 0).state_dict()["conv1.weight"].numpy()
        moved, *halves = (one.arrays["network/conv1.weight"] - start for one in (two, *of_one))
        np.testing.assert_allclose(moved, np.mean(halves, axis=0), atol=1e-3 * np.abs(moved).max())

    def test_with_dist_sync_each_worker_has_its_own_mini_batch(self):
        parts = [slice(0, 48), slice(48, 96)]
        apart = settings(mini_batch_size=24, kv_store="dist_sync", epochs=1)
        together = settings(mini_batch_size=48, epochs=1)
        first, second = (network(in_threads(2, lambda c, o=options: fit_part(c, parts, o))[0]) for options in (apart, together))
        for name, array in first.items():
            np.testing.assert_array_equal(second[name], array, err_msg=name)

    def test_the_rate_falls_after_the_epochs_that_are_told(self):
        falling = fit(settings(mini_batch_size=96, epochs=3, lr_scheduler_step="1, 2", lr_scheduler_factor=0.0))
        once = fit(settings(mini_batch_size=96, epochs=1))
        np.testing.assert_array_equal(falling.arrays["network/fc.weight"], once.arrays["network/fc.weight"])


class Lost(Exception):
    """The worker is."""


class TestResumed:
    @pytest.mark.parametrize(("workers", "syncbn"), [(1, True), (2, True), (2, False)])
    def test_a_training_ends_as_if_it_had_not_been_cut_off(self, tmp_path, monkeypatch, workers, syncbn):
        changed = {"augmentation_type": "crop_color_transform", "pad_size": 2, "optimizer": "adam", "learning_rate": 0.01}
        options = settings(syncbn=syncbn, epochs=3, **changed)
        parts = [slice(0, 40), slice(40, 96)] if workers == 2 else [slice(None)]

        def run(**plan):
            return in_threads(workers, lambda c: fit(options, parts[c.rank], c, **plan))[0]

        expected = run()
        save = checkpoint.CheckpointStore.save

        def save_and_lose(store, epoch, state):
            save(store, epoch, state)
            raise Lost

        with monkeypatch.context() as patched:
            patched.setattr(checkpoint.CheckpointStore, "save", save_and_lose)
            with pytest.raises(Lost):
                run(checkpoint_dir=str(tmp_path))
        found = run(checkpoint_dir=str(tmp_path))
        assert [entry["epoch"] for entry in found.values["history"]] == [1, 2, 3]
        for name, array in expected.arrays.items():
            np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)


class TestLearning:
    def test_shapes_are_told_apart_in_under_a_minute(self):
        """Circles, squares, triangles and crosses of any colour, size and place, on noise: 0.95 of others of them, where chance is 0.25."""
        pixels, label = shapes(800, 24, seed=1)
        held, truth = shapes(200, 24, seed=2)
        options = settings(
            image_shape="3,24,24", epochs=12, mini_batch_size=32, momentum=0.9, learning_rate=0.1, lr_scheduler_step="8,10",
            augmentation_type="crop", pad_size=2,
        )  # fmt: skip
        found = fit(options, files=list(pixels), label=label)
        assert (predicted(found, options, list(held))["predicted_label"] == truth).mean() >= 0.95

    def test_of_several_labels_each_is_learned(self):
        pixels, _ = shapes(300, 16, seed=3)
        bright = (pixels.reshape(300, -1).mean(1) > np.median(pixels.reshape(300, -1).mean(1))).astype(np.float32)
        label = np.stack([bright, 1 - bright, np.ones(300)], 1)
        options = settings(multi_label=1, epochs=6, momentum=0.9, use_weighted_loss=1)
        found = fit(options, files=list(pixels), label=label)
        outputs = predicted(found, options, list(pixels))
        assert found.values["classes"] == 3 and found.values["train:accuracy"] > 0.8
        assert ((outputs["probability"] > 0.5) == (label > 0)).mean() > 0.85
        assert [ids.tolist() for ids in outputs["predicted_labels"]] == [
            np.flatnonzero(row > 0.5).tolist() for row in outputs["probability"]
        ]

    def test_top_k_is_told(self):
        found = fit(settings(top_k=2, epochs=1))
        assert found.values["train:accuracy"] <= found.values["train:top_k_accuracy"] <= 1
        assert fit(settings(top_k=4, epochs=1)).values["train:top_k_accuracy"] == 1

    def test_class_weights_make_having_and_not_having_a_class_equal(self):
        from sparkml_algos.algorithms.image_classification.training import _class_weights
        from tests.decoding import shard_of

        label = np.array([[1, 0], [0, 0], [0, 0], [0, 1.0]])
        of = Hyperparameters(**settings(multi_label=1, use_weighted_loss=1, num_classes=2))
        from dataclasses import replace

        from sparkml_algos.rows.classes import ClassSet

        fields = [field.of(ClassSet()) if field.role == "label" else field for field in IMAGE_CLASSIFICATION.fields]
        shard = shard_of(replace(IMAGE_CLASSIFICATION, fields=fields), image=FILES[:4], label=label)
        np.testing.assert_allclose(_class_weights(of, shard, SingleProcess()).arrays["class_weights"], [[2 / 3, 2 / 3], [2, 2]])


class TestChosen:
    """Which state is the model."""

    HELD = np.arange(96) % 4 == 0

    def test_the_best_accuracy_on_rows_for_validation(self):
        found = fit(settings(epochs=4, momentum=0.9), validation=self.HELD)
        history = [entry["validation:accuracy"] for entry in found.values["history"]]
        assert history[found.values["epoch"] - 1] == max(history)

    def test_the_last_epoch_without_such_rows(self):
        assert fit(settings(epochs=3)).values["epoch"] == 3

    def test_the_last_that_is_to_be_kept(self):
        found = fit(settings(epochs=5, checkpoint_frequency=2), validation=self.HELD)
        assert found.values["epoch"] == 4 and len(found.values["history"]) == 5

    def test_training_ends_when_the_accuracy_gains_no_more(self):
        stopping = {"early_stopping": True, "early_stopping_min_epochs": 3, "early_stopping_patience": 1, "early_stopping_tolerance": 1.0}
        found = fit(settings(epochs=9, **stopping), validation=self.HELD)
        assert len(found.values["history"]) == 3
        kept = fit(settings(epochs=9, checkpoint_frequency=1, **stopping), validation=self.HELD)
        assert len(kept.values["history"]) == 3


class TestStarts:
    class Given:
        def __init__(self, artifact):
            self._artifact = artifact

        def open(self):
            return self._artifact

    def test_from_an_earlier_model(self):
        first = fit(settings(epochs=2))
        again = fit({**settings(epochs=1, learning_rate=0.0), "model_state": self.Given(first)})
        np.testing.assert_array_equal(again.arrays["network/fc.weight"], first.arrays["network/fc.weight"])
        np.testing.assert_array_equal(again.arrays["network/layer2.0.conv1.weight"], first.arrays["network/layer2.0.conv1.weight"])

    def test_from_weights_of_other_classes_with_a_fresh_last_layer(self):
        import io

        stream = io.BytesIO()
        elsewhere = ResNet(20, 9).state_dict()
        torch.save(elsewhere, stream)
        file = Artifact({"weights": np.frombuffer(stream.getvalue(), np.uint8)}, {"name": "w.pth"})
        found = fit({**settings(epochs=1, learning_rate=0.0), "pretrained": self.Given(file)})
        np.testing.assert_array_equal(found.arrays["network/layer2.0.conv1.weight"], elsewhere["layer2.0.conv1.weight"].numpy())
        assert found.arrays["network/fc.weight"].shape == (CLASSES, 64)

    def test_weights_of_another_network_are_refused(self):
        import io

        stream = io.BytesIO()
        torch.save(ResNet(32, 9).state_dict(), stream)
        file = Artifact({"weights": np.frombuffer(stream.getvalue(), np.uint8)}, {"name": "w.pth"})
        with pytest.raises(ValueError, match=r"the weights in w.pth are not those of this network"):
            fit({**settings(epochs=1), "pretrained": self.Given(file)})


class TestRefused:
    def test_a_number_of_rows_or_classes_that_is_not_theirs(self):
        with pytest.raises(InvalidRows, match="num_training_samples is 95, but there are 96 rows"):
            fit(settings(num_training_samples=95))
        fit(settings(num_training_samples=96, epochs=1))
        with pytest.raises(InvalidRows, match=r"label column 'label' is 3, expected an integer from 0 to 2 \(num_classes=3\)"):
            fit(settings(num_classes=3))
        with pytest.raises(InvalidRows, match="top_k=7 is more than the 4 classes"):
            fit(settings(top_k=7))

    def test_images_that_are_too_small_or_broken(self):
        with pytest.raises(InvalidRows, match=r"image column 'image' has 16 x 16 pixels, expected at least 20 x 16 .*resize"):
            fit(settings(image_shape="3,20,16"))
        with pytest.raises(InvalidRows, match=r"is no image that can be used.* in row 95"):
            fit(settings(), files=[*FILES[:95], FILES[95][:100]])

    @pytest.mark.parametrize("text", ["224", "3,0,9", "3,a,9", "3,9", "3,9,9,9", "-3,9,9"])
    def test_shapes_that_are_none(self, text):
        with pytest.raises(ValueError, match="image_shape must be channels,height,width"):
            shape_of(text)
        with pytest.raises(ValueError, match="1 channel"):
            shape_of("4,9,9")


class TestScoring:
    def test_images_of_any_size_are_brought_to_the_networks(self):
        options = settings(epochs=1)
        found = fit(options)
        large = [encode_png(np.repeat(np.repeat(image, 3, 0), 2, 1)) for image in PIXELS[:40]]
        outputs = predicted(found, options, large)
        assert outputs["probability"].shape == (40, CLASSES)
        np.testing.assert_allclose(outputs["probability"].sum(1), 1)
        np.testing.assert_array_equal(outputs["predicted_label"], outputs["probability"].argmax(1))

    def test_an_image_that_is_broken_is_told_by_its_row(self):
        options = settings(epochs=1)
        with pytest.raises(InvalidValue) as caught:
            predicted(fit(options), options, [*FILES[:70], b"hello", *FILES[70:]])
        assert caught.value.row == 70

    def test_no_images_have_no_classes(self):
        options = settings(epochs=1)
        assert predicted(fit(options), options, [])["probability"].shape == (0, CLASSES)

    def test_grey_images_and_a_pipe(self):
        options = settings(image_shape="1,16,16", epochs=2, num_classes=4)
        found = fit(options, input_mode="Pipe")
        assert found.arrays["network/conv1.weight"].shape == (16, 1, 3, 3)
        assert predicted(found, options)["probability"].shape == (96, 4)
