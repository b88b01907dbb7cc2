"""The settings: variables ``RS_ORDER_…``, and a TOML file that ``RS_ORDER_CONFIG`` names.

They are read once, at the start of a process. ``docs/configuration.md`` is generated from this file.
"""

import os
import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from difflib import get_close_matches
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from rs_order.domain.identity import SERVICE

PREFIX = "RS_ORDER_"
DEVELOPMENT_KEY = "!!!!!==========abcdefghijklmnopqrstuvwxyz0123456789==========!!!!!"
"""The platform's key for development and tests (rest.md 2.2). It is public: never use it in production."""
MEBIBYTE = 1024 * 1024


class SettingsError(Exception):
    """Settings are missing or wrong. Each line names one, and the values that are allowed."""

    code = "wrong-setting"

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def _listed(value: Any) -> Any:
    """Return the items of a comma-separated text. A list from TOML stays as it is."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


_Address = TypeVar("_Address", str, SecretStr)


def _url(schemes: tuple[str, ...], value: _Address) -> _Address:
    """Return a URL that can be used. The text of an error repeats nothing of it: it may hold a password.

    Raises:
        ValueError: it has another scheme, no host, or a port that is no number.
    """
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    scheme, _, rest = text.partition("://")
    if scheme.lower() not in schemes or not rest:
        raise ValueError(f"a URL must begin with {' or '.join(f'{one}://' for one in schemes)}")
    hosts = re.split("[/?#]", rest)[0].rpartition("@")[2]
    for host in hosts.split(","):
        try:
            parts = urlsplit(f"//{host}")
            _ = parts.port
        except ValueError as error:
            raise ValueError("host and port of the URL can't be read") from error
        if not parts.hostname and "postgresql" not in schemes:  # it may name a socket
            raise ValueError("the URL has no host")
    return value


def _host(value: str) -> str:
    if not re.fullmatch(r"[^\s/:@?#]+|\[[0-9A-Fa-f:.]+\]", value):
        raise ValueError("only the name or the address of a host is allowed here")
    return value


HttpUrl = Annotated[str, AfterValidator(partial(_url, ("http", "https")))]
Host = Annotated[str, AfterValidator(_host)]
Listed = Annotated[list[str], NoDecode, BeforeValidator(_listed)]
Positive = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=1, le=65535)]


def _property(name: str) -> dict[str, Any]:
    """Return the schema extra that names the property of the Java service which the setting replaces."""
    return {"property": name}


class Settings(BaseSettings):
    """All settings with their defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # stack traces must not repeat secrets
    )

    # Addresses and names
    database_url: Annotated[
        SecretStr, AfterValidator(partial(_url, ("postgresql", "postgres")))
    ] = Field(
        SecretStr("postgresql://postgres@localhost:5432/postgres"),
        description="PostgreSQL, one database for all tenants.",
    )
    database_pool_size: int = Field(
        20,
        ge=4,
        le=500,
        description="Largest number of connections of one process, besides three for its health "
        "checks and metrics.",
    )
    database_statement_cache: bool = Field(
        True, description="Off behind a pooler in transaction mode (PgBouncer)."
    )
    amqp_url: Annotated[SecretStr, AfterValidator(partial(_url, ("amqp", "amqps")))] = Field(
        SecretStr("amqp://guest:guest@localhost:5672"),
        description="RabbitMQ: host and credentials. The virtual hosts have their own settings.",
        json_schema_extra=_property("spring.rabbitmq.*"),
    )
    amqp_vhost: str = Field(
        "regards.multitenant.manager", description="Virtual host of the projects' events."
    )
    amqp_instance_vhost: str = Field(
        "regards.instance.manager", description="Virtual host of the installation's events."
    )
    amqp_management_url: (
        Annotated[SecretStr, AfterValidator(partial(_url, ("http", "https")))] | None
    ) = Field(
        None,
        description="RabbitMQ's management API. If set, missing virtual hosts are created at the start.",
        json_schema_extra=_property("regards.amqp.management.host, .port, .protocol"),
    )
    amqp_management_namespace: str = Field(
        "regards",
        description="First part of the names of exchanges and queues.",
        json_schema_extra=_property("regards.amqp.management.namespace"),
    )
    amqp_microservice_type_identifier: str = Field(
        SERVICE,
        description="Name of the service in the names of queues.",
        json_schema_extra=_property("regards.amqp.microservice.type-identifier"),
    )
    amqp_microservice_instance_identifier: str = Field(
        default_factory=lambda: str(uuid4()),
        description="Name of this instance in the names of its own queues. Default: a random UUID.",
        json_schema_extra=_property("regards.amqp.microservice.instance-identifier"),
    )
    queues: Literal["compatible", "quorum"] = Field(
        "compatible",
        description="Queues for the messages of peers. `compatible`: those of the Java service. `quorum`: "
        "queues of our own, which are replicated and faster.",
    )
    amqp_notifier_events: Listed = Field(
        [],
        description="Java classes of the messages that are copied to rs-notifier, comma-separated.",
        json_schema_extra=_property("regards.amqp.notifier.events"),
    )
    instance_name: str = Field(
        "REGARDS",
        description="Name of the installation, in each message's `app_id`.",
        json_schema_extra=_property("regards.instance.name"),
    )
    http_host: str = Field("0.0.0.0", description="Address that REST listens on.")  # noqa: S104
    http_port: int = Field(
        9043, ge=0, le=65535, description="Port that REST listens on; 0: any free port."
    )
    http_max_connections: int = Field(
        4000,
        ge=1,
        description="Largest number of open HTTP connections of a process; at most half of the files "
        "that the process may open.",
    )
    http_max_connections_per_address: int = Field(
        500,
        ge=1,
        description="Largest number of open HTTP connections from one address. Trusted proxies are exempt.",
    )
    http_head_seconds: Positive = Field(
        30,
        description="Seconds in which the head of an HTTP request must arrive, and the first one of a "
        "connection must begin.",
    )
    http_body_seconds: Positive = Field(
        60, description="Seconds in which each MiB of the body of an HTTP request must arrive."
    )
    http_idle_seconds: Positive = Field(
        75,
        description="Seconds after which an HTTP connection without another request ends. A gateway that "
        "keeps connections must close them before, or some of its requests fail.",
    )
    http_unread_seconds: Positive = Field(
        300, description="Seconds for which an HTTP client may leave a response unread."
    )
    user_requests_per_second: int = Field(
        50,
        ge=0,
        description="Requests per second that a user may send to one process, without those that download "
        "files; ten seconds' worth at once. 0: no limit.",
    )
    user_downloads_at_once: int = Field(
        64,
        ge=0,
        description="Zips and files that a user may download at the same time from one process; 0: no limit.",
    )
    peer_requests_per_second: int = Field(
        0,
        ge=0,
        description="Requests per second that another service of the platform may send to one process; 0: "
        "no limit.",
    )
    order_requests_per_second: int = Field(
        0,
        ge=0,
        description="Order requests per second that one process takes from the broker, where the others "
        "wait; 0: no limit.",
    )
    tenants: Listed = Field([], description="Tenants created at the start, comma-separated.")
    tenants_from_platform: bool = Field(
        False,
        description=(
            "Ask rs-admin-instance at the start which tenants to serve, and create them. Its events "
            "about tenants are handled in any case."
        ),
    )
    catalog_url: HttpUrl | None = Field(None, description="Base URL of rs-catalog.")
    storage_url: HttpUrl | None = Field(None, description="Base URL of rs-storage (downloads).")
    dam_url: HttpUrl | None = Field(
        None, description="Base URL of rs-dam. Without it, datasets have no attached files."
    )
    processing_url: HttpUrl | None = Field(
        None, description="Base URL of rs-processing. Without it, there are no processes."
    )
    admin_url: HttpUrl | None = Field(None, description="Base URL of rs-admin (users and roles).")
    admin_instance_url: HttpUrl | None = Field(
        None,
        description="Base URL of rs-admin-instance (public address of each project, and mails).",
    )
    authentication_url: HttpUrl | None = Field(
        None,
        description="Base URL of the service that checks names and passwords (`POST /oauth/token`). "
        "Without it, nobody can sign in to the console with a password.",
    )
    authentication_client: SecretStr | None = Field(
        None,
        description="Name and secret of the client, `name:secret`, by which this service asks for tokens.",
    )
    console_proxy_token: bool = Field(
        False,
        description="The console accepts the token in the `Authorization` header, which a proxy in front of "
        "it adds.",
    )
    public_url: HttpUrl = Field(
        "http://localhost:9043",
        description="Public address in the links of a project that has no address of its own.",
    )
    catalog_stac_url: HttpUrl | None = Field(
        None,
        description="Public address of the STAC of rs-catalog, which documents about orders link to. Without "
        "it, they don't, and clients are sent to the one behind the gateway.",
    )
    token_url: HttpUrl | None = Field(
        None,
        description="Public address where users get tokens for a password, for the configuration of clients. "
        "Without it, that of rs-authentication behind the gateway.",
    )
    prefix_path: str = Field(
        "/api/v1",
        description="Prefix of the gateway in links.",
        json_schema_extra=_property("prefix.path"),
    )
    cors_requests_authorized_clients_addresses: Listed = Field(
        [],
        description="Hosts or origins whose web pages may call REST, comma-separated. If none is "
        "set, all may.",
        json_schema_extra=_property("regards.cors.requests.authorized.clients.addresses"),
    )

    # Keys
    jwt_key_hs256: SecretStr | None = Field(
        None,
        description="Key of HS256 tokens.",
        json_schema_extra=_property("jwt.signing-key.HS256"),
    )
    jwt_key_hs384: SecretStr | None = Field(
        None,
        description="Key of HS384 tokens.",
        json_schema_extra=_property("jwt.signing-key.HS384"),
    )
    jwt_key_hs512: SecretStr | None = Field(
        None,
        min_length=64,
        description="Key of HS512 tokens. It also signs the service's own calls, so the service doesn't "
        "start without it.",
        json_schema_extra=_property("jwt.signing-key.HS512"),
    )
    jwt_key_rs256: SecretStr | None = Field(
        None,
        description="Public key of RS256 tokens, base64 DER.",
        json_schema_extra=_property("jwt.signing-key.RS256"),
    )
    jwt_key_rs384: SecretStr | None = Field(
        None,
        description="Public key of RS384 tokens, base64 DER.",
        json_schema_extra=_property("jwt.signing-key.RS384"),
    )
    jwt_key_rs512: SecretStr | None = Field(
        None,
        description="Public key of RS512 tokens, base64 DER.",
        json_schema_extra=_property("jwt.signing-key.RS512"),
    )
    order_secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="Key of order tokens, 32 bytes or more. Without it, there are no metalinks.",
        json_schema_extra=_property("regards.order.secret"),
    )
    tokens_without_expiry: bool = Field(
        False, description="Accept tokens without the claim `exp`, which are valid for ever."
    )
    token_in_query: bool = Field(
        False,
        description="Accept `?token=` in place of the Authorization header, as the gateway does.",
    )

    trusted_proxies: Listed = Field(
        [],
        description=(
            "Addresses or networks of the gateway and other proxies, comma-separated. Their "
            "`X-Forwarded-*` and `Forwarded` headers set the caller's address and the scheme, host "
            "and prefix of links. Those of other addresses are ignored."
        ),
    )
    roles_refresh_minutes: Positive = Field(
        10, description="Minutes after which the rights of all roles are read from rs-admin again."
    )

    # Orders and baskets
    files_bucket_size_mb: Positive = Field(
        100,
        description="Size of a sub-order, in MiB.",
        json_schema_extra=_property("regards.order.files.bucket.size.Mb"),
    )
    batch_size: int = Field(
        10_000,
        ge=1,
        le=10_000,
        description="Products in one page of the catalog; a change applies to selections read from then on.",
        json_schema_extra=_property("regards.order.batch.size"),
    )
    max_storage_files_jobs_per_user: int = Field(
        2,
        ge=0,
        description="Sub-orders of a user that run or wait for their download; 0: no limit.",
        json_schema_extra=_property("regards.order.max.storage.files.jobs.per.user"),
    )
    jobs_pool_size: int = Field(
        0,
        ge=0,
        description="Sub-orders that are requested from storage and not settled, over all tenants; "
        "0: no limit.",
        json_schema_extra=_property("regards.jobs.pool.size"),
    )
    max_files_at_storage: int = Field(
        0,
        ge=0,
        le=10**15,
        description="Files of the sub-orders that are requested from storage and not settled, over all "
        "tenants; 0: no limit.",
    )
    max_bytes_at_storage: int = Field(
        0,
        ge=0,
        le=10**18,
        description="Bytes of these sub-orders; 0: no limit.",
    )
    share_half_life_hours: float = Field(
        6,
        gt=0,
        le=8760,
        description="Time in which the recent use of tenants and users is halved, by which they share the "
        "capacity of the service.",
    )
    request_bulk_size: int = Field(
        1000,
        ge=1,
        le=10_000,
        description="Order requests handled in one batch.",
        json_schema_extra=_property("regards.order.request.bulk.size"),
    )
    cancel_request_bulk_size: int = Field(
        1000,
        ge=1,
        le=10_000,
        description="Cancel requests handled in one batch.",
        json_schema_extra=_property("regards.order.cancel.request.bulk.size"),
    )
    basket_upload_file_max_lines: int = Field(
        1000,
        ge=1,
        le=10_000,
        description="Largest number of lines of a file of product ids that is uploaded to a basket.",
        json_schema_extra=_property("regards.order.basket.upload.file.max.lines"),
    )
    cache_isadmin_size: int = Field(
        1000,
        ge=1,
        description="Number of users in the cache of who is an administrator.",
        json_schema_extra=_property("regards.order.cache.isadmin.size"),
    )
    cache_isadmin_ttl: Positive = Field(
        600,
        description="Seconds that an entry of this cache is valid.",
        json_schema_extra=_property("regards.order.cache.isadmin.ttl"),
    )

    # Retries, timeouts and retention
    remote_deadline: Positive = Field(
        600,
        description="Seconds for which calls to an unavailable service are retried before a request "
        "fails.",
    )
    stac_deadline: Positive = Field(
        20,
        description="Seconds for which an order of items of STAC waits for the catalog. The gateway gives up "
        "after 60.",
    )
    storage_reask_minutes: Positive = Field(
        30,
        description="Minutes without an answer before storage is asked again. The time doubles up to 6 h.",
    )
    storage_silence_hours: Positive = Field(
        48, description="Hours without an answer of storage after which files end in error."
    )
    processing_silence_hours: Positive = Field(
        48, description="Hours without a result of a process after which its files end in error."
    )
    inbox_retention_days: Positive = Field(
        7,
        description=(
            "Days for which a repeated request is recognised and creates no second order, over AMQP by its "
            "correlation id and content, over REST by its `Idempotency-Key`."
        ),
    )
    events_retention_days: Positive = Field(
        30, description="Days for which events of orders are kept in the log that users read."
    )
    events_type_prefix: str = Field(
        "rsorder.",
        pattern=r"[a-z0-9.]*",
        description="Stands before the names of events in the types of their CloudEvents, with a dot at "
        "its end.",
    )
    events_expiring_hours: Positive = Field(
        72,
        description="Hours before the expiry of an order at which `order.expiring` warns of it. A second "
        "event comes 24 hours before.",
    )
    events_amqp: bool = Field(
        False,
        description="Publish the events of orders to the topic exchange `rs-order.events`. Set it only "
        "when all instances have a version that knows it.",
    )
    events_key: SecretStr | None = Field(
        None,
        description="Encrypts the secrets of webhooks in the database: 32 bytes in base64, of "
        "`openssl rand -base64 32`, the same for all processes. Without it there are no webhooks.",
    )

    # Webhooks
    webhook_http: bool = Field(
        False, description="Let webhooks have `http` URLs and any port, for tests."
    )
    webhook_ports: Annotated[list[Port], NoDecode, BeforeValidator(_listed)] = Field(
        [443, 8443], description="Ports that the URLs of webhooks may have, comma-separated."
    )
    webhook_allowed_networks: Listed = Field(
        [],
        description="Networks that receivers of webhooks may lie in although they aren't public, "
        "comma-separated.",
    )
    webhook_proxy: HttpUrl | None = Field(
        None,
        description="HTTP proxy that sends all requests to receivers of webhooks. It decides then which "
        "addresses may be reached.",
    )

    # Audit and reconciler
    audit_retention_days: int = Field(
        365,
        ge=365,
        description="Days for which entries of the audit are kept, at least a year.",
    )

    reconcile_minutes: Positive = Field(
        15,
        description=(
            "Minutes between two runs of the reconciler, and the time without progress after which a "
            "step counts as lost."
        ),
    )

    # External files
    http_proxy_host: Host | None = Field(
        None,
        description="HTTP proxy for external files.",
        json_schema_extra=_property("http.proxy.host"),
    )
    http_proxy_port: int = Field(
        3128,
        ge=1,
        le=65535,
        description="Port of the HTTP proxy.",
        json_schema_extra=_property("http.proxy.port"),
    )
    http_proxy_noproxy: Listed = Field(
        [],
        description="Hosts that are reached without the proxy, comma-separated.",
        json_schema_extra=_property("http.proxy.noproxy"),
    )
    external_allowed_networks: Listed = Field(
        [],
        description="Networks that external files may lie in although they are refused by default "
        "(loopback, link-local, multicast, metadata of clouds), comma-separated.",
    )
    external_private_networks: bool = Field(
        True, description="Whether external files may lie in private networks."
    )
    file_url_folders: Listed = Field(
        [], description="Folders below which `file:` URLs may be read, comma-separated."
    )

    # Mails
    smtp_host: Host | None = Field(
        None, description="SMTP server for mails. Without it, they are sent by rs-admin-instance."
    )
    smtp_port: int = Field(587, ge=1, le=65535, description="Port of the SMTP server.")
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="`tls`: encrypted from the start; `starttls`: encrypted by STARTTLS, which the "
        "server must support; `none`: not encrypted.",
    )
    smtp_username: str | None = Field(None, description="User name, if the server needs a login.")
    smtp_password: SecretStr | None = Field(None, description="Password of this user.")
    mail_sender: str | None = Field(
        None,
        validate_default=True,
        description="Sender address, needed with SMTP. Default: that of the mail service.",
    )
    mail_language: Listed = Field(
        ["en"],
        description="Language of the mails, `en` or `fr`; for one tenant as `project1=fr`, comma-separated.",
    )
    mail_templates: str | None = Field(
        None, description="Folder of templates that replace the packaged ones."
    )
    periodic_files_availability_check_cron: str = Field(
        "0 0 7 * * MON-FRI",
        description="Time of the mails that remind owners of files to download: a cron expression "
        "with six fields, from seconds on, in UTC, as Spring reads it (see Operations, Mails); `-`: never.",
        json_schema_extra=_property("regards.order.periodic.files.availability.check.cron"),
    )

    # Logs, metrics and traces
    metrics_tenant_labels: int = Field(
        50,
        ge=0,
        le=1000,
        description="Number of tenants with metrics of their own, in the order in which they were "
        "added; the others share the label `other`.",
    )
    traces: bool = Field(
        False,
        description="Send traces by OTLP over HTTP, as OpenTelemetry's variables `OTEL_…` say. Needs the "
        "extra `traces`.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level that is logged."
    )
    log_format: Literal["json", "console"] = Field("json", description="Format of the log lines.")

    @field_validator("file_url_folders")
    @classmethod
    def _absolute(cls, folders: list[str]) -> list[str]:
        for folder in folders:
            if not Path(folder).is_absolute():
                raise ValueError(f"{folder!r} is not an absolute path")
        return folders

    @field_validator("trusted_proxies", "external_allowed_networks", "webhook_allowed_networks")
    @classmethod
    def _networks(cls, proxies: list[str]) -> list[str]:
        for proxy in proxies:
            ip_network(proxy, strict=False)
        return proxies

    @property
    def external_networks(self) -> list[IPv4Network | IPv6Network]:
        return [ip_network(network, strict=False) for network in self.external_allowed_networks]

    @property
    def webhook_networks(self) -> list[IPv4Network | IPv6Network]:
        return [ip_network(network, strict=False) for network in self.webhook_allowed_networks]

    @property
    def trusted_networks(self) -> list[IPv4Network | IPv6Network]:
        return [ip_network(proxy, strict=False) for proxy in self.trusted_proxies]

    @field_validator("mail_sender")
    @classmethod
    def _sender_with_smtp(cls, sender: str | None, others: ValidationInfo) -> str | None:
        if sender is None and others.data.get("smtp_host") is not None:
            raise ValueError(f"an address is needed when {PREFIX}SMTP_HOST is set")
        if sender is not None and not re.fullmatch(r"[^\s,;<>@]+@[^\s,;<>@]+", sender):
            raise ValueError(f"{sender!r} is not an e-mail address")
        return sender

    @field_validator("mail_templates")
    @classmethod
    def _existing_folder(cls, folder: str | None) -> str | None:
        if folder is not None and not Path(folder).is_dir():
            raise ValueError(f"there is no folder {folder!r}")
        return folder

    @property
    def batch_bytes(self) -> int:
        return int(self.files_bucket_size_mb * MEBIBYTE)

    @property
    def signing_key(self) -> str:
        """Return the key of HS512 tokens.

        Raises:
            SettingsError: it isn't set.
        """
        if self.jwt_key_hs512 is None:
            raise SettingsError(
                f"{PREFIX}JWT_KEY_HS512 is not set: give it the signing key of the platform "
                "(jwt.signing-key.HS512), or for a sandbox the key that 'rs-order sandbox' prints"
            )
        return self.jwt_key_hs512.get_secret_value()

    @property
    def token_keys(self) -> dict[str, str]:
        """The keys that verify tokens, by algorithm."""
        keys = {
            "HS256": self.jwt_key_hs256,
            "HS384": self.jwt_key_hs384,
            "HS512": self.jwt_key_hs512,
            "RS256": self.jwt_key_rs256,
            "RS384": self.jwt_key_rs384,
            "RS512": self.jwt_key_rs512,
        }
        return {name: key.get_secret_value() for name, key in keys.items() if key is not None}

    @property
    def remote_retry_time(self) -> timedelta:
        return timedelta(seconds=self.remote_deadline)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - part of the hook's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in their order: the environment overrides the file."""
        file = _config_file()
        if file is None:
            return init_settings, env_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)


