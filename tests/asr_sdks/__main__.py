"""`python -m tests.asr_sdks`: the clients that the vendors publish talk to the scripted servers.

Our clients are tested against servers written here, so both could share a misunderstanding. These clients know what
the vendors meant: every message of ours must pass their models, and they must hear the same sentences.
"""

from __future__ import annotations

import asyncio
import base64
import io
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from assemblyai.streaming.v3 import (
    AsyncRealTimeTranscriber,
    RealTimeEvents,
    RealTimeParameters,
    RealTimeTranscriberOptions,
    SpeechModel,
)
from deepgram import AsyncDeepgramClient
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from openai import AsyncOpenAI
from speechmatics.rt import (
    AsyncClient,
    AudioEncoding,
    AudioFormat,
    ConversationConfig,
    ServerMessageType,
    TranscriptionConfig,
    TranscriptResult,
)

from tests.fakes.asr_assemblyai import FakeAssemblyAI
from tests.fakes.asr_deepgram import FakeDeepgram
from tests.fakes.asr_deepgram_flux import FakeFlux
from tests.fakes.asr_ears import SENTENCES
from tests.fakes.asr_openai import FakeRealtime, FakeTranscriptions
from tests.fakes.asr_speech import as_wav, frames, silence, speak, utterance
from tests.fakes.asr_speechmatics import FakeSpeechmatics
from workers.asr.audio.resample import Upsampler

KEY = "sdk-key"
SPEECH = b"".join(map(utterance, SENTENCES)).ljust(5_200 * 32, b"\0")


async def deepgram() -> list[str]:
    async with FakeDeepgram.run(KEY) as server:
        environment = DeepgramClientEnvironment(base=server.url, production=server.url, agent=server.url, agent_rest="")
        client = AsyncDeepgramClient(api_key=KEY, environment=environment)
        parts: list[str] = []
        heard: list[str] = []
        broken: list[object] = []

        def on_message(message: Any) -> None:
            type(message).model_validate(message.model_dump())  # the client itself does not mind a missing field
            if message.type == "Results" and message.is_final:
                parts.append(message.channel.alternatives[0].transcript)
                if message.speech_final:
                    heard.append(" ".join(filter(None, parts)))
                    parts.clear()

        async with client.listen.v1.connect(
            model="nova-3", encoding="linear16", sample_rate=16000, interim_results=True
        ) as connection:
            connection.on(EventType.MESSAGE, on_message)
            connection.on(EventType.ERROR, broken.append)
            listening = asyncio.create_task(connection.start_listening())
            for chunk in frames(SPEECH, 50):
                await connection.send_media(chunk)
            await connection.send_keep_alive()
            await connection.send_finalize()
            await connection.send_close_stream()
            await listening
        assert not broken, broken
        return heard


async def deepgram_flux() -> list[str]:
    async with FakeFlux.run(KEY) as server:
        environment = DeepgramClientEnvironment(base=server.url, production=server.url, agent=server.url, agent_rest="")
        client = AsyncDeepgramClient(api_key=KEY, environment=environment)
        heard: list[str] = []
        broken: list[object] = []

        def on_message(message: Any) -> None:
            type(message).model_validate(message.model_dump())
            if message.type == "TurnInfo" and message.event == "EndOfTurn":
                heard.append(message.transcript)

        async with client.listen.v2.connect(
            model="flux-general-en", encoding="linear16", sample_rate="16000"
        ) as connection:
            connection.on(EventType.MESSAGE, on_message)
            connection.on(EventType.ERROR, broken.append)
            listening = asyncio.create_task(connection.start_listening())
            for chunk in frames(SPEECH, 50):
                await connection.send_media(chunk)
            await connection.send_close_stream()
            await listening
        assert not broken, broken
        return heard


async def assemblyai() -> list[str]:
    async with FakeAssemblyAI.run(KEY) as server:
        client = AsyncRealTimeTranscriber(RealTimeTranscriberOptions(api_key=KEY, api_host=server.url))
        heard: list[str] = []
        broken: list[object] = []
        kinds: set[str] = set()

        def on_turn(_: Any, turn: Any) -> None:
            if turn.end_of_turn and turn.turn_is_formatted:
                heard.append(turn.transcript)

        client.on(RealTimeEvents.Begin, lambda *_: kinds.add("begin"))
        client.on(RealTimeEvents.Turn, on_turn)
        client.on(RealTimeEvents.Termination, lambda *_: kinds.add("termination"))
        client.on(RealTimeEvents.Error, lambda _, error: broken.append(error))
        await client.connect(
            RealTimeParameters(sample_rate=16000, language_codes=["en"], speech_model=SpeechModel.universal_3_5_pro)
        )
        for chunk in frames(SPEECH, 100):
            await client.stream(chunk)
        await client.force_endpoint()
        await client.disconnect(terminate=True)
        assert not broken, broken
        assert kinds == {"begin", "termination"}, kinds
        return heard


