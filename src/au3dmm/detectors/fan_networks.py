"""Runs 3D-FAN and the depth network on batches of crops, wherever the crops come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import MIRROR, N_LANDMARKS
from au3dmm.detectors.fan_decode import decode_official, decode_subpixel, drawn_points

Decode = Literal["subpixel", "official"]
Precision = Literal["float32", "mixed"]


@dataclass(frozen=True)
class Read:
    """What the networks read off crops.

    Attributes
    ----------
    cells : (N, 68, 2) float32 array
        x, y in 64ths of the crop's side, from its upper left corner.
    scores : (N, 68) float32 array
        Height of the heatmaps' peaks, kept within 0 to 1.
    depth : (N, 68) float32 array
        In 256ths of the crop's side, positive towards the camera; 0 if it was not asked for.
    """

    cells: NDArray[np.float32]
    scores: NDArray[np.float32]
    depth: NDArray[np.float32]


class FanNetworks:
    """The two networks on a device.

    Parameters
    ----------
    fan : torch.nn.Module
        (N, 3, 256, 256) to heatmaps (N, 68, 64, 64), or a list of such, of which the last counts.
    depth : torch.nn.Module, optional
        (N, 3 + 68, 256, 256) to (N, 68); without it depth is 0.
    device : str
        Of torch.
    decode : {"subpixel", "official"}
        See `fan_decode`.
    flip : bool
        Mean of the heatmaps of each crop and its mirror image: twice the work.
    precision : {"float32", "mixed"}
        mixed: 16 bits where torch thinks it harmless; on CUDA alone.
    batch_size : int
        Crops at a time. Another one changes landmarks by rounding: less than 0.001 px.
    use_compile : bool
        With torch.compile: a minute, and a C++ compiler. Batches are filled up, so that one shape serves.
    """

    def __init__(
        self,
        fan: Any,
        depth: Any | None,
        *,
        device: str = "cpu",
        decode: Decode = "subpixel",
        flip: bool = False,
        precision: Precision = "float32",
        batch_size: int = 8,
        use_compile: bool = False,
    ) -> None:
        import torch

        self.device, self.decode = device, decode
        self.mixed = precision == "mixed" and device.startswith("cuda")
        self._flip, self._batch_size, self._fill = flip, batch_size, use_compile
        layout = torch.channels_last
        self._fan = fan.to(device, memory_format=layout).eval()
        self._depth = None if depth is None else depth.to(device, memory_format=layout).eval()
        if use_compile:
            self._fan = torch.compile(self._fan)
            self._depth = None if self._depth is None else torch.compile(self._depth)

    def __call__(self, cut: Sequence[Callable[[], Any]], *, depth: bool = True) -> Read:
        """Read landmarks off crops.

        Parameters
        ----------
        cut : sequence of callables
            Each returns one crop (3, 256, 256), a float32 tensor on the device. They are called batch by batch, so
            that no more than a batch is in memory.
        depth : bool
            Whether depth is wanted (if there is a depth network).
        """
        import torch

        parts = []
        with _computing(self.device, self.mixed):
            for start in range(0, len(cut), self._batch_size):
                crops = torch.stack([make() for make in cut[start : start + self._batch_size]])
                parts.append(self._batch(crops, depth))
        if not parts:
            none = np.zeros((0, N_LANDMARKS), np.float32)
            return Read(np.zeros((0, N_LANDMARKS, 2), np.float32), none, none)
        return Read(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def _batch(self, crops: Any, depth: bool) -> tuple[NDArray[np.float32], ...]:
        import torch

        n = len(crops)
        if self._fill and n < self._batch_size:
            crops = torch.cat([crops, crops[-1:].expand(self._batch_size - n, -1, -1, -1)])
        crops = crops.contiguous(memory_format=torch.channels_last)
        heatmaps = self._heatmaps(crops)
        if heatmaps.device.type == "mps":  # it has no float64, in which peaks are fitted
            heatmaps = heatmaps.cpu()
        official = self.decode == "official"
        cells, scores = (decode_official if official else decode_subpixel)(heatmaps)
        z = torch.zeros(scores.shape)
        if depth and self._depth is not None:
            drawn = drawn_points(cells, official=official).to(crops.device)
            shown = torch.cat([crops, drawn], 1).contiguous(memory_format=torch.channels_last)
            with _autocast(self.device, self.mixed):
                z = self._depth(shown).to(torch.float32)
        return tuple(t[:n].cpu().numpy() for t in (cells, scores.clamp(0, 1), z))

    def _heatmaps(self, crops: Any) -> Any:
        import torch

        with _autocast(self.device, self.mixed):
            heatmaps = _last(self._fan(crops)).to(torch.float32)
            if self._flip:
                mirrored = _last(self._fan(crops.flip(-1))).to(torch.float32)
                heatmaps = (heatmaps + mirrored[:, MIRROR.tolist()].flip(-1)) / 2
        return heatmaps


def _last(heatmaps: Any) -> Any:
    return heatmaps[-1] if isinstance(heatmaps, list | tuple) else heatmaps


@contextmanager
def _computing(device: str, mixed: bool) -> Iterator[None]:
    """Without gradients; on CUDA, the same sums in the same order each time, and whole float32 unless mixed."""
    import torch

    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        if device.startswith("cuda"):
            flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=mixed)
            stack.enter_context(flags)
        yield


@contextmanager
def _autocast(device: str, mixed: bool) -> Iterator[None]:
    import torch

    if not mixed:
        yield
        return
    with torch.autocast(device.partition(":")[0], dtype=torch.float16):
        yield
