"""The container's lines without a container: installed and started by another user, from a read-only tree.

Covered: what the Dockerfile copies is enough, deploy/install.sh and deploy/start.sh as they are, the image's
user and its places to write, the health check, SIGTERM. Not covered: the image itself, and the extra `server`
(TensorFlow takes a minute to install): the test installs `serve` and serves the fake model.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.installs import ROOT, run, serving, wheelhouse
from support.pools import NUMBA_CACHE, WARM_SECONDS
from support.serving import SERVING, health, open_channel, wait_until

UID = 10001
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()


def _instructions(name: str) -> list[str]:
    lines = DOCKERFILE.replace("\\\n", " ").splitlines()
    return [line.split(maxsplit=1)[1] for line in lines if line.startswith(f"{name} ")]


def _other_user() -> dict[str, object]:
    # Only root can become someone else; anybody else plays the part himself.
    return {"user": UID, "group": UID, "extra_groups": []} if os.geteuid() == 0 else {}


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the other user can reach (pytest's own are closed to him)."""
    path = Path(tempfile.mkdtemp(prefix="penult-deploy-"))
    path.chmod(0o755)
    yield path
    for directory in (path, *(d for d in path.rglob("*") if d.is_dir() and not d.is_symlink())):
        directory.chmod(0o755)
    shutil.rmtree(path)


@pytest.fixture
def tree(place: Path) -> Path:
    """What the build stage of the Dockerfile copies, read-only."""
    tree = place / "src"
    tree.mkdir()
    for line in _instructions("COPY"):
        if line.startswith("--from"):
            break
        *sources, target = line.split()
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, tree / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, tree / target)
    for path in (tree, *tree.rglob("*")):
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o555 if executable else 0o444)
    return tree


