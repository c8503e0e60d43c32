import tomllib

from hypothesis import given
from hypothesis import strategies as st

from au3dmm.adapters.toml_text import toml_text

plain = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(-(2**62), 2**62),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
values = st.one_of(plain, st.lists(plain, max_size=3))
table = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), values, max_size=4)
tables = st.dictionaries(
    st.from_regex(r"[a-z_-]+", fullmatch=True),
    st.one_of(values, table, st.lists(table, min_size=1, max_size=3)),
    max_size=4,
)


@given(tables)
def test_what_is_written_is_read_back(values):
    expected = {key: value for key, value in values.items() if value != {}}
    assert tomllib.loads(toml_text(values)) == expected


def test_tables_in_tables_and_what_is_not_there():
    text = toml_text({"a": {"b": {"c": 1}, "d": None}, "e": None, "f": {}})
    assert tomllib.loads(text) == {"a": {"b": {"c": 1}}}
