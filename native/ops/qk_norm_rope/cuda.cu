// One warp a head: a lane has four columns of its first half and their partners of the second half, which the rotation mixes.
#include "gpu/column_sums.h"
#include "gpu/kernel.h"
#include "ops/qk_norm_rope/gpu.h"

namespace gt::GT_GPU {
namespace {

using gpu::HeadLayout;

constexpr int kWarps = 8, kThreads = 32 * kWarps;
constexpr int kBackwardTokens = 16;  // of a block; fixed, so that sums over tokens do not depend on the device
constexpr int kMaxD = 256;

__device__ __forceinline__ void load_4(float (&v)[4], const bf16* p) {
  const uint2 u = *reinterpret_cast<const uint2*>(p);
  v[0] = low_bf16(u.x), v[1] = high_bf16(u.x), v[2] = low_bf16(u.y), v[3] = high_bf16(u.y);
}
__device__ __forceinline__ void load_4(float (&v)[4], const float* p) {
  const float4 u = *reinterpret_cast<const float4*>(p);
  v[0] = u.x, v[1] = u.y, v[2] = u.z, v[3] = u.w;
}
__device__ __forceinline__ void store_4(bf16* p, const float (&v)[4]) {
  *reinterpret_cast<uint2*>(p) = make_uint2(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]));
}

// A lane's columns of a head: i .. i+3 and half+i .. half+i+3. Lanes past the half have zeros.
struct Columns {
  float low[4], high[4];
};
__device__ __forceinline__ Columns load_columns(const bf16* head, int i, int half) {
  Columns v = {};
  if (i < half) load_4(v.low, head + i), load_4(v.high, head + half + i);
  return v;
}
__device__ __forceinline__ void store_columns(bf16* head, int i, int half, const Columns& v) {
  if (i < half) store_4(head + i, v.low), store_4(head + half + i, v.high);
}

// The lane's angles of a token.
struct Angles {
  float cos[4], sin[4];
};
__device__ __forceinline__ Angles load_angles(const float* cos, const float* sin, int position, int i, int half) {
  Angles a = {};
  if (i < half) load_4(a.cos, cos + int64_t(position) * half + i), load_4(a.sin, sin + int64_t(position) * half + i);
  return a;
}
// By the angles, or with direction -1 back.
__device__ __forceinline__ void rotate(Columns& v, const Angles& a, float direction) {
#pragma unroll
  for (int j = 0; j < 4; j++) {
    const float low = v.low[j], high = v.high[j], sin = direction * a.sin[j];
    v.low[j] = fmaf(low, a.cos[j], -(high * sin));
    v.high[j] = fmaf(high, a.cos[j], low * sin);
  }
}

__global__ void __launch_bounds__(kThreads) forward_kernel(bf16* q, bf16* k, float* rstd, const bf16* qkv, const bf16* q_weight, const bf16* k_weight, const float* cos, const float* sin, const int32_t* positions, HeadLayout s, float eps) {
  const int heads = s.H + s.K, half = s.D / 2, i = 4 * (threadIdx.x & 31);
  const int64_t at = int64_t(blockIdx.x) * kWarps + (threadIdx.x >> 5);
  if (at >= s.T * heads) return;
  const int64_t t = at / heads;
  const int h = int(at % heads);

  Columns v = load_columns(qkv + (t * (heads + s.K) + h) * s.D, i, half);
  float squares = 0;
#pragma unroll
  for (int j = 0; j < 4; j++) squares = fmaf(v.low[j], v.low[j], fmaf(v.high[j], v.high[j], squares));
  const float r = 1.f / sqrtf(warp_sum(squares) / float(s.D) + eps);
  if (i == 0) rstd[at] = r;

  const Columns w = load_columns(h < s.H ? q_weight : k_weight, i, half);
#pragma unroll
  for (int j = 0; j < 4; j++) v.low[j] *= r * (1.f + w.low[j]), v.high[j] *= r * (1.f + w.high[j]);
  rotate(v, load_angles(cos, sin, positions[t], i, half), 1.f);
  store_columns(h < s.H ? q + (t * s.H + h) * s.D : k + (t * s.K + h - s.H) * s.D, i, half, v);
}

