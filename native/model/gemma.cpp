#include "model/gemma.h"

#include <algorithm>

#include "model/split.h"
#include "ops/attention/attention.h"
#include "ops/embedding/embedding.h"
#include "ops/qk_norm_rope/qk_norm_rope.h"

namespace gt {

// GPU kernels multiply bfloat16 (training keeps float32 masters beside it) and read rows 16 bytes at a time.
static void check_gpu_model(const Config& c, DType dtype, const Device& device) {
  require(dtype == DType::bf16, Code::kArgument, "device ", name_of(device.kind), " computes with bfloat16 weights (and float32 masters in training); dtype is ", name_of(dtype), ", expected bfloat16");
  struct Size { const char* name; int64_t value; };
  for (Size s : {Size{"vocab_size", c.vocab_size}, {"hidden_size", c.hidden_size}, {"head_dim", c.head_dim}, {"intermediate_size", c.intermediate_size}})
    require(s.value % 8 == 0, Code::kArgument, "device ", name_of(device.kind), " needs a multiple of 8 for ", s.name, ", the config has ", s.value);
  require(c.head_dim <= 256, Code::kArgument, "device ", name_of(device.kind), " takes a head_dim of up to 256, the config has ", c.head_dim);
}

Gemma::Gemma(const Config& config, DType dtype, Device& device, bool master) : config_(config), table_(config), dtype_(dtype), device_(device) {
  require(dtype == DType::f32 || dtype == DType::bf16, Code::kArgument, "dtype is ", name_of(dtype), ", expected float32 or bfloat16");
  if (!device.on_host()) check_gpu_model(config, dtype, device);
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
  std::vector<float> cos(size_t(full_rope_.cos.count())), sin(cos.size());
  auto fill = [&](const Rope& rope, double theta, double factor) {
    const Tensor &c = rope.cos, &s = rope.sin;
    rope_table(Tensor(cos.data(), DType::f32, {c.shape[0], c.shape[1]}), Tensor(sin.data(), DType::f32, {s.shape[0], s.shape[1]}), theta, factor);
    device_.copy_from_host(c.data, cos.data(), size_t(c.bytes()));
    device_.copy_from_host(s.data, sin.data(), size_t(s.bytes()));
  };
  fill(full_rope_, config_.rope_theta, config_.rope_factor);
  fill(local_rope_, config_.rope_local_theta, 1);
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

NextNorm Gemma::next_norm(const Activations& a, int64_t layer, const Tensor& gradients) const {
  if (layer + 1 == config_.num_layers) return {};
  const LayerActivations& above = a.layers[size_t(layer) + 1];
  return {table_.layer(weights_.data(), dtype_, layer + 1).input_norm, table_.layer(gradients.data, gradients.dtype, layer + 1).input_norm, above.input_normed, above.input_rstd};
}

void Gemma::blocks(Activations& a, const std::function<void(int64_t layer, LayerActivations&)>& attend, const std::function<void(int64_t layer)>& before) {
  input_norm_forward(device_, config_, table_.layer(weights_.data(), dtype_, 0), a.x[0], a.layers[0]);
  for (int64_t l = 0; l < config_.num_layers; l++) {
    if (before) before(l);
    block_forward(device_, config_, table_.layer(weights_.data(), dtype_, l), rope(l), a.positions, a.x[size_t(l)], a.x[size_t(l) + 1], a.layers[size_t(l)], [&](LayerActivations& layer) { attend(l, layer); },
                  next_norm(a, l, {}));
  }
}

void Gemma::attend(const Packing& packing, int64_t layer, LayerActivations& a) {
  attention_forward(device_, a.attended, a.lse, a.q, a.k, a.qkv, packing.starts, config_.attention_scale(), config_.window(layer));
}

Activations Gemma::activations(const Batch& batch, Keep keep) {
  Activations a = make_activations(device_, activation_memory_, config_, dtype_, batch.T, keep);
  const std::vector<int32_t> positions = positions_of(batch);
  device_.upload(a.positions.data, positions.data(), positions.size() * 4);
  return a;
}

// Pass::complete, in its order.
static void complete_layer(const Pass& pass, const ParameterTable& table, int64_t layer) {
  if (pass.complete) pass.complete(table.matrices(layer).first, table.matrices(layer).second);
}
static void complete_layers(const Pass& pass, const ParameterTable& table) {
  for (int64_t l = table.layers() - 1; l >= 0; l--) complete_layer(pass, table, l);
}
static void complete_rest(const Pass& pass, const ParameterTable& table) {
  if (!pass.complete) return;
  pass.complete(table.decayed(), table.total());
  pass.complete(0, table.matrices(0).first);
}
static void complete_all(const Pass& pass, const ParameterTable& table) { complete_layers(pass, table), complete_rest(pass, table); }

void Gemma::forward(Activations& a, const Packing& packing, const Batch& batch) {
  blocks(a, host_ids(batch.tokens, batch.T), [&](int64_t l, LayerActivations& layer) { attend(packing, l, layer); });
}

Metrics Gemma::score(const Batch& batch, float* logprobs) {
  check(batch);
  const Supervised supervised = supervised_rows(batch.targets, batch.T, config_.vocab_size);
  Activations a = activations(batch, Keep::none);
  forward(a, {host_ids(batch.starts, batch.S + 1), a.positions}, batch);
  return head_forward(device_, head_memory_, config_, head_weights(), a.x.back(), supervised, logprobs);
}

Metrics Gemma::accumulate(const Batch& batch, const Tensor& gradients, const Pass& pass) {
  if (pass.split) return accumulate_split(batch, gradients, pass);
  if (batch.T > 0) check(batch);
  const Supervised supervised = supervised_rows(batch.targets, batch.T, config_.vocab_size);
  if (supervised.rows.empty()) {  // nothing to learn: the gradient is zero
    complete_all(pass, table_);
    return {};
  }
  Activations a = activations(batch, pass.keep);
  const Packing packing{host_ids(batch.starts, batch.S + 1), a.positions};
  forward(a, packing, batch);

  const HeadWeights dhead{table_.final_norm(gradients.data, gradients.dtype), table_.embedding(gradients.data, gradients.dtype)};
  const PendingMetrics metrics = head_forward_backward(device_, head_memory_, config_, head_weights(), dhead, a.x.back(), a.gradients.dx, supervised);
  backward(a, packing, gradients, pass);
  embedding_backward(device_, dhead.embedding, a.gradients.dx, host_ids(batch.tokens, batch.T), embedding_scale());
  complete_rest(pass, table_);
  return metrics.wait();  // a GPU is in the middle of the backward pass then
}

Metrics Gemma::accumulate_split(const Batch& batch, const Tensor& gradients, const Pass& pass) {
  if (batch.T > 0) check(batch);
  const Supervised supervised = supervised_rows(batch.targets, batch.T, config_.vocab_size);
  for (int64_t t = 0; t < batch.T; t++)
    require(batch.tokens[t] >= 0 && batch.tokens[t] < config_.vocab_size, Code::kArgument, "tokens[", t, "] is ", batch.tokens[t], ", expected a token id from 0 to ", config_.vocab_size - 1);
  // A rank with nothing to learn has no part in the blocks.
  const bool takes_part = !supervised.rows.empty();
  const std::vector<int32_t> ids(batch.tokens, batch.tokens + (takes_part ? batch.T : 0));
  SplitPass split(device_, config_, *pass.split, ids, supervised);
  if (split.targets().empty()) {
    complete_all(pass, table_);
    return {};
  }
  Activations a;
  if (takes_part) a = activations(batch, pass.keep);
  const Packing packing{host_ids(batch.starts, batch.S + 1), a.positions};
  const Tensor none(nullptr, DType::f32, {0, config_.hidden_size});
  split.embed(split_memory_, takes_part ? a.x[0] : none, head_weights().embedding, embedding_scale());
  if (takes_part) blocks(a, [&](int64_t l, LayerActivations& layer) { attend(packing, l, layer); }, pass.needs);
  else if (pass.needs)
    for (int64_t l = 0; l < config_.num_layers; l++) pass.needs(l);

  const HeadWeights dhead{table_.final_norm(gradients.data, gradients.dtype), table_.embedding(gradients.data, gradients.dtype)};
  const PendingMetrics metrics = head_forward_backward(device_, head_memory_, config_, head_weights(), dhead, takes_part ? a.x.back() : none, takes_part ? a.gradients.dx : none, supervised, split);
  if (takes_part) backward(a, packing, gradients, pass);
  else complete_layers(pass, table_);
  split.embed_backward(split_memory_, dhead.embedding, takes_part ? a.gradients.dx : none, embedding_scale());
  complete_rest(pass, table_);
  return metrics.wait();
}

void Gemma::backward(Activations& a, const Packing& packing, const Tensor& gradients, const Pass& pass) {
  for (int64_t l = config_.num_layers - 1; l >= 0; l--) {
    LayerActivations& kept = a.layers[size_t(l)];
    const ParameterTable::Layer w = table_.layer(weights_.data(), dtype_, l), dw = table_.layer(gradients.data, gradients.dtype, l);
    const Tensor &x_in = a.x[size_t(l)], &x_out = a.x[size_t(l) + 1];
    if (l != config_.num_layers - 1) {  // the last layer's tensors are still there
      if (pass.keep == Keep::inputs) {
        // The recomputed output lands in x_out, whose old value it equals bit for bit.
        input_norm_forward(device_, config_, w, x_in, kept);
        block_forward(device_, config_, w, rope(l), a.positions, x_in, x_out, kept, [&](LayerActivations& layer) { attend(packing, l, layer); }, {});
      }
      if (pass.keep == Keep::most) block_recompute_elementwise(device_, config_, w, rope(l), a.positions, x_in, kept);
    }
    block_backward(device_, config_, l, w, dw, rope(l), packing, x_out, kept, a.gradients, next_norm(a, l, gradients));
    if (l == 0) input_norm_backward(device_, w, dw, x_in, kept, a.gradients);
    complete_layer(pass, table_, l);
  }
}

// What the kernels of a GPU keep between launches of one op: the head's partial dx (in 32,768 columns of logits each), weight gradients
// split over tokens (at most 320 tiles of 64 KB), attention's sums of rows.
static int64_t scratch_bytes(const Config& c, int64_t tokens, int64_t targets, int64_t vocab_size) {
  const int64_t head = targets * (c.hidden_size * 4 * ((vocab_size + 32767) / 32768) + 16);
  return std::max({head, int64_t(320) << 16, tokens * (2 * c.num_heads + c.num_kv_heads) * 4});
}

int64_t Gemma::pass_bytes(int64_t tokens, int64_t targets, Keep keep, int ranks) const {
  const int64_t slice = slice_of(config_.vocab_size, 0, ranks).count;
  const int64_t scratch = device_.on_host() ? 0 : scratch_bytes(config_, tokens, targets * ranks, ranks > 1 ? slice : config_.vocab_size);
  const int64_t embedding = ranks > 1 ? SplitPass::embedding_bytes(config_, tokens * ranks) : 0;
  return gt::activation_bytes(config_, dtype_, tokens, keep) + head_bytes(device_, config_, dtype_, targets, ranks) + scratch + embedding;
}

}  // namespace gt
