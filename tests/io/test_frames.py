from pathlib import Path

import cv2
import numpy as np
import pytest

import recordings as rec
from au3dmm.errors import SessionError
from au3dmm.io.frames import rows_of_times, session_frames
from au3dmm.io.session import read_session
from au3dmm.io.video import packet_times, read_frames


def video_session(folder, n=20, rgb=None, csv_us=None, prepare=None, **csv):
    path = rec.write_video(folder / "rgb.mp4", rec.noise_images(n))
    times = packet_times(path)
    if prepare is not None:
        prepare(path)
    values = {"file": "rgb.mp4", **(rgb or {})}
    if csv_us is not None:
        rec.write_csv(folder / "rgb.csv", csv_us(times), **csv)
        values["timestamps"] = "rgb.csv"
    return session_frames(read_session(rec.write_manifest(folder, values))), times


def image_session(folder, names, n_rows, **csv):
    (folder / "frames").mkdir()
    for i, name in enumerate(names):
        cv2.imwrite(str(folder / "frames" / name), np.full((8, 8, 3), 10 * i + 5, np.uint8))
    rec.write_csv(folder / "rgb.csv", [i * 1000 for i in range(n_rows)], **csv)
    return read_session(rec.write_manifest(folder, {"folder": "frames", "timestamps": "rgb.csv"}))


def grey(frames):
    return [None if f.image is None else int(f.image[0, 0, 0]) for f in frames]


def test_a_video_alone_gives_the_containers_times(tmp_path):
    frames, times = video_session(tmp_path)
    rows = list(frames)
    assert frames.matched_by == "container"
    assert frames.n_expected == 20
    assert [f.frame_index for f in rows] == list(range(20))
    assert [f.t_rgb_us for f in rows] == times.tolist()


def test_a_csv_of_the_containers_times_is_matched_by_time(tmp_path):
    frames, times = video_session(tmp_path, csv_us=lambda t: t + 400)
    assert frames.matched_by == "pts"
    assert [f.t_rgb_us for f in frames] == (times + 400).tolist()


def test_a_csv_on_another_clock_is_matched_by_order(tmp_path):
    frames, times = video_session(tmp_path, csv_us=lambda t: t + 5_000_000_000)
    assert frames.matched_by == "order"
    assert [f.t_rgb_us for f in frames] == (times + 5_000_000_000).tolist()
    assert all(f.image is not None for f in frames)


def test_a_csv_that_numbers_its_rows_otherwise_is_refused(tmp_path):
    with pytest.raises(SessionError, match=r"rgb\.csv: line 2: frame_index is 100, expected 0"):
        video_session(tmp_path, csv_us=lambda t: t, frame_index=range(100, 120))


@pytest.mark.parametrize(
    ("convention", "shift"), [("exposure_midpoint", 0), ("exposure_start", 4000), ("exposure_end", -4000)]
)
@pytest.mark.parametrize("known_by", ["csv", "manifest", "manifest alone"])
def test_time_is_the_middle_of_the_exposure(tmp_path, convention, shift, known_by):
    rgb = {"timestamp_convention": convention}
    if known_by != "csv":
        rgb["exposure_us"] = 8000
    csv = {} if known_by == "manifest alone" else {"csv_us": lambda t: t}
    frames, times = video_session(tmp_path, rgb=rgb, **csv, **({"exposure_us": 8000} if known_by == "csv" else {}))
    assert [f.t_rgb_us for f in frames] == (times + shift).tolist()


def test_without_an_exposure_time_is_pts_itself(tmp_path):
    frames, times = video_session(tmp_path, rgb={"timestamp_convention": "exposure_start"})
    assert [f.t_rgb_us for f in frames] == times.tolist()


@pytest.mark.parametrize("offset_us", [0, 10**9])
def test_rows_beyond_a_cut_video_are_frames_without_image(tmp_path, offset_us):
    frames, times = video_session(
        tmp_path, n=60, csv_us=lambda t: t + offset_us, prepare=lambda path: rec.cut(path, 0.6)
    )
    rows = list(frames)
    assert [f.t_rgb_us for f in rows] == (times + offset_us).tolist()
    decoded = [f.image is not None for f in rows]
    assert decoded == sorted(decoded, reverse=True)
    assert 20 < sum(decoded) < 60
    assert frames.n_lost >= 1
    assert frames.n_expected == 60


def test_without_a_csv_a_cut_video_ends_early(tmp_path):
    frames, _ = video_session(tmp_path, n=60, prepare=lambda path: rec.cut(path, 0.6))
    assert len(list(frames)) < 40
    assert frames.n_expected == 60


