// Decode: one query per sequence and head against a cache. Bound by reading the cache once, so the products are plain float32 FMAs. Part
// of cuda.cu.
//
// The keys that a query sees are cut into chunks, counted from the first of them; a block takes one chunk for kHeads query heads of one
// kv head. With more chunks than one they are combined afterwards, in order.
#pragma once
#include "gpu/kernel.h"

namespace gt::GT_GPU {
namespace {

constexpr int kDecodeThreads = 128, kChunk = 64;
constexpr int kHeads = kDecodeThreads / 32;  // a warp for the softmax of each

struct Decode {
  bf16* out;  // [B, H, D]
  const bf16 *q, *keys, *values;
  const int32_t* lengths;
  int64_t L;
  int H, K, D, G, span;
  int head_blocks;  // of kHeads, in each kv head
  int chunks;       // of the longest sequence
  float scale;
  // More chunks than one: for each (sequence, head, chunk) the sum of exp2(score - peak) · v [D], and (peak, sum of exp2(score - peak)).
  float* sums;
  float2* weights;
};

__device__ __forceinline__ int first_seen(const Decode& x, int length) { return length > x.span ? length - x.span : 0; }

// kLanes lanes hold a row, 8 columns each.
template <int kLanes>
__global__ void __launch_bounds__(kDecodeThreads) attention_decode_kernel(Decode x) {
  constexpr int kRows = kDecodeThreads / kLanes;  // rows at a time
  SHARED(float, scores, [kHeads][kChunk]);
  SHARED(float, peaks, [kHeads]);
  SHARED(float, totals, [kHeads]);
  SHARED(float, parts, [kDecodeThreads / 32][kHeads][8 * kLanes]);
  const int warp = int(threadIdx.x >> 5), lane = int(threadIdx.x) & 31, column = int(threadIdx.x) % kLanes * 8, row = int(threadIdx.x) / kLanes;

  const int head_block = int(blockIdx.x) % x.head_blocks, kv = int(blockIdx.x) / x.head_blocks % x.K;
  const int64_t b = int(blockIdx.x) / x.head_blocks / x.K;
  const int chunk = int(blockIdx.y), length = x.lengths[b], first = first_seen(x, length) + chunk * kChunk;
  if (first >= length) return;
  const int count = length - first < kChunk ? length - first : kChunk;
  const int heads = x.G - head_block * kHeads < kHeads ? x.G - head_block * kHeads : kHeads;
  const int64_t first_head = b * x.H + kv * x.G + head_block * kHeads, stride = int64_t(x.K) * x.D, at = (b * x.L + first) * stride + kv * x.D + column;
  const bool in_row = column < x.D;

  float q[kHeads][8];
#pragma unroll
  for (int h = 0; h < kHeads; h++) {
#pragma unroll
    for (int i = 0; i < 8; i++) q[h][i] = 0;
    if (h < heads && in_row) load_8(q[h], x.q + (first_head + h) * x.D + column);
#pragma unroll
    for (int i = 0; i < 8; i++) q[h][i] *= x.scale * kLog2e;
  }
#pragma unroll 4
  for (int u = row; u < kChunk; u += kRows) {
    float k[8] = {};
    if (u < count && in_row) load_8(k, x.keys + at + u * stride);
#pragma unroll
    for (int h = 0; h < kHeads; h++) {
      float score = 0;
#pragma unroll
      for (int i = 0; i < 8; i++) score += q[h][i] * k[i];
#pragma unroll
      for (int other = kLanes / 2; other; other >>= 1) score += __shfl_xor_sync(kFullWarp, score, other);
      if (column == 0) scores[h][u] = score;
    }
  }
  __syncthreads();

  {
    const float s0 = lane < count ? scores[warp][lane] : -INFINITY, s1 = lane + 32 < count ? scores[warp][lane + 32] : -INFINITY;
    const float peak = warp_max(fmaxf(s0, s1)), p0 = fast_exp2(s0 - peak), p1 = fast_exp2(s1 - peak), total = warp_sum(p0 + p1);
    scores[warp][lane] = p0, scores[warp][lane + 32] = p1;
    if (lane == 0) peaks[warp] = peak, totals[warp] = total;
  }
  __syncthreads();

  float sum[kHeads][8] = {};
#pragma unroll 4
  for (int u = row; u < count; u += kRows) {
    float v[8] = {};
    if (in_row) load_8(v, x.values + at + u * stride);
#pragma unroll
    for (int h = 0; h < kHeads; h++) {
      const float p = scores[h][u];
#pragma unroll
      for (int i = 0; i < 8; i++) sum[h][i] += p * v[i];
    }
  }
#pragma unroll
  for (int h = 0; h < kHeads; h++)
#pragma unroll
    for (int i = 0; i < 8; i++) {
#pragma unroll
      for (int other = kLanes; other < 32; other <<= 1) sum[h][i] += __shfl_xor_sync(kFullWarp, sum[h][i], other);
    }
  if (lane < kLanes) {
#pragma unroll
    for (int h = 0; h < kHeads; h++) store_8(&parts[warp][h][column], sum[h]);
  }
  __syncthreads();
  for (int i = int(threadIdx.x); i < heads * x.D; i += kDecodeThreads) {
    const int h = i / x.D, d = i % x.D;
    float v = 0;
#pragma unroll
    for (int w = 0; w < kDecodeThreads / 32; w++) v += parts[w][h][d];
    if (x.chunks == 1) x.out[first_head * x.D + i] = narrow(v / totals[h]);
    else x.sums[((first_head + h) * x.chunks + chunk) * x.D + d] = v;
  }
  if (x.chunks > 1 && int(threadIdx.x) < heads) x.weights[(first_head + threadIdx.x) * x.chunks + chunk] = make_float2(peaks[threadIdx.x], totals[threadIdx.x]);
}

// One block a sequence and head.
static __global__ void __launch_bounds__(kDecodeThreads) attention_combine_kernel(Decode x) {
  const int64_t row = blockIdx.x;
  const int length = x.lengths[row / x.H], chunks = divide_up(length - first_seen(x, length), kChunk);
  const float2* weights = x.weights + row * x.chunks;
  float peak = -INFINITY, total = 0;
  for (int c = 0; c < chunks; c++) peak = fmaxf(peak, weights[c].x);
  for (int c = 0; c < chunks; c++) total += weights[c].y * fast_exp2(weights[c].x - peak);
  for (int d = int(threadIdx.x); d < x.D; d += kDecodeThreads) {
    float sum = 0;
    for (int c = 0; c < chunks; c++) sum += x.sums[(row * x.chunks + c) * x.D + d] * fast_exp2(weights[c].x - peak);
    x.out[row * x.D + d] = narrow(sum / total);
  }
}

}  // namespace
}  // namespace gt::GT_GPU
