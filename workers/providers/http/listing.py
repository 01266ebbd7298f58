"""Reads an endpoint's list of models: what each model is, and which of them are not for chatting.

The fields are those of OpenAI, llama.cpp (`meta.n_ctx`), vLLM (`max_model_len`), LM Studio (`type`,
`loaded_instances`), Ollama and Mistral (`capabilities`), Anthropic (likewise, `max_input_tokens`), OpenRouter
(`architecture`, `supported_parameters`, `pricing` of a token), Together (`type`, `pricing` of a million tokens),
DeepInfra (`metadata`), LiteLLM (`mode`, `model_info`, `supports_vision`, `input_cost_per_token`), Fireworks
(`supports_tools`), Novita (`features`), GitHub (`capabilities.limits`) and Groq.
Pure: no I/O.
"""

from __future__ import annotations

import re
from typing import Any, Final

from workers.providers.base import ListedModel, ProviderError
from workers.providers.http.json_values import load_json, read_number, read_object, read_objects
from workers.providers.http.model_kinds import family_kind, listed_kind, modalities

MAX_WINDOW: Final = 1_000_000_000  # tokens; more is not a context window
NAME_CHARS: Final = 200
MAX_PRICE: Final = 1_000_000.0  # US dollars for a million tokens; more is not a price
MILLION: Final = 1_000_000
CHEAPEST: Final = 0.001  # US dollars for a million tokens; less is the price of one token
NO_LIST: Final = "The model's server did not send a list of models."

# Names for that a model calls tools.
TOOL_ABILITIES: Final = (
    "tools", "tool", "function_calling", "tool_use", "tool_choice", "tool_calls", "trained_for_tool_use",
    "tool_calling", "tool_call", "function_call",
)  # fmt: skip
_SIGHT: Final = ("vision", "image", "images", "image_input", "imageinput")
_THOUGHT: Final = ("thinking", "reasoning", "include_reasoning")
_LISTS: Final = (  # fields that hold a list
    "data", "models", "items", "result", "results", "model_list", "available_models", "response",
    "resources", "modelSummaries", "endpoints",
)  # fmt: skip
_NAMES: Final = ("id", "name", "model", "model_id", "modelId", "model_name", "slug", "key")
# Control characters, which no name has and no database takes all of, and lone surrogates, which cannot be encoded.
_SUPPORTS: Final = re.compile(r"supports?_(.+)")
_UUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_INNER_CAPITAL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Objects within an entry that say something of the model.
_WITHIN: Final = (
    "limits", "token_limits", "model_limits", "parameters", "info", "metadata", "model_info", "top_provider",
)  # fmt: skip
_GONE: Final = ("shutdown", "inactive", "disabled", "offline")
_UNSENDABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


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
    if found.get("object") == "model":
        return [found]
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
    names = [one.strip() for key in _NAMES if isinstance(one := entry.get(key), str) and one.strip()]
    # Cloudflare's id is a number of the entry; the model is asked by its name.
    name = next((one for one in names if not _UUID.fullmatch(one)), names[0] if names else "")
    if not name or len(name) > NAME_CHARS or _UNSENDABLE.search(name):
        return None
    entry = _unfold(entry)
    able = _abilities(entry, "capabilities", "supported_parameters", "supported_features")
    if kind := listed_kind(entry, able):
        reason = "" if kind == "chat" else f"the endpoint lists it for {kind}"
    else:
        kind = family_kind(name)
        reason = f"its name is that of a model for {kind}" if kind else ""
    if entry.get("active") is False or str(entry.get("status")).lower() in _GONE:
        reason = "the endpoint lists it as not in service"
    given = modalities(entry, "input")
    sees = "image" in given if given else True if entry.get("type") == "vlm" else None  # LM Studio's word
    input_price, output_price = _prices(entry)
    able |= _abilities(entry, "features", "tags") | _supported(entry)
    return ListedModel(
        id=name,
        hidden=reason,
        window=_window(entry),
        sees=_either(able, _SIGHT, sees),
        # OpenRouter's list of parameters is complete.
        tools=_either(able, TOOL_ABILITIES, False if isinstance(entry.get("supported_parameters"), list) else None),
        thinks=_either(able, _THOUGHT, None),
        input_price=input_price,
        output_price=output_price,
    )


