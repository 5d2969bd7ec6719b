#include "ops/adamw/adamw.h"
#include "ops/adamw/cpu.h"
#include "ops/adamw/reference.h"
#include "testing/gpu_case.h"
#if defined(GEMMATUNE_EMULATED)
#include "gpu/emulator.h"
#endif

using namespace gt;
using namespace gt::testing;

namespace {

// One update's operands on a device, over N elements; `split` stores param as bfloat16 and remainder.
struct Case {
  int64_t N;
  bool split;
  OnGpu<float> param, grad, m, v;
  OnGpu<bf16> high;
  OnGpu<int16_t> remainder;
  OnGpu<double> norm;

  Case(Device& device, int64_t N, bool split) : N(N), split(split), param(device, N), grad(device, N), m(device, N), v(device, N), high(device, N), remainder(device, N), norm(device, 1) {
    Random random{uint64_t(N)};
    param.randomize(random), grad.randomize(random, 3), m.randomize(random, 0.1);
    for (int64_t i = 0; i < N; i++) v.set(i, 0.01 * random.uniform());
    if (N > 2) {  // 0 / (0 + eps), and subnormal numbers
      grad.set(0, 0), m.set(0, 0), v.set(0, 0);
      grad.set(1, 1e-40), m.set(1, 1e-41), v.set(1, 1e-42);
    }
    norm.set(0, 8);
  }
  // param is whole on the host before and after.
  void update(Device& device, const AdamW& o) {
    for (int64_t i = 0; i < N; i++) split_master(param[i], &high[i], &remainder[i]);
    upload(param, grad, m, v, high, remainder, norm);
    adamw_update(device, split ? high.tensor({N}) : param.tensor({N}), split ? remainder.tensor({N}) : Tensor(), grad.tensor({N}), m.tensor({N}), v.tensor({N}), norm.tensor({1}), o);
    download(param, grad, m, v, high, remainder);
    param.check_fences("param"), grad.check_fences("grad"), m.check_fences("m"), v.check_fences("v");
    high.check_fences("param bfloat16"), remainder.check_fences("remainder");
    if (!split) return;
    for (int64_t i = 0; i < N; i++) {
      param[i] = join_master(high[i], remainder[i]);
      bf16 h;
      int16_t r;
      split_master(param[i], &h, &r);
      check(h.bits == high[i].bits && r == remainder[i], "param[", i, "] is not split as split_master does");
    }
  }
};

AdamW options(int64_t step) {
  AdamW o;
  o.learning_rate = 1e-2, o.weight_decay = 0.05, o.step = step, o.divisor = 4;
  o.max_grad_norm = step == 2 ? 0.5 : step == 3 ? 100 : 0;  // of a gradient whose norm is 8 / 4
  return o;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) { return !std::memcmp(a.data(), b.data(), a.size() * 4); }

}  // namespace

TEST(adamw_on_a_gpu_matches_the_reference_and_has_the_bits_of_the_portable_cpu_kernel) {
  on_each_gpu([](Device& device) {
    Device host(DeviceKind::cpu, 0, 1);
    for (int64_t N : {1, 7, 8, 31, 512, 513, 4099}) {
      for (bool split : {false, true}) {
        Case c(device, N, split);
        for (int64_t step : {1, 2, 3, 1000}) {
          const AdamW o = options(step);
          auto p_want = c.param.values(), m_want = c.m.values(), v_want = c.v.values();
          auto p_float = c.param.values<float>(), m_float = c.m.values<float>(), v_float = c.v.values<float>(), g_cpu = c.grad.values<float>();
          auto p_cpu = p_float, m_cpu = m_float, v_cpu = v_float;
          reference::adamw(p_want, c.grad.values(), m_want, v_want, 8, o);
          reference::adamw(p_float, c.grad.values<float>(), m_float, v_float, 8, o);

          c.update(device, o);
          check_close("param", c.param, p_want, max_error(p_float, p_want));
          check_close("m", c.m, m_want, max_error(m_float, m_want));
          check_close("v", c.v, v_want, max_error(v_float, v_want));
          for (int64_t i = 0; i < N; i++) check(c.grad[i] == 0, "grad[", i, "] was not zeroed");

#if defined(__x86_64__)  // elsewhere compilers may fuse products and sums in portable code
          AdamWConstants k = adamw_constants(o);
          k.gradient_scale = gradient_scale(8, o.divisor, o.max_grad_norm);
          cpu::adamw_portable.update(host.threads(), p_cpu.data(), g_cpu.data(), m_cpu.data(), v_cpu.data(), N, k);
          check(same(c.param.values<float>(), p_cpu), "param has other bits than on the CPU");
          check(same(c.m.values<float>(), m_cpu) && same(c.v.values<float>(), v_cpu), "moments have other bits than on the CPU");
#endif
          Random random{uint64_t(step)};
          c.grad.randomize(random);
#if defined(GEMMATUNE_EMULATED)
          emulated::options().seed++;
#endif
        }
      }
    }
  });
}

TEST(adamw_on_a_gpu_clears_a_gradient_without_a_finite_norm_and_changes_nothing_else) {
  on_each_gpu([](Device& device) {
    for (bool split : {false, true})
      for (double bad : {double(INFINITY), double(NAN)}) {
        Case c(device, 37, split);
        const auto p = c.param.values<float>(), m = c.m.values<float>(), v = c.v.values<float>();
        c.norm.set(0, bad);
        c.update(device, options(2));
        check(same(c.param.values<float>(), p) && same(c.m.values<float>(), m) && same(c.v.values<float>(), v), "norm ", bad, ": weights or moments changed");
        for (int64_t i = 0; i < 37; i++) check(c.grad[i] == 0, "norm ", bad, ": grad[", i, "] is ", c.grad[i]);
      }
  });
}

TEST(adamw_on_a_gpu_works_on_ranges_of_an_arena_and_refuses_unaligned_ones) {
  on_each_gpu([](Device& device) {
    const int64_t N = 200, cut = 64;
    Case one(device, N, true), two(device, N, true);
    one.update(device, options(3));
    for (int64_t i = 0; i < N; i++) split_master(two.param[i], &two.high[i], &two.remainder[i]);
    upload(two.high, two.remainder, two.grad, two.m, two.v, two.norm);
    auto part = [&](int64_t first, int64_t n) {
      auto range = [=](const Tensor& t) { return t.rows(first, n); };
      adamw_update(device, range(two.high.tensor({N})), range(two.remainder.tensor({N})), range(two.grad.tensor({N})), range(two.m.tensor({N})), range(two.v.tensor({N})), two.norm.tensor({1}), options(3));
    };
    part(0, cut), part(cut, N - cut);
    download(two.high, two.remainder, two.grad, two.m, two.v);
    check(same_bits(one.high, two.high) && same_bits(one.remainder, two.remainder) && same_bits(one.m, two.m) && same_bits(one.v, two.v) && same_bits(one.grad, two.grad), "parts differ from the whole");
    check_throws(Code::kArgument, "a range starts 6 bytes after a multiple of 16", [&] { part(3, 8); });
  });
}
