// The door of global_norm.
#include "ops/global_norm/global_norm.h"

#include <cmath>
#include <vector>

#include "ops/global_norm/cpu.h"

namespace gt {

double global_norm(Device& device, const Tensor& x) {
  const char* op = "global_norm";
  require(x.rank == 1, Code::kShape, op, ": x is ", x.describe(), ", expected [N]");
  require_dtype(op, "x", x, {DType::f32});
  switch (device.kind) {
    case DeviceKind::cpu: {
      std::vector<double> partial(size_t((x.shape[0] + cpu::kGlobalNormBlock - 1) / cpu::kGlobalNormBlock));
      GT_PICK(cpu::global_norm).squares(device.threads(), partial.data(), x.as<float>(), x.shape[0]);
      double total = 0;
      for (double p : partial) total += p;
      return std::sqrt(total);
    }
    default: no_backend(op, device);
  }
}

}  // namespace gt
