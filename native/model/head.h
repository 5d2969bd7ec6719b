// The head: final norm and tied output projection, on supervised rows only, logits in chunks. The whole (tokens x vocabulary)
// matrix never exists: a chunk's logits are made, turned into loss and then into their own gradient, and used up.
#pragma once
#include <vector>

#include "core/arena.h"
#include "model/config.h"

namespace gt {

// Sums over the targets of one batch.
struct Metrics {
  double loss_sum = 0;
  int64_t targets = 0;
  int64_t correct = 0;
  double entropy_sum = 0;
};

// Metrics on their way to the host while later work runs: start that work, then wait.
class PendingMetrics {
 public:
  PendingMetrics(Device& device, int64_t rows) : device_(device), rows_(rows) {}
  Metrics wait() const;

 private:
  Device& device_;
  int64_t rows_;
};

struct HeadWeights {
  Tensor norm;       // [C]
  Tensor embedding;  // [V, C]
};

// Positions t with targets[t] != -100, and those targets. Refuses targets outside the vocabulary, naming the position.
struct Supervised {
  std::vector<int32_t> rows, targets;
};
Supervised supervised_rows(const int32_t* targets, int64_t T, int64_t vocab_size);

class SplitPass;

// Bytes of logits held at once. Larger chunks read and write the embedding's gradient less often: at 262,144 x 640 that is 1.3 GB of
// traffic a chunk, as much time as 500 rows of arithmetic on a fast CPU, as 1,500 on a T4.
constexpr int64_t kHostLogits = int64_t(256) << 20, kGpuLogits = int64_t(1024) << 20;

// Memory that head_forward_backward takes for R targets, on each of so many ranks.
int64_t head_bytes(const Device& device, const Config& config, DType dtype, int64_t R, int ranks = 1);

// x: float32 [T, C], the residual stream after the last block. logprobs (may be null): [T], NaN where there is no target.
Metrics head_forward(Device& device, Buffer& memory, const Config& config, const HeadWeights& w, const Tensor& x, const Supervised& supervised, float* logprobs);

// The same, and backward: dx [T, C] float32 (=) and dw (+=).
PendingMetrics head_forward_backward(Device& device, Buffer& memory, const Config& config, const HeadWeights& w, const HeadWeights& dw, const Tensor& x, const Tensor& dx, const Supervised& supervised);

// The same with a vocabulary cut between ranks. Collective: every rank has the targets of all in its own slice. Metrics are of this rank's rows.
PendingMetrics head_forward_backward(Device& device, Buffer& memory, const Config& config, const HeadWeights& w, const HeadWeights& dw, const Tensor& x, const Tensor& dx, const Supervised& supervised, SplitPass& split);

}  // namespace gt
