"""All that `penult serve` takes: from the command line, else from PENULT_* variables, else the defaults here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from penult_service.errors import InvalidInput
from penult_service.files import user_cache

MEBIBYTE = 1 << 20


class Limits(BaseSettings):
    """The most that one call may hold; GetServerInfo tells them.

    A request holds 50,000 rows of 384 numbers, or 20,000 of 768, on two sides.
    """

    model_config = SettingsConfigDict(env_prefix="PENULT_", frozen=True)

    max_request_bytes: int = Field(default=192 * MEBIBYTE, ge=1024)
    default_response_bytes: int = Field(default=4 * MEBIBYTE, ge=1024)
    max_response_bytes: int = Field(default=256 * MEBIBYTE, ge=1024)
    max_texts: int = Field(default=16_384, ge=1)
    max_text_bytes: int = Field(default=4 * MEBIBYTE, ge=1)
    max_queued_tokens: int = Field(default=1 << 21, ge=1)
    max_scores: int = Field(default=1 << 24, ge=1)
    max_analysis_seconds: float = Field(default=20.0, gt=0)
    max_analysis_bytes: int = Field(default=4096 * MEBIBYTE, ge=1024)


class ServeConfig(BaseSettings):
    """Settings of a server.

    `port` 0: any free one; `metrics_port` None: no metrics; `prepare_memory` GiB that preparing a model may take, None:
    what is free then; `allow_ops` names operations, with commas between, that models may hold beside those of the allow
    list; `allow_stochastic` takes models that are random at inference, with a warning in every reply;
    `cache_mib` MiB of past embeddings and probabilities that are kept, 0: none; `analysis_workers` 0: no analysis;
    `analysis_memory` GiB that an analysis may take, None: half of what the machine (or its container) has, shared by
    the workers and their operations; `analysis_queue` calls may wait for a worker; `analysis_operations` may run or
    wait, and are forgotten `operation_days` after they have ended.

    `engine` runs the models; ``auto`` measures which is fastest here, at the `precision` that is asked for: only
    ``bfloat16`` and ``auto`` lower it. With `force_precision` it is lowered whatever that changes.
    """

    model_config = SettingsConfigDict(env_prefix="PENULT_", frozen=True)

    paths: tuple[str, ...] = ()
    models: Path | None = None
    data: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=50051, ge=0, le=65535)
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    grace: float = Field(default=10.0, ge=0)
    log: Literal["json", "human"] = "human"
    address_file: Path | None = None
    exit_with_stdin: bool = False
    threads: int | None = Field(default=None, ge=1, le=1024)
    engine: Literal["auto", "tensorflow", "openvino"] = "auto"
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    force_precision: bool = False
    prepare_timeout: float = Field(default=900.0, gt=0)
    prepare_memory: float | None = Field(default=None, gt=0)
    allow_ops: str = ""
    allow_stochastic: bool = False
    health_interval: float = Field(default=30.0, gt=0)
    cache_mib: int = Field(default=0, ge=0, le=1 << 20)
    analysis_workers: int = Field(default=1, ge=0)
    analysis_memory: float | None = Field(default=None, gt=0)
    analysis_queue: int = Field(default=16, ge=0)
    analysis_operations: int = Field(default=64, ge=1)
    operation_days: float = Field(default=30.0, gt=0)
    limits: Limits = Field(default_factory=lambda: Limits())

    @property
    def cache(self) -> Path:
        """Where prepared models are kept: DATA/prepared, else in the user's cache directory."""
        return (self.data or user_cache()) / "prepared"

    @property
    def engines_cache(self) -> Path:
        """Where is kept how models are run on this machine, and what OpenVINO reads: beside the prepared models."""
        return self.cache.parent / "engines"

    @property
    def allowed_ops(self) -> tuple[str, ...]:
        """`allow_ops`, a list with commas, one by one."""
        return tuple(name.strip() for name in self.allow_ops.split(",") if name.strip())

    @property
    def prepare_memory_bytes(self) -> int | None:
        """`prepare_memory` in bytes."""
        return None if self.prepare_memory is None else int(self.prepare_memory * (1 << 30))

    @property
    def numba_cache(self) -> Path:
        """Where the analysis workers keep what they compile: DATA/numba, else in the user's cache directory."""
        return (self.data or user_cache()) / "numba"

    @property
    def analysis_scratch(self) -> Path | None:
        """Where arrays lie while they are analysed: DATA/analysis, else (None) the system's temporary directory."""
        return None if self.data is None else self.data / "analysis"

    @property
    def analysis_memory_bytes(self) -> int | None:
        """`analysis_memory` in bytes."""
        return None if self.analysis_memory is None else int(self.analysis_memory * (1 << 30))


def serve_config(**given: object) -> ServeConfig:
    """The settings; those that are None here come from the environment, else they have their defaults.

    Raises:
        InvalidInput: a setting is out of range or of the wrong type (WRONG_SETTING), or neither or both of
            paths and a models directory are there (WRONG_ARGUMENTS).
    """
    config = settings(**given)
    if bool(config.paths) == (config.models is not None):
        raise InvalidInput(
            "name the models to serve: either PATH... or --models DIR (and not both)",
            reason="WRONG_ARGUMENTS",
        )
    return config


def settings(**given: object) -> ServeConfig:
    """The same for what works without a server: no models need be named.

    Raises:
        InvalidInput: a setting is out of range or of the wrong type (WRONG_SETTING).
    """
    try:
        return ServeConfig(**{name: value for name, value in given.items() if value not in (None, ())})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"])
        raise InvalidInput(
            f"--{name.replace('_', '-')} (or PENULT_{name.upper()}): {first['msg']}", reason="WRONG_SETTING"
        ) from None
