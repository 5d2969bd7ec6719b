// Backward: statistics of rows, then dk and dv, then dq. Part of cuda.cu.
//
//   p = exp(scale · q·k - lse);  ds = p · (dout·v - delta);  dv = pᵀ dout;  dk = scale · dsᵀ q;  dq = scale · ds k
//
// One kernel does both halves. A block owns 32 keys (x = k, y = v) and streams the query rows that see them (x = q, y = dout), or owns 32
// query rows and streams the keys that they see. Either way a tile of 32 streamed rows gives products xxᵀ and yyᵀ [streamed, owned], from
// which p and ds follow, and the gradients [owned, D] are dsᵀ · streamed x, and for keys also pᵀ · streamed y. No sum crosses blocks:
// no atomics. Scores are computed twice for that: 7 products instead of 5.
//
// What is owned is only ever a right operand, so it lies in registers; shared memory holds the streamed tiles, p and ds. On sm80 there are
// two buffers of tiles, on sm75 one and the next tile in registers.
//
// On sm75 ds becomes fp16 times a power of two that one block uses throughout. It cannot overflow: |dout·v| <= |dout|₁ · max|v| (Hölder), so
// |ds| <= p · bound, with bound = max |dout|₁ · max|v| + max |delta| over the rows and keys of the block. The power puts 2 · bound below
// 2^16, and p may exceed 1 by rounding of the scores, not reach 2. These maxima are of the block's own sequence, not of the batch.
#pragma once
#include "ops/attention/cuda_tiles.h"

