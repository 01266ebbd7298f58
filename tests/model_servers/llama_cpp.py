"""llama.cpp's own HTTP server, from the xllamacpp wheel: python llama_cpp.py MODEL PORT [tools]

With `tools` the model has a chat template with tools, as Qwen's models have it.
"""

from __future__ import annotations

import signal
import sys

import xllamacpp

TEMPLATE = """
{%- if tools %}<|im_start|>system
You may call one or more functions. They are within <tools></tools>:
<tools>
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
</tools>
For each call, return JSON within <tool_call></tool_call>:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
{% endif %}
{%- for message in messages %}
{%- if message.role == "tool" %}<|im_start|>user
<tool_response>
{{ message.content }}
</tool_response><|im_end|>
{% else %}<|im_start|>{{ message.role }}
{{ message.content or "" }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}
"""


def main(model: str, port: int, *, tools: bool = False) -> None:
    options = xllamacpp.CommonParams()
    options.model.path = model
    options.hostnames, options.port = ["127.0.0.1"], port
    options.n_parallel, options.n_ctx = 2, 4096  # 2,048 tokens for each of two answers
    options.ctx_shift = False
    options.endpoint_slots = options.endpoint_metrics = True
    options.cpuparams.n_threads = 1
    if tools:
        options.use_jinja, options.chat_template = True, TEMPLATE
    server = xllamacpp.Server(options)  # serves on threads of its own
    print(f"listening on {server.listening_address}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), tools="tools" in sys.argv[3:])
