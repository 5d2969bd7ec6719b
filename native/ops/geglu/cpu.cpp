// CPU backend of geglu: rows in parallel, float32 inside.
//
// The tanh form of GELU is a sigmoid: 1/2 (1 + tanh u) = s(2u). So gelu(x) = x s(z) with z = 2 sqrt(2/pi) (x + 0.044715 x^3), and
// gelu'(x) = s + x s (1 - s) z'. One exponential, and no cancellation for x far below 0.
#include "ops/geglu/cpu.h"

#include "cpu/rows.h"

namespace gt::cpu {
namespace {

constexpr int64_t kRows = 8;  // rows per task

constexpr float kSlope = 1.5957691216057308f;  // 2 sqrt(2/pi)
constexpr float kCubic = 0.044715f;

GT_INLINE f32x16 exp_minus_z(f32x16 x) { return exp16(-kSlope * (x + kCubic * x * x * x)); }

template <class E>
__attribute__((flatten)) void forward_rows(E* h, const E* gate_up, int64_t begin, int64_t end, int64_t I) {
  for (int64_t t = begin; t < end; t++) {
    const E *gate = gate_up + t * 2 * I, *up = gate + I;
    lanes(I, [&](int64_t i, int64_t n) {
      f32x16 x = get(gate + i, n);
      put(h + t * I + i, x / (1.f + exp_minus_z(x)) * get(up + i, n), n);
    });
  }
}

template <class E>
__attribute__((flatten)) void backward_rows(E* dgate_up, const E* dh, const E* gate_up, int64_t begin, int64_t end, int64_t I) {
  for (int64_t t = begin; t < end; t++) {
    const E *gate = gate_up + t * 2 * I, *up = gate + I;
    E *dgate = dgate_up + t * 2 * I, *dup = dgate + I;
    lanes(I, [&](int64_t i, int64_t n) {
      f32x16 x = get(gate + i, n), u = get(up + i, n), g = get(dh + t * I + i, n);
      f32x16 e = exp_minus_z(x), s = 1.f / (1.f + e);
      f32x16 slope = s + x * (e * s) * s * (kSlope + 3.f * kSlope * kCubic * x * x);  // e s = 1 - s
      put(dgate + i, g * u * slope, n);
      put(dup + i, g * x * s, n);
    });
  }
}

void forward(Threads& threads, void* h, const void* gate_up, DType type, int64_t T, int64_t I) {
  with_type(type, [&](auto* e) {
    using E = decltype(e);
    threads.ranges(T, kRows, [&](int64_t begin, int64_t end) { forward_rows((E)h, (E)gate_up, begin, end, I); });
  });
}

void backward(Threads& threads, void* dgate_up, const void* dh, const void* gate_up, DType type, int64_t T, int64_t I) {
  with_type(type, [&](auto* e) {
    using E = decltype(e);
    threads.ranges(T, kRows, [&](int64_t begin, int64_t end) { backward_rows((E)dgate_up, (E)dh, (E)gate_up, begin, end, I); });
  });
}

}  // namespace

extern const Geglu GT_TABLE(geglu);
const Geglu GT_TABLE(geglu) = {forward, backward};

}  // namespace gt::cpu
