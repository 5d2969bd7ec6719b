// Forward (FlashAttention-2: Dao 2023). Part of cuda.cu.
//
// A block owns kForwardRows query rows, 16 for each warp, and streams the keys that they see. q, k and v are one tile each; k and v take
// turns: v travels while scores are computed, the next k while values are added. On sm75 what travels lies in registers, and at D = 256
// the output takes 128 of 255: so a tile travels in four parts there, each during a quarter of the products.
#pragma once
#include "ops/attention/cuda_tiles.h"

namespace gt::GT_GPU {
namespace {

constexpr int kForwardRows = 64, kForwardThreads = 128;
// Keys at a time. At D = 256 three tiles fill the 64 KB that a block of sm75 can have.
constexpr int forward_keys(int D) { return D == 256 ? 32 : 64; }
constexpr size_t forward_shared(int D) { return size_t(kForwardRows + 2 * forward_keys(D)) * size_t(D) * sizeof(uint16_t); }

struct ForwardTensors {
  const Owned* blocks;
  bf16* out;
  float* lse;
  const bf16 *q, *k, *qkv;
  const uint32_t* amax;
};

template <Level kLevel, int kD>
__global__ void __launch_bounds__(kForwardThreads) attention_forward_kernel(ForwardTensors x, Shape s) {
  GT_KERNEL_OF(kLevel);
  using F = Format<kLevel>;
  constexpr int kKeys = forward_keys(kD), kParts = F::kScaled ? 4 : 1, kPartKeys = kKeys / kParts;
  uint16_t* const q_tile = dynamic_shared<uint16_t>();
  uint16_t* const k_tile = q_tile + kForwardRows * kD;
  uint16_t* const v_tile = k_tile + kKeys * kD;
  const int lane = int(threadIdx.x) & 31, warp_row = int(threadIdx.x >> 5) * 16, g = lane / 4, t = lane % 4;

  const Owned block = x.blocks[blockIdx.x];
  const int rows = block.length * s.G;
  const Range seen = keys_seen_by(s, block, kForwardRows);
  const auto k = keys(x.k, s, block), v = values(x.qkv, s, block);
  const float k_scale = scale_of<kLevel>(x.amax, kK), v_scale = scale_of<kLevel>(x.amax, kV);
  const float to_log2 = s.scale * kLog2e * unscale_of<kLevel>(x.amax, kQ) * unscale_of<kLevel>(x.amax, kK);  // products to scores in base 2
  // This thread's part of the warp's rows: g and g + 8.
  const int position[2] = {(block.first + warp_row + g) / s.G, (block.first + warp_row + g + 8) / s.G};

  {
    TileLoad<kLevel, kForwardRows, kD, kForwardThreads> load;
    load.issue(q_tile, query_rows(x.q, s, block, s.D), block.first, rows, s.D);
    load.land(q_tile, scale_of<kLevel>(x.amax, kQ));
  }
  TileLoad<kLevel, kPartKeys, kD, kForwardThreads> load;
  auto issue = [&](uint16_t* tile, const Rows<const bf16>& from, int first, int part) {
    load.issue(tile + part * kPartKeys * kD, from, first + part * kPartKeys, block.length, s.D);
  };
  auto land = [&](uint16_t* tile, float scale, int part) { load.land(tile + part * kPartKeys * kD, scale); };
#pragma unroll
  for (int part = 0; part < kParts; part++) issue(k_tile, k, seen.begin, part), land(k_tile, k_scale, part);

  float out[kD / 8][4] = {};  // 16 x kD of the warp, as mma leaves it
  float peak[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
  for (int first = seen.begin; first < seen.end; first += kKeys) {
    __syncthreads();  // k is there; all warps are past the old v

    float p[kKeys / 8][4] = {};  // 16 x kKeys
#pragma unroll
    for (int part = 0; part < kParts; part++) {
      issue(v_tile, v, first, part);
#pragma unroll
      for (int d = part * (kD / 16 / kParts); d < (part + 1) * (kD / 16 / kParts); d++) {
        uint32_t a[4];
        ldmatrix_x4(a, piece<kD>(q_tile, warp_row + (lane & 15), 2 * d + (lane >> 4)));
#pragma unroll
        for (int j = 0; j < kKeys / 16; j++) {
          uint32_t b[4];
          ldmatrix_x4(b, piece<kD>(k_tile, 16 * j + (lane >> 4) * 8 + (lane & 7), 2 * d + (lane >> 3 & 1)));
          F::mma(p[2 * j], a, b[0], b[1]);
          F::mma(p[2 * j + 1], a, b[2], b[3]);
        }
      }
      land(v_tile, v_scale, part);
    }
    __syncthreads();  // v is there; all warps are past k

    float old_peak[2] = {peak[0], peak[1]};
#pragma unroll
    for (int j = 0; j < kKeys / 8; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int key = first + 8 * j + 2 * t + (e & 1), at = position[e >> 1];
        p[j][e] = key <= at && key > at - s.span ? p[j][e] * to_log2 : -INFINITY;
        peak[e >> 1] = fmaxf(peak[e >> 1], p[j][e]);
      }
    float base[2], keep[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {  // a row's numbers are in four lanes
      peak[i] = fmaxf(peak[i], __shfl_xor_sync(kFullWarp, peak[i], 1));
      peak[i] = fmaxf(peak[i], __shfl_xor_sync(kFullWarp, peak[i], 2));
      // A row that has seen no key yet: its weights must be 0, not exp2(-inf + inf).
      const float finite = peak[i] == -INFINITY ? 0.f : peak[i];
      keep[i] = fast_exp2(old_peak[i] - finite);
      base[i] = finite - kProbabilityExponent<kLevel>;
      total[i] *= keep[i];
    }
    if (__any_sync(kFullWarp, keep[0] != 1 || keep[1] != 1)) {
#pragma unroll
      for (int n = 0; n < kD / 8; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) out[n][e] *= keep[e >> 1];
    }
    uint32_t weights[kKeys / 16][4];  // what mma left as a result of 16 x 16 lies where it takes a left operand
#pragma unroll
    for (int j = 0; j < kKeys / 8; j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        p[j][e] = fast_exp2(p[j][e] - base[e >> 1]);
        total[e >> 1] += p[j][e];
      }
#pragma unroll
      for (int i = 0; i < 2; i++) weights[j / 2][j % 2 * 2 + i] = F::pack(p[j][2 * i], p[j][2 * i + 1]);
    }

    const bool more = first + kKeys < seen.end;
#pragma unroll
    for (int part = 0; part < kParts; part++) {
      if (more) issue(k_tile, k, first + kKeys, part);
#pragma unroll
      for (int n = part * (kD / 16 / kParts); n < (part + 1) * (kD / 16 / kParts); n++) {
#pragma unroll
        for (int j = 0; j < kKeys / 16; j++) {
          uint32_t b[4];
          ldmatrix_x4_trans(b, piece<kD>(v_tile, 16 * j + (lane & 15), 2 * n + (lane >> 4)));
          F::mma(out[2 * n], weights[j], b[0], b[1]);
          F::mma(out[2 * n + 1], weights[j], b[2], b[3]);
        }
      }
      if (more) land(k_tile, k_scale, part);
    }
  }

  // Through the warp's own rows of the q tile, for stores of 16 bytes.
  const Owned own = x.blocks[blockIdx.x];  // read again: nothing of it was kept in registers
  __syncwarp();
  const float v_unscale = unscale_of<kLevel>(x.amax, kV);
#pragma unroll
  for (int i = 0; i < 2; i++) {
    total[i] += __shfl_xor_sync(kFullWarp, total[i], 1);
    total[i] += __shfl_xor_sync(kFullWarp, total[i], 2);
    const float factor = v_unscale / total[i];
    const int row = warp_row + g + 8 * i;
#pragma unroll
    for (int n = 0; n < kD / 8; n++) *reinterpret_cast<uint32_t*>(piece<kD>(q_tile, row, n) + 2 * t) = pack_bf16(out[n][2 * i] * factor, out[n][2 * i + 1] * factor);
    if (t == 0 && own.first + row < own.length * s.G) *query_rows(x.lse, s, own, 1)[own.first + row] = (peak[i] - kProbabilityExponent<kLevel> + log2f(total[i])) * kLn2;
  }
  __syncwarp();
  store_tile<kD>(query_rows(x.out, s, own, s.D), own.first + warp_row, 16, own.length * s.G, s.D, q_tile, warp_row, lane, 32);
}

}  // namespace
}  // namespace gt::GT_GPU
