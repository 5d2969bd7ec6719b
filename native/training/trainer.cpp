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
  require(!options.sharded || slice_of(model_.config().vocab_size, ranks.size() - 1, ranks.size()).count > 0, Code::kArgument, "a vocabulary of ", model_.config().vocab_size, " tokens cannot be cut between ", ranks.size(),
          " ranks in multiples of 8; train with fewer ranks, or with sharded off");
  sharing_.emplace(model_, ranks, gradients(), options);
}

Metrics Trainer::accumulate(const Batch& batch, bool last) {
  Pass pass;
  pass.keep = keep_;
  if (!sharing_) return model_.accumulate(batch, gradients(), pass);
  if (sharing_->sharded()) {
    pass.split = &sharing_->ranks();
    // Weights that others have updated since the last pass come while it runs, behind the embedded tokens.
    pass.needs = [this](int64_t layer) {
      if (layer == 0) gather_layers();
      if (copies_out_of_date_) sharing_->ranks().wait(arrivals_[size_t(layer)]);
    };
  }
  if (last) pass.complete = [this](int64_t first, int64_t end) { sharing_->add_up(first, end); };
  return model_.accumulate(batch, gradients(), pass);
}

void Trainer::discard() {
  if (sharing_ && sharing_->pending()) sharing_->finish();
  model_.device().zero(gradients_.data(), size_t(gradients_.bytes()));
}

void Trainer::gather_layer() {
  sharing_->gather_layer(model_.weights(), int64_t(arrivals_.size()));
  arrivals_.push_back(sharing_->ranks().queued());
}

void Trainer::gather_layers() {
  if (!copies_out_of_date_) return;
  while (int64_t(arrivals_.size()) < model_.config().num_layers) gather_layer();
}

void Trainer::complete_copies() {
  if (!copies_out_of_date_) return;
  gather_layers();
  sharing_->gather_embedding(model_.weights());
  for (const Tensor& arena : {model_.remainders(), exp_avg(), exp_avg_sq()}) {
    if (!arena) continue;
    sharing_->gather_embedding(arena);
    for (int64_t l = 0; l < model_.config().num_layers; l++) sharing_->gather_layer(arena, l);
  }
  sharing_->ranks().wait();
  copies_out_of_date_ = false;
}

uint64_t Trainer::checksum() {
  require(!copies_out_of_date_, Code::kArgument, "the copies of what other ranks have updated are out of date; complete them before they are compared");
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
  if (!sharing_ || !sharing_->sharded()) return global_norm(device, out, gradients());
  // Ranks have parts of their own: the host adds up what each measures.
  std::vector<Sharing::Range> ranges = sharing_->updated();
  ranges.push_back({model_.table().decayed(), model_.table().total()});
  const Buffer memory(device, int64_t(ranges.size() * sizeof(double)));
  double* const on_device = reinterpret_cast<double*>(memory.data());
  for (size_t i = 0; i < ranges.size(); i++) global_norm(device, Tensor(on_device + i, DType::f64, {1}), gradients().rows(ranges[i].first, ranges[i].end - ranges[i].first));
  std::vector<double> norms(ranges.size());
  device.copy_to_host(norms.data(), on_device, norms.size() * sizeof(double));
  double own = 0;
  for (size_t i = 0; i + 1 < norms.size(); i++) own += norms[i] * norms[i];
  const double whole = sharing_->norm(std::sqrt(own), norms.back());
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
  const int64_t decayed = model_.table().decayed(), total = model_.table().total();
  auto range = [](const Tensor& arena, int64_t first, int64_t end) { return arena ? arena.rows(first, end - first) : arena; };
  auto step = [&](int64_t first, int64_t end, double decay) {
    if (first == end) return;
    options.weight_decay = decay, options.first = first;
    adamw_update(device, range(model_.weights(), first, end), range(model_.remainders(), first, end), range(gradients(), first, end), range(exp_avg(), first, end),
                 range(exp_avg_sq(), first, end), norm, options);
  };
  const double decay = options.weight_decay;
  if (sharing_ && sharing_->sharded()) {
    copies_out_of_date_ = true;
    arrivals_.clear();
    for (auto [first, end] : sharing_->updated()) {
      step(first, end, decay);
      // The first layers' weights go to the other ranks beside what is left of the update; the rest behind the next pass's embedded tokens, which must not wait for them.
      if (int64_t(arrivals_.size()) < model_.config().num_layers / 2) gather_layer();
    }
    sharing_->clear_sent();  // AdamW has cleared this rank's part
  } else {
    for (auto [first, end] : sharing_ ? sharing_->updated() : std::vector<Sharing::Range>{{0, decayed}}) step(first, end, decay);
  }
  step(decayed, total, 0);

  UpdateResult result;
  device.copy_to_host(&result.grad_norm, norm_.data(), sizeof result.grad_norm);
  result.grad_norm /= options.divisor;
  result.applied = std::isfinite(result.grad_norm);
  return result;
}

}  // namespace gt
