// The definition of adamw in a plain loop, generic in the number type.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/adamw/adamw.h"

namespace gt::reference {

template <class T>
void adamw(std::vector<T>& param, const std::vector<T>& grad, std::vector<T>& m, std::vector<T>& v, double norm, const AdamW& o) {
  const double grad_norm = norm / o.divisor;
  if (!std::isfinite(grad_norm)) return;
  const double clip = o.max_grad_norm > 0 ? std::min(1.0, o.max_grad_norm / (grad_norm + 1e-6)) : 1.0;
  const T correction1 = T(1 - std::pow(o.beta1, double(o.step))), correction2 = T(1 - std::pow(o.beta2, double(o.step)));
  for (size_t i = 0; i < param.size(); i++) {
    T g = T(clip / o.divisor) * grad[i];
    param[i] -= T(o.learning_rate * o.weight_decay) * param[i];
    m[i] += T(1 - o.beta1) * (g - m[i]);
    v[i] = T(o.beta2) * v[i] + T(1 - o.beta2) * g * g;
    param[i] -= T(o.learning_rate) / correction1 * m[i] / (std::sqrt(v[i]) / std::sqrt(correction2) + T(o.epsilon));
  }
}

}  // namespace gt::reference
