// Training state of a model: gradients and AdamW's moments, each one flat float32 arena in parameter order.
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
  Trainer(Gemma& model, Keep keep);

  // What passes keep for backward, from the next one on.
  void set_keep(Keep keep) { keep_ = keep; }

  // Adds the gradient of the batch's summed token losses.
  Metrics accumulate(const Batch& batch) { return model_.accumulate(batch, gradients_.data(), keep_); }

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
  Tensor arena(const Buffer& b) const { return Tensor(b.data(), DType::f32, {model_.table().total()}); }

  Gemma& model_;
  Keep keep_;
  Buffer gradients_, exp_avg_, exp_avg_sq_;
  Buffer norm_;  // float64 [1], of the gradient
};

}  // namespace gt
