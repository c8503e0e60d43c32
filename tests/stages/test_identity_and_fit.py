import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.spatial.transform import Rotation

from au3dmm.config import FitParams, IdentityParams
from au3dmm.core.basis import deform
from au3dmm.errors import FitError, SchemaError, SessionError
from au3dmm.io.bases import write_bases
from au3dmm.io.tables import read_metadata, read_table, vector_array, vectors, write_table
from au3dmm.stages import fit, identity
from planted import plant, small_bases


def run_both(planted, folder, preset="robust"):
    identity.run(
        sessions=[planted.session], landmarks=[planted.landmarks], bases=planted.bases,
        identity=folder / "identity.parquet", params=IdentityParams(preset=preset),
    )  # fmt: skip
    summary = fit.run(
        session=planted.session, landmarks=planted.landmarks, identity=folder / "identity.parquet",
        bases=planted.bases, coefficients=folder / "coefficients.parquet", params=FitParams(preset=preset),
    )  # fmt: skip
    return read_table(folder / "coefficients.parquet", "coefficients"), summary


def test_planted_motion_is_recovered_and_every_frame_keeps_its_row(tmp_path):
    planted = plant(tmp_path, noise_px=0.3)
    table, summary = run_both(planted, tmp_path)
    assert table["status"].to_pylist() == planted.status
    assert table["frame_index"].to_pylist() == list(range(120))
    assert summary["ok"] == 117
    alpha, valid = vectors(table, "alpha_au")
    assert valid.tolist() == [word == "ok" for word in planted.status]
    bases = small_bases()
    truth = deform(np.zeros((68, 3)), bases.components_au, planted.alpha)[valid]
    found = deform(np.zeros((68, 3)), bases.components_au, alpha[valid])
    assert np.linalg.norm(found - truth, axis=2).mean() < 0.3 * np.linalg.norm(truth, axis=2).mean()
    rotation, _ = vectors(table, "rotation_vector")
    error = Rotation.from_rotvec(rotation[valid]).inv() * Rotation.from_matrix(planted.rotation[valid])
    assert np.degrees(np.median(error.magnitude())) < 2
    assert table["flags"].to_pylist()[3] == ["border"]


def test_the_pose_is_blind_to_expression_and_alpha_to_pose(tmp_path):
    planted = plant(tmp_path, noise_px=0.3)
    table, _ = run_both(planted, tmp_path)
    alpha, valid = vectors(table, "alpha_au")
    active = planted.alpha.sum(1)[valid]
    moved = np.linalg.norm(alpha[valid], axis=1)
    assert np.corrcoef(active, moved)[0, 1] > 0.95


def test_the_noise_of_a_session_is_measured_unless_it_is_stated(tmp_path):
    found = []
    for noise_px in (0.2, 3.0):
        folder = tmp_path / str(noise_px)
        folder.mkdir()
        run_both(plant(folder, noise_px=noise_px), folder)
        noise = read_metadata(folder / "coefficients.parquet")["noise"]
        assert noise["sigma_px"] == pytest.approx(max(0.7, (0.7 + noise["measured_px"]) / 2), abs=1e-3)
        found.append(noise["measured_px"])
    assert found[1] > 3 * found[0]
    planted = plant(tmp_path)
    run_both(planted, tmp_path, "paper")
    assert read_metadata(tmp_path / "coefficients.parquet")["noise"] == {"sigma_px": 10.0, "measured_px": None}


@pytest.mark.parametrize("preset", ["robust", "paper"])
def test_running_twice_gives_the_same_bytes(tmp_path, preset):
    planted = plant(tmp_path)
    run_both(planted, tmp_path, preset)
    first = [(tmp_path / f).read_bytes() for f in ("identity.parquet", "coefficients.parquet")]
    run_both(planted, tmp_path, preset)
    assert first == [(tmp_path / f).read_bytes() for f in ("identity.parquet", "coefficients.parquet")]


