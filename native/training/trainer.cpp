#include "training/trainer.h"

#include <cmath>
#include <limits>

#include "ops/global_norm/global_norm.h"

namespace gt {

Trainer::Trainer(Gemma& model, Keep keep) : model_(model), keep_(keep), dtype_(model.dtype() == DType::f32 || model.remainders() ? DType::f32 : DType::bf16) {
  require(dtype_ == DType::f32 || model.device().on_host(), Code::kArgument, "device ", name_of(model.device().kind), " trains with float32 master weights; masterWeights is false, expected true (the default), or device cpu");
  const int64_t bytes = model.table().total() * size_of(dtype_);
  for (Buffer* b : {&gradients_, &exp_avg_, &exp_avg_sq_}) *b = Buffer(model.device(), bytes);
  norm_ = Buffer(model.device(), sizeof(double));
}

UpdateResult Trainer::update(AdamW options) {
  require(options.divisor > 0, Code::kArgument, "update: divisor is ", options.divisor, ", expected the number of tokens trained on, more than 0");
  require(options.step >= 1, Code::kArgument, "update: step is ", options.step, ", expected 1 or more");
  // Written so that NaN fails: one such number would spoil every weight.
  auto check = [](const char* name, double value, double low, double high) {
    require(value >= low && value <= high, Code::kArgument, "update: ", name, " is ", value, ", expected ", low, " to ", high);
  };
  constexpr double kLargest = std::numeric_limits<float>::max(), kBelowOne = 1 - 1e-7;
  check("learningRate", options.learning_rate, 0, kLargest);
  check("beta1", options.beta1, 0, kBelowOne);
  check("beta2", options.beta2, 0, kBelowOne);
  check("epsilon", options.epsilon, 0, kLargest);
  check("weightDecay", options.weight_decay, 0, kLargest);
  check("maxGradNorm", options.max_grad_norm, 0, kLargest);
  Device& device = model_.device();

  // Matrices, then norms: the same pass with and without decay. The norm and what follows from it stay on the device until all is queued.
  const Tensor norm(norm_.data(), DType::f64, {1});
  global_norm(device, norm, gradients());
  const int64_t decayed = model_.table().decayed(), total = model_.table().total();
  auto range = [](const Tensor& arena, int64_t first, int64_t count) { return arena ? arena.rows(first, count) : arena; };
  for (auto [first, count, decay] : {std::tuple{int64_t(0), decayed, options.weight_decay}, std::tuple{decayed, total - decayed, 0.0}}) {
    options.weight_decay = decay, options.first = first;
    adamw_update(device, range(model_.weights(), first, count), range(model_.remainders(), first, count), range(gradients(), first, count),
                 range(exp_avg(), first, count), range(exp_avg_sq(), first, count), norm, options);
  }

  UpdateResult result;
  device.copy_to_host(&result.grad_norm, norm_.data(), sizeof result.grad_norm);
  result.grad_norm /= options.divisor;
  result.applied = std::isfinite(result.grad_norm);
  return result;
}

}  // namespace gt
