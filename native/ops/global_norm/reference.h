// The definition of global_norm in a plain loop, generic in the number type.
#pragma once
#include <cmath>
#include <vector>

namespace gt::reference {

template <class T>
T global_norm(const std::vector<T>& x) {
  T squares = 0;
  for (T v : x) squares += v * v;
  return std::sqrt(squares);
}

}  // namespace gt::reference
