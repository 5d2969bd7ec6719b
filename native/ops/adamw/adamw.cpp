// The door of adamw: checks shapes, dtypes and options, then picks the backend.
#include "ops/adamw/adamw.h"

#include <cmath>

#include "core/profile.h"
#include "ops/adamw/cpu.h"
#include "ops/adamw/gpu.h"

namespace gt {

static void check_options(const char* op, const AdamW& o) {
  require(o.step >= 1, Code::kArgument, op, ": step is ", o.step, ", expected 1 or more");
  require(o.beta1 >= 0 && o.beta1 < 1, Code::kArgument, op, ": beta1 is ", o.beta1, ", expected 0 or more and below 1");
  require(o.beta2 >= 0 && o.beta2 < 1, Code::kArgument, op, ": beta2 is ", o.beta2, ", expected 0 or more and below 1");
  require(o.epsilon >= 0, Code::kArgument, op, ": epsilon is ", o.epsilon, ", expected 0 or more");
  require(o.divisor > 0, Code::kArgument, op, ": divisor is ", o.divisor, ", expected more than 0");
  require(o.max_grad_norm >= 0, Code::kArgument, op, ": max_grad_norm is ", o.max_grad_norm, ", expected 0 (none) or more");
  require(o.first >= 0 && o.first % 16 == 0, Code::kArgument, op, ": first is ", o.first, ", expected a multiple of 16");
}

AdamWConstants adamw_constants(const AdamW& o) {
  const double correction1 = 1 - std::pow(o.beta1, double(o.step)), correction2 = 1 - std::pow(o.beta2, double(o.step));
  AdamWConstants k{};
  k.decay = float(1 - o.learning_rate * o.weight_decay);
  k.one_minus_beta1 = float(1 - o.beta1);
  k.beta2 = float(o.beta2);
  k.one_minus_beta2 = float(1 - o.beta2);
  k.step_size = float(o.learning_rate / correction1);
  k.root_correction2 = float(std::sqrt(correction2));
  k.epsilon = float(o.epsilon);
  return k;
}

void adamw_update(Device& device, const Tensor& param, const Tensor& remainder, const Tensor& grad, const Tensor& m, const Tensor& v, const Tensor& norm, const AdamW& options) {
  const char* op = "adamw";
  const Span span(device, "adamw_update");
  require(param.rank == 1, Code::kShape, op, ": param is ", param.describe(), ", expected [N]");
  const int64_t N = param.shape[0];
  // Without masters is what a bfloat16 moment means: a gradient or a weight alone could be a slip.
  const bool masters = m.dtype != DType::bf16;
  require_dtype(op, "param", param, {remainder || !masters ? DType::bf16 : DType::f32});
  if (remainder) {
    require_shape(op, "remainder", remainder, {N});
    require_dtype(op, "remainder", remainder, {DType::i16});
  }
  require_shape(op, "grad", grad, {N});
  require_shape(op, "m", m, {N});
  require_shape(op, "v", v, {N});
  for (const Tensor* t : {&grad, &m, &v}) require_dtype(op, "a gradient or moment", *t, {masters ? DType::f32 : DType::bf16});
  require(masters || !remainder, Code::kArgument, op, ": m is ", m.describe(), ", expected float32 beside a remainder");
  require(masters || device.on_host(), Code::kArgument, op, ": m is ", m.describe(), ", the ", name_of(device.kind), " backend takes float32");
  require_shape(op, "norm", norm, {1});
  require_dtype(op, "norm", norm, {DType::f64});
  check_options(op, options);
  AdamWConstants k = adamw_constants(options);
  const double* n = norm.as<double>();
  if (device.on_host()) {
    k.gradient_scale = gradient_scale(*n, options.divisor, options.max_grad_norm);
    if (std::isnan(k.gradient_scale)) return device.zero(grad.data, size_t(grad.bytes()));
  }
  if (!masters) return GT_PICK(cpu::adamw).update_stochastic(device.threads(), param.as<bf16>(), grad.as<bf16>(), m.as<bf16>(), v.as<bf16>(), N, k, update_draws(options.seed, options.step), options.first);
  float *g = grad.as<float>(), *m1 = m.as<float>(), *m2 = v.as<float>();
  auto* high = remainder ? reinterpret_cast<uint16_t*>(param.as<bf16>()) : nullptr;
  auto* low = remainder ? reinterpret_cast<uint16_t*>(remainder.as<int16_t>()) : nullptr;
  switch (device.kind) {
    case DeviceKind::cpu: {
      const auto& kernels = GT_PICK(cpu::adamw);
      if (remainder) return kernels.update_split(device.threads(), high, low, g, m1, m2, N, k);
      return kernels.update(device.threads(), param.as<float>(), g, m1, m2, N, k);
    }
    case DeviceKind::cuda:
    case DeviceKind::emulated: {
      for (const Tensor* t : {&param, &remainder, &grad, &m, &v})
        require(reinterpret_cast<uintptr_t>(t->data) % 16 == 0, Code::kArgument, op, ": a range starts ", reinterpret_cast<uintptr_t>(t->data) % 16, " bytes after a multiple of 16, the ", name_of(device.kind), " backend moves 16 bytes at once");
      const auto& kernels = GT_PICK_GPU(device, adamw);
      if (remainder) return kernels.update_split(device.gpu(), high, low, g, m1, m2, N, k, n, options.divisor, options.max_grad_norm);
      return kernels.update(device.gpu(), param.as<float>(), g, m1, m2, N, k, n, options.divisor, options.max_grad_norm);
    }
  }
}

}  // namespace gt
