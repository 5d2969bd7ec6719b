// The sums of collectives on the host.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/bf16.h"

namespace gt::comm {

// to = a + b, each addition rounded once to T: in float32 first for bfloat16. `to` may be `a` or `b`.
template <class T>
void sum(T* to, const T* a, const T* b, size_t n) {
#pragma GCC ivdep
  for (size_t i = 0; i < n; i++) to[i] = T(a[i] + b[i]);
}
template <>
inline void sum<bf16>(bf16* to, const bf16* a, const bf16* b, size_t n) {
#pragma GCC ivdep
  for (size_t i = 0; i < n; i++) to[i] = to_bf16(to_float(a[i]) + to_float(b[i]));
}

}  // namespace gt::comm
