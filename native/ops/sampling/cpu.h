#pragma once
#include "core/parallel.h"
#include "cpu/isa.h"
#include "ops/sampling/filters.h"

namespace gt::cpu {

// next[b] is -1 where the row holds NaN or its largest logit is not finite.
struct SamplingKernels {
  void (*greedy)(Threads&, int32_t* next, const float* logits, int64_t B, int64_t V);
  void (*sample)(Threads&, int32_t* next, const float* logits, const double* uniforms, int64_t B, int64_t V, const SamplingFilters&);
};
GT_DECLARE_TABLES(SamplingKernels, sampling);

}  // namespace gt::cpu
