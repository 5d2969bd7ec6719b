#include "training/trainer.h"

#include <cmath>

#include "ops/global_norm/global_norm.h"

namespace gt {

Trainer::Trainer(Gemma& model, bool checkpointing) : model_(model), checkpointing_(checkpointing) {
  const int64_t bytes = model.table().total() * 4;
  for (Buffer* b : {&gradients_, &exp_avg_, &exp_avg_sq_}) *b = Buffer(model.device(), bytes);
}

UpdateResult Trainer::update(const UpdateOptions& options) {
  require(options.divisor > 0, Code::kArgument, "update: divisor is ", options.divisor, ", expected the number of tokens trained on, more than 0");
  require(options.adamw.step >= 1, Code::kArgument, "update: step is ", options.adamw.step, ", expected 1 or more");
  Device& device = model_.device();
  UpdateResult result;
  result.grad_norm = global_norm(device, gradients()) / options.divisor;
  if (!std::isfinite(result.grad_norm)) {
    discard();
    return result;
  }
  double clip = options.max_grad_norm > 0 ? std::min(1.0, options.max_grad_norm / (result.grad_norm + 1e-6)) : 1.0;
  AdamW adamw = options.adamw;
  adamw.gradient_scale = float(clip / options.divisor);

  // Matrices, then norms: the same pass with and without decay.
  const int64_t decayed = model_.table().decayed(), total = model_.table().total();
  auto range = [](const Tensor& arena, int64_t first, int64_t count) { return arena ? arena.rows(first, count) : arena; };
  for (auto [first, count, decay] : {std::tuple{int64_t(0), decayed, adamw.weight_decay}, std::tuple{decayed, total - decayed, 0.f}}) {
    adamw.weight_decay = decay;
    adamw_update(device, range(model_.weights(), first, count), range(model_.remainders(), first, count), range(gradients(), first, count),
                 range(exp_avg(), first, count), range(exp_avg_sq(), first, count), adamw);
  }
  result.applied = true;
  return result;
}

}  // namespace gt