def load_settings(**overrides: Any) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: each line names a wrong setting, its value unless it is secret, and the reason.
    """
    file = _config_file()
    if file is not None and not file.is_file():
        raise SettingsError(f"{PREFIX}CONFIG: there is no file {file}")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise SettingsError(*(_line(dict(detail)) for detail in details)) from error
    except ValueError as error:  # the TOML file
        raise SettingsError(f"{PREFIX}CONFIG: {file} can't be read: {error}") from error


def unknown_settings() -> Iterator[tuple[str, str | None]]:
    """Yield each name that no setting has, and the name of the setting that it resembles most, if any.

    They are names of variables, and names in the TOML file.
    """
    known = [name.upper() for name in (*Settings.model_fields, "config")]
    names = [
        name.removeprefix(PREFIX)
        for name, value in os.environ.items()
        if name.startswith(PREFIX) and not _is_of_kubernetes(name, value)
    ]
    if (file := _config_file()) is not None:
        names += tomllib.loads(file.read_text(encoding="utf-8"))
    for name in sorted(names):
        if name.upper() not in known:
            nearest = get_close_matches(name.upper(), known, n=1)
            yield f"{PREFIX}{name}", f"{PREFIX}{nearest[0]}" if nearest else None


def changed_settings(settings: Settings) -> dict[str, object]:
    """Return the settings that differ from their defaults, for the log: ``***`` for what is secret."""
    given = sorted(settings.model_fields_set)
    return {
        f"{PREFIX}{name.upper()}": _loggable(getattr(settings, name))
        for name in given
        if getattr(settings, name) != Settings.model_fields[name].default
    }


def _loggable(value: object) -> object:
    """Return a value without secrets. Of a URL, only user, password and query are hidden."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    if "://" in text and not isinstance(value, list | tuple | set | frozenset):
        parts = urlsplit(text)
        user = "***@" if "@" in parts.netloc else ""
        query = "***" if parts.query else ""
        return parts._replace(
            netloc=user + parts.netloc.rpartition("@")[2], query=query, fragment=""
        ).geturl()
    if isinstance(value, SecretStr):
        return "***"
    return value if isinstance(value, bool | int | float | str) else str(value)


