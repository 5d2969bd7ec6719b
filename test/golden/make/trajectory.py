"""Ten AdamW updates as Hugging Face's Trainer makes them: accumulation, clipping, decay groups, warm-up and cosine."""
import copy
import re

import torch
from transformers import get_cosine_schedule_with_warmup

from .files import write_arrays, write_json
from .forward import loss_sum, targets_of
from .truth import in_float64

STEPS, WARMUP = 10, 2
# The norm limit clips some of the updates, not all.
SETTINGS = dict(learningRate=2e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, weightDecay=0.01, maxGradNorm=12.0)
NO_DECAY = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")


def make_updates(vocabulary):
    """Per update two micro-batches of two ragged sequences, drawn from few ids so that there is something to learn."""
    generator = torch.Generator().manual_seed(5)
    draw = lambda low, high, n: torch.randint(low, high, (n,), generator=generator).tolist()
    updates = []
    for _ in range(STEPS):
        sequences = []
        for length in draw(4, 20, 4):
            ids = [2, *draw(3, min(40, vocabulary), length - 1)]
            prompt = draw(0, length - 1, 1)[0]
            sequences.append({"ids": ids, "labels": [-100] * prompt + ids[prompt:]})
        updates.append([sequences[:2], sequences[2:]])
    return updates


def train(model, updates):
    decayed = [name for name, _ in model.named_parameters() if not NO_DECAY.search(name)]
    groups = [
        {"params": [p for n, p in model.named_parameters() if n in decayed], "weight_decay": SETTINGS["weightDecay"]},
        {"params": [p for n, p in model.named_parameters() if n not in decayed], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(
        groups, lr=SETTINGS["learningRate"], betas=(SETTINGS["beta1"], SETTINGS["beta2"]), eps=SETTINGS["epsilon"], fused=True
    )
    schedule = get_cosine_schedule_with_warmup(optimizer, WARMUP, STEPS)
    rows = []
    for micro_batches in updates:
        sequences = sum(micro_batches, [])
        count = sum(targets_of(s["labels"]) for s in sequences)
        total = 0.0
        for s in sequences:
            logits = model(torch.tensor([s["ids"]]), use_cache=False).logits[0]
            loss = loss_sum(logits, s["labels"]) / count
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), SETTINGS["maxGradNorm"]).item()
        rows.append({"loss": total, "gradNorm": norm, "learningRate": schedule.get_last_lr()[0]})
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return rows, decayed, {name: p.detach().clone() for name, p in model.named_parameters()}


def write_trajectory(folder, model):
    updates = make_updates(model.config.vocab_size)
    exact_rows, _, _ = in_float64(model, lambda exact: train(exact, updates))
    rows, decayed, weights = train(copy.deepcopy(model), updates)
    assert all(abs(a["loss"] - b["loss"]) < 2e-6 * b["loss"] for a, b in zip(rows, exact_rows))
    assert len({row["gradNorm"] > SETTINGS["maxGradNorm"] for row in rows}) == 2, "the clip must act in some updates, not all"
    write_json(folder / "trajectory.json", {
        "settings": {**SETTINGS, "schedule": "cosine", "warmupSteps": WARMUP, "steps": STEPS},
        "decayed": decayed,
        "updates": updates,
        "steps": [{**row, "truthLoss": exact["loss"]} for row, exact in zip(rows, exact_rows)],
    })
    write_arrays(folder / "trajectory.safetensors", weights)
