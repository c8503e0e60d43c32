import numpy as np
import pytest

from au3dmm.core.coverage import LEVELS, WIDE, nominal
from au3dmm.errors import SchemaError
from au3dmm.report.calibration import calibration_of
from au3dmm.report.calibration_picture import draw_calibration


def check_that_is_exact(shown=10_000, determined=(0.9, 0.1, 0.3, 0.5)):
    within = [round(shown * nominal(level)) for level in LEVELS]
    counts = {"shown": shown, "within": within}
    both = {"independent": counts, "shared": counts}
    check = {"frames": 150, "noise_px": 1.25, "levels": list(LEVELS), **both, "determined": list(determined)}
    return {"uncertainty": check, "basis": {"names_au": ["c01", "c02", "c03", "c04"]}}


def test_an_exact_check_lies_on_the_diagonal():
    found = calibration_of(check_that_is_exact())
    for points in found.curves.values():
        stated, share = np.array(points).T
        np.testing.assert_allclose(stated, share, atol=1e-4)
    assert found.within["shared"] == pytest.approx((nominal(1.0), nominal(WIDE)), abs=1e-3)
    assert "68 and 95 % where neighbouring landmarks err together" in found.told


def test_components_that_landmarks_hardly_tell_are_named_least_seen_first():
    assert calibration_of(check_that_is_exact()).hardly_seen == ["c02", "c03"]
    assert calibration_of(check_that_is_exact(determined=(0.1,))).hardly_seen == []


def test_where_too_little_moves_nothing_is_claimed():
    found = calibration_of(check_that_is_exact(shown=40))
    assert (found.curves, found.within) == ({}, {})
    assert "Too little moves" in found.told


def test_tables_of_older_versions_tell_of_no_check_and_damaged_ones_are_refused():
    assert calibration_of({}) is None
    assert calibration_of({"uncertainty": None}) is None
    broken = check_that_is_exact()
    del broken["uncertainty"]["shared"]["within"]
    with pytest.raises(SchemaError, match=r"sessions.parquet: the check of the uncertainty is incomplete .*within"):
        calibration_of(broken, "sessions.parquet")
    broken = check_that_is_exact()
    broken["uncertainty"]["independent"]["within"] = [1]
    with pytest.raises(SchemaError, match="incomplete"):
        calibration_of(broken)


@pytest.mark.parametrize("shown", [10_000, 0])
def test_equal_sessions_give_equal_pictures(shown):
    confidence = np.linspace(0.3, 0.8, 50)
    confidence[10:15] = np.nan
    found = calibration_of(check_that_is_exact(shown))
    first = draw_calibration(found, np.arange(50) / 30, confidence, "s01 $x_1")
    assert first.startswith(b"\x89PNG")
    assert draw_calibration(found, np.arange(50) / 30, confidence, "s01 $x_1") == first
    draw_calibration(found, np.arange(3) / 30, np.full(3, np.nan), "s01")
