"""Pictures of clocks."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

from au3dmm.core.clock import ClockModel, fit_trigger_clock
from au3dmm.core.motion_sync import fit_motion_clock
from au3dmm.errors import SchemaError
from au3dmm.io.clock import Clock, write_clock
from au3dmm.report import clock_picture
from au3dmm.report.clock_picture import draw_clock
from au3dmm.stages.sync_motion import MotionClock, motion_evidence
from au3dmm.stages.sync_triggers import trigger_evidence
from simulated_motion import simulate

STATED = Clock("start", 123_456.0, 0.0, None, None, None, None, None, 0, 0, 1)


def from_triggers(lost: int = 0, false: int = 0, n: int = 200) -> tuple[Clock, dict]:
    rng = np.random.default_rng(0)
    t, kind = np.arange(n) * 16_000, np.tile([0, 1], n // 2)
    edge = ClockModel(5e6, 20.0).to_event_us(t) + np.rint(rng.normal(0, 5, n)).astype(np.int64)
    keep = np.r_[np.ones(4, bool), np.arange(4, n) >= 4 + lost]
    more = rng.integers(edge[0], edge[-1], false)
    fit = fit_trigger_clock(
        np.r_[edge[keep], more], t, edge_kind=np.r_[kind[keep], np.zeros(false, int)], exposure_kind=kind
    )
    numbers = (fit.residual_us, fit.uncertainty_us, fit.n_matched, fit.n_expected, fit.n_edges)
    clock = Clock("trigger", fit.model.offset_us, fit.model.drift_ppm, *numbers, 0, 0, 1)
    return replace(clock, offset_std_us=fit.offset_std_us, drift_std_ppm=fit.drift_std_ppm), trigger_evidence(fit)


def from_motion() -> tuple[Clock, dict]:
    case = simulate(10, seconds=8, mismatch=0.1)
    fit = fit_motion_clock(case.t_rgb_us, case.energy, case.rate)
    clock = Clock("motion", fit.model.offset_us, 0.0, None, fit.uncertainty_us, None, None, None, 0, 0, 1)
    return replace(clock, drift_std_ppm=50.0), motion_evidence(MotionClock(fit, "frame", 0.2))


def pixels(png: bytes) -> np.ndarray:
    return np.rint(255 * imread(io.BytesIO(png))[..., :3]).astype(int)


def has(image: np.ndarray, colour: str) -> int:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return int((np.abs(image - rgb).max(2) <= 12).sum())


def test_equal_clocks_give_equal_pictures_whatever_the_users_settings(tmp_path: Path) -> None:
    clock, evidence = from_triggers(3, 2)
    first = draw_clock(clock, evidence, "s01")
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30}):
        assert draw_clock(clock, evidence, "s01") == first
        assert matplotlib.rcParams["font.size"] == 30
    assert draw_clock(clock, evidence, "s02") != first


def test_lost_and_spurious_edges_are_marked() -> None:
    whole = pixels(draw_clock(*from_triggers(), "s"))
    marked = pixels(draw_clock(*from_triggers(lost=12, false=15), "s"))
    # the legend has one of each anyway
    assert has(marked, clock_picture._RED) > 3 * has(whole, clock_picture._RED) > 0
    assert has(marked, clock_picture._GREEN) > 3 * has(whole, clock_picture._GREEN) > 0
    assert has(whole, clock_picture._BLUE) > 100 < has(whole, clock_picture._ORANGE)


def test_motion_shows_its_doubt_as_a_band() -> None:
    clock, evidence = from_motion()
    band = "#f5d79b"  # the orange of two standard errors, thinned

    def width(uncertainty_us: float) -> int:
        return has(pixels(draw_clock(replace(clock, uncertainty_us=uncertainty_us), evidence, "s")), band)

    narrow, wide = width(3_000.0), width(12_000.0)
    assert wide > 2.5 * narrow > 0


def test_long_lists_are_thinned_out_and_short_ones_kept() -> None:
    evidence = from_triggers(n=6000)[1]
    assert len(evidence["t_rgb_us"]) == len(evidence["residual_us"]) == len(evidence["edge"]) == 2000
    assert (evidence["t_rgb_us"][0], evidence["t_rgb_us"][-1]) == (0, 5999 * 16_000)
    assert len(from_triggers()[1]["t_rgb_us"]) == 200


@pytest.mark.parametrize("method", ["start", "shared"])
def test_what_was_not_measured_is_said_to_be_so(method: str) -> None:
    image = pixels(draw_clock(replace(STATED, method=method), {"kind": method}, "s"))
    assert image.shape[0] < 300  # a strip of text, no axes
    assert (has(image, clock_picture._RED) > 100) == (method == "start")


def test_a_warning_is_shown() -> None:
    clock, evidence = from_triggers()
    plain = pixels(draw_clock(clock, evidence, "s"))
    warned = pixels(draw_clock(replace(clock, warnings=("edges are swapped",)), evidence, "s"))
    assert has(warned[-40:], clock_picture._RED) > has(plain[-40:], clock_picture._RED) == 0


def test_it_is_drawn_from_the_file_and_old_or_broken_files_are_named(tmp_path: Path) -> None:
    clock, evidence = from_triggers()
    (tmp_path / "session.toml").write_text(
        '[session]\nsession_id = "s01"\nsubject_id = "p01"\n[rgb]\nfile = "rgb.mp4"\n'
    )
    paths = {"session": tmp_path, "clock": tmp_path / "clock.json", "clock_picture": tmp_path / "clock.png"}
    write_clock(paths["clock"], clock, {}, evidence)
    assert clock_picture.run(**paths) == {"kind": "trigger"}
    assert paths["clock_picture"].read_bytes() == draw_clock(clock, evidence, "s01")
    del evidence["edge"]
    write_clock(paths["clock"], clock, {}, evidence)
    with pytest.raises(SchemaError, match=r"clock\.json: evidence is incomplete \(KeyError\('edge'\)\); run the sync"):
        clock_picture.run(**paths)
    with pytest.raises(SchemaError, match="evidence is incomplete"):
        draw_clock(clock, {"kind": "motion", "curve": []}, "s")
