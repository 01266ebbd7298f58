"""What kind of model an entry of an endpoint's list is: one to chat with, or one for embeddings, speech or images.

What the endpoint says counts; where it says nothing, families of models are known by the whole words of their names.
Pure: no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from workers.providers.http.json_values import read_object

KINDS: Final = 5  # of what comes out of a model, each of a short name
KIND_CHARS: Final = 20

# What an endpoint says of a model, as whole words.
_NO_CHAT: Final[dict[str, str]] = {
    "embedding": "embedding", "embeddings": "embedding", "embed": "embedding", "feature": "embedding",
    "similarity": "embedding",
    "rerank": "reranking", "reranker": "reranking", "reranking": "reranking",
    "moderation": "moderation", "classification": "moderation",
    "image": "images", "video": "video",
    "transcription": "speech", "speech": "speech", "tts": "speech", "asr": "speech", "stt": "speech",
    "realtime": "speech", "audio": "speech",
    "detection": "detection", "segmentation": "segmentation", "mask": "filling gaps", "classify": "moderation",
}  # fmt: skip
_CHAT: Final = frozenset(
    {"chat", "llm", "vlm", "language", "completion", "responses", "generation", "generate", "text", "code"}
)
_KIND_FIELDS: Final = ("mode", "type", "task", "model_type", "kind", "pipeline_tag", "domain", "api")
_MEDIA: Final = frozenset({"image", "video", "speech", "audio"})
_USES: Final = ("endpoints", "functions")  # lists of what a model is for: Cohere and watsonx

# Families by the whole words of a name, where the endpoint says nothing. All words of a key must be there.
_FAMILIES: Final[dict[frozenset[str], str]] = {
    **{
        frozenset({word}): "embedding"
        for word in (
            "embed", "embedding", "embeddings", "embeddinggemma", "bge", "gte", "e5", "minilm", "colbert", "colpali",
            "embedqa", "mpnet", "voyage", "nvclip", "clip",
        )
    },
    **{frozenset({word}): "reranking" for word in ("rerank", "reranker", "rerankqa")},
    **{
        frozenset({word}): "moderation"
        for word in ("moderation", "safeguard", "shieldgemma", "qwen3guard", "wildguard")
    },
    **{frozenset(words): "moderation" for words in (("llama", "guard"), ("prompt", "guard"), ("granite", "guardian"))},
    **{
        frozenset({word}): "speech"
        for word in (
            "whisper", "tts", "asr", "stt", "transcribe", "realtime", "kokoro", "parakeet", "cosyvoice", "paraformer",
            "sambert", "orpheus",
        )
    },
    frozenset({"gpt", "audio"}): "speech",
    **{
        frozenset({word}): "images"
        for word in (
            "sora", "sdxl", "imagen", "veo", "cogview", "recraft", "t2i", "t2v", "i2v", "dalle", "stablediffusion",
            "sd3", "midjourney", "ideogram", "seedream", "seedance", "kling",
        )
    },
    **{frozenset({word, "image"}): "images" for word in ("gpt", "chatgpt", "qwen")},
    **{frozenset({word, "video"}): "video" for word in ("stable", "hunyuan")},
    **{frozenset({"flux", word}): "images" for word in ("dev", "schnell", "pro", "kontext", "fill")},
    **{frozenset({word}): "music" for word in ("lyria", "suno")},
    frozenset({"dall", "e"}): "images",
    frozenset({"stable", "diffusion"}): "images",
    **{frozenset({word, "002"}): "completion without chat" for word in ("babbage", "davinci")},
    frozenset({"gpt", "turbo", "instruct"}): "completion without chat",
}  # fmt: skip
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")  # between the words of ImageGeneration
_WORDS: Final = re.compile(r"[a-z]+|\d+[a-z]*")


def listed_kind(entry: Mapping[str, Any], able: Mapping[str, bool]) -> str:
    """What the endpoint says the model is for: `chat`, or a kind in words; empty where it says nothing. `able` is what
    it says that the model can do.
    """
    told = [entry.get(key) for key in _KIND_FIELDS]
    told = [one.get("name") if isinstance(one, dict) else one for one in told]  # Cloudflare's task is an object
    told += [_list_uses(entry.get(key)) for key in _USES]
    for said in (*told, read_object(entry.get("capabilities")).get("type")):
        words = _words(_CAMEL.sub(" ", said) if isinstance(said, str) else said)
        others = _MEDIA if "chat" in words else _NO_CHAT.keys()
        if (words & _CHAT and not words & others) or _makes_text(said):
            return "chat"
        if kind := next((kind for word, kind in _NO_CHAT.items() if word in words), ""):
            return kind
    produced = modalities(entry, "output")
    if produced:
        return "chat" if "text" in produced else " and ".join(sorted(produced)[:KINDS])
    if able.get("completion_chat") is False:
        return "other uses than chat"
    if any(able.get(name) for name in ("completion", "completion_chat", "chat", "chat_completion")):
        return "chat"
    for name in able:
        if able[name] and name in _NO_CHAT and name not in _MEDIA:
            return _NO_CHAT[name]
    return ""


def _list_uses(said: object) -> str:
    """What a list of words, or of objects with an id, says that a model is for."""
    uses = [one.get("id") if isinstance(one, dict) else one for one in said] if isinstance(said, list) else []
    return " ".join(one for one in uses if isinstance(one, str))


def _makes_text(said: object) -> bool:
    """Whether a task, as Hugging Face names them, ends with text, whatever goes in: `image-text-to-text`."""
    return isinstance(said, str) and bool(re.search(r"\btext[-_ ]to[-_ ]text\b|^any[-_ ]to[-_ ]any$", said.lower()))


def modalities(entry: Mapping[str, Any], side: str) -> set[str]:
    """What goes into a model (`side` input) or comes out of it (output), as far as the endpoint says."""
    design = read_object(entry.get("architecture"))
    within = read_object(entry.get("modalities")).get(side)
    named = (entry.get(f"{side}_modalities"), entry.get(f"supported_{side}_modalities"))
    for said in (design.get(f"{side}_modalities"), *named, within):
        if isinstance(said, list):
            return {one.lower() for one in said if isinstance(one, str) and one.isalpha() and len(one) <= KIND_CHARS}
    for line in (design.get("modality"), entry.get("modality")):
        if isinstance(line, str) and "->" in line:
            part = line.split("->")[0 if side == "input" else 1]
            return {one.strip().lower() for one in part.split("+")}
    return set()


def family_kind(name: str) -> str:
    """The kind of the family that a name is of; empty for one to chat with, and for one that says so."""
    words = _words(name)
    return "" if "chat" in words else next((kind for family, kind in _FAMILIES.items() if family <= words), "")


def _words(text: object) -> set[str]:
    """The whole words of a name: letters together, and numbers with the letters after them (`e5`, `4o`)."""
    if not isinstance(text, str):
        return set()
    found = set()
    for part in re.split(r"[^a-z0-9]+", text.lower()):
        found.add(part)
        found.update(_WORDS.findall(part) if not part.isdigit() else ())
    return found - {""}
