// What an update's kernels compute with, on every backend. C++17, no exceptions: device code includes it.
#pragma once
#include <limits>

namespace gt {

// Computed in double and rounded once.
struct AdamWConstants {
  float gradient_scale;           // 1 / divisor, times the clip factor; NaN: the norm is not finite
  float decay;                    // 1 - lr · weight_decay
  float one_minus_beta1;
  float beta2, one_minus_beta2;
  float step_size;                // lr / (1 - beta1^step)
  float root_correction2;         // √(1 - beta2^step)
  float epsilon;
};

struct AdamW;
// All but gradient_scale.
AdamWConstants adamw_constants(const AdamW& options);

// `norm` is that of the gradient before its division. constexpr: nvcc then takes it in device code too.
constexpr float gradient_scale(double norm, double divisor, double max_grad_norm) {
  const double grad_norm = norm / divisor;
  if (!(grad_norm <= std::numeric_limits<double>::max())) return std::numeric_limits<float>::quiet_NaN();
  const double factor = max_grad_norm / (grad_norm + 1e-6);
  return float((max_grad_norm > 0 && factor < 1 ? factor : 1) / divisor);
}

}  // namespace gt
