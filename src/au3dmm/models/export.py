"""A network as a program without Python: `torch.export` and ONNX."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from au3dmm.models.network import Network


class _Outputs(nn.Module):
    """A network whose answer is a plain tuple of the heads that it has."""

    def __init__(self, model: Network) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, padding: Tensor) -> tuple[Tensor, ...]:
        return tuple(head for head in self.model(x, padding) if isinstance(head, Tensor))


def export_program(model: Network, *, n_frames: int | None = None) -> ExportedProgram:
    """Export for any number of clips of `n_frames` frames.

    Parameters
    ----------
    model : Network
        Exported as in evaluation; left in the mode that it was in.
    n_frames : int or None
        Frames of a clip; None: the longest that the network takes.

    Returns
    -------
    ExportedProgram
        ``program.module()(x, padding)`` answers a tuple: what `output_names` says, in this order.
    """
    with _in_evaluation(model):
        return torch.export.export(_Outputs(model).eval(), example(model, n_frames), dynamic_shapes=_any_batch())


def onnx_bytes(model: Network, *, n_frames: int | None = None) -> bytes:
    """Return `model` as an ONNX file, for any number of clips of `n_frames` frames.

    Inputs are named ``x`` and ``padding`` (bool), outputs as in `output_names`. Needs the packages onnx and onnxscript.

    Raises
    ------
    ModuleNotFoundError
        One of the two is not installed.
    """
    import onnx  # noqa: F401  # named here, so that its absence is said before the export, not at its end
    import onnxscript  # noqa: F401

    with _in_evaluation(model):
        converted = torch.onnx.export(
            _Outputs(model).eval(),
            example(model, n_frames),
            input_names=["x", "padding"],
            output_names=output_names(model),
            dynamic_shapes=_any_batch(),
            dynamo=True,
            verbose=False,
        )
    assert converted is not None
    data: bytes = converted.model_proto.SerializeToString()
    return data


def output_names(model: Network) -> list[str]:
    """Return the names of `Prediction`'s fields that `model` fills."""
    x, padding = example(model, 1)
    with _in_evaluation(model):
        answer = model(x, padding)
    return [name for name, head in answer._asdict().items() if head is not None]


def example(model: Network, n_frames: int | None = None) -> tuple[Tensor, Tensor]:
    """Return zeros of the shape that `model` takes, two clips, and padding that hides the first frame of the first."""
    options = model.config["options"]
    size: tuple[int, ...] = (options["n_alpha"],)
    if model.INPUT == "frames":
        size = (options["channels"], options["image_px"], options["image_px"])
    shape = (2, n_frames or model.n_frames)
    weight = next(model.parameters())
    padding = torch.zeros(shape, dtype=torch.bool, device=weight.device)
    padding[0, 0] = True
    return torch.zeros(*shape, *size, device=weight.device, dtype=weight.dtype), padding


def _any_batch() -> tuple[dict[int, Dim], dict[int, Dim]]:
    batch = Dim("B", min=1, max=65536)
    return {0: batch}, {0: batch}


@contextmanager
def _in_evaluation(model: Network) -> Iterator[None]:
    """Run with `model` in evaluation, without what torch's exporter says of its own insides."""
    before = model.training
    registry = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registry.level
    model.eval()
    registry.setLevel(logging.ERROR)  # four lines about torchvision, which no network here uses
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # of lists of an LSTM's weights, of names of axes, of functions that torch itself should no longer call
            warnings.simplefilter("ignore")
            yield
    finally:
        registry.setLevel(level)
        model.train(before)
