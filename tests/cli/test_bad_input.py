"""What goes wrong gets one line that names the file, the right exit code, and nothing half-written."""

import errno
import json
import os
import shutil
import subprocess

import numpy as np
import pytest

import au3dmm as package
from au3dmm.errors import AssetError
from au3dmm.io import atomic
from au3dmm.io.bases import read_npz, write_npz
from au3dmm.io.weights import mediapipe_files, weights_folder
from recordings import cut, write_csv
from small_recording import N

CONFIGURATION, FAILED, ASSET_MISSING = 2, 4, 5


@pytest.fixture(autouse=True)
def nothing_half_written(tmp_path):
    yield
    assert not list(tmp_path.rglob(".*.writing"))


@pytest.fixture
def manifest(recording):
    """Replace text in session.toml."""

    def edit(old, new):
        path = recording / "session.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return edit


def refused(answer, code, *said):
    """Check that a command ended with `code` and one line in which all of `said` are; return the line."""
    assert answer.code == code, answer.err
    assert answer.out == ""
    for text in said:
        assert str(text) in answer.error
    return answer.error


def test_a_session_folder_that_is_not_there(label, tmp_path):
    refused(label(session=tmp_path / "nowhere"), CONFIGURATION, tmp_path / "nowhere", "no such folder")


def test_a_folder_without_a_manifest(label, recording):
    (recording / "session.toml").unlink()
    refused(label(), CONFIGURATION, recording, "no session.toml in it", "au3dmm init")


def test_a_missing_video(label, recording):
    (recording / "rgb.mp4").unlink()
    refused(label(), FAILED, recording / "rgb.mp4", "no such file", "session.toml names it")


def test_an_empty_video(label, recording):
    (recording / "rgb.mp4").write_bytes(b"")
    refused(label(), FAILED, recording / "rgb.mp4", "empty (0 bytes), expected a video")


def test_a_video_that_is_none(label, recording):
    (recording / "rgb.mp4").write_text("this is not a video at all")
    refused(label(), FAILED, recording / "rgb.mp4", "cannot be read as a video")


def test_of_a_truncated_video_what_decodes_is_labelled_and_the_loss_is_reported(label, recording, folder_of):
    cut(recording / "rgb.mp4", 0.6)
    answer = label()
    assert answer.code == 0, answer.err
    table = package.read_labels(folder_of)
    status = table["status"].to_pylist()
    assert len(table) == N
    n_lost = status.count("decode_error")
    assert 3 < n_lost < N - 3
    warnings = [line for line in answer.err if line.startswith("warning: ")]
    assert any("rgb.mp4 is damaged or cut short" in line for line in warnings)
    assert any(f"only {N - n_lost} of {N} RGB frames could be decoded" in line for line in warnings)
    assert f"{N}, a face fitted in {N - n_lost} " in answer.out


def test_a_truncated_video_without_timestamps_ends_early_and_says_so(label, recording, manifest):
    manifest('timestamps = "times.csv"\n', "exposure_us = 8000\n")
    cut(recording / "rgb.mp4", 0.6)
    answer = label()
    # a piece of an even row of exposures fits everywhere in an even row of edges
    refused(answer, FAILED, recording / "events.raw", "cannot tell", "--sync start")
    assert any("rgb.mp4 is damaged or cut short: 10 frames decoded, 24 expected" in line for line in answer.err)
    answer = label("--sync", "start")
    assert answer.code == 0, answer.err
    assert "RGB frames    11, a face fitted in 10" in answer.out


def test_a_typo_in_the_manifest_gets_a_suggestion(label, recording, manifest):
    manifest("timestamps =", "timestmaps =")
    refused(
        label(),
        CONFIGURATION,
        recording / "session.toml",
        "unknown name 'rgb.timestmaps'",
        "did you mean 'timestamps'?",
    )


