import base64
import json
import re
import shutil

import numpy as np
import pyarrow as pa
import pytest

from au3dmm.errors import SchemaError
from au3dmm.io.tables import METADATA_KEY, read_metadata, read_table, write_table
from au3dmm.report.session_head import FAINT
from au3dmm.report.session_page import PageOptions, write_session_page
from demo_basis import few_components, learned
from pages import Checker
from planted_session import STATUS, N, write_labelled


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A labelled session, made once; not to be changed."""
    return write_labelled(tmp_path_factory.mktemp("made") / "run")


@pytest.fixture
def copy(made, tmp_path):
    """The same, to be changed at will."""
    shutil.copytree(made.folder, tmp_path / "run" / "sessions" / "s01")
    return tmp_path / "run" / "sessions" / "s01"


def page_of(folder, bases=None, **more):
    return write_session_page(folder, PageOptions(bases, **more)).read_text("utf-8")


def data_of(text):
    return json.loads(re.search('<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


def numbers(text, kind, *shape):
    return np.frombuffer(base64.b64decode(text), kind).reshape(*shape)


@pytest.fixture(scope="module")
def page(made):
    return page_of(made.folder, made.bases_file)


def test_the_page_is_whole_html_that_loads_nothing(page):
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert {address.split(",")[0] for address in checker.loads} == {"data:image/png;base64", "data:image/webp;base64"}
    assert "default-src 'none'" in page


def test_equal_sessions_give_equal_pages_and_what_is_up_to_date_is_not_written_again(made, copy, page):
    assert page_of(copy, made.bases_file) == page
    before = (copy / "report.html").stat().st_mtime_ns
    page_of(copy, made.bases_file)
    assert (copy / "report.html").stat().st_mtime_ns == before


def test_the_title_has_the_numbers_and_every_status_is_counted(page):
    assert re.search("<title>(.*)</title>", page)[1] == f"s01: {N} RGB frames, {N} event frames"
    ok = N - sum(rows.stop - rows.start for rows in STATUS.values())
    for told in (f"with values {ok}", "no face 4", "landmarks not certain 1", "2 stretches"):
        assert told in page


def test_the_head_in_the_page_is_the_basis_mean_and_its_components(made, page):
    head = data_of(page)["head"]
    bases, v = made.bases, len(made.bases.template)
    vertices = numbers(head["vertices"], "<i2", v, 3) * head["step"]
    middle = (bases.template.max(0) + bases.template.min(0)) / 2
    assert np.abs(vertices + middle - bases.template).max() <= 0.51 * head["step"] < 5e-6  # m
    assert np.array_equal(numbers(head["faces"], "<u2", -1, 3), bases.faces)
    places, moved = numbers(head["places"], "<u2", -1), numbers(head["components"], "<i2", -1, 3)
    ends = np.cumsum(head["counts"])
    for k, step, end, n in zip(head["which"], head["steps"], ends, head["counts"], strict=True):
        found, truth = np.zeros((v, 3)), bases.components_au[k]
        found[places[end - n : end]] = moved[end - n : end] * step
        peak = np.sqrt((truth**2).sum(1)).max()
        assert np.abs(found - truth).max() <= max(0.51 * step, FAINT * peak)
    assert sorted(head["which"]) == [0, 1, 2]


def test_the_coefficients_in_the_page_are_those_of_the_table(made, page):
    data = data_of(page)
    for name, truth in (("alpha", made.alpha), ("std", np.full_like(made.alpha, 0.25))):
        said = data[name]
        steps = numbers(said["data"], np.uint8, N, 3)
        valid = np.array(made.status) == "ok"
        assert np.array_equal(steps == 255, np.broadcast_to(~valid[:, None], steps.shape))
        found = said["low"] + steps * np.array(said["step"])
        assert np.abs(found - truth)[valid].max() <= 0.51 * max(said["step"])
    assert data["names"] == ["AU1", "AU12_left", "AU12_right"]
    assert np.allclose(np.diff(numbers(data["time"], "<f4", N)), 0.033333, atol=1e-5)


def test_without_being_asked_no_page_shows_whose_face_it_is(made, page):
    assert "holds no biometric data" in page
    assert "The basis’ mean head, not the person’s" in page
    assert "under the basis’ licence: Apache-2.0" in page
    assert 'RGB frame"' not in page.split("<main>")[1].split("<script")[0].replace("RGB frames", "")


def test_asked_for_pictures_the_head_is_the_persons_and_the_page_says_so(made, copy):
    text = page_of(copy, made.bases_file, thumbnails=True)
    head = data_of(text)["head"]
    bases = made.bases
    own = bases.template + np.tensordot([1.5, -1.0], bases.components_id, axes=1)
    vertices = numbers(head["vertices"], "<i2", len(own), 3) * head["step"]
    assert np.abs(vertices + (own.max(0) + own.min(0)) / 2 - own).max() <= 0.51 * head["step"]
    assert np.abs(own - bases.template).max() > 1e-3  # m: another head than the mean
    assert "This page holds biometric data" in text
    assert "no RGB pictures: session.toml was not found" in text


def test_names_with_html_in_them_are_escaped_everywhere(tmp_path):
    bad = '</script><img src=x onerror="1">&'
    bases = few_components(("AU1", "AU12_left"))
    bases = type(bases)(**{**bases.__dict__, "names_au": (bad, "AU<b>")})
    made = write_labelled(tmp_path / "run", "s<i>&", bases=bases, subject=bad)
    text = page_of(made.folder, made.bases_file)
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert not [address for address in checker.loads if not address.startswith("data:")]
    assert "<img src=x" not in text
    assert "AU<b>" not in text
    assert "&lt;i&gt;" in text
    assert data_of(text)["names"] == [bad, "AU<b>"]


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        (["labels.parquet"], "labels.parquet is not there"),
        (["labels.parquet", "clock.json"], "no events"),
        (["coefficients.parquet"], "coefficients.parquet is not there: no face was fitted yet"),
        (["coefficients.parquet", "labels.parquet"], "no face was fitted yet"),
        (["coefficients.parquet", "labels.parquet", "clock.json", "identity.parquet"], "nothing made yet"),
        (["identity.parquet"], "landmarks.parquet is not there"),
    ],
    ids=["labels", "events", "fit", "fit and labels", "everything", "identity"],
)
def test_what_is_unfinished_gets_a_page_that_says_what_is_missing(copy, gone, told):
    for name in gone:
        (copy / name).unlink()
    text = page_of(copy)
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert told in text


def test_labels_of_rgb_frames_are_not_taken_for_event_frames(copy):
    path = copy / "labels.parquet"
    assert "Event rate" in page_of(copy)
    write_table(path, "labels", read_table(path, "labels"), read_metadata(path) | {"windows": "frame", "clock": None})
    (copy / "clock.json").unlink()
    text = page_of(copy)
    assert "its labels are of the RGB frames" in text
    assert "Event rate" not in text
    assert "event frame" not in text.split("<h1>")[1].split("What is missing")[0]


def test_a_column_of_action_units_that_says_nothing_is_left_out(tmp_path):
    bases = few_components()
    for name, one, there in (("named", bases, False), ("learnt", learned(bases), True)):
        made = write_labelled(tmp_path / name / "run", bases=one)
        assert ("<th>action units</th>" in page_of(made.folder, made.bases_file)) == there


@pytest.mark.parametrize("name", ["labels.parquet", "coefficients.parquet", "clock.json", "identity.parquet"])
def test_a_damaged_file_is_named_and_the_rest_is_shown(copy, name):
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[: len(data) // 2])
    text = page_of(copy)
    if name != "identity.parquet":  # only whose face it is, and how far it is believed
        assert f"{name} cannot be read" in text
    assert str(copy.parent) not in text


def test_a_session_that_failed_says_where_and_why_without_where_it_lies(copy):
    said = {"stage": "fit", "message": f"{copy.absolute().parents[4]}/raw/s01: no face in it <b>", "subject_id": "p01"}
    (copy / "failure.json").write_text(json.dumps(said))
    text = page_of(copy)
    assert "fit: raw/s01: no face in it &lt;b&gt;" in text
    (copy / "failure.json").write_text("[1]")
    assert "Not finished" not in page_of(copy)


def test_a_session_without_any_face_shows_its_status_and_no_number(tmp_path):
    made = write_labelled(tmp_path / "run", status=["no_face"] * N)
    text = page_of(made.folder, made.bases_file)
    assert f"a face was fitted in 0 of {N} RGB frames" in text
    assert "nan" not in re.sub("<script.*?</script>|<style.*?</style>", "", text, flags=re.S).lower()
    assert data_of(text)["head"]["shown"] == 0


@pytest.mark.parametrize("how", ["none", "another", "damaged"])
def test_without_its_basis_a_page_has_no_head_and_says_how_to_get_one(made, copy, tmp_path, how):
    path = None
    if how == "another":
        path = write_labelled(tmp_path / "other", names=("AU1", "AU4")).bases_file
    if how == "damaged":
        path = tmp_path / "half.npz"
        path.write_bytes(made.bases_file.read_bytes()[:5000])
    text = page_of(copy, path)
    assert "no head: the basis (sha256:" in text
    assert "--bases" in text
    assert data_of(text)["head"] is None
    assert "holds no biometric data" in text


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SchemaError, match="no such folder; expected what a run left of a session"):
        write_session_page(tmp_path / "none")


def test_five_minutes_fit_in_five_megabytes(made, tmp_path):
    """9000 frames of 64 components, twice as many as the demo basis has."""
    folder = tmp_path / "run" / "sessions" / "long"
    folder.mkdir(parents=True)
    n, k = 9000, 64
    table, metadata = (
        read_table(made.folder / "coefficients.parquet"),
        read_metadata(made.folder / "coefficients.parquet"),
    )
    rows = table.take(pa.array(np.arange(n) % N, pa.int64()))
    rng = np.random.default_rng(0)
    values = pa.FixedSizeListArray.from_arrays(
        pa.array(rng.random(n * k, np.float32)), type=pa.list_(pa.field("element", pa.float32(), False), k)
    )
    for name, column in (
        ("frame_index", pa.array(np.arange(n), pa.int32())),
        ("t_rgb_us", pa.array(33_333 * np.arange(n))),
    ):
        rows = rows.set_column(rows.column_names.index(name), rows.schema.field(name), column)
    for name in ("alpha_au", "alpha_au_std"):
        rows = rows.set_column(rows.column_names.index(name), pa.field(name, values.type), values)
    names = [f"c{i:02}_somewhere" for i in range(k)]
    metadata["basis"] |= {"names_au": names, "k_au": k, "action_units": [["AU1"]] * k}
    schema = rows.schema.with_metadata({METADATA_KEY: b"{}"})
    more = {key: value for key, value in metadata.items() if key not in ("table", "schema_version", "package")}
    write_table(folder / "coefficients.parquet", "coefficients", rows.replace_schema_metadata(schema.metadata), more)
    text = page_of(folder)
    assert data_of(text)["stride"] == 2
    # a head and its components have at most 2.3 MB, three.js 0.54 MB
    assert len(text) + 2.9e6 < 5e6
