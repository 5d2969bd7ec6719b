// The door of cross_entropy: checks shapes, dtypes and targets, then picks the backend.
#include "ops/cross_entropy/cross_entropy.h"

#include "ops/cross_entropy/cpu.h"

namespace gt {

static void run(Device& device, const char* op, const Tensor& loss, const Tensor& entropy, const Tensor& correct, const Tensor& logits, const Tensor& targets, bool backward) {
  require(logits.rank == 2, Code::kShape, op, ": logits is ", logits.describe(), ", expected [R, V]");
  const int64_t R = logits.shape[0], V = logits.shape[1];
  require_dtype(op, "logits", logits, {DType::f32, DType::bf16});
  require_shape(op, "loss", loss, {R});
  require_shape(op, "entropy", entropy, {R});
  require_shape(op, "correct", correct, {R});
  require_shape(op, "targets", targets, {R});
  require_dtype(op, "loss", loss, {DType::f32});
  require_dtype(op, "entropy", entropy, {DType::f32});
  require_dtype(op, "correct", correct, {DType::i32});
  require_dtype(op, "targets", targets, {DType::i32});
  switch (device.kind) {
    case DeviceKind::cpu: {
      const int32_t* target = targets.as<int32_t>();
      for (int64_t r = 0; r < R; r++)
        require(target[r] >= 0 && target[r] < V, Code::kArgument, op, ": targets[", r, "] is ", target[r], ", expected a token id from 0 to ", V - 1);
      return GT_PICK(cpu::cross_entropy).rows(device.threads(), loss.as<float>(), entropy.as<float>(), correct.as<int32_t>(), logits.data, logits.dtype, target, R, V, backward);
    }
    default: no_backend(op, device);
  }
}

void cross_entropy_forward(Device& device, const Tensor& loss, const Tensor& entropy, const Tensor& correct, const Tensor& logits, const Tensor& targets) {
  run(device, "cross_entropy", loss, entropy, correct, logits, targets, false);
}

void cross_entropy_forward_backward(Device& device, const Tensor& loss, const Tensor& entropy, const Tensor& correct, const Tensor& logits, const Tensor& targets) {
  run(device, "cross_entropy_backward", loss, entropy, correct, logits, targets, true);
}

}  // namespace gt
