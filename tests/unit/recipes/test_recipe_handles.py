"""Handles of TF-Hub over the network, on loopback: fetched by tensorflow_hub itself, kept, and refused in one line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from penult_service.errors import InvalidInput, ModelRefused, NotFound, PenultError, Unavailable
from penult_service.preparing.convert import ConvertReport
from penult_service.preparing.formats import hub_download, hub_handles, hub_network
from penult_service.recipes.bert import train as recipe
from penult_service.recipes.bert.settings import BertSettings, Handles
from penult_service.recipes.data import LabelledTexts
from support.hub_server import HubServer, hub_server, packed
from support.tiny_bert import sample_texts

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    with hub_server() as served:
        yield served


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(hub_handles.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def archive(tiny_hub: ConvertReport) -> bytes:
    return packed(tiny_hub.preprocessor)


def refusal(handle: str) -> PenultError:
    with pytest.raises(PenultError) as caught:
        hub_download.resolved(handle, "encoder")
    assert "\n" not in caught.value.message
    assert f"encoder {handle}" in caught.value.message
    return caught.value


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_a_model_trained_from_urls_is_the_one_from_directories(
    server: HubServer, tiny_hub: ConvertReport, tmp_path: Path, cache: Path
) -> None:
    handles = [
        server.handle(f"/tiny/{made.name}/1", packed(made))
        for made in (tiny_hub.preprocessor, tiny_hub.encoder)
    ]
    texts = sample_texts(40, longest=6)
    rows = LabelledTexts("t.csv", "0" * 64, tuple(texts), tuple(f"{i % 2}" for i in range(40)), None)
    settings = BertSettings(epochs=1, max_length=32)
    weights = []
    for name, pair in {"local": (tiny_hub.preprocessor, tiny_hub.encoder), "url": handles}.items():
        origin = {"encoder": str(pair[1])}
        given = Handles(str(pair[0]), str(pair[1]), origin)
        report = recipe.train(rows, rows, given, tmp_path / name, settings, lambda *_: None)
        weights.append((report.path / "variables" / "variables.data-00000-of-00001").read_bytes())
        assert json.loads((report.path / "training.json").read_text())["encoder"] == origin
    assert weights[0] == weights[1]
    server.archives.clear()  # from now on they are in the cache
    for handle in (*handles, str(tiny_hub.encoder)):
        hub_network.refuse_unreachable(handle, "encoder")
    kept = [hub_download.resolved(handle, "encoder") for handle in handles]
    assert kept == [hub_handles.entry_of(handle) for handle in handles]
    assert [asked.rpartition("/")[2] for asked in server.asked] == ["1?tf-hub-format=compressed"] * 2
    assert {path.name for path in cache.iterdir()} == {
        f"{hashlib.sha1(handle.encode()).hexdigest()}{end}"
        for handle in handles
        for end in ("", ".descriptor.txt")
    }


@pytest.mark.parametrize("mode", ["w:gz", "w:"])
def test_what_is_fetched_is_the_module_also_behind_a_redirection(
    server: HubServer, tiny_hub: ConvertReport, cache: Path, mode: str
) -> None:
    there = server.handle("/there", packed(tiny_hub.preprocessor, mode=mode))
    handle = server.handle("/first", f"{there}?tf-hub-format=compressed")
    told: list[tuple[int, int]] = []
    place = hub_download.resolved(handle, "encoder", lambda *pair: told.append(pair))
    assert place.parent == cache
    assert contents(place) == contents(tiny_hub.preprocessor)
    assert told[-1][0] == told[-1][1] == len(server.archives["/there"])


@pytest.mark.parametrize("left", ["empty", "no graph", "no weights", "half the weights"])
def test_what_a_broken_download_left_is_fetched_again(
    server: HubServer, tiny_hub: ConvertReport, cache: Path, left: str
) -> None:
    handle = server.handle(f"/broken/{left.replace(' ', '-')}", packed(tiny_hub.encoder))
    entry = hub_handles.entry_of(handle)
    if left == "empty":
        entry.mkdir(parents=True)
    else:
        shutil.copytree(tiny_hub.encoder, entry)
        data = entry / "variables" / "variables.data-00000-of-00001"
        if left == "half the weights":
            os.truncate(data, data.stat().st_size // 2)
        else:
            (entry / "saved_model.pb" if left == "no graph" else data).unlink()
        assert (hub_handles.cached(handle) is None) == (left != "half the weights")
    found = contents(entry)
    archives, server.archives = server.archives, {}
    error = refusal(handle)
    assert isinstance(error, NotFound)
    assert f"the cache {cache} holds {'nothing' if left == 'empty' else 'only half'} of it" in error.message
    assert contents(entry) == found
    server.archives = archives
    assert contents(hub_download.resolved(handle, "encoder")) == contents(tiny_hub.encoder)
    assert not [path for path in cache.iterdir() if path.suffix not in ("", ".txt")]


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, size
    return made


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (member("../outside"), "LEAVES_THE_FILE"),
        (member("assets/../../outside"), "LEAVES_THE_FILE"),
        (member("/tmp/outside"), "LEAVES_THE_FILE"),
        (member("assets/passwd", tarfile.SYMTYPE, "/etc/passwd"), "LEAVES_THE_FILE"),
        (member("assets/inside", tarfile.LNKTYPE, "saved_model.pb"), "LEAVES_THE_FILE"),
        (member("pipe", tarfile.FIFOTYPE), "LEAVES_THE_FILE"),
        (member("zeros", size=64 << 20), "BOMB"),
    ],
)
def test_an_archive_that_would_do_harm(
    server: HubServer, tiny_hub: ConvertReport, cache: Path, more: tarfile.TarInfo, reason: str
) -> None:
    error = refusal(server.handle("/harm", packed(tiny_hub.preprocessor, more)))
    assert isinstance(error, ModelRefused)
    assert error.reason == reason
    assert not any(cache.iterdir())
    assert not (cache.parent / "outside").exists()


@pytest.mark.usefixtures("cache")
def test_a_name_of_absurd_length_is_not_read(server: HubServer) -> None:
    header = member("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=4 << 30).tobuf(tarfile.GNU_FORMAT)
    assert refusal(server.handle("/long", header + bytes(2 << 20))).reason == "DAMAGED"


def test_an_archive_that_is_damaged(
    server: HubServer, tiny_hub: ConvertReport, archive: bytes, cache: Path
) -> None:
    middle = len(archive) // 2
    flipped = archive[:middle] + bytes([archive[middle] ^ 0xFF]) + archive[middle + 1 :]
    plain = packed(tiny_hub.encoder, mode="w:")
    cases: dict[str, bytes] = {
        "half": archive[:middle],
        "no checksum": archive[:-4],
        "another checksum": archive[:-8] + bytes(8),
        "flipped": flipped,
        "a page": b"<html>Sign in to this network</html>" * 100,
        "nothing": b"",
        "half of a plain one": plain[: len(plain) // 2],
        "no model": packed(tiny_hub.preprocessor / "assets"),
    }
    for name, content in cases.items():
        error = refusal(server.handle("/damaged", content))
        assert (type(error), error.reason) == (InvalidInput, "DAMAGED"), name
        assert not any(path.is_dir() for path in cache.iterdir()), name
    cut = refusal(server.handle("/cut", archive, cut=10))
    assert isinstance(cut, Unavailable)
    assert f"ended after {len(archive) - 10:,} of {len(archive):,} bytes" in cut.message


@pytest.mark.usefixtures("cache")
def test_a_graph_that_would_do_harm_is_not_kept(server: HubServer, tmp_path: Path) -> None:
    import tensorflow as tf

    class Reads(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, names: tf.Tensor) -> tf.Tensor:
            return tf.map_fn(tf.io.read_file, names)

    tf.saved_model.save(Reads(), str(tmp_path / "reads"))
    handle = server.handle("/reads", packed(tmp_path / "reads"))
    for _ in range(2):
        error = refusal(handle)
        assert (type(error), error.reason) == (ModelRefused, "READS_FILES")
        assert not hub_handles.entry_of(handle).exists()
    shutil.copytree(tmp_path / "reads", hub_handles.entry_of(handle))  # nor is it taken from a cache
    with pytest.raises(ModelRefused, match="reads or lists files"):
        hub_download.resolved(handle, "encoder")


# Nobody answers


def test_no_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, a name that nobody knows, a name server and a server that say nothing: one line, in time."""
    monkeypatch.setattr(hub_network, "ANSWER", 1.0)
    with socket.socket() as silent, socket.socket() as closed:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        closed.bind(("127.0.0.1", 0))
        handles = {
            "refused": f"http://127.0.0.1:{closed.getsockname()[1]}/bert/1",
            "no such name": "https://hub.invalid/bert/1",
            "silent": f"http://127.0.0.1:{silent.getsockname()[1]}/bert/1",
            "silent TLS": f"https://127.0.0.1:{silent.getsockname()[1]}/bert/1",
        }
        for name, handle in handles.items():
            _refused_in_time(handle, name, cache)
        look_up = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: (time.sleep(30), look_up(*a, **k)))
        _refused_in_time("https://hub.invalid/bert/1", "silent name server", cache)


