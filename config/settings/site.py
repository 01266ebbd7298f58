"""The site: its keys and addresses, its apps, middleware and templates."""

from __future__ import annotations

from config.env import encryption_keys, origins, secret_key, serves_loopback_only, stack_url
from config.settings.environment import BASE_DIR, VAR_DIR, env

DEBUG = env.bool("DEBUG", False)
SECRET_KEY = secret_key(env, VAR_DIR)
ENCRYPTION_KEYS = encryption_keys(env)  # for secrets in the database, newest first; empty: SECRET_KEY
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
# Full origins (scheme, host, port) that may open a socket or post a form. `manage.py up` adds its own.
ALLOWED_ORIGINS: list[str] = origins(env)
CSRF_TRUSTED_ORIGINS = ALLOWED_ORIGINS
LOCAL_URL: str = stack_url(VAR_DIR, "url")  # of what `manage.py up` runs on this machine, or empty
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
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "csp",
    "accounts",
    "chat",
    "workers",
    "config",
    "import_export",  # last: our commands take the place of its own
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "config.web.compression.CompressionMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "config.web.language.LanguageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "config.web.outage.OutageMiddleware",
    "config.web.privacy_headers.PrivacyMiddleware",
    "config.web.permission_log.RefusalMiddleware",
    "config.web.methods.MethodMiddleware",
    "accounts.auth.maintenance.MaintenanceMiddleware",
    "config.web.rates.RateMiddleware",
    "accounts.auth.terms.TermsMiddleware",
    "accounts.auth.second_factor.middleware.SecondFactorMiddleware",
    "accounts.view_as.ViewAsMiddleware",  # last: what it answers passes all others first
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
                "accounts.site.branding",
            ]
        },
    }
]
