#include "model/gemma.h"

#include "ops/attention/attention.h"
#include "ops/embedding/embedding.h"
#include "ops/qk_norm_rope/qk_norm_rope.h"

namespace gt {

Gemma::Gemma(const Config& config, DType dtype, Device& device, bool master) : config_(config), table_(config), dtype_(dtype), device_(device) {
  require(dtype == DType::f32 || dtype == DType::bf16, Code::kArgument, "dtype is ", name_of(dtype), ", expected float32 or bfloat16");
  weights_ = Buffer(device, table_.total() * size_of(dtype));
  if (master && dtype == DType::bf16) remainders_ = Buffer(device, table_.total() * size_of(DType::i16));
}

void Gemma::reserve_positions(int64_t longest) {
  require(longest <= config_.max_position_embeddings, Code::kShape, "a sequence reaches ", longest, " tokens, expected at most ", config_.max_position_embeddings, " (max_position_embeddings)");
  if (positions_ >= longest) return;
  positions_ = std::min(config_.max_position_embeddings, std::max<int64_t>(512, 2 * longest));
  Arena arena;
  for (Rope* r : {&full_rope_, &local_rope_})
    for (Tensor* t : {&r->cos, &r->sin}) arena.add(t, DType::f32, {positions_, config_.head_dim / 2});
  arena.allocate(device_, rope_memory_);
  rope_table(full_rope_.cos, full_rope_.sin, config_.rope_theta, config_.rope_factor);
  rope_table(local_rope_.cos, local_rope_.sin, config_.rope_local_theta, 1);
}

// √C, rounded to the weights' type as transformers does: 25.25 and not 25.298 in bfloat16 at C = 640.
float Gemma::embedding_scale() const {
  float scale = float(std::sqrt(double(config_.hidden_size)));
  return dtype_ == DType::bf16 ? to_float(to_bf16(scale)) : scale;
}

HeadWeights Gemma::head_weights() const {
  return {table_.final_norm(weights_.data(), dtype_), table_.embedding(weights_.data(), dtype_)};
}

std::vector<int32_t> positions_of(const Batch& batch) {
  std::vector<int32_t> positions(size_t(batch.T));
  for (int64_t s = 0; s < batch.S; s++)
    for (int32_t t = batch.starts[s]; t < batch.starts[s + 1]; t++) positions[size_t(t)] = t - batch.starts[s];
  return positions;
}

void Gemma::check(const Batch& b) {
  require(b.T > 0 && b.S > 0, Code::kArgument, "batch is empty: ", b.T, " tokens in ", b.S, " sequences");
  require(b.starts[0] == 0 && b.starts[b.S] == b.T, Code::kShape, "starts run from ", b.starts[0], " to ", b.starts[b.S], ", expected 0 to ", b.T, " (the number of tokens)");
  int64_t longest = 0;
  for (int64_t s = 0; s < b.S; s++) {
    int64_t length = int64_t(b.starts[s + 1]) - b.starts[s];
    require(length > 0, Code::kShape, "sequence ", s, " has ", length, " tokens, expected at least 1");
    longest = std::max(longest, length);
  }
  reserve_positions(longest);
}

void Gemma::embed(const Tensor& x, const Tensor& ids) {
  embedding_forward(device_, x, table_.embedding(weights_.data(), dtype_), ids, embedding_scale());
}

void Gemma::block(int64_t layer, const Tensor& positions, const Tensor& x_in, const Tensor& x_out, LayerActivations& a, const Attend& attend) {
  block_forward(device_, config_, table_.layer(weights_.data(), dtype_, layer), rope(layer), positions, x_in, x_out, a, attend);
}

Attend Gemma::full_sequence(const Packing& packing, int64_t layer) {
  return [this, &packing, layer](LayerActivations& a) {
    attention_forward(device_, a.attended, a.lse, a.q, a.k, a.qkv, packing.starts, config_.attention_scale(), config_.window(layer));
  };
}

Activations Gemma::activations(const Batch& batch, Keep keep) {
  Activations a = make_activations(device_, activation_memory_, config_, dtype_, batch.T, keep);
  const std::vector<int32_t> positions = positions_of(batch);
  device_.copy_from_host(a.positions.data, positions.data(), positions.size() * 4);
  return a;
}

void Gemma::forward(Activations& a, const Packing& packing, const Batch& batch) {
  embed(a.x[0], host_ids(batch.tokens, batch.T));
  for (int64_t l = 0; l < config_.num_layers; l++) block(l, packing.positions, a.x[size_t(l)], a.x[size_t(l) + 1], a.layers[size_t(l)], full_sequence(packing, l));
}

Metrics Gemma::score(const Batch& batch, float* logprobs) {
  check(batch);
  const Supervised supervised = supervised_rows(batch.targets, batch.T, config_.vocab_size);
  Activations a = activations(batch, Keep::none);
  forward(a, {host_ids(batch.starts, batch.S + 1), a.positions}, batch);
  return head_forward(device_, head_memory_, config_, head_weights(), a.x.back(), supervised, logprobs);
}

Metrics Gemma::accumulate(const Batch& batch, void* gradients, bool checkpointing) {
  check(batch);
  const Supervised supervised = supervised_rows(batch.targets, batch.T, config_.vocab_size);
  if (supervised.rows.empty()) return {};  // nothing to learn: the gradient is zero
  Activations a = activations(batch, checkpointing ? Keep::inputs : Keep::all);
  const Packing packing{host_ids(batch.starts, batch.S + 1), a.positions};
  forward(a, packing, batch);

  const HeadWeights dhead{table_.final_norm(gradients, DType::f32), table_.embedding(gradients, DType::f32)};
  Metrics metrics = head_forward_backward(device_, head_memory_, config_, head_weights(), dhead, a.x.back(), a.gradients.dx, supervised);
  for (int64_t l = config_.num_layers - 1; l >= 0; l--) {
    LayerActivations& kept = a.layers[size_t(l)];
    // The last layer's tensors are still there. The recomputed output lands in x[l + 1], whose old value it equals bit for bit.
    if (checkpointing && l != config_.num_layers - 1) block(l, packing.positions, a.x[size_t(l)], a.x[size_t(l) + 1], kept, full_sequence(packing, l));
    block_backward(device_, config_, l, table_.layer(weights_.data(), dtype_, l), table_.layer(gradients, DType::f32, l), rope(l), packing, a.x[size_t(l)], kept, a.gradients);
  }
  embedding_backward(device_, dhead.embedding, a.gradients.dx, host_ids(batch.tokens, batch.T), embedding_scale());
  return metrics;
}

}  // namespace gt
