#include "training/sharing.h"

#include <cmath>
#include <cstring>

#include "ops/cast/cast.h"

namespace gt {

Sharing::Sharing(Gemma& model, comm::Communicator& ranks, const Tensor& gradients, SharingOptions options)
    : model_(model), ranks_(ranks), gradients_(gradients), options_(options), own_(0, model.table().matrices(0).first) {
  if (cut()) {
    const VocabularySlice slice = slice_of(model.config().vocab_size, ranks.rank(), ranks.size());
    const int64_t C = model.config().hidden_size;
    own_ = {slice.first * C, (slice.first + slice.count) * C};
  }
  if (gradients.dtype != options.wire && options.wire == DType::bf16) wire_ = Buffer(model.device(), model.table().total() * size_of(DType::bf16));
}

Tensor Sharing::piece(const Tensor& arena, int64_t first, int64_t end) const { return Tensor(static_cast<char*>(arena.data) + first * size_of(arena.dtype), arena.dtype, {end - first}); }

void Sharing::add_up(int64_t first, int64_t end) {
  pending_ = true;
  if (cut() && first < model_.table().matrices(0).first) return;  // the embedding
  const Tensor wire(wire_.data(), DType::bf16, {model_.table().total()});
  for (int64_t begin = first; begin < end; begin += kPiece) {
    const int64_t stop = std::min(end, begin + kPiece);
    const Tensor gradient = piece(gradients_, begin, stop);
    const Tensor sent = wire ? piece(wire, begin, stop) : gradient;
    if (wire) cast(model_.device(), sent, gradient), under_way_.push_back({begin, stop});
    ranks_.all_reduce(sent, "the gradient");
  }
}

void Sharing::finish() {
  require(pending_, Code::kArgument, "update: this rank's gradient was not added to the others'; tell the update's last pass that it is the last");
  pending_ = false;
  ranks_.wait();
  const Tensor wire(wire_.data(), DType::bf16, {model_.table().total()});
  for (auto [first, end] : under_way_) cast(model_.device(), piece(gradients_, first, end), piece(wire, first, end));
  under_way_.clear();
}

double Sharing::norm(double own, double shared) {
  double squares = shared * shared;
  for (const std::string& each : ranks_.gather(std::string(reinterpret_cast<const char*>(&own), sizeof own), "the norm of the gradient")) {
    double norm;
    require(each.size() == sizeof norm, Code::kInternal, "a rank's norm has ", each.size(), " bytes, expected ", sizeof norm);
    std::memcpy(&norm, each.data(), sizeof norm);
    squares += norm * norm;
  }
  return std::sqrt(squares);
}

void Sharing::gather_embedding(const Tensor& arena) {
  const int64_t V = model_.config().vocab_size, C = model_.config().hidden_size;
  std::vector<int64_t> parts;
  for (int rank = 0; rank < ranks_.size(); rank++) parts.push_back(slice_of(V, rank, ranks_.size()).count * C);
  // Bits are moved, not numbers: remainders travel as the bfloat16 of their size.
  ranks_.all_gather(Tensor(arena.data, arena.dtype == DType::i16 ? DType::bf16 : arena.dtype, {V * C}), parts, "the embedding");
}

}  // namespace gt
