#include "gpu/kernel.h"
#include "ops/adamw/gpu.h"

namespace gt::GT_GPU {
namespace {

constexpr int kThreads = 256, kWidth = 8;

// An update's numbers from the host.
struct Settings {
  AdamWConstants k;
  double divisor, max_grad_norm;
};

// One thread, once an update: divisions in double are slow on most GPUs.
__global__ void constants_kernel(AdamWConstants* k, const Settings* settings, const double* norm) {
  *k = settings->k;
  k->gradient_scale = gradient_scale(*norm, settings->divisor, settings->max_grad_norm);
}

// n neighbours, moved in pieces of 16 bytes at most.
template <class T, int n>
struct alignas(sizeof(T) * n < 16 ? sizeof(T) * n : 16) Pack {
  T v[n];
};
template <int n, class T>
__device__ __forceinline__ Pack<T, n> load_pack(const T* p) { return *reinterpret_cast<const Pack<T, n>*>(p); }
template <int n, class T>
__device__ __forceinline__ void store_pack(T* p, const Pack<T, n>& v) { *reinterpret_cast<Pack<T, n>*>(p) = v; }

// A product that no addition is fused with.
__device__ __forceinline__ float product(float a, float b) {
#if defined(__CUDACC__)
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

// The CPU kernel's operations in its order, each rounded: the bits of GEMMATUNE_CPU=portable, whose instructions do not fuse either.
__device__ __forceinline__ float step(float p, float grad, float& m, float& v, const AdamWConstants& k) {
  const float g = product(grad, k.gradient_scale);
  m = m + product(k.one_minus_beta1, g - m);
  v = product(v, k.beta2) + product(product(k.one_minus_beta2, g), g);
  return product(p, k.decay) - product(k.step_size, m) / (sqrtf(v) / k.root_correction2 + k.epsilon);
}

// n elements a thread. P: float, or uint16_t for the upper half of a split master, whose lower half is in `remainder`.
template <class P, int n>
__global__ void __launch_bounds__(kThreads) adamw_kernel(P* param, uint16_t* remainder, float* grad, float* m, float* v, int64_t N, const AdamWConstants* constants) {
  constexpr bool kSplit = sizeof(P) == 2;
  const int64_t i = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * n;
  if (i >= N) return;
  const AdamWConstants k = *constants;
  const Pack<float, n> g = load_pack<n>(grad + i);
  store_pack<n>(grad + i, Pack<float, n>{});
  if (k.gradient_scale != k.gradient_scale) return;

  Pack<float, n> m_pack = load_pack<n>(m + i), v_pack = load_pack<n>(v + i);
  Pack<P, n> p_pack = load_pack<n>(param + i);
  Pack<uint16_t, n> low = {};
  if constexpr (kSplit) low = load_pack<n>(remainder + i);
#pragma unroll
  for (int j = 0; j < n; j++) {
    float& m_j = m_pack.v[j];
    float& v_j = v_pack.v[j];
    if constexpr (kSplit) {
      const float master = bits_float((uint32_t(p_pack.v[j]) << 16) + uint32_t(int32_t(int16_t(low.v[j]))));
      const uint32_t bits = float_bits(step(master, g.v[j], m_j, v_j, k));
      p_pack.v[j] = P((bits + 0x8000u) >> 16), low.v[j] = uint16_t(bits);
    } else {
      p_pack.v[j] = step(p_pack.v[j], g.v[j], m_j, v_j, k);
    }
  }
  store_pack<n>(m + i, m_pack), store_pack<n>(v + i, v_pack), store_pack<n>(param + i, p_pack);
  if constexpr (kSplit) store_pack<n>(remainder + i, low);
}

template <class P>
void update_range(Context& context, P* param, uint16_t* remainder, float* grad, float* m, float* v, int64_t N, const AdamWConstants& k, const double* norm, double divisor, double max_grad_norm) {
  const Settings settings = {k, divisor, max_grad_norm};
  // A fixed place, unlike what is staged: the large kernels' arguments stay the same from step to step.
  auto* constants = static_cast<AdamWConstants*>(context.scratch(sizeof(AdamWConstants)));
  launch(context, 1, 1, 0, constants_kernel, constants, static_cast<const Settings*>(context.stage(&settings, sizeof settings)), norm);

  const int64_t wide = N / kWidth * kWidth, rest = N - wide;
  launch(context, unsigned(divide_up<int64_t>(wide, kThreads * kWidth)), kThreads, 0, adamw_kernel<P, kWidth>, param, remainder, grad, m, v, wide, constants);
  launch(context, unsigned(rest > 0), kThreads, 0, adamw_kernel<P, 1>, param + wide, remainder ? remainder + wide : nullptr, grad + wide, m + wide, v + wide, rest, constants);
}

void update(Context& context, float* param, float* grad, float* m, float* v, int64_t N, const AdamWConstants& k, const double* norm, double divisor, double max_grad_norm) {
  update_range(context, param, nullptr, grad, m, v, N, k, norm, divisor, max_grad_norm);
}

void update_split(Context& context, uint16_t* high, uint16_t* remainder, float* grad, float* m, float* v, int64_t N, const AdamWConstants& k, const double* norm, double divisor, double max_grad_norm) {
  update_range(context, high, remainder, grad, m, v, N, k, norm, divisor, max_grad_norm);
}

}  // namespace

const gpu::AdamWKernels adamw = {update, update_split};

}  // namespace gt::GT_GPU
