import collections
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from au3dmm.errors import SchemaError
from au3dmm.io.pickles import Opaque, read_object_npy, read_pickle
from exploits import called, exploits, framed, named, raw, text
from old_pickles import Ch, Select, Sum, dumps2, flame_model

MARKER = "executed"


def write(tmp_path, data):
    path = tmp_path / "model.pkl"
    path.write_bytes(data)
    return path


def same(found, expected):
    """Equality of trees with arrays in them, dtypes included."""
    if isinstance(expected, np.ndarray) and expected.dtype != object:
        return isinstance(found, np.ndarray) and found.dtype == expected.dtype and np.array_equal(found, expected)
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(same(found[k], expected[k]) for k in expected)
    if isinstance(expected, (list, tuple)):
        return type(found) is type(expected) and len(found) == len(expected) and all(map(same, found, expected))
    return type(found) is type(expected) and found == expected


PLAIN = {
    "float": np.arange(12.0).reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
    "big": np.arange(5, dtype=">i4"),
    "uint": np.array([0, 2**32 - 1], np.uint32),
    "bool": np.array([True, False]),
    "text": np.array(["a", "\xe9"]),
    "bytes": np.array([b"ab", b"c"]),
    "empty": np.zeros((0, 3)),
    "scalar": np.float32(1.5),
    "nested": [1, (2, None, True), {"k": -(2**70)}, 0.25, "x"],
}


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_come_back_as_they_were_pickled(tmp_path, protocol):
    found = read_pickle(write(tmp_path, pickle.dumps(PLAIN, protocol)))
    assert same(found, PLAIN)
    assert found["float"].flags.writeable
    assert found["float"].flags.owndata


@pytest.mark.parametrize("protocol", [0, 2])
def test_python_2_pickles_are_read_as_latin1(tmp_path, protocol):
    frames = {"FaceTalk_170725_00137_TA": {"sentence01": {0: 0, 1: 1}}, "Zo\xeb": {"s": {}}}
    arrays = {name: PLAIN[name] for name in ("float", "fortran", "big", "uint", "bool", "bytes", "scalar")}
    data = dumps2({"index": frames, **arrays}, protocol)
    assert b"numpy.core.multiarray" in data
    assert b"numpy._core" not in data
    assert same(read_pickle(write(tmp_path, data)), {"index": frames, **arrays})


@pytest.mark.parametrize("protocol", [0, 2])
def test_a_flame_model_is_read_with_its_chumpy_and_scipy_objects(tmp_path, protocol):
    vertices, faces = np.random.default_rng(0).normal(size=(6, 3)), np.array([[0, 1, 2], [3, 4, 5]])
    found = read_pickle(write(tmp_path, dumps2(flame_model(vertices, faces), protocol)))
    np.testing.assert_array_equal(found["v_template"], vertices)
    np.testing.assert_array_equal(found["f"], faces)
    assert found["shapedirs"].shape == (6, 3, 4)
    assert sparse.issparse(found["J_regressor"])
    np.testing.assert_array_equal(found["J_regressor"].toarray(), np.eye(5, 6))


@pytest.mark.parametrize("kind", ["csc", "csr", "coo"])
@pytest.mark.parametrize("form", ["matrix", "array"])
def test_sparse_matrices_come_back(tmp_path, kind, form):
    dense = np.array([[0, 1.5, 0], [2, 0, 0]])
    matrix = getattr(sparse, f"{kind}_{form}")(dense)
    found = read_pickle(write(tmp_path, pickle.dumps(matrix)))
    assert type(found) is type(matrix)
    np.testing.assert_array_equal(found.toarray(), dense)


def test_a_sparse_matrix_with_indices_outside_it_is_refused(tmp_path):
    matrix = sparse.csc_matrix(np.eye(3))
    matrix.indices[1] = 10**6
    with pytest.raises(SchemaError, match="csc_matrix that does not fit together"):
        read_pickle(write(tmp_path, pickle.dumps(matrix)))


def test_chumpy_selections_are_carried_out_and_expressions_are_opaque(tmp_path):
    a = np.arange(10.0)
    data = {
        "s": Select(Ch(a), np.array([3, 1]), (2, 1)),
        "deep": Select(Select(Ch(a), np.array([7, 8])), np.array([1])),
    }
    found = read_pickle(write(tmp_path, dumps2({**data, "sum": Sum(Ch(a))})))
    np.testing.assert_array_equal(found["s"], [[3.0], [1.0]])
    np.testing.assert_array_equal(found["deep"], [8.0])
    assert found["sum"] == Opaque("chumpy.ch_ops.Sum")
    with pytest.raises(SchemaError, match="Select that does not fit together"):
        read_pickle(write(tmp_path, dumps2(Select(Ch(a), np.array([99])))))


