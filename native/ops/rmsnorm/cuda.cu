// One warp a row, eight columns a lane at a time; what a second pass over a row reads again is still in the cache. Fused and single
// kernels are made of the same functions on rows, and products that are added to something are written as fmaf: so they give the same bits.
#include "gpu/column_sums.h"
#include "gpu/kernel.h"
#include "ops/rmsnorm/gpu.h"

namespace gt::GT_GPU {
namespace {

constexpr int kWarps = 8, kThreads = 32 * kWarps;
constexpr int kBackwardBlocks = 4;  // of a multiprocessor, with 64 registers a thread
constexpr int kBackwardRows = 16;  // of a block; fixed, so that sums over rows do not depend on the device

// body(c) for the pieces of eight columns from c that are this lane's.
template <class Body>
__device__ __forceinline__ void for_each_piece(int C, const Body& body) {
  for (int c = 8 * (threadIdx.x & 31); c < C; c += 8 * 32) body(c);
}

template <class X>
__device__ __forceinline__ float rstd_of(const X* x, int C, float eps) {
  float squares = 0;
  for_each_piece(C, [&](int c) {
    float v[8];
    load_8(v, x + c);
#pragma unroll
    for (int j = 0; j < 8; j++) squares = fmaf(v[j], v[j], squares);
  });
  return 1.f / sqrtf(warp_sum(squares) / float(C) + eps);
}

// y = x · rstd · (1 + weight), or with kResidual that + residual, which may be y.
template <bool kResidual, class Y, class X>
__device__ __forceinline__ void scale_row(Y* y, const float* residual, const X* x, const bf16* weight, float rstd, int C) {
  for_each_piece(C, [&](int c) {
    float v[8], w[8], above[8];
    load_8(v, x + c), load_8(w, weight + c);
    if constexpr (kResidual) load_8(above, residual + c);
#pragma unroll
    for (int j = 0; j < 8; j++) {
      if constexpr (kResidual) v[j] = fmaf(v[j] * rstd, 1.f + w[j], above[j]);
      else v[j] = v[j] * rstd * (1.f + w[j]);
    }
    store_8(y + c, v);
  });
}

// dx = (dx +) rstd · (g - x · k) with g = dy · (1 + weight), k = rstd² · mean(g · x)
template <bool kAccumulate, class DX, class DY, class X>
__device__ __forceinline__ void backward_row(DX* dx, const DY* dy, const X* x, const bf16* weight, float rstd, int C) {
  float dot = 0;
  for_each_piece(C, [&](int c) {
    float g[8], v[8], w[8];
    load_8(g, dy + c), load_8(v, x + c), load_8(w, weight + c);
#pragma unroll
    for (int j = 0; j < 8; j++) dot = fmaf(g[j] * (1.f + w[j]), v[j], dot);
  });
  const float k = warp_sum(dot) / float(C) * rstd * rstd;
  for_each_piece(C, [&](int c) {
    float g[8], v[8], w[8], d[8];
    load_8(g, dy + c), load_8(v, x + c), load_8(w, weight + c);
    if constexpr (kAccumulate) load_8(d, dx + c);
#pragma unroll
    for (int j = 0; j < 8; j++) {
      const float inner = fmaf(-v[j], k, g[j] * (1.f + w[j]));
      if constexpr (kAccumulate) d[j] = fmaf(rstd, inner, d[j]);
      else d[j] = rstd * inner;
    }
    store_8(dx + c, d);
  });
}

// partial[c] = sum over the rows of dy · x · rstd, in their order; the threads of the block share the columns.
template <class DY, class X>
__device__ __forceinline__ void weight_gradient(float* partial, const DY* dy, const X* x, const float* rstd, int64_t first, int64_t end, int C) {
  for (int c = 8 * threadIdx.x; c < C; c += 8 * kThreads) {
    float sum[8] = {};
#pragma unroll 4
    for (int64_t t = first; t < end; t++) {
      float g[8], v[8];
      load_8(g, dy + t * C + c), load_8(v, x + t * C + c);
      const float r = rstd[t];
#pragma unroll
      for (int j = 0; j < 8; j++) sum[j] = fmaf(g[j] * r, v[j], sum[j]);
    }
    store_8(partial + c, sum);
  }
}

__device__ __forceinline__ int64_t row_of_warp() { return int64_t(blockIdx.x) * kWarps + (threadIdx.x >> 5); }
__device__ __forceinline__ bool first_lane() { return (threadIdx.x & 31) == 0; }

// body(t) for the block's rows from `first` that are this warp's; returns where the block's rows end.
template <class Body>
__device__ __forceinline__ int64_t for_each_row(int64_t first, int64_t T, const Body& body) {
  const int64_t end = first + kBackwardRows < T ? first + kBackwardRows : T;
  for (int64_t t = first + (threadIdx.x >> 5); t < end; t += kWarps) body(t);
  return end;
}

template <bool kResidual, class Y, class X>
__global__ void __launch_bounds__(kThreads) forward_kernel(Y* y, float* rstd, const float* residual, const X* x, const bf16* weight, int64_t T, int C, float eps) {
  const int64_t t = row_of_warp();
  if (t >= T) return;
  const float r = rstd_of(x + t * C, C, eps);
  if (first_lane()) rstd[t] = r;
  scale_row<kResidual>(y + t * C, kResidual ? residual + t * C : nullptr, x + t * C, weight, r, C);
}

__global__ void __launch_bounds__(kThreads) fused_forward_kernel(float* middle, bf16* normed, float* x_rstd, float* middle_rstd, const float* residual, const bf16* x, const bf16* weight, const bf16* next_weight, int64_t T, int C, float eps) {
  const int64_t t = row_of_warp();
  if (t >= T) return;
  const float r = rstd_of(x + t * C, C, eps);
  scale_row<true>(middle + t * C, residual + t * C, x + t * C, weight, r, C);
  // From here on a lane reads the columns of `middle` that it wrote itself.
  const float next = rstd_of(middle + t * C, C, eps);
  scale_row<false>(normed + t * C, nullptr, middle + t * C, next_weight, next, C);
  if (first_lane()) x_rstd[t] = r, middle_rstd[t] = next;
}

// partial [blocks, C]
template <bool kAccumulate, class DX, class DY, class X>
__global__ void __launch_bounds__(kThreads, kBackwardBlocks) backward_kernel(DX* dx, float* partial, const DY* dy, const X* x, const bf16* weight, const float* rstd, int64_t T, int C) {
  const int64_t first = int64_t(blockIdx.x) * kBackwardRows;
  const int64_t end = for_each_row(first, T, [&](int64_t t) { backward_row<kAccumulate>(dx + t * C, dy + t * C, x + t * C, weight, rstd[t], C); });
  weight_gradient(partial + int64_t(blockIdx.x) * C, dy, x, rstd, first, end, C);
}

// partial [blocks, 2, C]: weight, next_weight. dx may be dnormed.
__global__ void __launch_bounds__(kThreads, kBackwardBlocks) fused_backward_kernel(bf16* dx, float* dmiddle, float* partial, const bf16* dnormed, const bf16* x, const bf16* weight, const float* x_rstd, const float* middle, const bf16* next_weight, const float* middle_rstd, int64_t T, int C) {
  const int64_t first = int64_t(blockIdx.x) * kBackwardRows;
  float* own = partial + int64_t(blockIdx.x) * 2 * C;
  const int64_t end = for_each_row(first, T, [&](int64_t t) { backward_row<true>(dmiddle + t * C, dnormed + t * C, middle + t * C, next_weight, middle_rstd[t], C); });
  weight_gradient(own + C, dnormed, middle, middle_rstd, first, end, C);
  __syncthreads();  // dnormed has been read by all threads, dmiddle written by all warps
  for_each_row(first, T, [&](int64_t t) { backward_row<false>(dx + t * C, dmiddle + t * C, x + t * C, weight, x_rstd[t], C); });
  weight_gradient(own, dmiddle, x, x_rstd, first, end, C);
}

unsigned forward_blocks(int64_t T) { return unsigned(divide_up<int64_t>(T, kWarps)); }
unsigned backward_blocks(int64_t T) { return unsigned(divide_up<int64_t>(T, kBackwardRows)); }
float* partial_sums(Context& context, int64_t rows, int64_t C) { return static_cast<float*>(context.scratch(size_t(rows * C) * sizeof(float))); }

void forward(Context& context, bf16* y, float* rstd, const void* x, DType x_type, const bf16* weight, int64_t T, int64_t C, float eps) {
  const float* none = nullptr;
  if (x_type == DType::f32) launch(context, forward_blocks(T), kThreads, 0, forward_kernel<false, bf16, float>, y, rstd, none, static_cast<const float*>(x), weight, T, C, eps);
  else launch(context, forward_blocks(T), kThreads, 0, forward_kernel<false, bf16, bf16>, y, rstd, none, static_cast<const bf16*>(x), weight, T, C, eps);
}

void residual_forward(Context& context, float* out, float* rstd, const float* residual, const bf16* x, const bf16* weight, int64_t T, int64_t C, float eps) {
  launch(context, forward_blocks(T), kThreads, 0, forward_kernel<true, float, bf16>, out, rstd, residual, x, weight, T, C, eps);
}

template <bool kAccumulate, class DX, class DY, class X>
void backward(Context& context, DX* dx, float* dweight, const DY* dy, const X* x, const bf16* weight, const float* rstd, int64_t T, int64_t C) {
  const unsigned blocks = backward_blocks(T);
  float* partial = partial_sums(context, blocks, C);
  launch(context, blocks, kThreads, 0, backward_kernel<kAccumulate, DX, DY, X>, dx, partial, dy, x, weight, rstd, T, C);
  launch_column_sums(context, dweight, nullptr, partial, blocks, C);
}

void stream_backward(Context& context, float* dx, bool accumulate, float* dweight, const bf16* dy, const float* x, const bf16* weight, const float* rstd, int64_t T, int64_t C) {
  (accumulate ? backward<true, float, bf16, float> : backward<false, float, bf16, float>)(context, dx, dweight, dy, x, weight, rstd, T, C);
}

void fused_forward(Context& context, float* middle, bf16* normed, float* x_rstd, float* middle_rstd, const float* residual, const bf16* x, const bf16* weight, const bf16* next_weight, int64_t T, int64_t C, float eps) {
  launch(context, forward_blocks(T), kThreads, 0, fused_forward_kernel, middle, normed, x_rstd, middle_rstd, residual, x, weight, next_weight, T, C, eps);
}

void fused_backward(Context& context, bf16* dx, float* dmiddle, float* dweight, float* dnext_weight, const bf16* dnormed, const bf16* x, const bf16* weight, const float* x_rstd, const float* middle, const bf16* next_weight, const float* middle_rstd, int64_t T, int64_t C) {
  const unsigned blocks = backward_blocks(T);
  float* partial = partial_sums(context, blocks, 2 * C);
  launch(context, blocks, kThreads, 0, fused_backward_kernel, dx, dmiddle, partial, dnormed, x, weight, x_rstd, middle, next_weight, middle_rstd, T, C);
  launch_column_sums(context, dweight, dnext_weight, partial, blocks, C);
}

}  // namespace

const gpu::Rmsnorm rmsnorm = {forward, residual_forward, backward<false, bf16, float, bf16>, stream_backward, fused_forward, fused_backward};

}  // namespace gt::GT_GPU
