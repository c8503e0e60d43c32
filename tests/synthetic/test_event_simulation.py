"""Simulated events follow from the brightness, in number, time and sign."""

import numpy as np
import pytest

import au3dmm.synthetic.event_simulation as simulation
from au3dmm.errors import FitError
from au3dmm.io.images import enlarge_linear
from au3dmm.synthetic.event_simulation import EventPixels, Sensor, simulate_events

QUIET = Sensor(width=6, height=4, threshold=0.2, mismatch=0.0, refractory_us=0.0, noise_hz=0.0)


def ramp(change, n=2, step_us=100_000.0, shape=(4, 6)):
    return [(i * step_us, np.full(shape, change * i / (n - 1), np.float32)) for i in range(n)]


def run(pictures, sensor=QUIET, seed=0):
    return simulate_events(pictures, sensor, np.random.default_rng(seed))


def test_a_ramp_gives_one_event_per_threshold_at_even_times():
    events = run(ramp(2.0))
    assert (events["p"] == 1).all()
    for y in range(4):
        for x in range(6):
            t = events["t"][(events["y"] == y) & (events["x"] == x)]
            assert len(t) in (9, 10, 11)
            np.testing.assert_allclose(np.diff(t), 10_000, atol=1.5)


def test_the_first_event_comes_within_one_and_a_half_thresholds():
    events = run(ramp(2.0))
    first = events["t"][:24]
    assert first.min() >= 5_000 - 1
    assert first.max() <= 15_000 + 1
    assert np.ptp(first) > 5_000


def test_darkening_is_brightening_with_the_sign_turned():
    assert (run(ramp(-2.0))["p"] == 0).all()
    assert abs(len(run(ramp(-2.0))) - len(run(ramp(2.0)))) <= 24


def test_more_pictures_of_the_same_ramp_change_nothing():
    few, many = run(ramp(2.0)), run(ramp(2.0, n=6, step_us=20_000.0))
    assert len(few) == len(many)
    np.testing.assert_allclose(np.sort(few["t"]), np.sort(many["t"]), atol=2)


def test_brightness_and_back_gives_balanced_events():
    up = np.full((4, 6), 1.0, np.float32)
    events = run([(0.0, 0 * up), (1e5, up), (2e5, 0 * up)])
    late = events["t"] > 100_000
    assert (events["p"][late] == 0).all()
    assert (events["p"][~late] == 1).all()
    # turning round costs one threshold of dead zone at most
    assert 0 <= (~late).sum() - late.sum() <= 24


def test_an_edge_makes_events_where_it_moves_only():
    shape = (40, 60)
    pictures = []
    for i in range(5):
        image = np.zeros(shape, np.float32)
        image[10:20, : 20 + 5 * i] = 1
        pictures.append((i * 4_000.0, image))
    events = run(pictures, Sensor(60, 40, mismatch=0, noise_hz=0))
    assert set(events["y"].tolist()) == set(range(10, 20))
    assert set(events["x"].tolist()) == set(range(20, 40))


def test_a_still_picture_makes_noise_only_at_its_rate():
    sensor = Sensor(64, 48, noise_hz=2.0)
    still = np.zeros((48, 64), np.float32)
    events = run([(0.0, still), (1e6, still)], sensor)
    assert len(events) == pytest.approx(2 * 64 * 48, rel=0.05)
    assert events["p"].mean() == pytest.approx(0.5, abs=0.03)
    assert len(run([(0.0, still), (1e6, still)], Sensor(64, 48, noise_hz=0.0))) == 0


def test_a_pixel_is_blind_for_the_refractory_time():
    sensor = Sensor(6, 4, mismatch=0.0, refractory_us=3_000.0, noise_hz=0.0)
    events = run(ramp(20.0, step_us=20_000.0), sensor)
    for y in range(4):
        for x in range(6):
            t = events["t"][(events["y"] == y) & (events["x"] == x)]
            assert np.diff(t).min() >= 3_000 - 1
    assert len(events) <= 24 * 7


