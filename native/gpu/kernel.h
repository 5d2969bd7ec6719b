// What a kernel may use beyond C++. Kernels are ordinary CUDA (threadIdx, __syncthreads, __shfl_xor_sync ...) in namespace
// gt::GT_GPU, with these habits, so that one source is compiled by nvcc for a GPU and by a C++ compiler for the emulator:
//
//   launch(context, grid, block, dynamic_shared_bytes, kernel, args...)   instead of <<<>>>
//   SHARED(float, part, [4][32]);                                         instead of __shared__ float part[4][32]; 16-byte aligned
//   float* tile = dynamic_shared<float>();                                instead of extern __shared__
//   instructions that C++ does not have: only through gpu/mma.h, gpu/copy_async.h and this file
//
// C++17 (nvcc 11.8). 16-bit numbers in registers are packed pairs in uint32_t: the lower half is the first.
#pragma once
#include <cstdint>
#include <cstring>

#include "core/bf16.h"
#include "core/error.h"
#include "gpu/context.h"

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#define GT_GPU cuda
#define SHARED(T, name, dims) __shared__ __align__(16) T name dims
#else
#include "gpu/emulator.h"
#define GT_GPU emulated
#define SHARED(T, name, dims)       \
  using name##_shared_type = T dims; \
  name##_shared_type& name = ::gt::emulated::static_shared<name##_shared_type>(__FILE__, __LINE__)
#endif

// The architecture that device code is compiled for; in host code and in the emulator everything is there.
#if defined(__CUDA_ARCH__)
#define GT_ARCH __CUDA_ARCH__
#else
#define GT_ARCH 10000
#endif
// First line of a kernel template of a Level: on older architectures it is empty (and never launched).
#define GT_KERNEL_OF(kLevel) \
  if constexpr (int(kLevel) > GT_ARCH) return

namespace gt::GT_GPU {

using gpu::Context;
using gpu::Level;

constexpr unsigned kFullWarp = 0xffffffffu;

#if defined(__CUDACC__)
template <class T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ __align__(128) unsigned char gt_dynamic_shared[];
  return reinterpret_cast<T*>(gt_dynamic_shared);
}

inline void check_cuda(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw Error(Code::kDevice, text(what, " failed: ", cudaGetErrorString(status), " (CUDA error ", int(status), ")"));
}

// Throws Error(kDevice) if the launch is refused. An empty grid launches nothing.
template <class... P, class... A>
void launch(Context& context, dim3 grid, dim3 block, size_t dynamic_shared_bytes, void (*kernel)(P...), A&&... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  check_cuda(cudaSetDevice(context.index), "selecting the device");  // a thread's own, and calls come from any thread
  if (dynamic_shared_bytes > 48 * 1024)
    check_cuda(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize, int(dynamic_shared_bytes)), "reserving shared memory for a kernel");
  cudaLaunchConfig_t config = {};
  config.gridDim = grid, config.blockDim = block, config.dynamicSmemBytes = dynamic_shared_bytes, config.stream = static_cast<cudaStream_t>(context.stream);
  check_cuda(cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...), "launching a kernel");
  context.launches++;
}
#endif

// A Level as a compile-time constant: with_level(context.level, [&](auto level) { constexpr Level kLevel = decltype(level)::value; ... }).
template <class Body>
void with_level(Level level, const Body& body) {
  if (level == Level::sm75) body(std::integral_constant<Level, Level::sm75>{});
  else body(std::integral_constant<Level, Level::sm80>{});
}

template <class T>
__host__ __device__ constexpr T divide_up(T a, T b) { return (a + b - 1) / b; }

// ---- 16-bit numbers

__device__ __forceinline__ uint32_t float_bits(float f) {
#if defined(__CUDACC__)
  return __float_as_uint(f);
#else
  uint32_t u;
  memcpy(&u, &f, 4);
  return u;
#endif
}
__device__ __forceinline__ float bits_float(uint32_t u) {
#if defined(__CUDACC__)
  return __uint_as_float(u);
#else
  float f;
  memcpy(&f, &u, 4);
  return f;
#endif
}

__device__ __forceinline__ float low_bf16(uint32_t pair) { return bits_float(pair << 16); }
__device__ __forceinline__ float high_bf16(uint32_t pair) { return bits_float(pair & 0xffff0000u); }
__device__ __forceinline__ float widen(bf16 x) { return bits_float(uint32_t(x.bits) << 16); }

// Rounded to nearest even; NaN stays NaN.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
#if defined(__CUDACC__) && GT_ARCH >= 800
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#else
  auto round = [](float f) {
    const uint32_t u = float_bits(f);
    return f != f ? 0x7fffu : (u + 0x7fffu + ((u >> 16) & 1)) >> 16;
  };
  return round(low) | round(high) << 16;
