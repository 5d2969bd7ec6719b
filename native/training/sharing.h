// What ranks that train one model do together: they add up their gradients, beside the backward pass that makes them, once an update.
//
// With the vocabulary cut (model/vocabulary.h) the embedding's gradient stays where it is made: each rank has its own rows of the sum. All else is
// the same on every rank, bit for bit: weights, moments and gradients of the blocks and norms.
#pragma once
#include "comm/communicator.h"
#include "model/gemma.h"
#include "model/vocabulary.h"

namespace gt {

struct SharingOptions {
  DType wire = DType::f32;  // of float32 gradients on the link: float32, or bfloat16 for half of the bytes
  bool cut_vocabulary = true;
};

class Sharing {
 public:
  // `gradients`: the arena, float32 or bfloat16.
  Sharing(Gemma& model, comm::Communicator& ranks, const Tensor& gradients, SharingOptions options);

  comm::Communicator& ranks() { return ranks_; }
  bool cut() const { return options_.cut_vocabulary; }
  // Elements of the embedding that this rank trains: [0, end of the embedding) where the vocabulary is whole.
  std::pair<int64_t, int64_t> own_embedding() const { return own_; }  // first, end
  int64_t bytes() const { return wire_.bytes(); }

  // For Pass::complete of an update's last pass: queues the sum of that range over ranks.
  void add_up(int64_t first, int64_t end);
  // The sums are there for device work queued from now on. Refuses where the last pass was not told to be the last.
  void finish();
  bool pending() const { return pending_; }

  // The norm of the whole gradient, from `own`: that of the range this rank alone has, and `shared`: that of what all have.
  double norm(double own, double shared);
  // Fills in the other ranks' rows of an arena in the embedding's layout. Collective; queued.
  void gather_embedding(const Tensor& arena);

 private:
  // Elements in one collective: large enough for the link, small enough to overlap.
  static constexpr int64_t kPiece = int64_t(1) << 23;
  Tensor piece(const Tensor& arena, int64_t first, int64_t end) const;

  Gemma& model_;
  comm::Communicator& ranks_;
  Tensor gradients_;
  SharingOptions options_;
  std::pair<int64_t, int64_t> own_;
  Buffer wire_;  // bfloat16, in the arena's layout, where the wire has another type than the gradient
  std::vector<std::pair<int64_t, int64_t>> under_way_;
  bool pending_ = false;
};

}  // namespace gt
