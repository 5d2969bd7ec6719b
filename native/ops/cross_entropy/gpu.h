#pragma once
#include "core/tensor.h"
#include "gpu/context.h"

namespace gt::gpu {

// V is a multiple of 8; targets [R] on the host.
struct CrossEntropy {
  // logits [R, V], float32 or bfloat16
  void (*forward)(Context&, float* loss, float* entropy, int32_t* correct, const void* logits, DType type, const int32_t* targets, int64_t R, int64_t V);
  // logits [R, V] = x [R, C] · weight [V, C]ᵀ; then dx (=) and dweight (+=). C is a multiple of 8.
  void (*linear)(Context&, float* loss, float* entropy, int32_t* correct, bf16* dx, float* dweight, bf16* logits, const bf16* x, const bf16* weight, const int32_t* targets, int64_t R, int64_t V, int64_t C);
};

}  // namespace gt::gpu

GT_DECLARE_GPU_TABLES(CrossEntropy, cross_entropy)
