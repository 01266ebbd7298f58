"""All settings, in reading order. Values come from the environment and `.env`; garbage is refused by name.

A variable that is set but cannot be read stops the program with one sentence (see `config.env`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from csp.constants import NONCE, NONE, SELF
from environs import Env

from config.env import database_from_url, origins, secret_key, stack_url

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(os.environ.get("ANTIPHON_VAR") or BASE_DIR / "var")

env = Env()
env.read_env(os.environ.get("ANTIPHON_ENV_FILE", str(BASE_DIR / ".env")), recurse=False)

# --- the basics ---------------------------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", False)
SECRET_KEY = secret_key(env, VAR_DIR)
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
# Full origins (scheme, host, port) that may open a socket or post a form. `manage.py up` adds its own.
ALLOWED_ORIGINS: list[str] = origins(env)
CSRF_TRUSTED_ORIGINS = ALLOWED_ORIGINS
SITE_NAME = "Antiphon"

INSTALLED_APPS = [
    "daphne",
    "unfold",
    "django.contrib.admin",
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
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "allauth.account.middleware.AccountMiddleware",
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

# --- PostgreSQL and Redis -------------------------------------------------------------------------------------------
# Empty means the private servers of `manage.py up`, whose addresses stand in var/.
DATABASE_URL: str = env.str("DATABASE_URL", "") or stack_url(VAR_DIR, "database_url")
REDIS_URL: str = env.str("REDIS_URL", "") or stack_url(VAR_DIR, "redis_url")
DATABASE_POOL = env.int("DATABASE_POOL", 8)  # connections per process at the most
DATABASES: dict[str, Any] = {"default": database_from_url(DATABASE_URL, pool=DATABASE_POOL)}

CHANNEL_LAYERS = {"default": {"BACKEND": "chat.layers.StreamingChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL, "KEY_PREFIX": "cache"}}

# --- Celery -----------------------------------------------------------------------------------------------------------
CELERY_BROKER_URL: str = env.str("CELERY_BROKER_URL", "") or REDIS_URL
WORKER_STREAMS = env.int("WORKER_STREAMS", 500)  # answers in progress per worker process

# --- the model ----------------------------------------------------------------------------------------------------------
OPENAI_BASE_URL: str = env.str("OPENAI_BASE_URL", "")
OPENAI_API_KEY: str = env.str("OPENAI_API_KEY", "")
CHAT_MODELS: list[str] = [name for name in env.list("CHAT_MODELS", [], subcast=str) if name]
OLLAMA_URL: str = env.str("OLLAMA_URL", "http://127.0.0.1:11434")
MODEL_CONNECT_TIMEOUT = env.float("MODEL_CONNECT_TIMEOUT", 5.0)  # seconds, all of these
MODEL_FIRST_CHUNK_TIMEOUT = env.float("MODEL_FIRST_CHUNK_TIMEOUT", 30.0)
MODEL_IDLE_TIMEOUT = env.float("MODEL_IDLE_TIMEOUT", 20.0)
MODEL_TOTAL_TIMEOUT = env.float("MODEL_TOTAL_TIMEOUT", 300.0)
MODEL_CONTEXT_TOKENS = env.int("MODEL_CONTEXT_TOKENS", 32_000)
SYSTEM_PROMPT: str = env.str("SYSTEM_PROMPT", "You are a helpful assistant. Answer in Markdown.")

# --- accounts -------------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
SIGNUP_OPEN = env.bool("SIGNUP_OPEN", True)
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]

# --- pages ------------------------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
X_FRAME_OPTIONS = "DENY"
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
    }
}
