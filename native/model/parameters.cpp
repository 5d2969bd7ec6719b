#include "model/parameters.h"

namespace gt {

// Each tensor starts at a multiple of 32 elements (64 bytes of bfloat16), unless it is `joined` to the one before it.
int64_t ParameterTable::add(const std::string& name, std::vector<int64_t> shape, bool decay, bool joined) {
  if (!joined) total_ = (total_ + 31) / 32 * 32;
  int64_t count = 1;
  for (int64_t d : shape) count *= d;
  rows_.push_back({name, std::move(shape), total_, count, decay});
  total_ += count;
  return total_ - count;
}

ParameterTable::ParameterTable(const Config& config) : config_(config) {
  const Config& c = config_;
  c.validate();
  layers_.resize(size_t(c.num_layers));
  auto prefix = [](int64_t l) { return "model.layers." + std::to_string(l) + "."; };

  embedding_ = add("model.embed_tokens.weight", {c.vocab_size, c.hidden_size}, true);
  for (int64_t l = 0; l < c.num_layers; l++) {
    LayerOffsets& at = layers_[size_t(l)];
    const std::string p = prefix(l);
    at.qkv = add(p + "self_attn.q_proj.weight", {c.num_heads * c.head_dim, c.hidden_size}, true);
    add(p + "self_attn.k_proj.weight", {c.num_kv_heads * c.head_dim, c.hidden_size}, true, true);
    add(p + "self_attn.v_proj.weight", {c.num_kv_heads * c.head_dim, c.hidden_size}, true, true);
    at.o = add(p + "self_attn.o_proj.weight", {c.hidden_size, c.num_heads * c.head_dim}, true);
    at.gate_up = add(p + "mlp.gate_proj.weight", {c.intermediate_size, c.hidden_size}, true);
    add(p + "mlp.up_proj.weight", {c.intermediate_size, c.hidden_size}, true, true);
    at.down = add(p + "mlp.down_proj.weight", {c.hidden_size, c.intermediate_size}, true);
  }
  total_ = decayed_ = (total_ + 31) / 32 * 32;
  for (int64_t l = 0; l < c.num_layers; l++) {
    LayerOffsets& at = layers_[size_t(l)];
    const std::string p = prefix(l);
    at.input_norm = add(p + "input_layernorm.weight", {c.hidden_size}, false);
    at.q_norm = add(p + "self_attn.q_norm.weight", {c.head_dim}, false);
    at.k_norm = add(p + "self_attn.k_norm.weight", {c.head_dim}, false);
    at.post_attention_norm = add(p + "post_attention_layernorm.weight", {c.hidden_size}, false);
    at.pre_feedforward_norm = add(p + "pre_feedforward_layernorm.weight", {c.hidden_size}, false);
    at.post_feedforward_norm = add(p + "post_feedforward_layernorm.weight", {c.hidden_size}, false);
  }
  final_norm_ = add("model.norm.weight", {c.hidden_size}, false);
  total_ = (total_ + 31) / 32 * 32;
}

ParameterTable::Layer ParameterTable::layer(void* arena, DType t, int64_t l) const {
  const LayerOffsets& at = layers_[size_t(l)];
  const Config& c = config_;
  const int64_t C = c.hidden_size, HD = c.num_heads * c.head_dim, KD = c.num_kv_heads * c.head_dim;
  return {
      .input_norm = view(arena, t, at.input_norm, {C}),
      .qkv = view(arena, t, at.qkv, {HD + 2 * KD, C}),
      .q_norm = view(arena, t, at.q_norm, {c.head_dim}),
      .k_norm = view(arena, t, at.k_norm, {c.head_dim}),
      .o = view(arena, t, at.o, {C, HD}),
      .post_attention_norm = view(arena, t, at.post_attention_norm, {C}),
      .pre_feedforward_norm = view(arena, t, at.pre_feedforward_norm, {C}),
      .gate_up = view(arena, t, at.gate_up, {2 * c.intermediate_size, C}),
      .down = view(arena, t, at.down, {C, c.intermediate_size}),
      .post_feedforward_norm = view(arena, t, at.post_feedforward_norm, {C}),
  };
}

}  // namespace gt
