"""The settings of an installation, from environment variables TANGRAM_*: what each means, its default, where its value came from. Opens nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from engine.errors import Fault, Invalid
from metadata.text import Label

PREFIX = "TANGRAM_"


@dataclass(frozen=True, slots=True)
class SettingWord:
    """One setting: its name without prefix, default as text, how the text is read, what it means."""

    name: str
    default: str
    read: Callable[[str], Any]
    help: Label
    secret: bool = False


class _Bad(ValueError):
    def __init__(self, code: str, **params: object) -> None:
        super().__init__(code)
        self.code = code
        self.params = params


def _integer(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise _Bad("setting_not_integer") from None
        if not least <= value <= most:
            raise _Bad("setting_out_of_range", least=least, most=most)
        return value

    return read


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _Bad("setting_not_number") from None
    if not 0 < value <= 86400:
        raise _Bad("setting_out_of_range", least=0, most=86400)
    return value


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        found = {word.lower(): word for word in words}.get(text.lower())
        if found is None:
            raise _Bad("setting_not_one_of", words=", ".join(words))
        return found

    return read


def _truth(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False, "": False}
    if text.lower() not in words:
        raise _Bad("setting_not_boolean")
    return words[text.lower()]


def _database_url(text: str) -> str:
    if not text:
        return ""
    try:
        url = make_url(text)
    except ArgumentError:
        raise _Bad("setting_not_url") from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername != "postgresql+psycopg":
        raise _Bad("setting_database_unknown")
    return url.render_as_string(hide_password=False)


def _secret(text: str) -> str:
    if text and len(text) < 32:
        raise _Bad("setting_secret_short")
    return text


def _networks(text: str) -> tuple[str, ...]:
    items = tuple(part.strip() for part in text.split(",") if part.strip())
    for item in items:
        try:
            ip_network(item, strict=False)
        except ValueError:
            raise _Bad("setting_not_network", item=item) from None
    return items


def _files_url(text: str) -> str:
    if text and "://" in text and not text.startswith("file://"):
        raise _Bad("setting_files_unknown")
    return text.removeprefix("file://")


def _folder(text: str) -> Path:
    return Path(text).expanduser().absolute()


WORDS: tuple[SettingWord, ...] = (
    SettingWord(
        "HOME",
        "./var",
        _folder,
        {"zh": "数据目录：SQLite 文件、上传的文件、首次运行生成的密钥", "en": "data folder: SQLite files, uploads, the key made on first run"},
    ),
    SettingWord(
        "DATABASE_URL",
        "",
        _database_url,
        {
            "zh": "postgresql+psycopg://用户:密码@主机/数据库；留空则使用数据目录中的 SQLite 文件",
            "en": "postgresql+psycopg://user:password@host/database; empty: SQLite files in the data folder",
        },
        secret=True,
    ),
    SettingWord(
        "DIRECT_DATABASE_URL",
        "",
        _database_url,
        {
            "zh": "绕过连接池程序的地址，用于发布和升级；留空则同 DATABASE_URL",
            "en": "address that passes by a connection pooler, for publishing and migrating; empty: as DATABASE_URL",
        },
        secret=True,
    ),
    SettingWord(
        "POOLER",
        "off",
        _truth,
        {
            "zh": "数据库前面有事务模式的连接池程序（PgBouncer）：关闭预备语句",
            "en": "a transaction pooler (PgBouncer) stands before the database: prepared statements off",
        },
    ),
    SettingWord(
        "SECRET_KEY",
        "",
        _secret,
        {
            "zh": "至少 32 个字符，保护加密字段的密钥；SQLite 下留空则首次运行时生成 secret.key，PostgreSQL 下必须设置",
            "en": "at least 32 characters, wraps the keys of encrypted fields; empty: secret.key made on first run (SQLite); required on PostgreSQL",
        },
        secret=True,
    ),
    SettingWord("FILES_URL", "", _files_url, {"zh": "附件目录；留空则为数据目录下的 files", "en": "folder of attachments; empty: files in the data folder"}),
    SettingWord(
        "PLUGINS",
        "",
        _files_url,
        {
            "zh": "插件目录，其中每个包是一个插件；留空则为数据目录下的 plugins",
            "en": "folder of plugins, each package in it one; empty: plugins in the data folder",
        },
    ),
    SettingWord("HOST", "127.0.0.1", str, {"zh": "网页服务监听的地址", "en": "address the web server listens on"}),
    SettingWord("PORT", "8000", _integer(0, 65535), {"zh": "网页服务监听的端口（0 为任意空闲端口）", "en": "port the web server listens on (0: any free one)"}),
    SettingWord(
        "PUBLIC_URL",
        "",
        str,
        {
            "zh": "用户访问的地址，例如 https://crm.example.cn；https 时登录凭证只走加密连接",
            "en": "address people use; with https, session cookies travel encrypted only",
        },
    ),
    SettingWord(
        "TRUSTED_PROXIES",
        "",
        _networks,
        {
            "zh": "可信的反向代理地址，逗号分隔；只有它们可以告知客户端地址",
            "en": "addresses of reverse proxies, comma separated; only these may name the client's address",
        },
    ),
    SettingWord(
        "OUTBOUND_NETWORKS",
        "",
        _networks,
        {
            "zh": "外发连接（邮件、短信网关、机器人、Webhook）可以访问的内网网段，逗号分隔；留空则只能访问公网地址",
            "en": "private networks that outgoing calls (mail, SMS gateway, robots, webhooks) may reach, comma separated; empty: public addresses only",
        },
    ),
    SettingWord("LOG_LEVEL", "info", _one_of("debug", "info", "warning", "error"), {"zh": "日志级别", "en": "log level"}),
    SettingWord(
        "SQLITE_SYNCHRONOUS",
        "FULL",
        _one_of("FULL", "NORMAL"),
        {
            "zh": "FULL：断电也不丢已确认的数据；NORMAL：更快，断电可能丢最后几次提交",
            "en": "FULL: nothing acknowledged is lost on power failure; NORMAL: faster, the last commits may be lost",
        },
    ),
    SettingWord("BUSY_TIMEOUT", "60", _seconds, {"zh": "等待写锁的最长秒数", "en": "longest wait for a write lock, seconds"}),
    SettingWord("STATEMENT_TIMEOUT", "2", _seconds, {"zh": "页面请求中单条查询的最长秒数", "en": "longest single query of a request, seconds"}),
    SettingWord(
        "POOL_SIZE",
        "10",
        _integer(1, 500),
        {"zh": "每个进程保持的数据库连接数（读写各一组）", "en": "database connections kept per process (one set for reads, one for writes)"},
    ),
    SettingWord("POOL_OVERFLOW", "20", _integer(0, 1000), {"zh": "繁忙时额外打开的连接数", "en": "connections opened beyond that when busy"}),
    SettingWord(
        "JOB_LEASE",
        "60",
        _seconds,
        {
            "zh": "后台任务被领取后，多少秒没有动静就由另一个工作进程接手",
            "en": "seconds without a sign of life after which another worker takes a claimed job over",
        },
    ),
    SettingWord(
        "RULE_FAILURES",
        "5",
        _integer(1, 1000),
        {"zh": "一条规则连续失败多少次后自动停用并通知管理员", "en": "failures in a row after which a rule is switched off and the administrators are told"},
    ),
    SettingWord("OPEN_WORKSPACES", "64", _integer(1, 10000), {"zh": "每个进程同时打开的工作区数", "en": "workspaces kept open per process"}),
    SettingWord("SESSION_IDLE_HOURS", "8", _integer(1, 720), {"zh": "无操作多少小时后需要重新登录", "en": "hours without use until a new login is needed"}),
    SettingWord("SESSION_DAYS", "7", _integer(1, 90), {"zh": "登录最长有效天数", "en": "longest life of a login, days"}),
    SettingWord("MAX_BODY", str(2 * 1024 * 1024), _integer(1024, 1 << 30), {"zh": "请求正文的最大字节数", "en": "largest request body, bytes"}),
    SettingWord("MAX_UPLOAD", str(20 * 1024 * 1024), _integer(1024, 1 << 32), {"zh": "上传文件的最大字节数", "en": "largest upload, bytes"}),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its value. ``sources`` says for each name where it came from: ``environment`` or ``default``."""

    home: Path
    database_url: str = ""
    direct_database_url: str = ""
    pooler: bool = False
    secret_key: str = field(default="", repr=False)
    files_url: str = ""
    plugins: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    outbound_networks: tuple[str, ...] = ()
    log_level: str = "info"
    sqlite_synchronous: str = "FULL"
    busy_timeout: float = 60.0
    statement_timeout: float = 2.0
    pool_size: int = 10
    pool_overflow: int = 20
    job_lease: float = 60.0
    rule_failures: int = 5
    open_workspaces: int = 64
    session_idle_hours: int = 8
    session_days: int = 7
    max_body: int = 2 * 1024 * 1024
    max_upload: int = 20 * 1024 * 1024
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read every TANGRAM_* variable. Raises Invalid("wrong_settings") with one fault per wrong or unknown variable."""
        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        faults: list[Fault] = []
        for word in WORDS:
            text = environment.get(PREFIX + word.name)
            sources[word.name] = "default" if text is None else "environment"
            try:
                values[word.name.lower()] = word.read(word.default if text is None else text.strip())
            except _Bad as bad:
                shown = "…" if word.secret else text
                faults.append(Fault(PREFIX + word.name, bad.code, {"name": PREFIX + word.name, "value": shown, **bad.params}))
        known = {PREFIX + word.name for word in WORDS}
        faults += [
            Fault(name, "setting_unknown", {"name": name})
            for name in sorted(environment)
            if name.startswith(PREFIX) and name not in known and not name.startswith(PREFIX + "TEST_")
        ]
        if not faults and values["database_url"] and not values["secret_key"]:
            faults.append(Fault(PREFIX + "SECRET_KEY", "setting_secret_missing", {"name": PREFIX + "SECRET_KEY"}))
        if faults:
            raise Invalid("wrong_settings", faults=faults)
        return cls(**values, sources=sources)

    @property
    def embedded(self) -> bool:
        """True on SQLite files, False on PostgreSQL."""
        return not self.database_url

    @property
    def files(self) -> Path:
        """Where attachments lie."""
        return Path(self.files_url).absolute() if self.files_url else self.home / "files"

    @property
    def plugin_folder(self) -> Path:
        """Where plugins lie that are no installed packages."""
        return Path(self.plugins).absolute() if self.plugins else self.home / "plugins"

    def rows(self) -> list[dict[str, object]]:
        """Every setting for the list of settings: name, value (secrets hidden), default, source, help."""
        return [
            {
                "name": PREFIX + word.name,
                "value": self._shown(word),
                "default": word.default,
                "source": self.sources.get(word.name, "default"),
                "help": word.help,
            }
            for word in WORDS
        ]

    def _shown(self, word: SettingWord) -> str:
        value = getattr(self, word.name.lower())
        if word.name.endswith("DATABASE_URL"):
            return make_url(value).render_as_string(hide_password=True) if value else ""
        if word.secret:
            return "***" if value else ""
        if isinstance(value, bool):
            return "on" if value else "off"
        return ",".join(value) if isinstance(value, tuple) else str(value)
