"""Semantic segmentation on arrays: its networks, on any number of workers, resumed, what it learns, and what it refuses."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sparkml_algos.algorithms.semantic_segmentation import network, prediction
from sparkml_algos.algorithms.semantic_segmentation.crops import Crops
from sparkml_algos.algorithms.semantic_segmentation.label_maps import UNKNOWN, table_of
from sparkml_algos.algorithms.semantic_segmentation.network import SegmentationLearner, SegmentationNetwork, padded, upsampled
from sparkml_algos.algorithms.semantic_segmentation.params import SemanticSegmenterParams
from sparkml_algos.algorithms.semantic_segmentation.prediction import load, load_judge
from sparkml_algos.algorithms.semantic_segmentation.settings import Settings, contradictions, crop_side, settings_of, without_effect
from sparkml_algos.algorithms.semantic_segmentation.training import SEMANTIC_SEGMENTATION
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.arrays.segmentation import IGNORED, mean_iou
from sparkml_algos.collectives.communicator import SingleProcess
from sparkml_algos.images.decoding import decode, decode_mask, encode_png
from sparkml_algos.images.sample import Sample
from sparkml_algos.networks.optimizers import OptimizerSettings
from sparkml_algos.networks.state import built, state_of, to_artifact
from sparkml_algos.rows.batch import Batch
from sparkml_algos.rows.kinds import InvalidRows
from sparkml_algos.training import checkpoint
from sparkml_algos.training.job import Job
from sparkml_algos.training.progress import Progress
from sparkml_algos.training.run import train_arrays
from tests.gang import in_threads
from tests.shapes import CLASSES, drawn, files

IMAGES, MASKS = files(24, 40, 48)
HELD = np.arange(len(IMAGES)) % 4 == 0
DECODERS = ["fcn", "psp", "deeplab"]
SMALL = {"small_backbone": True, "use_pretrained_model": False, "base_size": 48, "crop_size": 32, "mini_batch_size": 6, "epochs": 2}


def settings(**given):
    defaults = {name: param.default for name, param in SemanticSegmenterParams.declared.items()}
    return {**defaults, **SMALL, "learning_rate": 0.05, **given}


def fit(options, part=slice(None), communicator=None, images=IMAGES, masks=MASKS, **plan):
    if "validation" in plan:
        plan["validation"] = plan["validation"][part]
    return train_arrays(SEMANTIC_SEGMENTATION, options, communicator=communicator, image=images[part], mask=masks[part], **plan)


def predicted(artifact, options, images):
    return load(artifact, Hyperparameters(**options), "cpu")(Batch(image=pa.array(images, pa.binary())))


class TestNetworks:
    @pytest.mark.parametrize("algorithm", DECODERS)
    @pytest.mark.parametrize("backbone", ["small", "resnet-50"])
    def test_it_scores_classes_at_an_eighth_of_the_size(self, backbone, algorithm):
        network = built(lambda: SegmentationNetwork(Settings(backbone, algorithm, 4, True)), 1).train()
        scores, auxiliary = network(torch.randn(2, 3, 40, 64))
        assert scores.shape == auxiliary.shape == (2, 4, 5, 8)
        with torch.no_grad():
            scores, auxiliary = network.eval()(torch.randn(1, 3, 40, 64))
        assert scores.shape == (1, 4, 5, 8) and auxiliary is None

    def test_the_backbone_has_the_depth_of_its_name(self):
        with torch.device("meta"):
            sizes = {
                name: sum(parameter.numel() for parameter in SegmentationNetwork(Settings(name, "fcn", 21, False)).backbone.parameters())
                for name in ("small", "resnet-50", "resnet-101")
            }
        assert sizes["small"] == 497_488 and 23.4e6 < sizes["resnet-50"] < 23.6e6 and 42.4e6 < sizes["resnet-101"] < 42.6e6

    def test_without_a_weight_there_is_no_second_head(self):
        network = SegmentationNetwork(settings_of(Hyperparameters(**settings(auxiliary_loss_weight=0.0)), 3))
        assert network.auxiliary is None and network.train()(torch.randn(2, 3, 16, 16))[1] is None

    @pytest.mark.parametrize("size", [(16, 24), (17, 30), (1, 9)])
    def test_images_of_any_size_are_scored_at_that_size(self, size):
        pixels = torch.randn(1, 3, *size)
        whole = padded(pixels)
        assert whole.shape[-2] % 8 == whole.shape[-1] % 8 == 0 and torch.equal(whole[..., : size[0], : size[1]], pixels)
        assert upsampled(torch.randn(1, 2, whole.shape[-2] // 8, whole.shape[-1] // 8), size).shape[-2:] == size


class TestSteps:
    """A step on given crops: what the workers of a gang find together is what one finds."""

    images, masks = (np.stack(part) for part in drawn(8, 32, 32, seed=4))

    def gradient(self, communicator, ends, shares_statistics=True, algorithm="deeplab"):
        network = built(lambda: SegmentationNetwork(Settings("small", algorithm, CLASSES, True)), 5)
        for module in network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        job = Job(None, communicator)
        watched = type("Watched", (), {"marks_validation": False})()
        options = {"auxiliary_weight": 0.4, "classes": CLASSES, "shares_statistics": shares_statistics, "validated": None}
        learner = SegmentationLearner(network, job, communicator, OptimizerSettings("sgd", 0.1), watched, **options)
        communicator.barrier()  # threads share the random numbers that networks start from
        part = slice([0, *ends][communicator.rank], ends[communicator.rank])
        learner.begin_step(Progress(0, 0, 10, 0.0))
        sums = learner.combine(learner.gradient(Batch(image=self.images[part], mask=self.masks[part])), communicator)
        return sums.flat.clone(), learner

    @pytest.mark.parametrize("algorithm", DECODERS)
    @pytest.mark.parametrize("ends", [[4, 8], [1, 8], [0, 8], [3, 5, 8]], ids=str)
    def test_gradients_of_several_workers_are_those_of_one(self, ends, algorithm):
        expected, _ = self.gradient(SingleProcess(), [8], algorithm=algorithm)
        for found, _ in in_threads(len(ends), lambda communicator: self.gradient(communicator, ends, algorithm=algorithm)):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected[:-4].abs().max()))
            torch.testing.assert_close(found[-4:], expected[-4:], rtol=1e-5, atol=0)  # the figures, and the number of pixels

    def test_workers_of_their_own_statistics_have_the_mean_of_them_in_the_end(self):
        from sparkml_algos.networks.batch_norm import mean_statistics

        alone = [self.gradient(SingleProcess(), [8], algorithm="fcn")[1].network.state_dict()]
        assert alone[0]["backbone.stem.1.num_batches_tracked"] == 1

        def work(communicator):
            _, learner = self.gradient(communicator, [4, 8], shares_statistics=False, algorithm="fcn")
            before = {name: tensor.clone() for name, tensor in learner.network.state_dict().items()}
            mean_statistics(learner.network, communicator)
            return before, learner.network.state_dict()

        (first, found), (second, other) = in_threads(2, work)
        for name in (name for name in found if "running" in name):
            torch.testing.assert_close(found[name], (first[name] + second[name]) / 2)
            assert torch.equal(found[name], other[name]) and not torch.equal(first[name], second[name])

    def test_the_mean_of_statistics_is_over_workers_that_have_seen_rows(self):
        from sparkml_algos.networks.batch_norm import mean_statistics

        def work(communicator):
            network = torch.nn.Sequential(torch.nn.BatchNorm2d(2))
            if communicator.rank == 1:
                network(torch.arange(16.0).view(2, 2, 2, 2))
            mean_statistics(network, communicator)
            return network.state_dict()

        expected = torch.nn.Sequential(torch.nn.BatchNorm2d(2))
        expected(torch.arange(16.0).view(2, 2, 2, 2))
        for found in in_threads(3, work):
            for name, tensor in expected.state_dict().items():
                torch.testing.assert_close(found[name], tensor)

    @pytest.mark.parametrize("is_resumed", [False, True])
    def test_statistics_of_an_earlier_epoch_are_not_those_of_a_worker_without_rows(self, is_resumed):
        def work(communicator):
            _, learner = self.gradient(communicator, [0, 8], shares_statistics=False, algorithm="fcn")
            part = slice(0, 8 * communicator.rank)
            for epoch in range(2):
                progress = Progress(epoch, epoch, 10, 0.0)
                learner.begin_step(progress)
                batch = Batch(image=self.images[part], mask=self.masks[part])
                learner.update(learner.combine(learner.gradient(batch), communicator), progress)
                own = {name: tensor.clone() for name, tensor in learner.network.state_dict().items() if "running" in name}
                learner.end_epoch(progress)
                if is_resumed:
                    learner.restore(learner.state())
            return own, learner.network.state_dict()

        (_, found), (expected, _) = in_threads(2, work)
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, msg=name)


class TestCrops:
    image, mask = (part[0] for part in drawn(1, 60, 90, seed=2))

    def crops(self, **given):
        same = np.arange(256)
        return Crops(**{"side": 32, "base_size": 90, "mirrors": False, "table": same, "validation_table": same, **given})

    def test_they_have_the_size_that_is_asked_for_whatever_the_image_has(self):
        for side, base_size in ((32, 90), (200, 90), (32, 20), (32, 400), (8, 17)):
            for seed in range(20):
                found = self.crops(side=side, base_size=base_size).drawn(Sample(self.image, mask=self.mask), np.random.default_rng(seed))
                assert found.image.shape == (side, side, 3) and found.mask.shape == (side, side)

    def test_a_part_of_an_image_fills_them_at_any_scale(self):
        for seed in range(100):
            found = self.crops(side=31, base_size=200).drawn(Sample(self.image, mask=self.mask), np.random.default_rng(seed))
            assert (found.mask != IGNORED).all()

    def test_masks_follow_their_images(self):
        # An image whose red tells the class of each pixel.
        painted = np.stack([self.mask * 100, self.mask * 0, self.mask * 0], axis=2)
        for seed in range(20):
            found = self.crops(mirrors=True).drawn(Sample(painted, mask=self.mask), np.random.default_rng(seed))
            inside = found.mask != IGNORED
            told = np.round(found.image[..., 0] / 100)
            assert (told[inside] == found.mask[inside]).mean() > 0.9  # but for pixels at the edges of shapes

    def test_scales_are_from_a_half_to_two(self):
        # Of an image of one colour within another's frame the part that is left tells the scale.
        image = np.zeros((100, 100, 3), np.uint8)
        widths = [
            int((self.crops(side=256, base_size=100).drawn(Sample(image, mask=image[..., 0]), random).mask == 0).sum(1).max())
            for random in map(np.random.default_rng, range(200))
        ]
        assert 50 <= min(widths) < 60 and 190 < max(widths) <= 200 and 110 < np.mean(widths) < 140

    def test_what_is_beside_an_image_is_left_out(self):
        found = self.crops(side=96).central(_batch([self.image], [self.mask]), None)
        assert (found.mask[0] == IGNORED).sum() == 96 * 96 - 60 * 90
        np.testing.assert_array_equal(found.image[0, 18:78, 3:93], self.image)

    def test_in_validation_the_middle_is_seen_or_the_whole(self):
        batch = _batch([self.image], [self.mask])
        central = self.crops().central(batch, None)
        np.testing.assert_array_equal(central.image[0], self.image[14:46, 29:61])
        np.testing.assert_array_equal(central.mask[0], self.mask[14:46, 29:61])
        np.testing.assert_array_equal(self.crops().whole(batch, None).mask[0], self.mask)

    def test_half_of_them_are_mirrored(self):
        image = np.repeat(np.arange(90, dtype=np.uint8)[None, :, None], 60, axis=0).repeat(3, axis=2)
        signs = [
            np.sign(int(found.image[16, 20, 0]) - int(found.image[16, 4, 0]))
            for found in (self.crops(mirrors=True).drawn(Sample(image, mask=self.mask), np.random.default_rng(seed)) for seed in range(100))
        ]
        assert 30 < signs.count(-1) < 70

    def test_of_no_rows_there_are_crops_of_no_rows(self):
        empty = Batch(image=pa.array([], pa.binary()), mask=pa.array([], pa.binary()))
        assert self.crops().random(empty, None).image.shape == (0, 32, 32, 3)
        assert self.crops().random(empty, None).mask.shape == (0, 32, 32)

    @pytest.mark.parametrize(("size", "side"), [(17, 24), (24, 24), (240, 240), (241, 248)])
    def test_sides_are_multiples_of_eight(self, size, side):
        assert crop_side(Hyperparameters(crop_size=size)) == side


def _batch(images, masks):
    return Batch(image=pa.array(map(encode_png, images), pa.binary()), mask=pa.array(map(encode_png, masks), pa.binary()))


class TestTraining:
    def test_it_learns_shapes(self):
        images, masks = files(64, seed=1)
        options = settings(base_size=48, crop_size=48, mini_batch_size=8, epochs=18, algorithm="fcn", mirror=True)
        artifact = fit(options, images=images, masks=masks, validation=np.arange(64) % 4 == 0, seed=2)
        assert artifact.values["num_classes"] == CLASSES
        assert artifact.values["validation:mIOU"] > 0.8 and artifact.values["validation:pixel_accuracy"] > 0.93
        others, truth = drawn(16, seed=7)
        counts = load_judge(artifact, Hyperparameters(**options), "cpu")(_batch(others, truth))["confusion"]
        assert mean_iou(counts) > 0.8

    @pytest.mark.parametrize("rows", [1, 4])
    def test_validation_figures_are_those_of_what_is_predicted(self, rows):
        options = settings(validation_mini_batch_size=rows)
        artifact = fit(options, validation=HELD)
        held = np.flatnonzero(HELD)
        sides = {1: (slice(None), slice(None)), 4: (slice(4, 36), slice(8, 40))}[rows]
        found = predicted(artifact, options, [encode_png(decode(IMAGES[row])[sides]) for row in held])["mask"]
        same = [decode_mask(mask.as_py()) == decode_mask(MASKS[row])[sides] for mask, row in zip(found, held, strict=True)]
        assert artifact.values["validation:pixel_accuracy"] == pytest.approx(np.mean(same), abs=1e-6)
        if rows == 1:
            batch = Batch(image=pa.array([IMAGES[row] for row in held]), mask=pa.array([MASKS[row] for row in held]))
            counts = load_judge(artifact, Hyperparameters(**options), "cpu")(batch)["confusion"]
            assert artifact.values["validation:mIOU"] == pytest.approx(mean_iou(counts), abs=1e-6)

    def test_rows_for_validation_choose_the_state(self):
        artifact = fit(settings(epochs=5), validation=HELD)
        shares = [one["validation:mIOU"] for one in artifact.values["history"]]
        assert artifact.values["validation:mIOU"] == max(shares)
        assert shares[artifact.values["epoch"] - 1] == max(shares)

    @pytest.mark.parametrize("syncbn", [True, False])
    @pytest.mark.parametrize("ends", [[12], [24], [5, 20]], ids=str)
    def test_several_workers_train_and_judge_together(self, ends, syncbn):
        options = settings(syncbn=syncbn)
        slices = [slice(start, end) for start, end in itertools.pairwise([0, *ends, len(IMAGES)])]

        def work(communicator):
            return fit(options, part=slices[communicator.rank], communicator=communicator, validation=HELD)

        found = in_threads(len(slices), work)[0]
        assert np.isfinite(found.values["train:loss"]) and found.values["num_classes"] == CLASSES

    @pytest.mark.parametrize("optimizer", ["sgd", "rmsprop"])
    def test_a_training_that_is_resumed_is_the_undisturbed_one_to_the_bit(self, optimizer, tmp_path, monkeypatch):
        options = settings(epochs=4, mirror=True, optimizer=optimizer, learning_rate=0.001)
        expected, save = fit(options, validation=HELD), checkpoint.CheckpointStore.save

        def save_and_lose(store, epochs_done, state):
            save(store, epochs_done, state)
            if epochs_done == 2:
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(checkpoint.CheckpointStore, "save", save_and_lose)
            with pytest.raises(KeyboardInterrupt):
                fit(options, validation=HELD, checkpoint_dir=str(tmp_path))
        found = fit(options, validation=HELD, checkpoint_dir=str(tmp_path))
        assert set(found.arrays) == set(expected.arrays)
        assert all(np.array_equal(found.arrays[name], array) for name, array in expected.arrays.items())

    def test_that_of_workers_of_which_one_has_no_rows_is_too(self, tmp_path, monkeypatch):
        monkeypatch.setattr(network, "DROPOUT", 0.0)  # threads have torch's random numbers in common
        options, parts = settings(epochs=3), [slice(0, 0), slice(0, 12), slice(12, None)]

        def run(**plan):
            return in_threads(3, lambda communicator: fit(options, parts[communicator.rank], communicator, validation=HELD, **plan))[0]

        class Lost(Exception):
            pass

        def save_and_lose(store, epochs_done, state):
            save(store, epochs_done, state)
            raise Lost

        expected, save = run(), checkpoint.CheckpointStore.save
        with monkeypatch.context() as patched:
            patched.setattr(checkpoint.CheckpointStore, "save", save_and_lose)
            with pytest.raises(Lost):
                run(checkpoint_dir=str(tmp_path))
        found = run(checkpoint_dir=str(tmp_path))
        assert len(found.values["history"]) == 3
        for name, array in expected.arrays.items():
            np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)

    def test_it_ends_after_so_many_epochs_without_a_gain_but_not_before_the_least_number(self):
        options = settings(learning_rate=1e-12, epochs=20, early_stopping=True, early_stopping_patience=2)
        options |= {"early_stopping_min_epochs": 4, "early_stopping_tolerance": 1.0}
        assert len(fit(options, validation=HELD).values["history"]) == 4
        options |= {"early_stopping_min_epochs": 0, "early_stopping_patience": 1}
        assert len(fit(options, validation=HELD).values["history"]) < 4

    @pytest.mark.parametrize(
        "changed",
        [
            *({"algorithm": name} for name in ("psp", "deeplab")),
            {"base_size": 80},
            {"crop_size": 40},
            {"mirror": True},
            {"auxiliary_loss_weight": 0.0},
            {"auxiliary_loss_weight": 1.0},
            {"momentum": 0.5},
            {"weight_decay": 0.1},
            {"lr_scheduler": "cosine"},
            {"lr_scheduler": "step", "lr_scheduler_step": "1"},
            {"lr_scheduler": "step", "lr_scheduler_step": "1", "lr_scheduler_factor": 0.5},
            {"lr_scheduler": "step", "lr_scheduler_step": "2"},
            {"mini_batch_size": 3},
            *({"optimizer": name} for name in ("adam", "adagrad", "nag", "rmsprop")),
            {"optimizer": "rmsprop", "gamma1": 0.5},
            {"optimizer": "rmsprop", "gamma2": 0.5},
            {"label_map": json.dumps({"map": {"0": 0, "1": 2, "2": 1}})},
            {"label_map": json.dumps({"map": {"0": 0, "1": 1, "255": 2}})},
        ],
        ids=str,
    )
    def test_a_setting_has_an_effect(self, changed):
        found = _loss(json.dumps(changed))
        others = {_loss(json.dumps(other)) for other in _NEIGHBOURS if other != changed}
        assert np.isfinite(found) and found not in others

    def test_the_network_starts_from_a_model_that_is_given(self):
        known = fit(settings(epochs=4))
        held = type("Held", (), {"open": lambda self: known, "__repr__": lambda self: "model"})()
        found = fit({**settings(epochs=1, learning_rate=1e-9), "model_state": held, "num_classes": CLASSES})
        scores = [predicted(artifact, settings(), IMAGES[:4])["mask"].to_pylist() for artifact in (known, found)]
        assert found.values["num_classes"] == CLASSES
        np.testing.assert_allclose(found.arrays["network/head.0.weight"], known.arrays["network/head.0.weight"], atol=1e-6)
        assert len(scores[0]) == len(scores[1]) == 4

    def test_nothing_is_said_of_how_many_images_there_are_or_the_truth(self):
        training = int((~HELD).sum())
        assert fit(settings(num_training_samples=training, epochs=1), validation=HELD).values["epoch"] == 1
        with pytest.raises(InvalidRows, match=f"num_training_samples is 7, but there are {training} rows to train on"):
            fit(settings(num_training_samples=7), validation=HELD)


# Settings whose losses must all differ.
_NEIGHBOURS = [{}, {"optimizer": "rmsprop"}, {"lr_scheduler": "step", "lr_scheduler_step": "1"}, {"lr_scheduler": "cosine"}]
_KNOWN = {}


def _loss(changed):
    if changed not in _KNOWN:
        options = settings(**{"learning_rate": 0.002, **json.loads(changed)})
        _KNOWN[changed] = fit(options, images=IMAGES[:12], masks=MASKS[:12]).values["history"][-1]["train:loss"]
    return _KNOWN[changed]


#: Scores images whose scores together are much, in a process of its own, and tells by how much its peak has grown.
SCORING = """
import json, resource, sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from sparkml_algos.algorithms.semantic_segmentation import prediction
from sparkml_algos.arrays.artifact import Artifact
from sparkml_algos.arrays.hyperparameters import Hyperparameters
from sparkml_algos.images.decoding import encode_png
from sparkml_algos.rows.batch import Batch

