// Batched generation with a key/value cache: prompts wait in a queue, free slots are filled from it, all slots decode side by side.
// What a prompt yields does not depend on the batch it happened to be in.
#pragma once
#include <atomic>
#include <functional>
#include <vector>

#include "model/gemma.h"
#include "ops/sampling/sampling.h"

namespace gt {

struct GenerateOptions {
  int64_t max_new_tokens = 0;
  std::vector<int32_t> stop_ids;  // a stop id ends its sequence and is kept as its last token
  Sampling sampling;
  int64_t batch_size = 1;
};

// One vector of new ids a prompt. `progress` hears how many prompts are done; `cancel` is looked at before every token and ends
// with Error(kCancelled).
std::vector<std::vector<int32_t>> generate(Gemma& model, const Batch& prompts, const GenerateOptions& options, const std::function<void(int64_t done)>& progress, const std::atomic<bool>& cancel);

}  // namespace gt
