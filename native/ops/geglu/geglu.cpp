// The door of geglu: checks shapes and dtypes, then picks the backend.
#include "ops/geglu/geglu.h"

#include "core/profile.h"
#include "ops/geglu/cpu.h"
#include "ops/geglu/gpu.h"

namespace gt {

// gate_up [T, 2I] sets T, I and the type of the other operands.
static void check_operands(const Device& device, const char* op, const Tensor& gate_up, const char* h_name, const Tensor& h) {
  require(gate_up.rank == 2 && gate_up.shape[1] % 2 == 0, Code::kShape, op, ": gate_up is ", gate_up.describe(), ", expected [T, 2I]");
  require_dtype(op, "gate_up", gate_up, {DType::f32, DType::bf16});
  require_shape(op, h_name, h, {gate_up.shape[0], gate_up.shape[1] / 2});
  require_dtype(op, h_name, h, {gate_up.dtype});
  if (device.on_host()) return;
  const char* backend = name_of(device.kind);
  require(gate_up.dtype == DType::bf16, Code::kArgument, op, ": gate_up is ", gate_up.describe(), ", the ", backend, " backend takes bfloat16");
  require(h.shape[1] % 8 == 0, Code::kShape, op, ": gate_up is ", gate_up.describe(), ", the ", backend, " backend takes multiples of 8 for I");
}

void geglu_forward(Device& device, const Tensor& h, const Tensor& gate_up) {
  const char* op = "geglu";
  const Span span(device, "geglu_forward");
  check_operands(device, op, gate_up, "h", h);
  switch (device.kind) {
    case DeviceKind::cpu: return GT_PICK(cpu::geglu).forward(device.threads(), h.data, gate_up.data, gate_up.dtype, h.shape[0], h.shape[1]);
    case DeviceKind::cuda:
    case DeviceKind::emulated: return GT_PICK_GPU(device, geglu).forward(device.gpu(), h.as<bf16>(), gate_up.as<bf16>(), h.shape[0], h.shape[1]);
  }
}

void geglu_backward(Device& device, const Tensor& dgate_up, const Tensor& dh, const Tensor& gate_up) {
  const char* op = "geglu_backward";
  const Span span(device, op);
  check_operands(device, op, gate_up, "dh", dh);
  require_shape(op, "dgate_up", dgate_up, {gate_up.shape[0], gate_up.shape[1]});
  require_dtype(op, "dgate_up", dgate_up, {gate_up.dtype});
  switch (device.kind) {
    case DeviceKind::cpu:
      return GT_PICK(cpu::geglu).backward(device.threads(), dgate_up.data, dh.data, gate_up.data, gate_up.dtype, dh.shape[0], dh.shape[1]);
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      return GT_PICK_GPU(device, geglu).backward(device.gpu(), dgate_up.as<bf16>(), dh.as<bf16>(), gate_up.as<bf16>(), dh.shape[0], dh.shape[1]);
  }
}

}  // namespace gt
