#include "gpu/kernel.h"
#include "ops/gather/gpu.h"

namespace gt::GT_GPU {
namespace {

constexpr int kThreads = 128;

// One block a row: y[i] = x[rows[i]], or with kScatter y[rows[i]] = x[i].
template <bool kScatter>
__global__ void __launch_bounds__(kThreads) copy_rows_kernel(float* y, const float* x, const int32_t* rows, int64_t C) {
  const int64_t i = blockIdx.x, row = rows[i];
  float* to = y + (kScatter ? row : i) * C;
  const float* from = x + (kScatter ? i : row) * C;
  for (int64_t c = threadIdx.x; c < C; c += kThreads) to[c] = from[c];
}

const int32_t* staged(Context& context, const int32_t* rows, int64_t R) { return static_cast<const int32_t*>(context.stage(rows, size_t(R) * sizeof *rows)); }

void gather_rows(Context& context, float* y, const float* x, const int32_t* rows, int64_t R, int64_t C) {
  launch(context, unsigned(R), kThreads, 0, copy_rows_kernel<false>, y, x, staged(context, rows, R), C);
}

void scatter_rows(Context& context, float* dx, const float* dy, const int32_t* rows, int64_t T, int64_t R, int64_t C) {
  context.zero(dx, size_t(T * C) * sizeof *dx);
  launch(context, unsigned(R), kThreads, 0, copy_rows_kernel<true>, dx, dy, staged(context, rows, R), C);
}

}  // namespace

const gpu::Gather gather = {gather_rows, scatter_rows};

}  // namespace gt::GT_GPU
