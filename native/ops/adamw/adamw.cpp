// The door of adamw: checks shapes, dtypes and options, then picks the backend.
#include "ops/adamw/adamw.h"

#include <cmath>

#include "ops/adamw/cpu.h"

namespace gt {

static void check_options(const char* op, const AdamW& o) {
  require(o.step >= 1, Code::kArgument, op, ": step is ", o.step, ", expected 1 or more");
  require(o.beta1 >= 0 && o.beta1 < 1, Code::kArgument, op, ": beta1 is ", o.beta1, ", expected 0 or more and below 1");
  require(o.beta2 >= 0 && o.beta2 < 1, Code::kArgument, op, ": beta2 is ", o.beta2, ", expected 0 or more and below 1");
  require(o.epsilon >= 0, Code::kArgument, op, ": epsilon is ", o.epsilon, ", expected 0 or more");
}

static cpu::AdamWConstants constants_of(const AdamW& o) {
  const double correction1 = 1 - std::pow(o.beta1, double(o.step)), correction2 = 1 - std::pow(o.beta2, double(o.step));
  cpu::AdamWConstants k;
  k.gradient_scale = o.gradient_scale;
  k.decay = float(1 - o.learning_rate * o.weight_decay);
  k.one_minus_beta1 = float(1 - o.beta1);
  k.beta2 = float(o.beta2);
  k.one_minus_beta2 = float(1 - o.beta2);
  k.step_size = float(o.learning_rate / correction1);
  k.root_correction2 = float(std::sqrt(correction2));
  k.epsilon = float(o.epsilon);
  return k;
}

void adamw_update(Device& device, const Tensor& param, const Tensor& remainder, const Tensor& grad, const Tensor& m, const Tensor& v, const AdamW& options) {
  const char* op = "adamw";
  require(param.rank == 1, Code::kShape, op, ": param is ", param.describe(), ", expected [N]");
  const int64_t N = param.shape[0];
  require_dtype(op, "param", param, {remainder ? DType::bf16 : DType::f32});
  if (remainder) {
    require_shape(op, "remainder", remainder, {N});
    require_dtype(op, "remainder", remainder, {DType::i16});
  }
  require_shape(op, "grad", grad, {N});
  require_shape(op, "m", m, {N});
  require_shape(op, "v", v, {N});
  for (const Tensor* t : {&grad, &m, &v}) require_dtype(op, "a gradient or moment", *t, {DType::f32});
  check_options(op, options);
  switch (device.kind) {
    case DeviceKind::cpu: {
      const auto& kernels = GT_PICK(cpu::adamw);
      const auto k = constants_of(options);
      if (!remainder) return kernels.update(device.threads(), param.as<float>(), grad.as<float>(), m.as<float>(), v.as<float>(), N, k);
      auto* high = reinterpret_cast<uint16_t*>(param.as<bf16>());
      auto* low = reinterpret_cast<uint16_t*>(remainder.as<int16_t>());
      return kernels.update_split(device.threads(), high, low, grad.as<float>(), m.as<float>(), v.as<float>(), N, k);
    }
    default: no_backend(op, device);
  }
}

float join_master(bf16 high, int16_t remainder) {
  uint32_t bits = (uint32_t(high.bits) << 16) + uint32_t(int32_t(remainder));
  float master;
  std::memcpy(&master, &bits, 4);
  return master;
}

void split_master(float master, bf16* high, int16_t* remainder) {
  uint32_t bits;
  std::memcpy(&bits, &master, 4);
  high->bits = uint16_t((bits + 0x8000u) >> 16);
  *remainder = int16_t(uint16_t(bits));
}

}  // namespace gt