@pytest.fixture
def python() -> str:
    """A Python that the other user may run, of the version that the wheels are for."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    code = f"import ensurepip, venv, sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    for candidate in (
        os.path.realpath(sys.executable),
        f"/usr/local/bin/python{version}",
        f"/usr/bin/python{version}",
    ):
        try:
            usable = run(candidate, "-c", code, cwd="/", **_other_user()).returncode == 0
        except OSError:
            usable = False
        if usable:
            return candidate
    pytest.skip(f"no Python {version} with venv that another user may run")


def _state(tree: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in (tree, *tree.rglob("*"))}


def test_install_and_start_as_another_user_from_a_read_only_tree(
    place: Path, tree: Path, python: str
) -> None:
    own, prefix = place / "own", place / "own" / "prefix"
    for directory in (own, own / "data", own / "tmp"):
        directory.mkdir()
        if os.geteuid() == 0:
            os.chown(directory, UID, UID)
    before = _state(tree)
    env = {"PATH": os.defpath, "HOME": "/nonexistent", "TMPDIR": str(own / "tmp"), "PYTHON": python}
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheelhouse()), "PIP_CONFIG_FILE": os.devnull}

    installed = run(tree / "deploy/install.sh", prefix, "serve", env=env | pip, cwd="/", **_other_user())
    assert installed.returncode == 0, installed.stdout

    # From here on only data and tmp may be written, as in the container.
    for path in (own, prefix, *(d for d in prefix.rglob("*") if d.is_dir() and not d.is_symlink())):
        path.chmod(0o555)
    settings = {"PENULT_PREFIX": str(prefix), "PENULT_DATA": str(own / "data")}
    settings |= {"PENULT_HOST": "127.0.0.1", "PENULT_PORT": "0"}
    address_file = own / "data" / "address"
    command = [tree / "deploy/start.sh", "fake:reviews", "--address-file", address_file]
    options = {"env": env | settings, "cwd": "/", **_other_user()}
    health = [prefix / "bin/python", tree / "deploy/health.py"]
    with serving(command, address_file, place / "log", **options) as address:
        # It listens before its models are loaded: as in the image, health is asked again and again.
        end = time.monotonic() + 60
        while (healthy := run(*health, address, **options)).returncode and time.monotonic() < end:
            assert healthy.stdout.strip() == f"{address}: NOT_SERVING"
            time.sleep(0.2)
        assert (healthy.returncode, healthy.stdout.strip()) == (0, f"{address}: SERVING")
        # Only `serve` is installed: embedding does not mind, and analysis says what it lacks.
        analysis = run(*health, address, "penult.v1.AnalysisService", **options)
        assert (analysis.returncode, analysis.stdout.strip()) == (1, f"{address}: NOT_SERVING")
        while "pip install 'penult[analysis]'" not in (place / "log").read_text():
            assert time.monotonic() < end
            time.sleep(0.2)
        listed = run(prefix / "bin/penult", "models", "--server", address, **options)
        assert listed.returncode == 0, listed.stdout
        assert "reviews" in listed.stdout
    assert run(*health, address, **options).returncode == 1
    assert _state(tree) == before


def test_analysis_workers_as_another_user_who_may_write_to_data_and_tmp_only(
    place: Path, python: str
) -> None:
    """With the packages that are installed here: installing the extra `analysis` anew takes minutes."""
    packages = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    ours = {str(ROOT / directory) for directory in ("service", "clients/python", "protos/gen")}
    env = {"PATH": os.defpath, "HOME": "/nonexistent", "PYTHONPATH": os.pathsep.join(ours | packages)}
    env |= {"TMPDIR": str(place / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
    reachable = run(python, "-c", "import sklearn, penult_service", env=env, cwd="/", **_other_user())
    if reachable.returncode:
        pytest.skip(f"another user cannot read this environment: {reachable.stdout.strip()[-200:]}")
    (place / "tmp").mkdir()
    (place / "data").mkdir()
    if NUMBA_CACHE.is_dir():  # compiled code of the same files: seconds instead of a minute
        shutil.copytree(NUMBA_CACHE, place / "data" / "numba")
        (place / "data" / "numba").chmod(0o700)
    if os.geteuid() == 0:
        for path in (place / "tmp", place / "data", *(place / "data").rglob("*")):
            os.chown(path, UID, UID)
    address_file = place / "data" / "address"
    command = [python, "-m", "penult_service", "serve", "fake:reviews", "--data", place / "data"]
    command += ["--port", "0", "--address-file", address_file]
    options = {"env": env, "cwd": "/", **_other_user()}
    with (
        serving(command, address_file, place / "log", **options) as address,
        open_channel(address) as channel,
    ):
        wait_until(lambda: health(channel, "penult.v1.AnalysisService") == SERVING, WARM_SECONDS)
    assert "every start compiles" not in (place / "log").read_text()
    sets = {".lock", "datasets", "projections", "clusterings", "operations", "results"}
    assert {path.name for path in (place / "data").iterdir()} == {"address", "analysis", "numba", *sets}
    assert list((place / "data" / "analysis").iterdir()) == list((place / "tmp").iterdir()) == []


def test_the_tree_of_the_test_is_closed_to_the_other_user(tree: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    attempt = run("/bin/sh", "-c", f"touch {shlex.quote(str(tree / 'service' / 'x'))}", **_other_user())
    assert attempt.returncode != 0


def test_image_runs_the_tested_lines_as_that_user() -> None:
    assert "deploy/install.sh /opt/penult" in _instructions("RUN")
    assert _instructions("ENTRYPOINT") == ['["/opt/penult/deploy/start.sh"]']
    assert _instructions("USER") == [f"{UID}:{UID}"]
    assert _instructions("STOPSIGNAL") == ["SIGTERM"]
    assert "/opt/penult/deploy/health.py" in _instructions("HEALTHCHECK")[0]


def test_compose_closes_the_root_file_system() -> None:
    service = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]["penult"]
    assert service["read_only"] is True
    assert service["user"] == f"{UID}:{UID}"
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    writable = [volume for volume in service["volumes"] if not volume.endswith(":ro")]
    assert writable == ["data:/data"]


def test_everything_that_is_copied_gets_past_the_ignore_file() -> None:
    kept = {
        line[1:]
        for line in (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines()
        if line[:1] == "!"
    }
    copied = {
        source for line in _instructions("COPY") for source in line.split()[:-1] if "--from" not in line
    }
    assert {
        source for source in copied if not any(source == k or source.startswith(f"{k}/") for k in kept)
    } == set()
