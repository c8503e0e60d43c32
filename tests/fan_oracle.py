"""The library's own code around small networks, and a network that sees where it looks."""

from types import SimpleNamespace

import numpy as np
import torch


def small_networks(seed=0):
    """Return networks with the shapes of 3D-FAN's and depth's, that are quick and depend on every px."""
    torch.manual_seed(seed)
    fan = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 9, stride=4, padding=4), torch.nn.ReLU(), torch.nn.Conv2d(16, 68, 5, padding=2)
    )
    depth = torch.nn.Sequential(
        torch.nn.Conv2d(71, 4, 16, stride=16), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 16 * 16, 68)
    )
    torch.nn.init.normal_(depth[0].weight, std=0.5)
    torch.nn.init.normal_(depth[3].weight, std=2.0)
    return fan, depth


def library(fan, depth, flip=False):
    """Return the library's FaceAlignment with these networks, built without its weights."""
    from face_alignment import FaceAlignment, LandmarksType

    built = FaceAlignment.__new__(FaceAlignment)
    built.device, built.dtype, built.flip_input, built.verbose = "cpu", torch.float32, flip, False
    built.landmarks_type, built.max_batch_size = LandmarksType.THREE_D, 1
    built.face_detector = SimpleNamespace(reference_scale=195)
    built.face_alignment_net, built.depth_prediciton_net = fan.eval(), depth.eval()
    return built


def interpreted(monkeypatch):
    """Let the library's compiled functions run as they are written: compiling them takes longer than any test."""
    from face_alignment import utils

    for name in ("transform_np", "_get_preds_fromhm"):
        function = getattr(utils, name)
        monkeypatch.setattr(utils, name, getattr(function, "py_func", function))


class SeeingNetwork(torch.nn.Module):
    """Answers with Gaussian peaks where planted landmarks lie in the crop that it is shown.

    Images say themselves where a px is: red is its x, green its y, and blue, 1 to 255, is the number of the frame (0 is
    outside). So crops of any place and size can be understood, as those of faces are.
    """

    def __init__(self, landmarks, height=1.0, width=1.75):
        super().__init__()
        self.landmarks, self.height, self.width = np.asarray(landmarks), height, width
        self.n_seen = 0

    def forward(self, crops):
        self.n_seen += len(crops)
        return torch.stack([self._heatmaps(255 * crop.double().numpy()) for crop in crops]).float()

    def _heatmaps(self, crop):
        brightest = crop[2].max()
        whole = crop[2] > brightest - 0.01  # at the image's border, black is mixed in
        columns, rows = np.flatnonzero(whole.any(0)), np.flatnonzero(whole.any(1))
        if brightest < 0.99 or min(len(columns), len(rows)) < 16:  # hardly anything of the image to be seen
            return torch.zeros(68, 64, 64, dtype=torch.float64)
        frame = round(float(brightest)) - 1
        height = np.broadcast_to(np.asarray(self.height(frame) if callable(self.height) else self.height), 68)
        seen = crop[:, rows][:, :, columns]
        dx, x0 = np.polyfit(columns + 0.5, seen[0, len(rows) // 2], 1)
        dy, y0 = np.polyfit(rows + 0.5, seen[1, :, len(columns) // 2], 1)
        cells = (self.landmarks[frame][:, :2] - (x0, y0)) / (dx, dy) / 4
        centres = np.arange(64) + 0.5
        across = np.exp(-0.5 * ((centres - cells[:, :1]) / self.width) ** 2)
        down = np.exp(-0.5 * ((centres - cells[:, 1:2]) / self.width) ** 2)
        return torch.from_numpy(height[:, None, None] * down[:, :, None] * across[:, None, :])


def seen_image(frame, height=256, width=256):
    """Return the image that `SeeingNetwork` understands: frame number `frame`, from 0."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.full_like(x, frame + 1)], -1).astype(np.uint8)


def planted_face(centre=(128.0, 128.0), size=60.0):
    """Return landmarks (68, 3) of about a face's shape, `size` px between the outer eye corners."""
    rng = np.random.default_rng(3)
    points = rng.uniform((-1.0, -0.5, 0), (1.0, 1.3, 0), (68, 3)) * size * 0.75
    points[36], points[45], points[30] = (-size / 2, 0, 0), (size / 2, 0, 0), (0, size / 2, 0)
    points[:, :2] += centre
    return points
