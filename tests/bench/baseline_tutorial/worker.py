"""celery -A tests.bench.baseline_tutorial.worker worker --pool=prefork --concurrency=4"""

from __future__ import annotations

import os

import django
from asgiref.sync import async_to_sync
from celery import Celery
from channels.layers import get_channel_layer
from openai import OpenAI

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.bench.baseline_tutorial.settings")
django.setup()
app = Celery("tutorial", broker=os.environ["BROKER_URL"])
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True


@app.task
def answer(group: str, text: str, model: str) -> None:
    layer = get_channel_layer()
    stream = OpenAI().chat.completions.create(model=model, messages=[{"role": "user", "content": text}], stream=True)
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            async_to_sync(layer.group_send)(group, {"type": "chat.token", "text": chunk.choices[0].delta.content})
    async_to_sync(layer.group_send)(group, {"type": "chat.done"})
