// The door of gather.
#include "ops/gather/gather.h"

#include "core/profile.h"
#include "ops/gather/cpu.h"
#include "ops/gather/gpu.h"

namespace gt {

static void check_operands(const char* op, const Tensor& many, const Tensor& few, const Tensor& rows) {
  require(many.rank == 2 && rows.rank == 1, Code::kShape, op, ": got ", many.describe(), " and rows ", rows.describe(), ", expected [T, C] and [R]");
  require_shape(op, "chosen rows", few, {rows.shape[0], many.shape[1]});
  const int32_t* r = rows.as<int32_t>();
  for (int64_t i = 0; i < rows.shape[0]; i++)
    require(r[i] >= 0 && r[i] < many.shape[0], Code::kArgument, op, ": rows[", i, "] is ", r[i], ", expected 0 to ", many.shape[0] - 1);
}

void gather_rows(Device& device, const Tensor& y, const Tensor& x, const Tensor& rows) {
  const Span span(device, "gather_rows");
  check_operands("gather_rows", x, y, rows);
  switch (device.kind) {
    case DeviceKind::cpu: return GT_PICK(cpu::gather).gather(device.threads(), y.as<float>(), x.as<float>(), rows.as<int32_t>(), rows.shape[0], x.shape[1]);
    case DeviceKind::cuda:
    case DeviceKind::emulated: return GT_PICK_GPU(device, gather).gather(device.gpu(), y.as<float>(), x.as<float>(), rows.as<int32_t>(), rows.shape[0], x.shape[1]);
  }
}

void scatter_rows(Device& device, const Tensor& dx, const Tensor& dy, const Tensor& rows) {
  const Span span(device, "scatter_rows");
  check_operands("scatter_rows", dx, dy, rows);
  switch (device.kind) {
    case DeviceKind::cpu:
      return GT_PICK(cpu::gather).scatter(device.threads(), dx.as<float>(), dy.as<float>(), rows.as<int32_t>(), dx.shape[0], rows.shape[0], dx.shape[1]);
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      return GT_PICK_GPU(device, gather).scatter(device.gpu(), dx.as<float>(), dy.as<float>(), rows.as<int32_t>(), dx.shape[0], rows.shape[0], dx.shape[1]);
  }
}

}  // namespace gt
