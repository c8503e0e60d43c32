import numpy as np
import pytest

from au3dmm.core.intensities import (
    Intensities,
    alpha_covariance,
    by_name,
    correlation_of,
    has_sides,
    intensity_names,
    intensity_noise,
    intensity_std,
    observability,
    states_of,
)
from au3dmm.errors import SchemaError


def reader(units=("AU12", "AU25"), k=3, seed=0):
    """Units whose fields are the first components, each with a left and a right part."""
    rng = np.random.default_rng(seed)
    halves = rng.standard_normal((2, k, 30)) * 1e-3
    gram = np.einsum("sai,sbi->sab", halves, halves)
    n = len(intensity_names(units))
    a = len(units)
    return Intensities(units, gram[:, :a, :a], gram[:, :a], np.zeros((n, 2)), np.ones(n))


def test_a_displacement_that_is_a_units_field_has_intensity_5_of_that_unit_alone():
    found = reader().read(np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 0]]))
    assert np.allclose(found, [[5, 5, 5, 0], [0, 0, 0, 5], [0, 0, 0, 0]], atol=0.15)


def test_intensities_are_linear_in_the_displacement_and_never_negative():
    alpha = np.array([[0.2, 0, 0], [0.4, 0, 0], [2, 0, 0], [-1, 0, 0]])
    whole = reader().read(alpha)[:, 0]
    assert np.allclose(whole[:3], 5 * alpha[:3, 0], atol=0.1)
    assert whole[3] == 0


def test_the_whole_is_the_mean_of_the_sides_and_the_midline_has_none():
    assert intensity_names(("AU12", "AU25", "AU30_left", "AU43/45")) == (
        *("AU12", "AU12_left", "AU12_right", "AU25", "AU30_left"),
        *("AU43/45", "AU43/45_left", "AU43/45_right"),
    )
    assert not has_sides("AU30_left")
    found = by_name(("AU12", "AU25"), np.array([[[4.0, 0], [1, 3]]]))
    assert found.tolist() == [[2, 4, 0, 2]]


def test_what_only_one_half_shows_is_read_on_that_half():
    gram = np.stack([np.diag([1e-6, 1e-9])[:1, :1], np.diag([1e-6, 1e-9])[:1, :1]])
    products = np.array([[[1e-6, 0.0]], [[0.0, 1e-6]]])  # the first component moves the left, the second the right
    one = Intensities(("AU12",), gram, products, np.zeros((3, 2)), np.ones(3))
    assert np.allclose(one.read(np.array([[1.0, 0], [0.5, 1]])), [[2.5, 5, 0], [3.75, 2.5, 5]], atol=0.15)


def test_the_noise_of_an_intensity_knows_of_correlations():
    weights = np.array([[1.0, 1.0], [1.0, 0.0]])
    std = np.array([[0.3, 0.4]])
    together = intensity_noise(weights, std, np.array([[1.0, 1], [1, 1]]))
    apart = intensity_noise(weights, std, np.array([[1.0, -1], [-1, 1]]))
    assert np.allclose(together, [[0.7, 0.3]])
    assert np.allclose(apart, [[0.1, 0.3]])


def test_the_stated_deviation_grows_with_noise_residual_and_intensity():
    residual = np.array([[0.3, 0.5]])
    least = intensity_std(np.array([[0.0]]), np.array([[0.0]]), residual)
    assert np.isclose(least, 0.3)
    assert intensity_std(np.array([[4.0]]), np.array([[0.0]]), residual) > 2
    assert intensity_std(np.array([[0.0]]), np.array([[2.0]]), residual) > 2


def test_a_landmark_that_does_not_move_determines_nothing():
    neutral = np.random.default_rng(1).standard_normal((20, 3)) * 0.05
    components = np.zeros((2, 20, 3))
    components[0, 3, 1] = 0.005
    camera = 1600 * np.eye(3)[None, :2]
    seen = alpha_covariance(neutral, components, np.ones(20), camera, np.array([0.7]))
    assert seen[0, 0, 0] < 0.05
    assert np.isclose(seen[0, 1, 1], 1)
    assert np.allclose(np.diag(correlation_of(seen)), 1)
    # a component along the line of sight is not seen either
    components[0] = 0
    components[0, 3, 2] = 0.005
    unseen = alpha_covariance(neutral, components, np.ones(20), camera, np.array([0.7]))
    assert unseen[0, 0, 0] > 0.9


def test_noise_and_what_the_basis_cannot_tell_both_make_a_unit_unobservable():
    found = observability(np.array([0.95, 0.95, 0.1]), np.array([0.2, 2.0, 0.1]))
    assert states_of(found) == ("observable", "unobservable", "unobservable")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gram": np.ones((2, 1, 1))}, "gram has shape"),
        ({"products": np.full((2, 2, 3), np.nan)}, "products holds values that are not finite"),
        ({"units": ("AU12", "AU12")}, "has shape|one name"),
        ({"gram": np.zeros((2, 2, 2))}, "moves nothing"),
        ({"explained": np.full(4, 2.0)}, "shares outside 0 to 1"),
        ({"units": ("smile", "AU25")}, "'smile' is no action unit"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    good = reader()
    fields = {name: getattr(good, name) for name in ("units", "gram", "products", "residual", "explained")}
    with pytest.raises(SchemaError, match=message):
        Intensities(**{**fields, **change})


def test_coefficients_of_another_basis_are_refused():
    with pytest.raises(SchemaError, match=r"alpha \(1, 2\), expected \(T, 3\)"):
        reader().read(np.zeros((1, 2)))
