"""The endpoint every team writes first: the model streamed through the OpenAI client, in the web process.

uvicorn tests.bench.baseline_fastapi:app        with OPENAI_BASE_URL and OPENAI_API_KEY set
"""

from __future__ import annotations

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from openai import AsyncOpenAI

app = FastAPI()
client = AsyncOpenAI()


@app.websocket("/ws")
async def chat(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            asked = await socket.receive_json()
            stream = await client.chat.completions.create(
                model=asked["model"], messages=[{"role": "user", "content": asked["text"]}], stream=True
            )
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    await socket.send_json({"text": chunk.choices[0].delta.content})
            await socket.send_json({"done": True})
    except WebSocketDisconnect:
        pass
