#pragma once
#include "core/parallel.h"
#include "cpu/isa.h"
#include "ops/adamw/constants.h"
#include "ops/adamw/stochastic.h"

namespace gt::cpu {

struct AdamWKernels {
  void (*update)(Threads&, float* param, float* grad, float* m, float* v, int64_t N, const AdamWConstants&);
  // high: bfloat16 bits of the master rounded half up; remainder: master bits - (high << 16)
  void (*update_split)(Threads&, uint16_t* high, uint16_t* remainder, float* grad, float* m, float* v, int64_t N, const AdamWConstants&);
  // All rounded stochastically; element i draws for the index first + i, first a multiple of 16.
  void (*update_stochastic)(Threads&, bf16* param, bf16* grad, bf16* m, bf16* v, int64_t N, const AdamWConstants&, UpdateDraws, int64_t first);
};
GT_DECLARE_TABLES(AdamWKernels, adamw);

}  // namespace gt::cpu
