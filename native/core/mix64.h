// splitmix64's finaliser (Steele, Lea & Flood 2014): a bijection of 64 bits whose every output bit depends on every input bit.
#pragma once
#include <cstdint>

namespace gt {

inline uint64_t mix64(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

}  // namespace gt
