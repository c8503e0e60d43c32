import json

import numpy as np
import pytest

from au3dmm.core.landmarks import landmark_positions
from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.corpora import manifest
from au3dmm.io.corpora.meshes import read_meshes
from corpora_trees import head_mesh, heads, person, write_ply, write_tree

BASIC = 'name = "studio"\nunit = "m"\nframes = "{subject}/{sequence}/{frame}.ply"\n'


def takes():
    return {"s1/smile": heads(3, 0), "s1/take10": heads(2, 0), "s1/take9": heads(1, 0), "s2/smile": heads(12, 1)}


def write(root, text=BASIC, name="{frame}.ply", data=None):
    write_tree(root, takes() if data is None else data, name=name)
    (root / "corpus.toml").write_text(text)
    return root


def read(root, **options):
    return read_meshes(root, cache=root.parent / "cache", **options)


def check(corpus, expected=None):
    expected = (
        {k: takes()[k] for k in ("s1/smile", "s1/take9", "s1/take10", "s2/smile")} if expected is None else expected
    )
    assert [f"{s.subject_id}/{s.name}" for s in corpus.sequences] == list(expected)
    for sequence, frames in zip(corpus.sequences, expected.values(), strict=True):
        np.testing.assert_allclose(corpus.frames[sequence.rows], frames, atol=1e-7)


def test_a_tree_with_the_least_of_manifests(tmp_path):
    corpus = read(write(tmp_path / "c"))
    check(corpus)
    assert (corpus.name, corpus.posed, corpus.kind, corpus.neutrals) == ("studio", True, "learned", {})
    np.testing.assert_array_equal(corpus.neutral_rows["s1"], [s.rows[0] for s in corpus.sequences[:3]])
    assert [s.action_units for s in corpus.sequences] == [(), (), (), ()]
    check(read_meshes(tmp_path / "c" / "corpus.toml", cache=tmp_path / "cache"))


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{subject}/{sequence}/{sequence}.{frame}.ply", "{sequence}.{frame:03d}.ply"),
        ("{subject}/{sequence}/*_{frame}.ply", "x_{sequence}_{frame}.ply"),
    ],
)
def test_patterns(tmp_path, pattern, name):
    check(read(write(tmp_path / "c", BASIC.replace("{subject}/{sequence}/{frame}.ply", pattern), name)))


def test_npy_sequences_and_obj_and_units(tmp_path):
    for take, frames in takes().items():
        (tmp_path / "npy" / take).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "npy" / f"{take}.npy", frames.astype(float) * 100)
    (tmp_path / "npy" / "corpus.toml").write_text('name = "n"\nunit = "cm"\nframes = "{subject}/{sequence}.npy"\n')
    corpus = read(tmp_path / "npy")
    check(corpus)
    assert corpus.faces is None
    for k, frame in enumerate(takes()["s1/smile"], 9):
        write_ply(tmp_path / "obj" / "s1" / f"{k}.obj", frame * 1000)
    (tmp_path / "obj" / "corpus.toml").write_text('name = "o"\nunit = "mm"\nframes = "{subject}/{frame}.obj"\n')
    corpus = read(tmp_path / "obj")
    check(corpus, {"s1/frames": takes()["s1/smile"]})
    np.testing.assert_array_equal(corpus.faces, head_mesh().faces)


def test_neutrals_of_their_own(tmp_path):
    root = write(tmp_path / "c", BASIC.replace('"m"', '"mm"') + 'neutral = "neutral/{subject}.ply"\nposed = false\n')
    for take, frames in takes().items():
        for k, frame in enumerate(frames, 1):
            write_ply(root / take / f"{k}.ply", frame * 1000)
    for k, subject in enumerate(("s1", "s2")):
        write_ply(root / "neutral" / f"{subject}.ply", person(k) * 1000)
    corpus = read(root)
    check(corpus)
    np.testing.assert_allclose(corpus.neutrals["s2"], person(1), atol=1e-7)
    assert corpus.neutral_rows == {}
    assert not corpus.posed
    (root / "neutral" / "s1.ply").unlink()
    with pytest.raises(SchemaError, match=r"6 or more of 18 frames .* s1: no neutral neutral/s1.ply; its 6 frames"):
        read(root)
    assert read(root, max_lost=0.5).subjects == ("s2",)
    write_ply(root / "neutral" / "s1.ply", np.roll(person(0), 20, axis=0) * 1000)
    with pytest.raises(SchemaError, match=r"s1.ply does not fit the subject's frames: .*in another order"):
        read(root)


