// RMSNorm with Gemma's (1 + weight) (Zhang & Sennrich 2019; transformers models/gemma3/modeling_gemma3.py Gemma3RMSNorm).
//
//   rstd[t]  = 1 / sqrt(mean_c x[t, c]² + eps)
//   y[t, c]  = x[t, c] · rstd[t] · (1 + weight[c])
//
// Statistics, product and sums are float32 whatever the dtypes; y is rounded once. x, y: float32 or bfloat16, weight likewise.
// `residual_` form: out[t, c] = residual[t, c] + y[t, c], with residual and out float32 (they may be the same buffer).
//
// Backward: with g = dy · (1 + weight),  dx = rstd · (g - x · rstd² · mean_c(g · x));  dweight[c] += sum_t dy · x · rstd.
// dx: `accumulate` false writes (=), true adds (+=); it may be float32 or bfloat16 (accumulate needs float32). dweight: float32, +=,
// summed over fixed blocks of rows in block order, so that the thread count does not matter.
#pragma once
#include "core/device.h"
#include "core/tensor.h"

namespace gt {

// y [T, C], rstd float32 [T], x [T, C], weight [C]
void rmsnorm_forward(Device& device, const Tensor& y, const Tensor& rstd, const Tensor& x, const Tensor& weight, float eps);

// out float32 [T, C] = residual float32 [T, C] + rmsnorm(x)
void rmsnorm_residual_forward(Device& device, const Tensor& out, const Tensor& rstd, const Tensor& residual, const Tensor& x, const Tensor& weight, float eps);

// dx [T, C], dweight float32 [C], dy [T, C] (float32 or bfloat16)
void rmsnorm_backward(Device& device, const Tensor& dx, bool accumulate, const Tensor& dweight, const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& rstd);

}  // namespace gt
