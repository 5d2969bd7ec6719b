// The door of cast.
#include "ops/cast/cast.h"

#include "core/profile.h"
#include "ops/cast/cpu.h"
#include "ops/cast/gpu.h"

namespace gt {

static void require_gpu_range(const Device& device, const char* name, const Tensor& t) {
  require(t.shape[0] % 8 == 0 && reinterpret_cast<uintptr_t>(t.data) % 16 == 0, Code::kShape, "cast: ", name, " is ", t.describe(), " at an address that leaves ", reinterpret_cast<uintptr_t>(t.data) % 16, " over 16, the ",
          name_of(device.kind), " backend takes multiples of 8 elements and of 16 bytes");
}

void cast(Device& device, const Tensor& to, const Tensor& from) {
  const char* op = "cast";
  const Span span(device, op);
  require(from.rank == 1, Code::kShape, op, ": from is ", from.describe(), ", expected [N]");
  require_shape(op, "to", to, {from.shape[0]});
  require_dtype(op, "from", from, {DType::f32, DType::bf16});
  const bool narrows = from.dtype == DType::f32;
  require_dtype(op, "to", to, {narrows ? DType::bf16 : DType::f32});
  const int64_t N = from.shape[0];
  switch (device.kind) {
    case DeviceKind::cpu: {
      const cpu::Cast& backend = GT_PICK(cpu::cast);
      return narrows ? backend.narrow(device.threads(), to.as<bf16>(), from.as<float>(), N) : backend.widen(device.threads(), to.as<float>(), from.as<bf16>(), N);
    }
    case DeviceKind::cuda:
    case DeviceKind::emulated: {
      require_gpu_range(device, "to", to), require_gpu_range(device, "from", from);
      if (N == 0) return;
      const gpu::Cast& backend = GT_PICK_GPU(device, cast);
      return narrows ? backend.narrow(device.gpu(), to.as<bf16>(), from.as<float>(), N) : backend.widen(device.gpu(), to.as<float>(), from.as<bf16>(), N);
    }
  }
}

}  // namespace gt