def test_events_are_in_order_and_a_pixel_speaks_once_per_microsecond():
    sensor = Sensor(16, 12, noise_hz=400.0, refractory_us=0.0)
    events = run(ramp(3.0, step_us=20_000.0, shape=(12, 16)), sensor)
    key = (events["t"] * 12 + events["y"]) * 16 + events["x"]
    assert (np.diff(key) > 0).all()


def test_thresholds_differ_from_pixel_to_pixel():
    sensor = Sensor(64, 48, threshold=0.2, mismatch=0.1, noise_hz=0.0, refractory_us=0.0)
    events = run(ramp(20.0, shape=(48, 64)), sensor)
    count = np.zeros((48, 64))
    np.add.at(count, (events["y"], events["x"]), 1)
    assert count.std() / count.mean() == pytest.approx(0.1, rel=0.15)


def test_thresholds_up_and_down_differ_within_a_pixel():
    sensor = Sensor(64, 48, threshold=0.2, mismatch=0.1, noise_hz=0.0, refractory_us=0.0)
    up, down = (run(ramp(change, shape=(48, 64)), sensor) for change in (20.0, -20.0))
    count = np.zeros((2, 48, 64))
    for way, events in enumerate((up, down)):
        np.add.at(count[way], (events["y"], events["x"]), 1)
    assert abs(np.corrcoef(count.reshape(2, -1))[0, 1]) < 0.1


def film_of_blobs(shape, n=12):
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    for i in range(n):
        blob = np.exp(-0.5 * (((x - 10 - 1.3 * i) / 3) ** 2 + ((y - 12 - 0.6 * i) / 4) ** 2))
        yield 4_000.0 * i, (1.5 * blob).astype(np.float32)


def test_a_picture_of_half_the_size_is_enlarged_on_the_fly():
    sensor = Sensor(80, 60, noise_hz=0.0)
    small = run(film_of_blobs((30, 40)), sensor)
    large = run(((t, enlarge_linear(picture, (60, 80))) for t, picture in film_of_blobs((30, 40))), sensor)
    assert len(small) > 2_000
    # the two enlargements differ in their last bits
    assert abs(len(small) - len(large)) <= 2
    same = np.intersect1d(*(e["t"] * 10_000 + e["y"] * 100 + e["x"] for e in (small, large)))
    assert len(same) > 0.99 * len(small)


def test_a_window_around_what_changes_leaves_nothing_out():
    sensor = Sensor(80, 60, noise_hz=5.0)
    pictures = list(film_of_blobs((30, 40)))
    pixels = EventPixels(sensor, np.random.default_rng(0))
    before = pictures[0][1]
    for t, picture in pictures:
        rows, columns = np.nonzero(picture != before)
        window = (slice(0, 0), slice(0, 0))
        if len(rows):
            window = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
        pixels.show(t, picture, window)
        before = picture
    assert np.array_equal(pixels.collect(), run(pictures, sensor))


def test_a_film_whose_pictures_change_their_size_is_refused():
    with pytest.raises(FitError, match=r"picture 1 is \(2, 3\), the one before \(4, 6\)"):
        run([(0.0, np.zeros((4, 6), np.float32)), (1.0, np.zeros((2, 3), np.float32))])


def test_a_short_buffer_grows_without_losing_events(monkeypatch):
    expected = run(ramp(20.0))
    monkeypatch.setattr(simulation, "_BUFFER", 16)
    assert np.array_equal(run(ramp(20.0)), expected)


def test_the_same_seed_gives_the_same_events():
    sensor = Sensor(6, 4, noise_hz=50.0)
    assert np.array_equal(run(ramp(2.0), sensor, 3), run(ramp(2.0), sensor, 3))
    assert not np.array_equal(run(ramp(2.0), sensor, 3), run(ramp(2.0), sensor, 4))


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (ramp(1.0)[:1], "1 pictures; motion needs two"),
        ([], "0 pictures"),
        (ramp(1.0, shape=(4, 5)), r"picture 0 is \(4, 5\), the sensor \(4, 6\)"),
        ([*ramp(1.0), *ramp(1.0)], r"picture 2 at 0\.0 us follows one at 100000\.0 us"),
    ],
)
def test_films_that_are_none_are_refused(pictures, message):
    with pytest.raises(FitError, match=message):
        run(pictures)
