#include "training/trainer.h"

#include <cmath>
#include <limits>

#include "core/checksum.h"
#include "ops/global_norm/global_norm.h"

namespace gt {

Trainer::Trainer(Gemma& model, Keep keep) : model_(model), keep_(keep), dtype_(model.dtype() == DType::f32 || model.remainders() ? DType::f32 : DType::bf16) {
  require(dtype_ == DType::f32 || model.device().on_host(), Code::kArgument, "device ", name_of(model.device().kind), " trains with float32 master weights; masterWeights is false, expected true (the default), or device cpu");
  const int64_t bytes = model.table().total() * size_of(dtype_);
  for (Buffer* b : {&gradients_, &exp_avg_, &exp_avg_sq_}) *b = Buffer(model.device(), bytes);
  norm_ = Buffer(model.device(), sizeof(double));
}

void Trainer::share(comm::Communicator& ranks, SharingOptions options) {
  require(!sharing_, Code::kArgument, "the model is shared between ", ranks.size(), " ranks already; share it once");
  require(!options.cut_vocabulary || slice_of(model_.config().vocab_size, ranks.size() - 1, ranks.size()).count > 0, Code::kArgument, "a vocabulary of ", model_.config().vocab_size, " tokens cannot be cut between ",
          ranks.size(), " ranks in multiples of 8; train with fewer ranks, or with vocabularyParallel off");
  sharing_.emplace(model_, ranks, gradients(), options);
}

Metrics Trainer::accumulate(const Batch& batch, bool last) {
  Pass pass{keep_, nullptr, {}};
  if (!sharing_) return model_.accumulate(batch, gradients(), pass);
  if (sharing_->cut()) pass.split = &sharing_->ranks();
  if (last) pass.complete = [this](int64_t first, int64_t end) { sharing_->add_up(first, end); };
  return model_.accumulate(batch, gradients(), pass);
}

void Trainer::discard() {
  if (sharing_ && sharing_->pending()) sharing_->finish();
  model_.device().zero(gradients_.data(), size_t(gradients_.bytes()));
}

void Trainer::complete_copies() {
  if (!copies_out_of_date_) return;
  for (const Tensor& arena : {model_.weights(), model_.remainders(), exp_avg(), exp_avg_sq()})
    if (arena) sharing_->gather_embedding(arena);
  sharing_->ranks().wait();
  copies_out_of_date_ = false;
}

uint64_t Trainer::checksum() {
  require(!copies_out_of_date_, Code::kArgument, "the copies of the embedding are out of date; complete them before they are compared");
  constexpr int64_t kPiece = int64_t(1) << 20;
  Device& device = model_.device();
  uint64_t sum = 0;
  for (const Tensor& arena : {model_.weights(), model_.remainders(), exp_avg(), exp_avg_sq()}) {
    if (!arena) continue;
    std::vector<uint64_t> pieces(size_t((arena.bytes() + kPiece - 1) / kPiece));
    const auto bytes_of = [&](int64_t i) { return size_t(std::min(kPiece, arena.bytes() - i * kPiece)); };
    const char* data = static_cast<const char*>(arena.data);
    if (device.on_host()) {
      device.threads().run(int64_t(pieces.size()), [&](int64_t i) { pieces[size_t(i)] = gt::checksum(data + i * kPiece, bytes_of(i)); });
    } else {
      std::vector<char> host(static_cast<size_t>(kPiece));
      for (int64_t i = 0; i < int64_t(pieces.size()); i++) {
        device.copy_to_host(host.data(), data + i * kPiece, bytes_of(i));
        pieces[size_t(i)] = gt::checksum(host.data(), bytes_of(i));
      }
    }
    sum = gt::checksum(pieces.data(), pieces.size() * sizeof(uint64_t), sum);
  }
  return sum;
}

void Trainer::measure_norm() {
  Device& device = model_.device();
  const Tensor out(norm_.data(), DType::f64, {1});
  if (!sharing_ || !sharing_->cut()) return global_norm(device, out, gradients());
  // The ranks' own rows of the embedding are theirs alone: the host adds up what they measure.
  const auto measured = [&](int64_t first, int64_t end) {
    double norm = 0;
    if (first == end) return norm;
    global_norm(device, out, gradients().rows(first, end - first));
    device.copy_to_host(&norm, norm_.data(), sizeof norm);
    return norm;
  };
  const auto [own, own_end] = sharing_->own_embedding();
  const double whole = sharing_->norm(measured(own, own_end), measured(model_.table().matrices(0).first, model_.table().total()));
  device.copy_from_host(norm_.data(), &whole, sizeof whole);
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

  if (sharing_) sharing_->finish();

  // Matrices, then norms: the same pass with and without decay. The norm and what follows from it stay on the device until all is queued.
  measure_norm();
  const Tensor norm(norm_.data(), DType::f64, {1});
  const int64_t blocks = model_.table().matrices(0).first, decayed = model_.table().decayed(), total = model_.table().total();
  const auto [own, own_end] = sharing_ ? sharing_->own_embedding() : std::pair{int64_t(0), blocks};
  auto range = [](const Tensor& arena, int64_t first, int64_t end) { return arena ? arena.rows(first, end - first) : arena; };
  for (auto [first, end, decay] : {std::tuple{own, own_end, options.weight_decay}, std::tuple{blocks, decayed, options.weight_decay}, std::tuple{decayed, total, 0.0}}) {
    if (first == end) continue;
    options.weight_decay = decay, options.first = first;
    adamw_update(device, range(model_.weights(), first, end), range(model_.remainders(), first, end), range(gradients(), first, end), range(exp_avg(), first, end),
                 range(exp_avg_sq(), first, end), norm, options);
  }
  copies_out_of_date_ = sharing_ && sharing_->cut();

  UpdateResult result;
  device.copy_to_host(&result.grad_norm, norm_.data(), sizeof result.grad_norm);
  result.grad_norm /= options.divisor;
  result.applied = std::isfinite(result.grad_norm);
  return result;
}

}  // namespace gt
