#pragma once
#include "core/parallel.h"
#include "core/tensor.h"
#include "cpu/isa.h"

namespace gt::cpu {

struct Cast {
  void (*narrow)(Threads&, bf16* to, const float* from, int64_t N);
  void (*widen)(Threads&, float* to, const bf16* from, int64_t N);
};
GT_DECLARE_TABLES(Cast, cast);

}  // namespace gt::cpu
