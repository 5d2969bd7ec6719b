#include "training/sharing.h"

#include <cmath>
#include <cstring>
#include <numeric>

#include "ops/cast/cast.h"

namespace gt {

Sharing::Sharing(Gemma& model, comm::Communicator& ranks, const Tensor& gradients, SharingOptions options) : model_(model), ranks_(ranks), gradients_(gradients), options_(options) {
  const ParameterTable& table = model.table();
  if (sharded()) {
    const VocabularySlice slice = slice_of(model.config().vocab_size, ranks.rank(), ranks.size());
    const int64_t C = model.config().hidden_size;
    for (int64_t l = 0; l < model.config().num_layers; l++) updated_.push_back(own({table.matrices(l).first, table.matrices(l).second}));
    updated_.push_back({slice.first * C, (slice.first + slice.count) * C});
  } else {
    updated_.push_back({0, table.decayed()});
  }
  if (gradients.dtype != options.wire && options.wire == DType::bf16) wire_ = Buffer(model.device(), table.total() * size_of(DType::bf16));
}

Tensor Sharing::piece(const Tensor& arena, Range r) const { return Tensor(static_cast<char*>(arena.data) + r.first * size_of(arena.dtype), arena.dtype, {r.end - r.first}); }

std::vector<int64_t> Sharing::parts(Range range) const {
  const int64_t count = range.end - range.first, each = ((count + ranks_.size() - 1) / ranks_.size() + 63) / 64 * 64;
  std::vector<int64_t> parts;
  for (int64_t rank = 0; rank < ranks_.size(); rank++) parts.push_back(std::clamp(count - rank * each, int64_t(0), each));
  return parts;
}

Sharing::Range Sharing::own(Range range) const {
  const std::vector<int64_t> all = parts(range);
  const int64_t first = std::accumulate(all.begin(), all.begin() + ranks_.rank(), range.first);
  return {first, first + all[size_t(ranks_.rank())]};
}

void Sharing::send(Range range, bool scattered) {
  const Tensor gradient = piece(gradients_, range);
  const Tensor sent = wire_.data() ? piece(Tensor(wire_.data(), DType::bf16, {model_.table().total()}), range) : gradient;
  if (wire_.data()) cast(model_.device(), sent, gradient);
  if (scattered) ranks_.reduce_scatter(sent, parts(range), "the gradient of a layer");
  else ranks_.all_reduce(sent, "the gradient");
  if (wire_.data()) received_.push_back(scattered ? own(range) : range);
}

void Sharing::add_up(int64_t first, int64_t end) {
  pending_ = true;
  const int64_t blocks = model_.table().matrices(0).first, decayed = model_.table().decayed();
  const bool is_layer = first >= blocks && first < decayed;
  if (sharded() && is_layer) return send({first, end}, true);
  if (sharded() && first < blocks) return;  // each rank has its own rows of the embedding
  for (; first < end; first += kPiece) send({first, std::min(end, first + kPiece)}, false);
}

void Sharing::finish() {
  require(pending_, Code::kArgument, "update: this rank's gradient was not added to the others'; tell the update's last pass that it is the last");
  pending_ = false;
  ranks_.wait();
  const Tensor wire(wire_.data(), DType::bf16, {model_.table().total()});
  for (Range range : received_)
    if (range.first < range.end) cast(model_.device(), piece(gradients_, range), piece(wire, range));
  received_.clear();
}

void Sharing::clear_sent() {
  for (int64_t l = 0; l < model_.config().num_layers; l++) {
    const auto [first, end] = model_.table().matrices(l);
    const Range kept = own({first, end});
    for (Range r : {Range{first, kept.first}, Range{kept.end, end}})
      if (r.first < r.end) model_.device().zero(piece(gradients_, r).data, size_t((r.end - r.first) * size_of(gradients_.dtype)));
  }
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

// Bits are moved, not numbers: remainders travel as the bfloat16 of their size.
static Tensor as_bits(const Tensor& t) { return Tensor(t.data, t.dtype == DType::i16 ? DType::bf16 : t.dtype, {t.count()}); }

void Sharing::gather_embedding(const Tensor& arena) {
  const int64_t V = model_.config().vocab_size, C = model_.config().hidden_size;
  std::vector<int64_t> rows;
  for (int rank = 0; rank < ranks_.size(); rank++) rows.push_back(slice_of(V, rank, ranks_.size()).count * C);
  ranks_.all_gather(as_bits(piece(arena, {0, V * C})), rows, "the embedding");
}

void Sharing::gather_layer(const Tensor& arena, int64_t layer) {
  const auto [first, end] = model_.table().matrices(layer);
  ranks_.all_gather(as_bits(piece(arena, {first, end})), parts({first, end}), "the weights of a layer");
}

}  // namespace gt
