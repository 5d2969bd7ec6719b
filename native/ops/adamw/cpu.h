#pragma once
#include "core/parallel.h"
#include "cpu/isa.h"

namespace gt::cpu {

// The constants of one update, computed in double and rounded once.
struct AdamWConstants {
  float gradient_scale;
  float decay;                    // 1 - lr · weight_decay
  float one_minus_beta1;
  float beta2, one_minus_beta2;
  float step_size;                // lr / (1 - beta1^step)
  float root_correction2;         // √(1 - beta2^step)
  float epsilon;
};

struct AdamWKernels {
  void (*update)(Threads&, float* param, float* grad, float* m, float* v, int64_t N, const AdamWConstants&);
  // high: bfloat16 bits of the master rounded half up; remainder: master bits - (high << 16)
  void (*update_split)(Threads&, uint16_t* high, uint16_t* remainder, float* grad, float* m, float* v, int64_t N, const AdamWConstants&);
};
GT_DECLARE_TABLES(AdamWKernels, adamw);

}  // namespace gt::cpu
