#!/usr/bin/env python3
"""Holds the claim about fp16 containers (docs/gpu.md) against the operands of a real training pass.

  python tools/real-base/containers.py --rows build/concierge/train.jsonl [--base build/real-base] [--count 4]

A GPU without bfloat16 multiplies fp16(x * 2^s), with one power of two a tensor that puts its largest magnitude just below 2^16. Claimed:
every bfloat16 number down to 2^-32 of the largest converts exactly, smaller ones are off by at most 2^-40 of it. Here every product of
forward and backward (input, weight, gradient of the output) of transformers' model on some training rows is rounded to bfloat16 and
converted so. Printed for each kind of product: the largest magnitude of any number, the share of numbers that do not convert exactly, their largest
error as a power of two of the tensor's largest; and what naive fp16 would have made infinite or zero. Exit status 1 where the claim does not hold.
"""
import argparse
import json
import math
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from golden import render

ROOT = Path(__file__).resolve().parents[2]


class Seen:
    """What was met of one kind of operand."""

    def __init__(self):
        self.largest, self.worst = 0.0, 0.0
        self.count = self.inexact = self.overflow = self.vanish = self.broken = 0

    def add(self, tensor):
        x = tensor.detach().to(torch.bfloat16).double().numpy().ravel()
        top = np.abs(x).max()
        if top == 0:
            return
        scale = 2.0 ** (15 - math.floor(math.log2(top)))  # the largest becomes [2^15, 2^16)
        error = np.abs((x * scale).astype(np.float16).astype(np.float64) / scale - x)
        self.largest = max(self.largest, top)
        self.count += x.size
        self.inexact += int((error > 0).sum())
        self.worst = max(self.worst, error.max() / top)
        # The claim, number by number.
        self.broken += int(((error > 0) & (np.abs(x) >= 2.0**-32 * top)).sum()) + int((error > 2.0**-40 * top).sum())
        with np.errstate(over="ignore"):
            naive = x.astype(np.float16)
        self.overflow += int(np.isinf(naive).sum())
        self.vanish += int(((naive == 0) & (x != 0)).sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, default=ROOT / "build/real-base")
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--count", type=int, default=4)
    arguments = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(arguments.base)
    model = AutoModelForCausalLM.from_pretrained(arguments.base, dtype=torch.float32)
    seen = defaultdict(Seen)

    def watch(kind, linear):
        def forward(module, inputs, output):
            seen[f"{kind} x"].add(inputs[0])
            output.register_hook(lambda gradient: seen[f"{kind} dy"].add(gradient))

        seen[f"{kind} weight"].add(linear.weight)
        linear.register_forward_hook(forward)

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            watch(name.split(".")[-1], module)
    residual = 0.0

    def largest_residual(module, inputs, output):
        nonlocal residual
        residual = max(residual, float((output[0] if isinstance(output, tuple) else output).detach().abs().max()))

    for layer in model.model.layers:
        layer.register_forward_hook(largest_residual)

    for line in arguments.rows.read_text().splitlines()[: arguments.count]:
        prompt, answer = render(tokenizer, json.loads(line))
        ids = torch.tensor([prompt + answer])
        labels = torch.tensor([[-100] * len(prompt) + answer])
        model(ids, labels=labels, use_cache=False).loss.backward()
        model.zero_grad()

    print("| operand | largest | not exact | largest error / largest number | naive fp16: infinite | naive fp16: zero |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, s in sorted(seen.items()):
        worst = f"2^{math.log2(s.worst):.1f}" if s.worst else "0"
        print(f"| {name} | {s.largest:.3g} | {s.inexact / s.count:.2e} | {worst} | {s.overflow / s.count:.2e} | {s.vanish / s.count:.2e} |")
    print(f"\nlargest magnitude of the residual stream: {residual:.4g}")
    broken = sum(s.broken for s in seen.values())
    print(f"numbers against the claim: {broken} of {sum(s.count for s in seen.values()):,}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
