#pragma once
#include "gpu/context.h"

namespace gt::gpu {

struct GlobalNorm {
  void (*norm)(Context&, double* out, const float* x, int64_t N);
};

}  // namespace gt::gpu

GT_DECLARE_GPU_TABLES(GlobalNorm, global_norm)
