"""The cache: used if there and verified, downloaded if not, otherwise a line that says what to put where."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from latentia.data.ingest import download
from latentia.data.ingest.download import PublishedFile, fetch
from latentia.errors import DataError

CONTENT = b"the published bytes"
SHA = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
FILE = PublishedFile("set/file.bin", "https://publisher.test/file.bin", (SHA,))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LATENTIA_DATA", str(tmp_path))
    (tmp_path / "set").mkdir()
    return tmp_path / "set" / "file.bin"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    def retrieve(address: str, *_: Any, **__: Any) -> None:
        asked.append(address)
        raise ConnectionError("no\nnetwork")

    monkeypatch.setattr(download.pooch, "retrieve", retrieve)
    return asked


def test_a_file_in_the_cache_is_used_as_it_is(cache: Path, offline: list[str]):
    cache.write_bytes(CONTENT)
    assert fetch(FILE) == cache
    assert not offline


def test_any_of_the_known_checksums_will_do(cache: Path):
    cache.write_bytes(CONTENT)
    md5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    for checksums in (("sha256:" + "0" * 64, SHA), (md5,), ("sha256:" + "0" * 64, md5), ()):
        assert fetch(PublishedFile(FILE.path, FILE.address, checksums)) == cache


def test_other_bytes_are_refused_with_both_checksums(cache: Path):
    cache.write_bytes(b"other bytes")
    found = hashlib.sha256(b"other bytes").hexdigest()
    with pytest.raises(
        DataError, match=f"file.bin is not the published file.*{found}, expected {SHA}"
    ) as caught:
        fetch(FILE)
    assert "\n" not in str(caught.value)


def test_a_file_is_hashed_once_unless_it_changes(cache: Path, monkeypatch: pytest.MonkeyPatch):
    hashed: list[str] = []
    real = download.pooch.file_hash

    def counting(path: str, alg: str) -> str:
        hashed.append(path)
        return real(path, alg=alg)

    monkeypatch.setattr(download.pooch, "file_hash", counting)
    cache.write_bytes(CONTENT)
    fetch(FILE)
    fetch(FILE)
    assert len(hashed) == 1
    cache.write_bytes(b"changed")
    with pytest.raises(DataError, match="is not the published file"):
        fetch(FILE)


def test_the_first_of_the_choices_that_is_there_is_used(cache: Path, offline: list[str]):
    other = PublishedFile("set/other.bin", "https://publisher.test/other.bin", (SHA,))
    (cache.parent / "other.bin").write_bytes(CONTENT)
    assert fetch(FILE, other) == cache.parent / "other.bin"
    assert not offline


def test_absent_and_offline_says_which_file_to_put_where(cache: Path, offline: list[str]):
    with pytest.raises(DataError) as caught:
        fetch(PublishedFile("set/zipped.bin.gz", FILE.address, (SHA,), direct=False), FILE)
    message = str(caught.value)
    assert offline == [FILE.address]
    assert f"put {FILE.address} at {cache}" in message
    assert "LATENTIA_DATA" in message
    assert "\n" not in message


def test_a_file_without_an_address_of_its_own_is_not_downloaded(cache: Path, offline: list[str]):
    with pytest.raises(DataError, match="no address that a program can download from: put https://publisher"):
        fetch(PublishedFile(FILE.path, FILE.address, (SHA,), direct=False))
    assert not offline


def test_downloading_verifies(cache: Path, tmp_path: Path):
    source = tmp_path / "source.bin"
    source.write_bytes(CONTENT)

    def copy(address: str, output: str, _: Any) -> None:
        Path(output).write_bytes(source.read_bytes())

    def retrieve(address: str, known_hash: str | None, **options: Any) -> str:
        return real(address, known_hash, downloader=copy, **options)

    real = download.pooch.retrieve
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download.pooch, "retrieve", retrieve)
        assert fetch(FILE).read_bytes() == CONTENT
        cache.unlink()
        source.write_bytes(b"changed on the way")
        with pytest.raises(DataError, match=r"downloading it failed .*hash"):
            fetch(FILE)
        assert not cache.exists()


def test_the_default_cache_is_the_user_s(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("LATENTIA_DATA", raising=False)
    assert download.cache_folder().name == "latentia"
