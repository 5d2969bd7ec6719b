#include "bench/limits_gpu.h"

#include "gpu/mma.h"

namespace gt::GT_GPU {
namespace {

using gpu::kMmaSums;
using gpu::kMmaThreads;

// Operands differ from lane to lane and sums grow slowly: numbers of zeros take less power, and a power limit is a limit too.
template <Level kLevel>
__global__ void __launch_bounds__(kMmaThreads) mma_limit_kernel(float* sums, int rounds) {
  GT_KERNEL_OF(kLevel);
  const int lane = int(threadIdx.x) & 31;
  const float left = 1 + float(lane) / 32, right = 0x1p-10f * (lane % 2 ? 1 : -1);
  uint32_t a[4];
#pragma unroll
  for (int i = 0; i < 4; i++) a[i] = Format<kLevel>::pack(left + float(i), left - float(i));
  const uint32_t b0 = Format<kLevel>::pack(right, 2 * right), b1 = Format<kLevel>::pack(3 * right, right);
  float d[kMmaSums][4] = {};
  for (int round = 0; round < rounds; round++)
#pragma unroll
    for (int i = 0; i < kMmaSums; i++) Format<kLevel>::mma(d[i], a, b0, b1);
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kMmaSums; i++) sum += d[i][0] + d[i][1] + d[i][2] + d[i][3];
  sums[int64_t(blockIdx.x) * kMmaThreads + threadIdx.x] = sum;
}

void mma(Context& context, float* sums, int blocks, int rounds) {
  with_level(context.level, [&](auto level) { launch(context, unsigned(blocks), kMmaThreads, 0, mma_limit_kernel<decltype(level)::value>, sums, rounds); });
}

}  // namespace

const gpu::LimitKernels limit_kernels = {mma};

}  // namespace gt::GT_GPU
