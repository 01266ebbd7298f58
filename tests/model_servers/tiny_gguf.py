"""Writes a Llama model of half a megabyte with random weights: python tiny_gguf.py FILE [tools]

Its vocabulary is bytes and a hundred English words; random output weights make it answer with words, and it never ends
an answer by itself. The layout is that of llama.cpp's "llama" architecture, written by llama.cpp's own `gguf` package.
With `tools` it reads a prompt without a blank before it, which llama.cpp's grammar of calls requires.
"""

from __future__ import annotations

import sys

import gguf
import numpy as np

DIMENSIONS, LAYERS, HEADS, HIDDEN = 64, 2, 4, 128
CONTEXT = 2048
UNKNOWN, CONTROL, NORMAL, BYTE = 2, 3, 1, 6  # llama.cpp's kinds of tokens
WORDS = """
the a of and to in is it you that was for on are with as his they be at one have this from or had by hot but some
what there we can out other were all your when up use word how said an each she which do their time if will way
about many then them would write like so these her long make thing see him two has look more day could go come did
my sound no most number who over know water than call first people may down side been now find
"""


def write(path: str, *, tools: bool = False) -> None:
    tokens: list[tuple[bytes, float, int]] = [(b"<unk>", 0.0, UNKNOWN), (b"<s>", 0.0, CONTROL), (b"</s>", 0.0, CONTROL)]
    tokens += [(f"<0x{byte:02X}>".encode(), 0.0, BYTE) for byte in range(256)]
    silent = len(tokens)  # tokens up to here are never chosen
    tokens += [(f"▁{word}".encode(), -float(place), NORMAL) for place, word in enumerate(dict.fromkeys(WORDS.split()))]
    texts, scores, kinds = (list(column) for column in zip(*tokens, strict=True))

    file = gguf.GGUFWriter(path, "llama")
    file.add_name("tiny-random")
    file.add_context_length(CONTEXT)
    file.add_embedding_length(DIMENSIONS)
    file.add_block_count(LAYERS)
    file.add_feed_forward_length(HIDDEN)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_rope_dimension_count(DIMENSIONS // HEADS)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_vocab_size(len(tokens))
    file.add_file_type(0)
    file.add_tokenizer_model("llama")
    file.add_token_list(texts)
    file.add_token_scores(scores)
    file.add_token_types(kinds)
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    file.add_unk_token_id(0)
    if tools:
        file.add_add_space_prefix(False)
    file.add_chat_template(
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    )

    numbers = np.random.default_rng(7)

    def add(name: str, *shape: int, scale: float = 0.4, zeros: int = 0) -> None:
        weights = (numbers.standard_normal(shape) * scale).astype(np.float32)
        weights[:zeros] = 0
        file.add_tensor(name, weights)

    ones = np.ones(DIMENSIONS, np.float32)
    add("token_embd.weight", len(tokens), DIMENSIONS, scale=1.0)
    add("output.weight", len(tokens), DIMENSIONS, scale=1.5, zeros=silent)
    file.add_tensor("output_norm.weight", ones)
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            file.add_tensor(f"blk.{layer}.{name}.weight", ones)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{name}.weight", DIMENSIONS, DIMENSIONS)
        add(f"blk.{layer}.ffn_gate.weight", HIDDEN, DIMENSIONS)
        add(f"blk.{layer}.ffn_up.weight", HIDDEN, DIMENSIONS)
        add(f"blk.{layer}.ffn_down.weight", DIMENSIONS, HIDDEN)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


if __name__ == "__main__":
    write(sys.argv[1], tools="tools" in sys.argv[2:])
