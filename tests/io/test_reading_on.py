"""Frames read in two pieces, the second by another reader, are those read in one."""

import json

import av
import cv2
import numpy as np
import pytest

import recordings as rec
from au3dmm.io.frames import Place, session_frames
from au3dmm.io.session import read_session
from au3dmm.io.video import VideoFrames, VideoPlace, packet_times


def told(frames):
    return [
        (f.frame_index, f.t_rgb_us, None if f.image is None else (f.image.shape, rec.fingerprint(f.image)))
        for f in frames
    ]


def through_json(place):
    return Place.from_dict(json.loads(json.dumps(place.to_dict())))


def check_every_place(session, stride=1):
    """Read on after every `stride`-th frame."""
    whole = session_frames(read_session(session))
    expected = told(whole)
    first, places = session_frames(read_session(session)), []
    for _ in first:
        places.append(through_json(first.place()))
    assert len(expected) == len(places)
    for n in range(1, len(expected) + 1, stride):
        again = session_frames(read_session(session))
        assert told(again.read(places[n - 1])) == expected[n:], f"after {n} frames"
        assert again.n_lost == whole.n_lost, f"after {n} frames"
    check_guesses(session, expected, places, stride)


def check_guesses(session, expected, places, stride):
    """Read after guessed places: what is believed is right, and where nothing was damaged all are believed."""
    for n in range(1, len(expected), stride):
        frames = session_frames(read_session(session))
        after = told(frames.read(frames.guess(n)))
        began = frames.began()
        if began is not None and frames.joined(places[n - 1], began, frames.place()) is not None:
            assert after == expected[n:], f"after {n} frames"
        else:
            assert places[n - 1].n_lost, f"after {n} frames"
    assert session_frames(read_session(session)).guess(len(expected)) is None


def video_session(folder, images, pts=None, name="rgb.mp4", csv=None, prepare=None, **how):
    path = rec.write_video(folder / name, images, pts, **how)
    times = packet_times(path)
    if prepare is not None:
        prepare(path)
    rgb = {"file": name}
    if csv is not None:
        rec.write_csv(folder / "rgb.csv", csv(times))
        rgb["timestamps"] = "rgb.csv"
    return rec.write_manifest(folder, rgb)


@pytest.fixture
def sought(monkeypatch):
    """Whether each reading that went on from a place was sought."""
    found, real = [], VideoFrames._sought

    def spy(self, place):
        decoded = real(self, place)
        found.append(decoded is not None)
        return decoded

    monkeypatch.setattr(VideoFrames, "_sought", spy)
    return found


@pytest.mark.parametrize("name", ["rgb.mp4", "rgb.mkv", "rgb.ts"])
def test_a_video_is_read_on_from_any_frame(tmp_path, sought, name):
    check_every_place(video_session(tmp_path, rec.noise_images(60), name=name), stride=19)
    assert any(sought)


@pytest.mark.parametrize(("name", "gop", "stride"), [("rgb.ts", 100, 79), ("rgb.flv", 10, 7)])
def test_a_container_that_seeks_badly_is_sought_in_all_the_same(tmp_path, sought, name, gop, stride):
    """MPEG-TS knows no key frames: the one before is more than a second away. FLV goes to no time before the first."""
    check_every_place(video_session(tmp_path, rec.noise_images(90 if gop > 10 else 20), name=name, gop=gop), stride)
    assert all(sought)


def test_seeking_begins_near_the_place_not_at_the_start(tmp_path):
    path = rec.write_video(tmp_path / "v.mp4", rec.noise_images(150))
    video = VideoFrames(path)
    pts_us = [pts_us for _, (pts_us, _) in zip(range(140), video, strict=False)][-1]
    first_us, _ = next(VideoFrames(path)._decode(pts_us - 1_000_000))
    assert 0 < pts_us - 1_000_000 - first_us < 500_000
    assert [t for t, _ in VideoFrames(path).read(video.place())] == packet_times(path)[140:].tolist()


def test_times_of_a_variable_frame_rate_are_read_on(tmp_path, sought):
    steps = np.random.default_rng(1).integers(1500, 20_000, 40)
    pts = [rec.START, *(rec.START + np.cumsum(steps)).tolist()]
    check_every_place(video_session(tmp_path, rec.noise_images(41), pts), stride=13)
    assert all(sought)


