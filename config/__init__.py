"""The site: settings, web process, commands, and what `manage.py up` runs."""

from config.celery import app as celery_app

__all__ = ("celery_app",)
