#pragma once
#include "gpu/context.h"
#include "ops/adamw/constants.h"

namespace gt::gpu {

// k.gradient_scale is not read: the device computes it from `norm` when its turn comes.
struct AdamWKernels {
  void (*update)(Context&, float* param, float* grad, float* m, float* v, int64_t N, const AdamWConstants& k, const double* norm, double divisor, double max_grad_norm);
  // high, remainder: see ops/adamw/cpu.h
  void (*update_split)(Context&, uint16_t* high, uint16_t* remainder, float* grad, float* m, float* v, int64_t N, const AdamWConstants& k, const double* norm, double divisor, double max_grad_norm);
};

}  // namespace gt::gpu

GT_DECLARE_GPU_TABLES(AdamWKernels, adamw)
