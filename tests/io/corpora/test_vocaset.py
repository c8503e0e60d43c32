import numpy as np
import pytest

from au3dmm.errors import SchemaError
from au3dmm.io.corpora.vocaset import read_vocaset
from corpora_trees import (
    head_mesh,
    heads,
    person,
    python2_pickle,
    write_ply,
    write_training_data,
    write_tree,
)

A, B = "FaceTalk_170725_00137_TA", "FaceTalk_170809_00138_TA"


def takes():
    # B lacks a sequence that A has, as 2 of the real 480 are missing
    return {
        f"{A}/sentence01": heads(4, 0),
        f"{A}/sentence02": heads(12, 0),
        f"{A}/sentence10": heads(3, 0),
        f"{B}/sentence01": heads(5, 1),
    }


def templates():
    return {A: person(0), B: person(1)}


def frames_of(corpus, sequence):
    return np.stack([np.asarray(corpus.frames[row : row + 1])[0] for row in sequence.rows])


def check(corpus, expected):
    assert [f"{s.subject_id}/{s.name}" for s in corpus.sequences] == list(expected)
    for sequence, frames in zip(corpus.sequences, expected.values(), strict=True):
        got = frames_of(corpus, sequence)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, frames, atol=1e-8)
    for subject in corpus.subjects:
        np.testing.assert_allclose(corpus.neutrals[subject], templates()[subject], atol=1e-7)


# the training data


@pytest.mark.parametrize("options", [{}, {"text": True}, {"chumpy": True}, {"dtype": "<f8"}, {"dtype": ">f4"}], ids=str)
def test_training_data_as_python_2_wrote_them(tmp_path, options):
    rows = write_training_data(tmp_path / "trainingdata", takes(), templates(), **options)
    before = (tmp_path / "trainingdata" / "data_verts.npy").stat()
    corpus = read_vocaset(tmp_path, cache=tmp_path / "cache")
    check(corpus, takes())
    np.testing.assert_array_equal(corpus.sequences[1].rows, rows[f"{A}/sentence02"])
    assert corpus.faces is None
    assert not corpus.posed
    assert corpus.lost == ()
    assert "2 subjects, 4 sequences" in corpus.provenance
    assert "no redistribution" in corpus.licence
    after = (tmp_path / "trainingdata" / "data_verts.npy").stat()
    assert before.st_mtime_ns == after.st_mtime_ns


def test_float32_training_data_stay_on_disk_and_cannot_be_written(tmp_path):
    write_training_data(tmp_path, takes(), templates())
    corpus = read_vocaset(tmp_path, cache=tmp_path / "cache")
    assert isinstance(corpus.frames, np.memmap)
    assert not corpus.frames.flags.writeable


def test_names_in_latin1_are_read(tmp_path):
    write_training_data(tmp_path, {"Jos\xe9/s\xe4tze": heads(3)}, {"Jos\xe9": person(0)})
    assert read_vocaset(tmp_path, cache=tmp_path / "cache").sequences[0].subject_id == "Jos\xe9"


def test_the_sample_mesh_beside_the_training_data_gives_triangles(tmp_path):
    write_training_data(tmp_path, takes(), templates())
    write_ply(tmp_path / "templates" / "FLAME_sample.ply", person(5))
    np.testing.assert_array_equal(read_vocaset(tmp_path, cache=tmp_path / "cache").faces, head_mesh().faces)


