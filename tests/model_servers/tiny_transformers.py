"""Writes a Llama model of half a megabyte with random weights for `transformers serve`: python tiny_transformers.py DIR

Its vocabulary is bytes; random output weights make it answer with small letters, and it never ends an answer by itself.
"""

from __future__ import annotations

import string
import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CONTEXT = 2048
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def write(folder: str) -> None:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {name: number for number, name in enumerate(["<s>", "</s>", *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", model_max_length=CONTEXT, chat_template=TEMPLATE
    )
    wrapped.save_pretrained(folder)

    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=CONTEXT, bos_token_id=0, eos_token_id=1, initializer_range=0.4,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    said = [vocabulary[letter] for letter in string.ascii_lowercase]
    with torch.no_grad():
        kept = 6 * model.lm_head.weight[said]  # far above the zeros of all others
        model.lm_head.weight.zero_()
        model.lm_head.weight[said] = kept
    model.generation_config = GenerationConfig(do_sample=True, bos_token_id=0, eos_token_id=1, max_new_tokens=600)
    model.save_pretrained(folder)


if __name__ == "__main__":
    write(sys.argv[1])
