#include "ops/cast/cast.h"
#include "testing/gpu_case.h"

using namespace gt;
using namespace gt::testing;

TEST(cast_on_a_gpu_is_that_of_the_cpu) {
  on_each_gpu([](Device& device) {
    Random random(1);
    for (int64_t N : {8, 2040, 2048, 2056, 100000}) {
      OnGpu<float> x(device, N), back(device, N);
      OnGpu<bf16> narrow(device, N);
      x.randomize(random);
      x[0] = NAN, x[1] = INFINITY, x[2] = -INFINITY, x[3] = 3.4e38f, x[4] = -0.f;
      upload(x);
      cast(device, narrow.tensor({N}), x.tensor({N}));
      cast(device, back.tensor({N}), narrow.tensor({N}));
      narrow.download(), back.download();
      narrow.check_fences("narrow"), back.check_fences("back");
      check(std::isnan(narrow.get(0)) && std::isnan(back[0]), "NaN");
      for (int64_t i = 1; i < N; i++) {
        check(narrow[i].bits == to_bf16(x[i]).bits, "N = ", N, ": element ", i, " is ", to_float(narrow[i]), ", expected ", to_float(to_bf16(x[i])));
        check(back[i] == to_float(narrow[i]), "N = ", N, ": element ", i, " back is ", back[i]);
      }
    }
  });
}

TEST(cast_on_a_gpu_refuses_ranges_that_are_not_of_16_bytes) {
  on_each_gpu([](Device& device) {
    OnGpu<float> x(device, 16);
    OnGpu<bf16> y(device, 16);
    check_throws(Code::kShape, "takes multiples of 8", [&] { cast(device, y.tensor({4}), x.tensor({4})); });
  });
}
