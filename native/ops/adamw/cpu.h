#pragma once
#include "core/parallel.h"
#include "cpu/isa.h"
#include "ops/adamw/constants.h"

namespace gt::cpu {

struct AdamWKernels {
  void (*update)(Threads&, float* param, float* grad, float* m, float* v, int64_t N, const AdamWConstants&);
  // high: bfloat16 bits of the master rounded half up; remainder: master bits - (high << 16)
  void (*update_split)(Threads&, uint16_t* high, uint16_t* remainder, float* grad, float* m, float* v, int64_t N, const AdamWConstants&);
};
GT_DECLARE_TABLES(AdamWKernels, adamw);

}  // namespace gt::cpu
