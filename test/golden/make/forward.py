"""Logits, log-probabilities, loss and every gradient of one ragged batch, and PyTorch's own rounding errors on it."""
import copy
from contextlib import nullcontext

import torch
import torch.nn.functional as F

from .files import write_arrays, write_json
from .truth import in_float64


def ragged_batch(model):
    """Sequences shorter than, as long as and longer than the sliding window, with all kinds of label masks.

    Label 0 is never a target, so a label there must change nothing. Id 0 (pad) does not occur: nn.Embedding keeps its
    row's lookup gradient at zero.
    """
    generator = torch.Generator().manual_seed(7)
    window = model.config.sliding_window
    batch = []
    for length, masked in (
        (1, lambda t: False),  # no target at all
        (2, lambda t: False),
        (window, lambda t: t < 3),  # prompt, then answer
        (window + 1, lambda t: False),
        (3 * window + 2, lambda t: t < window or t % 4 == 0),  # gaps
        (5, lambda t: True),  # no supervised token
        (2 * window, lambda t: t != 2 * window - 1),  # the last token only
    ):
        ids = [2, *torch.randint(3, model.config.vocab_size, (length - 1,), generator=generator).tolist()]
        batch.append((ids, [-100 if masked(t) else token for t, token in enumerate(ids)]))
    return batch


def targets_of(labels):
    return sum(label != -100 for label in labels[1:])


def loss_sum(logits, labels):
    """Sum of the cross-entropies of one sequence, in float64 for float64 logits and else in float32, as transformers does."""
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return F.cross_entropy(logits[:-1], torch.tensor(labels[1:]), ignore_index=-100, reduction="sum")


def run(model, batch, context=nullcontext):
    """Each sequence alone, no padding. Gradients are of the mean over all targets, summed over sequences in the
    precision of the master copy (at least float32), so that a bf16 model is charged for its own rounding only."""
    count = sum(targets_of(labels) for _, labels in batch)
    wide = torch.float64 if model.dtype == torch.float64 else torch.float32
    gradients = {name: torch.zeros(parameter.shape, dtype=wide) for name, parameter in model.named_parameters()}
    all_logits, total = [], 0.0
    for ids, labels in batch:
        model.zero_grad()
        with context():
            logits = model(torch.tensor([ids]), use_cache=False).logits[0]
        all_logits.append(logits.detach().to(wide))
        if targets_of(labels) == 0:
            continue
        loss = loss_sum(logits, labels)
        (loss / count).backward()
        total += loss.item()
        for name, parameter in model.named_parameters():
            gradients[name] += parameter.grad.to(wide)
    model.zero_grad()
    return {"logits": all_logits, "loss": total, "count": count, "gradients": gradients}


def error(value, truth):
    """Largest absolute error, and the L2 norm of the error relative to that of the truth."""
    difference = value.double() - truth.double()
    return {"maxAbs": difference.abs().max().item(), "relativeL2": (difference.norm() / truth.double().norm()).item()}


def errors(result, truth):
    return {
        "loss": abs(result["loss"] - truth["loss"]) / truth["count"],
        "logits": error(torch.cat(result["logits"]), torch.cat(truth["logits"])),
        "gradients": {name: error(result["gradients"][name], truth["gradients"][name]) for name in truth["gradients"]},
    }


def token_metrics(logits, ids, labels):
    """Per sequence: log p(ids[t+1] | ids[..t]) for every t, and over the targets the correct guesses and the entropy."""
    log_p = logits[:-1].float().log_softmax(-1)
    following = torch.tensor(ids[1:], dtype=torch.long)
    supervised = torch.tensor([label != -100 for label in labels[1:]], dtype=torch.bool)
    entropy = -(log_p.exp() * log_p).sum(-1)
    return {
        "targets": targets_of(labels),
        "correct": int(((log_p.argmax(-1) == following) & supervised).sum()),
        "entropySum": entropy[supervised].sum().item(),
        "logprobs": log_p.gather(1, following[:, None])[:, 0].tolist(),
    }


def write_forward(folder, model):
    batch = ragged_batch(model)
    truth = in_float64(model, lambda exact: run(exact, batch))
    float32 = run(model, batch)
    bf16 = run(copy.deepcopy(model).to(torch.bfloat16), batch)
    amp = run(model, batch, lambda: torch.autocast("cpu", torch.bfloat16))
    float32_errors = errors(float32, truth)
    assert float32_errors["logits"]["maxAbs"] < 2e-5 and all(e["relativeL2"] < 2e-5 for e in float32_errors["gradients"].values())

    sequences = [
        {"ids": ids, "labels": labels, **token_metrics(logits, ids, labels)}
        for (ids, labels), logits in zip(batch, float32["logits"])
    ]
    write_json(folder / "forward.json", {
        "sequences": sequences,
        "targets": float32["count"],
        "lossSum": float32["loss"],
        "lossMean": float32["loss"] / float32["count"],
        "truth": {
            "lossSum": truth["loss"],
            "lossMean": truth["loss"] / truth["count"],
            "gradientNorms": {name: gradient.norm().item() for name, gradient in truth["gradients"].items()},
        },
        "errors": {"float32": float32_errors, "bf16": errors(bf16, truth), "amp": errors(amp, truth)},
    })
    write_arrays(folder / "forward.safetensors", {
        **{f"logits.{i}": logits for i, logits in enumerate(float32["logits"])},
        **{f"truth.logits.{i}": logits for i, logits in enumerate(truth["logits"])},
        **{f"gradient.{name}": gradient for name, gradient in float32["gradients"].items()},
    })
