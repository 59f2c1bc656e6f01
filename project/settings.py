"""Settings of the reference deployment; every value that differs between machines comes from the environment."""

from pathlib import Path
from typing import Any

import environ
from corsheaders.defaults import default_headers
from kombu import Queue

import runs
from project.pooled import PooledConnection

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# `make up` leaves the addresses of the servers it started here, so that every manage.py command finds them.
RUNYARD_HOME = Path(env.str("RUNYARD_HOME", default=str(BASE_DIR / ".runyard"))).expanduser()
env.read_env(str(RUNYARD_HOME / "env"))

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "unfold",  # before the admin, whose templates it replaces
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "runs",
]
MIDDLEWARE = [
    "runs.api.request_id.RequestIdMiddleware",
    "project.middleware.Cors",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "project.middleware.Messages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "runs.admin.policy.ConsolePolicy",
]
ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"
APPEND_SLASH = False  # a redirect would drop the body of a POST
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Pages of other origins may call the API with a key. Cookies are never asked for: a session is for this origin only.
_origins = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_ALLOW_ALL_ORIGINS = _origins == ["*"]
CORS_ALLOWED_ORIGINS = [] if CORS_ALLOW_ALL_ORIGINS else _origins
CORS_URLS_REGEX = r"^/(assistants|threads|runs|ok|info|openapi\.json)(/|$)"
CORS_ALLOW_HEADERS = [*default_headers, "x-api-key", "last-event-id", "idempotency-key", "prefer", "x-request-id"]
# SDKs read from these which run was created, and where to go on after a cut.
CORS_EXPOSE_HEADERS = ["content-location", "location", "x-pagination-total", "x-pagination-next"]
CORS_EXPOSE_HEADERS += ["x-request-id", "idempotency-replayed", "retry-after"]

DATABASES = {"default": env.db("DATABASE_URL")}
DATABASES["default"]["CONN_MAX_AGE"] = 0
# A server that has gone without a word is noticed within seconds; libpq leaves these out on a Unix socket.
DATABASES["default"]["OPTIONS"] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds that sent data may stay unacknowledged
    **DATABASES["default"].get("OPTIONS", {}),
}
if pool_size := env.int("DATABASE_POOL_SIZE", default=0):
    # Web processes only: sync views run in a thread per request, and without a pool each opens its own connection.
    # The pool doubles its pauses between attempts to connect until `reconnect_timeout`, and then tries at the next
    # request: with its default it may stay away for minutes after a database that is back.
    _pool = {
        "min_size": 1,
        "max_size": pool_size,
        "timeout": 10,
        "reconnect_timeout": 5,
        "connection_class": PooledConnection,
    }
    DATABASES["default"]["OPTIONS"]["pool"] = _pool
    # After a restart of the database every pooled connection is dead, and each would cost a caller a 503.
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL")
# One handler for all: every line says to which request, thread, run and attempt it belongs.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"context": {"()": "runs.logcontext.ContextFilter"}},
    "formatters": {
        "text": {"()": "runs.logcontext.TextFormatter"},
        "json": {"()": "runs.logcontext.JsonFormatter"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "filters": ["context"],
            "formatter": env.str("RUNYARD_LOG_FORMAT", default="text"),
        }
    },
    "root": {"handlers": ["stderr"], "level": env.str("RUNYARD_LOG_LEVEL", default="INFO")},
    "loggers": {
        "django": {"handlers": [], "level": "ERROR"},  # refusals are no errors
        # The server brings handlers of its own, which know no context.
        **{name: {"handlers": [], "propagate": True} for name in ("uvicorn", "uvicorn.access", "uvicorn.error")},
        **{name: {"level": "WARNING"} for name in ("httpx", "httpx2", "psycopg.pool")},
    },
}
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
STATIC_URL = "static/"
# An image collects its static files when it is built; elsewhere they are served from where the packages keep them.
STATIC_ROOT = env.str("STATIC_ROOT", default=None)
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
WHITENOISE_AUTOREFRESH = False