namespace gt::GT_GPU {
namespace {

constexpr int kTile = 32;  // rows owned, and rows streamed at a time
constexpr int kBackwardWarps = 8, kBackwardThreads = 32 * kBackwardWarps;
template <Level kLevel>
constexpr int kBuffers = Format<kLevel>::kScaled ? 1 : 2;
template <Level kLevel>
constexpr size_t backward_shared(int D) { return (size_t(kBuffers<kLevel>) * 2 * kTile * size_t(D) + 2 * kTile * kTile) * sizeof(uint16_t); }

struct BackwardTensors {
  const Owned* blocks;
  bf16 *dq, *dk, *dqkv;
  const bf16 *q, *k, *qkv, *dout, *out;
  const float* lse;
  float* delta;                  // [T, H]
  float *dout_sum, *value_peak;  // sm75: |dout|₁ [T, H], largest |v| [T, K]
  const uint32_t* amax;
};

constexpr int kStatisticsThreads = 128;

// One warp a row of [T, H, D]: delta = dout · out and, if wanted, |dout|₁.
static __global__ void __launch_bounds__(kStatisticsThreads) attention_delta_kernel(float* delta, float* dout_sum, const bf16* dout, const bf16* out, int64_t rows, int D) {
  const int64_t row = int64_t(blockIdx.x) * (kStatisticsThreads / 32) + (threadIdx.x >> 5);
  if (row >= rows) return;
  float product = 0, sum = 0;
  for (int d = int(threadIdx.x & 31) * 8; d < D; d += 32 * 8) {
    float a[8], b[8];
    load_8(a, dout + row * D + d), load_8(b, out + row * D + d);
#pragma unroll
    for (int i = 0; i < 8; i++) product += a[i] * b[i], sum += fabsf(a[i]);
  }
  product = warp_sum(product), sum = warp_sum(sum);
  if ((threadIdx.x & 31) == 0) {
    delta[row] = product;
    if (dout_sum) dout_sum[row] = sum;
  }
}

// One warp a token and kv head: peak [T, K] = largest |v|.
static __global__ void __launch_bounds__(kStatisticsThreads) attention_value_peak_kernel(float* peak, const bf16* qkv, int64_t rows, Shape s) {
  const int64_t row = int64_t(blockIdx.x) * (kStatisticsThreads / 32) + (threadIdx.x >> 5);
  if (row >= rows) return;
  const bf16* v = qkv + (row / s.K * (s.H + 2 * s.K) + s.H + s.K + row % s.K) * s.D;
  float largest = 0;
  for (int d = int(threadIdx.x & 31) * 8; d < s.D; d += 32 * 8) {
    float a[8];
    load_8(a, v + d);
#pragma unroll
    for (int i = 0; i < 8; i++) largest = fmaxf(largest, fabsf(a[i]));
  }
  largest = warp_max(largest);
  if ((threadIdx.x & 31) == 0) peak[row] = largest;
}

// Bits of twice the bound on |ds| for these query rows and keys. Shared memory `part`: a float for each warp.
__device__ __forceinline__ uint32_t ds_bound(const BackwardTensors& x, const Shape& s, const Owned& o, Range rows, Range keys, float* part) {
  const auto sums = query_rows(x.dout_sum, s, o, 1), deltas = query_rows(x.delta, s, o, 1), peaks = rows_of_head(x.value_peak, o, s.K, o.head, 1);
  float sum = 0, delta = 0, value = 0;
  for (int r = rows.begin + int(threadIdx.x); r < rows.end; r += kBackwardThreads) sum = fmaxf(sum, *sums[r]), delta = fmaxf(delta, fabsf(*deltas[r]));
  for (int u = keys.begin + int(threadIdx.x); u < keys.end; u += kBackwardThreads) value = fmaxf(value, *peaks[u]);
  auto largest = [part](float v) {
    v = warp_max(v);
    __syncthreads();
    if ((threadIdx.x & 31) == 0) part[threadIdx.x >> 5] = v;
    __syncthreads();
    for (int w = 0; w < kBackwardWarps; w++) v = fmaxf(v, part[w]);
    return v;
  };
  sum = largest(sum), delta = largest(delta), value = largest(value);
  return float_bits(2 * (sum * value + delta));
}

// The fragments of rows [row, row + 8) of a tile as right operands: x · rowsᵀ.
template <int kD>
__device__ __forceinline__ void load_right(uint32_t (&b)[kD / 16][2], uint16_t* tile, int row, int lane) {
#pragma unroll
  for (int d = 0; d < kD / 32; d++) {
    uint32_t r[4];
    ldmatrix_x4(r, piece<kD>(tile, row + (lane & 7), 4 * d + (lane >> 3)));
    b[2 * d][0] = r[0], b[2 * d][1] = r[1], b[2 * d + 1][0] = r[2], b[2 * d + 1][1] = r[3];
  }
}

template <Level kLevel, int kD, bool kOwnsKeys>
__global__ void __launch_bounds__(kBackwardThreads, 1 /* else nvcc saves registers for more blocks, and spills */) attention_backward_kernel(BackwardTensors x, Shape s) {
  GT_KERNEL_OF(kLevel);
  using F = Format<kLevel>;
  // A warp's part of the gradients: kColumns columns of kParts x 16 rows.
  constexpr int kColumns = kD >= 128 ? kD / kBackwardWarps : 16, kColumnWarps = kD / kColumns, kParts = kTile / 16 * kColumnWarps / kBackwardWarps;
  constexpr int kTileSize = kTile * kD;
  uint16_t* const tiles = dynamic_shared<uint16_t>();  // x, y of each buffer
  uint16_t* const p_tile = tiles + kBuffers<kLevel> * 2 * kTileSize;  // [streamed, owned]
  uint16_t* const ds_tile = p_tile + kTile * kTile;
  const int warp = int(threadIdx.x >> 5), lane = int(threadIdx.x) & 31, g = lane / 4, t = lane % 4;
  // The warp's part of [streamed, owned]: 16 x 8.
  const int streamed_row = warp / 4 * 16, owned_row = warp % 4 * 8;

  const Owned block = x.blocks[blockIdx.x];
  const int rows = block.length * s.G, owned_end = kOwnsKeys ? block.length : rows;
  const Range streamed = kOwnsKeys ? rows_that_see(s, block, kTile) : keys_seen_by(s, block, kTile);
  const auto q = query_rows(x.q, s, block, s.D), dout = query_rows(x.dout, s, block, s.D);
  const auto k = keys(x.k, s, block), v = values(x.qkv, s, block);
  const float q_scale = scale_of<kLevel>(x.amax, kQ), k_scale = scale_of<kLevel>(x.amax, kK), v_scale = scale_of<kLevel>(x.amax, kV), dout_scale = scale_of<kLevel>(x.amax, kDout);

  float ds_scale = 1, ds_unscale = 1;
  if constexpr (F::kScaled) {
    const Range owned = {block.first, block.first + kTile < owned_end ? block.first + kTile : owned_end};
    const uint32_t bound = ds_bound(x, s, block, kOwnsKeys ? streamed : owned, kOwnsKeys ? owned : streamed, reinterpret_cast<float*>(p_tile));
    ds_scale = container_scale(bound), ds_unscale = container_unscale(bound);
  }
  const float to_log2 = s.scale * kLog2e * unscale_of<kLevel>(x.amax, kQ) * unscale_of<kLevel>(x.amax, kK);
  const float to_ds = unscale_of<kLevel>(x.amax, kDout) * unscale_of<kLevel>(x.amax, kV) * ds_scale;

  TileLoad<kLevel, kTile, kD, kBackwardThreads> load_x, load_y;
  load_x.issue(tiles, kOwnsKeys ? k : q, block.first, owned_end, s.D);
  load_y.issue(tiles + kTileSize, kOwnsKeys ? v : dout, block.first, owned_end, s.D);
  load_x.land(tiles, kOwnsKeys ? k_scale : q_scale);
  load_y.land(tiles + kTileSize, kOwnsKeys ? v_scale : dout_scale);
  __syncthreads();
  uint32_t owned_x[kD / 16][2], owned_y[kD / 16][2];
  load_right<kD>(owned_x, tiles, owned_row, lane);
  load_right<kD>(owned_y, tiles + kTileSize, owned_row, lane);
  __syncthreads();

  auto issue = [&](int first, int buffer) {
    const int end = kOwnsKeys ? rows : block.length;
    load_x.issue(tiles + buffer * 2 * kTileSize, kOwnsKeys ? q : k, first, end, s.D);
    load_y.issue(tiles + buffer * 2 * kTileSize + kTileSize, kOwnsKeys ? dout : v, first, end, s.D);
  };
  auto land = [&](int buffer) {
    load_x.land(tiles + buffer * 2 * kTileSize, kOwnsKeys ? q_scale : k_scale);
    load_y.land(tiles + buffer * 2 * kTileSize + kTileSize, kOwnsKeys ? dout_scale : v_scale);
  };

  // The two query rows of this thread: streamed rows g and g + 8, or owned rows 2t and 2t + 1. Rows beyond the end see no key.
  const auto lse = query_rows(x.lse, s, block, 1);
  const auto deltas = query_rows(x.delta, s, block, 1);
  int position[2];
  float row_lse[2], row_delta[2];
  auto load_rows = [&](int first, int step) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const int row = first + i * step;
      position[i] = -1, row_lse[i] = 0, row_delta[i] = 0;
      if (row < rows) position[i] = row / s.G, row_lse[i] = *lse[row] * kLog2e, row_delta[i] = *deltas[row] * ds_scale;
    }
  };
  if constexpr (!kOwnsKeys) load_rows(block.first + owned_row + 2 * t, 1);

