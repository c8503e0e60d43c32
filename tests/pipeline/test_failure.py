import pytest

from au3dmm.errors import OutputError, SchemaError
from au3dmm.pipeline.failure import failure_of


def failed(err):
    return failure_of(err, session_id="S01", subject_id="S", path="session.toml", stage="fit", mark="abc")


def test_a_reader_without_memory_is_out_of_memory_and_not_a_bad_file():
    err = SchemaError("labels.parquet: cannot be read")
    err.__cause__ = MemoryError("realloc of size 16384 failed")
    failure = failed(err)
    assert failure.error == "MemoryError"
    assert failure.message == "out of memory: realloc of size 16384 failed; give workers more, or run fewer of them"
    assert not failure.lasts("abc"), "with more memory it would be done"


@pytest.mark.parametrize(("err", "lasts"), [(SchemaError("bad"), True), (OutputError("full"), False)])
def test_what_is_wrong_with_a_recording_lasts_and_what_is_wrong_with_a_disk_passes(err, lasts):
    assert failed(err).lasts("abc") == lasts
    assert not failed(err).details


def test_a_bug_keeps_its_traceback():
    failure = failed(ZeroDivisionError("division by zero"))
    assert "a bug in au3dmm" in failure.message
    assert "ZeroDivisionError" in failure.details
