#include <atomic>
#include <numeric>

#include "core/arena.h"
#include "core/bf16.h"
#include "core/device.h"
#include "core/parallel.h"
#include "core/profile.h"
#include "core/tensor.h"
#include "testing/check.h"

using namespace gt;
using namespace gt::testing;

TEST(threads_run_every_task_exactly_once_again_and_again) {
  for (int count : {1, 2, 5}) {
    Threads threads(count);
    check(threads.count() == count, "count is ", threads.count());
    for (int64_t tasks : {0, 1, 2, 7, 1000}) {
      for (int repeat = 0; repeat < 50; repeat++) {
        std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
        threads.run(tasks, [&](int64_t task) { runs[size_t(task)]++; });
        for (int64_t t = 0; t < tasks; t++) check(runs[size_t(t)] == 1, "task ", t, " of ", tasks, " ran ", runs[size_t(t)], " times");
      }
    }
  }
}

TEST(ranges_cut_into_fixed_pieces_whatever_the_thread_count) {
  for (int count : {1, 3}) {
    Threads threads(count);
    for (int64_t n : {0, 1, 9, 10, 11, 95}) {
      std::vector<int64_t> ends(size_t(n), -1);
      threads.ranges(n, 10, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) ends[size_t(i)] = end;
        check(begin % 10 == 0, "a piece begins at ", begin);
      });
      for (int64_t i = 0; i < n; i++) check(ends[size_t(i)] == std::min(n, i / 10 * 10 + 10), "element ", i, " of ", n, " was in a piece that ends at ", ends[size_t(i)]);
    }
  }
}

TEST(an_exception_in_a_task_reaches_the_caller_and_the_pool_lives_on) {
  for (int count : {1, 2, 5}) {
    Threads threads(count);
    for (int repeat = 0; repeat < 20; repeat++) {
      check_throws(Code::kShape, "task 13 fails", [&] {
        threads.run(100, [](int64_t task) { require(task != 13, Code::kShape, "task ", task, " fails"); });
      });
      std::atomic<int64_t> sum{0};
      threads.run(100, [&](int64_t task) { sum += task; });
      check(sum == 4950, "after an exception the sum is ", sum);
    }
  }
}

TEST(tensor_describes_itself_and_counts) {
  float data[24];
  Tensor t(data, DType::f32, {2, 3, 4});
  check(t.describe() == "float32 [2, 3, 4]", t.describe());
  check(t.count() == 24 && t.bytes() == 96, t.count(), " elements, ", t.bytes(), " bytes");
  check(Tensor(data, DType::bf16, {5}).bytes() == 10, "bfloat16 bytes");
  check(Tensor(data, DType::i16, {0}).describe() == "int16 [0]", "empty");
  check(!Tensor() && t, "a tensor is true when it has memory");
  check(Tensor().count() == 1 && Tensor().describe() == "float32 []", "rank 0");
}

TEST(tensor_rows_are_a_view_of_the_leading_dimension) {
  float data[24];
  std::iota(data, data + 24, 0.f);
  Tensor r = Tensor(data, DType::f32, {4, 3, 2}).rows(1, 2);
  check(r.describe() == "float32 [2, 3, 2]", r.describe());
  check(r.as<float>()[0] == 6 && r.as<float>() == data + 6, "first element is ", r.as<float>()[0]);
  int16_t shorts[6];
  check(Tensor(shorts, DType::i16, {6}).rows(4, 2).as<int16_t>() == shorts + 4, "int16 rows");
  check(Tensor(data, DType::f32, {0, 3}).rows(0, 0).count() == 0, "rows of an empty tensor");
}

