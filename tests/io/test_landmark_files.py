import zipfile

import numpy as np
import pyarrow as pa
import pytest

from au3dmm.errors import SessionError
from au3dmm.io.landmark_files import read_landmark_file
from au3dmm.io.table_schemas import landmarks_schema
from au3dmm.io.tables import scalar_array, vector_array, word_array, write_table

POINTS = np.random.default_rng(0).uniform(10, 200, (3, 68, 3)).astype(np.float32)


def names(*axes):
    return [f"{axis}_{i}" for axis in axes for i in range(68)]


def write_csv(path, columns, rows, blank=""):
    lines = [",".join(blank + name for name in columns)]
    lines += [",".join(str(value) for value in row) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def flat(points, *axes):
    return [points[i, "xyz".index(axis)] for axis in axes for i in range(68)]


def around(points):
    return np.concatenate([points[..., :2].min(1), points[..., :2].max(1)], axis=1)


def test_an_npz_of_every_frame_is_read(tmp_path):
    np.savez(tmp_path / "l.npz", landmarks=POINTS)
    found = read_landmark_file(tmp_path / "l.npz")
    assert found.frame_index.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(found.landmarks_px, POINTS)
    np.testing.assert_array_equal(found.box_px, around(POINTS))
    assert np.isnan(found.landmark_score).all()
    assert found.has_z
    assert found.n_counted == 3


def test_an_npz_of_some_frames_in_the_plane_is_read(tmp_path):
    points = POINTS[..., :2].copy()
    points[1, 5] = np.nan
    np.savez(tmp_path / "l.npz", landmarks=points, frame_index=[4, 7, 9], score=[0.9, 0.8, 0.7])
    found = read_landmark_file(tmp_path / "l.npz")
    assert found.frame_index.tolist() == [4, 9]
    np.testing.assert_array_equal(found.landmarks_px[..., :2], POINTS[[0, 2], :, :2])
    assert not found.landmarks_px[..., 2].any()
    np.testing.assert_array_equal(found.landmark_score, np.float32([0.9, 0.7]))
    assert not found.has_z
    assert found.n_counted is None


def test_an_npz_with_pickled_objects_is_refused(tmp_path):
    np.savez(tmp_path / "l.npz", landmarks=np.array([{}], object))
    with pytest.raises(SessionError, match="not an npz file of plain arrays"):
        read_landmark_file(tmp_path / "l.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"points": POINTS}, "no array 'landmarks'; found points"),
        ({"landmarks": POINTS[:, :5]}, r"landmarks are float32 \(3, 5, 3\); expected numbers \(T, 68, 2 or 3\)"),
        ({"landmarks": POINTS, "frame_index": [0]}, r"frame_index is int64 \(1,\); expected numbers \(3,\)"),
        ({"landmarks": POINTS, "frame_index": [0, 1.5, 2]}, "frame number 1.5 in row 1; expected whole numbers"),
        ({"landmarks": POINTS, "frame_index": [0, -1, 2]}, "frame number -1 in row 1"),
        ({"landmarks": POINTS, "frame_index": [0, 2**31, 2]}, r"number 2.14748e\+09 in row 1; .* from 0, below 2\^31"),
    ],
)
def test_an_npz_of_another_form_is_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "l.npz", **arrays)
    with pytest.raises(SessionError, match=message):
        read_landmark_file(tmp_path / "l.npz")


def test_a_plain_csv_is_read(tmp_path):
    rows = [[i, *flat(POINTS[k], "x", "y", "z"), 0.5] for k, i in enumerate((3, 1, 2))]
    path = write_csv(tmp_path / "l.csv", ["frame_index", *names("x", "y", "z"), "score"], rows)
    found = read_landmark_file(path)
    assert found.frame_index.tolist() == [3, 1, 2]
    np.testing.assert_allclose(found.landmarks_px, POINTS, atol=1e-4)
    assert found.landmark_score.tolist() == [0.5] * 3
    assert found.format == "au3dmm"
    assert found.n_counted is None


def test_an_openface_csv_counts_from_one_and_drops_failures(tmp_path):
    columns = ["frame", "timestamp", "confidence", "success", "gaze_0_x", *names("x", "y"), *names("Z")]
    rows = [[k + 1, k / 30, 0.9 - k / 10, int(k != 1), "nan", *flat(POINTS[k], "x", "y"), *range(68)] for k in range(3)]
    found = read_landmark_file(write_csv(tmp_path / "o.csv", columns, rows, blank=" "))
    assert found.format == "openface"
    assert found.frame_index.tolist() == [0, 2]
    np.testing.assert_allclose(found.landmarks_px[..., :2], POINTS[[0, 2], :, :2], atol=1e-4)
    assert not found.landmarks_px[..., 2].any()
    np.testing.assert_allclose(found.landmark_score, [0.9, 0.7], atol=1e-6)
    assert not found.has_z
    assert found.n_counted == 3