def test_metadata_say_what_made_the_coefficients(tmp_path):
    planted = plant(tmp_path)
    run_both(planted, tmp_path)
    metadata = read_metadata(tmp_path / "coefficients.parquet")
    assert metadata["basis"]["k_au"] == 12
    assert metadata["params"]["sigma_px"] == 0.7
    assert metadata["camera"]["focal_px"] == pytest.approx(554.26, abs=0.01)
    assert metadata["counts"] == {"no_face": 3, "ok": 117}


def test_vectors_are_null_where_there_is_no_face_and_never_zero_filled(tmp_path):
    planted = plant(tmp_path)
    table, _ = run_both(planted, tmp_path)
    for column in ("alpha_au", "alpha_au_std", "rotation_vector", "scale_px_per_m", "rmse_px", "camera"):
        assert table[column].null_count == 3, column


def test_the_camera_column_projects_the_fitted_landmarks_of_the_paper_preset(tmp_path):
    planted = plant(tmp_path)
    table, _ = run_both(planted, tmp_path, "paper")
    camera, _ = vectors(table, "camera")
    alpha, _ = vectors(table, "alpha_au")
    neutral, _ = vectors(read_table(tmp_path / "identity.parquet", "identity"), "neutral_landmarks_m")
    shape = deform(neutral.reshape(68, 3), small_bases().components_au, alpha[10])
    seen = np.c_[shape, np.ones(68)] @ camera[10].reshape(2, 4).T
    landmarks, _ = vectors(read_table(planted.landmarks, "landmarks"), "landmarks_px")
    residual = seen - landmarks[10].reshape(68, 3)[:, :2]
    assert np.sqrt((residual**2).sum(1).mean()) == pytest.approx(table["rmse_px"][10].as_py(), rel=1e-3)


def test_a_recording_without_a_face_is_refused_with_counts(tmp_path):
    planted = plant(tmp_path, n=20, lost=tuple(range(20)))
    with pytest.raises(FitError, match=r"session 's01': no face in any of 20 frames \(20 no_face\)"):
        identity.run(
            sessions=[planted.session], landmarks=[planted.landmarks], bases=planted.bases,
            identity=tmp_path / "identity.parquet", params=IdentityParams(),
        )  # fmt: skip
    assert not (tmp_path / "identity.parquet").exists()


def test_an_identity_made_with_another_basis_is_refused(tmp_path):
    planted = plant(tmp_path)
    run_both(planted, tmp_path)
    other = tmp_path / "other.npz"
    write_bases(other, small_bases(seed=9))
    with pytest.raises(SchemaError, match=r"identity.parquet: made with basis sha256:.*run the identity stage again"):
        fit.run(
            session=planted.session, landmarks=planted.landmarks, identity=tmp_path / "identity.parquet",
            bases=other, coefficients=tmp_path / "c.parquet", params=FitParams(),
        )  # fmt: skip
    assert not (tmp_path / "c.parquet").exists()


def test_frames_whose_landmarks_fit_no_face_are_marked_not_dropped(tmp_path):
    planted = plant(tmp_path, lost=())
    table = read_table(planted.landmarks, "landmarks")
    values, _ = vectors(table, "landmarks_px")
    values[50] = 7.0
    values[60] = np.random.default_rng(0).uniform(0, 400, 204)
    column = table.column_names.index("landmarks_px")
    table = table.set_column(column, table.schema.field(column), vector_array(values))
    write_table(planted.landmarks, "landmarks", table, read_metadata(planted.landmarks))
    coefficients, summary = run_both(planted, tmp_path)
    status = coefficients["status"].to_pylist()
    assert (status[50], status[60]) == ("fit_failed", "fit_failed")
    assert summary["fit_failed"] == 2
    assert coefficients["alpha_au"].null_count == 2


def test_a_focal_length_in_the_manifest_replaces_the_guess(tmp_path):
    planted = plant(tmp_path)
    text = planted.session.read_text()
    planted.session.write_text(text.replace('file = "rgb.mp4"', 'file = "rgb.mp4"\nfocal_px = 600.0'))
    run_both(planted, tmp_path)
    assert read_metadata(tmp_path / "coefficients.parquet")["camera"]["focal_px"] == 600.0