def test_a_frame_dropped_by_the_recorder_is_missing_in_the_middle(tmp_path):
    images, pts = rec.noise_images(20), rec.regular_pts(20)
    whole = rec.write_video(tmp_path / "whole.mp4", images, pts)
    times = packet_times(whole)
    keep = [i for i in range(20) if i not in (7, 8, 15)]
    rec.write_video(tmp_path / "rgb.mp4", [images[i] for i in keep], [pts[i] for i in keep])
    rec.write_csv(tmp_path / "rgb.csv", times)
    folder = rec.write_manifest(tmp_path, {"file": "rgb.mp4", "timestamps": "rgb.csv"})
    rows = list(session_frames(read_session(folder)))
    assert [f.t_rgb_us for f in rows] == times.tolist()
    assert [f.frame_index for f in rows if f.image is None] == [7, 8, 15]
    reference = [image for _, image in read_frames(tmp_path / "rgb.mp4")]
    found = [f.image for f in rows if f.image is not None]
    assert all(np.array_equal(a, b) for a, b in zip(reference, found, strict=True))


@pytest.mark.parametrize("offset_us", [0, 10**9])
def test_more_frames_than_rows_is_an_error(tmp_path, offset_us):
    frames, _ = video_session(tmp_path, csv_us=lambda t: t[:-1] + offset_us)
    with pytest.raises(
        SessionError, match=r"rgb\.mp4: the frame at \d+ us has no row in .*rgb\.csv, which has 19 rows"
    ):
        list(frames)


def test_images_come_in_natural_order(tmp_path):
    session = image_session(tmp_path, ["f1.png", "f2.png", "f10.png"], 3)
    frames = session_frames(session)
    assert grey(frames) == [5, 15, 25]
    assert frames.matched_by == "order"
    assert [f.t_rgb_us for f in frames] == [0, 1000, 2000]


def test_missing_images_are_found_by_the_numbers_in_their_names(tmp_path):
    session = image_session(tmp_path, ["cam0_f0.png", "cam0_f2.png"], 4)
    frames = session_frames(session)
    assert grey(frames) == [5, None, 15, None]
    assert frames.matched_by == "name"
    assert frames.n_expected == 4


def test_missing_images_without_numbers_are_an_error(tmp_path):
    session = image_session(tmp_path, ["a.png", "b.png"], 3)
    with pytest.raises(SessionError, match=r"frames: 2 images, but .*rgb\.csv has 3 rows, .* cannot be told"):
        session_frames(session)


def test_too_many_images_are_an_error(tmp_path):
    session = image_session(tmp_path, ["0.png", "1.png"], 1)
    with pytest.raises(SessionError, match=r"2 images, but .* has 1 rows; every image needs one"):
        session_frames(session)


def test_a_folder_without_images_is_an_error(tmp_path):
    session = image_session(tmp_path, [], 1)
    with pytest.raises(SessionError, match="no images in it; expected 1"):
        session_frames(session)


def test_a_broken_image_is_a_frame_without_image(tmp_path):
    session = image_session(tmp_path, ["0.png", "1.png", "2.png"], 3)
    (tmp_path / "frames" / "1.png").write_bytes(b"not an image")
    frames = session_frames(session)
    assert grey(frames) == [5, None, 25]
    assert frames.n_lost == 1


def test_images_of_two_sizes_are_an_error(tmp_path):
    session = image_session(tmp_path, ["0.png", "1.png"], 2)
    cv2.imwrite(str(tmp_path / "frames" / "1.png"), np.zeros((4, 8, 3), np.uint8))
    with pytest.raises(SessionError, match=r"1\.png: 8x4, the images before it 8x8"):
        list(session_frames(session))


def test_hidden_and_other_files_are_no_images(tmp_path):
    session = image_session(tmp_path, ["0.png"], 1)
    (tmp_path / "frames" / "._0.png").write_bytes(b"x")
    (tmp_path / "frames" / "notes.txt").write_text("x")
    assert grey(session_frames(session)) == [5]


def test_two_times_cannot_have_one_row():
    assert rows_of_times(np.array([90, 110]), np.array([0, 100, 200])) is None


def test_a_single_row_takes_a_single_time():
    assert rows_of_times(np.array([7]), np.array([0])).tolist() == [0]


@pytest.mark.parametrize("backwards", [False, True])
def test_names_that_count_alike_come_in_one_order_whatever_the_folders(tmp_path, monkeypatch, backwards):
    session = image_session(tmp_path, ["F1.png", "f01.png", "f1.png", "f2.png"], 4)
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: iter(sorted(listed(path), reverse=backwards)))
    assert grey(session_frames(session)) == [5, 15, 25, 35]


def test_an_image_too_large_to_decode_is_a_frame_without_image(tmp_path):
    session = image_session(tmp_path, ["0.png", "1.png"], 2)
    (tmp_path / "frames" / "1.png").write_bytes(rec.huge_png())
    frames = session_frames(session)
    assert grey(frames) == [5, None]
    assert frames.n_lost == 1
