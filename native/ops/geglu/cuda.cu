// A thread takes eight columns of a row.
//
// The tanh form of GELU is a sigmoid: 1/2 (1 + tanh u) = s(2u). So gelu(x) = x s(z) with z = 2 sqrt(2/pi) (x + 0.044715 x^3), and
// gelu'(x) = s + x s (1 - s) z'. One exponential, and no cancellation for x far below 0.
#include "gpu/kernel.h"
#include "ops/geglu/gpu.h"

namespace gt::GT_GPU {
namespace {

constexpr int kThreads = 128;

constexpr float kSlope = 1.5957691216057308f;  // 2 sqrt(2/pi)
constexpr float kCubic = 0.044715f;
// Beyond it s is 0 or 1 in float32. It keeps powers of x finite: 0 · inf would be NaN.
constexpr float kSaturated = 16.f;

__device__ __forceinline__ float saturated(float x) { return fminf(fmaxf(x, -kSaturated), kSaturated); }
// s(z); x is saturated
__device__ __forceinline__ float sigmoid_z(float x) { return 1.f / (1.f + fast_exp2(-kSlope * kLog2e * x * (1.f + kCubic * x * x))); }

// The thread's columns of row blockIdx.x, or past the end.
__device__ __forceinline__ int64_t first_column() { return 8 * (int64_t(blockIdx.y) * kThreads + threadIdx.x); }

__global__ void __launch_bounds__(kThreads) forward_kernel(bf16* h, const bf16* gate_up, int64_t I) {
  const int64_t t = blockIdx.x, i = first_column();
  if (i >= I) return;
  float gate[8], up[8];
  load_8(gate, gate_up + t * 2 * I + i), load_8(up, gate_up + t * 2 * I + I + i);
#pragma unroll
  for (int j = 0; j < 8; j++) gate[j] *= sigmoid_z(saturated(gate[j])) * up[j];
  store_8(h + t * I + i, gate);
}

// A thread has read its columns of gate and up before it writes them.
__global__ void __launch_bounds__(kThreads) backward_kernel(bf16* dgate_up, const bf16* dh, const bf16* gate_up, int64_t I) {
  const int64_t t = blockIdx.x, i = first_column();
  if (i >= I) return;
  float gate[8], up[8], g[8];
  load_8(gate, gate_up + t * 2 * I + i), load_8(up, gate_up + t * 2 * I + I + i), load_8(g, dh + t * I + i);
#pragma unroll
  for (int j = 0; j < 8; j++) {
    const float x = gate[j], c = saturated(x), s = sigmoid_z(c);
    gate[j] = g[j] * up[j] * (s + x * s * (1.f - s) * kSlope * (1.f + 3.f * kCubic * c * c));
    up[j] = g[j] * (x * s);
  }
  store_8(dgate_up + t * 2 * I + i, gate), store_8(dgate_up + t * 2 * I + I + i, up);
}

dim3 blocks(int64_t T, int64_t I) { return dim3(unsigned(T), unsigned(divide_up<int64_t>(I, 8 * kThreads))); }

void forward(Context& context, bf16* h, const bf16* gate_up, int64_t T, int64_t I) {
  launch(context, blocks(T, I), kThreads, 0, forward_kernel, h, gate_up, I);
}

void backward(Context& context, bf16* dgate_up, const bf16* dh, const bf16* gate_up, int64_t T, int64_t I) {
  launch(context, blocks(T, I), kThreads, 0, backward_kernel, dgate_up, dh, gate_up, I);
}

}  // namespace

const gpu::Geglu geglu = {forward, backward};

}  // namespace gt::GT_GPU
