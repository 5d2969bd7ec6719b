#include "ops/kv_cache/kv_cache.h"
#include "testing/op_case.h"

using namespace gt;
using namespace gt::testing;

namespace {

template <class E>
void copies(int64_t T, int64_t H, int64_t K, int64_t D, int threads) {
  Device device(DeviceKind::cpu, 0, threads);
  Random random(uint64_t(T + D));
  const int64_t S = 2 * T + 1, row = K * D, token = (H + 2 * K) * D;
  Fenced<E> keys(S * row), values(S * row), k(T * row), qkv(T * token);
  keys.randomize(random), values.randomize(random), k.randomize(random), qkv.randomize(random);
  auto want_keys = keys.values(), want_values = values.values();
  std::vector<int32_t> rows;
  for (int64_t t = 0; t < T; t++) rows.push_back(int32_t(2 * (T - t)));  // row 0 and the odd ones stay
  for (int64_t t = 0; t < T; t++)
    for (int64_t i = 0; i < row; i++) {
      want_keys[size_t(rows[size_t(t)] * row + i)] = k.get(t * row + i);
      want_values[size_t(rows[size_t(t)] * row + i)] = qkv.get(t * token + (H + K) * D + i);
    }
  kv_cache_store(device, keys.tensor({S, K, D}), values.tensor({S, K, D}), k.tensor({T, K, D}), qkv.tensor({T, H + 2 * K, D}), host_ids(rows.data(), T));
  check(keys.values() == want_keys && values.values() == want_values, "caches differ");
  keys.check_fences("key_cache"), values.check_fences("value_cache");
}

}  // namespace

TEST(kv_cache_takes_keys_and_values_to_their_rows) {
  copies<float>(1, 1, 1, 2, 1);
  copies<float>(7, 4, 2, 6, 2);
  copies<bf16>(200, 4, 1, 32, 3);
}

TEST(kv_cache_refuses_what_does_not_fit) {
  Device device(DeviceKind::cpu, 0, 1);
  Fenced<float> cache(8), k(4), qkv(16);
  Fenced<bf16> other(16);
  const auto store = [&](const Tensor& kv, const Tensor& q, int32_t row) {
    const int32_t rows[2] = {0, row};
    kv_cache_store(device, cache.tensor({4, 1, 2}), cache.tensor({4, 1, 2}), kv, q, host_ids(rows, 2));
  };
  for (int32_t bad : {-1, 4}) check_throws(Code::kArgument, text("rows[1] is ", bad, ", expected 0 to 3"), [&] { store(k.tensor({2, 1, 2}), qkv.tensor({2, 4, 2}), bad); });
  check_throws(Code::kShape, "key_cache is float32 [4, 1, 2], expected shape [4, 2, 1]", [&] { store(k.tensor({2, 2, 1}), qkv.tensor({2, 4, 2}), 1); });
  check_throws(Code::kShape, "qkv is float32 [2, 2, 2], expected more than 2 heads", [&] { store(k.tensor({2, 1, 2}), qkv.tensor({2, 2, 2}), 1); });
  check_throws(Code::kArgument, "qkv is bfloat16 [2, 4, 2], expected float32", [&] { store(k.tensor({2, 1, 2}), other.tensor({2, 4, 2}), 1); });
}