def test_a_manifest_that_is_not_toml(label, recording, manifest):
    manifest('session_id = "s01"', "session_id = s01")
    refused(label(), CONFIGURATION, recording / "session.toml", "not valid TOML", "line")


def test_a_typo_in_the_pipeline_file_gets_a_suggestion(label, tmp_path):
    (tmp_path / "mine.toml").write_text("[fit]\nsigma_xp = 1.0\n")
    error = refused(label("--pipeline", tmp_path / "mine.toml"), CONFIGURATION, tmp_path / "mine.toml")
    assert "did you mean 'sigma_px'?" in error


def test_a_pipeline_file_that_is_not_there(label, tmp_path):
    refused(label("--pipeline", tmp_path / "no.toml"), CONFIGURATION, tmp_path / "no.toml", "No such file")


def test_a_basis_whose_mesh_is_of_another_topology_than_its_components(label, template, tmp_path):
    arrays = read_npz(template.parent / "bases.npz")
    other = tmp_path / "mixed.npz"
    write_npz(other, {**arrays, "faces": arrays["faces"][::-1].copy()})
    refused(label("--bases", other), CONFIGURATION, other, "topology_hash", "different topologies")
    write_npz(other, {**arrays, "components_au": arrays["components_au"][:, :-1]})
    refused(label("--bases", other), CONFIGURATION, other, "components_au has shape (12, 67, 3), expected (12, 68, 3)")


def test_a_basis_that_is_not_there_or_not_a_basis(label, recording, tmp_path):
    refused(label("--bases", tmp_path / "no.npz"), CONFIGURATION, tmp_path / "no.npz", "no such file")
    refused(label("--bases", recording / "landmarks.npz"), CONFIGURATION, "landmarks.npz", "not a basis file of au3dmm")
    refused(label("--bases", recording / "times.csv"), CONFIGURATION, "times.csv", "not an npz file")


def test_timestamps_that_go_backwards(label, recording):
    times = np.arange(N) * 33_333
    times[7] = times[5]
    write_csv(recording / "times.csv", times)
    refused(
        label(), FAILED, recording / "times.csv", "line 9", "pts_us is 166665 after 199998", "expected it to increase"
    )


def test_fewer_timestamps_than_frames(label, recording):
    lines = (recording / "times.csv").read_text().splitlines()
    (recording / "times.csv").write_text("\n".join(lines[:10]) + "\n")
    refused(label(), FAILED, recording / "rgb.mp4", recording / "times.csv", "which has 9 rows")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"what is this?\n" * 9, "not a known event format"),
        (b"% evt 2.0\n% geometry 64x48\n% end\n" + bytes(64), "64 bytes after the header without any time word"),
        (b"", "empty (0 bytes)"),
    ],
)
def test_an_event_file_that_cannot_be_read(label, recording, folder_of, content, said):
    (recording / "events.raw").write_bytes(content)
    refused(label(), FAILED, recording / "events.raw", said)
    # told before an hour of detection, not after
    assert not list(folder_of.glob("*.parquet"))


def test_a_missing_event_file(label, recording):
    (recording / "events.raw").unlink()
    refused(label(), FAILED, recording / "events.raw", "no such file")


def test_motion_that_tells_nothing_of_the_clock(label, recording, manifest):
    manifest('method = "trigger"', 'method = "motion"')  # its events come at random
    refused(label(), FAILED, "session 's01': cannot tell: ", "record more motion", "`--sync start` (a guess")


def test_a_trigger_input_without_edges(label, recording, manifest):
    manifest('method = "trigger"', 'method = "trigger"\ntrigger_id = 5')
    refused(label(), FAILED, recording / "events.raw", "no trigger edges with id 5", "there are some with id 0")


def test_a_recording_without_any_face(label, recording, folder_of):
    write_npz(recording / "landmarks.npz", {"landmarks": np.full((N, 68, 2), np.nan)})
    refused(label(), FAILED, "session 's01'", f"no face in any of {N} frames ({N} no_face)")
    assert not (folder_of / "identity.parquet").exists()


