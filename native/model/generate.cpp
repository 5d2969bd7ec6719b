#include "model/generate.h"

#include <algorithm>

#include "ops/attention/attention.h"
#include "ops/gather/gather.h"
#include "ops/kv_cache/kv_cache.h"
#include "ops/matmul/matmul.h"
#include "ops/rmsnorm/rmsnorm.h"

namespace gt {
namespace {

// Prompt tokens prefilled in one pass: enough for full matrix products, little memory.
constexpr int64_t kPrefillTokens = 2048;

struct Slot {
  int64_t prompt = -1;
  int32_t last = 0;     // the newest token, not yet in the cache
  int32_t length = 0;   // tokens in the cache
  int64_t generated = 0;
};

class Generator {
 public:
  Generator(Gemma& model, const Batch& prompts, const GenerateOptions& options)
      : model_(model), device_(model.device()), config_(model.config()), prompts_(prompts), options_(options), results_(size_t(prompts.S)) {
    int64_t longest = 0;
    for (int64_t s = 0; s < prompts.S; s++) longest = std::max<int64_t>(longest, prompts.starts[s + 1] - prompts.starts[s]);
    // The last token generated is never fed back, so it needs no place.
    capacity_ = longest + std::max<int64_t>(options.max_new_tokens - 1, 0);
    model.reserve_positions(capacity_);
    batch_size_ = std::min(options.batch_size, prompts.S);
    const int64_t cells = batch_size_ * capacity_ * config_.num_kv_heads * config_.head_dim * size_of(model.dtype());
    for (int64_t l = 0; l < config_.num_layers; l++) keys_.emplace_back(device_, cells), values_.emplace_back(device_, cells);
  }

  std::vector<std::vector<int32_t>> run(const std::function<void(int64_t)>& progress, const std::atomic<bool>& cancel) {
    int64_t next = 0, done = 0;
    while (done < prompts_.S) {
      require(!cancel, Code::kCancelled, "generation was cancelled");
      if (next < prompts_.S && int64_t(slots_.size()) < batch_size_) {
        prefill(next);
      } else {
        decode();
      }
      if (const int64_t ended = retire()) {
        done += ended;
        if (progress) progress(done);
      }
    }
    return std::move(results_);
  }

 private:
  Tensor cache(const std::vector<Buffer>& layers, int64_t l) const {
    return Tensor(layers[size_t(l)].data(), model_.dtype(), {batch_size_, capacity_, config_.num_kv_heads, config_.head_dim});
  }
  int64_t row_bytes() const { return config_.num_kv_heads * config_.head_dim * size_of(model_.dtype()); }

  // The row of the caches, seen as [batch · capacity, K, D], that holds a slot's token.
  int32_t cache_row(int64_t slot, int64_t position) const { return int32_t(slot * capacity_ + position); }

  // Copies the keys and values of a pass to `rows` of a layer's caches.
  void store(const LayerActivations& a, int64_t l, const std::vector<int32_t>& rows) {
    const auto flat = [&](const std::vector<Buffer>& layers) { return Tensor(layers[size_t(l)].data(), model_.dtype(), {batch_size_ * capacity_, config_.num_kv_heads, config_.head_dim}); };
    kv_cache_store(device_, flat(keys_), flat(values_), a.k, a.qkv, host_ids(rows.data(), int64_t(rows.size())));
  }

  // Runs the next prompts of the queue, as many as there are slots and room in one pass; moves `next` past them.
  void prefill(int64_t& next) {
    const int64_t first = next, first_slot = int64_t(slots_.size());
    std::vector<int32_t> starts{0}, last_rows, cache_rows;
    while (next < prompts_.S && int64_t(slots_.size()) < batch_size_) {
      const int32_t length = prompts_.starts[next + 1] - prompts_.starts[next];
      if (next > first && starts.back() + length > kPrefillTokens) break;
      starts.push_back(starts.back() + length);
      last_rows.push_back(starts.back() - 1);
      for (int32_t p = 0; p < length; p++) cache_rows.push_back(cache_row(int64_t(slots_.size()), p));
      slots_.push_back({.prompt = next++, .length = length});
    }
    const Batch batch{prompts_.tokens + prompts_.starts[first], starts.back(), starts.data(), int64_t(starts.size()) - 1, nullptr};
    const std::vector<int32_t> positions = positions_of(batch);
    const Tensor host_starts = host_ids(starts.data(), int64_t(starts.size()));
    auto attend = [&](LayerActivations& a, int64_t l) {
      attention_forward(device_, a.attended, a.lse, a.q, a.k, a.qkv, host_starts, config_.attention_scale(), config_.window(l));
      store(a, l, cache_rows);
    };
    pass(batch.tokens, positions, attend, last_rows, first_slot);
  }

