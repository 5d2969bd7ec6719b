#!/usr/bin/env python3
"""Holds the folder that make.py wrote against two other readers of the package's file, and says what the model is worth.

  python tools/real-base/check.py --base build/real-base --llama FOLDER

FOLDER holds node_modules/node-llama-cpp (see llama.mjs). Checked, on a page of English and a prompt of function calling:
  1. transformers' own reader of GGUF gives the folder's weights, but for the rounding to bfloat16
  2. llama.cpp on these very weights as a float32 GGUF, keys and values in float32, gives transformers' log-probabilities. ggml looks GELU up in a table of
     fp16, and sums 262,144 probabilities in float32: both are done here too, and what stays must be less than what the table alone changes (rounding to
     11 bits is chaotic: a sum in another order rounds some to the other side, and these move others)
  3. llama.cpp on the package's file: it also rounds activations to 8 bits, so the mean over tokens is compared (limit 0.05 nats)
Prints perplexity and greedy continuations. Exit status 1 where a limit is passed.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader, GGUFWriter
from transformers import AutoModelForCausalLM, AutoTokenizer

from base import assemble_gguf, require, transformers_name

HERE = Path(__file__).resolve().parent
CONTINUED = ("The capital of France is", "Once upon a time, there was a", "def fibonacci(n):\n", "Water boils at a temperature of")
TOOLS = [{"type": "function", "function": {"name": "set_timer", "description": "Starts a timer.", "parameters": {
    "type": "object", "properties": {"minutes": {"type": "integer", "description": "How long."}}, "required": ["minutes"]}}}]


def float64_sum(logits):
    """log of the sum of exp(logits) of each row"""
    return torch.logsumexp(logits.double(), -1).numpy()


def float32_sum(logits):
    """The same as llama.cpp's sampler has it: one after the other from the largest, in float32, where the many smallest are lost."""
    descending = np.sort(logits.numpy(), -1)[:, ::-1]
    sums = np.add.accumulate(np.exp(descending - descending[:, :1]), -1, dtype=np.float32)[:, -1]
    return descending[:, 0] + np.log(sums.astype(np.float64))


def logprobs(model, ids, log_sum=float64_sum):
    """log p(ids[t + 1] | ids[..t]), natural logarithm"""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1]
    chosen = logits[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    return chosen.double().numpy() - log_sum(logits)


class TableGelu(torch.nn.Module):
    """GELU as ggml's CPU backend has it (ggml_vec_gelu_f32): looked up by the fp16 of its argument, stored as fp16, exact beyond 10."""

    def forward(self, x):
        looked_up = torch.nn.functional.gelu(x.half().float(), approximate="tanh").half().float()
        return torch.where(x <= -10, torch.zeros_like(x), torch.where(x >= 10, x, looked_up))


def by_llama(package, path, sequences):
    out = subprocess.run(["node", HERE / "llama.mjs", package, path], input=json.dumps(sequences), capture_output=True, text=True)
    require(out.returncode == 0, f"llama.mjs failed: {out.stderr[-2000:]}")
    return [np.array(line) for line in json.loads(out.stdout)]


def write_float32_gguf(source, path, weights):
    """The package's file with the folder's weights in float32."""
    reader = GGUFReader(source)
    writer = GGUFWriter(path, arch="gemma3")
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=field.types[-1] if len(field.types) > 1 else None)
    writer.add_file_type(0)
    for tensor in reader.tensors:
        values = weights[transformers_name(tensor.name)].numpy()
        writer.add_tensor(tensor.name, values + np.float32(1) if "norm" in tensor.name else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, default=HERE.parents[1] / "build/real-base")
    parser.add_argument("--llama", type=Path, required=True)
    arguments = parser.parse_args()
    failed = []

    def limit(what, value, most):
        print(f"{what}: {value:.3g} (limit {most:g}){'' if value <= most else '  FAILED'}")
        if not value <= most:
            failed.append(what)

    source = arguments.base.parent / "gemma-3-270m-q4_k_m.gguf"
    assemble_gguf(source)
    tokenizer = AutoTokenizer.from_pretrained(arguments.base)
    model = AutoModelForCausalLM.from_pretrained(arguments.base, dtype=torch.float32)
    weights = model.state_dict()

    second = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32).state_dict()
    # Round to nearest: at most half a unit in the last of 8 places.
    apart = max(float(((weights[name] - value).abs() / value.abs().clamp_min(1e-30)).max()) for name, value in second.items() if name in weights)
    limit("weights against transformers' reader of the file, relative", apart, 2 ** -8)
    require(set(name for name in weights if name != "lm_head.weight") <= set(second), "transformers' reader names other tensors")
    del second

    page = tokenizer.encode((HERE / "page.txt").read_text().strip())
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "Set a timer for 12 minutes, please."}], tools=TOOLS, add_generation_prompt=True,
                                         tokenize=True, return_dict=False)
    sequences = [page, chat]
    ours = [logprobs(model, ids) for ids in sequences]
    with tempfile.TemporaryDirectory() as folder:
        write_float32_gguf(source, f"{folder}/float32.gguf", weights)
        exact = by_llama(arguments.llama, f"{folder}/float32.gguf", sequences)
    for layer in model.model.layers:
        exact_gelu, layer.mlp.act_fn = layer.mlp.act_fn, TableGelu()
    as_ggml = [logprobs(model, ids, float32_sum) for ids in sequences]
    table = [logprobs(model, ids) for ids in sequences]
    for layer in model.model.layers:
        layer.mlp.act_fn = exact_gelu
    largest = lambda a, b: max(np.abs(x - y).max() for x, y in zip(a, b))
    limit("log-probabilities, llama.cpp on the folder's weights, GELU and sum as its own, largest difference", largest(as_ggml, exact), largest(table, ours))
    print(f"  with exact GELU and sum on our side: {largest(ours, exact):.3g}")
    quantized = by_llama(arguments.llama, source, sequences)
    limit("log-probabilities, llama.cpp on the package's file, difference of the means", max(abs(a.mean() - b.mean()) for a, b in zip(ours, quantized)), 0.05)
    print(f"  largest difference of one token there: {max(np.abs(a - b).max() for a, b in zip(ours, quantized)):.3g}")
    print(f"perplexity of the page, {len(page)} tokens: folder {np.exp(-ours[0].mean()):.2f}, package's file in llama.cpp {np.exp(-quantized[0].mean()):.2f}")
    for text in CONTINUED:
        ids = tokenizer(text, return_tensors="pt")
        print(repr(tokenizer.decode(model.generate(**ids, max_new_tokens=20, do_sample=False)[0], skip_special_tokens=True)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
