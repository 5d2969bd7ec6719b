#pragma once
#include "core/parallel.h"
#include "cpu/isa.h"

namespace gt::cpu {

struct SamplingFilters {
  float temperature;
  int64_t top_k;        // 1 .. V
  float drop_below;     // 1 - top_p; negative: no top-p
};

// next[b] is -1 where the row holds NaN or its largest logit is not finite.
struct SamplingKernels {
  void (*greedy)(Threads&, int32_t* next, const float* logits, int64_t B, int64_t V);
  void (*sample)(Threads&, int32_t* next, const float* logits, const double* uniforms, int64_t B, int64_t V, const SamplingFilters&);
};
GT_DECLARE_TABLES(SamplingKernels, sampling);

}  // namespace gt::cpu
