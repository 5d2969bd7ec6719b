#pragma once
#include <cstdint>

namespace gt {

// The filters of a sampled row as kernels take them.
struct SamplingFilters {
  float temperature;
  int64_t top_k;        // 1 .. V
  float drop_below;     // 1 - top_p; negative: no top-p
};

}  // namespace gt