folder = sys.argv[1]
prediction.KEPT_BYTES = 1 << 20
predictor = prediction.load(
    Artifact.from_table(pq.read_table(f"{folder}/model.parquet")), Hyperparameters(**json.load(open(f"{folder}/options.json"))), "cpu"
)
images = pa.array([encode_png(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8))] * 320, pa.binary())
peak = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
predictor(Batch(image=images[:20]))["mask"]
before = peak()
masks = predictor(Batch(image=images))["mask"]
print(json.dumps({"masks": len(masks), "scores": 320 * 254 * 64 * 4, "more": peak() - before}))
"""


class TestPrediction:
    options = settings()

    @pytest.fixture(scope="class")
    @classmethod
    def artifact(cls):
        return fit(cls.options)

    def test_masks_have_the_size_of_their_images_and_are_the_most_probable_classes(self, artifact):
        images = [*IMAGES[:2], *files(1, 33, 70)[0]]
        found = predicted(artifact, self.options, images)
        masks = [decode_mask(mask.as_py()) for mask in found["mask"]]
        assert [mask.shape for mask in masks] == [(40, 48), (40, 48), (33, 70)]
        for mask, tensor in zip(masks, found["probability"].to_pylist(), strict=True):
            assert tensor["shape"] == [1, CLASSES, *mask.shape]
            probabilities = np.array(tensor["target"], np.float32).reshape(tensor["shape"])[0]
            np.testing.assert_allclose(probabilities.sum(0), 1, rtol=1e-5)
            np.testing.assert_array_equal(probabilities.argmax(0), mask)

    def test_an_image_is_scored_alike_whatever_is_beside_it(self, artifact):
        together = predicted(artifact, self.options, IMAGES[:5])["probability"].to_pylist()
        alone = [predicted(artifact, self.options, [image])["probability"].to_pylist()[0] for image in IMAGES[:5]]
        assert together == alone

    @pytest.mark.parametrize("strip", [1, 8 * 3 * 70 + 1, 3 * 8 * 3 * 70])
    def test_parts_of_an_image_are_scored_as_the_whole(self, artifact, strip, monkeypatch):
        images = files(3, 51, 70)[0]
        whole = predicted(artifact, self.options, images)
        expected = {name: whole[name].to_pylist() for name in ("mask", "probability")}
        monkeypatch.setattr(network, "_STRIP_NUMBERS", strip)
        found = predicted(artifact, self.options, images)
        assert {name: found[name].to_pylist() for name in expected} == expected

    @pytest.mark.parametrize("room", [0, 500, 1000])
    def test_what_there_is_no_room_for_is_found_again(self, artifact, room, monkeypatch):
        expected = {name: column.to_pylist() for name, column in predicted(artifact, self.options, IMAGES[:5]).items()}
        monkeypatch.setattr(prediction, "KEPT_BYTES", room)  # scores of an image are 360 bytes
        found = predicted(artifact, self.options, IMAGES[:5])
        assert {name: column.to_pylist() for name, column in found.items()} == expected

    def test_the_memory_of_scoring_does_not_grow_with_the_images(self, tmp_path):
        options = settings(num_classes=254)
        artifact = to_artifact(state_of(built(lambda: SegmentationNetwork(settings_of(Hyperparameters(**options), 254)), 1)))
        pq.write_table(Artifact(artifact.arrays, {"num_classes": 254}).to_table(), tmp_path / "model.parquet")
        (tmp_path / "options.json").write_text(json.dumps(options))
        script = [sys.executable, "-c", SCORING, str(tmp_path)]
        done = subprocess.run(script, capture_output=True, text=True, check=True, timeout=120)
        found = json.loads(done.stdout)
        assert found["masks"] == 320 and found["scores"] > 20e6  # 65 KB an image, of which 1 MB is kept
        assert found["more"] < 10e6

    def test_of_no_images_there_are_no_masks(self, artifact):
        found = predicted(artifact, self.options, [])
        assert len(found["mask"]) == len(found["probability"]) == 0


class TestMasks:
    @pytest.mark.parametrize(
        ("mask", "what"),
        [
            (np.zeros((40, 40), np.uint8), "mask column 'mask' is of 40 x 40 pixels, its image of 48 x 40, in row 2"),
            (np.full((40, 48), 9, np.uint8), r"mask column 'mask' has the class 9 at pixel \(0, 0\), expected a class from 0 to 2, or 255"),
        ],
    )
    def test_one_that_does_not_fit_is_refused_by_its_row(self, mask, what):
        with pytest.raises(InvalidRows, match=what):
            fit(settings(num_classes=3), masks=[*MASKS[:2], encode_png(mask), *MASKS[3:]])

    def test_one_of_more_classes_than_there_may_be_is_refused_before_training(self):
        masks = [*MASKS[:2], encode_png(np.full((40, 48), 254, np.uint8)), *MASKS[3:]]
        with pytest.raises(InvalidRows, match=r"has the class 254 at pixel \(0, 0\), expected a class from 0 to 253, or 255 .* in row 2"):
            fit(settings(), masks=masks)

    def test_one_of_colours_is_refused(self):
        coloured = encode_png(np.zeros((40, 48, 3), np.uint8))
        with pytest.raises(InvalidRows, match=r"mask column 'mask' is no mask that can be used: .* in row 5"):
            fit(settings(), masks=[*MASKS[:5], coloured, *MASKS[6:]])

    def test_one_for_validation_is_looked_at_too(self):
        masks = [encode_png(np.full((40, 48), 3, np.uint8)) if held else mask for held, mask in zip(HELD, MASKS, strict=True)]
        assert fit(settings(epochs=1), masks=masks, validation=HELD).values["num_classes"] == 4
        with pytest.raises(InvalidRows, match=r"has the class 3 .* in row 0 of a worker's rows for validation"):
            fit(settings(num_classes=3), masks=masks, validation=HELD)

    def test_a_value_that_the_label_map_does_not_have_is_refused(self):
        with pytest.raises(InvalidRows, match=r"has the value [12] at pixel \(\d+, \d+\), which the label map does not have, in row 0"):
            fit(settings(label_map='{"map": {"0": 0}}'))

    def test_pixels_that_are_left_out_are_not_learned_from(self):
        masks = [encode_png(np.where(decode_mask(mask) == 1, IGNORED, decode_mask(mask)).astype(np.uint8)) for mask in MASKS]
        of_files, of_map = fit(settings(), masks=masks), fit(settings(label_map='{"map": {"0": 0, "255": 1, "2": 2}}'))
        assert all(np.array_equal(of_files.arrays[name], array) for name, array in of_map.arrays.items())

    def test_masks_without_any_class_are_refused(self):
        nothing = [encode_png(np.full((40, 48), IGNORED, np.uint8))] * len(MASKS)
        with pytest.raises(InvalidRows, match="every pixel of every mask for training is left out"):
            fit(settings(num_classes=3), masks=nothing)

    def test_validation_has_a_label_map_of_its_own(self):
        doubled = [encode_png(decode_mask(mask) * 2) if held else mask for held, mask in zip(HELD, MASKS, strict=True)]
        found = fit(settings(validation_label_map='{"scale": "2"}'), masks=doubled, validation=HELD)
        assert found.values == {**fit(settings(), validation=HELD).values, **_times(found)}


def _times(artifact):
    """What of an artifact's values is of no other run."""
    return {name: artifact.values[name] for name in ("history",)}


