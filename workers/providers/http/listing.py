"""Reads an endpoint's list of models: what each model is, and which of them are not for chatting.

The fields are those of OpenAI, llama.cpp (`meta.n_ctx`), vLLM (`max_model_len`), LM Studio (`type`), Ollama and Mistral
(`capabilities`), Anthropic (likewise, `max_input_tokens`), OpenRouter (`architecture`, `supported_parameters`,
`pricing` of a token), Together (`type`, `pricing` of a million tokens), LiteLLM (`mode`, `input_cost_per_token`) and
Groq.
Pure: no I/O.
"""

from __future__ import annotations

import re
from typing import Any, Final

from workers.providers.base import ListedModel, ProviderError
from workers.providers.http.json_values import load_json, read_number

MAX_WINDOW: Final = 1_000_000_000  # tokens; more is not a context window
NAME_CHARS: Final = 200
KINDS: Final = 5  # of what comes out of a model, each of a short name
KIND_CHARS: Final = 20
MAX_PRICE: Final = 1_000_000.0  # US dollars for a million tokens; more is not a price
MILLION: Final = 1_000_000
NO_LIST: Final = "The model's server did not send a list of models."

# Names for that a model calls tools.
TOOL_ABILITIES: Final = ("tools", "tool", "function_calling", "tool_use", "tool_choice")
# What an endpoint says of a model, as whole words.
_NO_CHAT: Final[dict[str, str]] = {
    "embedding": "embedding", "embeddings": "embedding", "embed": "embedding", "feature": "embedding",
    "rerank": "reranking", "reranker": "reranking", "reranking": "reranking",
    "moderation": "moderation", "classification": "moderation",
    "image": "images", "video": "video",
    "transcription": "speech", "speech": "speech", "tts": "speech", "asr": "speech", "realtime": "speech",
}  # fmt: skip
_CHAT: Final = frozenset({"chat", "llm", "vlm", "language", "completion", "responses", "generation", "text", "code"})

# Families by the whole words of a name, where the endpoint says nothing. All words of a key must be there.
_FAMILIES: Final[dict[frozenset[str], str]] = {
    **{frozenset({word}): "embedding" for word in ("embed", "embedding", "embeddings", "bge", "gte", "e5", "minilm")},
    **{frozenset({word}): "reranking" for word in ("rerank", "reranker")},
    frozenset({"moderation"}): "moderation",
    **{frozenset({word}): "speech" for word in ("whisper", "tts", "transcribe", "realtime")},
    frozenset({"gpt", "audio"}): "speech",
    **{frozenset({word}): "images" for word in ("sora", "sdxl", "imagen")},
    frozenset({"dall", "e"}): "images",
    frozenset({"gpt", "image"}): "images",
    frozenset({"stable", "diffusion"}): "images",
    **{frozenset({word, "002"}): "completion without chat" for word in ("babbage", "davinci")},
    frozenset({"gpt", "turbo", "instruct"}): "completion without chat",
}
_LISTS: Final = ("data", "models", "items", "result", "results")  # fields that hold a list
_NAMES: Final = ("id", "name", "model", "model_id", "modelId", "model_name", "slug", "key")
# Control characters, which no name has and no database takes all of, and lone surrogates, which cannot be encoded.
_UNSENDABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_WORDS: Final = re.compile(r"[a-z]+|\d+[a-z]*")


def parse_models(body: bytes) -> list[ListedModel]:
    """The models of a response, each once, in its order. Entries without a name are left out.

    Raises `ProviderError` when it is no list at all.
    """
    found = _find_list(load_json(body.decode(errors="replace").removeprefix("\ufeff")))
    if found is None:
        raise ProviderError("upstream_garbage", NO_LIST)
    models: dict[str, ListedModel] = {}
    for entry in found:
        model = read_model(entry)
        if model is not None:
            models.setdefault(model.id, model)
    return list(models.values())


def next_page(body: bytes) -> dict[str, str]:
    """The query of the page after this one, as OpenAI's lists have it; empty: there is none."""
    if b'"has_more"' not in body:
        return {}
    page = load_json(body.decode(errors="replace"))
    last = page.get("last_id") if isinstance(page, dict) and page.get("has_more") is True else None
    return {"after": last} if isinstance(last, str) and last else {}


def _find_list(found: object, depth: int = 3) -> list[object] | None:
    """The entries: in an array, in a field of an object or of one within it, or by their names in an object."""
    if isinstance(found, list):
        inner = [one for entry in found if isinstance(entry, list) for one in entry]
        return [entry for entry in found if not isinstance(entry, list)] + inner
    if not isinstance(found, dict) or depth == 0:
        return None
    named = [name for name in _LISTS if name in found]
    for name in named:
        if found[name] and (entries := _find_list(found[name], depth - 1)) is not None:
            return entries
    if depth < 3 and found and all(isinstance(one, dict | None) for one in found.values()):
        return [{"id": name, **(one or {})} for name, one in found.items()]
    # Ollama sends null when it has no model.
    return [] if any(not found[name] for name in named) else None