def test_ordered_and_default_dicts_become_dicts(tmp_path):
    value = [collections.OrderedDict(b=1, a=2), collections.defaultdict(dict, {"s": {1: 2}})]
    for protocol in (0, 2, 4):
        assert same(read_pickle(write(tmp_path, pickle.dumps(value, protocol))), [{"b": 1, "a": 2}, {"s": {1: 2}}])


def test_object_arrays_of_dicts_are_unwrapped_and_others_kept(tmp_path):
    value = {"lmk_face_idx": [np.arange(17)] * 3, "n": 2}
    np.save(tmp_path / "a.npy", np.array(value, object), allow_pickle=True)
    assert same(read_object_npy(tmp_path / "a.npy"), value)
    row = np.empty((2, 1), object)
    row[0, 0], row[1, 0] = "x", np.eye(2)
    np.save(tmp_path / "b.npy", row, allow_pickle=True)
    found = read_object_npy(tmp_path / "b.npy")
    assert found.shape == (2, 1)
    assert found[0, 0] == "x"
    np.testing.assert_array_equal(found[1, 0], np.eye(2))


def test_plain_npy_files_are_read_too(tmp_path):
    for array in (np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(3), np.zeros((0, 3))):
        np.save(tmp_path / "a.npy", array)
        assert same(read_object_npy(tmp_path / "a.npy"), array)


def test_torch_tensors_are_opaque_and_their_bytes_never_loaded(tmp_path):
    torch = pytest.importorskip("torch")
    value = {"static": np.arange(3), "dynamic": torch.arange(5)}
    np.save(tmp_path / "landmark_embedding.npy", np.array(value, object), allow_pickle=True)
    found = read_object_npy(tmp_path / "landmark_embedding.npy")
    assert found["dynamic"] == Opaque("torch._utils._rebuild_tensor_v2")
    np.testing.assert_array_equal(found["static"], np.arange(3))


# ---- what must not run --------------------------------------------------------------------------------------------

NAMES = {name: exploit.runs for name, exploit in exploits(Path(MARKER)).items()}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_an_array_is_refused_by_name_and_not_run(tmp_path, name):
    exploit = exploits(tmp_path / MARKER)[name]
    with pytest.raises(SchemaError) as caught:
        read_pickle(write(tmp_path, exploit.data))
    message = str(caught.value)
    assert exploit.asks_for in message
    assert message.endswith("refused, nothing in it was run")
    assert "\n" not in message
    assert not (tmp_path / MARKER).exists()


@pytest.mark.parametrize("name", [name for name, runs in NAMES.items() if runs])
def test_the_exploits_are_real(tmp_path, name):
    """A refusal proves nothing of a pickle that could not run anyway: Python's own reader falls for each of these."""
    path = write(tmp_path, exploits(tmp_path / MARKER)[name].data)
    program = f"import pickle; v = pickle.load(open({str(path)!r}, 'rb'), encoding='latin1'); getattr(v, 'wait', int)()"
    subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (tmp_path / MARKER).exists()


@pytest.mark.parametrize("name", ["posix.system", "deep in a dict", "in an object array"])
def test_an_exploit_in_an_object_npy_is_not_run(tmp_path, name):
    np.save(tmp_path / "a.npy", np.array({}, object), allow_pickle=True)
    header = (tmp_path / "a.npy").read_bytes()[:128]
    (tmp_path / "a.npy").write_bytes(header + exploits(tmp_path / MARKER)[name].data)
    with pytest.raises(SchemaError, match=r"asks for posix\.system"):
        read_object_npy(tmp_path / "a.npy")
    assert not (tmp_path / MARKER).exists()


@pytest.mark.parametrize(
    ("module", "name"), [("torch.storage", "_load_from_bytes"), ("torch", "load"), ("torch.hub", "load")]
)
def test_a_pickle_inside_a_torch_storage_is_not_opened(tmp_path, module, name):
    inner = exploits(tmp_path / MARKER)["posix.system"].data
    data = framed(b"}" + text("dynamic") + called(named(module, name), raw(inner)) + b"s")
    assert read_pickle(write(tmp_path, data)) == {"dynamic": Opaque(f"{module}.{name}")}
    assert not (tmp_path / MARKER).exists()


