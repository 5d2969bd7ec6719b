#include "ops/cast/cast.h"
#include "testing/op_case.h"

using namespace gt;
using namespace gt::testing;

TEST(cast_rounds_to_nearest_even_and_widens_exactly) {
  Random random(1);
  for (int64_t N : {0, 1, 15, 16, 17, 65536, 65537, 200003}) {
    Device device(DeviceKind::cpu, 0, 2);
    Fenced<float> x(N), back(N);
    Fenced<bf16> narrow(N);
    x.randomize(random);
    cast(device, narrow.tensor({N}), x.tensor({N}));
    cast(device, back.tensor({N}), narrow.tensor({N}));
    narrow.check_fences("narrow"), back.check_fences("back");
    for (int64_t i = 0; i < N; i++) {
      check(narrow[i].bits == to_bf16(x[i]).bits, "N = ", N, ": element ", i, " is ", to_float(narrow[i]), ", expected ", to_float(to_bf16(x[i])));
      check(back[i] == to_float(narrow[i]), "N = ", N, ": element ", i, " back is ", back[i]);
    }
  }
}

TEST(cast_keeps_nan_and_infinities) {
  Device device(DeviceKind::cpu, 0, 1);
  Fenced<float> x(5);
  Fenced<bf16> narrow(5);
  x[0] = NAN, x[1] = INFINITY, x[2] = -INFINITY, x[3] = 3.4e38f, x[4] = -0.f;
  cast(device, narrow.tensor({5}), x.tensor({5}));
  check(std::isnan(narrow.get(0)), "NaN became ", narrow.get(0));
  check(narrow.get(1) == INFINITY && narrow.get(2) == -INFINITY, "infinities");
  check(narrow.get(3) == INFINITY, "3.4e38 is nearer to the next power of two, which is infinite");
  check(narrow[4].bits == 0x8000, "-0");
}

TEST(cast_refuses_other_shapes_and_types) {
  Device device(DeviceKind::cpu, 0, 1);
  Fenced<float> x(4);
  Fenced<bf16> y(4);
  check_throws(Code::kShape, "from is float32 [2, 2], expected [N]", [&] { cast(device, y.tensor({4}), x.tensor({2, 2})); });
  check_throws(Code::kShape, "to is bfloat16 [3]", [&] { cast(device, y.tensor({3}), x.tensor({4})); });
  check_throws(Code::kArgument, "to is float32 [4], expected bfloat16", [&] { cast(device, x.tensor({4}), x.tensor({4})); });
}
