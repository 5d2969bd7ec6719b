#pragma once
#include "core/bf16.h"
#include "gpu/context.h"

namespace gt::gpu {

// N is a positive multiple of 8; 16-byte aligned.
struct Cast {
  void (*narrow)(Context&, bf16* to, const float* from, int64_t N);
  void (*widen)(Context&, float* to, const bf16* from, int64_t N);
};

}  // namespace gt::gpu

GT_DECLARE_GPU_TABLES(Cast, cast)
