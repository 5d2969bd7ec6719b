// The door of qk_norm_rope: checks shapes, dtypes and, where they are on the host, positions, then picks the backend. The table is
// computed here, on the host.
#include "ops/qk_norm_rope/qk_norm_rope.h"

#include <cmath>
#include <vector>

#include "core/profile.h"
#include "ops/qk_norm_rope/cpu.h"
#include "ops/qk_norm_rope/gpu.h"

namespace gt {

void rope_table(const Tensor& cos, const Tensor& sin, double theta, double factor) {
  const char* op = "rope_table";
  require(cos.rank == 2, Code::kShape, op, ": cos is ", cos.describe(), ", expected [P, D/2]");
  const int64_t P = cos.shape[0], half = cos.shape[1];
  require_shape(op, "sin", sin, {P, half});
  require_dtype(op, "cos", cos, {DType::f32});
  require_dtype(op, "sin", sin, {DType::f32});
  require(theta > 0 && factor > 0, Code::kArgument, op, ": theta is ", theta, " and factor is ", factor, ", expected both above 0");
  for (int64_t i = 0; i < half; i++) {
    // Every step is rounded to float32, as torch does: at position 32,000 one rounding of inv_freq moves the angle by 0.002.
    const float exponent = float(2 * i) / float(2 * half);
    const float inv_freq = 1.f / float(std::pow(double(float(theta)), double(exponent))) / float(factor);
    for (int64_t p = 0; p < P; p++) {
      const double angle = double(float(p) * inv_freq);
      cos.as<float>()[p * half + i] = float(std::cos(angle));
      sin.as<float>()[p * half + i] = float(std::sin(angle));
    }
  }
}

// The operands that forward and backward share; q and k may be dq and dk.
static cpu::HeadLayout check_operands(const char* op, const Tensor& q, const Tensor& k, const Tensor& qkv, const Tensor& q_weight, const Tensor& k_weight, const Tensor& rstd, const Tensor& cos, const Tensor& sin, const Tensor& positions) {
  require(q.rank == 3 && k.rank == 3, Code::kShape, op, ": q is ", q.describe(), " and k is ", k.describe(), ", expected [T, H, D] and [T, K, D]");
  const cpu::HeadLayout s{q.shape[0], q.shape[1], k.shape[1], q.shape[2]};
  require(s.D % 2 == 0, Code::kShape, op, ": the head size is ", s.D, ", expected an even number");
  require_shape(op, "k", k, {s.T, s.K, s.D});
  require_shape(op, "qkv", qkv, {s.T, s.H + 2 * s.K, s.D});
  require_shape(op, "q_weight", q_weight, {s.D});
  require_shape(op, "k_weight", k_weight, {s.D});
  require_shape(op, "rstd", rstd, {s.T, s.H + s.K});
  require(cos.rank == 2, Code::kShape, op, ": cos is ", cos.describe(), ", expected [P, D/2]");
  require_shape(op, "cos", cos, {cos.shape[0], s.D / 2});
  require_shape(op, "sin", sin, {cos.shape[0], s.D / 2});
  require_shape(op, "positions", positions, {s.T});
  require_dtype(op, "qkv", qkv, {DType::f32, DType::bf16});
  require_dtype(op, "q", q, {qkv.dtype});
  require_dtype(op, "k", k, {qkv.dtype});
  require_dtype(op, "q_weight", q_weight, {DType::f32, DType::bf16});
  require_dtype(op, "k_weight", k_weight, {q_weight.dtype});
  require_dtype(op, "rstd", rstd, {DType::f32});
  require_dtype(op, "cos", cos, {DType::f32});
  require_dtype(op, "sin", sin, {DType::f32});
  require_dtype(op, "positions", positions, {DType::i32});
  return s;
}

static gpu::HeadLayout gpu_layout(const Device& device, const char* op, const Tensor& qkv, const Tensor& q_weight, const cpu::HeadLayout& s) {
  const char* backend = name_of(device.kind);
  require(qkv.dtype == DType::bf16, Code::kArgument, op, ": qkv is ", qkv.describe(), ", the ", backend, " backend takes bfloat16");
  require(q_weight.dtype == DType::bf16, Code::kArgument, op, ": q_weight is ", q_weight.describe(), ", the ", backend, " backend takes bfloat16");
  require(s.D % 8 == 0 && s.D <= 256, Code::kShape, op, ": the head size is ", s.D, ", the ", backend, " backend takes multiples of 8 up to 256");
  return {s.T, int(s.H), int(s.K), int(s.D)};
}

static const int32_t* checked_positions(const char* op, const Tensor& positions, int64_t P) {
  const int32_t* p = positions.as<int32_t>();
  for (int64_t t = 0; t < positions.shape[0]; t++)
    require(p[t] >= 0 && p[t] < P, Code::kArgument, op, ": positions[", t, "] is ", p[t], ", expected 0 to ", P - 1, " (the rows of cos and sin)");
  return p;
}

void qk_norm_rope_forward(Device& device, const Tensor& q, const Tensor& k, const Tensor& rstd, const Tensor& qkv, const Tensor& q_weight, const Tensor& k_weight, const Tensor& cos, const Tensor& sin, const Tensor& positions, float eps) {
  const char* op = "qk_norm_rope";
  const Span span(device, "qk_norm_rope_forward");
  const auto s = check_operands(op, q, k, qkv, q_weight, k_weight, rstd, cos, sin, positions);
  switch (device.kind) {
    case DeviceKind::cpu: {
      const int32_t* p = checked_positions(op, positions, cos.shape[0]);
      return GT_PICK(cpu::qk_norm_rope).forward(device.threads(), q.data, k.data, rstd.as<float>(), qkv.data, qkv.dtype, q_weight.data, k_weight.data, q_weight.dtype, cos.as<float>(), sin.as<float>(), p, s, eps);
    }
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      return GT_PICK_GPU(device, qk_norm_rope).forward(device.gpu(), q.as<bf16>(), k.as<bf16>(), rstd.as<float>(), qkv.as<bf16>(), q_weight.as<bf16>(), k_weight.as<bf16>(), cos.as<float>(), sin.as<float>(), positions.as<int32_t>(), gpu_layout(device, op, qkv, q_weight, s), eps);
  }
}

void qk_norm_rope_backward(Device& device, const Tensor& dqkv, const Tensor& dq_weight, const Tensor& dk_weight, const Tensor& dq, const Tensor& dk, const Tensor& qkv, const Tensor& q_weight, const Tensor& k_weight, const Tensor& rstd, const Tensor& cos, const Tensor& sin, const Tensor& positions) {
  const char* op = "qk_norm_rope_backward";
  const Span span(device, op);
  const auto s = check_operands(op, dq, dk, qkv, q_weight, k_weight, rstd, cos, sin, positions);
  require_shape(op, "dqkv", dqkv, {s.T, s.H + 2 * s.K, s.D});
  require_dtype(op, "dqkv", dqkv, {qkv.dtype});
  require_shape(op, "dq_weight", dq_weight, {s.D});
  require_shape(op, "dk_weight", dk_weight, {s.D});
  require_gradient_dtype(op, "dq_weight", dq_weight, device);
  require_dtype(op, "dk_weight", dk_weight, {dq_weight.dtype});
  switch (device.kind) {
    case DeviceKind::cpu: {
      const int32_t* p = checked_positions(op, positions, cos.shape[0]);
      std::vector<float> partial(size_t((s.T + cpu::kQkNormRopeBlock - 1) / cpu::kQkNormRopeBlock * 2 * s.D));
      return GT_PICK(cpu::qk_norm_rope).backward(device.threads(), dqkv.data, dq_weight.data, dk_weight.data, dq_weight.dtype, partial.data(), dq.data, dk.data, qkv.data, qkv.dtype, q_weight.data, k_weight.data, q_weight.dtype, rstd.as<float>(), cos.as<float>(), sin.as<float>(), p, s);
    }
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      return GT_PICK_GPU(device, qk_norm_rope).backward(device.gpu(), dqkv.as<bf16>(), dq_weight.as<float>(), dk_weight.as<float>(), dq.as<bf16>(), dk.as<bf16>(), qkv.as<bf16>(), q_weight.as<bf16>(), k_weight.as<bf16>(), rstd.as<float>(), cos.as<float>(), sin.as<float>(), positions.as<int32_t>(), gpu_layout(device, op, qkv, q_weight, s));
  }
}

}  // namespace gt