class TestLabelMaps:
    def test_scales_divide(self):
        table = table_of('{"scale": "3"}')
        assert table[[0, 2, 3, 8, 255]].tolist() == [0, 0, 1, 2, IGNORED]

    def test_maps_are_from_classes_to_values(self):
        assert table_of('{"map": {"0": 5, "1": 0, "2": 2}}')[[0, 5, 2, 1, 255]].tolist() == [1, 0, 2, UNKNOWN, IGNORED]

    def test_without_one_values_are_classes(self):
        assert table_of(None).tolist() == list(range(256))

    def test_a_map_may_leave_a_value_out(self):
        assert table_of('{"map": {"0": 0, "255": 11}}')[11] == IGNORED

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("{", "no JSON"),
            ("[]", "must be like"),
            ('{"scale": 1, "map": {}}', "must be like"),
            ('{"map": {}}', "must be an object"),
            ('{"map": {"a": 1}}', "a class must be a whole number from 0 to 255, got 'a'"),
            ('{"map": {"0": 1, "1": 1}}', "the pixel value 1 is given to the classes 0 and 1"),
            ('{"map": {"0": 256}}', "the pixel value of class 0 must be a whole number from 0 to 255, got 256"),
            ('{"scale": 0}', "scale must be a whole number from 1"),
            ('{"scale": true}', "scale must be a whole number from 1"),
        ],
    )
    def test_what_is_none_is_refused(self, text, what):
        with pytest.raises(ValueError, match=what):
            table_of(text)