def _refused_in_time(handle: str, name: str, cache: Path) -> None:
    error = refusal(handle)
    if name not in ("silent", "silent TLS"):  # else they are found out before anything slow has begun
        with pytest.raises(Unavailable) as caught:
            hub_network.refuse_unreachable(handle, "encoder")
        assert caught.value.message == error.message
    assert (type(error), error.reason) == (Unavailable, "HANDLE_UNREACHABLE"), name
    for words in (handle, str(cache), "name its directory", "set TFHUB_CACHE_DIR"):
        assert words in error.message, name
    assert not any(cache.iterdir()), name


def test_the_command_says_so_in_one_line(tiny_hub: ConvertReport, cache: Path, tmp_path: Path) -> None:
    rows = "".join(f"good {i},yes\nbad {i},no\n" for i in range(10))
    (tmp_path / "rows.csv").write_text(f"text,label\n{rows}")
    url = "http://127.0.0.1:9/bert/1"
    command = (sys.executable, "-m", "penult_service", "train", "bert", "--train", tmp_path / "rows.csv")
    given = ("--encoder", url, "--preprocessor", tiny_hub.preprocessor, "--output", tmp_path / "model")
    columns = ("--text-column", "text", "--label-column", "label")
    done = subprocess.run(
        [*map(str, (*command, *given, *columns))], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert not done.stdout
    (line,) = done.stderr.splitlines()
    assert url in line
    assert str(cache) in line
    assert "Traceback" not in line


def test_other_handles(cache: Path, tmp_path: Path) -> None:
    for handle in ("gs://bucket/model", "ftp://host/model", "http://", "https://[1/model"):
        error = refusal(handle)
        assert (type(error), error.reason) == (InvalidInput, "HANDLE_UNSUPPORTED")
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "none", tmp_path / "file"):
        assert isinstance(refusal(str(place)), NotFound)
    assert not cache.exists()


