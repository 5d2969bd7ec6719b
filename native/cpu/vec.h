// Sixteen floats at a time, in GCC/Clang vector extensions: one source that becomes AVX-512, two AVX2 or four SSE/NEON registers.
// The lanes are the same on every instruction set, so a sum over lanes has one order everywhere.
// Everything is `static inline always_inline`: no symbol leaves the file (see isa.h).
#pragma once
#include <cstdint>
#include <cstring>

#include "core/bf16.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // by-value vectors never cross a call: all is inlined

#define GT_INLINE static inline __attribute__((always_inline))

namespace gt::cpu {

constexpr int kLanes = 16;
typedef float f32x16 __attribute__((vector_size(64)));
typedef int32_t i32x16 __attribute__((vector_size(64)));
typedef uint32_t u32x16 __attribute__((vector_size(64)));
typedef uint16_t u16x16 __attribute__((vector_size(32)));

// x - 0 and not 0 + x: that keeps -0, and GCC makes one broadcasting load of it.
GT_INLINE f32x16 splat(float x) { return x - f32x16{}; }

GT_INLINE f32x16 load16(const float* p) {
  f32x16 v;
  __builtin_memcpy(&v, p, 64);
  return v;
}
GT_INLINE f32x16 load16(const bf16* p) {
  u16x16 h;
  __builtin_memcpy(&h, p, 32);
  return (f32x16)(__builtin_convertvector(h, u32x16) << 16);
}
GT_INLINE void store16(float* p, f32x16 v) { __builtin_memcpy(p, &v, 64); }
// Round to nearest even; NaN becomes a quiet NaN only if its upper mantissa bits survive the carry, which they do for quiet NaNs.
GT_INLINE void store16(bf16* p, f32x16 v) {
  u32x16 u = (u32x16)v;
  u = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  u16x16 h = __builtin_convertvector(u, u16x16);
  __builtin_memcpy(p, &h, 32);
}
// The first n < 16 elements; the rest reads as `fill`.
template <class T>
GT_INLINE f32x16 load_part(const T* p, int64_t n, float fill = 0) {
  f32x16 v = splat(fill);
  for (int64_t i = 0; i < n; i++) v[i] = gt::load(p + i);
  return v;
}
template <class T>
GT_INLINE void store_part(T* p, f32x16 v, int64_t n) {
  for (int64_t i = 0; i < n; i++) gt::store(p + i, v[i]);
}

// a < b by lanes: all bits set where true. GCC takes a comparison of vectors wider than the machine's apart lane by lane (96
// instructions instead of 8 on AVX2), so the registers are compared one by one.
#if defined(__AVX512F__)
GT_INLINE i32x16 less(f32x16 a, f32x16 b) { return a < b; }
#elif defined(__AVX__)
typedef int32_t i32x8 __attribute__((vector_size(32)));
GT_INLINE i32x16 less(f32x16 a, f32x16 b) {
  const i32x8 low = __builtin_shufflevector(a, a, 0, 1, 2, 3, 4, 5, 6, 7) < __builtin_shufflevector(b, b, 0, 1, 2, 3, 4, 5, 6, 7);
  const i32x8 high = __builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15) < __builtin_shufflevector(b, b, 8, 9, 10, 11, 12, 13, 14, 15);
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
#else
GT_INLINE i32x16 less(f32x16 a, f32x16 b) {
  typedef float part __attribute__((vector_size(16)));
  typedef int32_t mask __attribute__((vector_size(16)));
  i32x16 r;
  for (int i = 0; i < 64; i += 16) {
    part x, y;
    __builtin_memcpy(&x, (const char*)&a + i, 16);
    __builtin_memcpy(&y, (const char*)&b + i, 16);
    const mask m = x < y;
    __builtin_memcpy((char*)&r + i, &m, 16);
  }
  return r;
}
#endif
GT_INLINE f32x16 select(i32x16 mask, f32x16 a, f32x16 b) { return (f32x16)(((i32x16)a & mask) | ((i32x16)b & ~mask)); }
GT_INLINE f32x16 max16(f32x16 a, f32x16 b) { return select(less(b, a), a, b); }
GT_INLINE f32x16 min16(f32x16 a, f32x16 b) { return select(less(a, b), a, b); }

// Sum and maximum of the lanes, in a fixed tree.
GT_INLINE float sum(f32x16 v) {
  float s[16];
  __builtin_memcpy(s, &v, 64);
  for (int w = 8; w; w /= 2)
    for (int i = 0; i < w; i++) s[i] += s[i + w];
  return s[0];
}
GT_INLINE float max_of(f32x16 v) {
  float s[16];
  __builtin_memcpy(s, &v, 64);
  for (int w = 8; w; w /= 2)
    for (int i = 0; i < w; i++) s[i] = s[i] > s[i + w] ? s[i] : s[i + w];
  return s[0];
}

// e^x to 1.5 ulp (Cephes expf: x = n ln 2 + r, degree-6 polynomial in r). Below -87.3 the result is 0, above 88.4 it saturates near
// FLT_MAX; NaN is not kept (callers have finite inputs or check the loss).
GT_INLINE f32x16 exp16(f32x16 x) {
  i32x16 tiny = less(x, splat(-87.3f));
  x = min16(max16(x, splat(-87.3f)), splat(88.37f));
  const f32x16 magic = splat(12582912.f);  // 1.5 · 2^23: adding it rounds to an integer held in the low mantissa bits
  f32x16 n = x * 1.44269504088896341f + magic;
  i32x16 k = (i32x16)n - (i32x16)magic;
  n = n - magic;
  f32x16 r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  f32x16 p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  f32x16 e = (f32x16)((i32x16)p + (k << 23));
  return select(tiny, f32x16{}, e);
}

// tanh x = 1 - 2 / (1 + e^2x), and an odd series near 0 where that cancels.
GT_INLINE f32x16 tanh16(f32x16 x) {
  f32x16 e = exp16(min16(max16(x, splat(-15.f)), splat(15.f)) * 2.f);
  f32x16 far = 1.f - 2.f / (1.f + e);
  f32x16 s = x * x;
  f32x16 p = splat(-5.70498872745e-3f);
  p = p * s + 2.06390887954e-2f;
  p = p * s + -5.37397155531e-2f;
  p = p * s + 1.33314422036e-1f;
  p = p * s + -3.33332819422e-1f;
  f32x16 near = x + x * s * p;
  return select(less(x, splat(0.625f)) & less(splat(-0.625f), x), near, far);
}

}  // namespace gt::cpu
