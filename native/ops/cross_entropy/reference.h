// The definition of cross_entropy in plain loops, generic in the number type.
#pragma once
#include <cmath>
#include <complex>
#include <cstdint>
#include <vector>

namespace gt::reference {

// loss, entropy [R]; dlogits [R, V]. The peak is subtracted before the exponential, which changes nothing but the range.
template <class T>
struct CrossEntropy {
  std::vector<T> loss, entropy, dlogits;
  std::vector<int32_t> correct;
};

template <class T>
CrossEntropy<T> cross_entropy(const std::vector<T>& logits, const std::vector<int32_t>& targets, int64_t V) {
  CrossEntropy<T> out;
  for (size_t r = 0; r < targets.size(); r++) {
    const T* z = logits.data() + int64_t(r) * V;
    int64_t top = 0;
    for (int64_t v = 1; v < V; v++)
      if (std::real(z[v]) > std::real(z[top])) top = v;
    T mass = 0, moment = 0;
    for (int64_t v = 0; v < V; v++) {
      T e = std::exp(z[v] - z[top]);
      mass += e, moment += e * (z[v] - z[top]);
    }
    out.loss.push_back(std::log(mass) - (z[targets[r]] - z[top]));
    out.entropy.push_back(std::log(mass) - moment / mass);
    out.correct.push_back(top == targets[r]);
    for (int64_t v = 0; v < V; v++) out.dlogits.push_back(std::exp(z[v] - z[top]) / mass - T(v == targets[r] ? 1 : 0));
  }
  return out;
}

}  // namespace gt::reference
