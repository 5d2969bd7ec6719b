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

// The order of operations is that of torch's fused kernel: aten/src/ATen/native/cpu/FusedAdamKernel.cpp.
GT_INLINE f32x16 step(f32x16 p, float* grad, float* m, float* v, int64_t n, const AdamWConstants& k) {
  const f32x16 g = get(grad, n) * k.gradient_scale, m_old = get(m, n);
  const f32x16 m_new = m_old + k.one_minus_beta1 * (g - m_old);
  const f32x16 v_new = get(v, n) * k.beta2 + k.one_minus_beta2 * g * g;
  put(m, m_new, n);
  put(v, v_new, n);
  put(grad, f32x16{}, n);
  return p * k.decay - k.step_size * m_new / (sqrt16(v_new) / k.root_correction2 + k.epsilon);
}

void update(Threads& threads, float* param, float* grad, float* m, float* v, int64_t N, const AdamWConstants& k) {
  threads.ranges(N, kBlock, [=](int64_t begin, int64_t end) __attribute__((flatten)) {
    lanes(end - begin, [&](int64_t i, int64_t n) {
      i += begin;
      put(param + i, step(get(param + i, n), grad + i, m + i, v + i, n, k), n);
    });
  });
}

void update_split(Threads& threads, uint16_t* high, uint16_t* remainder, float* grad, float* m, float* v, int64_t N, const AdamWConstants& k) {
  threads.ranges(N, kBlock, [=](int64_t begin, int64_t end) __attribute__((flatten)) {
    lanes(end - begin, [&](int64_t i, int64_t n) {
      i += begin;
      u32x16 low = (u32x16)((i32x16)(get_u16(remainder + i, n) << 16) >> 16);  // sign-extended
      u32x16 master = (get_u16(high + i, n) << 16) + low;
      master = (u32x16)step((f32x16)master, grad + i, m + i, v + i, n, k);
      put_u16(high + i, (master + 0x8000u) >> 16, n);
      put_u16(remainder + i, master & 0xffffu, n);  // master - (high << 16) in 16 bits: the low half as it is
    });
  });
}

}  // namespace

extern const AdamWKernels GT_TABLE(adamw);
const AdamWKernels GT_TABLE(adamw) = {update, update_split};

}  // namespace gt::cpu
