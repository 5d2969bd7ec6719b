// y = x · weightᵀ for up to 16 rows of x, the tokens of a decoding step: a pass over the weight at the speed of memory.
//
// The weight is mma's A, straight from memory to registers. The order of the inner dimension within a fragment is free as long as both
// factors agree, so each lane loads eight neighbours (16 bytes) and feeds them as the fragment's columns 2t, 2t+1, 2t+8, 2t+9 twice.
// A block computes 16 columns of y; its four warps take turns on the inner dimension and their sums are added in order.
// On sm75 the containers' scale (gpu/containers.h) is that of the 64 columns at hand: the weight needs no pass to find it.
#pragma once
#include "ops/matmul/gemm.h"

namespace gt::GT_GPU {

constexpr int kFewRows = 16;
constexpr int kFewRowsWarps = 4, kFewRowsStep = 64, kFewRowsColumns = 16;

// kLines rows (a multiple of 8) by kFewRowsStep columns of a matrix, in a warp's registers: lane (g, t) has of row 8i + g the columns 8t to
// 8t+7 and 32 more.
template <Level kLevel, int kLines>
struct Strip {
  uint4 piece[kLines / 8][2];
  int unscale = 0;

  __device__ __forceinline__ void load(const bf16* data, int first_line, int lines, int k, int K) {
    const int lane = int(threadIdx.x) & 31;
#pragma unroll
    for (int i = 0; i < kLines / 8; i++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int line = first_line + 8 * i + lane / 4, column = k + 32 * half + 8 * (lane % 4);
        piece[i][half] = line < lines && column < K ? *reinterpret_cast<const uint4*>(data + int64_t(line) * K + column) : make_uint4(0, 0, 0, 0);
      }
  }
  __device__ __forceinline__ void convert() {
    if constexpr (Format<kLevel>::kScaled) {
      uint32_t amax = 0;
#pragma unroll
      for (int i = 0; i < kLines / 8; i++) amax = amax_of(piece[i][1], amax_of(piece[i][0], amax));
#pragma unroll
      for (int lane = 16; lane; lane >>= 1) amax = max(amax, __shfl_xor_sync(kFullWarp, amax, lane));
      const float scale = container_scale(amax);
      unscale = int(float_bits(container_unscale(amax)) >> 23) - 127;
#pragma unroll
      for (int i = 0; i < kLines / 8; i++)
#pragma unroll
        for (int half = 0; half < 2; half++) piece[i][half] = Format<kLevel>::from_bf16(piece[i][half], scale);
    }
  }
};

// What becomes of the products: stored as y [M, N]. ops/sampling/cuda.cu has another, which keeps each row's largest.
template <class Out>
struct Stored {
  Out* y;
  int M, N;
  // Called by all threads of a block, sixteen neighbours with one m and all of the block's n.
  __device__ __forceinline__ void take(int m, int n, float sum) const {
    if (m < M && n < N) store_float(y + int64_t(m) * N + n, sum);
  }
};

template <Level kLevel, int kTokens, class Result>
__global__ void __launch_bounds__(32 * kFewRowsWarps) few_rows_kernel(Result result, const bf16* x, const bf16* weight, int M, int N, int K) {
  GT_KERNEL_OF(kLevel);
  constexpr int kTokenTiles = kTokens / 8;
  SHARED(float, part, [kFewRowsWarps][kTokens][kFewRowsColumns + 1]);
  const int lane = int(threadIdx.x) & 31, warp = int(threadIdx.x) / 32, n0 = int(blockIdx.x) * kFewRowsColumns;

  float sums[kTokenTiles][4] = {};
  Strip<kLevel, kFewRowsColumns> w, next_w;
  Strip<kLevel, kTokens> tokens, next_tokens;
  const int first = warp * kFewRowsStep;
  next_w.load(weight, n0, N, first, K), next_tokens.load(x, 0, M, first, K);
  for (int k = first; k < K; k += kFewRowsWarps * kFewRowsStep) {
    w = next_w, tokens = next_tokens;
    next_w.load(weight, n0, N, k + kFewRowsWarps * kFewRowsStep, K), next_tokens.load(x, 0, M, k + kFewRowsWarps * kFewRowsStep, K);
    w.convert(), tokens.convert();
    float products[kTokenTiles][4] = {};
    auto& into = Format<kLevel>::kScaled ? products : sums;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const uint32_t first_half[4] = {w.piece[0][half].x, w.piece[1][half].x, w.piece[0][half].y, w.piece[1][half].y};
      const uint32_t second_half[4] = {w.piece[0][half].z, w.piece[1][half].z, w.piece[0][half].w, w.piece[1][half].w};
#pragma unroll
      for (int j = 0; j < kTokenTiles; j++) {
        Format<kLevel>::mma(into[j], first_half, tokens.piece[j][half].x, tokens.piece[j][half].y);
        Format<kLevel>::mma(into[j], second_half, tokens.piece[j][half].z, tokens.piece[j][half].w);
      }
    }
    if constexpr (Format<kLevel>::kScaled) {
      const PowerOfTwo unscale(w.unscale + tokens.unscale);
#pragma unroll
      for (int j = 0; j < kTokenTiles; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) sums[j][i] += unscale.times(products[j][i]);
    }
  }

#pragma unroll
  for (int j = 0; j < kTokenTiles; j++)
#pragma unroll
    for (int i = 0; i < 4; i++) part[warp][8 * j + lane % 4 * 2 + i % 2][lane / 4 + i / 2 * 8] = sums[j][i];
  __syncthreads();
#pragma unroll
  for (int i = int(threadIdx.x); i < kTokens * kFewRowsColumns; i += 32 * kFewRowsWarps) {
    const int m = i / kFewRowsColumns, n = i % kFewRowsColumns;
    float sum = part[0][m][n];
#pragma unroll
    for (int other = 1; other < kFewRowsWarps; other++) sum += part[other][m][n];
    result.take(m, n0 + n, sum);
  }
}

template <Level kLevel, class Result>
void launch_few_rows(Context& context, const Result& result, const bf16* x, const bf16* weight, int64_t M, int64_t N, int64_t K) {
  const unsigned blocks = unsigned(divide_up<int64_t>(N, kFewRowsColumns));
  launch(context, blocks, 32 * kFewRowsWarps, 0, M <= 8 ? few_rows_kernel<kLevel, 8, Result> : few_rows_kernel<kLevel, 16, Result>, result, x, weight, M, N, K);
}

}  // namespace gt::GT_GPU
