import io
import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from au3dmm.core.landmarks import DenseEmbedding, LandmarkEmbedding
from au3dmm.errors import SchemaError
from au3dmm.io.bases import basis_metadata, read_bases, read_npz, write_bases, write_npz
from planted import small_bases


def test_bases_survive_a_round_trip_and_writing_twice_gives_the_same_bytes(tmp_path):
    bases = small_bases()
    write_bases(tmp_path / "a.npz", bases)
    write_bases(tmp_path / "b.npz", bases)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    back = read_bases(tmp_path / "a.npz")
    np.testing.assert_allclose(back.components_au, bases.components_au, atol=1e-9)
    np.testing.assert_array_equal(back.faces, bases.faces)
    assert back.names_au == bases.names_au
    assert back.topology_hash() == bases.topology_hash()
    assert not back.is_demo
    assert basis_metadata(tmp_path / "a.npz", back)["k_id"] == 8


def changed(path, **arrays):
    write_npz(path, {**read_npz(path), **arrays})


def test_a_basis_whose_mesh_was_exchanged_is_refused(tmp_path):
    path = tmp_path / "b.npz"
    write_bases(path, small_bases())
    changed(path, faces=small_bases(seed=3).faces)
    with pytest.raises(SchemaError, match=r"b.npz: topology_hash .* of different topologies"):
        read_bases(path)


def test_components_of_another_topology_are_refused(tmp_path):
    path = tmp_path / "b.npz"
    write_bases(path, small_bases())
    changed(path, components_au=np.zeros((12, 90, 3), np.float32))
    with pytest.raises(SchemaError, match=r"components_au has shape \(12, 90, 3\), expected \(12, 68, 3\)"):
        read_bases(path)


def test_landmarks_of_another_annotation_are_refused(tmp_path):
    path = tmp_path / "b.npz"
    write_bases(path, small_bases())
    changed(path, landmark_barycentric=np.roll(small_bases().embedding.barycentric, 1, axis=1))
    with pytest.raises(SchemaError, match="landmark_hash"):
        read_bases(path)


def test_a_basis_in_millimetres_is_refused(tmp_path):
    path = tmp_path / "b.npz"
    write_bases(path, small_bases())
    changed(path, template=(1000 * small_bases().template).astype(np.float32))
    with pytest.raises(SchemaError, match=r"outer eye corners of the template are 90.*: everything is in metres"):
        read_bases(path)


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    path = tmp_path / "b.npz"
    write_bases(path, small_bases())
    changed(path, template=np.full((68, 3), np.nan, np.float32))
    with pytest.raises(SchemaError, match="template holds values that are not finite"):
        read_bases(path)


def test_files_that_are_no_basis_are_refused(tmp_path):
    with pytest.raises(SchemaError, match="no such file"):
        read_bases(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(SchemaError, match="not an npz file"):
        read_bases(tmp_path / "text.npz")
    write_npz(tmp_path / "other.npz", {"x": np.zeros(3)})
    with pytest.raises(SchemaError, match="not a basis file of au3dmm: template"):
        read_bases(tmp_path / "other.npz")
    write_bases(tmp_path / "cut.npz", small_bases())
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:3000])
    with pytest.raises(SchemaError, match="cut short"):
        read_bases(tmp_path / "cut.npz")


def test_pickled_objects_are_refused_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (print, ("this must not run",))

    np.savez(tmp_path / "bomb.npz", template=np.array([Bomb()], dtype=object))
    with pytest.raises(SchemaError, match="plain arrays"):
        read_bases(tmp_path / "bomb.npz")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("template", np.float32(1), r"template is float32 \(\), expected numbers in 2 dimensions"),
        ("template", np.full((68, 3), "x"), r"template is <U1 \(68, 3\), expected numbers"),
        ("template", np.zeros((68, 3), complex), "template is complex128"),
        ("faces", np.zeros((5, 3)), r"faces is float64 \(5, 3\), expected whole numbers in 2 dimensions"),
        ("components_au", np.zeros((12, 68)), r"components_au is float64 \(12, 68\), expected numbers in 3 dimensions"),
        ("stddev_id", np.float64(1), r"stddev_id is float64 \(\)"),
        ("landmark_face_index", np.int32(1), r"landmark_face_index is int32 \(\)"),
        ("names_au", np.array("AU1"), r"names_au is <U3 \(\), expected text in 1 dimensions"),
        ("names_au", np.arange(12), r"names_au is int64 \(12,\), expected text"),
        ("names_au", np.array(["\ud800"] * 12), r"names_au holds U\+D800, expected Unicode text"),
        ("names_au", np.full(12, 0x7FFFFFFF, np.uint32).view("<U1"), r"names_au holds U\+7FFFFFFF, expected"),
        ("info", np.array(["{}"]), r"info is <U2 \(1,\), expected text in 0 dimensions"),
        ("info", np.array("{no"), "info is not JSON: "),
        ("info", np.array("[" * 100_000), "info is not JSON: "),
        ("info", np.array("[1]"), "info is a JSON list, expected an object"),
        ("components_id", np.zeros((0, 68, 3)), r"stddev_id has shape \(8,\), expected \(0,\)"),
    ],
)
def test_arrays_of_another_form_are_refused_by_name(tmp_path, name, array, message):
    path = tmp_path / "b.npz"
    write_bases(path, small_bases())
    changed(path, **{name: np.asarray(array)})
    with pytest.raises(SchemaError, match=rf"b\.npz: .*{message}") as err:
        read_bases(path)
    assert "\n" not in str(err.value)