def read_model(entry: object) -> ListedModel | None:
    """One entry of a list; None if it has no name that can be sent back."""
    if isinstance(entry, str):
        entry = {"id": entry}
    if not isinstance(entry, dict):
        return None
    names = (one.strip() for key in _NAMES if isinstance(one := entry.get(key), str))
    name = next((one for one in names if one), "")
    if not name or len(name) > NAME_CHARS or _UNSENDABLE.search(name):
        return None
    able = _abilities(entry)
    kind, said = _kind(entry, able)
    if said:
        reason = "" if kind == "chat" else f"the endpoint lists it for {kind}"
    else:
        kind = _family(name)
        reason = f"its name is that of a model for {kind}" if kind else ""
    given = _modalities(entry, "input")
    input_price, output_price = _prices(entry)
    return ListedModel(
        id=name,
        hidden=reason,
        window=_window(entry),
        sees=_either(able, ("vision", "image", "images", "image_input"), "image" in given if given else None),
        # OpenRouter's list of parameters is complete.
        tools=_either(able, TOOL_ABILITIES, False if isinstance(entry.get("supported_parameters"), list) else None),
        thinks=_either(able, ("thinking", "reasoning", "include_reasoning"), None),
        input_price=input_price,
        output_price=output_price,
    )


def _abilities(entry: dict[str, Any]) -> dict[str, bool]:
    """What is said that the model can, or cannot, do."""
    found: dict[str, bool] = {}
    for key in ("capabilities", "supported_parameters", "supported_features"):
        said = entry.get(key)
        if isinstance(said, list):
            found |= {one.lower(): True for one in said if isinstance(one, str)}
        elif isinstance(said, dict):
            said = {name: value.get("supported") if isinstance(value, dict) else value for name, value in said.items()}
            found |= {str(name).lower(): value for name, value in said.items() if isinstance(value, bool)}
    return found


def _either(able: dict[str, bool], names: tuple[str, ...], otherwise: bool | None) -> bool | None:
    said = [able[name] for name in names if name in able]
    return any(said) if said else otherwise


def _kind(entry: dict[str, Any], able: dict[str, bool]) -> tuple[str, bool]:
    """The kind of the model, and whether the endpoint says anything about it."""
    for key in ("mode", "type", "task"):
        words = _words(entry.get(key))
        if words and words & _CHAT and not words & {"image", "video", "speech"}:
            return "chat", True
        for word in words:
            if word in _NO_CHAT:
                return _NO_CHAT[word], True
    produced = _modalities(entry, "output")
    if produced:
        return ("chat", True) if "text" in produced else (" and ".join(sorted(produced)[:KINDS]), True)
    if able.get("completion_chat") is False:
        return "other uses than chat", True
    chats = any(able.get(name) for name in ("completion", "completion_chat", "chat", "chat_completion"))
    if chats:
        return "chat", True
    for name in able:
        if able[name] and name in _NO_CHAT and name not in ("image", "video", "speech"):
            return _NO_CHAT[name], True
    return "", False


def _modalities(entry: dict[str, Any], side: str) -> set[str]:
    """What goes into a model (`side` input) or comes out of it (output), as far as the endpoint says."""
    design = entry.get("architecture")
    design = design if isinstance(design, dict) else {}
    both = entry.get("modalities")
    within = both.get(side) if isinstance(both, dict) else None
    for said in (design.get(f"{side}_modalities"), entry.get(f"{side}_modalities"), within):
        if isinstance(said, list):
            return {one.lower() for one in said if isinstance(one, str) and one.isalpha() and len(one) <= KIND_CHARS}
    line = design.get("modality")
    if isinstance(line, str) and "->" in line:
        part = line.split("->")[0 if side == "input" else 1]
        return {one.strip().lower() for one in part.split("+")}
    return set()


def _family(name: str) -> str:
    words = _words(name)
    return next((kind for family, kind in _FAMILIES.items() if family <= words), "")


def _words(text: object) -> set[str]:
    """The whole words of a name: letters together, and numbers with the letters after them (`e5`, `4o`)."""
    if not isinstance(text, str):
        return set()
    found = set()
    for part in re.split(r"[^a-z0-9]+", text.lower()):
        found.add(part)
        found.update(_WORDS.findall(part) if not part.isdigit() else ())
    return found - {""}


def _window(entry: dict[str, Any]) -> int | None:
    """The context window in tokens. llama.cpp's `n_ctx` is what was loaded, `n_ctx_train` what the model could do."""
    meta = entry.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    said = [meta.get("n_ctx")]
    said += [
        entry.get(key)
        for key in (
            "max_model_len", "loaded_context_length", "context_length", "context_window", "max_context_length",
            "max_input_tokens",
        )
    ]  # fmt: skip
    said.append(meta.get("n_ctx_train"))
    for one in said:
        number = read_number(one)
        if number is not None and 0 < number <= MAX_WINDOW:
            return number
    return None


def _prices(entry: dict[str, Any]) -> tuple[float | None, float | None]:
    """What a million tokens of input and of output cost, in US dollars. A list may say it of one token."""
    said = entry.get("pricing")
    said = said if isinstance(said, dict) else {}
    for places, names, factor in (
        (said, ("prompt", "completion"), MILLION),
        (said, ("input", "output"), 1),
        (entry, ("input_cost_per_token", "output_cost_per_token"), MILLION),
    ):
        prices = [_price(places.get(name), factor) for name in names]
        if None not in prices:
            return prices[0], prices[1]
    return None, None


def _price(said: object, factor: int) -> float | None:
    """A price, which may be a number or text; None for what is none, such as OpenRouter's -1."""
    if isinstance(said, bool) or not isinstance(said, int | float | str):
        return None
    try:
        price = float(said) * factor
    except (ValueError, OverflowError):
        return None
    return round(price, 6) if 0 <= price <= MAX_PRICE else None
