// The model: weights and the pass over a batch, forward and backward. Reads as the architecture does: embed, blocks, head.
#pragma once
#include <functional>

#include "comm/communicator.h"
#include "model/activations.h"
#include "model/block.h"
#include "model/head.h"
#include "model/parameters.h"

namespace gt {

// Packed sequences on the host: sequence i is tokens[starts[i] .. starts[i + 1]).
struct Batch {
  const int32_t* tokens;
  int64_t T;
  const int32_t* starts;
  int64_t S;
  const int32_t* targets;  // [T], -100 = none; null where no loss is wanted
};

// How a training pass runs.
struct Pass {
  Keep keep = Keep::all;  // inputs, most or all, less and less of it recomputed. Same bits.
  // Not null: the vocabulary is cut between these ranks (model/vocabulary.h) and the pass is collective: every rank calls accumulate with its own batch,
  // which may be empty (T = 0).
  comm::Communicator* split = nullptr;
  // With a split: called before each layer's forward, from the first to the last, when none of its matrices has been read yet, on a rank without tokens too.
  std::function<void(int64_t layer)> needs;
  // Hears of elements [first, end) of the gradient to which this pass adds nothing more, as soon as that is queued: each layer's matrices from the last layer to
  // the first, then all norms, then the embedding. Always the same ranges in the same order, also for a pass that has nothing to learn.
  std::function<void(int64_t first, int64_t end)> complete;
};

class Gemma {
 public:
  // dtype: float32 or bfloat16. `master`: keep float32 masters (bfloat16 weights get their int16 remainders), for training.
  Gemma(const Config& config, DType dtype, Device& device, bool master);

  const Config& config() const { return config_; }
  const ParameterTable& table() const { return table_; }
  DType dtype() const { return dtype_; }
  Device& device() { return device_; }

  // The flat arenas: weights [table().total()] of dtype, remainders int16 or empty.
  Tensor weights() const { return Tensor(weights_.data(), dtype_, {table_.total()}); }
  Tensor remainders() const { return remainders_.data() ? Tensor(remainders_.data(), DType::i16, {table_.total()}) : Tensor(); }

  // Forward only.
  Metrics score(const Batch& batch, float* logprobs);
  // Forward and backward: adds to `gradients` [table().total()], an arena in table order, float32 or on the CPU bfloat16. The gradient is that
  // of the sum over targets.
  Metrics accumulate(const Batch& batch, const Tensor& gradients, const Pass& pass);
  // Memory that accumulate takes for a batch of that many tokens and targets; with a split, where each of so many ranks has as many.
  int64_t pass_bytes(int64_t tokens, int64_t targets, Keep keep, int ranks = 1) const;

  // Embeds `ids` and runs all blocks with a caller's attention: what score, accumulate and generate share. x[L] holds the result.
  void blocks(Activations& a, const Tensor& ids, const std::function<void(int64_t layer, LayerActivations&)>& attend) {
    embed(a.x[0], ids);
    blocks(a, attend, {});
  }
  HeadWeights head_weights() const;
  // Refuses a batch whose starts are not those of S packed sequences, and prepares for its longest one.
  void check(const Batch& batch);
  // Makes rope tables for sequences of up to `longest` tokens.
  void reserve_positions(int64_t longest);

  Buffer& activation_memory() { return activation_memory_; }
  Buffer& head_memory() { return head_memory_; }
  int64_t activation_bytes() const { return activation_memory_.bytes() + head_memory_.bytes() + split_memory_.bytes(); }

 private:
  // Room for a pass over the batch, with its positions filled in.
  Activations activations(const Batch& batch, Keep keep);
  // From x[0] on; `before` hears of each layer (Pass::needs).
  void blocks(Activations& a, const std::function<void(int64_t layer, LayerActivations&)>& attend, const std::function<void(int64_t layer)>& before);
  void forward(Activations& a, const Packing& packing, const Batch& batch);
  Metrics accumulate_split(const Batch& batch, const Tensor& gradients, const Pass& pass);
  void backward(Activations& a, const Packing& packing, const Tensor& gradients, const Pass& pass);
  const Rope& rope(int64_t layer) const { return config_.full_attention[size_t(layer)] ? full_rope_ : local_rope_; }
  void embed(const Tensor& x, const Tensor& ids);
  void attend(const Packing& packing, int64_t layer, LayerActivations& a);
  NextNorm next_norm(const Activations& a, int64_t layer, const Tensor& gradients) const;
  float embedding_scale() const;

  Config config_;
  ParameterTable table_;
  DType dtype_;
  Device& device_;
  Buffer weights_, remainders_, rope_memory_, activation_memory_, head_memory_, split_memory_;
  Rope full_rope_, local_rope_;
  int64_t positions_ = 0;  // rows of the rope tables
};

// positions[t] of each token in its sequence
std::vector<int32_t> positions_of(const Batch& batch);

}  // namespace gt
