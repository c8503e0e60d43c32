"""Finds faces' boxes with the S3FD network, whose answers the library reads candidate by candidate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_MEAN_BGR = (104.0, 117.0, 123.0)
_CANDIDATE = 0.05  # score from which a cell takes part in the suppression of doubles
_SAME = 0.3  # boxes that share more than this are one face
_VARIANCES = (0.1, 0.2)
_FIRST_STRIDE = 4  # px between the cells of the finest of its six maps; each further one twice as coarse
_LEAST_PX = 64  # of an image's sides; smaller ones get a black margin, as the coarsest maps would be empty
MAX_FACES = 16  # of an image: each costs as much as a whole frame
MIN_BOX_PX = 4.0
MAX_BOX_SIDES = 2.0  # of the image's longer side: beyond it a crop is all border


class S3fdBoxes:
    """S3FD on a device.

    Parameters
    ----------
    network : torch.nn.Module
        (1, 3, H, W) BGR less its mean, to six pairs of score maps and box maps.
    device : str
        Of torch.
    min_score : float
        Boxes scored lower are none.
    longest_px : int
        Larger images are shrunk to this length of their longer side; 0: never.
    """

    def __init__(self, network: Any, device: str, min_score: float, longest_px: int) -> None:
        self._network = network.to(device).eval()
        self._device, self._min_score, self._longest_px = device, min_score, longest_px

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return x0, y0, x1, y1, score (N, 5) of the faces of an RGB image (H, W, 3), the surest first, px."""
        import torch

        height, width = image.shape[:2]
        shrunk = image
        if self._longest_px and max(height, width) > self._longest_px:
            factor = self._longest_px / max(height, width)
            size = (max(1, round(width * factor)), max(1, round(height * factor)))
            shrunk = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        margin = [(0, max(0, _LEAST_PX - side)) for side in shrunk.shape[:2]]
        seen = np.pad(shrunk, [*margin, (0, 0)])
        planes = torch.from_numpy(np.ascontiguousarray(seen[..., ::-1].transpose(2, 0, 1)))
        mean = torch.tensor(_MEAN_BGR, device=self._device).view(1, 3, 1, 1)
        with torch.inference_mode():
            maps = self._network(planes[None].to(self._device).to(torch.float32) - mean)
            scores = [torch.softmax(m, 1)[0, 1].float().cpu().numpy() for m in maps[0::2]]
            places = [m[0].float().cpu().numpy() for m in maps[1::2]]
        found = distinct(boxes_of_maps(scores, places))
        found = found[found[:, 4] > self._min_score]
        found[:, [0, 2]] *= width / shrunk.shape[1]
        found[:, [1, 3]] *= height / shrunk.shape[0]
        return found


def boxes_of_maps(
    scores: Sequence[NDArray[np.floating]], places: Sequence[NDArray[np.floating]]
) -> NDArray[np.float64]:
    """Return the candidates of S3FD's maps.

    Parameters
    ----------
    scores : six (h, w) arrays
        How sure it is of a face at each cell.
    places : six (4, h, w) arrays
        Shift and logarithm of size of the face's box against the cell's own (four strides wide), in units of variances.

    Returns
    -------
    (N, 5) float64 array
        x0, y0, x1, y1, score, from the finest map to the coarsest, px of the image shown.
    """
    found = []
    for level, (score, place) in enumerate(zip(scores, places, strict=True)):
        stride = _FIRST_STRIDE * 2**level
        rows, columns = np.nonzero(score > _CANDIDATE)
        own = np.stack([columns, rows], 1) * stride + stride / 2
        shift, growth = place[:2, rows, columns].T, place[2:, rows, columns].T
        centres = own + shift * _VARIANCES[0] * (4 * stride)
        # a cell of damaged weights must not overflow: no face is e^20 cells large
        sizes = 4 * stride * np.exp(np.minimum(growth * _VARIANCES[1], 20.0))
        low = centres - sizes / 2
        found.append(np.column_stack([low, low + sizes, score[rows, columns]]))
    return np.concatenate(found) if found else np.zeros((0, 5))


def distinct(boxes: NDArray[np.float64], most_shared: float = _SAME) -> NDArray[np.float64]:
    """Return the surest boxes (N, 5), surest first, none of which shares more than `most_shared` with a surer one.

    Areas count whole px (+ 1), as the library counts them.
    """
    left = boxes[np.argsort(boxes[:, 4])[::-1]]
    kept = []
    while len(left):
        best, rest = left[0], left[1:]
        kept.append(best)
        shared = np.minimum(best[2:4], rest[:, 2:4]) - np.maximum(best[:2], rest[:, :2]) + 1
        both = np.prod(np.maximum(shared, 0.0), 1)
        areas = np.prod(rest[:, 2:4] - rest[:, :2] + 1, 1)
        left = rest[both / (np.prod(best[2:4] - best[:2] + 1) + areas - both) <= most_shared]
    return np.array(kept).reshape(-1, 5)


def usable(boxes: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return those of the boxes (N, 5) that are places in an image of this shape that can be cropped, 16 at most."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 5)
    centres, sizes = (boxes[:, :2] + boxes[:, 2:4]) / 2, boxes[:, 2:4] - boxes[:, :2]
    inside = ((centres >= 0) & (centres < (shape[1], shape[0]))).all(1)  # False for NaN, too
    good = inside & (sizes.min(1) >= MIN_BOX_PX) & (sizes.max(1) <= MAX_BOX_SIDES * max(shape[:2]))
    found: NDArray[np.float64] = boxes[good][:MAX_FACES]
    return found