  float dx[kParts][kColumns / 8][4] = {}, dy[kOwnsKeys ? kParts : 1][kColumns / 8][4] = {};
  const int column_piece = warp % kColumnWarps * (kColumns / 8), first_part = warp / kColumnWarps * kParts;

  // sums += leftᵀ · right, with left [streamed, owned], right [streamed, D]
  auto accumulate = [&](auto& sums, uint16_t* left, uint16_t* right) {
#pragma unroll
    for (int j = 0; j < kTile / 16; j++) {  // 16 streamed rows
      uint32_t a[kParts][4];
#pragma unroll
      for (int i = 0; i < kParts; i++) ldmatrix_x4_trans(a[i], narrow_piece(left, 16 * j + (lane & 7) + (lane >> 4) * 8, 2 * (first_part + i) + (lane >> 3 & 1)));
#pragma unroll
      for (int n = 0; n < kColumns / 16; n++) {
        uint32_t b[4];
        ldmatrix_x4_trans(b, piece<kD>(right, 16 * j + (lane & 15), column_piece + 2 * n + (lane >> 4)));
#pragma unroll
        for (int i = 0; i < kParts; i++) F::mma(sums[i][2 * n], a[i], b[0], b[1]), F::mma(sums[i][2 * n + 1], a[i], b[2], b[3]);
      }
    }
  };

