"""transformers' Gemma 3 in float64 throughout, as the value that every rounding error is measured against.

`model.double()` alone is not enough: RMSNorm and rope compute in float32 whatever the weights are, and the embedding
scale was rounded to float32 when the model was built. The attention is torch's own, which stays in float64.
"""
import copy
from unittest.mock import patch

import torch
from transformers.models.gemma3 import modeling_gemma3 as gemma3


def exact_norm(self, x):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * (1.0 + self.weight)


def exact_rope(self, x, position_ids, layer_type):
    parameters = self.config.rope_parameters[layer_type]
    exponent = torch.arange(0, self.config.head_dim, 2, dtype=torch.float64) / self.config.head_dim
    frequency = parameters["rope_theta"] ** -exponent / parameters.get("factor", 1.0)
    angle = position_ids[:, :, None].double() * frequency
    angle = torch.cat((angle, angle), dim=-1)
    return angle.cos(), angle.sin()


def in_float64(model, compute):
    """compute(model) on a float64 copy of the float32 model."""
    exact = copy.deepcopy(model).double()
    exact.model.embed_tokens.embed_scale = torch.tensor(exact.config.hidden_size, dtype=torch.float64).sqrt()
    with patch.object(gemma3.Gemma3RMSNorm, "forward", exact_norm), patch.object(gemma3.Gemma3RotaryEmbedding, "forward", exact_rope):
        return compute(exact)
