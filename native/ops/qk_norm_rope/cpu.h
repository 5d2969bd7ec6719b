#pragma once
#include "core/parallel.h"
#include "core/tensor.h"
#include "cpu/isa.h"

namespace gt::cpu {

// T tokens; H query heads, K key heads, then K value heads, each of D numbers.
struct HeadLayout {
  int64_t T, H, K, D;
};

struct QkNormRope {
  // `type`: qkv, q, k; `weight_type`: both weights
  void (*forward)(Threads&, void* q, void* k, float* rstd, const void* qkv, DType type, const void* q_weight, const void* k_weight, DType weight_type, const float* cos, const float* sin, const int32_t* positions, HeadLayout, float eps);
  // `type`: dqkv, dq, dk, qkv; `gradient_type`: dq_weight, dk_weight; partial [ceil(T / kQkNormRopeBlock), 2, D]: each block's sum of dq_weight and dk_weight
  void (*backward)(Threads&, void* dqkv, void* dq_weight, void* dk_weight, DType gradient_type, float* partial, const void* dq, const void* dk, const void* qkv, DType type, const void* q_weight, const void* k_weight, DType weight_type, const float* rstd, const float* cos, const float* sin, const int32_t* positions, HeadLayout);
};
GT_DECLARE_TABLES(QkNormRope, qk_norm_rope);

// Tokens per task, fixed so that sums do not depend on the thread count.
constexpr int64_t kQkNormRopeBlock = 32;

}  // namespace gt::cpu