  // One token for every slot.
  void decode() {
    const int64_t B = int64_t(slots_.size());
    std::vector<int32_t> tokens, positions, lengths, rows, cache_rows;
    for (int64_t b = 0; b < B; b++) {
      const Slot& s = slots_[size_t(b)];
      tokens.push_back(s.last);
      positions.push_back(s.length);
      lengths.push_back(s.length + 1);
      rows.push_back(int32_t(b));
      cache_rows.push_back(cache_row(b, s.length));
    }
    const Tensor host_lengths = host_ids(lengths.data(), B);
    auto attend = [&](LayerActivations& a, int64_t l) {
      store(a, l, cache_rows);
      Tensor k = cache(keys_, l).rows(0, B), v = cache(values_, l).rows(0, B);
      attention_decode(device_, a.attended, a.q, k, v, host_lengths, config_.attention_scale(), config_.window(l));
    };
    for (Slot& s : slots_) s.length++;
    pass(tokens.data(), positions, attend, rows, 0);
  }

  // Runs the blocks over `positions.size()` tokens, then the head on `rows`; row i is slot first_slot + i, which gets its next token.
  template <class AttendLayer>
  void pass(const int32_t* tokens, const std::vector<int32_t>& positions, const AttendLayer& attend, const std::vector<int32_t>& rows, int64_t first_slot) {
    const int64_t T = int64_t(positions.size()), R = int64_t(rows.size()), L = config_.num_layers;
    Activations a = make_activations(device_, model_.activation_memory(), config_, model_.dtype(), T, Keep::none);
    device_.upload(a.positions.data, positions.data(), size_t(T) * 4);
    model_.blocks(a, host_ids(tokens, T), [&](int64_t l, LayerActivations& layer) { attend(layer, l); });

    const HeadWeights w = model_.head_weights();
    Tensor x, rstd, normed, logits;
    Arena arena;
    arena.add(&x, DType::f32, {R, config_.hidden_size});
    arena.add(&rstd, DType::f32, {R});
    arena.add(&normed, model_.dtype(), {R, config_.hidden_size});
    arena.add(&logits, DType::f32, {R, config_.vocab_size});
    arena.allocate(device_, model_.head_memory());
    gather_rows(device_, x, a.x[size_t(L)], host_ids(rows.data(), R));
    rmsnorm_forward(device_, normed, rstd, x, w.norm, float(config_.rms_norm_eps));

    std::vector<int32_t> chosen(static_cast<size_t>(R));
    std::vector<int64_t> keys, steps;
    for (int64_t i = 0; i < R; i++) {
      const Slot& s = slots_[size_t(first_slot + i)];
      keys.push_back(s.prompt);
      steps.push_back(s.generated);
    }
    const Tensor next(chosen.data(), DType::i32, {R});
    if (options_.sampling.temperature == 0) {
      greedy_tokens(device_, next, normed, w.embedding, logits);
    } else {
      matmul_forward(device_, logits, normed, w.embedding);
      next_tokens(device_, next, logits, options_.sampling, keys.data(), steps.data());
    }
    for (int64_t i = 0; i < R; i++) {
      Slot& s = slots_[size_t(first_slot + i)];
      s.last = chosen[size_t(i)];
      s.generated++;
      results_[size_t(s.prompt)].push_back(s.last);
    }
  }

  bool ended(const Slot& s) const {
    return s.generated >= options_.max_new_tokens || std::find(options_.stop_ids.begin(), options_.stop_ids.end(), s.last) != options_.stop_ids.end();
  }

  // Takes ended slots out; the last slot's cache moves into the gap. Returns how many ended.
  int64_t retire() {
    int64_t count = 0;
    for (int64_t b = 0; b < int64_t(slots_.size());) {
      if (!ended(slots_[size_t(b)])) {
        b++;
        continue;
      }
      const int64_t last = int64_t(slots_.size()) - 1;
      if (b != last) {
        const size_t bytes = size_t(slots_[size_t(last)].length * row_bytes());
        const int64_t stride = capacity_ * row_bytes();
        for (auto* layers : {&keys_, &values_})
          for (Buffer& c : *layers) device_.copy_within(c.data() + b * stride, c.data() + last * stride, bytes);
        slots_[size_t(b)] = slots_[size_t(last)];
      }
      slots_.pop_back();
      count++;
    }
    return count;
  }

  Gemma& model_;
  Device& device_;
  const Config& config_;
  const Batch& prompts_;
  const GenerateOptions& options_;
  int64_t capacity_ = 0, batch_size_ = 0;
  std::vector<Buffer> keys_, values_;  // [L] of [batch, capacity, K, D]
  std::vector<Slot> slots_;
  std::vector<std::vector<int32_t>> results_;
};

}  // namespace

std::vector<std::vector<int32_t>> generate(Gemma& model, const Batch& prompts, const GenerateOptions& options, const std::function<void(int64_t done)>& progress, const std::atomic<bool>& cancel) {
  model.check(prompts);
  require(options.max_new_tokens >= 1, Code::kArgument, "max_new_tokens is ", options.max_new_tokens, ", expected at least 1");
  require(options.batch_size >= 1, Code::kArgument, "batch_size is ", options.batch_size, ", expected at least 1");
  check_sampling("generate", options.sampling);
  return Generator(model, prompts, options).run(progress, cancel);
}

}  // namespace gt