def test_a_cache_that_cannot_be_written(
    server: HubServer, archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(hub_handles.CACHE, str(tmp_path / "file"))
    error = refusal(server.handle("/module", archive))
    assert (type(error), error.reason) == (InvalidInput, "CACHE_NOT_WRITABLE")


def test_the_default_cache_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(hub_handles.CACHE, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "tfhub_modules").mkdir(mode=0o777)
    (tmp_path / "tfhub_modules").chmod(0o777)
    with pytest.raises(ModelRefused, match="set TFHUB_CACHE_DIR") as caught:
        hub_download.resolved("https://hub.invalid/bert/1", "encoder")
    assert caught.value.reason == "CACHE_NOT_PRIVATE"


def test_the_lock_of_a_process_that_has_ended(server: HubServer, archive: bytes, cache: Path) -> None:
    handle = server.handle("/locked", archive)
    entry = hub_handles.entry_of(handle)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    cache.mkdir()
    (cache / f"{entry.name}.lock").write_text(f"{socket.gethostname()}.{ended.pid}.abc")
    (cache / f"{entry.name}.abc.tmp").mkdir()
    assert hub_download.resolved(handle, "encoder") == entry
    assert {path.name for path in cache.iterdir()} == {entry.name, f"{entry.name}.descriptor.txt"}


# Handles in saved files


@pytest.mark.usefixtures("cache")
def test_what_a_saved_file_names(tiny_hub: ConvertReport, tmp_path: Path) -> None:
    url, gone = "https://hub.invalid/encoder/1", str(tmp_path / "gone")
    for handle, reason in ((url, "TALKS_TO_OTHERS"), (gone, "HANDLE_NOT_FOUND")):
        with pytest.raises(ModelRefused, match=f"m.keras needs the TF-Hub module {handle}") as caught:
            hub_handles.located("m.keras", handle)
        assert caught.value.reason == reason
        assert hub_handles.located("m.keras", handle, {handle: tiny_hub.encoder}) == tiny_hub.encoder
    assert hub_handles.located("m.keras", str(tiny_hub.encoder)) == tiny_hub.encoder
    shutil.copytree(tiny_hub.encoder, hub_handles.entry_of(url))
    assert hub_handles.located("m.keras", url) == hub_handles.entry_of(url)