#endif
}
__device__ __forceinline__ bf16 narrow(float f) { return bf16{uint16_t(pack_bf16(f, 0.f))}; }

// fp16, rounded to nearest even; beyond 65,504 infinite.
__device__ __forceinline__ uint32_t pack_f16(float low, float high) {
#if defined(__CUDACC__) && GT_ARCH >= 800
  uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#elif defined(__CUDACC__)
  uint32_t pair;
  asm("{.reg .b16 l, h; cvt.rn.f16.f32 l, %1; cvt.rn.f16.f32 h, %2; mov.b32 %0, {l, h};}" : "=r"(pair) : "f"(low), "f"(high));
  return pair;
#else
  return f16_from_float(low) | uint32_t(f16_from_float(high)) << 16;
#endif
}
__device__ __forceinline__ float low_f16(uint32_t pair) {
#if defined(__CUDACC__)
  float f;
  asm("{.reg .b16 l, h; mov.b32 {l, h}, %1; cvt.f32.f16 %0, l;}" : "=f"(f) : "r"(pair));
  return f;
#else
  return float_from_f16(uint16_t(pair));
#endif
}
__device__ __forceinline__ float high_f16(uint32_t pair) { return low_f16(pair >> 16); }

// One spelling for float and bfloat16 elements.
__device__ __forceinline__ float load_float(const float* p) { return *p; }
__device__ __forceinline__ float load_float(const bf16* p) { return widen(*p); }
__device__ __forceinline__ void store_float(float* p, float v) { *p = v; }
__device__ __forceinline__ void store_float(bf16* p, float v) { *p = narrow(v); }

// Eight neighbours at once; p is 16-byte aligned for bfloat16 and float.
__device__ __forceinline__ void load_8(float (&v)[8], const bf16* p) {
  const uint4 u = *reinterpret_cast<const uint4*>(p);
  v[0] = low_bf16(u.x), v[1] = high_bf16(u.x), v[2] = low_bf16(u.y), v[3] = high_bf16(u.y);
  v[4] = low_bf16(u.z), v[5] = high_bf16(u.z), v[6] = low_bf16(u.w), v[7] = high_bf16(u.w);
}
__device__ __forceinline__ void load_8(float (&v)[8], const float* p) {
  const float4 a = *reinterpret_cast<const float4*>(p), b = *reinterpret_cast<const float4*>(p + 4);
  v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
}
__device__ __forceinline__ void store_8(bf16* p, const float (&v)[8]) {
  uint4 u;
  u.x = pack_bf16(v[0], v[1]), u.y = pack_bf16(v[2], v[3]), u.z = pack_bf16(v[4], v[5]), u.w = pack_bf16(v[6], v[7]);
  *reinterpret_cast<uint4*>(p) = u;
}
__device__ __forceinline__ void store_8(float* p, const float (&v)[8]) {
  float4 a, b;
  a.x = v[0], a.y = v[1], a.z = v[2], a.w = v[3], b.x = v[4], b.y = v[5], b.z = v[6], b.w = v[7];
  reinterpret_cast<float4*>(p)[0] = a, reinterpret_cast<float4*>(p)[1] = b;
}

// ---- functions

// 2^x, relative error about 2^-22; results below 2^-126 are 0.
__device__ __forceinline__ float fast_exp2(float x) {
#if defined(__CUDACC__)
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  const float y = ::exp2f(x);
  return y < 0x1p-126f ? 0.f : y;
#endif
}
constexpr float kLog2e = 1.4426950408889634f, kLn2 = 0.6931471805599453f;
__device__ __forceinline__ float fast_exp(float x) { return fast_exp2(x * kLog2e); }

// ---- reductions: a fixed order, hence the same bits every time

// All lanes of a full warp get the sum (largest) of their values.
__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
  for (int lane = 16; lane; lane >>= 1) v += __shfl_xor_sync(kFullWarp, v, lane);
  return v;
}
__device__ __forceinline__ double warp_sum(double v) {
#pragma unroll
  for (int lane = 16; lane; lane >>= 1) v += __shfl_xor_sync(kFullWarp, v, lane);
  return v;
}
__device__ __forceinline__ float warp_max(float v) {
#pragma unroll
  for (int lane = 16; lane; lane >>= 1) v = fmaxf(v, __shfl_xor_sync(kFullWarp, v, lane));
  return v;
}

// All threads of a block of kWarps full warps get the sum. `part` is shared memory of kWarps elements; barriers stand before its
// first use and before its reuse.
template <int kWarps, class T>
__device__ __forceinline__ T block_sum(T v, T* part) {
  v = warp_sum(v);
  __syncthreads();
  if ((threadIdx.x & 31) == 0) part[threadIdx.x >> 5] = v;
  __syncthreads();
  T sum = part[0];
#pragma unroll
  for (int w = 1; w < kWarps; w++) sum += part[w];
  return sum;
}

}  // namespace gt::GT_GPU
