#include "gpu/kernel.h"
#include "ops/global_norm/gpu.h"

namespace gt::GT_GPU {
namespace {

constexpr int kThreads = 256, kWidth = 8;
constexpr int64_t kBlock = 16384;  // elements a block sums

// partial[b] = the sum of squares of block b. A square of float32 is exact in double, so fused or not the sums are the same.
__global__ void __launch_bounds__(kThreads) squares_kernel(double* partial, const float* x, int64_t N) {
  SHARED(double, part, [kThreads / 32]);
  const int64_t begin = blockIdx.x * kBlock, end = begin + kBlock < N ? begin + kBlock : N;
  double sum = 0;
  for (int64_t i = begin + threadIdx.x * kWidth; i < end; i += kThreads * kWidth) {
    float v[kWidth] = {};
    if (i + kWidth <= end) load_8(v, x + i);
    else for (int j = 0; i + j < end; j++) v[j] = x[i + j];
#pragma unroll
    for (int j = 0; j < kWidth; j++) sum += double(v[j]) * double(v[j]);
  }
  sum = block_sum<kThreads / 32>(sum, part);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// One block.
__global__ void __launch_bounds__(kThreads) root_kernel(double* out, const double* partial, int64_t blocks) {
  SHARED(double, part, [kThreads / 32]);
  double sum = 0;
  for (int64_t b = threadIdx.x; b < blocks; b += kThreads) sum += partial[b];
  sum = block_sum<kThreads / 32>(sum, part);
  if (threadIdx.x == 0) *out = sqrt(sum);
}

void norm(Context& context, double* out, const float* x, int64_t N) {
  const int64_t blocks = divide_up(N, kBlock);
  double* partial = static_cast<double*>(context.scratch(size_t(blocks) * sizeof *partial));
  launch(context, unsigned(blocks), kThreads, 0, squares_kernel, partial, x, N);
  launch(context, 1, kThreads, 0, root_kernel, out, partial, blocks);
}

}  // namespace

const gpu::GlobalNorm global_norm = {norm};

}  // namespace gt::GT_GPU
