#include "ops/kv_cache/kv_cache.h"
#include "testing/gpu_case.h"

using namespace gt;
using namespace gt::testing;

TEST(kv_cache_on_a_gpu_takes_keys_and_values_to_their_rows) {
  on_each_gpu([](Device& device) {
    for (auto [T, H, K, D] : {std::array<int64_t, 4>{1, 1, 1, 8}, {31, 4, 1, 256}, {5, 6, 3, 200}, {513, 2, 1, 8}}) {
      Random random(uint64_t(T + D));
      const int64_t S = 2 * T + 1, row = K * D, token = (H + 2 * K) * D;
      OnGpu<bf16> keys(device, S * row), values(device, S * row), k(device, T * row), qkv(device, T * token);
      keys.randomize(random), values.randomize(random), k.randomize(random), qkv.randomize(random);
      upload(keys, values, k, qkv);
      auto want_keys = keys.values(), want_values = values.values();
      std::vector<int32_t> rows;
      for (int64_t t = 0; t < T; t++) rows.push_back(int32_t(2 * (T - t)));  // row 0 and the odd ones stay
      for (int64_t t = 0; t < T; t++)
        for (int64_t i = 0; i < row; i++) {
          want_keys[size_t(rows[size_t(t)] * row + i)] = k.get(t * row + i);
          want_values[size_t(rows[size_t(t)] * row + i)] = qkv.get(t * token + (H + K) * D + i);
        }
      kv_cache_store(device, keys.tensor({S, K, D}), values.tensor({S, K, D}), k.tensor({T, K, D}), qkv.tensor({T, H + 2 * K, D}), host_ids(rows.data(), T));
      download(keys, values);
      check(keys.values() == want_keys && values.values() == want_values, "caches differ at T = ", T);
      keys.check_fences("key_cache"), values.check_fences("value_cache");
    }
  });
}

TEST(kv_cache_on_a_gpu_refuses_rows_that_are_no_multiple_of_16_bytes) {
  on_each_gpu([](Device& device) {
    OnGpu<bf16> cache(device, 4), k(device, 4), qkv(device, 12);
    const int32_t rows[1] = {0};
    check_throws(Code::kShape, text("a row of k bfloat16 [1, 1, 4] has 8 bytes, one of qkv 24, the ", gt::name_of(device.kind), " backend takes multiples of 16"),
                 [&] { kv_cache_store(device, cache.tensor({1, 1, 4}), cache.tensor({1, 1, 4}), k.tensor({1, 1, 4}), qkv.tensor({1, 3, 4}), host_ids(rows, 1)); });
  });
}
