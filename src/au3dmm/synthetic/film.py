"""Film a synthetic person with the two cameras of a setup: RGB frames, and the events of what happens in between.

The two cameras stand side by side and differ in focal length; nothing in a session says how (a real pair is not
calibrated either).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from au3dmm.core.camera import Pose, focal_from_field_of_view
from au3dmm.synthetic.event_simulation import EventPixels, Sensor
from au3dmm.synthetic.motion import Performance, activation
from au3dmm.synthetic.person import Person
from au3dmm.synthetic.render import View, ViewPainter, look_at, soft_background, to_srgb
from au3dmm.synthetic.session_setup import Setup

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
# brightness of the event camera's darkest grey: keeps the logarithm of pits and pupils finite
_DARK = 0.02
_GRAIN = 1 << 21
EVENT_TARGET_M = (0.0, -0.025, 0.0)
"""What the event camera is aimed at: the middle of the face."""


@dataclass(frozen=True)
class Film:
    """Someone who does something before two cameras; times are of the RGB clock, us.

    Attributes
    ----------
    person : Person
        Who.
    performance : Performance
        What.
    setup : Setup
        Cameras and clocks.
    room : int
        Seed of the background.
    """

    person: Person
    performance: Performance
    setup: Setup
    room: int = 0

    def moves(
        self, t_rgb_us: NDArray[np.number]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return alpha_au (T, K), rotation vectors (T, 3), rad, and shifts of the pivot (T, 3), m."""
        t_s = (np.asarray(t_rgb_us, np.float64) - self.setup.first_pts_us) * 1e-6
        alpha_au = activation(self.performance.movements, self.person.bases.names_au, t_s)
        return alpha_au, *self.performance.head(t_s)

    def pose(self, t_rgb_us: NDArray[np.number], view: View) -> Pose:
        """Return the poses of the head as a camera sees them."""
        _, turn, shift = self.moves(t_rgb_us)
        rotation = Rotation.from_rotvec(turn).as_matrix()
        return view.head_pose(rotation, self.person.head_place(rotation, shift))

    def rgb_frames(
        self, t_rgb_us: NDArray[np.number], rng: np.random.Generator, count: Callable[[], None]
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield RGB frames (H, W, 3); `count` is called after each."""
        view = rgb_view(self.setup)
        painter = self._painter(view, np.eye(3))
        # shifted pieces of one field of noise: drawing as much for each frame took as long as rendering it
        grain = np.float32(self.setup.image_noise) * rng.standard_normal(_GRAIN, np.float32)
        grain = np.concatenate([grain, grain[: 3 * view.width * view.height]])
        for moves in zip(*self.moves(t_rgb_us), strict=True):
            vertices = self.person.placed(*moves)
            first = int(rng.integers(_GRAIN))
            noise = grain[first : first + 3 * view.width * view.height]
            yield to_srgb(painter.picture(vertices, self.person.lit(vertices)), noise)
            count()

    def events(
        self,
        t_rgb_us: NDArray[np.number],
        t_us: NDArray[np.number],
        rng: np.random.Generator,
        count: Callable[[], None],
    ) -> NDArray[np.void]:
        """Return the events between pictures at RGB times (T,), with the times `t_us` (T,) of the event camera.

        Pictures are drawn at half the sensor's resolution: enlarging them again stands for the blur of the lens, and
        takes a quarter of the time.
        """
        sensor = Sensor(*self.setup.event_size, noise_hz=self.setup.background_hz)
        pixels = EventPixels(sensor, rng)
        painter = self._painter(event_view(self.setup).scaled(0.5), _LUMINANCE[:, None])
        empty = _log_brightness(painter.background)
        picture, before = empty.copy(), (slice(0, 0), slice(0, 0))
        for t, *moves in zip(t_us, *self.moves(t_rgb_us), strict=True):
            vertices = self.person.placed(*moves)
            window, drawn = painter.window(vertices, self.person.lit(vertices, _LUMINANCE))
            picture[before] = empty[before]
            picture[window] = _log_brightness(drawn)
            pixels.show(float(t), picture, _around(before, window))
            before = window
            count()
        return pixels.collect()

    def _painter(self, view: View, to_channels: NDArray[np.float64]) -> ViewPainter:
        background = soft_background(view.width, view.height, self.room) @ to_channels
        bases = self.person.bases
        return ViewPainter(view, bases.faces, len(bases.template), background)


def rgb_view(setup: Setup) -> View:
    """Return the RGB camera."""
    width, height = setup.rgb_size
    place = np.array([*setup.rgb_place_m, setup.distance_m])
    axes = look_at((*setup.rgb_target_m, 0.0), place)
    return View(width, height, focal_from_field_of_view(width, 60.0), place, axes)


def event_view(setup: Setup) -> View:
    """Return the event camera beside it."""
    width, height = setup.event_size
    place = np.array([*setup.event_place_m, 0.97 * setup.distance_m])
    return View(width, height, 0.8 * width, place, look_at(EVENT_TARGET_M, place, roll_rad=0.02))


def _log_brightness(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.log(picture[..., 0] + np.float32(_DARK)))


def _around(a: tuple[slice, slice], b: tuple[slice, slice]) -> tuple[slice, slice]:
    """Return the smallest window that holds both; an empty one holds nothing."""
    if a[0].stop <= a[0].start or a[1].stop <= a[1].start:
        return b
    rows, columns = (slice(min(x.start, y.start), max(x.stop, y.stop)) for x, y in zip(a, b, strict=True))
    return rows, columns
