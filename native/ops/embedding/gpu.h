#pragma once
#include "core/bf16.h"
#include "gpu/context.h"

namespace gt::gpu {

// ids, order and starts are on the host. C is a multiple of 8.
struct Embedding {
  void (*forward)(Context&, float* x, const bf16* table, const int32_t* ids, int64_t T, int64_t C, float scale);
  // order [T]: token positions sorted by id, then by position; group g (of G) is order[starts[g]] .. order[starts[g + 1] - 1], all of one id
  void (*backward)(Context&, float* dtable, const float* dx, const int32_t* ids, const int32_t* order, const int32_t* starts, int64_t T, int64_t G, int64_t C, float scale);
};

}  // namespace gt::gpu

GT_DECLARE_GPU_TABLES(Embedding, embedding)
