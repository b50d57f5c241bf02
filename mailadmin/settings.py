"""Settings. Everything that differs between machines comes from the environment:

`MAILADMIN_DATA`          folder for database, keys, sockets (default: `var/` in the checkout)
`MAILADMIN_ENV`           `local` (default) or `production`
`MAILADMIN_DATABASE_URL`  `postgres://user:password@host/name`; default is SQLite in the data folder
`MAILADMIN_BROKER_URL`    `redis://…` or `rediss://…`; default is the embedded Valkey's socket
`MAILADMIN_PORT`          port of the web server (default 8000)
`MAILADMIN_HOSTS`         comma separated names the console answers to, in production
`MAILADMIN_SECRET_KEY`    Django's signing key; default is a file in the data folder's `keys/`
`MAILADMIN_PUBLIC_URL`    `http://pki.example.com`: the address burnt into certificates, where their
                          revocation list and OCSP are; the pages ask for it, commands take it here
`MAILADMIN_PKCS11_MODULE`, `MAILADMIN_PKCS11_TOKEN`   a token for authorities' keys (`ca.tokens`)
`MAILADMIN_MAIL_URL`      where mail is handed in, see `core.mail_url`; default: no mail is sent
`MAILADMIN_MAIL_FROM`     the sender of mail, such as `Mailadmin <console@example.com>`
`MAILADMIN_CONSOLE_URL`   how people open the console, for links in mail
`MAILADMIN_PUBLIC_URL`    `http://pki.example.com`: the address burnt into certificates, where their
                          revocation list and OCSP are; the pages ask for it, commands take it here
`MAILADMIN_PKCS11_MODULE`, `MAILADMIN_PKCS11_TOKEN`   a token for authorities' keys (`ca.tokens`)
"""

import os
from pathlib import Path

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from core import mail_url, seal

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("MAILADMIN_DATA") or BASE_DIR / "var").resolve()
ENVIRONMENT = os.environ.get("MAILADMIN_ENV", "local")
if ENVIRONMENT not in {"local", "production"}:
    raise ImproperlyConfigured(
        f"MAILADMIN_ENV is {ENVIRONMENT!r}; set it to 'local' or 'production'."
    )
PRODUCTION = ENVIRONMENT == "production"
PORT = int(os.environ.get("MAILADMIN_PORT", "8000"))
PUBLIC_URL = os.environ.get("MAILADMIN_PUBLIC_URL", "")

DEBUG = False
SECRET_KEY = os.environ.get("MAILADMIN_SECRET_KEY") or seal.signing_key(DATA_DIR)
ALLOWED_HOSTS = [name for name in os.environ.get("MAILADMIN_HOSTS", "").split(",") if name]
if PRODUCTION:
    if not ALLOWED_HOSTS:
        raise ImproperlyConfigured(
            "MAILADMIN_ENV=production needs MAILADMIN_HOSTS, the names people open the console by."
        )
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    SECURE_SSL_REDIRECT = True
    # Clients fetch these to check a certificate: plain http, as the certificates say. And a device
    # that is to be told to trust the root cannot check the console's own certificate yet.
    SECURE_REDIRECT_EXEMPT = [r"^pki/", r"^trust/", r"^static/"]
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
else:
    ALLOWED_HOSTS += ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "core",
    "ca",
    "accounts",
    "deploy",
    "mailadmin",
]

MIDDLEWARE = [
    "ca.early.AnswerEarly",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
]

ROOT_URLCONF = "mailadmin.urls"
WSGI_APPLICATION = "mailadmin.wsgi.application"
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
                "django.template.context_processors.i18n",
                "core.access.permissions",
            ],
        },
    },
]


