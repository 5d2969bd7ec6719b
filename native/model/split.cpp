#include "model/split.h"

#include <cstring>
#include <numeric>

#include "ops/embedding/embedding.h"
#include "ops/gather/gather.h"

namespace gt {

// What a rank tells the others: two counts, then ids and targets.
static std::string message_of(const std::vector<int32_t>& ids, const std::vector<int32_t>& targets) {
  std::vector<int32_t> numbers{int32_t(ids.size()), int32_t(targets.size())};
  numbers.insert(numbers.end(), ids.begin(), ids.end());
  numbers.insert(numbers.end(), targets.begin(), targets.end());
  return std::string(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(int32_t));
}

SplitPass::SplitPass(Device& device, const Config& config, comm::Communicator& ranks, const std::vector<int32_t>& ids, const Supervised& supervised)
    : device_(device), ranks_(ranks), C_(config.hidden_size), slice_(slice_of(config.vocab_size, ranks.rank(), ranks.size())) {
  for (const std::string& message : ranks.gather(message_of(ids, supervised.targets), "the tokens of a pass")) {
    std::vector<int32_t> numbers(message.size() / sizeof(int32_t));
    std::memcpy(numbers.data(), message.data(), numbers.size() * sizeof(int32_t));
    require(numbers.size() >= 2 && numbers.size() == size_t(2 + numbers[0] + numbers[1]), Code::kInternal, "a rank's message about a pass has ", message.size(), " bytes");
    if (int(tokens_.size()) == ranks.rank()) first_token_ = all_tokens_, first_row_ = int64_t(targets_.size());
    for (int32_t t = 0; t < numbers[0]; t++) {
      const int32_t id = numbers[size_t(2 + t)];
      if (id < slice_.first || id >= slice_.first + slice_.count) continue;
      own_ids_.push_back(id);
      own_tokens_.push_back(int32_t(all_tokens_ + t));
    }
    targets_.insert(targets_.end(), numbers.begin() + 2 + numbers[0], numbers.end());
    all_tokens_ += numbers[0];
    tokens_.push_back(numbers[0]), rows_.push_back(numbers[1]);
  }
}

std::vector<int64_t> SplitPass::elements() const {
  std::vector<int64_t> elements;
  for (int64_t tokens : tokens_) elements.push_back(tokens * C_);
  return elements;
}

void SplitPass::Room::lay_out(Arena& arena, int64_t tokens, int64_t own_tokens, int64_t C) {
  arena.add(&all, DType::f32, {tokens, C});
  arena.add(&own, DType::f32, {own_tokens, C});
}

SplitPass::Room SplitPass::room(Buffer& memory) const {
  Arena arena;
  Room room;
  room.lay_out(arena, all_tokens_, int64_t(own_ids_.size()), C_);
  arena.allocate(device_, memory);
  return room;
}

int64_t SplitPass::embedding_bytes(const Config& config, int64_t tokens) {
  Arena arena;
  Room room;
  room.lay_out(arena, tokens, tokens, config.hidden_size);
  return arena.bytes();
}

void SplitPass::embed(Buffer& memory, const Tensor& x, const Tensor& table, float scale) {
  const Room r = room(memory);
  const int64_t n = int64_t(own_ids_.size());
  if (n > 0) embedding_forward(device_, r.own, table, host_ids(own_ids_.data(), n), scale);
  scatter_rows(device_, r.all, r.own, host_ids(own_tokens_.data(), n));
  // Of each row all ranks but one have zeros: the sum is exact.
  ranks_.reduce_scatter(r.all, elements(), "the embedded tokens");
  ranks_.wait();
  const int64_t T = tokens_[size_t(rank())];
  if (T > 0) device_.copy_within(x.data, r.all.rows(first_token_, T).data, size_t(T * C_ * size_of(DType::f32)));
}

void SplitPass::embed_backward(Buffer& memory, const Tensor& dtable, const Tensor& dx, float scale) {
  const Room r = room(memory);
  const int64_t T = tokens_[size_t(rank())], n = int64_t(own_ids_.size());
  if (T > 0) device_.copy_within(r.all.rows(first_token_, T).data, dx.data, size_t(T * C_ * size_of(DType::f32)));
  ranks_.all_gather(r.all, elements(), "the gradient of the embedded tokens");
  ranks_.wait();
  if (n == 0) return;
  gather_rows(device_, r.own, r.all, host_ids(own_tokens_.data(), n));
  embedding_backward(device_, dtable, r.own, host_ids(own_ids_.data(), n), scale);
}

}  // namespace gt
