"""Greedy continuations by transformers' generate, each prompt alone; a left-padded batch must give the same ids."""
import torch

from .files import write_json

MAX_NEW_TOKENS = 20


def generate(model, prompts, stop_ids):
    """New ids per prompt, the stop id that ended one included, what follows it (padding) cut."""
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    output = model.generate(
        ids, attention_mask=mask, do_sample=False, max_new_tokens=MAX_NEW_TOKENS, eos_token_id=stop_ids, pad_token_id=0
    )[:, width:].tolist()
    return [cut(row, stop_ids) for row in output]


def cut(row, stop_ids):
    end = next((i + 1 for i, token in enumerate(row) if token in stop_ids), len(row))
    return row[:end]


def smallest_margin(model, prompt, new_ids):
    """How far the chosen logit was ahead of the second: a rounding error below half of it cannot change the ids."""
    with torch.no_grad():
        logits = model(torch.tensor([prompt + new_ids])).logits[0, len(prompt) - 1 : -1]
    top = logits.topk(2).values
    return (top[:, 0] - top[:, 1]).min().item()


def write_generation(folder, model):
    generator = torch.Generator().manual_seed(11)
    window = model.config.sliding_window
    lengths = (1, 3, window - 1, window, window + 1, 2 * window + 3, 30)
    prompts = [[2, *torch.randint(3, model.config.vocab_size, (n - 1,), generator=generator).tolist()] for n in lengths]

    free = [generate(model, [prompt], [1])[0] for prompt in prompts]
    # One id that ends some rows early and lets others run to the limit, beside one that never occurs.
    seen = set(sum(free, []))
    early = next(t for t in free[3][4:] if 2 <= sum(t in row for row in free) < len(free))
    stop_ids = [1, early, next(t for t in range(3, model.config.vocab_size) if t not in seen)]
    stopped = [generate(model, [prompt], stop_ids)[0] for prompt in prompts]
    assert generate(model, prompts, [1]) == free and generate(model, prompts, stop_ids) == stopped
    margins = [smallest_margin(model, prompt, row) for prompt, row in zip(prompts, free)]
    assert min(margins) > 1e-3, f"a greedy choice is too close to call: {margins}"

    write_json(folder / "generation.json", {
        "maxNewTokens": MAX_NEW_TOKENS,
        "stopIds": stop_ids,
        "prompts": [
            {"prompt": prompt, "greedy": row, "greedyStopped": short, "smallestMargin": margin}
            for prompt, row, short, margin in zip(prompts, free, stopped, margins)
        ],
    })