def test_neutrals_that_match_the_frames_pattern_are_no_frames(tmp_path):
    text = 'name = "n"\nunit = "m"\nframes = "{subject}/{frame}.ply"\nneutral = "{subject}/neutral.ply"\n'
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "corpus.toml").write_text(text)
    for k, frame in enumerate(takes()["s1/smile"]):
        write_ply(tmp_path / "c" / "s1" / f"{k}.ply", frame)
    write_ply(tmp_path / "c" / "s1" / "neutral.ply", person(0))
    check(read(tmp_path / "c"), {"s1/frames": takes()["s1/smile"]})


def test_action_units_from_folders_or_from_a_table(tmp_path):
    data = {"s1/6+12L": heads(2, 0), "s1/wink": heads(2, 0), "s2/wink": heads(2, 1)}
    root = write(tmp_path / "c", BASIC + 'action_units = "folder"\n', data=data)
    assert [s.action_units for s in read(root).sequences] == [("AU6", "AU12_left"), (), ()]
    table = '[action_units]\nwink = "46"\n"s2/wink" = ["AU46_left", "6"]\n'
    (root / "corpus.toml").write_text(BASIC + table)
    assert [s.action_units for s in read(root).sequences] == [(), ("AU46",), ("AU6", "AU46_left")]
    (root / "corpus.toml").write_text(BASIC + '[action_units]\nwnik = "46"\n')
    with pytest.raises(ConfigError, match=r"names 'wnik', but no sequence is called that: did you mean 'wink'\?"):
        read(root)
    (root / "corpus.toml").write_text(BASIC + '[action_units]\nwink = "an eye"\n')
    with pytest.raises(ConfigError, match=r"action_units.wink: 'an eye' names no action unit; expected like '6\+12L'"):
        read(root)