async def speechmatics() -> list[str]:
    async with FakeSpeechmatics.run(KEY) as server:
        client = AsyncClient(api_key=KEY, url=f"{server.url}/v2")
        parts: list[str] = []
        heard: list[str] = []

        def on_final(message: dict[str, Any]) -> None:
            parts.append(TranscriptResult.from_message(message).metadata.transcript)

        def on_end(_: dict[str, Any]) -> None:
            if text := "".join(parts).strip():
                heard.append(text)
            parts.clear()

        client.on(ServerMessageType.ADD_PARTIAL_TRANSCRIPT, TranscriptResult.from_message)
        client.on(ServerMessageType.ADD_TRANSCRIPT, on_final)
        client.on(ServerMessageType.END_OF_UTTERANCE, on_end)
        client.on(ServerMessageType.END_OF_TRANSCRIPT, on_end)
        silence_s = ConversationConfig(end_of_utterance_silence_trigger=0.4)
        await client.start_session(
            transcription_config=TranscriptionConfig(
                language="en", enable_partials=True, conversation_config=silence_s
            ),
            audio_format=AudioFormat(encoding=AudioEncoding.PCM_S16LE, sample_rate=16_000),
        )
        for chunk in frames(SPEECH, 50):
            await client.send_audio(chunk)
        await client.force_end_of_utterance()
        while client._seq_no < len(SPEECH) // 1600:  # its `stop_session` announces what was acknowledged so far
            await asyncio.sleep(0.01)
        await client.stop_session()
        return heard


async def openai_realtime() -> list[str]:
    async with FakeRealtime.run(KEY) as server:
        client = AsyncOpenAI(api_key=KEY, base_url="http://127.0.0.1:9/v1", websocket_base_url=server.url + "/v1")
        heard: list[str] = []
        async with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
            await connection.session.update(
                session={
                    "type": "transcription",
                    "audio": {
                        "input": {
                            "format": {"type": "audio/pcm", "rate": 24000},
                            "transcription": {"model": "gpt-live-transcribe", "language": "en"},
                            "turn_detection": None,
                        }
                    },
                }
            )
            for sentence in SENTENCES:
                pcm = Upsampler().feed(silence(300) + speak(sentence))
                await connection.input_audio_buffer.append(audio=base64.b64encode(pcm).decode())
                await connection.input_audio_buffer.commit()
            async for event in connection:
                type(event).model_validate(event.model_dump())
                assert event.type != "error", event
                if event.type == "conversation.item.input_audio_transcription.completed":
                    heard.append(event.transcript)
                    if len(heard) == len(SENTENCES):
                        break
        await client.close()
        return heard


async def openai_http() -> list[str]:
    async with FakeTranscriptions.run(KEY) as server:
        client = AsyncOpenAI(api_key=KEY, base_url=server.url)
        heard: list[str] = []
        for sentence in SENTENCES:
            file = ("speech.wav", io.BytesIO(as_wav(utterance(sentence))), "audio/wav")
            text = ""
            stream = await client.audio.transcriptions.create(model="gpt-transcribe", file=file, stream=True)
            async for event in stream:
                type(event).model_validate(event.model_dump())
                if event.type == "transcript.text.delta":
                    text += event.delta
                elif event.type == "transcript.text.done":
                    assert event.text == text.strip()
                    heard.append(event.text)
        await client.close()
        return heard


CHECKS: dict[str, Callable[[], Awaitable[list[str]]]] = {
    "deepgram-sdk": deepgram,
    "deepgram-sdk, Flux": deepgram_flux,
    "assemblyai": assemblyai,
    "speechmatics-rt": speechmatics,
    "openai realtime": openai_realtime,
    "openai transcriptions": openai_http,
}


async def main() -> int:
    failed = 0
    for name, check in CHECKS.items():
        async with asyncio.timeout(30):
            heard = await check()
        good = heard == list(SENTENCES)
        failed += not good
        print(f"{name:<24}{'ok' if good else f'FAILED: heard {heard}'}")
    return failed


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
