#include "ops/embedding/embedding.h"
#include "ops/embedding/reference.h"
#include "testing/op_case.h"

using namespace gt;
using namespace gt::testing;

namespace {

constexpr float kScale = 25.25f;

std::vector<int32_t> random_ids(Random& random, int64_t T, int64_t V) {
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < T; t++) ids.push_back(t % 3 ? int32_t(random.below(V)) : int32_t(V - 1));  // one id owns a third of the tokens
  return ids;
}
Tensor tensor(std::vector<int32_t>& ids) { return Tensor(ids.data(), DType::i32, {int64_t(ids.size())}); }

template <class E, class D>
void parity(int64_t T, int64_t V, int64_t C, int threads) {
  Device device(DeviceKind::cpu, 0, threads);
  Random random(uint64_t(T * 1000 + C));
  Fenced<E> table(V * C);
  Fenced<float> x(T * C), dx(T * C);
  Fenced<D> dtable(V * C);
  table.randomize(random);
  dx.randomize(random);
  auto ids = random_ids(random, T, V);

  embedding_forward(device, x.tensor({T, C}), table.tensor({V, C}), tensor(ids), kScale);
  auto want = reference::embedding<double>(table.values(), ids, C, kScale);
  check_close("x", x, want, 0);

  std::vector<double> d_want(size_t(V * C), 1);
  std::vector<float> d_float(size_t(V * C), 1);
  reference::embedding_backward<double>(d_want, dx.values(), ids, C, kScale);
  reference::embedding_backward<float>(d_float, dx.values<float>(), ids, C, kScale);
  dtable.fill(1);  // += contract
  embedding_backward(device, dtable.tensor({V, C}), dx.tensor({T, C}), tensor(ids), kScale);
  check_close("dtable", dtable, d_want, max_error(d_float, d_want));
}

}  // namespace

TEST(embedding_matches_the_reference_on_odd_shapes) {
  for (auto [T, V, C] : {std::array<int64_t, 3>{1, 1, 1}, {2, 5, 16}, {7, 3, 17}, {200, 50, 640}, {65, 1000, 31}, {20000, 262144, 2}}) {
    parity<float, float>(T, V, C, 1);
    parity<bf16, float>(T, V, C, 3);
    parity<bf16, bf16>(T, V, C, 2);
  }
}

TEST(embedding_leaves_rows_of_absent_ids_alone) {
  Device device(DeviceKind::cpu, 0, 2);
  std::vector<int32_t> ids{3, 1, 3};
  Fenced<float> dtable(10), dx(6);
  dtable.fill(0.5), dx.fill(2);
  embedding_backward(device, dtable.tensor({5, 2}), dx.tensor({3, 2}), tensor(ids), 3);
  const float want[5] = {0.5f, 6.5f, 0.5f, 12.5f, 0.5f};
  for (int64_t i = 0; i < 10; i++) check(dtable[i] == want[i / 2], "dtable[", i, "] is ", dtable[i]);
}

template <class D>
static void accumulates_the_same_bits_with_any_thread_count() {
  const int64_t T = 301, V = 40, C = 37;
  Random random(3);
  Fenced<float> dx(T * C);
  dx.randomize(random);
  auto ids = random_ids(random, T, V);
  std::vector<float> first;
  for (int threads : {1, 2, 5}) {
    Device device(DeviceKind::cpu, 0, threads);
    Fenced<D> dtable(V * C);
    dtable.fill(1);
    embedding_backward(device, dtable.tensor({V, C}), dx.tensor({T, C}), tensor(ids), kScale);
    auto all = dtable.template values<float>();
    if (first.empty()) first = all;
    check(all == first, "bits differ with ", threads, " threads");
  }
}

TEST(embedding_accumulates_and_gives_the_same_bits_with_any_thread_count) {
  accumulates_the_same_bits_with_any_thread_count<float>();
  accumulates_the_same_bits_with_any_thread_count<bf16>();
}

// Many small terms beside a large sum: to nearest, each by itself would be lost.
TEST(embedding_rounds_a_narrow_table_once_a_call) {
  Device device(DeviceKind::cpu, 0, 2);
  const int64_t T = 4000, C = 21;
  std::vector<int32_t> ids(size_t(T), 1);
  Fenced<bf16> dtable(2 * C);
  Fenced<float> dx(T * C);
  dtable.fill(256), dx.fill(1. / 128);
  embedding_backward(device, dtable.tensor({2, C}), dx.tensor({T, C}), tensor(ids), 2);
  for (int64_t c = 0; c < C; c++) {
    check(dtable.get(c) == 256, "row 0 was written");
    check(dtable.get(C + c) == to_float(to_bf16(256 + 62.5f)), "dtable[1, ", c, "] is ", dtable.get(C + c));
  }
}

TEST(embedding_backward_is_the_transpose_of_forward) {
  // forward is linear in the table: <forward(A), dx> = <A, backward(dx)>
  const int64_t T = 9, V = 4, C = 3;
  Random random(5);
  auto ids = random_ids(random, T, V);
  std::vector<double> table(V * C), dx(T * C), dtable(V * C, 0);
  for (auto& v : table) v = random.normal();
  for (auto& v : dx) v = random.normal();
  auto x = reference::embedding<double>(table, ids, C, kScale);
  reference::embedding_backward<double>(dtable, dx, ids, C, kScale);
  double left = 0, right = 0;
  for (size_t i = 0; i < x.size(); i++) left += x[i] * dx[i];
  for (size_t i = 0; i < table.size(); i++) right += table[i] * dtable[i];
  check(std::abs(left - right) < 1e-9, left, " and ", right);
}

TEST(embedding_refuses_ids_outside_the_table) {
  Device device(DeviceKind::cpu, 0, 1);
  Fenced<float> table(8), x(4);
  for (int32_t bad : {-1, 4}) {
    std::vector<int32_t> ids{0, bad};
    std::string message = text("ids[1] is ", bad, ", expected a token id from 0 to 3");
    check_throws(Code::kArgument, message, [&] { embedding_forward(device, x.tensor({2, 2}), table.tensor({4, 2}), tensor(ids), 1); });
    check_throws(Code::kArgument, message, [&] { embedding_backward(device, table.tensor({4, 2}), x.tensor({2, 2}), tensor(ids), 1); });
  }
  std::vector<int32_t> ids{0, 1};
  check_throws(Code::kShape, "x is float32 [2, 1], expected shape [2, 2]", [&] { embedding_forward(device, x.tensor({2, 1}), table.tensor({4, 2}), tensor(ids), 1); });
}