def test_state_set_on_a_stand_in_changes_no_class(tmp_path):
    stub = called(named("copy_reg", "_reconstructor"), named("chumpy.ch", "Ch"), named("__builtin__", "object"), b"N")
    state = b"}" + text("__class__") + named("numpy", "ndarray") + b"s" + text("__setstate__") + text("x") + b"s"
    state += text("__reduce__") + text("y") + b"s"
    assert read_pickle(write(tmp_path, framed(stub + state + b"b" + b"}b", 2))) == Opaque("chumpy.ch.Ch")


# ---- damaged files, and files that would exhaust the machine --------------------------------------------------------


def array_of(shape: bytes, data: bytes, code: str = "f8") -> bytes:
    array = called(named("numpy.core.multiarray", "_reconstruct"), named("numpy", "ndarray"), b"K\x00\x85", raw(b"b"))
    return framed(array + b"(K\x01" + shape + called(named("numpy", "dtype"), text(code)) + b"\x89" + raw(data) + b"tb")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (array_of(b"J\xff\xff\xff\x7f\x85", bytes(8)), r"float64 \(2147483647,\), 17179869176 bytes, and has 8"),
        (array_of(b"K\x02\x85", bytes(8)), "16 bytes, and has 8"),
        (array_of(b"J\xff\xff\xff\xff\x85", bytes(8)), "whose shape is a tuple"),
        (array_of(text("x") + b"\x85", bytes(8)), "whose shape is a tuple"),
        (array_of(b"(" + b"K\x01" * 40 + b"t", bytes(8)), "up to 32 sizes"),
        (array_of(b"\x8a\x08" + bytes([255] * 7) + b"\x7fK\x00\x86", b""), "whose shape is"),
        (array_of(b"K\x01\x85", bytes(8), "O"), "object"),
        (array_of(b"K\x01\x85", bytes(8), "V8"), "V8, expected numbers or text"),
        (array_of(b"K\x01\x85", bytes(8), "f8,O"), "f8,O, expected numbers or text"),
        (array_of(b"K\x01\x85", bytes(8), "M8"), "M8, expected numbers or text"),
        (array_of(b"K\x01\x85", bytes(8), "f1"), "f1"),
        (array_of(b"K\x01\x85", bytes([255] * 4), "U1"), "not Unicode"),
    ],
)
def test_arrays_that_do_not_fit_their_bytes_are_refused(tmp_path, data, message):
    with pytest.raises(SchemaError, match=message):
        read_pickle(write(tmp_path, data))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (framed(b"]" * 150 + b"a" * 149), "nested beyond 100 levels"),
        (framed(b"]" * 100_000 + b"a" * 99_999), "nested beyond 100 levels"),
        (framed(b"]q\x00h\x00a"), "inside itself"),
        (framed(b"]" + b"r\xff\xff\xff\xff"), None),
        (framed(b"T\xff\xff\xff\x7fabc"), "cut short"),
        (framed(b"\x8e" + bytes([255] * 7) + b"\x7fabc", 4), "cut short"),
        (framed(b"\x95" + bytes([255] * 7) + b"\x7fabc", 4), "cut short"),
        (b"I" + b"9" * 10_000 + b"\n.", "damaged"),
        (framed(b"\x8b\xff\xff\xff\xff"), "damaged"),
    ],
)
def test_bombs_end_at_once(tmp_path, data, message):
    path = write(tmp_path, data)
    if message is None:  # the memo of Python's reader in C would take 64 GB for this
        assert read_pickle(path) == []
    else:
        with pytest.raises(SchemaError, match=message):
            read_pickle(path)


