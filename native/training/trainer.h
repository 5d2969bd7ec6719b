// Training state of a model: gradients and AdamW's moments, each one flat arena in parameter order. They are float32, or bfloat16 beside bfloat16
// weights without masters (ops/adamw): 8 bytes a parameter with the weight instead of 16, on the CPU.
#pragma once
#include "model/gemma.h"
#include "ops/adamw/adamw.h"

namespace gt {

struct UpdateResult {
  double grad_norm = 0;  // of gradient / divisor, before clipping
  bool applied = false;  // false: the norm is not finite and the weights were left alone
};

class Trainer {
 public:
  // Refuses a bfloat16 model without masters on a GPU.
  Trainer(Gemma& model, Keep keep);

  // What passes keep for backward, from the next one on.
  void set_keep(Keep keep) { keep_ = keep; }

  // Adds the gradient of the batch's summed token losses.
  Metrics accumulate(const Batch& batch) { return model_.accumulate(batch, gradients(), {keep_, nullptr, {}}); }

  // Divides, clips (torch's clip_grad_norm_: factor min(1, max / (norm + 1e-6))), steps, and clears the gradient. Waits for the device once, at the end.
  // The weight decay is for matrices; norms have none.
  UpdateResult update(AdamW options);

  // Forgets what was accumulated since the last update.
  void discard() { model_.device().zero(gradients_.data(), size_t(gradients_.bytes())); }

  Tensor gradients() const { return arena(gradients_); }
  Tensor exp_avg() const { return arena(exp_avg_); }
  Tensor exp_avg_sq() const { return arena(exp_avg_sq_); }
  int64_t bytes() const { return gradients_.bytes() + exp_avg_.bytes() + exp_avg_sq_.bytes(); }

 private:
  Tensor arena(const Buffer& b) const { return Tensor(b.data(), dtype_, {model_.table().total()}); }

  Gemma& model_;
  Keep keep_;
  DType dtype_;  // of gradients and moments
  Buffer gradients_, exp_avg_, exp_avg_sq_;
  Buffer norm_;  // float64 [1], of the gradient
};

}  // namespace gt
