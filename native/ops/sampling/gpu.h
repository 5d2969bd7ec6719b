#pragma once
#include "gpu/context.h"
#include "ops/sampling/filters.h"

namespace gt::gpu {

constexpr int64_t kLargestVocabulary = int64_t(1) << 19;  // see ops/sampling/cuda.cu: a sum of masses fits 64 bits

// next [B] and uniforms [B] are on the host. next[b] is -1 where the row holds NaN or its largest logit is not finite. These wait for
// the device.
struct SamplingKernels {
  void (*greedy)(Context&, int32_t* next, const float* logits, int64_t B, int64_t V);
  void (*sample)(Context&, int32_t* next, const float* logits, const double* uniforms, int64_t B, int64_t V, const SamplingFilters&);
};

}  // namespace gt::gpu

GT_DECLARE_GPU_TABLES(SamplingKernels, sampling)