def test_a_pyfeat_csv_brings_its_boxes_and_may_lack_faces(tmp_path):
    columns = ["", "FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore", *names("x", "y")]
    columns += ["AU01", "input", "frame"]
    rows = [[k, 10, 20, 30, 40, 0.99, *flat(POINTS[k], "x", "y"), 0.1, "a b.mp4", k] for k in range(2)]
    rows.append([2, *[""] * (len(columns) - 3), "a b.mp4", 2])
    found = read_landmark_file(write_csv(tmp_path / "p.csv", columns, rows))
    assert found.format == "pyfeat"
    assert found.frame_index.tolist() == [0, 1]
    assert found.box_px.tolist() == [[10, 20, 40, 60]] * 2
    np.testing.assert_allclose(found.detection_score, 0.99)
    assert found.n_counted == 3


def test_our_own_table_comes_back_with_scores_and_dense_points(tmp_path):
    valid = np.array([True, False, True])
    dense = np.arange(3 * 4 * 3, dtype=np.float32).reshape(3, 4, 3)
    columns = [
        pa.array([5, 6, 7], pa.int32()),
        pa.array([0, 1, 2], pa.int64()),
        word_array(["ok", "no_face", "low_confidence"]),
        pa.array([[], [], []], pa.list_(pa.string())),
        pa.array([1, 0, 1], pa.int16()),
        pa.array([0, None, 0], pa.int16()),
        vector_array(np.ones((3, 4)), valid),
        scalar_array(np.full(3, 0.9), valid, pa.float32()),
        scalar_array(np.full(3, 0.8), valid, pa.float32()),
        vector_array(POINTS, valid),
        vector_array(dense, valid),
    ]
    table = pa.Table.from_arrays(columns, schema=landmarks_schema(4))
    write_table(tmp_path / "landmarks.parquet", "landmarks", table, {})
    found = read_landmark_file(tmp_path / "landmarks.parquet")
    assert found.frame_index.tolist() == [5, 7]
    np.testing.assert_array_equal(found.landmarks_px, POINTS[valid])
    np.testing.assert_array_equal(found.dense_px, dense[valid])
    np.testing.assert_allclose(found.landmark_score, 0.8)
    np.testing.assert_allclose(found.detection_score, 0.9)


def test_a_csv_of_nothing_known_is_refused_with_its_columns(tmp_path):
    path = write_csv(tmp_path / "l.csv", ["frame", "AU01"], [[0, 1]])
    with pytest.raises(SessionError, match="none of the known landmark CSVs; found columns frame"):
        read_landmark_file(path)


def test_a_csv_that_lacks_a_column_is_refused_by_name(tmp_path):
    columns = ["frame_index", *names("x", "y")]
    columns.remove("y_40")
    path = write_csv(tmp_path / "l.csv", columns, [[0] * len(columns)])
    with pytest.raises(SessionError, match="no column 'y_40', which au3dmm landmarks must have"):
        read_landmark_file(path)


def test_a_stated_format_is_held_to(tmp_path):
    path = write_csv(tmp_path / "l.csv", ["frame_index", *names("x", "y")], [[0] * 137])
    with pytest.raises(SessionError, match="no column 'frame', which openface landmarks must have"):
        read_landmark_file(path, "openface")


def test_a_ragged_csv_is_refused_by_line(tmp_path):
    path = write_csv(tmp_path / "l.csv", ["frame_index", *names("x", "y")], [[0] * 137, [0] * 100])
    with pytest.raises(SessionError, match="line 3 has 100 fields, the header 137"):
        read_landmark_file(path)


@pytest.mark.parametrize("name", ["none.npz", "none.csv", "none.parquet"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(SessionError, match=f"{name}: .*[Nn]o such file"):
        read_landmark_file(tmp_path / name)


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "l.pkl").write_bytes(b"x")
    with pytest.raises(SessionError, match=r"expected \.npz, \.csv or \.parquet"):
        read_landmark_file(tmp_path / "l.pkl")


def test_an_empty_csv_is_refused(tmp_path):
    (tmp_path / "l.csv").touch()
    with pytest.raises(SessionError, match="empty, expected a CSV with a header"):
        read_landmark_file(tmp_path / "l.csv")


def test_a_binary_csv_is_refused(tmp_path):
    (tmp_path / "l.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(SessionError, match="not a CSV"):
        read_landmark_file(tmp_path / "l.csv")


def test_a_damaged_npz_is_refused_and_reserves_no_memory(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000, 68, 3), }\n"
    with zipfile.ZipFile(tmp_path / "l.npz", "w") as z:
        z.writestr("landmarks.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(SessionError, match=r"l\.npz: .*'landmarks' declares float64 .* and has 0;"):
        read_landmark_file(tmp_path / "l.npz")
    np.savez_compressed(tmp_path / "l.npz", landmarks=POINTS)
    data = bytearray((tmp_path / "l.npz").read_bytes())
    data[60:80] = b"\xff" * 20
    (tmp_path / "l.npz").write_bytes(data)
    with pytest.raises(SessionError, match=r"l\.npz: not an npz file of plain arrays"):
        read_landmark_file(tmp_path / "l.npz")


def test_landmarks_beyond_float32_are_left_out(tmp_path):
    points = POINTS.astype(np.float64)
    points[1, 5, 0] = 1e300
    np.savez(tmp_path / "l.npz", landmarks=points)
    assert read_landmark_file(tmp_path / "l.npz").frame_index.tolist() == [0, 2]
