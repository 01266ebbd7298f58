"""Celery, beat, the workers, and how long runs and sockets may hang.

Jobs carry only ids. Leases and attempts in PostgreSQL decide who runs them; a delivered job is only a notification.
"""

from __future__ import annotations

from typing import Any

from environs import validate

from config.env import at_least, broker_options, broker_url
from config.settings.environment import env
from config.settings.stores import REDIS_URL

OWN_BROKER_URL = broker_url(REDIS_URL)
CELERY_BROKER_URL: str = env.str("CELERY_BROKER_URL", "") or OWN_BROKER_URL
CELERY_TASK_SERIALIZER = CELERY_EVENT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = False  # with `acks_late`, a job that kills its worker would return for ever
CELERY_TASK_DEFAULT_QUEUE = "maintenance"
# Of queues that are made on RabbitMQ: quorum queues are replicated over its nodes. Redis has no such kinds.
CELERY_TASK_DEFAULT_QUEUE_TYPE = CELERY_TASK_CREATE_MISSING_QUEUE_TYPE = env.str(
    "BROKER_QUEUE_TYPE", "classic", validate=validate.OneOf(["classic", "quorum"])
)
CELERY_TASK_PUBLISH_RETRY = False  # publishing fails at once; the sweeper publishes the queued row again
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# After a lost connection Celery would take fewer jobs at a time, and raise their number from the threads whose jobs
# end. With RabbitMQ the worker then took no job any more.
CELERY_WORKER_ENABLE_PREFETCH_COUNT_REDUCTION = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False  # a stream survives a short outage of Redis
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False  # it uses pub/sub, which may be lost; a stop is a column of the run
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker waits for the broker without a limit ...
CELERY_WORKER_CONSUMER = "workers.runtime.consumer:Consumer"  # ... and connects within 2 s of its return
CELERY_BROKER_CHANNEL_ERROR_RETRY = True  # RabbitMQ closes the channel of a full worker that does not acknowledge a job
CELERY_BROKER_CONNECTION_TIMEOUT = 5
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
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
    "mail-mentions": {"task": "workers.tasks.mail_mentions", "schedule": 60.0},
    "send-webhooks": {"task": "workers.tasks.send_webhooks", "schedule": 15.0},
    "publish-transfers": {"task": "workers.maintenance.publish_transfers", "schedule": 60.0},
    "check-budgets": {"task": "workers.maintenance.check_budgets", "schedule": 900.0},
    "seal-audit": {"task": "workers.maintenance.seal_audit", "schedule": 60.0},
    "release-stale-claims": {"task": "workers.maintenance.release_stale_claims", "schedule": 300.0},
}
# Kinds of jobs (chat.jobs.queues), and the queue of each in the broker: two have the names that they had before there
# were kinds, so that the version before and this one share them during a rolling update.
WORKER_QUEUES = {
    "answers": "generate", "speech": "transcribe", "tools": "tools", "files": "files", "moderation": "moderation",
    "maintenance": "maintenance",
}  # fmt: skip
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