def test_smoothing_does_not_mix_two_people(tmp_path):
    planted = plant(tmp_path, lost=())
    table = read_table(planted.landmarks, "landmarks")
    values, _ = vectors(table, "landmarks_px")
    values = values.reshape(-1, 68, 3)
    values[60:, :, 0] += 150.0  # another place in the image from here on
    flags = [["face_switched"] if i == 60 else [] for i in range(len(table))]
    for name, column in (("landmarks_px", vector_array(values)), ("flags", pa.array(flags, pa.list_(pa.string())))):
        at = table.column_names.index(name)
        table = table.set_column(at, table.schema.field(at), column)
    write_table(planted.landmarks, "landmarks", table, read_metadata(planted.landmarks))
    coefficients, _ = run_both(planted, tmp_path)
    rmse = coefficients["rmse_px"].to_numpy()
    assert rmse[55:65].max() < 2 * np.median(rmse) + 0.2


def test_landmarks_of_a_mirrored_face_are_refused_as_a_whole(tmp_path):
    planted = plant(tmp_path, lost=())
    table = read_table(planted.landmarks, "landmarks")
    values, _ = vectors(table, "landmarks_px")
    values = values.reshape(-1, 68, 3)
    values[..., 0] = 639 - values[..., 0]
    at = table.column_names.index("landmarks_px")
    table = table.set_column(at, table.schema.field(at), vector_array(values))
    write_table(planted.landmarks, "landmarks", table, read_metadata(planted.landmarks))
    with pytest.raises(FitError, match="are the landmarks mirrored"):
        run_both(planted, tmp_path)
    assert not (tmp_path / "coefficients.parquet").exists()


def test_the_tables_have_the_schema_they_claim(tmp_path):
    planted = plant(tmp_path)
    run_both(planted, tmp_path)
    from au3dmm.io.table_schemas import coefficients_schema, identity_schema

    assert pq.read_schema(tmp_path / "coefficients.parquet").remove_metadata().equals(coefficients_schema(12))
    assert pq.read_schema(tmp_path / "identity.parquet").remove_metadata().equals(identity_schema(8))


def pooled(planted, others, folder, preset="robust"):
    clips = [planted, *others]
    summary = identity.run(
        sessions=[clip.session for clip in clips], landmarks=[clip.landmarks for clip in clips],
        bases=planted.bases, identity=folder / "pooled.parquet", params=IdentityParams(preset=preset),
    )  # fmt: skip
    return read_table(folder / "pooled.parquet", "identity"), summary


def another(folder, session_id, scale=1, **values):
    """The same recording once more under another name, by a camera with `scale` times the pixels."""
    clip = plant(folder, **values)
    clip.session.write_text(clip.session.read_text().replace('"s01"', f'"{session_id}"'))
    if scale != 1:
        metadata = read_metadata(clip.landmarks)
        table = read_table(clip.landmarks, "landmarks")
        points, valid = vectors(table, "landmarks_px")
        points = points.reshape(len(table), 68, 3).astype(float)
        centre = np.array([metadata["image"]["width"] - 1, metadata["image"]["height"] - 1]) / 2
        size = {key: value * scale for key, value in metadata["image"].items()}
        points[..., :2] = (points[..., :2] - centre) * scale + (np.array([size["width"], size["height"]]) - 1) / 2
        column = table.schema.get_field_index("landmarks_px")
        table = table.set_column(
            column, table.schema.field(column), vector_array(points.reshape(len(table), -1), valid)
        )
        write_table(clip.landmarks, "landmarks", table, {**metadata, "image": size})
    return clip


def test_recordings_of_one_face_are_pooled_and_named(tmp_path):
    first = plant(tmp_path / "a", noise_px=0.5)
    table, summary = pooled(first, [another(tmp_path / "b", "s02", noise_px=0.5)], tmp_path)
    assert summary["sessions"] == 2
    assert table["session_ids"].to_pylist() == [["s01", "s02"]]
    frames = table["neutral_frames"][0].as_py()
    assert {frame["session_id"] for frame in frames} == {"s01", "s02"}
    assert not {30, 31, 77} & {frame["frame_index"] for frame in frames}, "lost frames show no face"


