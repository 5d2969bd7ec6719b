#pragma once
#include "core/parallel.h"
#include "core/tensor.h"
#include "cpu/isa.h"

namespace gt::cpu {

struct Rmsnorm {
  // y [T, C] = (residual [T, C] +) x rstd (1 + weight); residual may be null
  void (*forward)(Threads&, void* y, DType y_type, float* rstd, const float* residual, const void* x, DType x_type, const void* weight, DType weight_type, int64_t T, int64_t C, float eps);
  // partial [ceil(T / kRowBlock), C]: each block's sum of dweight
  void (*backward)(Threads&, void* dx, DType dx_type, bool accumulate, void* dweight, DType dweight_type, float* partial, const void* dy, DType dy_type, const void* x, DType x_type, const void* weight, DType weight_type, const float* rstd, int64_t T, int64_t C);
};
GT_DECLARE_TABLES(Rmsnorm, rmsnorm);

// Rows per task: small enough to balance, fixed so that sums do not depend on the thread count.
constexpr int64_t kRmsnormRowBlock = 32;

}  // namespace gt::cpu
