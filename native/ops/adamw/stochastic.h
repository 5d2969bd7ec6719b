// Stochastic rounding to bfloat16 and the random bits for it, number by number: what a backend's kernels must equal bit for bit.
// Only integers are involved, so no instruction set and no order of work can change a bit.
#pragma once
#include <cstdint>
#include <cstring>

#include "core/bf16.h"
#include "core/mix64.h"

namespace gt {

// Up to the next number away from zero with the probability that makes the mean exact: sixteen random bits are added to the sixteen that
// go, and the sum is cut. What bfloat16 represents stays as it is, infinities and NaN too; a number between the largest finite one and where
// the next would be may become infinite, as it may to nearest.
inline bf16 to_bf16_stochastic(float f, uint32_t random16) {
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return bf16{uint16_t((bits >> 16) | 0x40)};
  return bf16{uint16_t((bits + (random16 & 0xffffu)) >> 16)};
}

// A function from an element's index to 32 random bits.
struct Draw {
  uint32_t before, between;  // keys
};
// The two draws of an update: m takes the low half of the first, v its high half; the weight takes the low half of the second.
struct UpdateDraws {
  Draw moments, weight;
};

inline UpdateDraws update_draws(uint64_t seed, int64_t step) {
  constexpr uint64_t kGolden = 0x9e3779b97f4a7c15ull;
  const uint64_t z = mix64(mix64(seed + kGolden) + uint64_t(step) * kGolden), a = mix64(z + kGolden), b = mix64(z + 2 * kGolden);
  return {{uint32_t(a), uint32_t(a >> 32)}, {uint32_t(b), uint32_t(b >> 32)}};
}

// The keys for all indices that have the upper 32 bits of this one. Static and inlined, as the next: a CPU kernel must leave no symbol behind (cpu/isa.h).
static inline __attribute__((always_inline)) Draw keys_at(Draw draw, int64_t index) {
  const uint32_t high = uint32_t(uint64_t(index) >> 32);
  return {draw.before ^ high * 0x9e3779b1u, draw.between ^ high * 0x85ebca6bu};
}

// A mixer of two multiplications, the constants found by search for the least bias (C. Wellons' lowbias32); the second key enters between them,
// so that two draws are not one sequence in another order. X: uint32_t, or a vector of them.
template <class X>
static inline __attribute__((always_inline)) X mix_index(X low, Draw keys) {
  X x = low ^ keys.before;
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = x ^ keys.between;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}
inline uint32_t random_bits(Draw draw, int64_t index) { return mix_index(uint32_t(index), keys_at(draw, index)); }

}  // namespace gt
