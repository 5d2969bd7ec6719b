// Philox4x32-10, a counter-based random generator (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
#pragma once
#include <array>
#include <cstdint>

namespace gt {

inline std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; round++) {
    const uint64_t a = uint64_t(0xD2511F53) * counter[0], b = uint64_t(0xCD9E8D57) * counter[2];
    counter = {uint32_t(b >> 32) ^ counter[1] ^ key[0], uint32_t(b), uint32_t(a >> 32) ^ counter[3] ^ key[1], uint32_t(a)};
    key[0] += 0x9E3779B9, key[1] += 0xBB67AE85;
  }
  return counter;
}

// In [0, 1), a multiple of 2^-53: the same number for the same (seed, key, step), everywhere.
inline double uniform(uint64_t seed, int64_t key, int64_t step) {
  const uint64_t k = uint64_t(key), s = uint64_t(step);
  const auto r = philox4x32({uint32_t(k), uint32_t(k >> 32), uint32_t(s), uint32_t(s >> 32)}, {uint32_t(seed), uint32_t(seed >> 32)});
  return double((uint64_t(r[1]) << 32 | r[0]) >> 11) * 0x1p-53;
}

}  // namespace gt
