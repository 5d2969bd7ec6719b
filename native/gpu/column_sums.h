// The second half of a weight's gradient: blocks of rows have left partial sums, which are added up in a fixed order, without atomics.
#pragma once
#include "gpu/kernel.h"

namespace gt::GT_GPU {

constexpr int kSumColumns = 32, kSumSlices = 32;  // 32 threads share a column: its serial chain is 32 times shorter

// first[c] += sum over r of partial[r, 0, c], and second[c] that of partial[r, 1, c] where the grid has a second row.
static __global__ void __launch_bounds__(kSumColumns * kSumSlices) column_sums_kernel(float* first, float* second, const float* partial, int64_t rows, int64_t C) {
  SHARED(float, part, [kSumSlices][kSumColumns + 1]);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int64_t column = int64_t(blockIdx.x) * kSumColumns + lane, stride = gridDim.y * C;
  float sum = 0;
  if (column < C)
    for (int64_t r = warp; r < rows; r += kSumSlices) sum += partial[r * stride + blockIdx.y * C + column];
  part[warp][lane] = sum;
  __syncthreads();
  sum = warp_sum(part[lane][warp]);  // each warp takes a column now
  const int64_t own = int64_t(blockIdx.x) * kSumColumns + warp;
  if (lane == 0 && own < C) (blockIdx.y ? second : first)[own] += sum;
}

// partial [rows, 1 or 2, C]; `second` null: 1
inline void launch_column_sums(Context& context, float* first, float* second, const float* partial, int64_t rows, int64_t C) {
  launch(context, dim3(unsigned(divide_up<int64_t>(C, kSumColumns)), second ? 2 : 1), kSumColumns * kSumSlices, 0, column_sums_kernel, first, second, partial, rows, C);
}

}  // namespace gt::GT_GPU