def test_a_camera_with_twice_the_pixels_makes_no_other_face(tmp_path):
    first = plant(tmp_path / "a", noise_px=0.3)
    alike, _ = pooled(first, [another(tmp_path / "b", "s02", noise_px=0.3)], tmp_path)
    finer, _ = pooled(first, [another(tmp_path / "c", "s02", scale=2, noise_px=0.3)], tmp_path)
    same = [vectors(table, "neutral_landmarks_m")[0] for table in (alike, finer)]
    np.testing.assert_allclose(same[0], same[1], atol=1e-6)


def test_more_recordings_give_a_face_nearer_to_the_truth(tmp_path):
    bases = small_bases()
    rng = np.random.default_rng(5)
    truth = deform(bases.template, bases.components_id, rng.normal(size=bases.k_id) * 0.7)

    def error(table):
        found = vectors(table, "neutral_landmarks_m")[0].reshape(68, 3)
        return np.linalg.norm(found - found.mean(0) - (truth - truth.mean(0)), axis=1).mean()

    first = plant(tmp_path / "a", n=12, lost=(), noise_px=3.0)
    alone, _ = pooled(first, [], tmp_path)
    many, _ = pooled(first, [another(tmp_path / "b", "s02", n=120, lost=(), noise_px=3.0)], tmp_path)
    assert error(many) < error(alone)


def test_a_recording_without_a_face_adds_nothing_to_the_pool(tmp_path):
    first = plant(tmp_path / "a")
    alone, _ = pooled(first, [], tmp_path)
    both, summary = pooled(first, [another(tmp_path / "b", "s02", n=20, lost=tuple(range(20)))], tmp_path)
    assert summary["sessions"] == 1
    assert alone.equals(both)


def test_recordings_of_two_people_are_not_pooled(tmp_path):
    first, other = plant(tmp_path / "a"), another(tmp_path / "b", "s02")
    other.session.write_text(other.session.read_text().replace('"p01"', '"p02"'))
    with pytest.raises(SchemaError, match=r"recordings of 2 subjects \(p01, p02\); expected of one"):
        pooled(first, [other], tmp_path)
    assert not (tmp_path / "pooled.parquet").exists()


def test_the_papers_neutral_is_the_first_frame_of_each_recording(tmp_path):
    first = plant(tmp_path / "a")
    table, _ = pooled(first, [another(tmp_path / "b", "s02")], tmp_path, preset="paper")
    assert table["neutral_frames"][0].as_py() == [
        {"session_id": "s01", "frame_index": 0},
        {"session_id": "s02", "frame_index": 0},
    ]


def test_a_blink_of_one_frame_is_in_the_apertures_of_that_frame_alone(tmp_path):
    planted = plant(tmp_path)
    before, _ = run_both(planted, tmp_path)
    landmarks = read_table(planted.landmarks, "landmarks")
    points, valid = vectors(landmarks, "landmarks_px")
    points = points.reshape(len(landmarks), 68, 3)
    points[50, [37, 38]] = points[50, [41, 40]]  # the right eye
    place = landmarks.column_names.index("landmarks_px")
    landmarks = landmarks.set_column(place, landmarks.schema.field(place), vector_array(np.nan_to_num(points), valid))
    write_table(planted.landmarks, "landmarks", landmarks, read_metadata(planted.landmarks))
    after, _ = run_both(planted, tmp_path)
    lost = [i for i, word in enumerate(planted.status) if word != "ok"]
    columns = {}
    for name in ("aperture_left", "aperture_right", "mouth_open"):
        assert [i for i, known in enumerate(after[name].is_valid().to_pylist()) if not known] == lost
        columns[name] = [np.array(t[name].to_numpy(zero_copy_only=False), float) for t in (before, after)]
    then, now = columns["aperture_right"]
    assert now[50] == pytest.approx(0.0, abs=1e-6)
    others = np.flatnonzero(valid & (np.arange(len(valid)) != 50))
    # one pulled landmark moves the neutral face and the poses around it by very little
    assert np.abs(now - then)[others].max() < 0.1 * np.median(then[others])
    then, now = columns["aperture_left"]
    assert np.abs(now - then)[np.flatnonzero(valid)].max() < 0.1 * np.median(then[others])


