// What ranks that train one model do together.
//
// Whole: gradients are added up between ranks, beside the backward pass that makes them, once an update; then every rank makes the whole update.
//
// Sharded: every rank trains a part. Of the embedding that is its slice of the vocabulary (model/vocabulary.h), whose gradient is made there and goes
// nowhere; of each layer's matrices an even share: the gradients are added up where the share is (reduce-scatter), and the updated weights come back to all
// (all-gather) layer by layer as the next forward pass needs them. Norms are small: all ranks have their sums and update them. Each rank holds whole arenas; what
// others have updated is out of date until it comes. (Rajbhandari et al. 2020, "ZeRO", stage 1; Shoeybi et al. 2019, "Megatron-LM", section 3.)
#pragma once
#include "comm/communicator.h"
#include "model/gemma.h"
#include "model/vocabulary.h"

namespace gt {

struct SharingOptions {
  DType wire = DType::f32;  // of float32 gradients on the link: float32, or bfloat16 for half of the bytes
  bool sharded = true;
};

class Sharing {
 public:
  struct Range {
    int64_t first, end;  // elements of an arena
  };

  // `gradients`: the arena, float32 or bfloat16.
  Sharing(Gemma& model, comm::Communicator& ranks, const Tensor& gradients, SharingOptions options);

  comm::Communicator& ranks() { return ranks_; }
  bool sharded() const { return options_.sharded; }
  int64_t bytes() const { return wire_.bytes(); }
  // Matrices that this rank updates: all, or its part (perhaps none) of each layer from the first to the last, and then of the embedding.
  const std::vector<Range>& updated() const { return updated_; }

  // For Pass::complete of an update's last pass: queues the sum of that range over ranks.
  void add_up(int64_t first, int64_t end);
  // The sums are there for device work queued from now on. Refuses where the last pass was not told to be the last.
  void finish();
  bool pending() const { return pending_; }

  // Gradients of parts that others update become zero for the next step.
  void clear_sent();

  // The norm of the whole gradient, from `own`: that of the ranges this rank alone has, and `shared`: that of what all have.
  double norm(double own, double shared);

  // Fills in the other ranks' parts of an arena. Collective; queued.
  void gather_embedding(const Tensor& arena);
  void gather_layer(const Tensor& arena, int64_t layer);

 private:
  // Elements in one collective: large enough for the link, small enough to overlap.
  static constexpr int64_t kPiece = int64_t(1) << 23;
  Tensor piece(const Tensor& arena, Range range) const;
  void send(Range range, bool scattered);
  // What each rank has of a layer's matrices; even but for multiples of 64 elements, which keep every part aligned.
  std::vector<int64_t> parts(Range range) const;
  Range own(Range range) const;

  Gemma& model_;
  comm::Communicator& ranks_;
  Tensor gradients_;
  SharingOptions options_;
  std::vector<Range> updated_;
  Buffer wire_;  // bfloat16, in the arena's layout, where the wire has another type than the gradient
  std::vector<Range> received_;  // sums that lie in wire_
  bool pending_ = false;
};

}  // namespace gt
