#pragma once
#include "core/tensor.h"
#include "gpu/context.h"

namespace gt::gpu {

// Weights are bfloat16. A branch of a block is bfloat16, the residual stream float32: so are x and dx of the norms that read them.
// C is a multiple of 8.
struct Rmsnorm {
  // y [T, C] = x rstd (1 + weight); x float32 or bfloat16
  void (*forward)(Context&, bf16* y, float* rstd, const void* x, DType x_type, const bf16* weight, int64_t T, int64_t C, float eps);
  // out [T, C] = residual + x rstd (1 + weight)
  void (*residual_forward)(Context&, float* out, float* rstd, const float* residual, const bf16* x, const bf16* weight, int64_t T, int64_t C, float eps);
  void (*branch_backward)(Context&, bf16* dx, float* dweight, const float* dy, const bf16* x, const bf16* weight, const float* rstd, int64_t T, int64_t C);
  void (*stream_backward)(Context&, float* dx, bool accumulate, float* dweight, const bf16* dy, const float* x, const bf16* weight, const float* rstd, int64_t T, int64_t C);

  // A branch's norm, the residual and the stream's next norm in one kernel each way.
  void (*fused_forward)(Context&, float* middle, bf16* normed, float* x_rstd, float* middle_rstd, const float* residual, const bf16* x, const bf16* weight, const bf16* next_weight, int64_t T, int64_t C, float eps);
  // dx may be dnormed
  void (*fused_backward)(Context&, bf16* dx, float* dmiddle, float* dweight, float* dnext_weight, const bf16* dnormed, const bf16* x, const bf16* weight, const float* x_rstd, const float* middle, const bf16* next_weight, const float* middle_rstd, int64_t T, int64_t C);
};

}  // namespace gt::gpu

GT_DECLARE_GPU_TABLES(Rmsnorm, rmsnorm)
