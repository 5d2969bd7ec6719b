#!/usr/bin/env python3
"""Writes test/golden/real: what transformers computes on the real base, for `npm run test:real`.

  node tools/settings/concierge/make.mjs build/concierge
  python tools/real-base/golden.py --rows build/concierge/eval.jsonl [--base build/real-base]

Fifty requests written by hand, each with the function it means and the three that follow it in the list; the gold call as the answer.

  prompts.json         sha256 of the weights; per row its index, ids of prompt and answer (rendered by transformers with FunctionGemma's template)
  forward.safetensors  logprobs.<i>: float32, log p(ids[t + 1]) for every t. For the first PROBED rows also logits of ids drawn at random:
                       targets.<i> [DRAWS, length - 1] and probed.<i>, their float32 log-probabilities; truth.<i>: logprobs in float64
  forward.json         PyTorch's own errors against float64 for those rows, in float32 and bfloat16: root mean square and largest, of log-probabilities
  generation.json      greedy ids in float32, and by how much each was ahead of the second, in logits
"""
import argparse
import copy
import hashlib
import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/golden"))
from make.files import write_arrays, write_json  # noqa: E402
from make.truth import in_float64  # noqa: E402

COUNT, PROBED, DRAWS, NEW_TOKENS, OFFERED = 50, 6, 8, 64, 4
DEVELOPER = "You are a model that can do function calling with the following functions"


def offered(row):
    """The row's own function and those that follow it, in the order of the list."""
    tools = row["hf_tools"]
    own = next(i for i, tool in enumerate(tools) if tool["function"]["name"] == row["tool_name"])
    kept = sorted((own + k) % len(tools) for k in range(OFFERED))
    return [tools[i] for i in kept]


def render(tokenizer, row):
    """ids of prompt and answer"""
    messages = [{"role": "developer", "content": DEVELOPER}, {"role": "user", "content": row["user_content"]}]
    call = {"type": "function", "function": {"name": row["tool_name"], "arguments": json.loads(row["tool_arguments"])}}
    options = {"tools": offered(row), "tokenize": True, "return_dict": False}
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, **options)
    whole = tokenizer.apply_chat_template([*messages, {"role": "assistant", "tool_calls": [call]}], **options)
    assert whole[: len(prompt)] == prompt
    return prompt, whole[len(prompt) :]


def logprobs(model, ids):
    """All log-probabilities [length - 1, vocabulary] of the next token. In double from the model's own logits: a float32 log_softmax over 262,144
    ids is off by 7e-5, all in one direction."""
    with torch.no_grad():
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, :-1]
    return torch.log_softmax(logits.double(), -1)


def of_targets(all_logprobs, targets):
    return all_logprobs.gather(1, targets[:, None])[:, 0]


def greedy(model, prompt):
    """→ new ids, the lead of each over the second"""
    out = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=NEW_TOKENS, pad_token_id=0,
                         output_logits=True, return_dict_in_generate=True)
    top = torch.cat(out.logits).topk(2).values
    return out.sequences[0, len(prompt) :].tolist(), [round(lead, 5) for lead in (top[:, 0] - top[:, 1]).tolist()]


def write_forward(folder, model, sequences):
    generator = torch.Generator().manual_seed(17)
    arrays = {}
    for i, ids in enumerate(sequences):
        every = logprobs(model, ids)
        arrays[f"logprobs.{i}"] = of_targets(every, torch.tensor(ids[1:])).float()
        if i < PROBED:
            targets = torch.randint(0, every.shape[1], (DRAWS, len(ids) - 1), generator=generator)
            arrays[f"targets.{i}"] = targets.int()
            arrays[f"probed.{i}"] = torch.stack([of_targets(every, draw) for draw in targets]).float()
        print(f"forward {i}: {len(ids)} tokens", file=sys.stderr, flush=True)

    def six(model):
        return [of_targets(logprobs(model, ids), torch.tensor(ids[1:])) for ids in sequences[:PROBED]]

    truths = in_float64(model, six)
    arrays.update({f"truth.{i}": truth for i, truth in enumerate(truths)})
    write_arrays(folder / "forward.safetensors", arrays)

    def errors(computed):
        differences = [a.double() - truth for a, truth in zip(computed, truths)]
        return [{"rms": d.square().mean().sqrt().item(), "largest": d.abs().max().item()} for d in differences]

    write_json(folder / "forward.json", {
        "float32": errors([arrays[f"logprobs.{i}"] for i in range(PROBED)]),
        "bfloat16": errors(six(copy.deepcopy(model).to(torch.bfloat16))),
    })


def write_generation(folder, model, prompts):
    model.generation_config.eos_token_id = None  # all tokens are wanted, whatever they are
    rows = []
    for i, prompt in enumerate(prompts):
        ids, leads = greedy(model, prompt)
        rows.append({"greedy": ids, "leads": leads})
        print(f"greedy {i}: least lead {min(leads)}", file=sys.stderr, flush=True)
    write_json(folder / "generation.json", {"maxNewTokens": NEW_TOKENS, "rows": rows})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, default=ROOT / "build/real-base")
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "test/golden/real")
    parser.add_argument("--parts", nargs="*", choices=("forward", "generation"), default=("forward", "generation"), help="what to remake")
    arguments = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(arguments.base)
    rows = [json.loads(line) for line in arguments.rows.read_text().splitlines()][:COUNT]
    rendered = [render(tokenizer, row) for row in rows]
    write_json(arguments.out / "prompts.json", {
        "weights": hashlib.sha256((arguments.base / "model.safetensors").read_bytes()).hexdigest(),
        "rows": [{"row": i, "prompt": prompt, "answer": answer} for i, (prompt, answer) in enumerate(rendered)],
    })
    model = AutoModelForCausalLM.from_pretrained(arguments.base, dtype=torch.float32)
    if "forward" in arguments.parts:
        write_forward(arguments.out, model, [prompt + answer for prompt, answer in rendered])
    if "generation" in arguments.parts:
        write_generation(arguments.out, model, [prompt for prompt, _ in rendered])


if __name__ == "__main__":
    main()
