// One pass over a vocabulary that is cut between ranks (model/vocabulary.h): what the ranks have in it, and the embedding's part of the pass.
#pragma once
#include <vector>

#include "comm/communicator.h"
#include "core/arena.h"
#include "model/config.h"
#include "model/head.h"
#include "model/vocabulary.h"

namespace gt {

class SplitPass {
 public:
  // Collective. Ids and positions are of tokens that lie in `ids`, already checked. A rank with nothing to learn takes part without tokens.
  SplitPass(Device& device, const Config& config, comm::Communicator& ranks, const std::vector<int32_t>& ids, const Supervised& supervised);

  comm::Communicator& ranks() const { return ranks_; }
  VocabularySlice slice() const { return slice_; }
  int rank() const { return ranks_.rank(); }
  int size() const { return ranks_.size(); }

  // Supervised rows of all ranks, in the order of ranks, and where this rank's begin.
  const std::vector<int32_t>& targets() const { return targets_; }
  const std::vector<int64_t>& rows() const { return rows_; }
  int64_t first_row() const { return first_row_; }

  // x [T, C] = scale · the table's rows of this rank's ids, each from the rank that has it. `memory` is kept by the caller and used by both.
  void embed(Buffer& memory, const Tensor& x, const Tensor& table, float scale);
  // dtable's own rows += those of dx [T, C] of all ranks, in the order of ranks.
  void embed_backward(Buffer& memory, const Tensor& dtable, const Tensor& dx, float scale);
  // Memory of the two for so many tokens on all ranks together.
  static int64_t embedding_bytes(const Config& config, int64_t tokens);

 private:
  struct Room {
    Tensor all;  // [tokens of all ranks, C]
    Tensor own;  // those whose id is in this rank's slice, [n, C]
    void lay_out(Arena& arena, int64_t tokens, int64_t own_tokens, int64_t C);
  };
  Room room(Buffer& memory) const;
  std::vector<int64_t> elements() const;  // of `all`, by rank

  Device& device_;
  comm::Communicator& ranks_;
  int64_t C_;
  VocabularySlice slice_;
  std::vector<int64_t> tokens_, rows_;  // by rank
  int64_t first_token_ = 0, first_row_ = 0, all_tokens_ = 0;
  std::vector<int32_t> targets_;
  std::vector<int32_t> own_ids_, own_tokens_;  // of the slice, and where they are among all tokens
};

}  // namespace gt
