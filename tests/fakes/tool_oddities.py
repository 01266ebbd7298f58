"""Answers with calls of tools as real servers stream them in Chat Completions, and the calls in each.

The names say what is odd. Each is whole and offers `current_time` and `search`. `calls` are names and arguments.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from tests.fakes.openai_oddities import DONE, chunk

ZONE: Final = '{"zone": "UTC"}'
CALL: Final = ("current_time", ZONE)
FIND: Final = ("search", '{"q": "a"}')
END: Final = chunk(finish="tool_calls") + DONE


def piece(index: Any = None, call_id: Any = None, name: Any = None, arguments: Any = None, **more: Any) -> bytes:
    """One event with one entry of `tool_calls`; what is None is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    entry = {
        key: value for key, value in (("index", index), ("id", call_id), ("type", "function")) if value is not None
    }
    return delta(tool_calls=[{**entry, "function": function, **more}])


def delta(finish: str | None = None, **fields: Any) -> bytes:
    return (
        b"data: " + json.dumps({"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}).encode() + b"\n\n"
    )


@dataclass(frozen=True, slots=True)
class Stream:
    body: bytes
    calls: tuple[tuple[str, str], ...] = (CALL,)
    text: str = ""
    finish: str = "tool_calls"
    code: str = ""


_WRITTEN: Final = '<tool_call>\n{"name": "current_time", "arguments": {"zone": "UTC"}}\n</tool_call>'

STREAMS: Final[dict[str, Stream]] = {
    "OpenAI": Stream(
        piece(0, "a", "current_time", "") + piece(0, None, None, '{"zone": ') + piece(0, None, None, '"UTC"}') + END
    ),
    "two by index": Stream(
        piece(0, "a", "current_time", "") + piece(0, arguments=ZONE) + piece(1, "b", "search", "")
        + piece(1, arguments=FIND[1]) + END,
        (CALL, FIND),
    ),
    "two mixed": Stream(
        piece(0, "a", "current_time", '{"zone":') + piece(1, "b", "search", '{"q":') + piece(0, arguments=' "UTC"}')
        + piece(1, arguments=' "a"}') + END,
        (CALL, FIND),
    ),
    "two in one event": Stream(
        delta(tool_calls=[
            {"index": 0, "id": "a", "function": {"name": "current_time", "arguments": ZONE}},
            {"index": 1, "id": "b", "function": {"name": "search", "arguments": FIND[1]}},
        ]) + END,
        (CALL, FIND),
    ),
    "every call at index 0": Stream(
        piece(0, "a", "current_time", ZONE) + piece(0, "b", "search", FIND[1]) + END, (CALL, FIND)
    ),
    "every call at index 0, one tool": Stream(
        piece(0, "a", "current_time", ZONE) + piece(0, "b", "current_time", ZONE) + END, (CALL, CALL)
    ),
    "every call at index 0 without ids": Stream(
        piece(0, None, "current_time", ZONE) + piece(0, None, "search", FIND[1]) + END, (CALL, FIND)
    ),
    "no index": Stream(
        piece(None, "a", "current_time", '{"zone":') + piece(None, "a", None, ' "UTC"}')
        + piece(None, "b", "search", FIND[1]) + END,
        (CALL, FIND),
    ),
    "neither index nor id": Stream(
        piece(None, None, "current_time", '{"zone":') + piece(arguments=' "UTC"}')
        + piece(None, None, "search", FIND[1]) + END,
        (CALL, FIND),
    ),
    "neither, and twice the same": Stream(
        piece(None, None, "current_time", ZONE) + piece(None, None, "current_time", '{"zone": "CET"}') + END,
        (CALL, ("current_time", '{"zone": "CET"}')),
    ),
    "an index that is text": Stream(
        piece("0", "a", "current_time", '{"zone":') + piece("0", arguments=' "UTC"}') + END
    ),
    "an empty id": Stream(piece(0, "", "current_time", ZONE) + END),
    "the same id twice": Stream(
        piece(0, "a", "current_time", ZONE) + piece(1, "a", "search", FIND[1]) + END, (CALL, FIND)
    ),
    "a new id with each piece": Stream(
        piece(0, "a", "current_time", "") + piece(0, "b", None, '{"zone":') + piece(0, "c", None, ' "UTC"}') + END
    ),
    "the name with each piece": Stream(
        piece(0, "a", "current_time", '{"zone":') + piece(0, "a", "current_time", ' "UTC"}') + END
    ),
    "a name in pieces": Stream(
        piece(0, "a", "current", "") + piece(0, "a", "_ti", "") + piece(0, None, "me", "") + piece(0, arguments=ZONE)
        + END
    ),
    "two without arguments": Stream(
        piece(0, None, "current_time", "") + piece(0, None, "search", "") + END,
        (("current_time", "{}"), ("search", "{}")),
    ),
    "the whole call once more": Stream(
        piece(0, "a", "current_time", '{"zone":') + piece(0, "a", None, ' "UTC"}') + piece(0, "a", "current_time", ZONE)
        + END
    ),
    "arguments as an object": Stream(piece(0, "a", "current_time", {"zone": "UTC"}) + END),
    "arguments as JSON twice": Stream(piece(0, "a", "current_time", json.dumps(ZONE)) + END),
    "arguments that are null": Stream(
        delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "search", "arguments": None}}]) + END,
        (("search", "{}"),),
    ),
    "no arguments": Stream(piece(0, "a", "search") + END, (("search", "{}"),)),
    "arguments that say null": Stream(piece(0, "a", "search", "null") + END, (("search", "{}"),)),
    "arguments that are no JSON": Stream(
        piece(0, "a", "search", "{q: a") + END, (("search", "{q: a"),)
    ),
    "a tool that does not exist": Stream(piece(0, "a", "rm_rf", "{}") + END, (("rm_rf", "{}"),)),
    "an empty object before the arguments": Stream(
        piece(0, "a", "current_time", "{}") + piece(0, arguments=ZONE) + END
    ),
    "one call that is no list": Stream(
        delta(tool_calls={"id": "a", "function": {"name": "current_time", "arguments": ZONE}}) + END
    ),
    "arguments under another name": Stream(
        delta(tool_calls=[{"id": "a", "function": {"name": "current_time", "input": {"zone": "UTC"}}}]) + END
    ),
    "arguments in a code block": Stream(
        piece(0, "a", "current_time", f"```json\n{ZONE}\n```") + END
    ),
    "Kimi's name": Stream(piece(0, "functions.search:1", "functions.search:1", FIND[1]) + END, (FIND,)),
    "Gemini's name": Stream(piece(0, "a", "default_api.search", FIND[1]) + END, (FIND,)),
    "gpt-oss's name": Stream(piece(0, "a", "search<|channel|>commentary", FIND[1]) + END, (FIND,)),
    "finish_reason in capitals": Stream(piece(0, "a", "current_time", ZONE) + chunk(finish="TOOL_CALLS") + DONE),
    "finish_reason tool_call": Stream(piece(0, "a", "current_time", ZONE) + chunk(finish="tool_call") + DONE),
    "no function around the name": Stream(
        delta(tool_calls=[{"id": "a", "name": "current_time", "arguments": ZONE}]) + END
    ),
    "finish_reason stop": Stream(piece(0, "a", "current_time", ZONE) + chunk(finish="stop") + DONE),
    "a finish reason in the same event": Stream(
        delta("tool_calls", tool_calls=[{"index": 0, "function": {"name": "current_time", "arguments": ZONE}}]) + DONE
    ),
    "a finish reason before the calls": Stream(chunk(finish="tool_calls") + piece(0, "a", "current_time", ZONE) + DONE),
    "no done": Stream(piece(0, "a", "current_time", ZONE) + chunk(finish="tool_calls")),
    "tool_calls without calls": Stream(chunk("Hello.") + END, (), "Hello.", "stop"),
    "nothing but tool_calls": Stream(END, (), code="upstream_garbage"),
    "a call without a name": Stream(piece(0, "a", None, ZONE) + END, (), code="upstream_garbage"),
    "calls after text": Stream(chunk("Let me look.") + piece(0, "a", "current_time", ZONE) + END, text="Let me look."),
    "text after calls": Stream(piece(0, "a", "current_time", ZONE) + chunk("Wait.") + END, text="Wait."),
    "reasoning between": Stream(
        delta(reasoning_content="hm") + piece(0, "a", "current_time", '{"zone":') + delta(reasoning_content="so")
        + piece(0, arguments=' "UTC"}') + END
    ),
    "content that is empty or null": Stream(
        delta(content=None, tool_calls=[{"index": 0, "id": "a", "function": {"name": "current_time"}}])
        + delta(content="", tool_calls=[{"index": 0, "function": {"arguments": ZONE}}]) + END
    ),
    "legacy function_call": Stream(
        delta(function_call={"name": "current_time", "arguments": ""}) + delta(function_call={"arguments": '{"zone":'})
        + delta(function_call={"arguments": ' "UTC"}'}) + chunk(finish="function_call") + DONE
    ),
    "entries of another type": Stream(delta(tool_calls=[7, None]) + piece(0, "a", "current_time", ZONE) + END),
    "not streamed": Stream(
        json.dumps({"choices": [{"message": {"content": None, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "current_time", "arguments": ZONE}},
            {"id": "a", "type": "function", "function": {"name": "search", "arguments": FIND[1]}},
        ]}, "finish_reason": "tool_calls"}]}).encode(),
        (CALL, FIND),
    ),
    "cut in the arguments": Stream(piece(0, "a", "current_time", '{"zone":'), (), code="upstream_cut"),
    "cut after the arguments": Stream(piece(0, "a", "current_time", ZONE), (), code="upstream_cut"),
    "done without a finish reason": Stream(piece(0, "a", "current_time", ZONE) + DONE, (), code="upstream_cut"),
    "the greatest length": Stream(
        chunk("Hi.") + piece(0, "a", "current_time", '{"zone": "U') + chunk(finish="length") + DONE, (), "Hi.",
        "length", "upstream_cut",
    ),
    "the greatest length after a call": Stream(piece(0, "a", "current_time", ZONE) + chunk(finish="length") + DONE),
    # Written as text.
    "Hermes and Qwen": Stream(chunk(_WRITTEN) + chunk(finish="stop") + DONE),
    "Qwen after text": Stream(
        chunk("Let me look.\n\n") + chunk(_WRITTEN) + chunk(finish="stop") + DONE, text="Let me look.\n\n"
    ),
    "Qwen, two": Stream(
        chunk(_WRITTEN) + chunk('\n<tool_call>\n{"name": "search", "arguments": {"q": "a"}}\n</tool_call>')
        + chunk(finish="stop") + DONE,
        (CALL, FIND),
    ),
    "Qwen after thinking": Stream(chunk("<think>hm</think>\n\n" + _WRITTEN) + chunk(finish="stop") + DONE),
    "Qwen without the closing tag": Stream(
        chunk(_WRITTEN.removesuffix("</tool_call>")) + chunk(finish="stop") + DONE
    ),
    "Qwen Coder": Stream(
        chunk("<tool_call>\n<function=search>\n<parameter=q>\na\n</parameter>\n</function>\n</tool_call>")
        + chunk(finish="stop") + DONE,
        (FIND,),
    ),
    "Mistral": Stream(
        chunk('[TOOL_CALLS] [{"name": "current_time", "arguments": {"zone": "UTC"}}]</s>') + chunk(finish="stop") + DONE
    ),
    "Mistral, newer": Stream(
        chunk('[TOOL_CALLS]current_time[ARGS]{"zone": "UTC"}[TOOL_CALLS]search[ARGS]{"q": "a"}') + chunk(finish="stop")
        + DONE,
        (CALL, FIND),
    ),
    "Llama": Stream(
        chunk('<|python_tag|>{"name": "current_time", "parameters": {"zone": "UTC"}}<|eom_id|>') + chunk(finish="stop")
        + DONE
    ),
    **{
        name: Stream(chunk(text) + chunk(finish="stop") + DONE, (FIND,))
        for name, text in {
            "GLM": "<tool_call>search\n<arg_key>q</arg_key>\n<arg_value>a</arg_value>\n</tool_call>",
            "Mistral, newest": '[TOOL_CALLS]search{"q": "a"}',
            "Llama's function": '<function=search>{"q": "a"}</function>',
            "Granite": '<|tool_call|>[{"name": "search", "arguments": {"q": "a"}}]',
            "Phi": '<|tool_call|>[{"name": "search", "arguments": {"q": "a"}}]<|/tool_call|>',
            "Kimi": (
                "<|tool_calls_section_begin|><|tool_call_begin|>functions.search:0<|tool_call_argument_begin|>"
                '{"q": "a"}<|tool_call_end|><|tool_calls_section_end|>'
            ),
            "DeepSeek": (
                "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>search\n```json\n"
                '{"q": "a"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
            ),
            "DeepSeek, newer": (
                "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>search<｜tool▁sep｜>"
                '{"q": "a"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
            ),
            "MiniMax": (
                '<minimax:tool_call>\n<invoke name="search">\n<parameter name="q">a</parameter>\n</invoke>\n'
                "</minimax:tool_call>"
            ),
            "Command A": (
                '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "search", "parameters": {"q": "a"}}]<|END_ACTION|>'
            ),
        }.items()
    },
    "written and read by the server": Stream(
        chunk(_WRITTEN) + piece(0, "a", "current_time", ZONE) + END
    ),
}  # fmt: skip

