// The door of matmul: checks shapes and dtypes, then picks the backend.
#include "ops/matmul/matmul.h"

#include "core/profile.h"
#include "ops/matmul/cublaslt.h"
#include "ops/matmul/gpu.h"
#include "ops/matmul/plan.h"

namespace gt {

const cpu::Matmul& cpu::matmul_of(DType factors) {
#if defined(__x86_64__)
  if (factors == DType::bf16 && has_amx_bf16()) return matmul_amx;
  if (factors == DType::bf16 && has_avx512_bf16()) return matmul_avx512bf16;
#endif
  (void)factors;
  return GT_PICK(matmul);
}

static void multiply_on_cpu(Device& device, const cpu::Product& product) {
  const cpu::Matmul& backend = cpu::matmul_of(product.factors);
  backend.run(device.threads(), device.scratch(cpu::scratch_bytes(backend.family, device.threads().count(), product)), product);
}

// What GPUs take; `weight` is the weight or its gradient.
static void require_gpu_matrices(const char* op, const Device& device, const char* name, const Tensor& factor, const char* weight_name, const Tensor& weight) {
  const char* backend = name_of(device.kind);
  require(factor.dtype == DType::bf16, Code::kArgument, op, ": ", name, " is ", factor.describe(), ", the ", backend, " backend takes bfloat16");
  require(weight.shape[0] % 8 == 0 && weight.shape[1] % 8 == 0, Code::kShape, op, ": ", weight_name, " is ", weight.describe(), ", the ", backend, " backend takes multiples of 8");
}

// Two matrices of one dtype, and a result.
static void require_matrices(const char* op, const char* a_name, const Tensor& a, const char* b_name, const Tensor& b) {
  require(a.rank == 2, Code::kShape, op, ": ", a_name, " is ", a.describe(), ", expected a matrix");
  require(b.rank == 2, Code::kShape, op, ": ", b_name, " is ", b.describe(), ", expected a matrix");
  require_dtype(op, a_name, a, {DType::f32, DType::bf16});
  require(a.dtype == b.dtype, Code::kArgument, op, ": ", b_name, " is ", b.describe(), ", expected ", name_of(a.dtype), " as ", a_name);
}

static const cublaslt::Library* yardstick(const Device& device) { return device.kind == DeviceKind::cuda ? cublaslt::yardstick() : nullptr; }

void matmul_forward(Device& device, const Tensor& y, const Tensor& x, const Tensor& weight) {
  const char* op = "matmul_forward";
  const Span span(device, op);
  require_matrices(op, "x", x, "weight", weight);
  const int64_t M = x.shape[0], N = weight.shape[0], K = weight.shape[1];
  require_shape(op, "x", x, {M, K});
  require_shape(op, "y", y, {M, N});
  require_dtype(op, "y", y, {DType::f32, DType::bf16});
  if (M == 0 || N == 0) return;
  switch (device.kind) {
    case DeviceKind::cpu: return multiply_on_cpu(device, {{x.data, K, 1}, {weight.data, K, 1}, x.dtype, y.data, y.dtype, false, M, N, K, false});
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      require_gpu_matrices(op, device, "x", x, "weight", weight);
      if (auto* lt = yardstick(device)) return lt->multiply(device.gpu(), y.data, y.dtype, false, {x.data, K, true}, {weight.data, K, true}, M, N, K);
      return GT_PICK_GPU(device, matmul).forward(device.gpu(), y.data, y.dtype, x.as<bf16>(), weight.as<bf16>(), M, N, K);
  }
}

void matmul_backward_input(Device& device, const Tensor& dx, const Tensor& dy, const Tensor& weight) {
  const char* op = "matmul_backward_input";
  const Span span(device, op);
  require_matrices(op, "dy", dy, "weight", weight);
  const int64_t M = dy.shape[0], N = weight.shape[0], K = weight.shape[1];
  require_shape(op, "dy", dy, {M, N});
  require_shape(op, "dx", dx, {M, K});
  require_dtype(op, "dx", dx, {DType::f32, DType::bf16});
  if (M == 0 || K == 0) return;
  switch (device.kind) {
    case DeviceKind::cpu: return multiply_on_cpu(device, {{dy.data, N, 1}, {weight.data, 1, K}, dy.dtype, dx.data, dx.dtype, false, M, K, N, false});
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      require_gpu_matrices(op, device, "dy", dy, "weight", weight);
      if (auto* lt = yardstick(device)) return lt->multiply(device.gpu(), dx.data, dx.dtype, false, {dy.data, N, true}, {weight.data, K, false}, M, K, N);
      return GT_PICK_GPU(device, matmul).backward_input(device.gpu(), dx.data, dx.dtype, dy.as<bf16>(), weight.as<bf16>(), M, N, K);
  }
}

void matmul_backward_weight(Device& device, const Tensor& dweight, const Tensor& dy, const Tensor& x) {
  const char* op = "matmul_backward_weight";
  const Span span(device, op);
  require_matrices(op, "dy", dy, "x", x);
  const int64_t M = dy.shape[0], N = dy.shape[1], K = x.shape[1];
  require_shape(op, "x", x, {M, K});
  require_shape(op, "dweight", dweight, {N, K});
  require_gradient_dtype(op, "dweight", dweight, device);
  if (N == 0 || K == 0) return;
  switch (device.kind) {
    case DeviceKind::cpu: return multiply_on_cpu(device, {{dy.data, 1, N}, {x.data, 1, K}, dy.dtype, dweight.data, dweight.dtype, true, N, K, M, true});
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      require_gpu_matrices(op, device, "dy", dy, "dweight", dweight);
      if (auto* lt = yardstick(device)) return lt->multiply(device.gpu(), dweight.data, DType::f32, true, {dy.data, N, false}, {x.data, K, false}, N, K, M);
      return GT_PICK_GPU(device, matmul).backward_weight(device.gpu(), dweight.as<float>(), dy.as<bf16>(), x.as<bf16>(), M, N, K);
  }
}

}  // namespace gt
