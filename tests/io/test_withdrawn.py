import pytest

from au3dmm.errors import SchemaError
from au3dmm.io.withdrawn import WITHDRAWN, add_withdrawn, is_withdrawn


def test_who_has_withdrawn_is_known_in_every_run_whatever_the_case(tmp_path):
    root = tmp_path / "derivatives" / "au3dmm"
    assert not is_withdrawn(root / "label", "S1")
    add_withdrawn(root, "S1")
    assert is_withdrawn(root / "label", "S1")
    assert is_withdrawn(root / "a_run_of_tomorrow", "s1")
    assert not is_withdrawn(root / "label", "S10")
    assert not is_withdrawn(tmp_path / "elsewhere", "S1")


def test_a_run_has_a_list_of_its_own_for_when_it_moves(tmp_path):
    add_withdrawn(tmp_path / "run", "S1")
    add_withdrawn(tmp_path / "run", "S2")
    before = (tmp_path / "run" / WITHDRAWN).read_bytes()
    add_withdrawn(tmp_path / "run", "S1")
    assert (tmp_path / "run" / WITHDRAWN).read_bytes() == before
    assert is_withdrawn(tmp_path / "run", "S1")
    assert is_withdrawn(tmp_path / "run", "S2")


def test_the_list_names_nobody(tmp_path):
    add_withdrawn(tmp_path, "participant-0042")
    assert "0042" not in (tmp_path / WITHDRAWN).read_text()


def test_a_list_that_cannot_be_read_is_refused_rather_than_ignored(tmp_path):
    (tmp_path / WITHDRAWN).write_text("{}")
    with pytest.raises(SchemaError, match="not a list of who has withdrawn"):
        is_withdrawn(tmp_path, "S1")
