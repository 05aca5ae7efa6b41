"""Residual networks have the parameters of the papers and of torchvision, and stages of the sizes that detection and segmentation need."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sparkml_algos.networks.images import IMAGENET_DEVIATION, IMAGENET_MEAN, to_input
from sparkml_algos.networks.resnet import DEPTHS, SMALL_DEPTHS, ResNet

# As torchvision's documentation tells them, with 1,000 classes; depth 200 as timm's does.
PARAMETERS = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808, 200: 64_673_832}


def on_paper(*arguments: object, **options: object) -> ResNet:
    with torch.device("meta"):
        return ResNet(*arguments, **options)


@pytest.mark.parametrize("depth", DEPTHS)
def test_large_networks_have_the_parameters_of_torchvisions(depth: int) -> None:
    assert sum(parameter.numel() for parameter in on_paper(depth, 1000).parameters()) == PARAMETERS[depth]


@pytest.mark.parametrize("depth", [*DEPTHS, *SMALL_DEPTHS])
def test_a_network_has_as_many_layers_as_it_says(depth: int) -> None:
    network = on_paper(depth, 10)
    layers = [m for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear) and "downsample" not in name]
    assert len(layers) == depth


def test_names_and_shapes_are_torchvisions() -> None:
    named = {name: tuple(tensor.shape) for name, tensor in on_paper(50, 1000).state_dict().items()}
    expected = {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_mean": (64,),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.0.downsample.1.bias": (256,),
        "layer2.3.conv2.weight": (128, 128, 3, 3),
        "layer3.5.conv3.weight": (1024, 256, 1, 1),
        "layer4.2.bn3.num_batches_tracked": (),
        "fc.weight": (1000, 2048),
    }
    assert {name: named[name] for name in expected} == expected and len(named) == 320
    assert tuple(on_paper(18, 10).state_dict()["layer2.0.downsample.0.weight"].shape) == (128, 64, 1, 1)


def test_twenty_layers_have_the_parameters_of_the_paper() -> None:
    # 0.27 million with shortcuts without parameters; those of two are convolutions of 1 x 1 here.
    network = on_paper(20, 10)
    shortcuts = sum(parameter.numel() for name, parameter in network.named_parameters() if "downsample" in name)
    assert sum(parameter.numel() for parameter in network.parameters()) - shortcuts == 269_722


@pytest.mark.parametrize("stride", [8, 16, 32])
@pytest.mark.parametrize("depth", [18, 50])
def test_stages_have_the_channels_and_strides_that_they_say(depth: int, stride: int) -> None:
    network = ResNet(depth, output_stride=stride).eval()
    with torch.inference_mode():
        found = network.stages(torch.zeros(1, 3, 96, 64))
    for stage, channels, step in zip(found, network.stage_channels, (4, 8, 16, 32), strict=True):
        assert tuple(stage.shape) == (1, channels, 96 // min(step, stride), 64 // min(step, stride))


def test_small_networks_leave_the_image_as_it_is_at_first() -> None:
    network = ResNet(20, 7, 1).eval()
    with torch.inference_mode():
        found = network.stages(torch.zeros(2, 1, 28, 28))
        scores = network(torch.zeros(2, 1, 28, 28))
    assert [tuple(stage.shape) for stage in found] == [(2, 16, 28, 28), (2, 32, 14, 14), (2, 64, 7, 7)]
    assert scores.shape == (2, 7)


@torch.inference_mode()
def test_a_dilated_stage_sees_what_the_strided_one_sees_at_its_places() -> None:
    """At every other place of every other row the dilated network is the strided one: same weights, same neighbours."""
    torch.manual_seed(0)
    strided, dilated = ResNet(18).double().eval(), ResNet(18, output_stride=16).double().eval()
    dilated.load_state_dict(strided.state_dict())
    images = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    torch.testing.assert_close(dilated.stages(images)[-1][:, :, ::2, ::2], strided.stages(images)[-1])


def test_dilations_are_those_of_torchvision() -> None:
    network = on_paper(50, output_stride=8)
    found = [[block.conv2.dilation[0] for block in layer] for layer in (network.layer2, network.layer3, network.layer4)]
    assert found == [[1, 1, 1, 1], [1, 2, 2, 2, 2, 2], [2, 4, 4]]


@pytest.mark.parametrize(
    ("arguments", "message"), [((19,), "num_layers must be one of 18, 34"), ((50, 10, 3, 4), "output_stride must be 8, 16")]
)
def test_others_are_refused(arguments: tuple, message: str) -> None:
    depth, *rest = arguments
    with pytest.raises(ValueError, match=message):
        ResNet(depth, *rest[:2], **({"output_stride": rest[2]} if len(rest) > 2 else {}))


def test_images_enter_in_units_of_imagenet_with_channels_last() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 3), np.uint8)
    found = to_input(images, "cpu")
    expected = (images / 255 - IMAGENET_MEAN) / IMAGENET_DEVIATION
    np.testing.assert_allclose(found.permute(0, 2, 3, 1).numpy(), expected, rtol=1e-5, atol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last) and found.dtype == torch.float32
    assert to_input(images[:, :, :, :1], "cpu").shape == (2, 1, 5, 6)
    assert to_input(images[:0], "cpu").shape == (0, 3, 5, 6)
