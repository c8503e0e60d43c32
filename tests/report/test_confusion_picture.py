import io

import numpy as np
from PIL import Image

from au3dmm.report.confusion_picture import draw_confusion

CLASSES = ["AU1", "AU2", "AU12"]
TABLE = np.array([[3, 1, 0], [0, 4, 0], [0, 2, 2]])


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), int)


def test_equal_tables_give_equal_bytes_and_others_do_not():
    assert draw_confusion(TABLE, CLASSES, "t") == draw_confusion(TABLE.copy(), CLASSES, "t")
    assert draw_confusion(TABLE, CLASSES, "t") != draw_confusion(TABLE.T, CLASSES, "t")


def test_it_grows_with_the_number_of_classes():
    small = pixels(draw_confusion(TABLE, CLASSES, "t"))
    large = pixels(draw_confusion(np.eye(24, dtype=int), [f"AU{i}" for i in range(24)], "t"))
    assert large.shape[0] > 1.5 * small.shape[0]


def test_lines_stand_between_groups_that_lie_together():
    groups = {"eyes": ("AU1", "AU2"), "mouth": ("AU12",)}
    assert draw_confusion(TABLE, CLASSES, "t", groups) != draw_confusion(TABLE, CLASSES, "t")
    torn = ["AU1", "AU12", "AU2"]
    assert draw_confusion(TABLE, torn, "t", groups) == draw_confusion(TABLE, torn, "t")


def test_a_class_without_videos_has_an_empty_row():
    table = np.array([[2, 0], [0, 0]])
    assert len(draw_confusion(table, ["a", "b"], "t")) > 1000
