import base64

import numpy as np
import pytest

from au3dmm.report.session_charts import TimeAxis, heat_map, pooled, status_runs
from au3dmm.report.session_head import as_bytes, component_strength, head_data, stride_for
from demo_basis import few_components


@pytest.fixture(scope="module")
def bases():
    return few_components()


def test_the_strongest_component_is_the_one_that_moves_the_face_most(bases):
    size = np.sqrt((bases.components_au**2).sum(2).mean(1))
    alpha = np.array([[1.0, 2.0, 0.5]]) / size  # so that the second moves twice as much as the first
    strength = component_strength(np.concatenate([alpha, [[np.nan] * 3]]), bases)
    assert strength.order.tolist() == [1, 0, 2]
    assert np.allclose(strength.share, np.array([1, 4, 0.25]) / 5.25)
    assert np.allclose(strength.largest, alpha[0])


def test_components_that_do_not_fit_are_left_out_the_weakest_first(bases):
    strength = component_strength(np.array([[0.1, 3.0, 2.0]]), bases)
    whole = head_data(bases, strength)
    room = 6 * len(bases.template) + 2 * bases.faces.size + 8 * sum(whole["counts"][:2])  # the mesh and two components
    head = head_data(bases, strength, room=room)
    assert head["which"] == strength.order[:2].tolist()
    assert head["left_out"] == 1
    assert head["shown"] == pytest.approx(strength.share[head["which"]].sum())
    assert sum(len(base64.b64decode(head[key])) for key in ("vertices", "faces", "places", "components")) <= room


def test_a_component_that_nothing_moves_takes_no_room(bases):
    head = head_data(bases, component_strength(np.array([[0.0, 1.0, 0.0]]), bases))
    assert head["which"] == [1]
    assert head["left_out"] == 0


def test_signed_coefficients_survive_as_bytes():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 4)) * [1, 10, 0.1, 0]
    said = as_bytes(values, 0.0)
    found = said["low"] + np.frombuffer(base64.b64decode(said["data"]), np.uint8).reshape(50, 4) * np.array(
        said["step"]
    )
    assert (np.abs(found - values) <= 0.51 * np.array(said["step"]) + 1e-6).all()


@pytest.mark.parametrize(("n", "k"), [(1, 1), (9000, 32), (9000, 128), (300_000, 53)])
def test_what_is_shown_fits_its_room(n, k):
    stride = stride_for(n, 3, k)
    assert len(range(0, n, stride)) * 3 * k <= 1_150_000 + 3 * k
    assert stride == 1 or len(range(0, n, stride - 1)) * 3 * k > 1_150_000


def test_pooling_keeps_every_peak():
    rng = np.random.default_rng(1)
    y = rng.normal(size=10_000)
    y[[17, 4_321]] = 50, -60
    y[9_000:9_100] = np.nan
    x, z = pooled(np.arange(10_000) / 1e4, y, 100)
    assert len(x) <= 200
    assert (np.nanmax(z), np.nanmin(z)) == (50, -60)
    assert (np.diff(x) > 0).all()
    assert np.isnan(z).any()


def test_runs_cover_the_axis_and_many_short_ones_become_the_worst_of_them():
    rng = np.random.default_rng(2)
    n = 20_000
    status = np.where(rng.random(n) < 0.3, "no_face", "ok").tolist()
    runs = status_runs(np.linspace(0, 1, n), status)
    assert len(runs) == 1500
    assert sum(run.width for run in runs) == pytest.approx(100, abs=1.5)
    assert all(("no_face" in status[run.first : run.last + 1]) == (run.status == "no_face") for run in runs)


def test_the_map_shows_the_largest_of_each_stretch_and_grey_where_nothing_is():
    n = 6000  # four rows of the table in a column of the map
    values = np.zeros((n, 2))
    values[1001, 1] = 1.0
    values[3000:4000] = np.nan
    picture = heat_map((np.arange(n) + 0.5) / n, values, np.ones(2))
    assert picture.shape == (2, 1500, 3)
    brightest, darkest = (254, 232, 56), (0, 34, 78)  # cividis
    assert np.abs(picture[1, 250].astype(int) - brightest).max() <= 2
    assert np.abs(picture[0, 250].astype(int) - darkest).max() <= 2
    assert (picture[:, 755:995] == 128).all()


def test_a_time_axis_is_never_empty():
    assert TimeAxis.over(np.zeros(0, np.int64)).seconds == 1
    assert TimeAxis.over(np.array([7])).ticks()[0] == (0.0, "0")
