import os
import zipfile

import numpy as np
import pytest

from au3dmm.errors import SchemaError
from au3dmm.io.object_npz import read_object_npz


class Touch:
    """Creates a file when it is unpickled by Python's own reader."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_dict_of_lists_of_arrays_is_read_back(tmp_path):
    points = [np.arange(4.0).reshape(2, 2), []]
    np.savez_compressed(tmp_path / "a.npz", {"landmarks": points})
    value = read_object_npz(tmp_path / "a.npz")
    np.testing.assert_array_equal(value["landmarks"][0], points[0])
    assert value["landmarks"][1] == []


def test_plain_arrays_are_read_by_name(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    np.testing.assert_array_equal(read_object_npz(tmp_path / "a.npz", "x"), [0, 1, 2])
    with pytest.raises(SchemaError, match=r"a.npz: no array 'arr_0'; found x"):
        read_object_npz(tmp_path / "a.npz")


def test_nothing_in_the_file_is_run(tmp_path):
    marker = tmp_path / "marker"
    np.savez(tmp_path / "a.npz", np.array(Touch(marker), dtype=object))
    with pytest.raises(SchemaError, match=r"a.npz: arr_0.*mkdir.*refused"):
        read_object_npz(tmp_path / "a.npz")
    assert not marker.exists()
    np.load(tmp_path / "a.npz", allow_pickle=True)["arr_0"]
    assert marker.exists()  # the file does what it was made for, elsewhere


def test_a_damaged_or_missing_file_is_told_by_its_own_name(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(SchemaError, match=r"a.npz: cannot be read: No such file"):
        read_object_npz(path)
    path.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(SchemaError, match=r"a.npz: not an npz file"):
        read_object_npz(path)
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("arr_0.npy", b"no array")
    with pytest.raises(SchemaError, match=r"a.npz: arr_0: not a .npy file"):
        read_object_npz(path)


def test_what_declares_too_much_is_not_unpacked(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z, z.open("arr_0.npy", "w", force_zip64=True) as f:
        for _ in range(257):
            f.write(bytes(2**20))
    with pytest.raises(SchemaError, match="expected at most"):
        read_object_npz(path)