@pytest.mark.weights
def test_a_video_in_which_the_default_detector_finds_no_face(label, recording):
    try:
        mediapipe_files(weights_folder())
    except AssetError as err:
        pytest.skip(f"SKIPPED LOUDLY: {err}")
    answer = label("--detector", "mediapipe")  # the recording's pictures are noise
    refused(answer, FAILED, "session 's01'", "no face in any of 24 frames", "check the video")


def test_missing_weights_of_the_default_detector(label, tmp_path):
    answer = label("--detector", "mediapipe", "--weights-dir", tmp_path / "none")
    refused(
        answer, ASSET_MISSING, tmp_path / "none", "face_detection_short_range.tflite", "au3dmm weights get mediapipe"
    )


def test_missing_weights_of_face_alignment(label, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    answer = label("--detector", "face-alignment")
    refused(answer, ASSET_MISSING, tmp_path / "hub", "3DFAN4-7835d9f11d.pth.tar", "--detector mediapipe")


def test_precomputed_landmarks_that_nobody_names(label, recording, manifest):
    manifest('[landmarks]\nfile = "landmarks.npz"\n', "")
    refused(label(), CONFIGURATION, recording / "session.toml", "no [landmarks]")


def test_precomputed_landmarks_that_are_not_there(label, recording):
    (recording / "landmarks.npz").unlink()
    refused(label(), FAILED, recording / "landmarks.npz", "no such file")


def test_a_session_that_another_run_is_working_on(label, folder_of):
    with atomic.folder_lock(folder_of):
        refused(label(), FAILED, folder_of, "another au3dmm is working on it")


@pytest.mark.parametrize("call", range(24))  # three times for each output, once for each entry in stage.json
def test_a_disk_that_is_full_at_the_nth_write(label, folder_of, monkeypatch, call):
    calls = []

    def full(real):
        def wrapped(*args):
            calls.append(args)
            if len(calls) > call:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(*args)

        return wrapped

    with monkeypatch.context() as m:
        m.setattr(atomic.os, "fsync", full(os.fsync))
        m.setattr(atomic.os, "replace", full(os.replace))
        refused(label(), FAILED, folder_of, "No space left on device", "nothing was left half-written")
    assert label().code == 0  # once there is room again, the run continues


def test_a_disk_without_room_for_the_tables(label, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small disk; the test above injects the error instead")
    try:
        for spare in (4_096, 16_384, 40_960):
            room = os.statvfs(disk)
            (disk / "ballast").write_bytes(bytes(room.f_bavail * room.f_frsize - spare))
            out = disk / "out"
            refused(label("--out", out), FAILED, out, "No space left on device")
            assert not list(disk.rglob(".*.writing"))
            shutil.rmtree(out, ignore_errors=True)
            (disk / "ballast").unlink()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("out", ["/proc/au3dmm", "/sys/au3dmm"])
def test_an_output_folder_that_cannot_be_made(label, out):
    refused(label("--out", out), FAILED, out, "cannot be written", "choose another folder with --out DIR")


def test_an_output_folder_that_is_a_file(label, tmp_path):
    (tmp_path / "out").touch()
    refused(label("--out", tmp_path / "out"), FAILED, tmp_path / "out", "cannot be written")


@pytest.mark.skipif(os.geteuid() == 0, reason="permission bits do not stop root")
def test_an_output_folder_without_permission(label, tmp_path):
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    refused(label("--out", out), FAILED, out, "Permission denied", "choose another folder with --out DIR")


def test_an_error_as_json_has_class_message_and_exit_code(label, recording):
    (recording / "rgb.mp4").unlink()
    answer = label("--json")
    error = json.loads(answer.out)["error"]
    assert (error["class"], error["exit_code"], answer.code) == ("SessionError", FAILED, FAILED)
    assert answer.error == f"error: {error['message']}"