  issue(streamed.begin, 0);
  land(0);
  __syncthreads();
  int buffer = 0;
  for (int first = streamed.begin; first < streamed.end; first += kTile) {
    uint16_t *const x_tile = tiles + buffer * 2 * kTileSize, *const y_tile = x_tile + kTileSize;
    const bool more = first + kTile < streamed.end;
    const int next = kBuffers<kLevel> - 1 - buffer;
    if (more && kBuffers<kLevel> == 2) issue(first + kTile, next);
    if constexpr (kOwnsKeys) load_rows(first + streamed_row + g, 8);

    float p[4] = {}, ds[4] = {};
#pragma unroll
    for (int d = 0; d < kD / 16; d++) {
      uint32_t a[4], b[4];
      ldmatrix_x4(a, piece<kD>(x_tile, streamed_row + (lane & 15), 2 * d + (lane >> 4)));
      ldmatrix_x4(b, piece<kD>(y_tile, streamed_row + (lane & 15), 2 * d + (lane >> 4)));
      F::mma(p, a, owned_x[d][0], owned_x[d][1]);
      F::mma(ds, b, owned_y[d][0], owned_y[d][1]);
    }
#pragma unroll
    for (int e = 0; e < 4; e++) {
      const int i = kOwnsKeys ? e >> 1 : e & 1;
      const int key = kOwnsKeys ? block.first + owned_row + 2 * t + (e & 1) : first + streamed_row + g + 8 * (e >> 1);
      const bool visible = key <= position[i] && key > position[i] - s.span;
      p[e] = visible ? fast_exp2(p[e] * to_log2 - row_lse[i]) : 0.f;
      ds[e] = visible ? p[e] * (ds[e] * to_ds - row_delta[i]) : 0.f;
      if constexpr (F::kScaled) p[e] *= float(1 << kProbabilityExponent<kLevel>);
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const int row = streamed_row + g + 8 * i;
      if constexpr (kOwnsKeys) *reinterpret_cast<uint32_t*>(narrow_piece(p_tile, row, owned_row / 8) + 2 * t) = F::pack(p[2 * i], p[2 * i + 1]);
      *reinterpret_cast<uint32_t*>(narrow_piece(ds_tile, row, owned_row / 8) + 2 * t) = F::pack(ds[2 * i], ds[2 * i + 1]);
    }
    __syncthreads();  // p and ds are there

    if constexpr (kOwnsKeys) accumulate(dy, p_tile, y_tile);
    if (more && kBuffers<kLevel> == 1) issue(first + kTile, next);  // no earlier: there are no registers left to hold it
    accumulate(dx, ds_tile, x_tile);
    if constexpr (kBuffers<kLevel> == 1) __syncthreads();  // the only buffer is read
    if (more) land(next);
    __syncthreads();  // the next tile is there; this one, p and ds are read
    buffer = next;
  }

  auto store = [&](const Rows<bf16>& to, const auto& sums, float factor) {
#pragma unroll
    for (int i = 0; i < kParts; i++)
#pragma unroll
      for (int n = 0; n < kColumns / 8; n++)
#pragma unroll
        for (int e = 0; e < 4; e += 2)
          *reinterpret_cast<uint32_t*>(piece<kD>(tiles, 16 * (first_part + i) + g + 4 * e, column_piece + n) + 2 * t) = pack_bf16(sums[i][n][e] * factor, sums[i][n][e + 1] * factor);
    __syncthreads();
    store_tile<kD>(to, block.first, kTile, owned_end, s.D, tiles, 0, int(threadIdx.x), kBackwardThreads);
  };
  if constexpr (kOwnsKeys) {
    store(keys(x.dk, s, block), dx, s.scale * ds_unscale * unscale_of<kLevel>(x.amax, kQ));
    __syncthreads();
    store(values(x.dqkv, s, block), dy, unscale_of<kLevel>(x.amax, kDout) / float(1 << kProbabilityExponent<kLevel>));
  } else {
    store(query_rows(x.dq, s, block, s.D), dx, s.scale * ds_unscale * unscale_of<kLevel>(x.amax, kK));
  }
}

}  // namespace
}  // namespace gt::GT_GPU
