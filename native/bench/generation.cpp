// Ops of generation alone, for B sequences at once.
#include <algorithm>
#include <utility>

#include "bench/cases.h"
#include "ops/kv_cache/kv_cache.h"
#include "ops/sampling/sampling.h"

namespace gt::bench {

void kv_cache(Bench& b) {
  const Shapes& s = b.shapes;
  std::vector<int32_t> rows;
  for (int64_t i = 0; i < s.B; i++) rows.push_back(int32_t(i * s.cached + s.cached - 1));
  Data keys = b.values({s.B * s.cached, s.K, s.D}), values = b.values({s.B * s.cached, s.K, s.D}), k = b.values({s.B, s.K, s.D}), qkv = b.values({s.B, s.H + 2 * s.K, s.D});
  b.run("kv_cache_store", dims({s.B, s.K, s.D}), moved({k, k, k, k}), 0, {0, 0}, [&] { kv_cache_store(b.device, keys, values, k, qkv, host(rows)); });
}

void sampling(Bench& b) {
  const Shapes& s = b.shapes;
  std::vector<int32_t> next(size_t(s.B), 0);
  std::vector<int64_t> keys(size_t(s.B), 3), steps(size_t(s.B), 5);
  Data logits = b.f32({s.B, s.V});
  Sampling sampled;
  sampled.temperature = 1, sampled.top_k = 64, sampled.top_p = 0.95, sampled.seed = 1;
  for (const auto& [name, options] : {std::pair<const char*, Sampling>{"next_tokens (greedy)", {}}, {"next_tokens (top-k 64, top-p 0.95)", sampled}})
    b.run(name, dims({s.B, s.V}), moved({logits}), 0, {0, 0}, [&, &options = options] { next_tokens(b.device, host(next), logits, options, keys.data(), steps.data()); });
  const int64_t few = std::min<int64_t>(s.B, 16);
  next.resize(size_t(few));
  Data x = b.values({few, s.C}), weight = b.values({s.V, s.C});
  b.run("greedy_tokens", dims({few, s.V, s.C}), moved({x, weight}), 2. * double(few * s.V * s.C), {0, 0}, [&] { greedy_tokens(b.device, host(next), x, weight, logits.tensor.rows(0, few)); });
}

}  // namespace gt::bench
