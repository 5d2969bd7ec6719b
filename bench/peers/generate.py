#!/usr/bin/env python3
"""Measures transformers' greedy generate and prints one JSON line, with the fields of workers/generate.mjs.

  python bench/peers/generate.py --rows completion.jsonl --model folder --precision bf16 --prompts 50 --batch 8 --new-tokens 64

A row's prompt is what comes before its first learnt token; batches are padded on the left. Every prompt gets all its new tokens.
With --try 1,4,8 batch sizes are tried first, each on one batch of its size (at least four prompts), and the fastest generates for all prompts.
"""
import argparse
import json
import sys
import time
from pathlib import Path

# The folder of this file holds a transformers.py: `import transformers` would find it instead of the package.
sys.path[0] = str(Path(__file__).resolve().parent / "common")
from peer import load_model, memory_fields, offline, parser_of, peak_resident_bytes, plain_settings, read_rows, resident_bytes, versions  # noqa: E402


def parse_arguments():
    parser = parser_of(__doc__)
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--try", dest="tried", default="", help="batch sizes, separated by commas")
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--ids", action="store_true", help="print the generated ids too")
    return parser.parse_args()


def prompt_of(row):
    first = next((i for i, label in enumerate(row["labels"]) if label != -100), 1)
    return row["input_ids"][: max(1, first)]


def generate(model, prompts, batch_size, arguments):
    """Returns seconds and the new ids of each prompt."""
    import torch

    wait = torch.cuda.synchronize if arguments.device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    ids = []
    for i in range(0, len(prompts), batch_size):
        batch = prompts[i : i + batch_size]
        longest = max(map(len, batch))
        inputs = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in batch], device=arguments.device)
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in batch], device=arguments.device)
        with torch.inference_mode():
            output = model.generate(
                input_ids=inputs, attention_mask=mask, do_sample=False, top_k=None, top_p=None, pad_token_id=0,
                max_new_tokens=arguments.new_tokens,
            )
        ids += output[:, longest:].tolist()
    wait()
    return time.perf_counter() - start, ids


def fastest_batch(model, prompts, arguments):
    """Seconds a prompt by batch size, and the best of them."""
    seconds = {}
    for batch_size in map(int, arguments.tried.split(",")):
        some = prompts[: max(4, batch_size)]
        seconds[batch_size] = generate(model, some, batch_size, arguments)[0] / len(some)
    return min(seconds, key=seconds.get), seconds


def main():
    arguments = parse_arguments()
    scratch = offline(arguments.device)  # noqa: F841  lives as long as this name
    import torch
    from transformers import AutoModelForCausalLM  # noqa: F401  now, so that its code counts as held before the model was loaded

    torch.set_num_threads(arguments.threads)
    prompts = [prompt_of(row) for row in read_rows(arguments.rows)[: arguments.prompts]]
    before = resident_bytes()
    model = load_model(arguments)
    model.to(arguments.device).eval()
    model.generation_config.eos_token_id = None  # nothing ends early, and no id is kept from being chosen
    generate(model, prompts[:1], 1, argparse.Namespace(**vars(arguments) | {"new_tokens": 2}))  # touches the weights
    batch, tried = arguments.batch, {}
    if arguments.tried:
        batch, tried = fastest_batch(model, prompts, arguments)
    seconds, ids = generate(model, prompts, batch, arguments)
    print(json.dumps({
        "peer": "transformers",
        "settings": plain_settings(arguments) | {"batch": batch},
        "secondsPerPromptByBatch": tried,
        "promptTokens": sum(map(len, prompts)),
        "newTokens": sum(map(len, ids)),
        "seconds": [seconds],
        **memory_fields(arguments, before, peak_resident_bytes()),
        **({"ids": ids} if arguments.ids else {}),
        "versions": versions("torch", "transformers"),
    }))


if __name__ == "__main__":
    main()
