// The door of rmsnorm: checks shapes and dtypes, then picks the backend.
#include "ops/rmsnorm/rmsnorm.h"

#include <vector>

#include "ops/rmsnorm/cpu.h"

namespace gt {

static void run_forward(Device& device, const char* op, const Tensor& y, const Tensor& rstd, const Tensor* residual, const Tensor& x, const Tensor& weight, float eps) {
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
  switch (device.kind) {
    case DeviceKind::cpu:
      return GT_PICK(cpu::rmsnorm).forward(device.threads(), y.data, y.dtype, rstd.as<float>(), residual ? residual->as<float>() : nullptr, x.data, x.dtype, weight.data, weight.dtype, T, C, eps);
    default: no_backend(op, device);
  }
}

void rmsnorm_forward(Device& device, const Tensor& y, const Tensor& rstd, const Tensor& x, const Tensor& weight, float eps) {
  run_forward(device, "rmsnorm", y, rstd, nullptr, x, weight, eps);
}

void rmsnorm_residual_forward(Device& device, const Tensor& out, const Tensor& rstd, const Tensor& residual, const Tensor& x, const Tensor& weight, float eps) {
  run_forward(device, "rmsnorm_residual", out, rstd, &residual, x, weight, eps);
}

void rmsnorm_backward(Device& device, const Tensor& dx, bool accumulate, const Tensor& dweight, const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& rstd) {
  const char* op = "rmsnorm_backward";
  require(x.rank == 2, Code::kShape, op, ": x is ", x.describe(), ", expected [T, C]");
  const int64_t T = x.shape[0], C = x.shape[1];
  require_shape(op, "dx", dx, {T, C});
  require_shape(op, "dy", dy, {T, C});
  require_shape(op, "dweight", dweight, {C});
  require_shape(op, "weight", weight, {C});
  require_shape(op, "rstd", rstd, {T});
  for (const Tensor* t : {&dx, &dy, &x, &weight}) require_dtype(op, "an operand", *t, {DType::f32, DType::bf16});
  require(!accumulate || dx.dtype == DType::f32, Code::kArgument, op, ": dx is ", dx.describe(), ", accumulating needs float32");
  switch (device.kind) {
    case DeviceKind::cpu: {
      std::vector<float> partial(size_t((T + cpu::kRmsnormRowBlock - 1) / cpu::kRmsnormRowBlock * C));
      return GT_PICK(cpu::rmsnorm).backward(device.threads(), dx.data, dx.dtype, accumulate, dweight.as<float>(), partial.data(), dy.data, dy.dtype, x.data, x.dtype, weight.data, weight.dtype, rstd.as<float>(), T, C);
    }
    default: no_backend(op, device);
  }
}

}  // namespace gt
