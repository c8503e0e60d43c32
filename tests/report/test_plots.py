import hashlib
import io
import json

import matplotlib
import numpy as np
import pytest
from PIL import Image

from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.labelled_session import find_labelled
from au3dmm.io.predictions import PredictionRows, write_predictions
from au3dmm.io.tables import read_metadata, read_table, vectors, write_table
from au3dmm.io.video import VideoFrames
from au3dmm.report.moments import MeshPictures, read_moments, regressed, rgb_images
from au3dmm.report.plots_coefficients import coefficients_figure, draw_coefficients, read_curves
from au3dmm.report.plots_fit import draw_fit
from au3dmm.report.plots_frames import draw_frames
from au3dmm.report.plots_style import print_style, suffix_of, width_inches
from au3dmm.report.render_video import film_rows, render
from labelled import label_small
from small_recording import N


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plots")
    label_small(folder)
    return find_labelled(folder / "s01", bases=folder / "bases.npz")


def size_of(png):
    return Image.open(io.BytesIO(png)).size


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_equal_sessions_give_equal_bytes_whatever_the_users_settings(session, suffix):
    curves = read_curves(session.file("labels"))
    how = {
        "fit": lambda: draw_fit(session, 3.35, suffix, 60, n=2),
        "frames": lambda: draw_frames(session, 3.35, suffix, 60, n=2),
        "coefficients": lambda: draw_coefficients(curves, [0, 3], 3.35, suffix, 60),
    }
    for name, draw in how.items():
        first = draw()
        with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "svg.hashsalt": None}):
            assert draw() == first, name
        assert first.startswith({".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}[suffix])
        assert b"CreationDate" not in first
        assert b"<dc:date>" not in first


def test_a_picture_is_as_wide_as_asked_for(session):
    curves = read_curves(session.file("labels"))
    for width in ("single", "double", "100"):
        inches = width_inches(width)
        assert abs(size_of(draw_coefficients(curves, [0], inches, dpi=60))[0] - 60 * inches) <= 1
    assert abs(size_of(draw_frames(session, 3.35, dpi=60, n=1))[0] - 60 * 3.35) <= 1
    for wrong in ("wide", "5", "nan", "9999", "-85"):
        with pytest.raises(ConfigError, match="expected single, double"):
            width_inches(wrong)


def test_a_suffix_that_nobody_can_draw_is_refused(tmp_path):
    assert suffix_of(tmp_path / "a.PDF") == ".pdf"
    for name in ("a.jpg", "a"):
        with pytest.raises(SchemaError, match=r"written as \.png, \.pdf, \.svg, not as"):
            suffix_of(tmp_path / name)


def test_the_curves_that_vary_most_come_first_and_others_by_their_names(session):
    curves = read_curves(session.file("labels"))
    spread = np.nanstd(curves.values, axis=0)
    assert curves.strongest(3) == np.argsort(-spread, kind="stable")[:3].tolist()
    assert [curves.names[k] for k in curves.named(["AU7", "AU1"])] == ["AU7", "AU1"]
    with pytest.raises(ConfigError, match=r"no component 'AU99' in 's01'; there are: AU0, AU1"):
        curves.named(["AU99"])
    with pytest.raises(SchemaError, match="no action unit intensities"):
        read_curves(session.file("labels"), intensities=True)
    with pytest.raises(SchemaError, match="a table of landmarks, expected labels or coefficients"):
        read_curves(session.file("landmarks"))


def test_curves_show_the_values_of_the_table_and_their_band(session):
    curves = read_curves(session.file("labels"))
    table = read_table(session.file("labels"))
    k = curves.strongest(1)[0]
    with print_style():
        figure = coefficients_figure(curves, [k], 7.0)
    (axes,) = figure.axes
    line = axes.lines[0]
    np.testing.assert_allclose(line.get_ydata(), vectors(table, "alpha_au")[0][:, k])
    t = table["t_label_us"].to_numpy()
    np.testing.assert_allclose(line.get_xdata(), (t - t[0]) / 1e6)
    top = axes.collections[0].get_paths()[0].vertices[:, 1].max()
    assert top == pytest.approx((curves.values[:, k] + curves.std[:, k]).max())
    words = " ".join(text.get_text() for text in figure.texts)
    assert f"N = {N} frames" in words
    assert axes.get_title(loc="left") == curves.names[k]


def test_stretches_without_values_are_grey_and_break_the_line(session, tmp_path):
    table, metadata = read_table(session.file("labels")), read_metadata(session.file("labels"))
    column = table.schema.get_field_index("alpha_au")
    values = table["alpha_au"].to_pylist()
    values[5:9] = [None] * 4
    import pyarrow as pa

    holes = table.set_column(
        column, table.schema.field("alpha_au"), pa.array(values, table.schema.field("alpha_au").type)
    )
    write_table(tmp_path / "labels.parquet", "labels", holes, metadata)
    curves = read_curves(tmp_path / "labels.parquet")
    with print_style():
        (axes,) = coefficients_figure(curves, [0], 7.0).axes
    assert np.isnan(axes.lines[0].get_ydata()).sum() == 4
    t = curves.t_s
    grey = [patch.get_extents().transformed(axes.transData.inverted()) for patch in axes.patches]
    assert [(box.x0, box.x1) for box in grey] == [pytest.approx(((t[4] + t[5]) / 2, (t[8] + t[9]) / 2))]


def test_rows_are_matched_with_their_own_frames(session):
    moments = read_moments(session)
    wanted = np.array([-1, 2, 2, 7, 23])
    found = list(rgb_images(session.recorded(), wanted))
    assert found[0] is None
    frames = [image for _, image in VideoFrames(session.recorded().file("rgb.mp4"))]
    for number, image in zip(wanted[1:].tolist(), found[1:], strict=True):
        np.testing.assert_array_equal(image, frames[number])
    assert (moments.rgb_frame == read_table(session.file("labels"))["rgb_frame_index"].to_numpy()).all()
    assert list(rgb_images(session.recorded(), np.array([0, N + 5])))[1] is None


def test_the_head_is_coloured_by_how_far_it_moves(session):
    moments = read_moments(session)
    heads = MeshPictures(moments.person, moments.alpha)
    moved = [moments.person.moved_mm(alpha).max() for alpha in moments.alpha]
    assert heads.largest_mm == pytest.approx(max(2.0, *moved), rel=1e-6)
    still = heads.picture(np.zeros(moments.bases.k_au), 80).astype(int)
    lively = heads.picture(moments.alpha[int(np.argmax(moved))], 80).astype(int)

    def colourful(picture):
        return (picture.max(2) - picture.min(2)).max()

    assert colourful(still) < 20 < colourful(lively)


def test_instants_are_those_asked_for(session):
    moments = read_moments(session)
    last = float(moments.t_s[-1])
    assert draw_frames(session, 3.35, dpi=60, at_s=[0.1, 0.3]) != draw_frames(session, 3.35, dpi=60, at_s=[0.1, 0.5])
    with pytest.raises(ConfigError, match=rf"--at 99: expected seconds between 0 and {last:.2f}"):
        draw_frames(session, 3.35, dpi=60, at_s=[99.0])


def predictions(path, session, alpha, shift_us=0, basis=None):
    table = read_table(session.file("labels"))
    n = len(table)
    start, end = (table[name].to_numpy() + shift_us for name in ("t_start_us", "t_end_us"))
    rows = PredictionRows(
        np.arange(n), start, end, np.ones(n, np.int64), np.ones(n, np.int32), np.arange(n) > 2, None, alpha, None
    )
    said = read_metadata(session.file("labels"))["basis"]["file_hash"] if basis is None else basis
    write_predictions(path, [rows], [], alpha.shape[1], 0, {"model": "m", "basis": {"file_hash": said}})
    return path


def test_what_a_model_says_is_put_at_the_times_of_the_labels(session, tmp_path):
    moments = read_moments(session)
    alpha = np.random.default_rng(0).random(moments.alpha.shape).astype(np.float32)
    path = predictions(tmp_path / "p.parquet", session, alpha, shift_us=900)
    said, model = regressed(path, moments, session.bases())
    np.testing.assert_array_equal(said[3:], alpha[3:])
    assert np.isnan(said[:3]).all()
    assert model == "m"
    one = draw_frames(session, 3.35, dpi=60, n=2)
    two = draw_frames(session, 3.35, dpi=60, n=2, predictions=path)
    assert size_of(two)[1] > size_of(one)[1]


def test_predictions_of_another_basis_or_time_are_refused(session, tmp_path):
    moments = read_moments(session)
    alpha = np.zeros(moments.alpha.shape, np.float32)
    other = predictions(tmp_path / "o.parquet", session, alpha, basis="sha256:" + 64 * "0")
    with pytest.raises(SchemaError, match="coefficients of basis sha256:00000"):
        regressed(other, moments, session.bases())
    late = predictions(tmp_path / "l.parquet", session, alpha, shift_us=10**9)
    with pytest.raises(SchemaError, match="no prediction at the times of 's01'"):
        regressed(late, moments, session.bases())


def test_a_film_has_a_frame_per_event_frame_at_its_own_time(session, tmp_path):
    seen = []
    how = {"panel_px": 64, "progress": lambda done, total: seen.append((done, total))}
    n, seconds = render(session, tmp_path / "f.mp4", **how)
    moments = read_moments(session)
    assert n == N == len(moments.t_us)
    assert seen == [(i + 1, N) for i in range(N)]
    frames = list(VideoFrames(tmp_path / "f.mp4"))
    np.testing.assert_array_equal([pts_us for pts_us, _ in frames], moments.t_us - moments.t_us[0])
    assert seconds == pytest.approx(moments.t_s[-1])
    assert all(side % 2 == 0 for side in frames[0][1].shape[:2])
    first = hashlib.sha256((tmp_path / "f.mp4").read_bytes()).digest()
    render(session, tmp_path / "f.mp4", **how)
    assert hashlib.sha256((tmp_path / "f.mp4").read_bytes()).digest() == first


def test_a_slow_film_of_a_stretch_lasts_longer_and_may_do_without_the_person(session, tmp_path):
    n, seconds = render(session, tmp_path / "s.mp4", panel_px=64, speed=0.5, start_s=0.2, end_s=0.5, rgb=False)
    t_s = read_moments(session).t_s
    inside = t_s[(t_s >= 0.2) & (t_s <= 0.5)]
    assert n == len(inside)  # a slow film has room for all of them
    assert seconds == pytest.approx(2 * (inside[-1] - inside[0]), abs=1e-5)
    ((_, first), *_) = VideoFrames(tmp_path / "s.mp4")
    assert first.shape[1] == 2 * 64 + 3 * 8
    with pytest.raises(ConfigError, match=r"no event frame from 90 s to the end; the recording has 0 to"):
        render(session, tmp_path / "n.mp4", panel_px=64, start_s=90)
    assert not (tmp_path / "n.mp4").exists()


def test_many_event_frames_are_thinned_to_the_films_rate():
    t_us = np.arange(0, 1_000_000, 4167)  # 240 fps
    rows = film_rows(t_us, 30.0)
    assert 28 <= len(rows) <= 35
    assert np.diff(t_us[rows]).min() >= 0.9e6 / 30
    assert len(film_rows(t_us, 240.0)) == len(t_us)


def test_a_session_without_one_fitted_frame_says_so(session, tmp_path):
    table, metadata = read_table(session.file("labels")), read_metadata(session.file("labels"))
    import pyarrow as pa

    from au3dmm.io.tables import word_array

    words = table.set_column(
        table.schema.get_field_index("status"), table.schema.field("status"), word_array(["no_face"] * len(table))
    )
    assert isinstance(words, pa.Table)
    folder = tmp_path / "run" / "sessions" / "s01"
    folder.mkdir(parents=True)
    for name in ("coefficients", "landmarks", "identity", "event_frames"):
        path = session.file(name)
        (folder / path.name).write_bytes(path.read_bytes())
    write_table(folder / "labels.parquet", "labels", words, metadata)
    empty = find_labelled(session.recorded().folder, tmp_path / "run", session.given_bases)
    with pytest.raises(SchemaError, match=f"not one of its {N} rows has values"):
        read_moments(empty)
    assert json.dumps(metadata)  # what was copied is whole