def test_a_frame_whose_landmarks_are_off_is_less_certain_and_its_neighbours_are_not(tmp_path):
    planted = plant(tmp_path, noise_px=0.3)
    before, _ = run_both(planted, tmp_path)
    landmarks = read_table(planted.landmarks, "landmarks")
    points, valid = vectors(landmarks, "landmarks_px")
    # smoothing spreads a frame over those around it: an accident that lasts stays where it is
    points[40:60] += 12.0 * np.random.default_rng(0).standard_normal((1, 204))
    place = landmarks.column_names.index("landmarks_px")
    landmarks = landmarks.set_column(place, landmarks.schema.field(place), vector_array(np.nan_to_num(points), valid))
    write_table(planted.landmarks, "landmarks", landmarks, read_metadata(planted.landmarks))
    after, _ = run_both(planted, tmp_path)
    then, now = (np.array(t["confidence"].to_numpy(zero_copy_only=False), float) for t in (before, after))
    assert [i for i, known in enumerate(np.isfinite(now)) if not known] == np.flatnonzero(~valid).tolist()
    assert ((now[valid] > 0) & (now[valid] < 1)).all()
    inside, outside = np.arange(45, 55)[valid[45:55]], np.flatnonzero(valid & (np.abs(np.arange(len(valid)) - 50) > 20))
    assert np.median(now[inside]) < 0.7 * np.median(then[inside])
    assert np.median(now[outside]) > 0.9 * np.median(then[outside])
    std = vectors(after, "alpha_au_std")[0].mean(1)
    assert np.median(std[inside]) > 1.5 * np.median(std[outside])


def test_the_metadata_tell_how_planted_codes_were_found_again_and_what_landmarks_tell(tmp_path):
    run_both(plant(tmp_path, noise_px=0.3), tmp_path)
    metadata = read_metadata(tmp_path / "coefficients.parquet")
    check = metadata["uncertainty"]
    assert check["frames"] == 59  # the livelier half of 117
    assert check["noise_px"] == metadata["noise"]["measured_px"]
    assert len(check["determined"]) == metadata["basis"]["k_au"]
    assert all(0 < share < 1 for share in check["determined"])
    two = check["levels"].index(2.0)
    for kind in ("independent", "shared"):
        assert check[kind]["within"] == sorted(check[kind]["within"])
        assert check[kind]["within"][two] >= 0.95 * check[kind]["shown"] > 0


def shown(folder, session_id, rows, neutral_seed=5, repeat=1):
    """A recording that has only these frames of the planted one; `neutral_seed` is who it shows."""
    clip = another(folder, session_id, n=120, lost=(), noise_px=0.5)
    table = read_table(clip.landmarks, "landmarks")
    metadata = read_metadata(clip.landmarks)
    points = vectors(table, "landmarks_px")[0].reshape(-1, 68, 3)
    if neutral_seed != 5:
        bases = small_bases()
        difference = deform(
            np.zeros((68, 3)), bases.components_id, np.random.default_rng(neutral_seed).normal(size=bases.k_id) * 1.5
        )
        points[..., :2] += 1000 * difference[:, :2] * [1, -1]
    points = np.repeat(points[list(rows)], repeat, axis=0)
    chosen = table.take(np.repeat(list(rows), repeat))
    n = len(points)
    for name, column in (
        ("landmarks_px", vector_array(points)),
        ("frame_index", pa.array(np.arange(n), pa.int32())),
        ("t_rgb_us", pa.array(np.arange(n, dtype=np.int64) * 33_333)),
    ):
        place = chosen.schema.get_field_index(name)
        chosen = chosen.set_column(place, chosen.schema.field(place), column)
    write_table(clip.landmarks, "landmarks", chosen, metadata)
    return clip