def test_a_basis_file_without_components_is_refused(tmp_path):
    path = tmp_path / "b.npz"
    write_bases(path, small_bases())
    changed(path, components_id=np.zeros((0, 68, 3)), stddev_id=np.zeros(0))
    with pytest.raises(SchemaError, match=r"b\.npz: basis: components_id has no components, expected at least one"):
        read_bases(path)


def test_numbers_that_only_a_cast_finds_wrong_are_refused(tmp_path):
    path = tmp_path / "b.npz"
    write_bases(path, small_bases())
    signalling = np.full((68, 3), 0x7F800001, np.uint32).view(np.float32)
    changed(path, template=signalling)
    with pytest.raises(SchemaError, match="template holds values that are not finite"):
        read_bases(path)


@pytest.mark.parametrize("only_the_directory", [False, True])
def test_damaged_bytes_give_an_error_or_the_same_arrays(tmp_path, only_the_directory):
    write_bases(tmp_path / "whole.npz", small_bases())
    whole, expected = (tmp_path / "whole.npz").read_bytes(), read_npz(tmp_path / "whole.npz")
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        for at in rng.integers(len(data) - 900 if only_the_directory else 0, len(data), 20):
            data[at] = rng.integers(256)
        (tmp_path / "b.npz").write_bytes(data)
        try:
            found = read_npz(tmp_path / "b.npz")
        except SchemaError:
            refused += 1
        else:
            assert found.keys() == expected.keys()
            assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert refused > 250


def npy(array):
    """The bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def with_header(text, data=b""):
    """The bytes of a .npy file with any header."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + data


BIG = "{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,), }\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (with_header(BIG, bytes(800)), r"'x' declares float64 \(10000000000000,\), 80000000000000 bytes, and has 800;"),
        (with_header(BIG.replace("10000000000000", "-100"), bytes(800)), "'x' declares"),
        (with_header(BIG.replace("10000000000000,", "0, " + "9" * 30)), "not an npz file of plain arrays"),
        (with_header(BIG.replace("<f8", "<U0")), "'x' is of <U0, pickled or without size"),
        (with_header(BIG.replace("(", "((((")), "not an npz file of plain arrays"),
        (with_header("(" * 5000), "not an npz file of plain arrays"),
        (with_header("{" + " " * 20_000 + "}"), "not an npz file of plain arrays"),
        (npy(np.arange(9))[:-1], "'x' declares int64 .9,., 72 bytes, and has 71;"),
        (npy(np.arange(9)) + b"x", "72 bytes, and has 73;"),
        (npy(np.arange(9))[:20], "not an npz file of plain arrays"),
        (b"\x93NUMPY\x09\x00" + bytes(90), r"'x' has npy version \(9, 0\), expected one of \(1, 0\), \(2, 0\)"),
    ],
    ids=lambda value: "npy" if isinstance(value, bytes) else None,
)
def test_an_array_that_is_not_what_its_header_declares_is_refused_before_memory_is_reserved(tmp_path, content, message):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as z:
        z.writestr("x.npy", content)
    with pytest.raises(SchemaError, match=rf"x\.npz: .*{message}") as err:
        read_npz(tmp_path / "x.npz")
    assert "\n" not in str(err.value)
    assert len(str(err.value)) < 300 + len(os.fspath(tmp_path))


