#pragma once
#include "core/bf16.h"
#include "gpu/context.h"

namespace gt::gpu {

// T tokens; H query heads, K key heads, then K value heads, each of D numbers; D is a multiple of 8 up to 256. Pointers are the device's.
struct HeadLayout {
  int64_t T;
  int H, K, D;
};

struct QkNormRope {
  void (*forward)(Context&, bf16* q, bf16* k, float* rstd, const bf16* qkv, const bf16* q_weight, const bf16* k_weight, const float* cos, const float* sin, const int32_t* positions, HeadLayout, float eps);
  void (*backward)(Context&, bf16* dqkv, float* dq_weight, float* dk_weight, const bf16* dq, const bf16* dk, const bf16* qkv, const bf16* q_weight, const bf16* k_weight, const float* rstd, const float* cos, const float* sin, const int32_t* positions, HeadLayout);
};

}  // namespace gt::gpu

GT_DECLARE_GPU_TABLES(QkNormRope, qk_norm_rope)