TEST(tensor_checks_name_both_sides) {
  float data[6];
  Tensor t(data, DType::f32, {2, 3});
  require_shape("op", "x", t, {2, 3});
  check_throws(Code::kShape, "op: x is float32 [2, 3], expected shape [3, 2]", [&] { require_shape("op", "x", t, {3, 2}); });
  check_throws(Code::kShape, "op: x is float32 [2, 3], expected shape [6]", [&] { require_shape("op", "x", t, {6}); });
  check_throws(Code::kShape, "op: x is float32 [2, 3], expected shape [2, 3, 1]", [&] { require_shape("op", "x", t, {2, 3, 1}); });
  require_dtype("op", "x", t, {DType::bf16, DType::f32});
  check_throws(Code::kArgument, "op: x is float32 [2, 3], expected bfloat16 or int32", [&] { require_dtype("op", "x", t, {DType::bf16, DType::i32}); });
  check_throws(Code::kInternal, "tensor is float32, read as int32", [&] { (void)t.as<int32_t>(); });
}

namespace {

float float_of(uint32_t bits) {
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

}  // namespace

TEST(bf16_widens_and_comes_back_for_every_value) {
  for (uint32_t b = 0; b < 65536; b++) {
    float f = to_float(bf16{uint16_t(b)});
    uint16_t back = to_bf16(f).bits;
    if (std::isnan(f)) check(std::isnan(to_float(bf16{back})) && (back & 0x8000) == (b & 0x8000), "NaN ", b, " became ", back);
    else check(back == b, b, " became ", back);
  }
}

// Between each bfloat16 and the next: below, at and above the middle, and one step beside each end.
TEST(bf16_rounds_to_nearest_even_around_every_value) {
  for (uint32_t b = 0; b < 65536; b++) {
    if ((b & 0x7fff) >= 0x7f80) continue;  // infinities and NaN have no next value
    const uint32_t base = b << 16, even = b & 1 ? b + 1 : b;
    const std::pair<uint32_t, uint32_t> cases[] = {{0, b}, {1, b}, {0x7fff, b}, {0x8000, even}, {0x8001, b + 1}, {0xffff, b + 1}};
    for (auto [low, want] : cases) {
      uint16_t got = to_bf16(float_of(base + low)).bits;
      check(got == want, "float bits ", base + low, " became ", got, ", expected ", want);
    }
  }
}

TEST(bf16_overflows_to_infinity_and_keeps_nan) {
  check(to_bf16(3.4028235e38f).bits == 0x7f80 && to_bf16(-3.4028235e38f).bits == 0xff80, "the largest float rounds to infinity");
  check(to_bf16(INFINITY).bits == 0x7f80 && to_bf16(-INFINITY).bits == 0xff80, "infinity");
  for (uint32_t nan : {0x7fc00000u, 0x7f800001u, 0x7fffffffu, 0xff800001u, 0xffffffffu}) check(std::isnan(to_float(to_bf16(float_of(nan)))), "NaN bits ", nan);
}

TEST(a_device_that_is_not_there_is_refused_with_the_reason) {
  check_throws(Code::kDevice, "", [] { Device(DeviceKind::cuda, 4096, 1); });
#if defined(GEMMATUNE_EMULATED)
  check_throws(Code::kDevice, "device 2 does not exist: there are 2, counted from 0", [] { Device(DeviceKind::emulated, 2, 1); });
  check(Device(DeviceKind::emulated, 1, 1, gpu::Level::sm75).gpu().level == gpu::Level::sm75, "the code path can be lowered");
#endif
  Device cpu(DeviceKind::cpu, 0, 3);
  check(cpu.threads().count() == 3, "threads: ", cpu.threads().count());
}

TEST(device_memory_is_aligned_zeroed_and_copied) {
  Device device(DeviceKind::cpu, 0, 2);
  for (size_t bytes : {size_t(0), size_t(1), size_t(100), size_t(9) << 20}) {
    char* p = static_cast<char*>(device.allocate(bytes));
    check(reinterpret_cast<uintptr_t>(p) % 64 == 0, bytes, " bytes are not aligned");
    device.zero(p, bytes);
    for (size_t i = 0; i < bytes; i += 4093) check(p[i] == 0, "byte ", i, " of ", bytes);
    if (bytes) check(p[bytes - 1] == 0, "the last of ", bytes);
    device.release(p, bytes);
  }
}

#ifndef __SANITIZE_ADDRESS__  // which stops the program at an allocation it finds absurd
TEST(device_says_how_much_memory_was_missing) {
  Device device(DeviceKind::cpu, 0, 1);
  check_throws(Code::kMemory, "out of memory: could not allocate 1152921504606846976 bytes", [&] { device.allocate(size_t(1) << 60); });
}
#endif

TEST(arena_lays_tensors_out_apart_and_reuses_memory) {
  Device device(DeviceKind::cpu, 0, 1);
  Buffer memory;
  Tensor a, b;
  Arena arena;
  arena.add(&a, DType::f32, {3});
  arena.add(&b, DType::bf16, {5, 2});
  check(arena.bytes() == 2 * (64 + kFence), arena.bytes());
  arena.allocate(device, memory);
  check(a.describe() == "float32 [3]" && b.describe() == "bfloat16 [5, 2]", a.describe(), b.describe());
  check(static_cast<char*>(b.data) - static_cast<char*>(a.data) == 64 + kFence, "b does not follow a");
  void* before = memory.data();
  Arena smaller;
  smaller.add(&a, DType::f32, {1});
  smaller.allocate(device, memory);
  check(a.data == before, "memory large enough was not reused");
}

#ifdef __SANITIZE_ADDRESS__
TEST(fences_stand_behind_scratch_and_between_tensors) {
  const auto fenced = [](const void* p, int64_t at) { return __asan_address_is_poisoned(static_cast<const char*>(p) + at) == 1; };
  Device device(DeviceKind::cpu, 0, 1);
  void* const large = device.allocate(size_t(9) << 20);
  check(fenced(large, -1) && !fenced(large, 0) && !fenced(large, (9 << 20) - 1) && fenced(large, 9 << 20), "large memory");
  device.release(large, size_t(9) << 20);

  device.scratch(1000);
  const void* scratch = device.scratch(100);
  check(fenced(scratch, -1) && !fenced(scratch, 0) && !fenced(scratch, 99) && fenced(scratch, 100) && fenced(scratch, 999), "less scratch than before");
  check(!fenced(device.scratch(999), 998), "as much scratch as before");

  Buffer memory;
  Tensor a, b;
  for (int64_t n : {300, 3}) {  // the second time in memory that is too large
    Arena arena;
    arena.add(&a, DType::f32, {n});
    arena.add(&b, DType::f32, {n});
    arena.allocate(device, memory);
    for (const Tensor& t : {a, b})
      check(fenced(t.data, -1) && !fenced(t.data, 0) && !fenced(t.data, t.bytes() - 1) && fenced(t.data, t.bytes()), "a tensor of ", n);
  }
}
#endif

TEST(a_profile_counts_the_outermost_op_and_forgets_what_was_taken) {
  Device device(DeviceKind::cpu, 0, 1);
  { const Span span(device, "before it is on"); }
  device.set_profile(true);
  const auto op = [&](const char* name, const auto& body) {
    const Span span(device, name);
    body();
  };
  op("outer", [&] { op("inner", [] {}); });
  op("outer", [] {});
  op("inner", [] {});
  check_throws(Code::kShape, "it failed", [&] { op("failing", [] { throw Error(Code::kShape, "it failed"); }); });
  op("inner", [] {});
  const std::vector<OpTime> times = device.profile()->take();
  check(times.size() == 2, times.size(), " ops");
  check(times[0].op == std::string("outer") && times[0].calls == 2, times[0].op, " ", times[0].calls);
  check(times[1].op == std::string("inner") && times[1].calls == 2, times[1].op, " ", times[1].calls);
  check(times[0].seconds >= 0 && times[0].launches == 0, times[0].seconds, " s, ", times[0].launches, " launches");
  check(device.profile()->take().empty(), "times were taken twice");
  device.set_profile(false);
  check(!device.profile(), "the profile is still on");
}
