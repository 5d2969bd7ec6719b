// Training state of a model: gradients and AdamW's moments, each one flat arena in parameter order. They are float32, or bfloat16 beside bfloat16
// weights without masters (ops/adamw): 8 bytes a parameter with the weight instead of 16, on the CPU.
#pragma once
#include <optional>

#include "model/gemma.h"
#include "ops/adamw/adamw.h"
#include "training/sharing.h"

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

  // Trains together with other ranks from now on. All of them must hold the same weights and moments.
  void share(comm::Communicator& ranks, SharingOptions options);
  Sharing* sharing() { return sharing_ ? &*sharing_ : nullptr; }

  // Adds the gradient of the batch's summed token losses. `last` pass of an update: gradients are added to the other ranks' on the way. With ranks every
  // one of them makes the same calls; a batch may then be empty (T = 0).
  Metrics accumulate(const Batch& batch, bool last = true);

  // Divides, clips (torch's clip_grad_norm_: factor min(1, max / (norm + 1e-6))), steps, and clears the gradient. Waits for the device once, at the end.
  // The weight decay is for matrices; norms have none.
  UpdateResult update(AdamW options);

  // Forgets what was accumulated since the last update.
  void discard();

  // In a sharded model each rank holds only its own part as it is after an update: this brings every part, weights and moments, to all ranks. Collective; does nothing
  // where nothing is out of date.
  void complete_copies();
  // Of weights and moments: equal where these are, bit for bit. Refuses while copies are out of date.
  uint64_t checksum();

  Tensor gradients() const { return arena(gradients_); }
  Tensor exp_avg() const { return arena(exp_avg_); }
  Tensor exp_avg_sq() const { return arena(exp_avg_sq_); }
  int64_t bytes() const { return gradients_.bytes() + exp_avg_.bytes() + exp_avg_sq_.bytes() + (sharing_ ? sharing_->bytes() : 0); }

 private:
  Tensor arena(const Buffer& b) const { return Tensor(b.data(), dtype_, {model_.table().total()}); }
  // The norm of the gradient goes to norm_, on the device.
  void measure_norm();
  // Queues the next layer's weights from the ranks that have updated them, and notes when they have come; and all layers' that are still out of date.
  void gather_layer();
  void gather_layers();

  Gemma& model_;
  Keep keep_;
  DType dtype_;  // of gradients and moments
  Buffer gradients_, exp_avg_, exp_avg_sq_;
  Buffer norm_;  // float64 [1], of the gradient
  std::optional<Sharing> sharing_;
  std::vector<int64_t> arrivals_;  // by layer: how many collectives were queued when its weights were; layers behind these are out of date
  bool copies_out_of_date_ = false;  // all that others have updated
};

}  // namespace gt
