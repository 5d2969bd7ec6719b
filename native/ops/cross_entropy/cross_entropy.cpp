// The door of cross_entropy: checks shapes, dtypes and targets, then picks the backend.
#include "ops/cross_entropy/cross_entropy.h"

#include "core/profile.h"
#include "ops/cross_entropy/cpu.h"
#include "ops/cross_entropy/gpu.h"
#include "ops/matmul/matmul.h"

namespace gt {

// `ids`: how many there are, more than logits has columns where the vocabulary is cut.
static void check_rows(const char* op, const Device& device, const Tensor& loss, const Tensor& entropy, const Tensor& correct, const Tensor& logits, const Tensor& targets, int64_t ids) {
  const int64_t R = logits.shape[0], V = logits.shape[1];
  require_dtype(op, "logits", logits, {DType::f32, DType::bf16});
  require_shape(op, "loss", loss, {R});
  require_shape(op, "entropy", entropy, {R});
  require_shape(op, "correct", correct, {R});
  require_shape(op, "targets", targets, {R});
  require_dtype(op, "loss", loss, {DType::f32});
  require_dtype(op, "entropy", entropy, {DType::f32});
  require_dtype(op, "correct", correct, {DType::i32});
  const int32_t* target = targets.as<int32_t>();
  for (int64_t r = 0; r < R; r++)
    require(target[r] >= 0 && target[r] < ids, Code::kArgument, op, ": targets[", r, "] is ", target[r], ", expected a token id from 0 to ", ids - 1);
  require(device.on_host() || V % 8 == 0, Code::kShape, op, ": logits is ", logits.describe(), ", the ", name_of(device.kind), " backend takes rows of a multiple of 8");
}

void cross_entropy_forward(Device& device, const Tensor& loss, const Tensor& entropy, const Tensor& correct, const Tensor& logits, const Tensor& targets) {
  const Span span(device, "cross_entropy_forward");
  require(logits.rank == 2, Code::kShape, "cross_entropy: logits is ", logits.describe(), ", expected [R, V]");
  check_rows("cross_entropy", device, loss, entropy, correct, logits, targets, logits.shape[1]);
  const int64_t R = logits.shape[0], V = logits.shape[1];
  switch (device.kind) {
    case DeviceKind::cpu:
      return GT_PICK(cpu::cross_entropy).rows(device.threads(), loss.as<float>(), entropy.as<float>(), correct.as<int32_t>(), logits.data, logits.dtype, targets.as<int32_t>(), R, V, false);
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      return GT_PICK_GPU(device, cross_entropy).forward(device.gpu(), loss.as<float>(), entropy.as<float>(), correct.as<int32_t>(), logits.data, logits.dtype, targets.as<int32_t>(), R, V);
  }
}

static void check_linear(const char* op, const Device& device, const Tensor& dx, const Tensor& dweight, const Tensor& logits, const Tensor& x, const Tensor& weight) {
  require(logits.rank == 2, Code::kShape, op, ": logits is ", logits.describe(), ", expected [R, V]");
  require(weight.rank == 2, Code::kShape, op, ": weight is ", weight.describe(), ", expected [V, C]");
  const int64_t R = logits.shape[0], V = logits.shape[1], C = weight.shape[1];
  require_shape(op, "x", x, {R, C});
  require_shape(op, "weight", weight, {V, C});
  require_shape(op, "dx", dx, {R, C});
  require_shape(op, "dweight", dweight, {V, C});
  require_dtype(op, "x", x, {logits.dtype});
  require_dtype(op, "weight", weight, {logits.dtype});
  require_dtype(op, "dx", dx, {logits.dtype});
  require_gradient_dtype(op, "dweight", dweight, device);
  if (device.on_host()) return;
  require(logits.dtype == DType::bf16, Code::kArgument, op, ": logits is ", logits.describe(), ", the ", name_of(device.kind), " backend takes bfloat16");
  require(C % 8 == 0, Code::kShape, op, ": weight is ", weight.describe(), ", the ", name_of(device.kind), " backend takes multiples of 8");
}

void linear_cross_entropy(Device& device, const Tensor& loss, const Tensor& entropy, const Tensor& correct, const Tensor& dx, const Tensor& dweight, const Tensor& logits, const Tensor& x, const Tensor& weight, const Tensor& targets) {
  const char* op = "linear_cross_entropy";
  const Span span(device, op);
  check_linear(op, device, dx, dweight, logits, x, weight);
  const int64_t R = logits.shape[0], V = logits.shape[1], C = weight.shape[1];
  check_rows(op, device, loss, entropy, correct, logits, targets, V);
  switch (device.kind) {
    case DeviceKind::cpu: {
      matmul_forward(device, logits, x, weight);
      GT_PICK(cpu::cross_entropy).rows(device.threads(), loss.as<float>(), entropy.as<float>(), correct.as<int32_t>(), logits.data, logits.dtype, targets.as<int32_t>(), R, V, true);
      const Tensor& dlogits = logits;
      matmul_backward_input(device, dx, dlogits, weight);
      matmul_backward_weight(device, dweight, dlogits, x);
      return;
    }
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      return GT_PICK_GPU(device, cross_entropy).linear(device.gpu(), loss.as<float>(), entropy.as<float>(), correct.as<int32_t>(), dx.as<bf16>(), dweight.as<float>(), logits.as<bf16>(), x.as<bf16>(), weight.as<bf16>(), targets.as<int32_t>(), R, V, C);
  }
}

void linear_cross_entropy_of_slice(Device& device, const Tensor& loss, const Tensor& entropy, const Tensor& correct, const Tensor& dx, const Tensor& dweight, const Tensor& logits, const Tensor& x, const Tensor& weight, const Tensor& targets,
                                   const VocabularySlices& slices) {
  const char* op = "linear_cross_entropy_of_slice";
  const Span span(device, op);
  check_linear(op, device, dx, dweight, logits, x, weight);
  const int64_t R = logits.shape[0], V = logits.shape[1], C = weight.shape[1];
  check_rows(op, device, loss, entropy, correct, logits, targets, INT32_MAX);
  require(slices.rank >= 0 && slices.rank < slices.size, Code::kArgument, op, ": this is slice ", slices.rank, " of ", slices.size, ", expected one from 0 to ", slices.size - 1);
  require(V > 0 || slices.rank > 0, Code::kArgument, op, ": slice 0 has no ids, expected 1 or more; only later slices may be empty");
  require_shape(op, "statistics", slices.statistics, {slices.size, R, kSliceStatistics});
  require_shape(op, "merged", slices.merged, {R, 4});
  require_dtype(op, "statistics", slices.statistics, {DType::f32});
  require_dtype(op, "merged", slices.merged, {DType::f32});
  float* const all = slices.statistics.as<float>();
  float* const own = all + slices.rank * R * kSliceStatistics;
  float* const merged = slices.merged.as<float>();
  const int32_t* const target = targets.as<int32_t>();
  const auto dx_queued = [&] { if (slices.dx_queued) slices.dx_queued(); };
  const auto nothing_here = [&] { device.zero(dx.data, size_t(dx.bytes())), dx_queued(); };
  switch (device.kind) {
    case DeviceKind::cpu: {
      const cpu::CrossEntropy& backend = GT_PICK(cpu::cross_entropy);
      if (V > 0) matmul_forward(device, logits, x, weight);
      backend.slice_statistics(device.threads(), own, logits.data, logits.dtype, target, slices.first, R, V);
      slices.exchange();
      backend.merge(device.threads(), loss.as<float>(), entropy.as<float>(), correct.as<int32_t>(), merged, all, target, slices.size, R);
      if (V == 0) return nothing_here();
      backend.slice_gradient(device.threads(), logits.data, logits.dtype, merged, target, slices.first, R, V);
      const Tensor& dlogits = logits;
      matmul_backward_input(device, dx, dlogits, weight);
      dx_queued();
      matmul_backward_weight(device, dweight, dlogits, x);
      return;
    }
    case DeviceKind::cuda:
    case DeviceKind::emulated: {
      const gpu::CrossEntropy& backend = GT_PICK_GPU(device, cross_entropy);
      if (V > 0) matmul_forward(device, logits, x, weight);
      backend.slice_statistics(device.gpu(), own, logits.as<bf16>(), target, slices.first, R, V);
      slices.exchange();
      backend.merge(device.gpu(), loss.as<float>(), entropy.as<float>(), correct.as<int32_t>(), merged, all, target, slices.first, slices.size, R);
      if (V == 0) return nothing_here();
      backend.slice_dx(device.gpu(), dx.as<bf16>(), logits.as<bf16>(), merged, weight.as<bf16>(), R, V, C);
      dx_queued();
      return backend.slice_dweight(device.gpu(), dweight.as<float>(), logits.as<bf16>(), merged, x.as<bf16>(), R, V, C);
    }
  }
}

}  // namespace gt