def test_members_that_are_no_arrays_encrypted_or_otherwise_compressed_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("notes.txt", "hello")
    with pytest.raises(SchemaError, match=r"'notes\.txt' in it is no \.npy array"):
        read_npz(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as z:
        z.writestr("x.npy", npy(np.arange(3)))
    with pytest.raises(SchemaError, match="'x' is compressed by method 14, which numpy does not write"):
        read_npz(path)
    write_npz(path, {"x": np.arange(3)})
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag in the member's own header, and in the directory
    data[data.rindex(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(SchemaError, match=r"x\.npz: .* is encrypted"):
        read_npz(path)


def test_arrays_that_numpy_writes_are_read(tmp_path):
    arrays = {
        "numbers": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "nothing": np.zeros((0, 3)),
        "scalar": np.array(5),
        "text": np.array(["a", "Köln"]),
        "big_endian": np.arange(4, dtype=">i4"),
    }
    for name, save in (("a.npz", np.savez), ("b.npz", np.savez_compressed)):
        save(tmp_path / name, **arrays)
        found = read_npz(tmp_path / name)
        assert found.keys() == arrays.keys()
        for key, array in arrays.items():
            np.testing.assert_array_equal(found[key], array)
            assert found[key].dtype == array.dtype


def test_places_of_dense_points_survive_with_how_they_were_found(tmp_path):
    bases = small_bases()
    assert bases.dense is None
    assert bases.dense_landmarks() is None
    places = LandmarkEmbedding(np.array([0, 5, 7], np.int32), np.full((3, 3), 1 / 3))
    dense = DenseEmbedding("mediapipe", np.array([1, 9, 33], np.int32), places, np.array([0.001, 0.0, 0.002]), {"a": 1})
    write_bases(tmp_path / "b.npz", replace(bases, dense=dense))
    back = read_bases(tmp_path / "b.npz")
    assert back.dense.scheme == "mediapipe"
    assert back.dense.info == {"a": 1}
    np.testing.assert_array_equal(back.dense.landmark_index, [1, 9, 33])
    np.testing.assert_array_equal(back.dense.spread_m, dense.spread_m)
    np.testing.assert_allclose(back.dense_landmarks()[0], bases.template[bases.faces[[0, 5, 7]]].mean(1), atol=1e-6)
    assert back.landmark_hash() == bases.landmark_hash()
    write_bases(tmp_path / "c.npz", back)
    assert (tmp_path / "b.npz").read_bytes() == (tmp_path / "c.npz").read_bytes()
    write_bases(tmp_path / "d.npz", replace(back, dense=None))
    assert "dense" not in read_bases(tmp_path / "d.npz").info


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"dense_index": np.arange(2)}, "2 names for 1 dense landmarks"),
        ({"dense_spread_m": np.array([np.inf])}, "expected finite, >= 0"),
        ({"dense_spread_m": np.zeros(3)}, r"spreads \(3,\) for 1"),
        ({"dense_face_index": np.array([10**6])}, "names triangle 1000000"),
        ({"dense_barycentric": np.zeros(3)}, r"dense_barycentric is float64 \(3,\); expected places of dense"),
    ],
)
def test_damaged_places_of_dense_points_are_refused(tmp_path, arrays, said):
    places = LandmarkEmbedding(np.array([0], np.int32), np.full((1, 3), 1 / 3))
    dense = DenseEmbedding("mediapipe", np.array([1], np.int32), places, np.array([0.001]))
    path = tmp_path / "b.npz"
    write_bases(path, replace(small_bases(), dense=dense))
    changed(path, **arrays)
    with pytest.raises(SchemaError, match=f"b.npz: .*{said}"):
        read_bases(path)


def test_the_mirror_matrix_is_kept_and_files_without_one_are_read(tmp_path):
    plain = small_bases()
    matrix = np.eye(12)[np.arange(12)[::-1]] * 0.75
    write_bases(tmp_path / "plain.npz", plain)
    write_bases(tmp_path / "b.npz", replace(plain, mirror_au=matrix))
    assert read_bases(tmp_path / "plain.npz").mirror_au is None
    assert "mirror_au" not in basis_metadata(tmp_path / "plain.npz", plain)
    back = read_bases(tmp_path / "b.npz")
    np.testing.assert_array_equal(back.mirror_au, matrix)
    entries = basis_metadata(tmp_path / "b.npz", back)["mirror_au"]
    assert entries == [[i, 11 - i, 0.75] for i in range(12)]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.eye(5), r"b.npz: basis: mirror_au is \(5, 5\), or not finite; expected finite \(12, 12\)"),
        (np.full((12, 12), np.nan), "b.npz: basis: mirror_au is"),
        (np.zeros(12), r"b.npz: mirror_au is float64 \(12,\), expected numbers in 2 dimensions"),
        (np.full((12, 12), "x"), "b.npz: mirror_au is <U1"),
    ],
)
def test_a_mirror_matrix_of_another_kind_is_refused(tmp_path, array, message):
    path = tmp_path / "b.npz"
    write_bases(path, small_bases())
    changed(path, mirror_au=array)
    with pytest.raises(SchemaError, match=message):
        read_bases(path)


def test_factors_of_deviations_are_kept_and_older_files_have_none(tmp_path):
    plain, factors = small_bases(), np.linspace(0.6, 1.7, 12)
    write_bases(tmp_path / "plain.npz", plain)
    write_bases(tmp_path / "b.npz", replace(plain, std_factor_au=factors))
    assert "std_factor_au" not in read_npz(tmp_path / "plain.npz")
    assert read_bases(tmp_path / "plain.npz").std_factor_au is None
    np.testing.assert_array_equal(read_bases(tmp_path / "b.npz").std_factor_au, factors)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(5), r"b.npz: basis: std_factor_au is \(5,\), or not positive; expected a positive number for each"),
        (np.zeros(12), "or not positive; expected a positive number for each of the 12 AU components"),
        (np.full(12, np.nan), "b.npz: basis: std_factor_au is"),
        (np.eye(12), r"b.npz: std_factor_au is float64 \(12, 12\), expected numbers in 1 dimension$"),
        (np.full(12, "x"), "b.npz: std_factor_au is <U1"),
    ],
)
def test_factors_of_another_kind_are_refused(tmp_path, array, message):
    path = tmp_path / "b.npz"
    write_bases(path, small_bases())
    changed(path, std_factor_au=array)
    with pytest.raises(SchemaError, match=message):
        read_bases(path)
