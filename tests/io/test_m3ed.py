import h5py
import numpy as np
import pytest

from adapter_trees import write_m3ed
from au3dmm.errors import SessionError
from au3dmm.io.images import read_image
from au3dmm.io.m3ed import copy_images, is_m3ed, read_m3ed
from recordings import noise_images
from small_recording import INTERVAL_US, SIZE


@pytest.fixture
def path(tmp_path):
    return write_m3ed(tmp_path / "car_data.h5", n=4)


def test_times_and_size_of_the_images_are_read(path):
    images = read_m3ed(path)
    np.testing.assert_array_equal(images.t_us, 2_000_000 + INTERVAL_US * np.arange(4))
    assert (images.width, images.height) == SIZE
    assert is_m3ed(path)


def test_images_are_copied_losslessly_with_red_first(path, tmp_path):
    copy_images(path, tmp_path / "frames")
    files = sorted((tmp_path / "frames").glob("*.png"))
    assert [file.name for file in files] == [f"{i:06}.png" for i in range(4)]
    for file, image in zip(files, noise_images(4, SIZE), strict=True):
        np.testing.assert_array_equal(read_image(file), image)


def test_what_was_copied_is_left_and_what_is_missing_or_of_another_file_is_copied_anew(path, tmp_path):
    folder = tmp_path / "frames"
    copy_images(path, folder)
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    copy_images(path, folder)
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    (folder / "000002.png").unlink()
    copy_images(path, folder)
    assert len(list(folder.glob("*.png"))) == 4
    copy_images(write_m3ed(tmp_path / "other_data.h5", n=3), folder)
    assert len(list(folder.glob("*.png"))) == 3


def test_times_that_are_not_those_of_the_events_are_refused(tmp_path):
    path = write_m3ed(tmp_path / "a.h5", wrong_us=40_000)
    with pytest.raises(SessionError, match=r"image \d+ is at \d+ us, the event that the file gives it at \d+ us"):
        read_m3ed(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.__delitem__("ovc/rgb"), "no ovc/rgb/data in it"),
        (lambda f: f.__delitem__("ovc/ts"), "no ovc/ts in it"),
        (lambda f: f.__delitem__("prophesee/left/t"), "no prophesee/left/t in it"),
        (lambda f: (f.__delitem__("ovc/ts"), f.__setitem__("ovc/ts", [1, 2])), r"with \(2,\) times; expected uint8"),
        (lambda f: (f.__delitem__("ovc/rgb/data"), f.__setitem__("ovc/rgb/data", np.zeros((4, 2, 2)))), "float64"),
    ],
)
def test_what_is_missing_is_named(path, change, message):
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(SessionError, match=message):
        read_m3ed(path)


def test_other_files_are_not_taken_for_it(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = [1]
    (tmp_path / "b.h5").write_bytes(b"no HDF5")
    assert not is_m3ed(tmp_path / "a.h5")
    assert not is_m3ed(tmp_path / "b.h5")
    with pytest.raises(SessionError, match="cannot be read: No such file"):
        read_m3ed(tmp_path / "none.h5")
    with pytest.raises(SessionError, match="cannot be read as HDF5"):
        read_m3ed(tmp_path / "b.h5")