_OF_KUBERNETES: Final = re.compile(f"{PREFIX}(SERVICE_(HOST|PORT.*)|PORT_[0-9]+_.*)")


def _is_of_kubernetes(name: str, value: str) -> bool:
    """True for the variables that Kubernetes sets for a service with the name ``rs-order``."""
    return bool(_OF_KUBERNETES.fullmatch(name)) or value.startswith("tcp://")


def _config_file() -> Path | None:
    """Return the TOML file that the environment names, or None."""
    config = os.environ.get(f"{PREFIX}CONFIG")
    return Path(config) if config else None


def _line(detail: dict[str, Any]) -> str:
    """Return a line about a wrong setting."""
    name = str(detail["loc"][0])
    value = None if "Secret" in str(Settings.model_fields[name].annotation) else detail["input"]
    shown = "" if value is None else f"={_without_password(str(value))}"
    reason = str(detail["msg"]).removeprefix("Value error, ")
    return f"{PREFIX}{name.upper()}{shown}: {reason}"


def _without_password(value: str) -> str:
    """Return a value that may be shown: the start of it, without the user and the password of a URL."""
    masked = re.sub("//[^/]*@", "//…@", value)
    return masked if len(masked) <= _SHOWN else f"{masked[:_SHOWN]}…"


_SHOWN: Final = 100
