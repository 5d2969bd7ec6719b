#pragma once
#include "core/parallel.h"
#include "core/tensor.h"
#include "cpu/isa.h"

namespace gt::cpu {

// Elements per task, fixed so that the sum does not depend on the thread count.
constexpr int64_t kGlobalNormBlock = 65536;

struct GlobalNorm {
  // partial [ceil(N / kGlobalNormBlock)]: each block's sum of squares
  void (*squares)(Threads&, double* partial, const void* x, DType type, int64_t N);
};
GT_DECLARE_TABLES(GlobalNorm, global_norm);

}  // namespace gt::cpu
