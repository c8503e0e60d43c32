"""Multiface's layout: tracked meshes in their own axes, in metres; what is damaged is named."""

import numpy as np
import pytest

from au3dmm.errors import SchemaError
from au3dmm.evaluation.mesh_error import surface_errors
from au3dmm.io.multiface import multiface_expressions, read_multiface

FACES = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
SUBJECT = "m--20180227--0000--6795937--GHS"


def vertices(frame):
    return np.array([[0.0, 0, 0], [90, 0, 0], [0, 80, 0], [0, 0, 70 + frame]])


def write_subject(folder, frames=(102, 105, 108), *, binary=True):
    subject = folder / SUBJECT
    mesh = subject / "tracked_mesh" / "E001_Neutral_Eyes_Open"
    mesh.mkdir(parents=True)
    (subject / "frame_list.txt").write_text("".join(f"E001_Neutral_Eyes_Open {f:06d}\n" for f in frames))
    for f in frames:
        lines = [f"v {x} {y} {z}" for x, y, z in vertices(f)]
        lines += ["vt 0.5 0.5", *(f"f {a + 1}/1 {b + 1}/1 {c + 1}/1" for a, b, c in FACES)]
        (mesh / f"{f:06d}.obj").write_text("\n".join(lines) + "\n")
        if binary:
            (mesh / f"{f:06d}.bin").write_bytes(vertices(f).astype("<f4").tobytes())
        (mesh / f"{f:06d}_transform.txt").write_text("1 0 0 10\n0 1 0 -20\n0 0 1 1000\n")
    (subject / "tracked_mesh" / "E002_Swallow").mkdir()
    return subject


@pytest.mark.parametrize("binary", [True, False])
def test_meshes_are_those_of_the_files_in_metres(tmp_path, binary):
    subject = write_subject(tmp_path, binary=binary)
    assert multiface_expressions(subject) == ["E001_Neutral_Eyes_Open"]
    found = read_multiface(subject, "E001_Neutral_Eyes_Open")
    assert found.frames.tolist() == [102, 105, 108]
    np.testing.assert_allclose(found.vertices, [vertices(f) / 1000 for f in (102, 105, 108)], atol=1e-8)
    np.testing.assert_array_equal(found.faces, FACES)
    np.testing.assert_allclose(found.poses[0], [[1, 0, 0, 0.01], [0, 1, 0, -0.02], [0, 0, 1, 1]])
    assert read_multiface(subject, found.expression, every=2).frames.tolist() == [102, 108]


def test_they_are_what_faces_are_measured_by(tmp_path):
    found = read_multiface(write_subject(tmp_path), "E001_Neutral_Eyes_Open")
    errors = surface_errors(found.vertices, found.vertices, found.faces, align=False)
    assert errors.summary()["mean_mm"] == pytest.approx(0, abs=1e-9)


def test_a_frame_without_a_pose_has_none(tmp_path):
    subject = write_subject(tmp_path)
    (subject / "tracked_mesh" / "E001_Neutral_Eyes_Open" / "000105_transform.txt").unlink()
    poses = read_multiface(subject, "E001_Neutral_Eyes_Open").poses
    assert np.isfinite(poses).all((1, 2)).tolist() == [True, False, True]


def test_what_is_missing_or_damaged_is_named_in_one_line(tmp_path):
    subject = write_subject(tmp_path)
    folder = subject / "tracked_mesh" / "E001_Neutral_Eyes_Open"
    with pytest.raises(SchemaError, match=r"E002_Swallow: no <frame>\.obj or <frame>\.bin"):
        read_multiface(subject, "E002_Swallow")
    with pytest.raises(SchemaError, match="expected a subject of Multiface"):
        multiface_expressions(tmp_path)
    for name, text, message in (
        ("000105.bin", b"\0" * 47, r"47 bytes, expected 48: 4 vertices of three float32"),
        ("000105.bin", b"\xff" * 48, "not finite"),
        ("000108_transform.txt", b"1 2 3\n", r"\(1, 3\) numbers, expected three rows of four"),
        ("000108_transform.txt", b"a b\n", "cannot be read"),
    ):
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(text)
        with pytest.raises(SchemaError, match=message) as err:
            read_multiface(subject, "E001_Neutral_Eyes_Open")
        assert "\n" not in str(err.value)
        (folder / name).write_bytes(kept)
    for path in folder.glob("*.obj"):
        path.unlink()
    with pytest.raises(SchemaError, match="one is needed for its triangles"):
        read_multiface(subject, "E001_Neutral_Eyes_Open")
