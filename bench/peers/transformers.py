#!/usr/bin/env python3
"""Measures a plain training loop on a transformers model and prints one JSON line, with the fields of trl.py.

  python bench/peers/transformers.py --rows rows.jsonl --model folder --precision amp --attention sdpa --batch 2 --accumulation 8 --steps 3

What Trainer computes, without its bookkeeping: the loss of a step is the sum over its learnt tokens divided by their number, gradients
are clipped to norm 1, AdamW is torch's fused one. Order and batches are Trainer's. With --compile the first step pays for compilation.
"""
import json
import math
import sys
import time
from pathlib import Path

# This file is called transformers.py: with its folder in the path, `import transformers` would find it instead of the package.
sys.path[0] = str(Path(__file__).resolve().parent / "common")
from peer import (  # noqa: E402
    MemorySampler, load_model, memory_fields, offline, read_rows, resident_bytes, training_fields, training_parser, versions,
)

IGNORE = -100


def parse_arguments():
    parser = training_parser(__doc__, checkpointing="off")
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args()


def updates(count, arguments):
    """Row numbers, micro-batch by micro-batch, of one update after the other: accelerate's seedable sampler."""
    import torch

    epoch = 0
    while True:
        order = torch.randperm(count, generator=torch.Generator().manual_seed(arguments.seed + epoch)).tolist()
        batches = [order[i : i + arguments.batch] for i in range(0, count, arguments.batch)]
        for i in range(0, len(batches), arguments.accumulation):
            yield batches[i : i + arguments.accumulation]
        epoch += 1


def collate(rows, device):
    """Padded on the right to the longest row."""
    import torch

    longest = max(len(row["input_ids"]) for row in rows)
    padded = lambda name, value: torch.tensor([row[name] + [value] * (longest - len(row[name])) for row in rows])
    attention = torch.tensor([[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in rows])
    batch = {"input_ids": padded("input_ids", 0), "labels": padded("labels", IGNORE), "attention_mask": attention}
    return {name: tensor.to(device) for name, tensor in batch.items()}


def train(arguments, rows, model, forward):
    import torch

    wait = torch.cuda.synchronize if arguments.device == "cuda" else lambda: None
    optimizer = torch.optim.AdamW(model.parameters(), lr=arguments.learning_rate, weight_decay=0.0, fused=True)
    steps, losses = [], []
    for _, micro_batches in zip(range(arguments.steps), updates(len(rows), arguments)):
        wait()
        start, start_cpu = time.perf_counter(), time.process_time()
        batches = [collate([rows[i] for i in indices], arguments.device) for indices in micro_batches]
        supervised = sum(int((batch["labels"][:, 1:] != IGNORE).sum()) for batch in batches)
        loss_sum = 0.0
        for batch in batches:
            with torch.autocast(arguments.device, torch.bfloat16, enabled=arguments.precision == "amp"):
                loss = forward(**batch, num_items_in_batch=supervised, use_cache=False).loss
            loss.backward()
            loss_sum = loss_sum + loss.detach()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        wait()
        steps.append({
            "seconds": time.perf_counter() - start,
            "cpuSeconds": time.process_time() - start_cpu,
            "tokens": sum(int(batch["attention_mask"].sum()) for batch in batches),
            "paddedTokens": sum(batch["input_ids"].numel() for batch in batches),
            "supervised": supervised,
        })
        losses.append(float(loss_sum))
        if not math.isfinite(losses[-1]):
            sys.exit(f"step {len(losses)}: the loss is {losses[-1]}, expected a finite number.")
    return steps, losses


def main():
    arguments = parse_arguments()
    scratch = offline(arguments.device)  # noqa: F841  lives as long as this name
    import torch
    from transformers import AutoModelForCausalLM  # noqa: F401  now, so that its code counts as held before the model was loaded

    torch.set_num_threads(arguments.threads)
    rows = read_rows(arguments.rows)
    before = resident_bytes()
    sampler = MemorySampler()
    sampler.start()
    model = load_model(arguments)
    model.to(arguments.device).train()
    if arguments.checkpointing == "on":
        model.gradient_checkpointing_enable()
    forward = torch.compile(model, dynamic=True) if arguments.compile else model
    steps, losses = train(arguments, rows, model, forward)
    peak = sampler.stop()

    print(json.dumps({
        "peer": "transformers",
        **training_fields(arguments, steps, losses),
        **memory_fields(arguments, before, peak),
        "versions": versions("torch", "transformers"),
    }))


if __name__ == "__main__":
    main()
