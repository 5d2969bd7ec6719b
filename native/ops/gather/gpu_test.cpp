#include "ops/gather/gather.h"
#include "testing/gpu_case.h"

using namespace gt;
using namespace gt::testing;

TEST(gather_on_a_gpu_moves_rows_there_and_back) {
  on_each_gpu([](Device& device) {
    for (auto [T, C] : {std::pair<int64_t, int64_t>{1, 1}, {7, 640}, {40, 33}}) {
      std::vector<int32_t> rows;
      for (int64_t t = T - 1; t >= 0; t -= 2) rows.push_back(int32_t(t));
      const int64_t R = int64_t(rows.size());
      Random random(3);
      OnGpu<float> x(device, T * C), y(device, R * C), dx(device, T * C);
      x.randomize(random), x.upload();
      gather_rows(device, y.tensor({R, C}), x.tensor({T, C}), host_ids(rows.data(), R));
      scatter_rows(device, dx.tensor({T, C}), y.tensor({R, C}), host_ids(rows.data(), R));
      download(y, dx);
      y.check_fences("y"), dx.check_fences("dx");
      for (int64_t i = 0; i < R * C; i++) check(y[i] == x[rows[size_t(i / C)] * C + i % C], "y[", i, "] is ", y[i]);
      for (int64_t i = 0; i < T * C; i++) {
        const bool chosen = (T - 1 - i / C) % 2 == 0;
        check(dx[i] == (chosen ? x[i] : 0), "dx[", i, "] is ", dx[i]);
      }
    }
  });
}
