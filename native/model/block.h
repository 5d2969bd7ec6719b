// One transformer block of Gemma 3: norm, attention, norm, residual; norm, feed-forward, norm, residual.
#pragma once
#include <functional>

#include "core/device.h"
#include "model/activations.h"
#include "model/parameters.h"

namespace gt {

// What the attention of a block needs besides q, k and v.
struct Packing {
  Tensor starts;     // int32 [S + 1] on the host
  Tensor positions;  // int32 [T]
};

struct Rope {
  Tensor cos, sin;  // float32 [P, D/2]
};

// Fills a.attended (and a.lse where backward follows) from a.q, a.k and the values in a.qkv.
using Attend = std::function<void(LayerActivations& a)>;

// The norm that reads a block's output: the next block's input norm. It is one kernel with the end of this block, forward and backward;
// the last block has none, since the head norms supervised rows only.
struct NextNorm {
  Tensor weight, dweight;  // [C]; dweight in backward only
  Tensor normed, rstd;     // normed in forward only
  explicit operator bool() const { return bool(weight); }
};

// a.input_normed and a.input_rstd = norm(x_in): for the first block of a pass, and where a block is recomputed.
void input_norm_forward(Device& device, const Config& config, const ParameterTable::Layer& w, const Tensor& x_in, LayerActivations& a);

// x_out = block(x_in), where a.input_normed is there already; both float32 [T, C], different buffers.
void block_forward(Device& device, const Config& config, const ParameterTable::Layer& w, const Rope& rope, const Tensor& positions, const Tensor& x_in, const Tensor& x_out, LayerActivations& a, const Attend& attend, const NextNorm& next);

// With Keep::most: makes again what norms, rope and GeGLU made, from what was kept. Same bits.
void block_recompute_elementwise(Device& device, const Config& config, const ParameterTable::Layer& w, const Rope& rope, const Tensor& positions, const Tensor& x_in, LayerActivations& a);

// In: g.dx is the gradient of x_out but for what came through `next`, and g.dbranch, where there is a next norm, that of its output.
// Out: the same of x_in and its norm. Parameter gradients are added to `dw`, and to next.dweight. Overwrites a.gate_up.
void block_backward(Device& device, const Config& config, int64_t layer, const ParameterTable::Layer& w, const ParameterTable::Layer& dw, const Rope& rope, const Packing& packing, const Tensor& x_out, LayerActivations& a, LayerGradients& g, const NextNorm& next);

// Ends the backward pass below the first block: g.dx becomes the gradient of x_in.
void input_norm_backward(Device& device, const ParameterTable::Layer& w, const ParameterTable::Layer& dw, const Tensor& x_in, const LayerActivations& a, LayerGradients& g);

}  // namespace gt
