"""Offsets with a known truth: 30 of ICT-FaceKit's expressions on 5023 of its vertices, as 22 actors show them.

Every actor moves in a way of its own: each expression is scaled by a smooth field over the face (25 %) and bent aside
(8 %). Twelve actors speak (mouth and jaw, all at once), ten perform one to three action units per take. On top lie
0.1 mm of smooth registration noise and 0.03 mm of white noise. Offsets are 2 mm (rms) in size.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

N_VERTICES, N_ACTORS, N_SPEAKERS = 5023, 22, 12
_UPPER = ("brow", "eye", "cheek", "nose")


class IctOffsets:
    """Generator of offsets (n, 3 V), m, and of the true shapes (30, 3 V) behind them."""

    def __init__(self, path: Path) -> None:
        model = np.load(path)
        rng = np.random.default_rng(1)
        chosen = np.sort(rng.choice(11_248, N_VERTICES, replace=False))
        self.points = (model["neutral"] * 0.01)[chosen].astype(np.float32)
        names = [str(name) for name in model["names"]]
        motion = model["expression"] * 0.01
        self.shapes: dict[str, np.ndarray] = {}
        for name in names:
            base = name[:-2] if name.endswith(("_L", "_R")) else name
            if base in self.shapes or base.startswith(("eyeLook", "Pupil")):
                continue
            both = sum(motion[names.index(n)] for n in names if n in (base, f"{base}_L", f"{base}_R"))[chosen]
            if np.linalg.norm(both, axis=1).max() > 1e-3:
                self.shapes[base] = both.astype(np.float32)
        self.truth = np.array(list(self.shapes.values()), np.float32)
        self.lower = [i for i, name in enumerate(self.shapes) if not name.startswith(_UPPER)]
        self.blink = list(self.shapes).index("eyeBlink")
        self.actors = [self._actor(a) for a in range(N_ACTORS)]
        smooth = [self._field(np.random.default_rng(900 + i), 8, 0.02) for i in range(60)]
        self.noise = np.array([np.repeat(field, 3) for field in smooth], np.float32)

    def _field(self, rng: np.random.Generator, bumps: int = 6, width_m: float = 0.04) -> np.ndarray:
        """Return a smooth function (V, 1) on the face: a few Gaussian bumps of random height."""
        centres = self.points[rng.choice(len(self.points), bumps)]
        squared = ((self.points[:, None] - centres) ** 2).sum(-1)
        return (np.exp(-squared / (2 * width_m**2)) @ rng.normal(size=bumps))[:, None]

    def _actor(self, number: int) -> np.ndarray:
        rng = np.random.default_rng(100 + number)
        own = [
            shape * (1 + 0.25 * self._field(rng))
            + 0.08 * np.linalg.norm(shape, axis=1, keepdims=True) * rng.normal(size=3)
            for shape in self.truth
        ]
        return np.array(own, np.float32).reshape(len(self.truth), -1)

    def _take(self, rng: np.random.Generator, speaks: bool, length: int) -> np.ndarray:
        t = np.linspace(0, 1, length)
        track = np.zeros((length, len(self.truth)))
        if not speaks:
            for j in rng.choice(len(self.truth), rng.integers(1, 4), replace=False):
                centre, width = rng.uniform(0.35, 0.65), rng.uniform(0.15, 0.3)
                track[:, j] = np.clip(1.3 - np.abs(t - centre) / width, 0, 1) * rng.uniform(0.5, 1)
            return track.astype(np.float32)
        for j in rng.choice(self.lower, 8, replace=False):
            wave = np.convolve(rng.normal(size=length + 40), np.hanning(21) / 4, "same")[20:-20]
            track[:, j] = np.clip(wave * 0.5, 0, 1)
        if rng.random() < 0.5:
            centre = rng.uniform(0.2, 0.8)
            track[:, self.blink] = np.clip(1 - np.abs(t - centre) * length / 8, 0, 1)
        return track.astype(np.float32)

    def takes(self, n: int, seed: int = 7) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (actor, offsets) take by take until n frames are made."""
        rng = np.random.default_rng(seed)
        made = number = 0
        while made < n:
            actor = number % N_ACTORS
            length = min(n - made, int(rng.integers(90, 160)))
            x = self._take(rng, actor < N_SPEAKERS, length) @ self.actors[actor]
            x += (rng.normal(size=(length, len(self.noise))) * 1e-4 / np.sqrt(20)).astype(np.float32) @ self.noise
            x += rng.standard_normal(x.shape, dtype=np.float32) * 3e-5
            yield actor, x
            made += length
            number += 1

    def write(self, path: Path, n: int) -> np.ndarray:
        """Write n frames to an npy file and return it as a read-only memmap."""
        out = np.lib.format.open_memmap(path, "w+", np.float32, (n, 3 * N_VERTICES))
        at = 0
        for _, x in self.takes(n):
            out[at : at + len(x)] = x
            at += len(x)
        out.flush()
        del out
        return np.load(path, mmap_mode="r")
