#!/usr/bin/env python3
"""Does transformers read a model folder that gemmatune wrote, and compute the same? Compares log-probabilities with those of `gemmatune score`:

  npx gemmatune score --model FOLDER --dtype float32 --in rows.jsonl --out scores.jsonl
  python test/golden/check_folder.py FOLDER rows.jsonl scores.jsonl

Rows are {"input_ids": [...]}. Prints the largest difference; exits with 1 above 1e-4 or if a weight is missing or left over.
"""
import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

folder, rows, scores = sys.argv[1:]
model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
unmatched = {kind: names for kind, names in info.items() if names}
worst = 0.0
for row, score in zip(Path(rows).read_text().splitlines(), Path(scores).read_text().splitlines(), strict=True):
    ids = torch.tensor([json.loads(row)["input_ids"]])
    with torch.no_grad():
        logprobs = torch.log_softmax(model(ids).logits, -1)[0, :-1].gather(-1, ids[0, 1:, None])[:, 0]
    ours = torch.tensor([p for p in json.loads(score)["logprobs"] if p is not None])
    worst = max(worst, (logprobs - ours).abs().max().item())
print(f"largest difference {worst:.2e}; weights missing or left over: {unmatched or 'none'}")
sys.exit(worst > 1e-4 or bool(unmatched))
