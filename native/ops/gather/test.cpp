#include "ops/gather/gather.h"
#include "testing/op_case.h"

using namespace gt;
using namespace gt::testing;

TEST(gather_then_scatter_keeps_the_chosen_rows_and_zeroes_the_rest) {
  const int64_t T = 200, C = 7;
  Random random(1);
  Device device(DeviceKind::cpu, 0, 3);
  Fenced<float> x(T * C), back(T * C);
  x.randomize(random);
  std::vector<int32_t> rows;
  for (int32_t t = 0; t < T; t++)
    if (random.below(2)) rows.push_back(t);
  const int64_t R = int64_t(rows.size());
  Fenced<float> y(R * C);
  Tensor chosen(rows.data(), DType::i32, {R});
  gather_rows(device, y.tensor({R, C}), x.tensor({T, C}), chosen);
  scatter_rows(device, back.tensor({T, C}), y.tensor({R, C}), chosen);
  size_t next = 0;
  for (int64_t t = 0; t < T; t++) {
    bool in = next < rows.size() && rows[next] == t;
    next += in;
    for (int64_t c = 0; c < C; c++) check(back[t * C + c] == (in ? x[t * C + c] : 0), "row ", t);
  }
  y.check_fences("y"), back.check_fences("dx");
}

TEST(gather_refuses_rows_outside) {
  Device device(DeviceKind::cpu, 0, 1);
  Fenced<float> x(4), y(2);
  int32_t row = 2;
  check_throws(Code::kArgument, "rows[0] is 2, expected 0 to 1", [&] { gather_rows(device, y.tensor({1, 2}), x.tensor({2, 2}), Tensor(&row, DType::i32, {1})); });
}