// One head, through rotation and norm; `sums` += the head's part of the weight's gradient.
__device__ __forceinline__ void backward_head(bf16* dx, Columns& sums, const bf16* dout, const bf16* x, const Columns& w, const Angles& angles, float rstd, int D, int i) {
  const int half = D / 2;
  const Columns v = load_columns(x, i, half);
  Columns g = load_columns(dout, i, half);
  rotate(g, angles, -1.f);
  float dot = 0;
#pragma unroll
  for (int j = 0; j < 4; j++) {
    sums.low[j] = fmaf(g.low[j] * rstd, v.low[j], sums.low[j]), sums.high[j] = fmaf(g.high[j] * rstd, v.high[j], sums.high[j]);
    g.low[j] *= 1.f + w.low[j], g.high[j] *= 1.f + w.high[j];
    dot = fmaf(g.low[j], v.low[j], fmaf(g.high[j], v.high[j], dot));
  }
  const float scale = warp_sum(dot) / float(D) * rstd * rstd;
#pragma unroll
  for (int j = 0; j < 4; j++) g.low[j] = rstd * fmaf(-v.low[j], scale, g.low[j]), g.high[j] = rstd * fmaf(-v.high[j], scale, g.high[j]);
  store_columns(dx, i, half, g);
}

__device__ __forceinline__ void put_columns(float* row, int i, int half, const Columns& v) {
  if (i >= half) return;
#pragma unroll
  for (int j = 0; j < 4; j++) row[i + j] = v.low[j], row[half + i + j] = v.high[j];
}

// partial [blocks, 2, D]: q_weight, k_weight
__global__ void __launch_bounds__(kThreads) backward_kernel(bf16* dqkv, float* partial, const bf16* dq, const bf16* dk, const bf16* qkv, const bf16* q_weight, const bf16* k_weight, const float* rstd, const float* cos, const float* sin, const int32_t* positions, HeadLayout s) {
  SHARED(float, part, [kWarps][2 * kMaxD]);
  const int warp = threadIdx.x >> 5, half = s.D / 2, i = 4 * (threadIdx.x & 31);
  const int64_t first = int64_t(blockIdx.x) * kBackwardTokens, end = first + kBackwardTokens < s.T ? first + kBackwardTokens : s.T;
  const Columns wq = load_columns(q_weight, i, half), wk = load_columns(k_weight, i, half);
  Columns q_sums = {}, k_sums = {};
  for (int64_t t = first + warp; t < end; t += kWarps) {
    const Angles angles = load_angles(cos, sin, positions[t], i, half);
    const int64_t token = t * (s.H + 2 * s.K) * s.D;
    const float* r = rstd + t * (s.H + s.K);
    for (int h = 0; h < s.H; h++) backward_head(dqkv + token + h * s.D, q_sums, dq + (t * s.H + h) * s.D, qkv + token + h * s.D, wq, angles, r[h], s.D, i);
    const int64_t keys = token + s.H * s.D;
    for (int h = 0; h < s.K; h++) backward_head(dqkv + keys + h * s.D, k_sums, dk + (t * s.K + h) * s.D, qkv + keys + h * s.D, wk, angles, r[s.H + h], s.D, i);
  }
  put_columns(part[warp], i, half, q_sums), put_columns(part[warp] + s.D, i, half, k_sums);
  __syncthreads();
  for (int c = threadIdx.x; c < 2 * s.D; c += kThreads) {
    float sum = part[0][c];
#pragma unroll
    for (int w = 1; w < kWarps; w++) sum += part[w][c];
    partial[int64_t(blockIdx.x) * 2 * s.D + c] = sum;
  }
}

void forward(Context& context, bf16* q, bf16* k, float* rstd, const bf16* qkv, const bf16* q_weight, const bf16* k_weight, const float* cos, const float* sin, const int32_t* positions, HeadLayout s, float eps) {
  launch(context, unsigned(divide_up<int64_t>(s.T * (s.H + s.K), kWarps)), kThreads, 0, forward_kernel, q, k, rstd, qkv, q_weight, k_weight, cos, sin, positions, s, eps);
}

void backward(Context& context, bf16* dqkv, float* dq_weight, float* dk_weight, const bf16* dq, const bf16* dk, const bf16* qkv, const bf16* q_weight, const bf16* k_weight, const float* rstd, const float* cos, const float* sin, const int32_t* positions, HeadLayout s) {
  const int64_t blocks = divide_up<int64_t>(s.T, kBackwardTokens);
  float* partial = static_cast<float*>(context.scratch(size_t(blocks * 2 * s.D) * sizeof(float)));
  launch(context, unsigned(blocks), kThreads, 0, backward_kernel, dqkv, partial, dq, dk, qkv, q_weight, k_weight, rstd, cos, sin, positions, s);
  launch_column_sums(context, dq_weight, dk_weight, partial, blocks, s.D);
}

}  // namespace

const gpu::QkNormRope qk_norm_rope = {forward, backward};

}  // namespace gt::GT_GPU