@pytest.mark.parametrize("prepare", [lambda p: rec.damage(p, 0.5), lambda p: rec.cut(p, 0.6)])
@pytest.mark.parametrize("csv", [None, lambda t: t, lambda t: t + 10**9])
def test_damage_is_counted_once_wherever_it_is_read_on(tmp_path, prepare, csv, sought):
    check_every_place(video_session(tmp_path, rec.noise_images(60), csv=csv, prepare=prepare), stride=14)
    assert set(sought) == {True, False}, "before the damage it is sought, after it all is decoded"


def test_frames_that_a_recorder_dropped_stay_missing_wherever_it_is_read_on(tmp_path):
    images, pts = rec.noise_images(30), rec.regular_pts(30)
    times = packet_times(rec.write_video(tmp_path / "whole.mp4", images, pts))
    keep = [i for i in range(30) if i not in (0, 7, 8, 15, 29)]
    session = video_session(tmp_path, [images[i] for i in keep], [pts[i] for i in keep], csv=lambda _: times)
    check_every_place(session, stride=3)


def test_images_are_read_on(tmp_path):
    (tmp_path / "frames").mkdir()
    for i in range(8):
        cv2.imwrite(str(tmp_path / "frames" / f"{i}.png"), np.full((8, 8, 3), 10 * i + 5, np.uint8))
    (tmp_path / "frames" / "3.png").write_bytes(b"no image")
    rec.write_csv(tmp_path / "rgb.csv", [i * 1000 for i in range(8)])
    check_every_place(rec.write_manifest(tmp_path, {"folder": "frames", "timestamps": "rgb.csv"}))


def test_a_picture_that_is_not_the_one_that_was_there_is_not_trusted(tmp_path, sought):
    path = rec.write_video(tmp_path / "v.mp4", rec.noise_images(40))
    video, frames = VideoFrames(path), []
    for frame in video:
        frames.append(frame)
        if len(frames) == 20:
            place = video.place()
    wrong = place.__class__(place.n, place.pts_us, place.n_lost, place.size, place.crc32 ^ 1)
    after = list(VideoFrames(path).read(wrong))
    assert sought == [False]
    assert [t for t, _ in after] == [t for t, _ in frames[20:]]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(after, frames[20:], strict=True))


def test_nothing_is_read_after_a_guess_that_is_wrong(tmp_path):
    path = rec.write_video(tmp_path / "v.mp4", rec.noise_images(40))
    times, video = packet_times(path), VideoFrames(path)
    right = VideoPlace(20, int(times[19]))
    assert [t for t, _ in video.read(right)] == times[20:].tolist()
    assert (video.began.n, video.began.pts_us, video.began.size) == (20, times[19], (48, 64, 3))
    for pts_us in (times[19] + 1, times[-1] + 10**6):
        assert list(video.read(VideoPlace(20, int(pts_us)))) == []
        assert video.began is None


def test_a_guess_is_known_for_what_it_is_by_its_picture(tmp_path):
    """The frame before the place is another one, at the same time."""
    images, sessions = rec.noise_images(30), []
    for i in range(2):
        (tmp_path / str(i)).mkdir()
        sessions.append(video_session(tmp_path / str(i), images))
        images[19] = images[3]
    frames, other = (session_frames(read_session(session)) for session in sessions)
    for n, _ in enumerate(frames, 1):
        if n == 20:
            reached = frames.place()
    for _ in other.read(other.guess(20)):
        pass
    assert other.began().video.pts_us == reached.video.pts_us
    assert other.joined(reached, other.began(), other.place()) is None


def test_a_video_that_cannot_be_sought_in_is_decoded_from_its_beginning(tmp_path, monkeypatch):
    path = rec.write_video(tmp_path / "v.mp4", rec.noise_images(30))
    whole, video = list(VideoFrames(path)), VideoFrames(path)
    assert len(list(zip(range(20), video, strict=False))) == 20
    decode = VideoFrames._decode

    def without_index(self, from_us=None):
        if from_us is not None:
            raise av.error.PermissionError(1, "Operation not permitted")
        yield from decode(self, None)

    monkeypatch.setattr(VideoFrames, "_decode", without_index)
    after = list(VideoFrames(path).read(video.place()))
    assert [t for t, _ in after] == [t for t, _ in whole[20:]]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(after, whole[20:], strict=True))
