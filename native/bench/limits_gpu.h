// A kernel that does nothing but multiply on tensor cores, with `mma`, as the ops do. Hopper's own `wgmma` does more than this limit.
#pragma once
#include "gpu/context.h"

namespace gt::gpu {

constexpr int kMmaThreads = 256, kMmaSums = 8;
constexpr double kMmaFlops = double(kMmaThreads) / 32 * kMmaSums * 2 * 16 * 8 * 16;  // of a block, in a round

struct LimitKernels {
  // Every warp adds kMmaSums products of 16 x 8 x 16 to sums of their own, `rounds` times, with the code path's instructions.
  // sums float32 [blocks, kMmaThreads]: what comes out, so that none of it is left out.
  void (*mma)(Context&, float* sums, int blocks, int rounds);
};

}  // namespace gt::gpu

GT_DECLARE_GPU_TABLES(LimitKernels, limit_kernels)
