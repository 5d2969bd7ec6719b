#pragma once
#include "core/bf16.h"
#include "gpu/context.h"
#include "ops/sampling/filters.h"

namespace gt::gpu {

constexpr int64_t kFusedRows = 16;
constexpr int64_t kLargestVocabulary = int64_t(1) << 19;  // see ops/sampling/cuda.cu: a sum of masses fits 64 bits

// next [B] and uniforms [B] are on the host. next[b] is -1 where the row holds NaN or its largest logit is not finite. These wait for
// the device.
struct SamplingKernels {
  void (*greedy)(Context&, int32_t* next, const float* logits, int64_t B, int64_t V);
  // Of logits = x [B, C] · weight [V, C]ᵀ, which are never written. Up to kFusedRows rows.
  void (*greedy_of_products)(Context&, int32_t* next, const bf16* x, const bf16* weight, int64_t B, int64_t V, int64_t C);
  void (*sample)(Context&, int32_t* next, const float* logits, const double* uniforms, int64_t B, int64_t V, const SamplingFilters&);
};

}  // namespace gt::gpu

GT_DECLARE_GPU_TABLES(SamplingKernels, sampling)
