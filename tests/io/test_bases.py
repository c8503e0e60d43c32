import numpy as np
import pytest

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
