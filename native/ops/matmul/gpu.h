#pragma once
#include "core/tensor.h"
#include "gpu/context.h"

namespace gt::gpu {

// Few tiles of a weight's gradient that sum over many tokens are split until there are about kSumBlocks blocks, four for each multiprocessor
// of a T4, of kSumTokens at least. By the shapes alone, so that every device sums in the same order.
constexpr int64_t kSumTile = 128, kSumBlocks = 160, kSumTokens = 512;

// Factors are bfloat16, y and dx bfloat16 or float32; N and K are multiples of 8.
struct Matmul {
  // y [M, N] = x [M, K] · weight [N, K]ᵀ
  void (*forward)(Context&, void* y, DType y_type, const bf16* x, const bf16* weight, int64_t M, int64_t N, int64_t K);
  // dx [M, K] = dy [M, N] · weight [N, K]
  void (*backward_input)(Context&, void* dx, DType dx_type, const bf16* dy, const bf16* weight, int64_t M, int64_t N, int64_t K);
  // dweight [N, K] += dy [M, N]ᵀ · x [M, K]
  void (*backward_weight)(Context&, float* dweight, const bf16* dy, const bf16* x, int64_t M, int64_t N, int64_t K);
};

}  // namespace gt::gpu

GT_DECLARE_GPU_TABLES(Matmul, matmul)
