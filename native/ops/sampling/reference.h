// The definition of sampling in plain loops: sort, filter as transformers' processors do, renormalise.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "ops/sampling/sampling.h"

namespace gt::reference {

// The probability of each token after the filters; 0 for those that are removed.
inline std::vector<double> sampling_probabilities(const std::vector<double>& logits, const Sampling& s) {
  const size_t V = logits.size();
  std::vector<size_t> ascending(V);
  std::iota(ascending.begin(), ascending.end(), size_t(0));
  std::stable_sort(ascending.begin(), ascending.end(), [&](size_t a, size_t b) { return logits[a] < logits[b]; });
  const double largest = logits[ascending.back()];

  std::vector<double> p(V);
  const double kth = s.top_k > 0 && size_t(s.top_k) < V ? logits[ascending[V - size_t(s.top_k)]] : -INFINITY;
  double total = 0;
  for (size_t v = 0; v < V; v++) total += p[v] = logits[v] < kth ? 0 : std::exp((logits[v] - largest) / double(s.temperature));
  if (s.top_p < 1) {
    double so_far = 0;
    for (size_t i = 0; i + 1 < V; i++) {
      double& mass = p[ascending[i]];
      so_far += mass;
      if (float(so_far / total) <= float(1 - s.top_p)) mass = 0;
    }
  }
  total = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& mass : p) mass /= total;
  return p;
}

}  // namespace gt::reference