@pytest.mark.parametrize("opcode", [b"\x96", b"\x8e", b"\x8d", b"\x95"])
def test_no_memory_is_taken_for_bytes_that_are_only_declared(tmp_path, opcode):
    path = write(tmp_path, framed(opcode + (2**30).to_bytes(8, "little") + b"abc", 5))
    tracemalloc.start()
    with pytest.raises(SchemaError, match="cut short"):
        read_pickle(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


def test_shared_values_are_read_once(tmp_path):
    doubling = b"]" + b"".join(b"q" + bytes([i]) + b"0]h" + bytes([i]) + b"ah" + bytes([i]) + b"a" for i in range(90))
    found = read_pickle(write(tmp_path, framed(doubling)))
    assert found[0] is found[1]


def test_too_many_steps_and_too_large_files_are_refused(tmp_path, monkeypatch):
    path = write(tmp_path, framed(b"N0" * 1000 + b"N"))
    assert read_pickle(path) is None
    monkeypatch.setattr("au3dmm.io.pickles._Steps.left", 1000)
    with pytest.raises(SchemaError, match="steps to read"):
        read_pickle(path)
    monkeypatch.setattr("au3dmm.io.pickles._MAX_BYTES", 1000)
    with pytest.raises(SchemaError, match="2004 bytes, expected at most 1000"):
        read_pickle(path)


def test_a_file_cut_anywhere_or_no_pickle_at_all_is_an_error_in_one_line(tmp_path):
    whole = pickle.dumps(PLAIN, 2)
    for length in range(0, len(whole), 7):
        with pytest.raises(SchemaError, match=r"model\.pkl: [^\n]*$"):
            read_pickle(write(tmp_path, whole[:length]))
    for data in (b"ply\nformat ascii 1.0\n", b"PK\x03\x04", b"\x93NUMPY", b"\xff\xd8\xff"):
        with pytest.raises(SchemaError, match=r"model\.pkl: "):
            read_pickle(write(tmp_path, data))
    with pytest.raises(SchemaError, match="No such file"):
        read_pickle(tmp_path / "none.pkl")
    with pytest.raises(SchemaError, match="Is a directory"):
        read_pickle(tmp_path)


def test_damaged_bytes_never_leave_another_error(tmp_path):
    rng = np.random.default_rng(0)
    sources = [dumps2(flame_model(np.zeros((3, 3)), [[0, 1, 2]]), p) for p in (0, 2)] + [pickle.dumps(PLAIN, 4)]
    refused = 0
    for i in range(600):
        damaged = bytearray(sources[i % len(sources)])
        for _ in range(1 + i % 4):
            damaged[rng.integers(len(damaged))] = rng.integers(256)
        try:
            read_pickle(write(tmp_path, bytes(damaged)))
        except SchemaError as err:
            refused += "\n" not in str(err)
    assert refused > 100


def test_damaged_npy_files_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array({"a": np.arange(3)}, object), allow_pickle=True)
    objects = path.read_bytes()
    np.save(path, np.arange(30.0))
    plain = path.read_bytes()
    for data, message in (
        (plain[:-1], r"declares float64 \(30,\), 240 bytes, and has 239"),
        (plain.replace(b"(30,)", b"(-1,)"), "declares"),
        (plain.replace(b"(30,)", b"(3\x00,)"), r"not a \.npy"),
        (plain.replace(b"<f8", b"|V8"), None),
        (objects[:128], "cut short"),
        (objects.replace(b"(), }  ", b"(2,), }"), "declares objects"),
        (objects[:128] + pickle.dumps({"a": 1}), "holds a dict"),
        (pickle.dumps({"a": 1}), r"not a \.npy"),
        (b"", r"not a \.npy"),
    ):
        path.write_bytes(data)
        if message is None:
            assert read_object_npy(path).dtype.kind == "V"
            continue
        with pytest.raises(SchemaError, match=message):
            read_object_npy(path)


def test_a_small_file_cannot_fill_the_memory_by_using_one_text_many_times(tmp_path):
    import struct

    text = b"a" * 1_000_000
    head = b"\x80\x02c_codecs\nencode\nq\x000X" + struct.pack("<I", len(text)) + text + b"\x85q\x010]("
    (tmp_path / "few.pkl").write_bytes(head + b"h\x00h\x01R" * 20 + b"e.")
    assert len(read_pickle(tmp_path / "few.pkl")) == 20
    (tmp_path / "many.pkl").write_bytes(head + b"h\x00h\x01R" * 300 + b"e.")
    with pytest.raises(SchemaError, match="far more of its content than a file of its size holds"):
        read_pickle(tmp_path / "many.pkl")


def test_keys_that_all_hash_alike_are_refused(tmp_path):
    import pickle

    (tmp_path / "a.pkl").write_bytes(pickle.dumps({k * (2**61 - 1): 0 for k in range(20)}))
    with pytest.raises(SchemaError, match="a number beyond 64 bits for a key"):
        read_pickle(tmp_path / "a.pkl")