def test_a_subject_of_one_frame_gets_a_face_a_doubt_and_a_warning(tmp_path):
    table, summary = pooled(shown(tmp_path / "a", "s01", [60]), [], tmp_path)
    assert table["neutral_trust"].to_pylist() == ["poor"]
    assert table["neutral_doubts"].to_pylist()[0][0] == "one_frame"
    assert table["flags"].to_pylist() == [["neutral_doubtful"]]
    assert len(summary["warnings"]) == 1
    assert "it comes from a single frame" in summary["warnings"][0]
    assert "record a second of resting face, or pool this person's recordings" in summary["warnings"][0]


def test_a_still_picture_is_called_one(tmp_path):
    table, summary = pooled(shown(tmp_path / "a", "s01", [40], repeat=50), [], tmp_path)
    assert table["neutral_doubts"].to_pylist()[0][0] == "still_picture"
    assert "all frames are the same picture" in summary["warnings"][0]
    assert summary["neutral"]["confidence"] < 0.25


def test_landmarks_that_are_all_equal_are_those_of_no_face(tmp_path):
    clip = shown(tmp_path / "a", "s01", range(20))
    table = read_table(clip.landmarks, "landmarks")
    place = table.schema.get_field_index("landmarks_px")
    table = table.set_column(place, table.schema.field(place), vector_array(np.full((20, 204), 7.0)))
    write_table(clip.landmarks, "landmarks", table, read_metadata(clip.landmarks))
    with pytest.raises(FitError, match="landmarks in 20 of 20 frames, but those of no face"):
        pooled(clip, [], tmp_path)


def test_two_people_under_one_subject_are_flagged_and_named(tmp_path):
    clips = [shown(tmp_path / f"c{i}", f"s0{i}", range(100), neutral_seed=9 if i == 3 else 5) for i in range(1, 5)]
    table, summary = pooled(clips[0], clips[1:], tmp_path)
    assert "two_subjects" in table["flags"].to_pylist()[0]
    assert summary["people"]["others"] == [{"session_id": "s03", "first_frame": 0, "last_frame": 99}]
    assert (
        "two people seem to be under subject 'p01': the face in session 's03' (frames 0 to 99)"
        in (summary["warnings"][-1])
    )
    same, _ = pooled(clips[0], [clips[1], clips[3]], tmp_path)
    assert "two_subjects" not in same["flags"].to_pylist()[0]


def test_the_papers_neutral_is_not_tested_and_says_so(tmp_path):
    table, summary = pooled(plant(tmp_path / "a"), [], tmp_path, preset="paper")
    assert table["neutral_trust"].to_pylist() == ["untested"]
    assert table["neutral_confidence"].to_pylist() == [None]
    assert summary["warnings"] == []
    assert not summary["people"]["tested"]


def test_a_table_of_an_older_version_is_still_read(tmp_path):
    from au3dmm.io.table_schemas import SCHEMA_VERSION, identity_schema

    planted = plant(tmp_path)
    run_both(planted, tmp_path)
    path = tmp_path / "identity.parquet"
    table, metadata = read_table(path, "identity"), read_metadata(path)
    old = table.select(identity_schema(8, version=2).names)
    write_table(path, "identity", old, {**metadata, "schema_version": 2})
    assert read_metadata(path)["schema_version"] == 2 < SCHEMA_VERSION["identity"]
    summary = fit.run(
        session=planted.session, landmarks=planted.landmarks, identity=path, bases=planted.bases,
        coefficients=tmp_path / "c.parquet", params=FitParams(),
    )  # fmt: skip
    assert summary["ok"] == 117


@pytest.mark.parametrize("focal", [1.0, 35.0])
def test_a_focal_length_of_no_lens_is_refused_in_one_line(tmp_path, focal):
    planted = plant(tmp_path)
    text = planted.session.read_text().replace('file = "rgb.mp4"', f'file = "rgb.mp4"\nfocal_px = {focal}')
    planted.session.write_text(text)
    with pytest.raises(SessionError, match=rf"rgb.focal_px = {focal:g}, but at 640 px .* expected at least 86 px"):
        run_both(planted, tmp_path)
