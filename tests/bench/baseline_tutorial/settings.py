"""The least that Channels and Celery ask for."""

import os

SECRET_KEY = "bench"
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["daphne", "channels"]
ROOT_URLCONF = "tests.bench.baseline_tutorial.asgi"
ASGI_APPLICATION = "tests.bench.baseline_tutorial.asgi.application"
USE_TZ = True
REDIS_URL = os.environ["REDIS_URL"]
CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}}