def test_the_fingerprint_is_of_the_content(tmp_path):
    prints = []
    for name, shift in (("a", 0), ("b", 0), ("c", 1e-4)):
        data = {take: frames + np.float32(shift) for take, frames in takes().items()}
        write_training_data(tmp_path / name, data, templates())
        prints.append(read_vocaset(tmp_path / name, cache=tmp_path / "cache").fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_frames_with_nan_are_named_and_left_out(tmp_path):
    data = takes()
    data[f"{A}/sentence02"][5, 3, 1] = np.nan
    rows = write_training_data(tmp_path, data, templates())
    for _ in range(2):  # the second time from the cache
        corpus = read_vocaset(tmp_path, cache=tmp_path / "cache", max_lost=0.1)
        row = rows[f"{A}/sentence02"][5]
        assert [(f.path, f.reason) for f in corpus.lost] == [
            (f"{A}/sentence02[5]", f"row {row} of data_verts.npy: vertices that are not finite")
        ]
        np.testing.assert_array_equal(corpus.sequences[1].rows, np.delete(rows[f"{A}/sentence02"], 5))
    with pytest.raises(SchemaError, match=r"1 or more of 24 frames cannot be used, expected at most 1 %: .*\[5\]"):
        read_vocaset(tmp_path, cache=tmp_path / "cache")


def test_what_is_not_finite_is_looked_for_once(tmp_path):
    write_training_data(tmp_path, takes(), templates())
    calls = []
    for _ in range(2):
        read_vocaset(tmp_path, cache=tmp_path / "cache", progress=lambda *n: calls.append(n))
    assert calls == [(24, 24)]
    data = takes()
    data[f"{A}/sentence02"][5, 3, 1] = np.inf
    write_training_data(tmp_path, data, templates())
    assert len(read_vocaset(tmp_path, cache=tmp_path / "cache", max_lost=0.1).lost) == 1


def test_a_subject_without_a_template_is_named(tmp_path):
    write_training_data(tmp_path, takes(), {A: person(0)})
    with pytest.raises(
        SchemaError, match=rf"5 or more of 24 frames .*{B}: not in templates.pkl; its 5 frames are left"
    ):
        read_vocaset(tmp_path, cache=tmp_path / "cache")
    corpus = read_vocaset(tmp_path, cache=tmp_path / "cache", max_lost=0.25)
    assert corpus.subjects == (A,)
    assert [file.path for file in corpus.lost] == [B]


def test_a_sequence_without_frames_is_passed_over_and_named(tmp_path):
    write_training_data(tmp_path, {**takes(), f"{B}/sentence02": heads(0)}, templates())
    corpus = read_vocaset(tmp_path, cache=tmp_path / "cache")
    check(corpus, takes())
    assert [(f.path, f.reason) for f in corpus.lost] == [(f"{B}/sentence02", "no frames in subj_seq_to_idx.pkl")]


def index(folder, value):
    (folder / "subj_seq_to_idx.pkl").write_bytes(python2_pickle(value))


def vertices(folder, value):
    np.save(folder / "data_verts.npy", value)


def cut(path, keep):
    path.write_bytes(path.read_bytes()[:keep])


BROKEN = {
    "row out of range": (lambda d: index(d, {A: {"s": {1: 24}}}), rf"{A}/s names row 24, but data_verts.npy has 24"),
    "negative row": (lambda d: index(d, {A: {"s": {1: -1}}}), "names row -1"),
    "row twice": (lambda d: index(d, {A: {"s": {1: 3}, "t": {1: 3}}}), rf"names row 3, which {A}/s names too"),
    "index of a list": (lambda d: index(d, {A: {"s": "rows"}}), r"holds a str; expected {subject: {sequence: {frame"),
    "empty index": (lambda d: index(d, {}), "nothing to read in it"),
    "rows of text": (lambda d: index(d, {A: {"s": {1: "x"}}}), "not whole numbers"),
    "frames cut short": (lambda d: cut(d / "data_verts.npy", -100), "data_verts.npy: not a .npy of numbers, or cut"),
    "frames empty": (lambda d: cut(d / "data_verts.npy", 0), "data_verts.npy: not a .npy of numbers, or cut"),
    "frames of whole numbers": (lambda d: vertices(d, np.ones((24, 56, 3), int)), r"int64 \(24, 56, 3\), expected"),
    "frames flat": (lambda d: vertices(d, np.ones((24, 168))), r"float64 \(24, 168\), expected"),
    "frames of another topology": (
        lambda d: vertices(d, np.ones((24, 50, 3), np.float32)),
        r"template of Fa\w+ has shape \(56, 3\), but data_verts.npy has \(50, 3\) per frame",
    ),
    "frames in mm": (lambda d: vertices(d, np.load(d / "data_verts.npy") * 1000), r"3\d\d m across.*is the unit mm"),
    "template in another order": (
        lambda d: (d / "templates.pkl").write_bytes(python2_pickle({A: np.roll(person(0), 20, axis=0), B: person(1)})),
        rf"templates.pkl: {A} does not fit the subject's frames: its vertices are in another order",
    ),
    "templates are a list": (
        lambda d: (d / "templates.pkl").write_bytes(python2_pickle({A: "none"})),
        "holds a str, expected an array",
    ),
    "templates cut short": (lambda d: cut(d / "templates.pkl", -100), "templates.pkl: not a pickle, or cut short"),
    "a file is missing": (lambda d: (d / "templates.pkl").unlink(), "templates.pkl missing; expected"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_training_data_that_do_not_fit_are_refused(tmp_path, kind):
    write_training_data(tmp_path / "d", takes(), templates())
    do, message = BROKEN[kind]
    do(tmp_path / "d")
    with pytest.raises(SchemaError, match=message):
        read_vocaset(tmp_path / "d", cache=tmp_path / "cache")


# the meshes


def write_meshes(root, name="unposedcleaneddata", data=None):
    write_tree(root / name, takes() if data is None else data)
    for subject, head in templates().items():
        write_ply(root / "templates" / f"{subject}.ply", head)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(("name", "posed"), [("unposedcleaneddata", False), ("registereddata", True)])
def test_the_tree_of_meshes(tmp_path, name, posed, inside):
    write_meshes(tmp_path / "voca", name)
    (tmp_path / "voca" / name / A / "sentence01" / "._sentence01.000001.ply").write_text("of a Macintosh")
    corpus = read_vocaset(tmp_path / "voca" / name if inside else tmp_path / "voca", cache=tmp_path / "cache")
    check(corpus, takes())
    assert corpus.posed == posed
    np.testing.assert_array_equal(corpus.faces, head_mesh().faces)


def test_of_both_trees_the_unposed_one_is_taken_unless_asked(tmp_path):
    write_meshes(tmp_path, "registereddata", {f"{A}/sentence01": heads(2)})
    write_meshes(tmp_path, "unposedcleaneddata")
    check(read_vocaset(tmp_path, cache=tmp_path / "cache"), takes())
    other = read_vocaset(tmp_path, cache=tmp_path / "cache", layout="registereddata")
    assert other.posed
    assert len(other.sequences) == 1
    with pytest.raises(SchemaError, match="no trainingdata in it; expected VOCASET"):
        read_vocaset(tmp_path, cache=tmp_path / "cache", layout="trainingdata")


def test_both_layouts_are_the_same_corpus(tmp_path):
    write_meshes(tmp_path / "tree")
    write_training_data(tmp_path / "data", takes(), templates())
    a = read_vocaset(tmp_path / "tree", cache=tmp_path / "cache")
    b = read_vocaset(tmp_path / "data", cache=tmp_path / "cache")
    for one, other in zip(a.sequences, b.sequences, strict=True):
        assert (one.subject_id, one.name) == (other.subject_id, other.name)
        np.testing.assert_allclose(frames_of(a, one), frames_of(b, other), atol=1e-8)


def test_a_broken_mesh_is_left_out_of_its_sequence(tmp_path):
    write_meshes(tmp_path)
    (tmp_path / "unposedcleaneddata" / A / "sentence02" / "sentence02.000003.ply").write_text("ply")
    corpus = read_vocaset(tmp_path, cache=tmp_path / "cache", max_lost=0.1)
    np.testing.assert_allclose(
        frames_of(corpus, corpus.sequences[1]), np.delete(takes()[f"{A}/sentence02"], 2, axis=0), atol=1e-8
    )
    assert [file.path for file in corpus.lost] == [f"{A}/sentence02/sentence02.000003.ply"]


def test_a_subject_without_a_template_mesh_is_named(tmp_path):
    write_meshes(tmp_path)
    (tmp_path / "templates" / f"{B}.ply").unlink()
    with pytest.raises(SchemaError, match=rf"{B}: no templates/{B}.ply; its 5 frames are left out"):
        read_vocaset(tmp_path, cache=tmp_path / "cache")
    corpus = read_vocaset(tmp_path, cache=tmp_path / "cache", max_lost=0.25)
    assert corpus.subjects == (A,)


def test_templates_of_another_topology_are_refused_before_the_conversion(tmp_path):
    write_meshes(tmp_path)
    for subject in (A, B):
        write_ply(tmp_path / "templates" / f"{subject}.ply", person(0)[:9], np.zeros((0, 3)))
    with pytest.raises(
        SchemaError, match=r"000001.ply: 56 vertices, but the templates in .*templates have 9; expected"
    ):
        read_vocaset(tmp_path, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_template_in_another_order_is_refused(tmp_path):
    write_meshes(tmp_path)
    write_ply(tmp_path / "templates" / f"{B}.ply", np.roll(person(1), 20, axis=0))
    with pytest.raises(SchemaError, match=rf"{B}.ply does not fit the subject's frames: its vertices are in another"):
        read_vocaset(tmp_path, cache=tmp_path / "cache")


def test_no_templates_or_no_corpus_at_all(tmp_path):
    write_tree(tmp_path / "unposedcleaneddata", {f"{A}/sentence01": heads(2)})
    with pytest.raises(SchemaError, match=r"templates: no templates; expected <subject>.ply there"):
        read_vocaset(tmp_path, cache=tmp_path / "cache")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SchemaError, match=r"empty: nothing of VOCASET in it; expected VOCASET: a folder with"):
        read_vocaset(tmp_path / "empty", cache=tmp_path / "cache")
    with pytest.raises(SchemaError, match="no such folder"):
        read_vocaset(tmp_path / "none", cache=tmp_path / "cache")