def test_the_fingerprint_is_of_the_content_and_the_manifest(tmp_path):
    prints = [
        read(write(tmp_path / "a")).fingerprint,
        read(write(tmp_path / "b")).fingerprint,
        read(write(tmp_path / "c", BASIC + "posed = false\n")).fingerprint,
        read(write(tmp_path / "d", data={**takes(), "s2/smile": heads(12, 9)})).fingerprint,
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


VERTICES = [(7 * k) % 56 for k in range(68)]


@pytest.mark.parametrize("name", ["l.json", "l.npy", "l.txt"])
def test_landmarks_at_vertices(tmp_path, name):
    root = write(tmp_path / "c", BASIC + f'landmarks = "{name}"\n')
    if name.endswith("json"):
        (root / name).write_text(json.dumps(VERTICES))
    elif name.endswith("npy"):
        np.save(root / name, np.array(VERTICES))
    else:
        (root / name).write_text("\n".join(map(str, VERTICES)))
    corpus = read(root)
    head = np.asarray(corpus.frames[0], float)
    np.testing.assert_array_equal(landmark_positions(head, corpus.faces, corpus.embedding), head[VERTICES])


def test_landmarks_on_triangles(tmp_path):
    root = write(tmp_path / "c", BASIC + 'landmarks = "l.json"\n')
    weights = np.random.default_rng(0).dirichlet([1, 1, 1], 68)
    (root / "l.json").write_text(json.dumps({"face_index": list(range(68)), "barycentric": weights.tolist()}))
    corpus = read(root)
    np.testing.assert_array_equal(corpus.embedding.face_index, range(68))
    np.testing.assert_allclose(corpus.embedding.barycentric, weights)


BAD_LANDMARKS = {
    "missing": (None, "No such file"),
    "no JSON": ("{", "not landmarks"),
    "too few": (json.dumps(VERTICES[:51]), r"int64 \(51,\)"),
    "no such vertex": (json.dumps([56, *VERTICES[1:]]), "vertex 56, but the mesh has 56"),
    "a negative one": (json.dumps([-1, *VERTICES[1:]]), "vertex"),
    "text": (json.dumps(["a"] * 68), r"<U1 \(68,\)"),
    "no barycentric": (json.dumps({"face_index": [0] * 68}), "barycentric"),
    "no such triangle": (
        json.dumps({"face_index": [108] * 68, "barycentric": [[1, 0, 0]] * 68}),
        "triangle 108 of 108",
    ),
    "weights that do not add up": (json.dumps({"face_index": [0] * 68, "barycentric": [[1, 1, 0]] * 68}), "sum of 1"),
    "a number": ("3", r"int64 \(\)"),
}


@pytest.mark.parametrize("kind", BAD_LANDMARKS)
def test_landmarks_that_do_not_fit_are_refused(tmp_path, kind):
    root = write(tmp_path / "c", BASIC + 'landmarks = "l.json"\n')
    text, message = BAD_LANDMARKS[kind]
    if text is not None:
        (root / "l.json").write_text(text)
    with pytest.raises(SchemaError, match=rf"l.json: .*{message}.*; expected 68 vertex numbers"):
        read(root)


def test_landmarks_need_triangles(tmp_path):
    (tmp_path / "c" / "s1").mkdir(parents=True)
    np.save(tmp_path / "c" / "s1" / "a.npy", heads(2))
    (tmp_path / "c" / "l.txt").write_text(" ".join(map(str, VERTICES)))
    text = 'name = "n"\nunit = "m"\nframes = "{subject}/{sequence}.npy"\nlandmarks = "l.txt"\n'
    (tmp_path / "c" / "corpus.toml").write_text(text)
    with pytest.raises(SchemaError, match="the corpus' files hold no triangles"):
        read(tmp_path / "c")


BAD_MANIFESTS = {
    "unknown unit": (BASIC.replace('"m"', '"inch"'), "unit: input should be 'm', 'cm' or 'mm', found 'inch'"),
    "no unit": (BASIC.replace('unit = "m"\n', ""), "unit: field required"),
    "unknown name": (BASIC + "neutrals = 1\n", "unknown name 'neutrals': did you mean 'neutral'"),
    "no toml": ("name =", "not valid TOML"),
    "no subject": (BASIC.replace("{subject}", "x"), r"frames: no {subject} in the pattern"),
    "unknown field": (BASIC.replace("{frame}", "{time}"), r"frames: use {subject}, {sequence}, {frame} and \* in"),
    "open brace": (BASIC.replace("{frame}", "{frame"), r"frames: use {subject}, {sequence}, {frame} and \* in"),
    "outside": (BASIC.replace("{subject}", "../{subject}"), r"below the manifest's folder"),
    "another ending": (BASIC.replace(".ply", ".stl"), r"ends in .ply, .obj, .npy"),
    "sequence in neutral": (BASIC + 'neutral = "{subject}/{sequence}.ply"\n', r"neutral: use {subject} and \*"),
    "matches nothing": (
        BASIC.replace("{frame}", "x{frame}"),
        r"'{subject}/{sequence}/x{frame}.ply' matches no file; there are 18 files such as s1/smile/1.ply",
    ),
    "wrong depth": (BASIC.replace("{subject}", "a/{subject}"), "matches no file; there are no .ply files so deep"),
    "two files, one frame": (BASIC.replace("{frame}", "*"), "are the same frame to the pattern"),
}


@pytest.mark.parametrize("kind", BAD_MANIFESTS)
def test_a_wrong_manifest_is_explained(tmp_path, kind):
    text, message = BAD_MANIFESTS[kind]
    with pytest.raises(ConfigError, match=rf"corpus.toml: .*{message}"):
        read(write(tmp_path / "c", text))


def test_a_missing_manifest_is_told_with_a_beginning(tmp_path):
    with pytest.raises(ConfigError, match=r"no corpus.toml in it; expected one .* `unit = \"m\"`, `frames = "):
        read(tmp_path)
    with pytest.raises(ConfigError, match="no such file or folder"):
        read(tmp_path / "none")


def test_the_example_in_the_documentation_is_valid(tmp_path):
    lines = manifest.__doc__.split("::\n\n")[1].split("\n\nIn patterns")[0]
    (tmp_path / "corpus.toml").write_text("\n".join(line.removeprefix("    ") for line in lines.splitlines()))
    parsed, _ = manifest.read_manifest(tmp_path)
    assert parsed.action_units == {"smile": "6+12+25", "s01/wink": ["AU46_left"]}


def test_a_link_that_leads_back_up_is_no_endless_tree(tmp_path):
    root = write(tmp_path / "c")
    (root / "s1" / "again").symlink_to(root)
    check(read(root))
