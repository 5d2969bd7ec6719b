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

// x_out = block(x_in); both float32 [T, C], different buffers.
void block_forward(Device& device, const Config& config, const ParameterTable::Layer& w, const Rope& rope, const Tensor& positions, const Tensor& x_in, const Tensor& x_out, LayerActivations& a, const Attend& attend);

// With Keep::most: makes again what norms, rope and GeGLU made, from what was kept. Same bits.
void block_recompute_elementwise(Device& device, const Config& config, const ParameterTable::Layer& w, const Rope& rope, const Tensor& positions, const Tensor& x_in, LayerActivations& a);

// g.dx holds the gradient of x_out and becomes that of x_in; parameter gradients are added to `dw`. Overwrites a.gate_up.
void block_backward(Device& device, const Config& config, int64_t layer, const ParameterTable::Layer& w, const ParameterTable::Layer& dw, const Rope& rope, const Packing& packing, const Tensor& x_in, LayerActivations& a, LayerGradients& g);

}  // namespace gt