class TestContradictions:
    @pytest.mark.parametrize(
        ("given", "what"),
        [
            ({"lr_scheduler": "step"}, "lr_scheduler_step is required with lr_scheduler='step'"),
            ({"lr_scheduler": "step", "lr_scheduler_step": "a"}, "lr_scheduler_step must be epochs from 1"),
            ({"lr_scheduler_step": "10, 20"}, "lr_scheduler_step goes with lr_scheduler='step' alone, which is 'poly'"),
            ({"optimizer": "rmsprop", "gamma1": 1.0}, "gamma1 must be < 1"),
            ({"optimizer": "rmsprop", "gamma2": 1.0}, "gamma2 must be < 1"),
            ({"early_stopping": True, "early_stopping_patience": 0}, "early_stopping_patience must be >= 1, got 0"),
            ({"early_stopping": True}, "early_stopping=True goes by the mIOU of rows for validation"),
            ({"label_map": "{"}, "label_map: no JSON"),
        ],
        ids=str,
    )
    def test_they_are_named(self, given, what):
        assert any(what in problem for problem in contradictions(Hyperparameters(**settings(**given)), False))

    @pytest.mark.parametrize(
        ("given", "what"),
        [
            ({"optimizer": "adam", "momentum": 0.5}, "momentum goes with optimizer='sgd' alone, which is 'adam'"),
            ({"optimizer": "adam", "weight_decay": 0.5}, "weight_decay goes with optimizer='sgd' alone"),
            ({"gamma1": 0.5}, "gamma1 goes with optimizer='rmsprop' alone"),
            ({"lr_scheduler_factor": 0.5}, "lr_scheduler_factor goes with lr_scheduler='step' alone"),
            ({"early_stopping_patience": 9}, "early_stopping_patience goes with early_stopping=True alone"),
            ({"small_backbone": True, "backbone": "resnet-101"}, "small_backbone=True takes the place of backbone='resnet-101'"),
        ],
        ids=str,
    )
    def test_what_has_no_effect_is_named_where_it_differs_from_the_default(self, given, what):
        defaults = Hyperparameters(**{name: param.default for name, param in SemanticSegmenterParams.declared.items()})
        found = without_effect(Hyperparameters(**settings(**given)), defaults)
        assert len(found) == 1 and what in found[0]
        assert without_effect(Hyperparameters(**settings(optimizer="adam", momentum=0.9)), defaults) == []