# Behind a proxy that terminates TLS and sets X-Forwarded-Proto.
if env.bool("BEHIND_HTTPS", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_REDIRECT_EXEMPT = [r"^(ok|health/(live|ready)|metrics)$"]  # health checks come from inside, without TLS
    SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True

RUNS: dict[str, Any] = {
    "ASSISTANTS": {
        "digest": "examples.digest:digest",
        "keywords": "examples.keywords:keywords",
        "passages": "examples.passages:passages",
    },
    "MAX_RUN_SECONDS": env.float("RUNYARD_MAX_RUN_SECONDS", default=3600.0),
    "STATE_DIR": env.str("RUNYARD_STATE_DIR", default=str(RUNYARD_HOME / "state")),
    "METRICS_TOKEN": env.str("RUNYARD_METRICS_TOKEN", default=""),
    "METRICS_PORT": env.int("RUNYARD_METRICS_PORT", default=0),
    "METRICS_ADDRESS": env.str("RUNYARD_METRICS_ADDRESS", default="127.0.0.1"),
    "ENVIRONMENT": env.str("RUNYARD_ENVIRONMENT", default=""),
    "FLOWER_URL": env.str("RUNYARD_FLOWER_URL", default=""),
    "TRACE_URL": env.str("RUNYARD_TRACE_URL", default=""),
    "LOG_URL": env.str("RUNYARD_LOG_URL", default=""),
    # Everything else there is, as a JSON object; see runs/conf.py.
    **env.json("RUNYARD_RUNS_SETTINGS", default={}),
}

# The operators' console. What depends on the visitor or on other settings is in runs/admin/site.py.
UNFOLD = {
    "SITE_TITLE": "Runyard",
    "SITE_HEADER": "Runyard",
    "SITE_SUBHEADER": "Operators' console",
    "SITE_SYMBOL": "deployed_code",
    "SITE_URL": None,
    "SHOW_VIEW_ON_SITE": False,
    "SCRIPTS": ["runs.admin.site.palette_script"],
    "ENVIRONMENT": "runs.admin.site.environment",
    "DASHBOARD_CALLBACK": "runs.admin.dashboard.dashboard",
    "COMMAND": {"search_callback": "runs.admin.jump.jump"},
    "SIDEBAR": {"command_search": True, "navigation": "runs.admin.site.navigation"},
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "runs.api.authentication.ApiKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "runs.api.schema.ApiSchema",
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS is not part of the API
    "EXCEPTION_HANDLER": "runs.api.errors.handle",
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Runyard",
    "DESCRIPTION": "Threads, runs and assistants: LangGraph's API, with members and options of its own.",
    "VERSION": runs.__version__,
    "OAS_VERSION": "3.1.0",
    "COMPONENT_SPLIT_PATCH": False,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],  # the document tells nothing that the source does not
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"persistAuthorization": True},
    "ENUM_NAME_OVERRIDES": {
        "RunStatus": "runs.states.RunStatus",
        "ThreadStatus": "runs.states.ThreadStatus",
        "MultitaskStrategy": "runs.states.MultitaskStrategy",
        "CancelAction": "runs.states.CancelAction",
        "DisconnectMode": "runs.states.DisconnectMode",
        "OnCompletion": "runs.states.OnCompletion",
        "OnCompletionOnThread": [("keep", "keep")],
        "UpOrDown": [("up", "up"), ("down", "down")],
    },
}

# Celery. The queue carries hints; the settings say what happens to a message, never what happens to a run.
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, float] = {}
if CELERY_BROKER_URL.startswith(("redis", "valkey")):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        # Longer than any run; a redelivery before the end of one would be a lost claim, and waste.
        "visibility_timeout": 12 * 3600,
        # A half-open connection is noticed: without these a worker can be deaf for minutes.
        "socket_timeout": 10,
        "socket_connect_timeout": 1,
        "health_check_interval": 5,
    }
CELERY_TASK_PUBLISH_RETRY = False  # a request does not wait for the broker; the scheduler publishes again
CELERY_TASK_DEFAULT_QUEUE = "runs"
if (_fair := RUNS.get("FAIR_QUEUES", 1)) > 1:  # workers take from all of them, in turn; runs.broker names the same
    CELERY_TASK_QUEUES = [Queue(name) for name in ("runs", *(f"runs.{number}" for number in range(1, _fair)))]
CELERY_TASK_ACKS_LATE = True  # with a prefetch of one, no message is parked behind a run that executes
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False  # the lease decides, not the broker's link
CELERY_RESULT_BACKEND = None  # the run's row is the result
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TIME_LIMIT = RUNS["MAX_RUN_SECONDS"] + 120  # a backstop; the keeper ends overdue runs long before
CELERY_TASK_TRACK_STARTED = True  # this and the events are for Flower
CELERY_TASK_SEND_SENT_EVENT = True
CELERY_WORKER_SEND_TASK_EVENTS = True
