// bfloat16: the upper half of a float32, rounded to nearest even.
#pragma once
#include <cstdint>
#include <cstring>

namespace gt {

struct bf16 {
  uint16_t bits;
};

inline float to_float(bf16 x) {
  uint32_t bits = uint32_t(x.bits) << 16;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

inline bf16 to_bf16(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return bf16{uint16_t((bits >> 16) | 0x40)};  // quiet NaN stays NaN
  return bf16{uint16_t((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16)};
}

// One spelling for both element types, so that kernels can be templates over float and bf16.
inline float load(const float* p) { return *p; }
inline float load(const bf16* p) { return to_float(*p); }
inline void store(float* p, float v) { *p = v; }
inline void store(bf16* p, float v) { *p = to_bf16(v); }

}  // namespace gt
