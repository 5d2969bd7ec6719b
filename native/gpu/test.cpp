// The vocabulary of kernels and the context, on the emulator or on a real device (GEMMATUNE_TEST_DEVICE=cuda): what they do is
// stated here a second time. What only the emulator has is in emulator_test.cpp.
#include <thread>

#include "gpu/test_cases.h"
#include "testing/gpu_case.h"

using namespace gt;
using namespace gt::testing;

static void check_right(const std::string& got) { check(got == "right", got); }

TEST(right_kernels_are_right) {
  on_each_gpu([](Device& device) {
    Case c{GT_PICK_GPU(device, test_kernels), device.gpu()};
    check_right(c.squares()), check_right(c.product()), check_right(c.product(false)), check_right(c.chain()), check_right(c.transpose()), check_right(c.rule());
    if (device.gpu().level == gpu::Level::sm80) check_right(c.reverse());
  });
}

TEST(fragments_are_where_the_instruction_set_says) {
  on_each_gpu([](Device& device) {
    for (auto product : {gpu::Product::m16n8k8_f16, gpu::Product::m16n8k16_f16, gpu::Product::m16n8k16_bf16}) {
      if (product != gpu::Product::m16n8k8_f16 && device.gpu().level == gpu::Level::sm75) continue;
      const int K = product == gpu::Product::m16n8k8_f16 ? 8 : 16;
      Random random(4);
      const std::vector<float> a = whole_numbers(random, size_t(16 * K), 99), b = whole_numbers(random, size_t(K * 8), 99), d = whole_numbers(random, 128, 999);
      std::vector<float> want = d;
      for (int m = 0; m < 16; m++)
        for (int n = 0; n < 8; n++)
          for (int k = 0; k < K; k++) want[size_t(m * 8 + n)] += a[size_t(m * K + k)] * b[size_t(k * 8 + n)];
      Array<float> x(device.gpu(), a), y(device.gpu(), b), sums(device.gpu(), d);
      GT_PICK_GPU(device, test_kernels).fragments(device.gpu(), product, sums, x, y);
      check_right(verdict(sums.values(), want));
    }
  });
}

TEST(ldmatrix_gives_each_lane_its_pair) {
  on_each_gpu([](Device& device) {
    std::vector<uint16_t> tile(32 * 8);
    for (size_t i = 0; i < tile.size(); i++) tile[i] = uint16_t(i * 17);
    // Matrix m of 8 x 8: lane l has row l / 4, columns 2 (l % 4) and the next; or so of the transpose.
    auto pair = [&](int m, int lane, bool transposed) {
      auto at = [&](int row, int column) { return uint32_t(tile[size_t((m * 8 + (transposed ? column : row)) * 8 + (transposed ? row : column))]); };
      return at(lane / 4, lane % 4 * 2) | at(lane / 4, lane % 4 * 2 + 1) << 16;
    };
    std::vector<uint32_t> want;
    for (int lane = 0; lane < 32; lane++)
      for (auto [matrices, transposed] : {std::pair<int, bool>{4, false}, {4, true}, {2, false}, {2, true}})
        for (int m = 0; m < matrices; m++) want.push_back(pair(m, lane, transposed));
    Array<uint16_t> x(device.gpu(), tile);
    Array<uint32_t> registers(device.gpu(), want.size());
    GT_PICK_GPU(device, test_kernels).ldmatrix(device.gpu(), registers, x);
    check_right(verdict(registers.values(), want));
  });
}

TEST(shuffles_votes_and_atomics_give_what_cuda_says) {
  on_each_gpu([](Device& device) {
    for (int n : {1, 32, 48, 96, 1024}) {
      Array<int> values(device.gpu(), std::vector<int>(size_t(gpu::kCensus * n), -9)), counters(device.gpu(), std::vector<int>{0, -5, 5});
      GT_PICK_GPU(device, test_kernels).census(device.gpu(), values, counters, n);
      const std::vector<int> got = values.values(), totals = counters.values();
      int fifths = 0, largest = -5;
      for (int t = 0; t < n; t++) fifths += t % 5 == 0, largest = std::max(largest, t * 7 % 50);
      check(totals == std::vector<int>{2 * n, largest, 1 - n}, "counters are ", totals[0], ", ", totals[1], ", ", totals[2]);
      for (int t = 0; t < n; t++) {
        const int lane = t % 32, base = t - lane, lanes = std::min(32, n - base), of8 = t - t % 8;
        auto there = [&](int from) { return from < base + lanes; };
        unsigned thirds = 0, half = 0;
        for (int l = 0; l < lanes; l++) thirds |= unsigned((base + l) % 3 == 0) << l, half += l % 2 == lane % 2;
        const int down = t % 16 + 3 < 16 ? t + 3 : t;
        struct { int got, want; bool defined; } each[gpu::kCensus] = {
            {0, base + (lane ^ 1), there(base + (lane ^ 1))}, {0, of8 + 3, there(of8 + 3)}, {0, lane < 2 ? t : t - 2, true}, {0, t % 8 < 2 ? t : t - 2, true},
            {0, down, there(down)}, {0, t ^ 5, there(t ^ 5)}, {0, lane & 8 ? t ^ 9 : t, true}, {0, base, true}, {0, int(thirds), true}, {0, lanes > 4, true}, {0, lanes <= 20, true},
            {0, fifths, true}, {0, n > 33, true}, {0, n <= 64, true}, {0, 1, true}, {0, int(half), true}, {0, 2 * n, true}};
        for (int i = 0; i < gpu::kCensus; i++) {
          each[i].got = got[size_t(i * n + t)];
          check(!each[i].defined || each[i].got == each[i].want, "value ", i, " of thread ", t, " of ", n, " is ", each[i].got, ", expected ", each[i].want);
        }
      }
    }
  });
}

