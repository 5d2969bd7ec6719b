// The door of global_norm.
#include "ops/global_norm/global_norm.h"

#include <cmath>
#include <vector>

#include "core/profile.h"
#include "ops/global_norm/cpu.h"
#include "ops/global_norm/gpu.h"

namespace gt {

static double norm_on_cpu(Device& device, const Tensor& x) {
  const int64_t N = x.shape[0];
  std::vector<double> partial(size_t((N + cpu::kGlobalNormBlock - 1) / cpu::kGlobalNormBlock));
  GT_PICK(cpu::global_norm).squares(device.threads(), partial.data(), x.data, x.dtype, N);
  double total = 0;
  for (double p : partial) total += p;
  return std::sqrt(total);
}

void global_norm(Device& device, const Tensor& out, const Tensor& x) {
  const char* op = "global_norm";
  const Span span(device, op);
  require(x.rank == 1, Code::kShape, op, ": x is ", x.describe(), ", expected [N]");
  require_gradient_dtype(op, "x", x, device);
  require_shape(op, "out", out, {1});
  require_dtype(op, "out", out, {DType::f64});
  switch (device.kind) {
    case DeviceKind::cpu: *out.as<double>() = norm_on_cpu(device, x); return;
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      require(reinterpret_cast<uintptr_t>(x.data) % 16 == 0, Code::kArgument, op, ": x starts ", reinterpret_cast<uintptr_t>(x.data) % 16, " bytes after a multiple of 16, the ", name_of(device.kind), " backend reads 16 bytes at once");
      return GT_PICK_GPU(device, global_norm).norm(device.gpu(), out.as<double>(), x.as<float>(), x.shape[0]);
  }
}

}  // namespace gt
