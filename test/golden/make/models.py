"""Two tiny random Gemma 3 models, written as transformers writes them, each with its config in new and old field names."""
import json
import math

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig

from .files import write_json

COMMON = dict(
    max_position_embeddings=128, rms_norm_eps=1e-6, attention_bias=False, attention_dropout=0.0,
    hidden_activation="gelu_pytorch_tanh", tie_word_embeddings=True, pad_token_id=0, eos_token_id=1, bos_token_id=2,
)
SHAPES = {
    # FunctionGemma's proportions: four query heads on one key head, q wider than the hidden size, scalar = head_dim.
    "tiny": dict(
        vocab_size=384, hidden_size=48, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=1, head_dim=16, query_pre_attn_scalar=16, sliding_window=8,
        layer_types=["sliding_attention", "full_attention"] * 2,
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 1_000_000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        },
    ),
    # Odd everything: sizes that fill no vector register, two key heads, a scalar that is not head_dim, scaled global
    # rope, layer types without a period.
    "gqa": dict(
        vocab_size=211, hidden_size=42, intermediate_size=70, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, head_dim=22, query_pre_attn_scalar=30, sliding_window=5,
        layer_types=["full_attention", "sliding_attention", "sliding_attention"],
        rope_parameters={
            "full_attention": {"rope_type": "linear", "rope_theta": 1_000_000.0, "factor": 8.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        },
    ),
}
# What writers before transformers 5 put in place of `rope_parameters`, `dtype` and (the oldest) `layer_types`.
OLD_FIELDS = {
    "tiny": {"rope_theta": 1_000_000.0, "rope_local_base_freq": 10_000.0, "rope_scaling": None, "sliding_window_pattern": 2},
    "gqa": {"rope_theta": 1_000_000.0, "rope_local_base_freq": 10_000.0, "rope_scaling": {"rope_type": "linear", "factor": 8.0}},
}


def make_model(name):
    """float32; every weight random, the norms' too, and of a size at which logits and attention are far from uniform.

    Small embeddings and a large final norm: else a tied model mostly repeats its last token, and greedy ids test little.
    """
    torch.manual_seed(0)
    model = Gemma3ForCausalLM(Gemma3TextConfig(**COMMON, **SHAPES[name])).float().eval()
    generator = torch.Generator().manual_seed(len(name))
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=generator)
            if "embed_tokens" in parameter_name:
                values *= 0.06
            elif parameter.dim() == 1:
                values = 0.3 * values + (2.0 if parameter_name == "model.norm.weight" else 0.0)
            else:
                values *= 1.2 / math.sqrt(parameter.shape[1])
            parameter.copy_(values)
    model.generation_config.eos_token_id = [1]
    return model


def write_model(folder, name, model):
    """`tiny` in one file, `gqa` in shards of at most 64 kB; `config.old.json` must mean the same to transformers."""
    for stale in folder.glob("model*"):
        stale.unlink()
    model.save_pretrained(folder, max_shard_size="64KB" if name == "gqa" else "1GB")
    config = json.loads((folder / "config.json").read_text())
    old = {key: value for key, value in config.items() if key not in ("rope_parameters", "dtype", "use_cache")}
    old |= {"transformers_version": "4.50.0", "torch_dtype": "float32", **OLD_FIELDS[name]}
    if "sliding_window_pattern" in old:
        del old["layer_types"]
    write_json(folder / "config.old.json", old)

    ids = torch.tensor([[2, *range(10, 30)]])
    from_new = AutoModelForCausalLM.from_pretrained(folder)
    from_old = AutoModelForCausalLM.from_pretrained(folder, config=Gemma3TextConfig.from_dict(dict(old)))
    with torch.no_grad():
        expected = model(ids).logits
        assert torch.equal(from_new(ids).logits, expected), f"{name}: config.json does not give the saved model back"
        assert torch.equal(from_old(ids).logits, expected), f"{name}: config.old.json means another model"
    tensors = {key for file in folder.glob("model*.safetensors") for key in load_file(file)}
    assert "lm_head.weight" not in tensors and len(tensors) == len(list(model.parameters()))