_FENCED: Final = f"```xml\n{_WRITTEN}\n```\n"
TEXTS: Final[dict[str, str]] = {  # what stays text
    "a tool that was not offered": '<tool_call>\n{"name": "rm", "arguments": {}}\n</tool_call>',
    "no JSON": "<tool_call>\ncurrent_time(UTC)\n</tool_call> and so on",
    "in code": f"Like this:\n\n{_FENCED}\nSee?",
    "in a line": f"It writes {_WRITTEN}",
    "indented": "Like this:\n\n    " + _WRITTEN.replace("\n", " ") + " is how",
    "the beginning of a tag": "<tool",
    "another tag": "<tools>\nno\n</tools>",
    "half a call": '<tool_call>\n{"name": "current_time", "argu',
    "one good, one bad": '[TOOL_CALLS] [{"name": "search", "arguments": {}}, {"name": "rm", "arguments": {}}]',
    "arguments that are a list": '<tool_call>{"name": "search", "arguments": [1]}</tool_call>',
    "nothing": "<tool_call></tool_call>",
    "a function that was not offered": '<function=rm>{"q": "a"}</function>',
    "words in a call": "<tool_call>search for it</tool_call>",
    "half a section": "<|tool_calls_section_begin|><|tool_call_begin|>functions.search:0",
    "words after it": '[TOOL_CALLS] [{"name": "search", "arguments": {}}] is what Mistral writes',
}
