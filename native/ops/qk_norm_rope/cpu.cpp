// CPU backend of qk_norm_rope: tokens in parallel, one head at a time, float32 inside.
#include "ops/qk_norm_rope/cpu.h"

#include <cmath>

#include "cpu/rows.h"

namespace gt::cpu {
namespace {

// One head: out = rotate(x · rstd · (1 + weight)); returns rstd. cos, sin: the token's rows of the table.
template <class E, class W>
GT_INLINE float forward_head(E* out, const E* x, const W* weight, const float* cos, const float* sin, int64_t D, float eps) {
  const int64_t half = D / 2;
  f32x16 squares{};
  lanes(D, [&](int64_t i, int64_t n) { f32x16 v = get(x + i, n); squares += v * v; });
  const float rstd = 1.f / std::sqrt(sum(squares) / float(D) + eps);
  lanes(half, [&](int64_t i, int64_t n) {
    const f32x16 a = get(x + i, n) * rstd * (1.f + get(weight + i, n));
    const f32x16 b = get(x + half + i, n) * rstd * (1.f + get(weight + half + i, n));
    const f32x16 c = get(cos + i, n), s = get(sin + i, n);
    put(out + i, a * c - b * s, n);
    put(out + half + i, b * c + a * s, n);
  });
  return rstd;
}

// One head: dx (=), dweight (+=).
template <class E, class W>
GT_INLINE void backward_head(E* dx, float* dweight, const E* dout, const E* x, const W* weight, float rstd, const float* cos, const float* sin, int64_t D) {
  const int64_t half = D / 2;
  f32x16 dots{};
  // body(i, n, gradient of the normed head at i, at i + half)
  const auto rotated_back = [&](const auto& body) __attribute__((always_inline)) {
    lanes(half, [&](int64_t i, int64_t n) {
      const f32x16 a = get(dout + i, n), b = get(dout + half + i, n), c = get(cos + i, n), s = get(sin + i, n);
      body(i, n, a * c + b * s);
      body(half + i, n, b * c - a * s);
    });
  };
  rotated_back([&](int64_t i, int64_t n, f32x16 g) __attribute__((always_inline)) {
    const f32x16 v = get(x + i, n);
    put(dweight + i, get(dweight + i, n) + g * v * rstd, n);
    dots += g * (1.f + get(weight + i, n)) * v;
  });
  const float k = sum(dots) / float(D) * rstd * rstd;
  rotated_back([&](int64_t i, int64_t n, f32x16 g) __attribute__((always_inline)) {
    put(dx + i, rstd * (g * (1.f + get(weight + i, n)) - get(x + i, n) * k), n);
  });
}

template <class E, class W>
__attribute__((flatten)) void forward_token(E* q, E* k, float* rstd, const E* qkv, const W* q_weight, const W* k_weight, const float* cos, const float* sin, HeadLayout s, float eps) {
  for (int64_t h = 0; h < s.H; h++) rstd[h] = forward_head(q + h * s.D, qkv + h * s.D, q_weight, cos, sin, s.D, eps);
  for (int64_t h = 0; h < s.K; h++) rstd[s.H + h] = forward_head(k + h * s.D, qkv + (s.H + h) * s.D, k_weight, cos, sin, s.D, eps);
}

template <class E, class W>
__attribute__((flatten)) void backward_token(E* dqkv, float* partial, const E* dq, const E* dk, const E* qkv, const W* q_weight, const W* k_weight, const float* rstd, const float* cos, const float* sin, HeadLayout s) {
  for (int64_t h = 0; h < s.H; h++) backward_head(dqkv + h * s.D, partial, dq + h * s.D, qkv + h * s.D, q_weight, rstd[h], cos, sin, s.D);
  for (int64_t h = 0; h < s.K; h++)
    backward_head(dqkv + (s.H + h) * s.D, partial + s.D, dk + h * s.D, qkv + (s.H + h) * s.D, k_weight, rstd[s.H + h], cos, sin, s.D);
}

void forward(Threads& threads, void* q, void* k, float* rstd, const void* qkv, DType type, const void* q_weight, const void* k_weight, DType weight_type, const float* cos, const float* sin, const int32_t* positions, HeadLayout s, float eps) {
  const int64_t half = s.D / 2, qkv_row = (s.H + 2 * s.K) * s.D;
  with_type(type, [&](auto* te) { with_type(weight_type, [&](auto* tw) {
    using E = decltype(te);
    using W = decltype(tw);
    threads.ranges(s.T, kQkNormRopeBlock, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; t++) {
        const float *c = cos + positions[t] * half, *si = sin + positions[t] * half;
        forward_token((E)q + t * s.H * s.D, (E)k + t * s.K * s.D, rstd + t * (s.H + s.K), (E)qkv + t * qkv_row, (W)q_weight, (W)k_weight, c, si, s, eps);
      }
    });
  }); });
}

void backward(Threads& threads, void* dqkv, void* dq_weight, void* dk_weight, DType gradient_type, float* partial, const void* dq, const void* dk, const void* qkv, DType type, const void* q_weight, const void* k_weight, DType weight_type, const float* rstd, const float* cos, const float* sin, const int32_t* positions, HeadLayout s) {
  const int64_t half = s.D / 2, qkv_row = (s.H + 2 * s.K) * s.D;
  with_type(type, [&](auto* te) { with_type(weight_type, [&](auto* tw) {
    using E = decltype(te);
    using W = decltype(tw);
    threads.ranges(s.T, kQkNormRopeBlock, [&](int64_t begin, int64_t end) {
      float* own = partial + begin / kQkNormRopeBlock * 2 * s.D;
      for (int64_t i = 0; i < 2 * s.D; i++) own[i] = 0;
      for (int64_t t = begin; t < end; t++) {
        const float *c = cos + positions[t] * half, *si = sin + positions[t] * half;
        backward_token((E)dqkv + t * qkv_row, own, (E)dq + t * s.H * s.D, (E)dk + t * s.K * s.D, (E)qkv + t * qkv_row, (W)q_weight, (W)k_weight, rstd + t * (s.H + s.K), c, si, s);
      }
    });
  }); });
  const int64_t blocks = (s.T + kQkNormRopeBlock - 1) / kQkNormRopeBlock;
  with_type(gradient_type, [&](auto* tg) {
    using G = decltype(tg);
    add_blocks((G)dq_weight, partial, blocks, 2 * s.D, s.D);
    add_blocks((G)dk_weight, partial + s.D, blocks, 2 * s.D, s.D);
  });
}

}  // namespace

extern const QkNormRope GT_TABLE(qk_norm_rope);
const QkNormRope GT_TABLE(qk_norm_rope) = {forward, backward};

}  // namespace gt::cpu
