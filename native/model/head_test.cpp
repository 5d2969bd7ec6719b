// The head at sizes where its logits come in chunks.
#include "model/gemma.h"
#include "model/values.h"
#include "testing/check.h"
#include "training/trainer.h"

using namespace gt;
using namespace gt::testing;

namespace {

// Narrow, with the vocabulary of the 270M model.
Config narrow_config() {
  Config c;
  c.vocab_size = 262144, c.hidden_size = 8, c.intermediate_size = 8;
  c.num_heads = 1, c.num_kv_heads = 1, c.head_dim = 8, c.sliding_window = 16;
  c.num_layers = 1, c.full_attention = {1};
  return c;
}

struct Learnt {
  double loss = 0;
  std::vector<float> gradient;
};

// The sequences of `lengths`, `together` in one pass or each in its own.
Learnt learn(const std::vector<int32_t>& lengths, bool together) {
  Device device(DeviceKind::cpu, 0, 2);
  Gemma model(narrow_config(), DType::f32, device, true);
  initialize_values(device, {model.weights(), model.remainders()}, model.table(), 7, 0.5);
  Trainer trainer(model, Keep::all);
  Learnt learnt;
  std::vector<int32_t> starts{0}, tokens, targets;
  const auto pass = [&] {
    learnt.loss += trainer.accumulate({tokens.data(), int64_t(tokens.size()), starts.data(), int64_t(starts.size()) - 1, targets.data()}).loss_sum;
    starts = {0}, tokens.clear(), targets.clear();
  };
  Random random(1);
  for (int32_t length : lengths) {
    for (int32_t t = 0; t < length; t++) {
      tokens.push_back(int32_t(random.below(262144)));
      targets.push_back(t + 1 < length ? int32_t(random.below(262144)) : -100);
    }
    starts.push_back(starts.back() + length);
    if (!together) pass();
  }
  if (together) pass();
  const Tensor gradient = trainer.gradients();
  learnt.gradient.assign(gradient.as<float>(), gradient.as<float>() + gradient.count());
  return learnt;
}

}  // namespace

// 256 rows of float32 logits are held at once: 260 targets come in two chunks of 130, which are those of a sequence each.
TEST(rows_in_several_chunks_of_logits_learn_as_in_passes_of_their_own) {
  const Learnt whole = learn({131, 131}, true), parts = learn({131, 131}, false);
  check(std::abs(whole.loss / parts.loss - 1) <= 1e-12, "loss ", whole.loss, ", in two passes ", parts.loss);
  float largest = 0, off = 0;
  for (size_t i = 0; i < whole.gradient.size(); i++) {
    largest = std::max(largest, std::abs(parts.gradient[i]));
    off = std::max(off, std::abs(whole.gradient[i] - parts.gradient[i]));
  }
  check(off <= 1e-5f * largest, "the gradient is off by ", off, ", its largest is ", largest);  // sums over 262 tokens, in another order
}

TEST(the_logits_held_at_once_are_bounded) {
  Config c = narrow_config();
  c.hidden_size = 640;
  Device device(DeviceKind::cpu, 0, 1);
  for (DType dtype : {DType::f32, DType::bf16})
    for (int ranks : {1, 2}) {
      int64_t before = 0;
      for (int64_t R : {1, 15, 256, 257, 512, 513, 4097, 20000, 1 << 30}) {
        // x, dx, their rstd and statistics by row; what is normed of all ranks' rows.
        const int64_t statistics = 4 + (ranks > 1 ? 3 * ranks : 0), row = c.hidden_size * (2 * 4 + ranks * 2 * size_of(dtype)) + 4 * statistics;
        const int64_t bytes = head_bytes(device, c, dtype, R, ranks);
        const std::string what = text(R, " targets of ", name_of(dtype), " on each of ", ranks, " ranks take ", bytes, " bytes");
        check(bytes > before, what, ", fewer took ", before);
        check(bytes >= R * row && bytes <= R * row + (int64_t(257) << 20), what, ", ", R * row, " but for the logits");
        before = bytes;
      }
    }
}
