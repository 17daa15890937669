"""The settings: what can be configured, and how it is read from the environment, which nothing else reads.

Imported by ``app`` and ``cli`` alone: everything below receives values, not settings.
"""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr, StringConstraints, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from rekognition_emulator.api.rekognition import Operations
from rekognition_emulator.arn import ACCOUNT_ID
from rekognition_emulator.auth.vault import Vault, read_master_key, read_master_key_file
from rekognition_emulator.http.rate_limits import EVERY_OTHER, RATE_MAX, RATE_MIN
from rekognition_emulator.inference.selection import AUTO, ModelFiles
from rekognition_emulator.inference.sessions import Device
from rekognition_emulator.models.catalogue import RESEARCH
from rekognition_emulator.search.registry import MEMORY_MB, MILVUS, find_index
from rekognition_emulator.search.url import IndexUrl, parse_index_url
from rekognition_emulator.storage.audit import KEPT_DAYS

THREADS_PER_CALL: Final = 1
"""Of one inference. As many requests as cores run side by side, which beats one request on all cores: measured, 30
images a second with two workers of one thread, 21 with one of two."""

_ORIGIN: Final = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]+)?")


PREFIX: Final = "REKOGNITION_"

SERVICE_ADDRESS: Final = re.compile(r"(tcp|udp|sctp)://.*")
"""What Kubernetes sets a variable ``…_PORT`` to, in each pod for each Service, whatever it is called."""


Rate = Annotated[float, Field(ge=RATE_MIN, le=RATE_MAX)]
Mirror = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]


def _beside_the_environment() -> Path:
    """Returns where set-up keeps weights: beside the virtual environment that runs this, else in the user's cache."""
    if sys.prefix != sys.base_prefix:
        return Path(sys.prefix).parent / ".models"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "rekognition-emulator" / "models"


