import subprocess
import sys

import numpy as np
import pytest

from au3dmm.errors import AssetError
from au3dmm.io.labelled_session import find_labelled
from au3dmm.io.tables import names_au, read_table
from au3dmm.report import rerun_recording
from au3dmm.report.rerun_recording import TIMELINE, rerun_module, write_recording
from labelled import label_small
from small_recording import N


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rerun")
    label_small(folder)
    return find_labelled(folder / "s01", bases=folder / "bases.npz")


@pytest.fixture
def rr():
    try:
        import rerun
    except ImportError:
        pytest.skip("SKIPPED LOUDLY: rerun-sdk is not installed; pip install 'au3dmm[rerun]'")
    return rerun


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch, session, tmp_path):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(AssetError, match=r"pip install 'au3dmm\[rerun\]'"):
        write_recording(session, tmp_path / "a.rrd")
    assert not list(tmp_path.iterdir())


def test_a_recording_is_whole_and_holds_everything_on_the_session_clock(rr, session, tmp_path):
    assert rerun_module() is rr
    seen = []
    path = tmp_path / "a.rrd"
    n = write_recording(session, path, progress=lambda done, total: seen.append((done, total)))
    assert n == 2 * N
    assert seen == [(i + 1, 2 * N) for i in range(2 * N)]
    done = subprocess.run([sys.executable, "-m", "rerun", "rrd", "verify", path], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = subprocess.run(
        [sys.executable, "-m", "rerun", "rrd", "print", "-vv", path], capture_output=True, text=True, check=True
    ).stdout
    for entity in (
        "/rgb/image",
        "/rgb/image/detected",
        "/rgb/image/fitted",
        "/head/mesh",
        "/events/image",
        "/fit/rmse_px",
    ):
        assert entity in printed
    for name in names_au(read_table(session.file("labels"))):
        assert f"/coefficients/{name}" in printed
    assert f"index_name: {TIMELINE} " in printed
    assert "log_tick" not in printed


def test_fewer_heads_and_no_person_make_a_smaller_file(rr, session, tmp_path):
    write_recording(session, tmp_path / "a.rrd", mesh_fps=1000)
    write_recording(session, tmp_path / "b.rrd", mesh_fps=1, rgb=False)
    a, b = ((tmp_path / f"{name}.rrd").read_bytes() for name in "ab")
    assert len(b) < len(a)
    assert b"image/jpeg" in a
    assert b"image/jpeg" not in b


def test_a_head_is_painted_by_displacement(session):
    from au3dmm.io.bases import read_bases
    from au3dmm.report.fitted_head import mean_head

    head = mean_head(read_bases(session.bases()))
    paint = rerun_recording._Painter(head, 5.0)
    still, grey = paint.head(np.zeros(head.bases.k_au, np.float32))
    moved, colours = paint.head(np.full(head.bases.k_au, 3, np.float32))
    np.testing.assert_allclose(still, head.head, atol=1e-6)
    assert np.ptp(grey.astype(int), axis=1).max() < 12
    assert np.ptp(colours.astype(int), axis=1).max() > 60
    assert moved.shape == (68, 3)
