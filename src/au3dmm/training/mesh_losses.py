"""What refined faces are taught by (AU-D3DFace, sec. 3.6): landmarks, steadiness, and meshes where they are known.

The loss of action units is `losses.occurrence_loss` (eq. 15). The photometric one needs a renderer that can be
differentiated; there is none here, so it is not offered.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class MeshWeights:
    """Weights of the parts; those that the paper has are its own (eq. 11; lambda_img = 2 is not offered).

    Attributes
    ----------
    landmarks, smooth, units : float
        lambda_lmk, lambda_smooth, lambda_au; what the trainer takes says `LossParams`.
    mesh : float
        Of known meshes, per mm^2: the paper trains without them.
    """

    landmarks: float = 2.0
    smooth: float = 1.0
    units: float = 5.0
    mesh: float = 0.0


def project(points: Tensor, cameras: Tensor) -> Tensor:
    """Return where points of a head appear (eq. 12), px with y down.

    Parameters
    ----------
    points : (B, L, n, 3) Tensor
        m, in the axes of the mesh.
    cameras : (B, L, 3, 4) Tensor
        ``h = camera @ (X, 1)`` appears at ``h[:2] / h[2]`` (`io.seen_landmarks`). With a last row of 0, 0, 0, 1 they
        are affine; the printed s, R and t are a case of those.

    Returns
    -------
    (B, L, n, 2) Tensor
        px
    """
    seen = points @ cameras[..., :3].transpose(-1, -2) + cameras[..., None, :, 3]
    return seen[..., :2] / seen[..., 2:]


def landmark_points(motion: Tensor, directions: Tensor, neutral: Tensor) -> Tensor:
    """Return the landmarks (B, L, n, 3), m, of motion (B, L, R), mm, from neutral ones (B, n, 3), m.

    `directions` (R, n, 3), m per mm: `MotionSpace.landmarks`.
    """
    return neutral[:, None] + torch.einsum("blr,rnd->blnd", motion, directions)


def landmark_loss(projected: Tensor, landmarks: Tensor, unit_px: Tensor, known: Tensor) -> Tensor:
    """Return the mean distance of projected from found landmarks, 0 if none is known.

    Eq. 13 in outer eye distances and per landmark, so that neither the image's size nor their number matters.

    Parameters
    ----------
    projected, landmarks : (B, L, n, 2) Tensors
        px; what stands in frames that are not known does not count.
    unit_px : (B, L) Tensor
        Outer eye distance, px.
    known : (B, L) bool Tensor
        Whether the frame's landmarks were found.
    """
    # the root of 0 has no gradient: a landmark that is met exactly must not make it NaN
    squared = ((projected - landmarks)[known] ** 2).sum(-1)
    away = (squared + 1e-12).sqrt() / unit_px[known][:, None]
    return away.sum() / max(away.numel(), 1)


def smoothness_loss(temporal: Tensor, there: Tensor) -> Tensor:
    """Return the mean absolute difference of neighbouring frames' embeddings, 0 if no two are neighbours.

    Eq. 14 divided by its number of terms, (L - 1) d: the weight then depends neither on the clip nor on the network.

    Parameters
    ----------
    temporal : (B, L, d) Tensor
        z.
    there : (B, L) bool Tensor
        Where frames are.
    """
    pairs = there[:, 1:] & there[:, :-1]
    difference = (temporal[:, 1:] - temporal[:, :-1])[pairs].abs()
    return difference.sum() / max(difference.numel(), 1)


def mesh_loss(motion: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Return the mean squared distance of vertices from where they truly are, mm^2, 0 if no truth is known.

    Parameters
    ----------
    motion, truth : (B, L, R) Tensors
        Coordinates in a motion space, mm: the squared length is the mean square over vertices.
    known : (B, L) bool Tensor
        Where the truth is.
    """
    each = ((motion.float() - truth)[known] ** 2).sum(-1)
    return each.sum() / max(each.numel(), 1)
