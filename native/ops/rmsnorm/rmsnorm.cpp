// The door of rmsnorm: checks shapes and dtypes, then picks the backend.
#include "ops/rmsnorm/rmsnorm.h"

#include <vector>

#include "core/profile.h"
#include "ops/rmsnorm/cpu.h"
#include "ops/rmsnorm/gpu.h"

namespace gt {

// Rows of a GPU's operands have C columns, which it takes 8 at a time.
static void require_gpu_operand(const Device& device, const char* op, const char* name, const Tensor& t, DType dtype) {
  const int64_t C = t.shape[t.rank - 1];
  require(C % 8 == 0, Code::kShape, op, ": ", name, " is ", t.describe(), ", the ", name_of(device.kind), " backend takes multiples of 8 for C");
  require(t.dtype == dtype, Code::kArgument, op, ": ", name, " is ", t.describe(), ", the ", name_of(device.kind), " backend takes ", name_of(dtype), " here");
}

static void check_forward(const Device& device, const char* op, const Tensor& y, const Tensor& rstd, const Tensor* residual, const Tensor& x, const Tensor& weight) {
  require(x.rank == 2, Code::kShape, op, ": x is ", x.describe(), ", expected [T, C]");
  const int64_t T = x.shape[0], C = x.shape[1];
  require_shape(op, "y", y, {T, C});
  require_shape(op, "rstd", rstd, {T});
  require_shape(op, "weight", weight, {C});
  require_dtype(op, "x", x, {DType::f32, DType::bf16});
  require_dtype(op, "y", y, {DType::f32, DType::bf16});
  require_dtype(op, "weight", weight, {DType::f32, DType::bf16});
  if (residual) {
    require_shape(op, "residual", *residual, {T, C});
    require_dtype(op, "residual", *residual, {DType::f32});
    require_dtype(op, "out", y, {DType::f32});
  }
  if (device.on_host()) return;
  require_gpu_operand(device, op, "weight", weight, DType::bf16);
  if (residual) require_gpu_operand(device, op, "x", x, DType::bf16);
  else require_gpu_operand(device, op, "y", y, DType::bf16);
}

static void check_backward(const Device& device, const char* op, const Tensor& dx, bool accumulate, const Tensor& dweight, const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& rstd) {
  require(x.rank == 2, Code::kShape, op, ": x is ", x.describe(), ", expected [T, C]");
  const int64_t T = x.shape[0], C = x.shape[1];
  require_shape(op, "dx", dx, {T, C});
  require_shape(op, "dy", dy, {T, C});
  require_shape(op, "dweight", dweight, {C});
  require_shape(op, "weight", weight, {C});
  require_shape(op, "rstd", rstd, {T});
  for (const Tensor* t : {&dx, &dy, &x, &weight}) require_dtype(op, "an operand", *t, {DType::f32, DType::bf16});
  require_gradient_dtype(op, "dweight", dweight, device);
  require(!accumulate || dx.dtype == DType::f32, Code::kArgument, op, ": dx is ", dx.describe(), ", accumulating needs float32");
  if (device.on_host()) return;
  require_gpu_operand(device, op, "weight", weight, DType::bf16);
  require_gpu_operand(device, op, "dx", dx, x.dtype);
  require_gpu_operand(device, op, "dy", dy, x.dtype == DType::f32 ? DType::bf16 : DType::f32);
}

void rmsnorm_forward(Device& device, const Tensor& y, const Tensor& rstd, const Tensor& x, const Tensor& weight, float eps) {
  const Span span(device, "rmsnorm_forward");
  check_forward(device, "rmsnorm", y, rstd, nullptr, x, weight);
  const int64_t T = x.shape[0], C = x.shape[1];
  switch (device.kind) {
    case DeviceKind::cpu:
      return GT_PICK(cpu::rmsnorm).forward(device.threads(), y.data, y.dtype, rstd.as<float>(), nullptr, x.data, x.dtype, weight.data, weight.dtype, T, C, eps);
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      return GT_PICK_GPU(device, rmsnorm).forward(device.gpu(), y.as<bf16>(), rstd.as<float>(), x.data, x.dtype, weight.as<bf16>(), T, C, eps);
  }
}

void rmsnorm_residual_forward(Device& device, const Tensor& out, const Tensor& rstd, const Tensor& residual, const Tensor& x, const Tensor& weight, float eps) {
  const Span span(device, "rmsnorm_residual_forward");
  check_forward(device, "rmsnorm_residual", out, rstd, &residual, x, weight);
  const int64_t T = x.shape[0], C = x.shape[1];
  switch (device.kind) {
    case DeviceKind::cpu:
      return GT_PICK(cpu::rmsnorm).forward(device.threads(), out.data, out.dtype, rstd.as<float>(), residual.as<float>(), x.data, x.dtype, weight.data, weight.dtype, T, C, eps);
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      return GT_PICK_GPU(device, rmsnorm).residual_forward(device.gpu(), out.as<float>(), rstd.as<float>(), residual.as<float>(), x.as<bf16>(), weight.as<bf16>(), T, C, eps);
  }
}

void rmsnorm_backward(Device& device, const Tensor& dx, bool accumulate, const Tensor& dweight, const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& rstd) {
  const Span span(device, "rmsnorm_backward");
  check_backward(device, "rmsnorm_backward", dx, accumulate, dweight, dy, x, weight, rstd);
  const int64_t T = x.shape[0], C = x.shape[1];
  switch (device.kind) {
    case DeviceKind::cpu: {
      std::vector<float> partial(size_t((T + cpu::kRmsnormRowBlock - 1) / cpu::kRmsnormRowBlock * C));
      return GT_PICK(cpu::rmsnorm).backward(device.threads(), dx.data, dx.dtype, accumulate, dweight.data, dweight.dtype, partial.data(), dy.data, dy.dtype, x.data, x.dtype, weight.data, weight.dtype, rstd.as<float>(), T, C);
    }
    case DeviceKind::cuda:
    case DeviceKind::emulated: {
      const auto& backend = GT_PICK_GPU(device, rmsnorm);
      if (x.dtype == DType::bf16) return backend.branch_backward(device.gpu(), dx.as<bf16>(), dweight.as<float>(), dy.as<float>(), x.as<bf16>(), weight.as<bf16>(), rstd.as<float>(), T, C);
      return backend.stream_backward(device.gpu(), dx.as<float>(), accumulate, dweight.as<float>(), dy.as<bf16>(), x.as<float>(), weight.as<bf16>(), rstd.as<float>(), T, C);
    }
  }
}

void rmsnorm_residual_rmsnorm_forward(Device& device, const Tensor& middle, const Tensor& normed, const Tensor& x_rstd, const Tensor& middle_rstd, const Tensor& residual, const Tensor& x, const Tensor& weight, const Tensor& next_weight, float eps) {
  const char* op = "rmsnorm_residual_rmsnorm";
  const Span span(device, "rmsnorm_residual_rmsnorm_forward");
  switch (device.kind) {
    case DeviceKind::cpu:
      rmsnorm_residual_forward(device, middle, x_rstd, residual, x, weight, eps);
      return rmsnorm_forward(device, normed, middle_rstd, middle, next_weight, eps);
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      check_forward(device, op, middle, x_rstd, &residual, x, weight);
      check_forward(device, op, normed, middle_rstd, nullptr, middle, next_weight);
      return GT_PICK_GPU(device, rmsnorm).fused_forward(device.gpu(), middle.as<float>(), normed.as<bf16>(), x_rstd.as<float>(), middle_rstd.as<float>(), residual.as<float>(), x.as<bf16>(), weight.as<bf16>(), next_weight.as<bf16>(), x.shape[0], x.shape[1], eps);
  }
}

void rmsnorm_residual_rmsnorm_backward(Device& device, const Tensor& dx, const Tensor& dmiddle, const Tensor& dweight, const Tensor& dnext_weight, const Tensor& dnormed, const Tensor& x, const Tensor& weight, const Tensor& x_rstd, const Tensor& middle, const Tensor& next_weight, const Tensor& middle_rstd) {
  const char* op = "rmsnorm_residual_rmsnorm_backward";
  const Span span(device, op);
  switch (device.kind) {
    case DeviceKind::cpu:
      rmsnorm_backward(device, dmiddle, true, dnext_weight, dnormed, middle, next_weight, middle_rstd);
      return rmsnorm_backward(device, dx, false, dweight, dmiddle, x, weight, x_rstd);
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      check_backward(device, op, dmiddle, true, dnext_weight, dnormed, middle, next_weight, middle_rstd);
      check_backward(device, op, dx, false, dweight, dmiddle, x, weight, x_rstd);
      return GT_PICK_GPU(device, rmsnorm).fused_backward(device.gpu(), dx.as<bf16>(), dmiddle.as<float>(), dweight.as<float>(), dnext_weight.as<float>(), dnormed.as<bf16>(), x.as<bf16>(), weight.as<bf16>(), x_rstd.as<float>(), middle.as<float>(), next_weight.as<bf16>(), middle_rstd.as<float>(), x.shape[0], x.shape[1]);
  }
}

}  // namespace gt
