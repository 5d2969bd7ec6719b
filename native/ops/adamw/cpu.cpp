// CPU backend of adamw: one streaming pass in blocks, sixteen lanes at a time.
#include "ops/adamw/cpu.h"

#include "cpu/rows.h"

namespace gt::cpu {
namespace {

constexpr int64_t kBlock = 16384;  // elements per task

GT_INLINE f32x16 sqrt16(f32x16 v) {
  float s[kLanes];
  __builtin_memcpy(s, &v, sizeof s);
  for (int i = 0; i < kLanes; i++) s[i] = __builtin_sqrtf(s[i]);
  return load16(s);
}

// 16-bit integers in the low halves of 32-bit lanes.
GT_INLINE u32x16 get_u16(const uint16_t* p, int64_t n) {
  u16x16 h{};
  if (n == kLanes) __builtin_memcpy(&h, p, sizeof h);
  else __builtin_memcpy(&h, p, size_t(n) * 2);
  return __builtin_convertvector(h, u32x16);
}
GT_INLINE void put_u16(uint16_t* p, u32x16 v, int64_t n) {
  u16x16 h = __builtin_convertvector(v, u16x16);
  if (n == kLanes) __builtin_memcpy(p, &h, sizeof h);
  else __builtin_memcpy(p, &h, size_t(n) * 2);
}

// to_bf16_stochastic (stochastic.h), with the sign of a difference in place of a comparison: all bits set where v is NaN.
GT_INLINE void put_stochastic(bf16* p, f32x16 v, u32x16 random16, int64_t n) {
  const u32x16 bits = (u32x16)v, nan = (u32x16)((i32x16)(0x7f800000u - (bits & 0x7fffffffu)) >> 31);
  put_u16((uint16_t*)p, (bits + (random16 & ~nan)) >> 16 | (nan & 0x40u), n);
}

struct Moments {
  f32x16 m, v;
};

// The new weights and moments. The order of operations is that of torch's fused kernel: aten/src/ATen/native/cpu/FusedAdamKernel.cpp.
GT_INLINE f32x16 step(f32x16 p, f32x16 grad, Moments& state, const AdamWConstants& k) {
  const f32x16 g = grad * k.gradient_scale;
  state.m = state.m + k.one_minus_beta1 * (g - state.m);
  state.v = state.v * k.beta2 + k.one_minus_beta2 * g * g;
  return p * k.decay - k.step_size * state.m / (sqrt16(state.v) / k.root_correction2 + k.epsilon);
}

// The same on float32 gradient and moments in memory.
GT_INLINE f32x16 step_float(f32x16 p, float* grad, float* m, float* v, int64_t n, const AdamWConstants& k) {
  Moments state{get(m, n), get(v, n)};
  p = step(p, get(grad, n), state, k);
  put(m, state.m, n);
  put(v, state.v, n);
  put(grad, f32x16{}, n);
  return p;
}

void update(Threads& threads, float* param, float* grad, float* m, float* v, int64_t N, const AdamWConstants& k) {
  threads.ranges(N, kBlock, [=](int64_t begin, int64_t end) __attribute__((flatten)) {
    lanes(end - begin, [&](int64_t i, int64_t n) {
      i += begin;
      put(param + i, step_float(get(param + i, n), grad + i, m + i, v + i, n, k), n);
    });
  });
}

void update_split(Threads& threads, uint16_t* high, uint16_t* remainder, float* grad, float* m, float* v, int64_t N, const AdamWConstants& k) {
  threads.ranges(N, kBlock, [=](int64_t begin, int64_t end) __attribute__((flatten)) {
    lanes(end - begin, [&](int64_t i, int64_t n) {
      i += begin;
      u32x16 low = (u32x16)((i32x16)(get_u16(remainder + i, n) << 16) >> 16);  // sign-extended
      u32x16 master = (get_u16(high + i, n) << 16) + low;
      master = (u32x16)step_float((f32x16)master, grad + i, m + i, v + i, n, k);
      put_u16(high + i, (master + 0x8000u) >> 16, n);
      put_u16(remainder + i, master & 0xffffu, n);  // master - (high << 16) in 16 bits: the low half as it is
    });
  });
}

void update_stochastic(Threads& threads, bf16* param, bf16* grad, bf16* m, bf16* v, int64_t N, const AdamWConstants& k, UpdateDraws draws, int64_t first) {
  threads.ranges(N, kBlock, [=](int64_t begin, int64_t end) __attribute__((flatten)) {
    lanes(end - begin, [&](int64_t i, int64_t n) {
      i += begin;
      const int64_t index = first + i;  // a multiple of 16: all lanes have its upper half
      const u32x16 low = uint32_t(index) + u32x16{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
      const u32x16 for_moments = mix_index(low, keys_at(draws.moments, index)), for_weight = mix_index(low, keys_at(draws.weight, index));
      Moments state{get(m + i, n), get(v + i, n)};
      const f32x16 p = step(get(param + i, n), get(grad + i, n), state, k);
      put_stochastic(m + i, state.m, for_moments & 0xffffu, n);
      put_stochastic(v + i, state.v, for_moments >> 16, n);
      put_stochastic(param + i, p, for_weight & 0xffffu, n);
      put(grad + i, f32x16{}, n);
    });
  });
}

}  // namespace

extern const AdamWKernels GT_TABLE(adamw);
const AdamWKernels GT_TABLE(adamw) = {update, update_split, update_stochastic};

}  // namespace gt::cpu
