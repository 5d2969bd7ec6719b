#include "ops/geglu/geglu.h"
#include "ops/geglu/reference.h"
#include "testing/gpu_case.h"

#if defined(GEMMATUNE_EMULATED)
#include "gpu/emulator.h"
#endif

using namespace gt;
using namespace gt::testing;

namespace {

void parity(Device& device, int64_t T, int64_t I) {
  Random random(uint64_t(T * 1000 + I));
  OnGpu<bf16> gate_up(device, T * 2 * I), dh(device, T * I), h(device, T * I), dgate_up(device, T * 2 * I);
  gate_up.randomize(random, 3), dh.randomize(random);
  upload(gate_up, dh);

  geglu_forward(device, h.tensor({T, I}), gate_up.tensor({T, 2 * I}));
  h.download();
  const auto want = reference::geglu(gate_up.values(), T, I);
  check_close("h", h, want, max_error(rounded(reference::geglu(gate_up.values<float>(), T, I)), want));

  geglu_backward(device, dgate_up.tensor({T, 2 * I}), dh.tensor({T, I}), gate_up.tensor({T, 2 * I}));
  dgate_up.download();
  const auto d_want = reference::geglu_backward(dh.values(), gate_up.values(), T, I);
  check_close("dgate_up", dgate_up, d_want, max_error(rounded(reference::geglu_backward(dh.values<float>(), gate_up.values<float>(), T, I)), d_want));

#if defined(GEMMATUNE_EMULATED)
  emulated::options().seed++;
#endif
  geglu_backward(device, gate_up.tensor({T, 2 * I}), dh.tensor({T, I}), gate_up.tensor({T, 2 * I}));
  gate_up.download();
  gate_up.check_fences("gate_up in place");
  check(same_bits(gate_up, dgate_up), "in place differs from out of place");
}

// The bits of a bfloat16 as an integer that grows with the number.
int rank_of(bf16 v) { return v.bits & 0x8000 ? 0x8000 - int(v.bits) : int(v.bits); }

}  // namespace

TEST(geglu_on_a_gpu_matches_the_reference) {
  on_each_gpu([](Device& device) {
    for (auto [T, I] : {std::pair<int64_t, int64_t>{1, 8}, {1, 2048}, {31, 1032}, {512, 8}, {513, 24}}) parity(device, T, I);
  });
}

// Every finite bfloat16 as gate. The result is that of float32 arithmetic with a relative error of 2e-5 at most (far below 0 the
// exponential's argument is near 100, and its rounding counts that much), rounded once: a value between the exact one's bounds,
// rounded. Below 1e-37 sigmoids may be flushed to 0. dh is 4, so that
// dh · x overflows for the largest.
TEST(geglu_on_a_gpu_is_accurate_for_every_gate) {
  on_each_gpu([](Device& device) {
    const int64_t T = 32, I = 2048;
    OnGpu<bf16> gate_up(device, T * 2 * I), h(device, T * I), dh(device, T * I), d(device, T * 2 * I);
    const auto finite = [](int64_t n) { return bf16{uint16_t((n & 0x7f80) == 0x7f80 ? n & 0x807f : n)}; };
    for (int64_t n = 0; n < T * I; n++) gate_up[n / I * 2 * I + n % I] = finite(n), gate_up.set(n / I * 2 * I + I + n % I, 1), dh.set(n, 4);
    upload(gate_up, dh);
    geglu_forward(device, h.tensor({T, I}), gate_up.tensor({T, 2 * I}));
    geglu_backward(device, d.tensor({T, 2 * I}), dh.tensor({T, I}), gate_up.tensor({T, 2 * I}));
    download(h, d);
    for (int64_t n = 0; n < T * I; n++) {
      // x / (1 + e^-z): the form without cancellation
      const double x = to_float(finite(n)), e = std::exp(-2 * reference::kGeluSlope * (x + reference::kGeluCubic * x * x * x)), s = 1 / (1 + e);
      const double slope = std::abs(x) > 30 ? double(x > 0) : s + x * s * (1 - s) * 2 * reference::kGeluSlope * (1 + 3 * reference::kGeluCubic * x * x);
      const auto near = [&](const char* name, bf16 got, double want, double absolute) {
        const double margin = 2e-5 * std::abs(want) + absolute;
        check(rank_of(to_bf16(float(want - margin))) <= rank_of(got) && rank_of(got) <= rank_of(to_bf16(float(want + margin))), name, " at gate ", x, " is ", to_float(got), ", expected ", want);
      };
      near("h", h[n], x * s, 1e-37);
      near("dup", d[n / I * 2 * I + I + n % I], 4 * x * s, 4e-37);
      near("dgate", d[n / I * 2 * I + n % I], 4 * slope, 4e-6);  // its two terms cancel near x = -0.75
    }
  });
}

TEST(geglu_on_a_gpu_passes_nan_on) {
  on_each_gpu([](Device& device) {
    OnGpu<bf16> gate_up(device, 16), h(device, 8), dh(device, 8), d(device, 16);
    gate_up.fill(1), gate_up.set(3, NAN), dh.fill(1);
    upload(gate_up, dh);
    geglu_forward(device, h.tensor({1, 8}), gate_up.tensor({1, 16}));
    geglu_backward(device, d.tensor({1, 16}), dh.tensor({1, 8}), gate_up.tensor({1, 16}));
    download(h, d);
    for (int64_t i = 0; i < 8; i++) {
      check(std::isnan(h.get(i)) == (i == 3), "h[", i, "] is ", h.get(i));
      check(std::isnan(d.get(i)) == (i == 3) && std::isnan(d.get(8 + i)) == (i == 3), "dgate_up at ", i, " is ", d.get(i), " and ", d.get(8 + i));
    }
  });
}

TEST(geglu_on_a_gpu_refuses_float32_and_odd_widths) {
  on_each_gpu([](Device& device) {
    const std::string backend = text("the ", gt::name_of(device.kind), " backend takes ");
    OnGpu<float> a(device, 16), b(device, 8);
    OnGpu<bf16> c(device, 24), d(device, 12);
    check_throws(Code::kArgument, "geglu: gate_up is float32 [1, 16], " + backend + "bfloat16", [&] { geglu_forward(device, b.tensor({1, 8}), a.tensor({1, 16})); });
    check_throws(Code::kShape, "geglu_backward: gate_up is bfloat16 [1, 24], " + backend + "multiples of 8 for I", [&] { geglu_backward(device, c.tensor({1, 24}), d.tensor({1, 12}), c.tensor({1, 24})); });
  });
}
