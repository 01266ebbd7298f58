"""A Whisper model of 2 MB that has learnt one sentence: real CTranslate2 weights, written by hand.

    make_model(folder, ("open", "the", "window"))     # then WHISPER_MODEL_DIR=<folder>

Whatever it hears it says the sentence: each place of the decoder has a direction of its own (the position encodings),
and the projection turns that into the token that belongs there. Layers add nothing to it (their outputs are zero), but
the encoder and the attention to it are random and really computed, so that words get times.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

WIDTH: Final = 64
MELS: Final = 80
FRAMES: Final = 1500  # of the encoder: 30 s
PLACES: Final = 448  # of the decoder
SURE: Final = 10.0
SPECIAL: Final = (
    *("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>"),
    *("<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"),
)


def make_model(folder: Path, words: Sequence[str], *, end: str = "<|1.00|>") -> str:
    """Writes `model.bin`, its vocabulary and tokenizer; the folder's path."""
    import numpy
    from ctranslate2.specs import WhisperSpec

    vocabulary = _write_tokenizer(folder, words)
    number = {token: place for place, token in enumerate(vocabulary)}
    random = numpy.random.default_rng(1)

    def noise(*shape: int) -> Any:
        return (random.standard_normal(shape) * 0.2).astype("float32")

    def zeros(*shape: int) -> Any:
        return numpy.zeros(shape, "float32")

    def norm(layer: Any) -> None:
        layer.gamma, layer.beta = numpy.ones(WIDTH, "float32"), zeros(WIDTH)

    def linear(layer: Any, weight: Any) -> None:
        layer.weight, layer.bias = weight, zeros(len(weight))

    def block(layer: Any, *attentions: Any) -> None:
        for attention in attentions:
            norm(attention.layer_norm)
            *inner, out = attention.linear
            for one, parts in zip(inner, (3,) if len(inner) == 1 else (1, 2), strict=True):
                linear(one, noise(parts * WIDTH, WIDTH))
            linear(out, zeros(WIDTH, WIDTH))
        norm(layer.ffn.layer_norm)
        linear(layer.ffn.linear_0, noise(WIDTH, WIDTH))
        linear(layer.ffn.linear_1, zeros(WIDTH, WIDTH))

    spec = WhisperSpec(1, 1, 1, 1)
    encoder, decoder = spec.encoder, spec.decoder
    encoder.conv1.weight, encoder.conv1.bias = noise(WIDTH, MELS, 3), zeros(WIDTH)
    encoder.conv2.weight, encoder.conv2.bias = noise(WIDTH, WIDTH, 3), zeros(WIDTH)
    encoder.position_encodings.encodings = noise(FRAMES, WIDTH)
    norm(encoder.layer_norm)
    block(encoder.layer[0], encoder.layer[0].self_attention)

    said = ["<|0.00|>", *(f"Ġ{word}" for word in words), end, "<|endoftext|>"]
    places = numpy.minimum(numpy.arange(PLACES), len(said) - 1)
    decoder.position_encodings.encodings = numpy.eye(WIDTH, dtype="float32")[places]
    decoder.embeddings.weight = zeros(len(vocabulary), WIDTH)
    projection = zeros(len(vocabulary), WIDTH)
    for place, token in enumerate(said):
        projection[number[token], place] = SURE
    linear(decoder.projection, projection)
    norm(decoder.layer_norm)
    block(decoder.layer[0], decoder.layer[0].self_attention, decoder.layer[0].attention)

    spec.config.alignment_heads = [(0, 0)]
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], []
    spec.config.lang_ids = [number["<|en|>"]]
    spec.register_vocabulary(vocabulary)
    spec.validate()
    spec.save(str(folder))
    return str(folder)


def _write_tokenizer(folder: Path, words: Sequence[str]) -> list[str]:
    """Bytes, the words with their merges, what Whisper has beside, and its 1501 times."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens = dict.fromkeys(sorted(pre_tokenizers.ByteLevel.alphabet()))
    merges: dict[tuple[str, str], None] = {}
    for word in (*words, "-", "'"):
        made = "Ġ"
        for letter in word:
            merges[made, letter] = None
            made += letter
            tokens[made] = None
    times = [f"<|{step * 0.02:.2f}|>" for step in range(FRAMES + 1)]
    vocabulary = [*tokens, *SPECIAL, *times]
    tokenizer = Tokenizer(models.BPE(vocab={token: n for n, token in enumerate(tokens)}, merges=list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in (*SPECIAL, *times)])
    tokenizer.save(str(folder / "tokenizer.json"))
    assert [tokenizer.id_to_token(number) for number in range(len(vocabulary))] == vocabulary
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": MELS}))
    return vocabulary