def _database(url: str) -> dict[str, object]:
    """`postgres://user:password@host:port/name`, or SQLite in the data folder when empty.

    SQLite: WAL, immediate transactions and a busy timeout, so that writers queue and do not fail.
    """
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATA_DIR / "db.sqlite3",
            # Opening the file takes 5 ms, more than an OCSP answer and most pages.
            "CONN_MAX_AGE": 60,
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    settings = dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True)
    if settings["ENGINE"] != "django.db.backends.postgresql":
        raise ImproperlyConfigured(
            "MAILADMIN_DATABASE_URL must look like postgres://user:password@host:5432/name."
        )
    return dict(settings)


DATABASES = {"default": _database(os.environ.get("MAILADMIN_DATABASE_URL", ""))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Signing in
AUTH_USER_MODEL = "core.Operator"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "overview"
ACCOUNT_ADAPTER = "core.signin.ClosedAccountAdapter"
ACCOUNT_FORMS = {"login": "mailadmin.signin_forms.LoginForm"}
ACCOUNT_SESSION_REMEMBER = True  # for SESSION_COOKIE_AGE
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,5/5m/key"}
ACCOUNT_REAUTHENTICATION_TIMEOUT = 900
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PRODUCTION
MFA_TOTP_ISSUER = "Mailadmin"
# A phone whose clock is half a minute off, or a code typed as it changes, still gets in.
MFA_TOTP_TOLERANCE = 1
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_NAME = "mailadmin_session"
CSRF_FAILURE_VIEW = "mailadmin.views.csrf_failure"
CSRF_COOKIE_NAME = "mailadmin_csrf"

# Login failures are counted in the cache, which every process and machine must share.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "core_cache",
    }
}

# Mail: the password is in the environment alone
try:
    _mail = mail_url.parse(os.environ.get("MAILADMIN_MAIL_URL", ""))
except ValueError as error:
    raise ImproperlyConfigured(f"MAILADMIN_MAIL_URL is not usable: {error}.") from None
MAIL_CONFIGURED = _mail is not None
DEFAULT_FROM_EMAIL = os.environ.get("MAILADMIN_MAIL_FROM", "")
if _mail is not None:
    if "@" not in DEFAULT_FROM_EMAIL:
        raise ImproperlyConfigured(
            "MAILADMIN_MAIL_URL needs MAILADMIN_MAIL_FROM, the address that mail comes from."
        )
    EMAIL_HOST, EMAIL_PORT = _mail.host, _mail.port
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail.user, _mail.password
    EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.starttls, _mail.tls
EMAIL_TIMEOUT = 20
CONSOLE_URL = os.environ.get("MAILADMIN_CONSOLE_URL", "").rstrip("/") or (
    f"https://{ALLOWED_HOSTS[0].lstrip('.')}" if PRODUCTION else f"http://localhost:{PORT}"
)

# Passwords of mailboxes: a sorted file of SHA-1 sums that `accounts.breached` asks
BREACHED_PASSWORDS = os.environ.get("MAILADMIN_BREACHED_PASSWORDS", "")

# Languages
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hant", _("Traditional Chinese"))]
# Our words before those of the packages: some of theirs are still in English.
LOCALE_PATHS = [BASE_DIR / app / "locale" for app in ("mailadmin", "ca", "accounts", "deploy")]
LANGUAGE_COOKIE_NAME = "mailadmin_language"
USE_TZ = True
TIME_ZONE = "UTC"

# Static files
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "static"
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 3600

# Headers
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024

# Rollouts that one worker process carries out side by side, each in a thread of its own.
HOSTS_AT_ONCE = int(os.environ.get("MAILADMIN_HOSTS_AT_ONCE") or 8)

# Celery: a message only names a row; the row's lease is the only retry.
_valkey_socket = DATA_DIR / "run" / "valkey.sock"
CELERY_BROKER_URL = os.environ.get("MAILADMIN_BROKER_URL") or f"redis+socket://{_valkey_socket}"
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 600
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 30
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# With the broker away a nudge gives up after 0.2 s; kombu's own retries kept every page for 6 s.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 2,
    "socket_timeout": 20,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "work"
CELERY_TIMEZONE = "UTC"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "celery": {"level": "WARNING"},
        "asyncssh": {"level": "WARNING"},
    },
}
