// Scaled fp16 containers: how bfloat16 tensors meet the fp16 tensor cores of Turing (sm_75), which has none for bfloat16.
//
// A tensor's operand is fp16(x · 2^s), with one s for the whole tensor, chosen so that its largest magnitude lands in [2^15, 2^16).
// Products are accumulated in float32 and multiplied by 2^-s of both factors at the end. bfloat16 has 8 significant bits and fp16 11,
// so x · 2^s is exact for |x| >= 2^-32 · amax (its last bit is then at or above fp16's smallest subnormal, 2^-24), and off by at
// most 2^-25 · 2^-s <= 2^-40 · amax below. The largest bfloat16 below 2^16 is 65,280 <= 65,504: nothing overflows. Products are below
// 2^32 and sums of 2^17 of them below 2^49, far inside float32. So a product of bfloat16 matrices in this path is the exact
// product up to the order of float32 sums, plus at most K · 2^-40 · amax(A) · amax(B) · 2.
#pragma once
#include "gpu/kernel.h"

namespace gt::GT_GPU {

// amax slots hold the bits of the largest |x| as float32: unsigned order is the order of magnitudes, NaN above all.
// The scale 2^s of a tensor; 1 where the tensor is zero or holds an infinity or NaN (which then spread as they should).
__device__ __forceinline__ float container_scale(uint32_t amax) {
  const int exponent = int(amax >> 23);  // biased; 0 = zero or subnormal, 255 = not finite
  if (amax == 0 || exponent == 255) return 1.f;
  const int scaled = 127 + 15 - (exponent - 127);  // biased exponent of 2^s
  return bits_float(uint32_t(scaled > 253 ? 253 : scaled) << 23);
}
// 2^-s: a power of two too, exact.
__device__ __forceinline__ float container_unscale(uint32_t amax) {
  return bits_float((254u << 23) - float_bits(container_scale(amax)));
}

// The larger of `largest` and the bits of the largest magnitude among eight bfloat16.
__device__ __forceinline__ uint32_t amax_of(uint4 v, uint32_t largest) {
  for (const uint32_t pair : {v.x, v.y, v.z, v.w}) largest = max(largest, max(pair & 0x7fff0000u, (pair << 16) & 0x7fff0000u));
  return largest;
}

constexpr int kAmaxThreads = 256;

// slot = max(slot, bits of the largest |x|) over rows of `columns` bfloat16 that are `stride` apart; columns and stride are
// multiples of 8. The maximum does not depend on the order of the atomics.
static __global__ void __launch_bounds__(kAmaxThreads) amax_kernel(uint32_t* slot, const bf16* x, int64_t rows, int64_t columns, int64_t stride) {
  const int64_t pieces = columns / 8, total = rows * pieces;
  uint32_t largest = 0;
  for (int64_t i = int64_t(blockIdx.x) * kAmaxThreads + threadIdx.x; i < total; i += int64_t(gridDim.x) * kAmaxThreads)
    largest = amax_of(*reinterpret_cast<const uint4*>(x + i / pieces * stride + i % pieces * 8), largest);
#pragma unroll
  for (int lane = 16; lane; lane >>= 1) largest = max(largest, __shfl_xor_sync(kFullWarp, largest, lane));
  if ((threadIdx.x & 31) == 0 && largest) atomicMax(slot, largest);
}

// `slot` must be 0 before.
inline void launch_amax(Context& context, uint32_t* slot, const bf16* x, int64_t rows, int64_t columns, int64_t stride) {
  const int64_t blocks = divide_up<int64_t>(rows * columns, kAmaxThreads * 8 * 4);
  launch(context, unsigned(blocks < 8 * context.description.multiprocessors ? blocks : 8 * context.description.multiprocessors), kAmaxThreads, 0, amax_kernel, slot, x, rows, columns, stride);
}

}  // namespace gt::GT_GPU
