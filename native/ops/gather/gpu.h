#pragma once
#include "gpu/context.h"

namespace gt::gpu {

struct Gather {
  // y [R, C] = x[rows]; rows [R] on the host
  void (*gather)(Context&, float* y, const float* x, const int32_t* rows, int64_t R, int64_t C);
  // dx [T, C] = 0, then dx[rows] = dy [R, C]
  void (*scatter)(Context&, float* dx, const float* dy, const int32_t* rows, int64_t T, int64_t R, int64_t C);
};

}  // namespace gt::gpu

GT_DECLARE_GPU_TABLES(Gather, gather)