def _unfold(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry with what some lists say in objects within it. What it says itself counts more."""
    loaded = read_objects(entry.get("loaded_instances"))
    limits = read_object(entry.get("capabilities")).get("limits")
    said = (limits, *(entry.get(name) for name in _WITHIN), loaded[0].get("config") if loaded else None)
    found = _agree(read_objects(entry.get("providers")))
    for part in (*said, {name: value for name, value in entry.items() if value is not None}):
        found |= {_INNER_CAPITAL.sub("_", name).lower(): value for name, value in read_object(part).items()}
    return found


def _agree(providers: list[dict[str, Any]]) -> dict[str, Any]:
    """What all providers of a model offer that a router may choose, as Hugging Face's router lists them."""
    found: dict[str, Any] = {}
    windows = [number for one in providers if (number := read_number(one.get("context_length")))]
    tools = [one["supports_tools"] for one in providers if isinstance(one.get("supports_tools"), bool)]
    if windows:
        found["context_length"] = min(windows)
    if tools:
        found["supports_tools"] = any(tools)
    return found


def _abilities(entry: dict[str, Any], *fields: str) -> dict[str, bool]:
    """What these fields say that the model can, or cannot, do."""
    found: dict[str, bool] = {}
    for field in fields:
        said = entry.get(field)
        if isinstance(said, list):
            found |= {one.lower().replace("-", "_"): True for one in said if isinstance(one, str)}
        elif isinstance(said, dict):
            said = said | read_object(said.get("supports"))
            said = {name: value.get("supported") if isinstance(value, dict) else value for name, value in said.items()}
            found |= {str(name).lower(): value for name, value in said.items() if isinstance(value, bool)}
    return found


def _supported(entry: dict[str, Any]) -> dict[str, bool]:
    """The same from fields such as `supports_vision` and `tool_call`."""
    said = {name: value for name, value in entry.items() if isinstance(value, bool)}
    plain = {name: value for name, value in said.items() if name in (*TOOL_ABILITIES, *_SIGHT, *_THOUGHT)}
    return plain | {found[1]: value for name, value in said.items() if (found := _SUPPORTS.fullmatch(name))}


def _either(able: dict[str, bool], names: tuple[str, ...], otherwise: bool | None) -> bool | None:
    said = [able[name] for name in names if name in able]
    return any(said) if said else otherwise


def _window(entry: dict[str, Any]) -> int | None:
    """The context window in tokens. llama.cpp's `n_ctx` is what was loaded, `n_ctx_train` what the model could do."""
    meta = read_object(entry.get("meta"))
    said = [meta.get("n_ctx")]
    said += [
        entry.get(key)
        for key in (
            "max_model_len", "loaded_context_length", "context_length", "context_window", "context_size",
            "max_context_length", "max_input_tokens", "max_context_window_tokens", "context_len",
            "context_window_tokens", "input_token_limit", "max_sequence_length", "max_seq_len",
            "max_position_embeddings",
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
    said = read_object(entry.get("pricing")) or read_object(entry.get("cost"))
    for places, names, factor in (
        (said, ("prompt", "completion"), MILLION),
        (said, ("input", "output"), 1),
        (said, ("input_tokens", "output_tokens"), 1),
        (entry, ("input_cost_per_token", "output_cost_per_token"), MILLION),
    ):
        prices = [_price(places.get(name), factor) for name in names]
        if factor == 1 and any(prices) and all(price is None or price < CHEAPEST for price in prices):
            prices = [_price(places.get(name), MILLION) for name in names]  # of one token: Vercel
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
