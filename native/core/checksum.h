// 64 bits of a piece of memory, to tell whether two ranks hold the same numbers. Not cryptographic.
#pragma once
#include <cstring>

#include "core/mix64.h"

namespace gt {

// Four lanes, so that the multiplications overlap; the words' places count.
inline uint64_t checksum(const void* data, size_t bytes, uint64_t seed = 0) {
  const char* p = static_cast<const char*>(data);
  uint64_t lanes[4] = {seed ^ 1, seed ^ 2, seed ^ 3, seed ^ 4};
  size_t i = 0;
  for (; i + 32 <= bytes; i += 32)
    for (int l = 0; l < 4; l++) {
      uint64_t word;
      std::memcpy(&word, p + i + 8 * l, 8);
      lanes[l] = (lanes[l] ^ word) * 0x9e3779b97f4a7c15ull;
      lanes[l] ^= lanes[l] >> 29;
    }
  uint64_t sum = bytes;
  for (uint64_t lane : lanes) sum = mix64(sum ^ lane);
  for (; i < bytes; i++) sum = mix64(sum ^ uint8_t(p[i]));
  return sum;
}

}  // namespace gt
