// The table of a model's parameters: one row a tensor, in arena order. It drives loading, saving, AdamW's groups and gradient tests.
//
// All parameters lie in one flat arena, those with weight decay (matrices) first, then those without (norms). Tensors that one
// matrix product reads together are neighbours: q, k, v form [(H + 2K)·D, C], gate, up form [2I, C]. Gradients, moments and
// remainders are arenas of the same layout, so that AdamW, the norm and a reduction over ranks each are one pass.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "core/arena.h"
#include "model/config.h"

namespace gt {

struct Parameter {
  std::string name;  // as in safetensors
  std::vector<int64_t> shape;
  int64_t offset;  // in elements
  int64_t count;
  bool decay;
};

class ParameterTable {
 public:
  explicit ParameterTable(const Config& config);

  const std::vector<Parameter>& rows() const { return rows_; }
  int64_t total() const { return total_; }        // elements in an arena, padding included
  int64_t layers() const { return int64_t(layers_.size()); }
  int64_t decayed() const { return decayed_; }    // elements of the decayed part, at the front

  // The elements that hold one layer's matrices, gaps included.
  std::pair<int64_t, int64_t> matrices(int64_t layer) const {  // first, end
    const bool last = layer + 1 == int64_t(layers_.size());
    return {layers_[size_t(layer)].qkv, last ? decayed_ : layers_[size_t(layer) + 1].qkv};
  }

  // Views into an arena of this layout.
  Tensor embedding(void* arena, DType t) const { return view(arena, t, embedding_, {config_.vocab_size, config_.hidden_size}); }
  Tensor final_norm(void* arena, DType t) const { return view(arena, t, final_norm_, {config_.hidden_size}); }

  struct Layer {
    Tensor input_norm, qkv, q_norm, k_norm, o, post_attention_norm, pre_feedforward_norm, gate_up, down, post_feedforward_norm;
  };
  Layer layer(void* arena, DType t, int64_t l) const;

 private:
  struct LayerOffsets {
    int64_t input_norm, qkv, q_norm, k_norm, o, post_attention_norm, pre_feedforward_norm, gate_up, down, post_feedforward_norm;
  };
  int64_t add(const std::string& name, std::vector<int64_t> shape, bool decay, bool joined = false);
  Tensor view(void* arena, DType t, int64_t offset, std::initializer_list<int64_t> shape) const {
    return arena ? Tensor(static_cast<char*>(arena) + offset * size_of(t), t, shape) : Tensor();
  }

  Config config_;
  std::vector<Parameter> rows_;
  std::vector<LayerOffsets> layers_;
  int64_t embedding_ = 0, final_norm_ = 0, total_ = 0, decayed_ = 0;
};

}  // namespace gt
