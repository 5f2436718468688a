"""`.keras` archives and HDF5 files that lead out of themselves, or inflate beyond measure: refused with the reason."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from penult_service.errors import InvalidInput, PenultError
from penult_service.preparing.inspecting import hdf5, keras_archive
from penult_service.preparing.inspecting.inspection import inspect
from support import keras_files
from support.keras_files import archive

pytestmark = pytest.mark.tensorflow


def refusal(source: Path) -> PenultError:
    around = set(source.parent.rglob("*"))
    with pytest.raises(PenultError) as caught:
        inspect(source)
    assert str(source) in caught.value.message
    assert set(source.parent.rglob("*")) == around
    return caught.value


@pytest.fixture(scope="module")
def files() -> Path:
    return keras_files.ordinary()


# Entries of an archive


def with_mode(name: str, mode: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, mode << 16
    return entry


ENTRIES: dict[str, str | zipfile.ZipInfo] = {
    "above": "../harm",
    "above, deeper": "assets/../../harm",
    "absolute": "/tmp/harm",
    "of Windows": "C:harm",
    "with backslashes": "assets\\..\\..\\harm",
    "a link": with_mode("assets/vocabulary.txt", stat.S_IFLNK | 0o777),
    "a pipe": with_mode("assets/vocabulary.txt", stat.S_IFIFO | 0o600),
}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES.keys())
def test_an_entry_that_leads_out(tmp_path: Path, entry: str | zipfile.ZipInfo) -> None:
    error = refusal(archive(tmp_path / "model.keras", ("config.json", b"{}"), (entry, b"/etc/passwd")))
    assert error.reason == "LEAVES_THE_FILE"
    assert not (tmp_path.parent / "harm").exists()


@pytest.mark.parametrize("packing", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_packing_that_keras_does_not_use(tmp_path: Path, packing: int) -> None:
    """An LZMA entry may ask for 4 GiB of memory to be unpacked in."""
    source = tmp_path / "model.keras"
    with zipfile.ZipFile(source, "w", packing) as made:
        made.writestr("config.json", b"{}")
    assert refusal(source).reason == "DAMAGED"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_that_is_there_twice(tmp_path: Path) -> None:
    entries = ("config.json", b"{}"), ("config.json", b'{"class_name": "Lambda"}')
    assert refusal(archive(tmp_path / "model.keras", *entries)).reason == "AMBIGUOUS_ENTRY"


def test_a_bomb(tmp_path: Path) -> None:
    source = archive(tmp_path / "model.keras", ("model.weights.h5", bytes(64 << 20)), packed=True)
    assert source.stat().st_size < 100_000
    error = refusal(source)
    assert error.reason == "BOMB"
    assert "64 MiB" in error.message


def test_many_small_bombs(tmp_path: Path) -> None:
    entries = [(f"assets/{i}", bytes(1 << 20)) for i in range(64)]
    assert refusal(archive(tmp_path / "model.keras", *entries, packed=True)).reason == "BOMB"


def test_an_archive_that_lies_about_what_it_inflates_to(tmp_path: Path) -> None:
    source = archive(tmp_path / "model.keras", ("assets/words", bytes(8 << 20)), packed=True)
    data = source.read_bytes()
    source.write_bytes(data.replace(struct.pack("<I", 8 << 20), struct.pack("<I", 1000)))
    error = refusal(source)
    assert error.reason in ("BOMB", "DAMAGED")


def test_more_entries_than_the_limit(tmp_path: Path) -> None:
    entries = [(f"assets/{i}", b"") for i in range(keras_archive.MAX_ENTRIES + 1)]
    assert refusal(archive(tmp_path / "model.keras", *entries)).reason == "TOO_MANY_FILES"


# HDF5


def hdf5_file(target: Path, make: Callable[[Any], None]) -> Path:
    with h5py.File(target, "w") as file:
        file.create_dataset("weights", data=np.ones((3, 4), np.float32))
        make(file)
    return target


def external_storage(file: Any) -> None:
    file.create_dataset("words", (5,), "u1", external=[("/etc/passwd", 0, 5)])


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((5,), "u1")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "words", (5,))
    file.create_virtual_dataset("words", layout)


def linked(file: Any) -> None:
    file.create_group("deep/er")["words"] = h5py.ExternalLink("/etc/other.h5", "/words")


@pytest.mark.parametrize("make", [external_storage, virtual, linked])
@pytest.mark.parametrize("inside", [False, True], ids=["h5", "in a .keras"])
def test_data_in_other_files(tmp_path: Path, make: Callable[[Any], None], inside: bool) -> None:
    source = hdf5_file(tmp_path / "model.h5", make)
    if inside:
        source = archive(tmp_path / "model.keras", ("model.weights.h5", source.read_bytes()))
    error = refusal(source)
    assert error.reason == "LEAVES_THE_FILE"
    assert "words" in error.message


def test_links_inside_the_file_and_in_a_circle(tmp_path: Path) -> None:
    def make(file: Any) -> None:
        file["again"] = h5py.SoftLink("/weights")
        file["gone"] = h5py.SoftLink("/nothing")
        file.create_group("a")["up"] = file["/"]

    hdf5.refuse_harmful(hdf5_file(tmp_path / "model.h5", make))


def test_a_data_set_that_is_declared_and_not_there(tmp_path: Path) -> None:
    one = hdf5_file(tmp_path / "one.h5", lambda file: file.create_dataset("huge", (1 << 20, 1 << 20), "f4"))
    assert one.stat().st_size < 10_000
    assert refusal(one).reason == "TOO_LARGE"

    def several(file: Any) -> None:
        for i in range(8):
            file.create_dataset(f"large_{i}", (1 << 20,), "f4")

    assert refusal(hdf5_file(tmp_path / "several.h5", several)).reason == "BOMB"


def test_a_data_set_that_is_packed_beyond_measure(tmp_path: Path) -> None:
    def make(file: Any) -> None:
        file.create_dataset("zeros", data=np.zeros(16 << 20, np.float32), compression="gzip")

    source = hdf5_file(tmp_path / "model.h5", make)
    assert source.stat().st_size < 200_000
    assert refusal(source).reason == "BOMB"


def test_more_objects_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "MAX_OBJECTS", 20)
    source = hdf5_file(tmp_path / "model.h5", lambda f: [f.create_group(str(i)) for i in range(20)] and None)
    assert refusal(source).reason == "TOO_MANY_FILES"


# Neither, or both


def test_a_file_that_is_both_is_looked_at_as_both(files: Path, tmp_path: Path) -> None:
    """HDF5 begins at its begin (or at 512, 1024 ...), a zip is found from its end."""
    harmful = archive(tmp_path / "part", ("../harm", b""))
    source = tmp_path / "model.h5"
    source.write_bytes((files / "tf_keras.h5").read_bytes() + harmful.read_bytes())
    assert refusal(source).reason == "LEAVES_THE_FILE"
    shifted = hdf5_file(tmp_path / "shifted.h5", linked)
    shifted.write_bytes(bytes(512) + shifted.read_bytes())
    assert refusal(shifted).reason == "LEAVES_THE_FILE"


@pytest.mark.parametrize("kind", ["keras", "h5"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_files_that_are_cut_off(files: Path, tmp_path: Path, kind: str, share: float) -> None:
    whole = (files / f"tf_keras.{kind}").read_bytes()
    source = tmp_path / f"model.{kind}"
    source.write_bytes(whole[: int(len(whole) * share)])
    if kind == "h5":
        error = refusal(source)
        assert isinstance(error, InvalidInput)
        assert error.reason == "DAMAGED"
    else:
        inspect(source)  # it has lost its end, and is no archive
