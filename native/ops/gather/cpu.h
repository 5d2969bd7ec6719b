#pragma once
#include "core/parallel.h"
#include "cpu/isa.h"

namespace gt::cpu {

struct Gather {
  void (*gather)(Threads&, float* y, const float* x, const int32_t* rows, int64_t R, int64_t C);
  void (*scatter)(Threads&, float* dx, const float* dy, const int32_t* rows, int64_t T, int64_t R, int64_t C);
};
GT_DECLARE_TABLES(Gather, gather);

}  // namespace gt::cpu
