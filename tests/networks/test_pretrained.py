"""Weights from elsewhere: files of safetensors and of torch, read without running what is in them, put in place by name and shape."""

from __future__ import annotations

import io
import json
import pickle

import numpy as np
import pytest
import torch

from sparkml_algos.networks.pretrained import put_weights, read_weights
from sparkml_algos.networks.resnet import ResNet


def torch_file(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def safetensors_file(tensors: dict[str, torch.Tensor], metadata: bool = True) -> bytes:
    """The format by its description: a length, a JSON object, the bytes of the tensors."""
    names = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}
    header: dict = {"__metadata__": {"format": "pt"}} if metadata else {}
    data = b""
    for name, tensor in tensors.items():
        raw = tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


TENSORS = {
    "a": torch.arange(6.0).view(2, 3),
    "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
    "brain": torch.tensor([[3.0]], dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "none": torch.empty(0, 4),
}


@pytest.mark.parametrize("write", [torch_file, safetensors_file], ids=["torch", "safetensors"])
def test_a_file_gives_back_its_tensors(write: object) -> None:
    found = read_weights(write(TENSORS), "file")
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor)


def test_bytes_may_come_as_an_array() -> None:
    assert torch.equal(read_weights(np.frombuffer(safetensors_file(TENSORS), np.uint8), "file")["a"], TENSORS["a"])


@pytest.mark.parametrize("nested", ["state_dict", "model"])
def test_a_state_dict_beside_other_things_is_found_and_a_wrapper_left_out(nested: str) -> None:
    content = {"epoch": 3, nested: {f"module.{name}": tensor for name, tensor in TENSORS.items()}}
    assert read_weights(torch_file(content), "file").keys() == TENSORS.keys()


class Runs:
    def __reduce__(self) -> tuple:
        return (print, ("it ran",))


def test_a_file_that_would_run_something_is_refused(capsys: pytest.CaptureFixture) -> None:
    for data in (pickle.dumps(Runs()), torch_file({"a": Runs()})):
        with pytest.raises(ValueError, match=r"w.pth is neither a file of safetensors nor a state dict"):
            read_weights(data, "w.pth")
    assert capsys.readouterr().out == ""


def test_what_is_no_state_dict_is_refused() -> None:
    with pytest.raises(ValueError, match=r"w.pth holds no state dict"):
        read_weights(torch_file([1, 2]), "w.pth")
    with pytest.raises(ValueError, match="neither"):
        read_weights(b"hello", "w.pth")


DAMAGED = {
    "cut off": lambda data: data[:-3],
    "no JSON": lambda data: data[:9] + b"!" + data[10:],
    "other type": lambda data: data.replace(b'"F32"', b'"F99"', 1),
    "other shape": lambda data: data.replace(b"[2, 3]", b"[9, 9]", 1),
}


@pytest.mark.parametrize("how", DAMAGED)
def test_damaged_safetensors_are_refused(how: str) -> None:
    with pytest.raises(ValueError, match=r"w.safetensors is not a file of safetensors"):
        read_weights(DAMAGED[how](safetensors_file(TENSORS)), "w.safetensors")


def test_weights_of_other_classes_leave_the_last_layer_fresh() -> None:
    torch.manual_seed(1)
    elsewhere, network = ResNet(18, 1000), ResNet(18, 5)
    before = network.fc.weight.clone()
    state = {name: tensor for name, tensor in elsewhere.state_dict().items() if "num_batches_tracked" not in name}
    copied = put_weights(network, read_weights(safetensors_file(state), "w"), file="w", fresh=["fc."])
    assert len(copied) == len(state) - 2
    assert torch.equal(network.layer4[1].conv2.weight, elsewhere.layer4[1].conv2.weight) and torch.equal(network.fc.weight, before)


def test_what_does_not_fit_is_told_in_one_message() -> None:
    network = ResNet(18, 5)
    state = dict(network.state_dict())
    del state["conv1.weight"]
    state |= {"layer9.weight": torch.ones(2), "bn1.bias": torch.ones(3)}
    message = (
        r"w.pth are not those of this network: it lacks conv1.weight; it has layer9.weight, .*; bn1.bias has shape \(3,\), expected \(64,\)"
    )
    with pytest.raises(ValueError, match=message):
        put_weights(network, state, file="w.pth")
    with pytest.raises(ValueError, match=r"and 97 more|more"):
        put_weights(network, {}, file="w.pth")


def test_names_may_be_changed_on_the_way() -> None:
    network = ResNet(20, 3)
    state = {f"backbone.{name}": tensor + 1 for name, tensor in network.state_dict().items()}
    put_weights(network, state, file="w", rename=lambda name: name.removeprefix("backbone."))
    assert torch.equal(network.conv1.weight, state["backbone.conv1.weight"])
