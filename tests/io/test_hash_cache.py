import os
import time

import pytest

from au3dmm.io.hash_cache import HashCache, read_cache, remembered_hashes, write_cache
from au3dmm.io.hashing import quick_hash, sha256_file, sha256_written


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rgb.mp4"
    path.write_bytes(b"one")
    past = time.time_ns() - 10**9
    os.utime(path, ns=(past, past))
    time.sleep(0.03)  # longer than a tick of the file system's clock
    return path


def test_an_unchanged_file_is_not_read_again(file):
    with remembered_hashes(HashCache()) as cache:
        first = sha256_file(file), quick_hash(file)
        for entry in cache.entries.values():
            entry[4] = "remembered"
        assert (sha256_file(file), quick_hash(file)) == ("remembered", "remembered")
    assert (sha256_file(file), quick_hash(file)) == first


@pytest.mark.parametrize("hashed", [sha256_file, quick_hash])
def test_an_edit_that_keeps_size_and_modification_time_is_noticed(file, hashed):
    before = file.stat()
    with remembered_hashes(HashCache()):
        first = hashed(file)
        file.write_bytes(b"two")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert file.stat().st_mtime_ns == before.st_mtime_ns
        assert hashed(file) != first


def test_a_file_that_changed_this_instant_is_not_remembered(tmp_path):
    with remembered_hashes(HashCache()) as cache:
        (tmp_path / "a").write_bytes(b"one")
        sha256_file(tmp_path / "a")
        assert cache.entries == {}


def test_what_was_written_under_a_lock_is_remembered_at_once(tmp_path):
    with remembered_hashes(HashCache()) as cache:
        (tmp_path / "a").write_bytes(b"one")
        digest = sha256_written(tmp_path / "a")
        assert [entry[4] for entry in cache.news().values()] == [digest]
        assert cache.news() == {}


def test_a_cache_survives_a_round_trip(file, tmp_path):
    with remembered_hashes(HashCache()) as cache:
        sha256_file(file)
    write_cache(tmp_path / "hashes.json", cache)
    assert read_cache(tmp_path / "hashes.json").entries == cache.entries != {}


DAMAGED = ["", "[]", '{"version": 1, "hashes": []}', '{"version": 1, "hashes": {"a": [1]}}', "{"]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_cache_is_empty(tmp_path, text):
    (tmp_path / "hashes.json").write_text(text)
    assert read_cache(tmp_path / "hashes.json").entries == {}
    assert read_cache(tmp_path / "missing.json").entries == {}


def test_a_file_that_is_gone_raises_as_without_a_cache(tmp_path):
    with remembered_hashes(HashCache()), pytest.raises(FileNotFoundError):
        sha256_file(tmp_path / "gone")
