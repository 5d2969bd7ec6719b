// RMSNorm with Gemma's (1 + weight) (Zhang & Sennrich 2019; transformers models/gemma3/modeling_gemma3.py Gemma3RMSNorm).
//
//   rstd[t]  = 1 / sqrt(mean_c x[t, c]² + eps)
//   y[t, c]  = x[t, c] · rstd[t] · (1 + weight[c])
//
// Statistics, product and sums are float32 whatever the dtypes; y is rounded once. x, y: float32 or bfloat16, weight likewise.
// `residual_` form: out[t, c] = residual[t, c] + y[t, c], with residual and out float32 (they may be the same buffer).
//
// Backward: with g = dy · (1 + weight),  dx = rstd · (g - x · rstd² · mean_c(g · x));  dweight[c] += sum_t dy · x · rstd.
// dx: `accumulate` false writes (=), true adds (+=); it may be float32 or bfloat16 (accumulate needs float32). dweight: float32,
// on the CPU also bfloat16 (rounded once a call), +=, summed over fixed blocks of rows in block order, so that the thread count does not matter.
//
// A GPU takes what bfloat16 models are made of, C a multiple of 8: weights bfloat16; x float32 or bfloat16, y bfloat16; with residual
// x bfloat16; backward either x, dx bfloat16 and dy float32 (the norm of a branch) or x, dx float32 and dy bfloat16 (of the stream).
#pragma once
#include "core/device.h"
#include "core/tensor.h"

namespace gt {

// y [T, C], rstd float32 [T], x [T, C], weight [C]
void rmsnorm_forward(Device& device, const Tensor& y, const Tensor& rstd, const Tensor& x, const Tensor& weight, float eps);

// out float32 [T, C] = residual float32 [T, C] + rmsnorm(x)
void rmsnorm_residual_forward(Device& device, const Tensor& out, const Tensor& rstd, const Tensor& residual, const Tensor& x, const Tensor& weight, float eps);

// dx [T, C], dweight [C], dy [T, C] (float32 or bfloat16)
void rmsnorm_backward(Device& device, const Tensor& dx, bool accumulate, const Tensor& dweight, const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& rstd);

// What stands between two branches of a block, in one pass over the rows on a GPU; same bits as the two calls that it stands for:
//   middle = residual + rmsnorm(x, weight);  normed = rmsnorm(middle, next_weight)
// middle, residual float32 [T, C]; x, normed [T, C]; x_rstd, middle_rstd [T]
void rmsnorm_residual_rmsnorm_forward(Device& device, const Tensor& middle, const Tensor& normed, const Tensor& x_rstd, const Tensor& middle_rstd, const Tensor& residual, const Tensor& x, const Tensor& weight, const Tensor& next_weight, float eps);

// dmiddle float32 [T, C]: in, the gradient of `middle` from above; out, += what comes through the next norm. dx [T, C] (=): the
// gradient of x from that; it may be the same buffer as dnormed. dweight, dnext_weight [C] (+=).
void rmsnorm_residual_rmsnorm_backward(Device& device, const Tensor& dx, const Tensor& dmiddle, const Tensor& dweight, const Tensor& dnext_weight, const Tensor& dnormed, const Tensor& x, const Tensor& weight, const Tensor& x_rstd, const Tensor& middle, const Tensor& next_weight, const Tensor& middle_rstd);

}  // namespace gt