// ---- the context

TEST(memory_is_zero_and_copies_arrive) {
  on_each_gpu([](Device& device) {
    gpu::Context& c = device.gpu();
    std::vector<uint8_t> host(1000, 7), back(1000);
    char* p = static_cast<char*>(c.allocate(1000));
    check(reinterpret_cast<uintptr_t>(p) % 256 == 0, "memory at ", static_cast<void*>(p));
    c.copy_to_host(back.data(), p, 1000);
    check(back == std::vector<uint8_t>(1000, 0), "fresh memory is not zero");
    c.copy_from_host(p, host.data(), 500);
    std::fill(host.begin(), host.end(), uint8_t(9));  // it may be reused at once
    c.copy_within(p + 500, p, 300);
    c.zero(p, 100);
    c.copy_to_host(back.data(), p, 1000);
    for (size_t i = 0; i < 1000; i++) check(back[i] == (i < 100 || i >= 800 ? 0 : 7), "byte ", i, " is ", int(back[i]));
    c.release(p);
  });
}

TEST(staged_pieces_survive_the_ring_and_its_growth) {
  on_each_gpu([](Device& device) {
    gpu::Context& c = device.gpu();
    auto kept = [&](const void* piece, size_t n, int value, const char* when) {
      std::vector<int> back(n);
      c.copy_to_host(back.data(), piece, n * sizeof(int));
      for (int v : back) check(v == value, when, ": a staged piece holds ", v, ", expected ", value);
    };
    std::vector<int> host(100'000);
    const void* last = nullptr;
    for (int i = 0; i < 40; i++) {  // 16 MB through a ring of 4
      std::fill(host.begin(), host.end(), i);
      const void* now = c.stage(host.data(), host.size() * sizeof(int));
      std::fill(host.begin(), host.end(), -1);  // it may be reused at once
      check(reinterpret_cast<uintptr_t>(now) % 256 == 0, "a staged piece lies at ", now);
      if (last) kept(last, 100, i - 1, "the piece before");
      kept(now, host.size(), i, "the newest piece");
      last = now;
    }
    // The same with nobody waiting in between: the copies are still to come when the ring comes round.
    std::vector<int> quarter(1 << 18);
    Array<int> copies(c, std::vector<int>(12 << 18));
    for (int i = 0; i < 12; i++) {
      quarter.assign(1 << 18, i);
      last = c.stage(quarter.data(), 1 << 20);
      c.copy_within(copies + (i << 18), last, 1 << 20);
    }
    for (int i = 0; i < 12; i++) kept(copies + (i << 18), 1 << 18, i, "copied later");
    std::vector<int> large(3'000'000, 77);
    const void* now = c.stage(large.data(), large.size() * sizeof(int));
    kept(now, large.size(), 77, "a piece larger than the ring");
    kept(last, 100, 11, "the piece before the ring grew");
    c.stage(nullptr, 0);
  });
}

TEST(fetch_brings_what_was_there_while_work_goes_on) {
  on_each_gpu([](Device& device) {
    gpu::Context& c = device.gpu();
    Array<float> x(c, std::vector<float>(1000, 3.f));
    for (size_t bytes : {size_t(4), size_t(4000)}) {
      c.fetch(x, bytes);
      c.zero(x, 4);
      check(static_cast<const float*>(c.wait())[0] == 3, "the fetched value is ", static_cast<const float*>(c.wait())[0]);
      const float three = 3;
      c.copy_from_host(x, &three, 4);
    }
  });
}

TEST(work_on_a_lane_and_on_the_stream_waits_for_each_other) {
  on_each_gpu([](Device& device) {
    gpu::Context& c = device.gpu();
    constexpr int kCount = 5000;
    const std::unique_ptr<gpu::Lane> lane = c.open_lane();
    Array<float> x(c, size_t(kCount)), y(c, size_t(kCount));
    for (int round = 1; round <= 8; round++) {
      const std::vector<float> given(kCount, float(round));
      c.copy_within(x, c.stage(given.data(), kCount * sizeof(float)), kCount * sizeof(float));
      const gpu::Mark written = c.mark();
      gpu::Mark doubled;
      std::thread([&] {  // x = 2 x by way of the host
        lane->wait_for(written);
        auto* host = static_cast<float*>(lane->pinned(size_t(round) * kCount * sizeof(float)));
        lane->copy_to_host(host, x, kCount * sizeof(float));
        lane->synchronize();
        for (int i = 0; i < kCount; i++) host[i] *= 2;
        lane->copy_from_host(x, host, kCount * sizeof(float));
        doubled = lane->mark();
      }).join();
      c.wait_for(doubled);
      c.copy_within(y, x, kCount * sizeof(float));
      check_right(verdict(y.values(), std::vector<float>(kCount, 2.f * float(round))));
      check(lane->passed(doubled) && lane->passed(written), "work that was waited for has not passed");
    }
  });
}

TEST(work_passes_without_anybody_waiting) {
  on_each_gpu([](Device& device) {
    gpu::Context& c = device.gpu();
    const std::unique_ptr<gpu::Lane> lane = c.open_lane();
    Array<float> x(c, size_t(100));
    for (int i = 0; i < 5; i++) c.zero(x, 400);
    lane->wait_for(c.mark());
    auto* host = static_cast<float*>(lane->pinned(400));
    host[99] = 1;
    lane->copy_to_host(host, x, 400);
    const gpu::Mark copied = lane->mark();
    while (!lane->passed(copied)) std::this_thread::yield();
    check(host[99] == 0, "a copy that has passed brought ", host[99]);
  });
}

TEST(a_lane_and_the_stream_are_used_at_once) {
  on_each_gpu([](Device& device) {
    gpu::Context& c = device.gpu();
    const std::unique_ptr<gpu::Lane> lane = c.open_lane();
    Array<float> x(c, std::vector<float>(1000, 3.f));
    std::string problem;
    std::thread other([&] {
      try {
        for (int i = 0; i < 20; i++) {
          auto* host = static_cast<float*>(lane->pinned(4000));
          lane->copy_to_host(host, x, 4000);
          const gpu::Mark copied = lane->mark();
          while (!lane->passed(copied)) std::this_thread::yield();
          for (int k = 0; k < 1000; k++) check(host[k] == float(3 + i), "round ", i, " brought ", host[k]);
          for (int k = 0; k < 1000; k++) host[k]++;
          lane->copy_from_host(x, host, 4000);
          lane->synchronize();
        }
      } catch (const std::exception& e) {
        problem = e.what();
      }
    });
    std::string got = "right";
    for (int i = 0; i < 5 && got == "right"; i++) got = Case{GT_PICK_GPU(device, test_kernels), c}.squares();
    other.join();
    check_right(got);
    check(problem.empty(), problem);
    check_right(verdict(x.values(), std::vector<float>(1000, 23.f)));
  });
}

TEST(scratch_grows_and_is_shared) {
  on_each_gpu([](Device& device) {
    gpu::Context& c = device.gpu();
    void *small = c.scratch(100), *large = c.scratch(1 << 20);
    check(small && large && c.scratch(500) == large, "scratch moved though it was large enough");
    c.zero(large, 500);
    check_throws(Code::kMemory, "bytes left for scratch", [&] { c.scratch(size_t(1) << 45); });
    c.scratch(10);  // works again
    device.synchronize();
  });
}

TEST(a_device_that_is_full_says_so_and_goes_on) {
  on_each_gpu([](Device& device) {
    int64_t free = 0, total = 0, after = 0;
    check(!device.gpu().allocate(size_t(1) << 45), "32 TB were allocated");
    device.gpu().free_memory(&free, &total);
    void* p = device.allocate(1 << 24);
    device.gpu().free_memory(&after, &total);
    check(free - after >= 1 << 24 && after <= free && free <= total, "free memory went from ", free, " to ", after, " of ", total);
    device.release(p, 1 << 24);
    check_throws(Code::kMemory, "MiB more are needed", [&] { device.allocate(size_t(1) << 45); });
    check_right(Case{GT_PICK_GPU(device, test_kernels), device.gpu()}.transpose());
  });
}

TEST(a_launch_that_no_gpu_takes_is_refused_at_once) {
  on_each_gpu([](Device& device) {
    Array<int> values(device.gpu(), 64), counters(device.gpu(), 3);
    check_throws(Code::kDevice, "launch", [&] { GT_PICK_GPU(device, test_kernels).census(device.gpu(), values, counters, 1025); });
    check_right(Case{GT_PICK_GPU(device, test_kernels), device.gpu()}.transpose());
  });
}
