"""All settings. Values come from the environment and `.env`.

An invalid value stops the program with a message that names the variable (see `config.env`).
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from csp.constants import NONCE, NONE, SELF
from django.templatetags.static import static
from environs import Env, validate

from config.env import (
    RATE_PATTERN,
    at_least,
    broker_options,
    broker_url,
    count_or_off,
    database_from_url,
    encryption_keys,
    http_url,
    origins,
    redis_from_url,
    secret_key,
    serves_loopback_only,
    sign_up,
    stack_url,
)

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(os.environ.get("ANTIPHON_VAR") or BASE_DIR / "var")

env = Env()
env.read_env(os.environ.get("ANTIPHON_ENV_FILE", str(BASE_DIR / ".env")), recurse=False)

# --- the basics ------------------------------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", False)
SECRET_KEY = secret_key(env, VAR_DIR)
ENCRYPTION_KEYS = encryption_keys(env)  # for secrets in the database, newest first; empty: SECRET_KEY
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
# Full origins (scheme, host, port) that may open a socket or post a form. `manage.py up` adds its own.
ALLOWED_ORIGINS: list[str] = origins(env)
CSRF_TRUSTED_ORIGINS = ALLOWED_ORIGINS
LOOPBACK_ONLY: bool = serves_loopback_only(ALLOWED_HOSTS, ALLOWED_ORIGINS)
SITE_NAME = "Antiphon"

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.import_export",
    "accounts.staff.apps.StaffConfig",  # django.contrib.admin
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "allauth",
    "allauth.account",
    "import_export",
    "csp",
    "accounts",
    "chat",
    "workers",
    "config",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "config.web.outage.OutageMiddleware",
    "config.web.privacy.PrivacyMiddleware",
    "config.web.refusals.RefusalMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ]
        },
    }
]

# --- PostgreSQL and Redis --------------------------------------------------------------------------------------------
# Empty: the private servers of `manage.py up`, whose addresses are stored in var/.
DATABASE_URL: str = env.str("DATABASE_URL", "") or stack_url(VAR_DIR, "database_url")
REDIS_URL: str = redis_from_url(env.str("REDIS_URL", "") or stack_url(VAR_DIR, "redis_url"))
DATABASE_POOL = env.int("DATABASE_POOL", 8, validate=at_least(1))  # maximum connections per process
DATABASES: dict[str, Any] = {"default": database_from_url(DATABASE_URL, pool=DATABASE_POOL)}

CHANNEL_LAYERS = {"default": {"BACKEND": "chat.channel_layer.StreamingChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache-msgpack",  # changes with the serializer, so that no value of another one is ever read
        "OPTIONS": {"serializer": "accounts.lib.cache_serializer.MessagePackSerializer"},
    }
}

# --- Celery ----------------------------------------------------------------------------------------------------------
# Jobs carry only ids. Leases and attempts in PostgreSQL decide who runs them; a delivered job is only a notification.
CELERY_BROKER_URL: str = env.str("CELERY_BROKER_URL", "") or broker_url(REDIS_URL)
CELERY_TASK_SERIALIZER = CELERY_EVENT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = False  # with `acks_late`, a job that kills its worker would return for ever
CELERY_TASK_DEFAULT_QUEUE = "maintenance"
CELERY_TASK_PUBLISH_RETRY = False  # publishing fails at once; the sweeper publishes the queued row again
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False  # a stream survives a short outage of Redis
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False  # it uses pub/sub, which may be lost; a stop is a column of the run
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker waits for Redis without a limit
CELERY_BROKER_CONNECTION_TIMEOUT = 5
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
    # Seconds until an unacknowledged job is delivered again: longer than the longest recording or run.
    "visibility_timeout": env.int("VISIBILITY_TIMEOUT", 3600, validate=at_least(60)),
    # Without these, publishing can block for ever on a dead connection, and a worker can silently stop consuming.
    "socket_timeout": 5,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "retry_on_timeout": True,
    "priority_steps": [0],  # one list per queue, not four
    # The lease in PostgreSQL says which worker owns a run, and the sweeper publishes lost jobs again (chat.recovery).
    # kombu's bookkeeping of jobs in progress would cost a third of a worker's time per answer, and deliver twice.
    "ack_emulation": False,
} | broker_options(CELERY_BROKER_URL)
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "purge": {"task": "workers.maintenance.purge", "schedule": 3600.0},
}
PURGE_SECONDS = env.float("PURGE_SECONDS", 600.0, validate=at_least(1))  # maximum seconds of one clean-up
KEEP_DELETED_DAYS = env.int("KEEP_DELETED_DAYS", 30, validate=at_least(0))  # how long a deletion can be undone
TEMPORARY_HOURS = env.int("TEMPORARY_HOURS", 24, validate=at_least(1))  # after a temporary chat's last message
KEEP_SUBMISSION_DAYS = env.int("KEEP_SUBMISSION_DAYS", 7, validate=at_least(1))  # how long idempotency records are kept
KEEP_RECORDING_DAYS = env.int("KEEP_RECORDING_DAYS", 30, validate=at_least(1))  # transcripts
WORKER_QUEUES = ("generate", "transcribe", "maintenance")
WORKER_THREADS = env.int("WORKER_THREADS", 8, validate=at_least(1))  # jobs started at once
WORKER_STREAMS = env.int("WORKER_STREAMS", 500, validate=at_least(1))  # answers in progress per worker process
WORKER_DRAIN_SECONDS = env.float(
    "WORKER_DRAIN_SECONDS", 8.0, validate=at_least(0)
)  # seconds answers may still finish at shutdown
RUN_LEASE_SECONDS = env.float("RUN_LEASE_SECONDS", 7.0, validate=at_least(3))  # without renewal
# Unwatched answers: continue (and are there when somebody returns), or stop after a grace period.
UNWATCHED_RUNS: str = env.str("UNWATCHED_RUNS", "continue", validate=validate.OneOf(["continue", "stop"]))
UNWATCHED_GRACE_SECONDS = env.float("UNWATCHED_GRACE_SECONDS", 60.0, validate=at_least(1))
WORKER_STUCK_SECONDS = env.float(
    "WORKER_STUCK_SECONDS", 30.0, validate=at_least(5)
)  # a worker that takes no jobs from a non-empty queue exits after
PROCESS_STUCK_SECONDS = env.float(
    "PROCESS_STUCK_SECONDS", 30.0, validate=at_least(2)
)  # `manage.py up` restarts a process whose event loop is stuck for so long
SOCKET_SLOW_SECONDS = env.float("SOCKET_SLOW_SECONDS", 30.0, validate=at_least(1))  # without an ack
SOCKET_IDLE_SECONDS = env.float("SOCKET_IDLE_SECONDS", 3600.0, validate=at_least(1))  # an unused socket is closed after

# --- limits (docs/limits.md) -----------------------------------------------------------------------------------------
# "30/m": a burst of 30, then one every 2 s. Units: s, m, h, d, optionally with a number before. "off" or "0" means no
# limit, also for connections and runs. While Redis is unavailable only the limit of runs applies.
_a_rate = validate.Regexp(RATE_PATTERN, error="Not a rate such as 30/m, 120/10s or off.")
RATE_FRAMES: str = env.str("RATE_FRAMES", "200/s", validate=_a_rate)  # per socket, including audio and acks
RATE_REFUSALS: str = env.str("RATE_REFUSALS", "50/10s", validate=_a_rate)  # refusals until a socket is closed
RATE_COMMANDS: str = env.str("RATE_COMMANDS", "120/10s", validate=_a_rate)  # per session, across its tabs
RATE_MESSAGES_PER_USER: str = env.str("RATE_MESSAGES_PER_USER", "30/m", validate=_a_rate)  # with edits
RATE_MESSAGES_PER_ADDRESS: str = env.str("RATE_MESSAGES_PER_ADDRESS", "240/m", validate=_a_rate)
RATE_RECORDINGS: str = env.str("RATE_RECORDINGS", "30/m", validate=_a_rate)  # started by one user
RATE_HTTP_COMMANDS: str = env.str("RATE_HTTP_COMMANDS", "60/m", validate=_a_rate)  # per user: rename, pin, delete …
RATE_TICKETS: str = env.str("RATE_TICKETS", "60/m", validate=_a_rate)  # per user; each socket needs one
RATE_CONNECTIONS_PER_USER = count_or_off(env, "RATE_CONNECTIONS_PER_USER", 20)  # at once
RATE_CONNECTIONS_PER_ADDRESS = count_or_off(env, "RATE_CONNECTIONS_PER_ADDRESS", 60)
RATE_RUNS_PER_USER = count_or_off(env, "RATE_RUNS_PER_USER", 8)  # answers in progress or queued
# Reserved for an answer in progress from quotas of tokens and money, until its usage is known.
QUOTA_INPUT_TOKENS = env.int("QUOTA_INPUT_TOKENS", 1000, validate=at_least(1))
QUOTA_OUTPUT_TOKENS = env.int("QUOTA_OUTPUT_TOKENS", 1000, validate=at_least(1))
CURRENCY: str = env.str("CURRENCY", "USD", validate=validate.Regexp(r"[A-Z]{3}\Z", error="Not a code such as USD."))

TIMING_STAMPS = env.bool("TIMING_STAMPS", False)  # `make bench`: reports each hop of a first token in run.done

# --- the model -------------------------------------------------------------------------------------------------------
OPENAI_BASE_URL: str = env.str("OPENAI_BASE_URL", "").strip()
OPENAI_API_KEY: str = env.str("OPENAI_API_KEY", "")
CHAT_MODELS: list[str] = [name for name in env.list("CHAT_MODELS", [], subcast=str) if name]
# The fallback while the endpoint above is down; its model replaces whichever was chosen.
OPENAI_FALLBACK_BASE_URL: str = env.str("OPENAI_FALLBACK_BASE_URL", "").strip()
OPENAI_FALLBACK_API_KEY: str = env.str("OPENAI_FALLBACK_API_KEY", "")
OPENAI_FALLBACK_MODEL: str = env.str("OPENAI_FALLBACK_MODEL", "")
OLLAMA_URL: str = env.str("OLLAMA_URL", "http://127.0.0.1:11434").strip()
MODEL_CONNECT_TIMEOUT = env.float("MODEL_CONNECT_TIMEOUT", 5.0)  # seconds, like the next three
MODEL_FIRST_CHUNK_TIMEOUT = env.float("MODEL_FIRST_CHUNK_TIMEOUT", 600.0)
MODEL_IDLE_TIMEOUT = env.float("MODEL_IDLE_TIMEOUT", 120.0)
MODEL_TOTAL_TIMEOUT = env.float("MODEL_TOTAL_TIMEOUT", 3600.0)
MODEL_RETRY_SECONDS = env.float(
    "MODEL_RETRY_SECONDS", 10.0, validate=at_least(1)
)  # seconds until an endpoint that is down is tried again
ANSWER_MAX_CHARS = env.int("ANSWER_MAX_CHARS", 200_000, validate=at_least(1))  # then an answer is stopped
MODEL_CONTEXT_TOKENS = env.int("MODEL_CONTEXT_TOKENS", 32_000)
DEMO_TOKENS_PER_SECOND = env.float("DEMO_TOKENS_PER_SECOND", 32.0)  # speed of the demo model
SYSTEM_PROMPT: str = env.str("SYSTEM_PROMPT", "You are a helpful assistant. Answer in Markdown.")

# --- speech ----------------------------------------------------------------------------------------------------------
# Recognisers in order of preference: pocketsphinx, deepgram, assemblyai, openai_realtime, openai_http, whisper.
# Empty turns voice input off. pocketsphinx is the default where its optional package is installed. See docs/voice.md.
_ASR_INSTALLED = ["pocketsphinx"] if find_spec("pocketsphinx") else []
ASR_BACKENDS: list[str] = [name for name in env.list("ASR_BACKENDS", _ASR_INSTALLED, subcast=str) if name]
ASR_LANGUAGE: str = env.str("ASR_LANGUAGE", "en")
ASR_SILENCE_MS = env.int("ASR_SILENCE_MS", 500, validate=at_least(200))  # silence that ends an utterance
ASR_SPEAKERS = env.int("ASR_SPEAKERS", 0, validate=at_least(0))  # per worker for pocketsphinx; 0: 2 per core
POCKETSPHINX_GRAMMAR: str = env.str("POCKETSPHINX_GRAMMAR", "")  # a JSGF file: only its sentences are recognised
DEEPGRAM_API_KEY: str = env.str("DEEPGRAM_API_KEY", "")
DEEPGRAM_URL: str = env.str("DEEPGRAM_URL", "wss://api.deepgram.com")
DEEPGRAM_MODEL: str = env.str("DEEPGRAM_MODEL", "nova-3")
ASSEMBLYAI_API_KEY: str = env.str("ASSEMBLYAI_API_KEY", "")
ASSEMBLYAI_URL: str = env.str("ASSEMBLYAI_URL", "wss://streaming.assemblyai.com")
ASSEMBLYAI_MODEL: str = env.str("ASSEMBLYAI_MODEL", "universal-streaming-english")
# The two OpenAI backends use OPENAI_API_KEY if they have no key of their own.
OPENAI_REALTIME_API_KEY: str = env.str("OPENAI_REALTIME_API_KEY", "")
OPENAI_REALTIME_URL: str = env.str("OPENAI_REALTIME_URL", "wss://api.openai.com/v1/realtime")
OPENAI_REALTIME_MODEL: str = env.str("OPENAI_REALTIME_MODEL", "gpt-live-transcribe")
OPENAI_REALTIME_FORM: str = env.str("OPENAI_REALTIME_FORM", "ga", validate=validate.OneOf(["ga", "beta"]))
OPENAI_REALTIME_VAD: str = env.str("OPENAI_REALTIME_VAD", "auto", validate=validate.OneOf(["auto", "client", "server"]))
OPENAI_REALTIME_MODEL_IN_URL = env.bool("OPENAI_REALTIME_MODEL_IN_URL", False)
TRANSCRIPTION_API_KEY: str = env.str("TRANSCRIPTION_API_KEY", "")
TRANSCRIPTION_URL: str = env.str("TRANSCRIPTION_URL", "https://api.openai.com/v1")
TRANSCRIPTION_MODEL: str = env.str("TRANSCRIPTION_MODEL", "gpt-transcribe")
TRANSCRIPTION_PARTIALS = env.bool("TRANSCRIPTION_PARTIALS", True)  # send the growing utterance every second
WHISPER_MODEL_DIR: str = env.str("WHISPER_MODEL_DIR", "")
WHISPER_DEVICE: str = env.str("WHISPER_DEVICE", "auto")
WHISPER_COMPUTE_TYPE: str = env.str("WHISPER_COMPUTE_TYPE", "default")
RECORDINGS_PER_USER = count_or_off(env, "RECORDINGS_PER_USER", 1)  # at once
RECORDINGS_AT_ONCE = env.int("RECORDINGS_AT_ONCE", 2 * (os.cpu_count() or 1), validate=at_least(1))  # on the server
RECORDINGS_PER_ADDRESS = count_or_off(env, "RECORDINGS_PER_ADDRESS", max(1, RECORDINGS_AT_ONCE // 2))  # at once
RECORDING_SECONDS = env.int("RECORDING_SECONDS", 600, validate=at_least(1))  # maximum length of one recording

# --- accounts --------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
# open: anybody; approval: anybody asks, staff approve; invitation: invited addresses only. The default is open where
# only this machine is served, else invitation.
SIGN_UP: str = sign_up(env, loopback_only=LOOPBACK_ONLY)
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
_VALIDATION = "django.contrib.auth.password_validation."
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": _VALIDATION + "MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": _VALIDATION + "CommonPasswordValidator"},
    {"NAME": _VALIDATION + "NumericPasswordValidator"},
    {"NAME": _VALIDATION + "UserAttributeSimilarityValidator", "OPTIONS": {"user_attributes": ("email", "name")}},
    {"NAME": "accounts.auth.passwords.RepetitionValidator"},
    {"NAME": "accounts.auth.passwords.GuessableWordValidator"},
]
SESSION_ENGINE = "accounts.auth.sessions"  # sessions are rows with a user; their sockets close with them
# A session ends so long after the log-in, and so long after the last request or the last sign of an open page.
SESSION_COOKIE_AGE = env.int("SESSION_DAYS", 14, validate=at_least(1)) * 24 * 3600
SESSION_IDLE_HOURS = env.float("SESSION_IDLE_HOURS", 72.0, validate=at_least(0.25))
SESSION_STAFF_HOURS = env.float("SESSION_STAFF_HOURS", 12.0, validate=at_least(0.25))
SESSION_STAFF_IDLE_MINUTES = env.float("SESSION_STAFF_IDLE_MINUTES", 60.0, validate=at_least(10))
PASSWORD_RESET_TIMEOUT = 24 * 3600  # seconds that a link to choose a new password is valid
ACCOUNT_ADAPTER = "accounts.auth.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
# none: logged in at once; optional: logged in at once, with a confirmation email; mandatory: logged in after following
# the link in the email. Only with mandatory does the sign-up page not reveal whether an address has an account.
ACCOUNT_EMAIL_VERIFICATION = env.str(
    "EMAIL_VERIFICATION", "none", validate=validate.OneOf(["none", "optional", "mandatory"])
)
ACCOUNT_CHANGE_EMAIL = True  # one address per user; a new one replaces it once it is confirmed
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ERASE_GRACE_DAYS = env.int("ERASE_GRACE_DAYS", 7, validate=at_least(0))  # how long an erasure can be cancelled
INVITATION_DAYS = env.int("INVITATION_DAYS", 7, validate=at_least(1))  # how long an invitation link is valid
RATE_INVITATIONS: str = env.str("RATE_INVITATIONS", "60/h", validate=_a_rate)  # sent by one staff member
# Log-in attempts from one IP address, failed or not: number/time/ip.
LOGIN_RATE: str = env.str("LOGIN_RATE", "30/m/ip", validate=validate.Regexp(r"(off|0|[1-9]\d*/\d*[smhd]/ip)\Z"))
# allauth counts in the cache. Failed log-ins count per email address and network (accounts.auth.adapter).
ACCOUNT_RATE_LIMITS = {"login": None if LOGIN_RATE in ("off", "0") else LOGIN_RATE, "login_failed": "10/m/ip,5/15m/key"}
# Proxies in front that set X-Forwarded-For.
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXIES", 0, validate=at_least(0))

# Without a mail server no email is sent: the terminal and logs are no place for links that log somebody in.
EMAIL_HOST: str = env.str("EMAIL_HOST", "")
EMAIL_PORT = env.int("EMAIL_PORT", 587)
EMAIL_HOST_USER: str = env.str("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD: str = env.str("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", EMAIL_PORT == 587)
EMAIL_USE_SSL = env.bool("EMAIL_USE_SSL", EMAIL_PORT == 465)
EMAIL_TIMEOUT = 10
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'dummy'}.EmailBackend"
DEFAULT_FROM_EMAIL: str = env.str("EMAIL_FROM", f"{SITE_NAME} <noreply@localhost>")
ACCOUNT_EMAIL_SUBJECT_PREFIX = f"[{SITE_NAME}] "
ACCOUNT_EMAIL_NOTIFICATIONS = bool(EMAIL_HOST)

# Everything over https, behind a proxy that terminates TLS and sets X-Forwarded-Proto.
# `manage.py up` on a loopback address turns it off.
HTTPS = env.bool("HTTPS", True)
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^metrics$"]  # requested by machines on the same network
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
    # Subdomains and browsers' preload lists are the domain owner's decision, not that of one of its sites.
    SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

# --- running ---------------------------------------------------------------------------------------------------------
# On SIGTERM a web process closes its sockets over this many seconds, so that clients do not all reconnect at once.
DRAIN_SECONDS = env.float("DRAIN_SECONDS", 10.0, validate=at_least(0))
# Prometheus: /metrics of a web process answers the same machine, or requests with the token. Workers, and web processes
# that share a port, need a port of their own: unset means none, 0 a free one (which is logged).
METRICS = env.bool("METRICS", True)  # off: no page and no histograms; plain counters continue
METRICS_TOKEN: str = env.str("METRICS_TOKEN", "")
METRICS_HOST: str = env.str("METRICS_HOST", "127.0.0.1")
WEB_METRICS_PORT: int | None = env.int("WEB_METRICS_PORT", None)
WORKER_METRICS_PORT: int | None = env.int("WORKER_METRICS_PORT", None)
# OpenTelemetry: traces go to this collector over OTLP/HTTP; empty is none. OTEL_TRACES_SAMPLER and the other standard
# variables apply too (config.observability.tracing). Needs the packages of requirements-otel.txt.
TRACES_ENDPOINT: str = http_url(env, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or http_url(
    env, "OTEL_EXPORTER_OTLP_ENDPOINT"
)
LOGGING_CONFIG = "config.observability.logging.configure"
LOGGING = {
    "level": env.str("LOG_LEVEL", "INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])),
    "format": env.str("LOG_FORMAT", "auto", validate=validate.OneOf(["auto", "human", "json"])),
}

# --- staff -----------------------------------------------------------------------------------------------------------
UNFOLD: dict[str, Any] = {
    "SITE_TITLE": SITE_NAME,
    "SITE_HEADER": SITE_NAME,
    "SITE_SYMBOL": "forum",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("chat/img/mark.svg")},
    ],
    "STYLES": [lambda _request: static("chat/css/staff.css")],
    "DASHBOARD_CALLBACK": "chat.dashboard.home.add_dashboard",
    "SIDEBAR": {"show_search": True, "navigation": "config.staff.navigation.build_sidebar"},
    "COLORS": {  # the pages' accent, from light to dark: OKLCH lightness and chroma at one hue
        "primary": {
            "50": "oklch(97% .012 272)",
            "100": "oklch(94% .027 272)",
            "200": "oklch(88% .055 272)",
            "300": "oklch(80% .090 272)",
            "400": "oklch(70% .125 272)",
            "500": "oklch(58% .145 272)",
            "600": "oklch(46% .140 272)",
            "700": "oklch(40% .120 272)",
            "800": "oklch(34% .095 272)",
            "900": "oklch(28% .070 272)",
            "950": "oklch(21% .045 272)",
        }
    },
}

# --- pages -----------------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
# File names contain a hash of the content, so browsers can cache them for ever. Tests serve the original files.
STATIC_VERSIONED = env.bool("STATIC_VERSIONED", True)
_STATICFILES = (
    "servestatic.storage.CompressedManifestStaticFilesStorage"
    if STATIC_VERSIONED
    else "django.contrib.staticfiles.storage.StaticFilesStorage"
)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": VAR_DIR / "media"}},
    "staticfiles": {"BACKEND": _STATICFILES},
}
FILE_UPLOAD_PERMISSIONS, FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o600, 0o700  # recordings, and what prepare collects
SERVESTATIC_USE_FINDERS = not STATIC_VERSIONED
SERVESTATIC_ALLOW_ALL_ORIGINS = False
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]  # others once their catalogues are complete
TIME_ZONE = "UTC"
USE_TZ = True
X_FRAME_OPTIONS = "DENY"
# Pages use the microphone and the clipboard, and nothing else of what browsers ask permission for.
PERMISSIONS_POLICY: dict[str, list[str]] = {
    "microphone": ["self"],
    "clipboard-write": ["self"],
    **{
        name: []
        for name in (
            "accelerometer",
            "browsing-topics",
            "camera",
            "clipboard-read",
            "display-capture",
            "encrypted-media",
            "geolocation",
            "gyroscope",
            "hid",
            "idle-detection",
            "local-fonts",
            "magnetometer",
            "midi",
            "payment",
            "publickey-credentials-create",
            "publickey-credentials-get",
            "screen-wake-lock",
            "serial",
            "usb",
            "xr-spatial-tracking",
        )
    },
}
RATE_CSP_REPORTS: str = env.str("RATE_CSP_REPORTS", "30/m", validate=_a_rate)  # logged by one web process
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:", "blob:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "report-uri": ["/csp-report/"],
    }
}
