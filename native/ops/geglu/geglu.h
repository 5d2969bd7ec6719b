// GeGLU with the tanh form of GELU (Shazeer 2020; Hendrycks & Gimpel 2016; transformers gelu_pytorch_tanh).
//
//   h[t, i] = gelu(gate_up[t, i]) · gate_up[t, I + i],   gelu(x) = x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))
//
// float32 inside; h has the dtype of gate_up. Backward writes (=) both halves of dgate_up. A GPU takes bfloat16, I a multiple of 8.
#pragma once
#include "core/device.h"
#include "core/tensor.h"

namespace gt {

// h [T, I], gate_up [T, 2I]
void geglu_forward(Device& device, const Tensor& h, const Tensor& gate_up);

// dgate_up [T, 2I], dh [T, I]; dgate_up may be the same buffer as gate_up
void geglu_backward(Device& device, const Tensor& dgate_up, const Tensor& dh, const Tensor& gate_up);

}  // namespace gt