class Settings(BaseSettings):
    """One field per environment variable: ``host`` is ``REKOGNITION_HOST``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True, validate_default=True)

    host: str = Field(
        "127.0.0.1",
        description="Address to listen on. One that others can reach needs an "
        "[access key](../guides/keys-and-policies.md).",
    )
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    data_dir: Path = Field(
        Path("~/.local/share/rekognition-emulator"),
        description="Where the embedded database and the prepared networks live.",
    )
    database_url: str | None = Field(
        None,
        description="PostgreSQL 15 or later with pgvector 0.8 or later; without it an embedded one is started.",
    )
    database_read_url: str | None = Field(
        None,
        description="A copy of that database that follows it, such as a hot standby. Searches with the index "
        "`pgvector` read from it where it is not behind.",
    )
    account_id: Annotated[str, StringConstraints(pattern=f"^{ACCOUNT_ID.pattern}$")] = Field(
        "000000000000", description="The account in resource names and the tenant whose collections a caller sees."
    )
    region: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")] = Field(
        "us-east-1", description="The region of requests whose credential scope names none."
    )
    auth: Literal["enforce", "warn"] | None = Field(
        None,
        description="`enforce`: refuse what is not signed with an access key. `warn`: only count and log it. Default: "
        "enforce as soon as there is a key.",
    )
    master_key: SecretStr | None = Field(
        None, description="32 bytes in base64 with which the secrets of access keys are encrypted."
    )
    master_key_file: Path | None = Field(
        None,
        description="A file that holds them instead. Default: `master.key` in the data directory, made with the first "
        "access key.",
    )
    cors_origins: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="Web sites whose pages may call, such as `https://example.com`, separated by commas; `*` for all.",
    )
    face_model: str = Field(
        AUTO,
        description="Which model embeds faces of new collections: a name of `models list`, or of a manifest. "
        "`auto`: the one whose licence was accepted last, if there is one, else `retail-0095` where it is at hand, "
        "else `dlib`.",
    )
    detector: str = Field(
        AUTO,
        description="Which model finds faces: a name of `models list`, or of a manifest. `auto`: the one whose "
        "licence was accepted last, if there is one, else `yunet` where it is at hand, else `mtcnn`.",
    )
    models_dir: Path | None = Field(
        None,
        description="Where weights and manifests of face models lie. Default: `models` in the data directory.",
    )
    recommended_dir: Path = Field(
        default_factory=_beside_the_environment,
        description="Where `models pull recommended` keeps weights; looked into after `REKOGNITION_MODELS_DIR` and "
        "`REKOGNITION_ATTRIBUTES_DIR`. Default: `.models` beside the Python environment, without one "
        "`~/.cache/rekognition-emulator/models`.",
    )
    offline: bool = Field(
        False, description="Fetch no weights, whatever a command is asked for. The server itself never does."
    )
    accept_licences: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="Models of the research profile whose licences you accept, by name, separated by commas; those "
        "that `models pull` has on record need not be here.",
    )
    model_mirrors: Annotated[tuple[Mirror, ...], NoDecode] = Field(
        (),
        description="Addresses of folders where `models pull` looks for weights before it asks their publishers, "
        "separated by commas. Only files whose SHA-256 is known are fetched from there.",
    )
    device: Device = Field(
        Device.CPU,
        description="What runs the networks: `cpu`, or `cuda` where onnxruntime-gpu is installed in place of "
        "onnxruntime.",
    )
    attributes_dir: Path = Field(
        Path("~/.deepface/weights"),
        description="DeepFace's folder of weights, where its face models and its networks for age, gender and emotions "
        "are looked for.",
    )
    absent_attributes: Literal["omit", "neutral"] = Field(
        "omit",
        description="What becomes of attributes that a request asks for and nothing here can tell of a face. `omit`: "
        "they are left out. `neutral`: they get a value that says nothing, with the confidence 50, for programs that "
        "stop without them; see [its guide](../guides/face-details.md).",
    )
    index: str = Field(
        "pgvector",
        description="[Which index](../guides/indexes.md) searches, as a URL: `pgvector`, `faiss`, "
        "`milvus://host:19530`, `memory` for tests, or one that a package brings; with options such as "
        "`faiss?memory_mb=4096`.",
    )
    index_token: str = Field(
        "", repr=False, description="What the index's server asks for, of Milvus `user:password` or an API key."
    )
    index_memory_mb: int = Field(
        2_048,
        ge=1,
        description="What `faiss` and `memory` may hold in memory, each, unless their URL has `memory_mb`; what was "
        "searched last stays.",
    )
    milvus_uri: Annotated[str, StringConstraints(pattern=r"^https?://")] | None = Field(
        None,
        description="Where Milvus is if `REKOGNITION_INDEX` does not say it, such as `http://host:19530`; also for "
        "collections that have chosen `milvus` themselves. Without either: Milvus Lite, in a file.",
    )
    milvus_token: str = Field("", repr=False, description="Another name of `REKOGNITION_INDEX_TOKEN`.")
    s3_endpoint_url: (
        Annotated[str, StringConstraints(pattern=r"^https?://(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9.-]+)(:\d+)?(/[^?#\s]*)?$")]
        | None
    ) = Field(None, description="Where requests' S3 objects are read: any S3-compatible server; without it AWS.")
    s3_addressing_style: Literal["auto", "path", "virtual"] = Field(
        "auto", description="Whether the bucket stands in the path or in the host name; `auto`: path, but not at AWS."
    )
    s3_buckets: Annotated[frozenset[str], NoDecode] | None = Field(
        None,
        description="Buckets that may be read, separated by commas; without it all that the server's credentials open. "
        "An empty list ends the start.",
    )
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Server processes behind the port; workers, queue, the indexes' memory and accounts' requests are "
        "shared out evenly.",
    )
    keep_chips: bool = Field(
        False,
        description="Keep of each face that is indexed a small image, so that another face model can embed it later; "
        "13 kB a face. It is as personal as the face and goes when the face is deleted.",
    )
    audit_days: int = Field(
        KEPT_DAYS,
        ge=1,
        le=36_500,
        description="How long the [audit log](../operations/audit-log.md) keeps what is added from now on, in days.",
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="Requests worked on at once: so many of IndexFaces and DetectFaces, and one more in all, so that "
        "searches never wait for albums. Default: one per core, since each keeps a core busy with inference.",
    )
    queue_max: int = Field(
        64,
        ge=0,
        description="Requests of IndexFaces and DetectFaces that may wait for a worker, and as many others; beyond it "
        "the answer is AWS's throttling error.",
    )
    job_workers: int = Field(
        1,
        ge=0,
        le=1,
        description="Whether each server process does [jobs](../operations/jobs.md) beside its requests, 1 or 0; "
        "`rekognition-emulator worker` does them in a process of its own.",
    )
    job_poll_seconds: float = Field(
        5.0,
        ge=0.1,
        le=600,
        description="Between two looks for a job. A worker that was not heard of for six of these is held for dead, "
        "and its job goes on elsewhere.",
    )
    keep_alive_seconds: int = Field(
        75,
        ge=1,
        le=3600,
        description="For how long a connection on which nothing is asked stays open: longer than proxies and pools of "
        "clients keep theirs, usually 60 seconds, so that none sends into one that is about to close.",
    )
    stop_seconds: int = Field(
        10,
        ge=0,
        description="What requests that are inside may still take when the server is told to stop; the others are cut "
        "off. What supervises it should wait five seconds longer before it kills.",
    )
    account_requests_per_second: Annotated[Mapping[str, Rate], NoDecode] = Field(
        {},
        description="How many requests of each operation an account may send a second, as `50`, or with other numbers "
        "for some: `IndexFaces=20,SearchFacesByImage=10,*=50`. Beyond it the answer is AWS's error for that. Default: "
        "no limit.",
    )
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="Port of the page `/metrics` for Prometheus; 0 takes any free one."
    )
    metrics_host: str = Field(
        "127.0.0.1", description="Address of that page. Nobody is asked for a key there: let only your Prometheus in."
    )
    otlp_endpoint: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")] | None = Field(
        None, description="A collector of OpenTelemetry traces that speaks OTLP over HTTP, such as `http://host:4318`."
    )
    strict: bool = Field(
        False, description="Check every answer against the service model before it is sent; for tests of this server."
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least level that is logged.")

    def of_one_process(self) -> "Settings":
        """Returns the settings of each process where there are several: with its share of the work, at least one."""
        url = self.index_url
        if MEMORY_MB in url.options:
            share = max(1, int(url.options[MEMORY_MB]) // self.processes)
            url = replace(url, options={**url.options, MEMORY_MB: str(share)})
        return self.model_copy(
            update={
                "index": str(url),
                "processes": 1,
                "workers": max(1, self.workers // self.processes),
                "queue_max": -(-self.queue_max // self.processes),
                "index_memory_mb": max(1, self.index_memory_mb // self.processes),
                "account_requests_per_second": {
                    operation: rate / self.processes for operation, rate in self.account_requests_per_second.items()
                },
            }
        )

    @property
    def index_url(self) -> IndexUrl:
        """The index that searches collections which have chosen none."""
        return parse_index_url(self.index)

    @property
    def index_urls(self) -> Mapping[str, IndexUrl]:
        """Name → address and options of the indexes that have any."""
        urls = {self.index_url.name: self.index_url}
        if self.milvus_uri and not urls.get(MILVUS, IndexUrl(MILVUS)).address:
            scheme, _, address = self.milvus_uri.partition("://")
            urls[MILVUS] = IndexUrl(MILVUS, address, {"tls": "true" if scheme == "https" else "false"})
        return urls

    @property
    def model_files(self) -> ModelFiles:
        """Where models are found, and which may be used."""
        return ModelFiles(
            cache_dir=self.data_dir / "networks",
            models_dir=self.models_dir or self.data_dir / "models",
            deepface_dir=self.attributes_dir,
            accepted=self.accept_licences,
            threads=THREADS_PER_CALL,
            device=self.device,
            recommended_dir=self.recommended_dir,
            offline=self.offline,
        )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host == "localhost" or ip_address(self.host).is_loopback

    def vault(self) -> Vault:
        """Opens what access keys are sealed with.

        Raises:
            MasterKeyUnusable: there is no master key, or it is none.
        """
        if self.master_key:
            return Vault(read_master_key(self.master_key.get_secret_value()))
        return Vault(read_master_key_file(self.master_key_file or self.default_master_key_file))

    @property
    def default_master_key_file(self) -> Path:
        """Where the master key is that nobody has chosen."""
        return self.data_dir / "master.key"

    @field_validator("port", "metrics_port", mode="before")
    @classmethod
    def _is_no_service(cls, port: object, info: ValidationInfo) -> object:
        """Passes over what Kubernetes sets for a Service called rekognition."""
        is_address = isinstance(port, str) and SERVICE_ADDRESS.fullmatch(port)
        return cls.model_fields[str(info.field_name)].default if is_address else port

    @field_validator("host", "metrics_host")
    @classmethod
    def _is_an_address(cls, host: str) -> str:
        if host != "localhost":
            ip_address(host)
        return host

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: frozenset[str]) -> frozenset[str]:
        for origin in origins - {"*"}:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin} is not like https://example.com, without a path")
        return origins

    @field_validator("accept_licences")
    @classmethod
    def _are_research_models(cls, names: frozenset[str]) -> frozenset[str]:
        return frozenset(_one_of(RESEARCH, name) for name in names)

    @field_validator("index")
    @classmethod
    def _is_an_index(cls, index: str) -> str:
        url = parse_index_url(index)
        find_index(url.name).check(url)
        return index

    @field_validator("milvus_uri")
    @classmethod
    def _is_said_once(cls, milvus_uri: str | None, info: ValidationInfo) -> str | None:
        if milvus_uri and str(info.data.get("index", "")).startswith(f"{MILVUS}://"):
            raise ValueError("REKOGNITION_INDEX says already where Milvus is; remove one of the two")
        return milvus_uri

    @field_validator("account_requests_per_second", mode="before")
    @classmethod
    def _are_rates(cls, rates: str | Mapping[str, float]) -> Mapping[str, object]:
        if not isinstance(rates, str):
            return rates
        named: dict[str, object] = {}
        for each in rates.split(","):
            operation, _, rate = each.rpartition("=")
            operation = operation.strip() or EVERY_OTHER
            if operation not in (*Operations.__annotations__, EVERY_OTHER):
                raise ValueError(f"{operation} is no operation")
            if operation in named:
                raise ValueError(f"{operation} has two limits")
            named[operation] = rate
        return named

    @field_validator("s3_buckets", "accept_licences", "model_mirrors", "cors_origins", mode="before")
    @classmethod
    def _is_a_list(cls, names: str | Iterable[str] | None) -> Iterable[str] | None:
        return [name.strip() for name in names.split(",")] if isinstance(names, str) else names

    @field_validator("data_dir", "models_dir", "recommended_dir", "attributes_dir", "master_key_file")
    @classmethod
    def _is_absolute(cls, directory: Path | None) -> Path | None:
        return directory and directory.expanduser().absolute()


def _one_of(names: Iterable[str], name: str) -> str:
    if name not in names:
        raise ValueError(f"is none of {', '.join(names)}")
    return name
