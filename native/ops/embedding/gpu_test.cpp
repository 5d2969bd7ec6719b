#include "ops/embedding/embedding.h"
#include "testing/gpu_case.h"

using namespace gt;
using namespace gt::testing;

namespace {

constexpr float kScale = 25.25f;

std::vector<int32_t> random_ids(Random& random, int64_t T, int64_t V) {
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < T; t++) ids.push_back(t % 3 ? int32_t(random.below(V)) : int32_t(V - 1));  // one id owns a third of the tokens
  return ids;
}

}  // namespace

// A product of bfloat16 and one rounding, and sums in the order of the positions: exact bits are known.
TEST(embedding_on_a_gpu_has_the_bits_of_the_definition) {
  on_each_gpu([](Device& device) {
    for (auto [T, V, C] : {std::array<int64_t, 3>{1, 1, 8}, {31, 7, 640}, {512, 50, 8}, {513, 1000, 264}, {5, 3, 2056}}) {
      Random random(uint64_t(T * 1000 + C));
      OnGpu<bf16> table(device, V * C);
      OnGpu<float> x(device, T * C), dx(device, T * C), dtable(device, V * C);
      table.randomize(random), dx.randomize(random), dtable.randomize(random);  // += contract
      upload(table, dx, dtable);
      const auto ids = random_ids(random, T, V);
      const Tensor id = host_ids(ids.data(), T);

      embedding_forward(device, x.tensor({T, C}), table.tensor({V, C}), id, kScale);
      embedding_backward(device, dtable.tensor({V, C}), dx.tensor({T, C}), id, kScale);
      auto want = dtable.values<float>();
      x.download(), dtable.download();
      x.check_fences("x"), dtable.check_fences("dtable");
      for (int64_t i = 0; i < T * C; i++) {
        const float exact = kScale * to_float(table[ids[size_t(i / C)] * C + i % C]);
        check(x[i] == exact, "x[", i, "] is ", x[i], ", expected ", exact);
      }
      for (int64_t i = 0; i < T * C; i++) {
        float& sum = want[size_t(ids[size_t(i / C)] * C + i % C)];
        sum = std::fmaf(kScale, dx[i], sum);
      }
      for (int64_t i = 0; i < V * C; i++) check(dtable[i] == want[size_t(i)], "dtable[", i, "] is ", dtable[i], ", expected ", want[size_t(i)]);
    }
  });
}

// What the kernel is told of 600,000 tokens is more than the ring for uploads holds: a piece that comes round must not take the place of one
// that is still to be read.
TEST(embedding_backward_on_a_gpu_takes_more_tokens_than_the_ring_for_uploads) {
  on_each_gpu([](Device& device) {
    const int64_t T = 600'000, V = 3, C = 8;
    Random random(5);
    OnGpu<float> dx(device, T * C), dtable(device, V * C);
    for (int64_t i = 0; i < T * C; i++) dx.set(i, double(random.below(3)) - 1);  // sums are exact
    dtable.fill(0);
    upload(dx, dtable);
    const auto ids = random_ids(random, T, V);
    embedding_backward(device, dtable.tensor({V, C}), dx.tensor({T, C}), host_ids(ids.data(), T), 1);
    dtable.download(), dtable.check_fences("dtable");
    std::vector<double> want(size_t(V * C));
    for (int64_t i = 0; i < T * C; i++) want[size_t(ids[size_t(i / C)] * C + i % C)] += dx[i];
    for (int64_t i = 0; i < V * C; i++) check(dtable[i] == want[size_t(i)], "dtable[", i, "] is ", dtable[i], ", expected ", want[size_t(i)]);
  });
}

TEST(embedding_on_a_gpu_refuses_what_it_has_no_kernel_for) {
  on_each_gpu([](Device& device) {
    const std::string backend = text("the ", gt::name_of(device.kind), " backend takes ");
    OnGpu<float> x(device, 12), float_table(device, 12);
    OnGpu<bf16> table(device, 16);
    const int32_t ids[1] = {1};
    check_throws(Code::kArgument, "embedding: table is float32 [2, 4], " + backend + "bfloat16", [&] { embedding_forward(device, x.tensor({1, 4}), float_table.tensor({2, 4}), host_ids(ids, 1), 1); });
    check_throws(Code::kShape, "embedding: table is bfloat16 [2, 4], " + backend + "multiples of 8 for C", [&] { embedding_forward(device, x.tensor({1, 4}), table.tensor({2, 4}), host_ids(ids, 1), 1); });
    check_throws(Code::kShape, "embedding_backward: dtable is float32 [2, 4], " + backend + "multiples of 8 for C", [&] { embedding_backward(device, float_table.tensor({2, 4}), x.tensor({1, 4}), host_ids(ids, 1), 1); });
    check_throws(Code::kArgument, "ids[0] is 1, expected a token id from 0 to 0", [&] { embedding_forward(device, x.tensor({1, 8}), table.tensor({1, 8}), host_ids(ids, 1), 1); });
  });
}
