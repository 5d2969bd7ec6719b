// The emulator must see every bug that can be planted in a kernel, in the build that can: plain, under ASan and UBSan, or under TSan
// (-DGEMMATUNE_SANITIZE=...). A sanitizer ends its process, so that each bug runs in a child, and what the child says is looked at.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>

#include "gpu/emulator.h"
#include "gpu/test_cases.h"

using namespace gt;
using namespace gt::testing;
using gpu::Bug;
using gpu::Level;

namespace {

enum Build { plain, address, threads };
#if defined(__SANITIZE_ADDRESS__)
constexpr Build kBuild = address;
#elif defined(__SANITIZE_THREAD__)
constexpr Build kBuild = threads;
#else
constexpr Build kBuild = plain;
#endif

// Options for the length of a test.
class With {
 public:
  explicit With(const std::string& text) : before_(emulated::options()) { emulated::options() = emulated::parse_options(text); }
  ~With() { emulated::options() = before_; }

 private:
  emulated::Options before_;
};

// What the body returns, throws, or a sanitizer writes, and how the process died.
std::string in_child(const std::function<std::string()>& body) {
  int ends[2];
  check(pipe(ends) == 0, "no pipe");
  fflush(stdout);
  const pid_t child = fork();
  check(child >= 0, "no fork");
  if (!child) {
    dup2(ends[1], 2);
    std::string said;
    try {
      said = body();
    } catch (const std::exception& e) {
      said = text("error: ", e.what());
    }
    if (write(2, said.data(), said.size()) < 0) _exit(2);
    _exit(0);
  }
  close(ends[1]);
  std::string all;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) all.append(buffer, size_t(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) all += text("killed by signal ", WTERMSIG(status));
  return all;
}

// Whether `said` holds the parts of `pattern` between stars, in that order.
bool says(const std::string& said, const std::string& pattern) {
  size_t at = 0;
  for (size_t begin = 0; begin <= pattern.size();) {
    const size_t end = std::min(pattern.find('*', begin), pattern.size());
    const std::string part = pattern.substr(begin, end - begin);
    if ((at = said.find(part, at)) == std::string::npos) return false;
    at += part.size(), begin = end + 1;
  }
  return true;
}

std::unique_ptr<gpu::Context> opened(Level level = Level::sm80, int device = 0) { return emulated::open(device, level); }

template <class Run>
std::string run_case(Bug bug, Level level, const Run& run) {
  const auto context = opened(level);
  Case c{emulated::test_kernels, *context, bug};
  return run(c);
}

// Expects a bug to be seen with each of a few seeds; `patterns` are what is said in each build, null where it cannot see it.
template <class Run>
void check_seen(const char* name, Bug bug, std::array<const char*, 3> patterns, const Run& run, Level level = Level::sm80) {
  if (!patterns[kBuild]) return;
  for (int seed = 1; seed <= (kBuild == plain ? 6 : 1); seed++) {
    With options(text("seed=", seed));
    const std::string got = in_child([&] { return run_case(bug, level, run); });
    check(says(got, patterns[kBuild]), name, " (seed ", seed, "): expected \"", patterns[kBuild], "\", got \"", got.substr(0, 1500), "\"");
  }
}

const auto squares = [](Case& c) { return c.squares(); };
const auto product = [](Case& c) { return c.product(); };
const auto chain = [](Case& c) { return c.chain(); };
const auto transpose = [](Case& c) { return c.transpose(); };
const auto reverse = [](Case& c) { return c.reverse(); };
const auto rule = [](Case& c) { return c.rule(); };

constexpr const char *kRace = "ThreadSanitizer: data race", *kHeap = "AddressSanitizer: heap-",
                     *kDivergent = "divergent __syncthreads: thread *gpu/test_kernels.cu:*thread *gpu/test_kernels.cu:", *kNothing = nullptr;

}  // namespace

// ---- planted bugs: {plain, ASan and UBSan, TSan}

TEST(missing_barriers_are_seen) {
  check_seen("squares, read too early", Bug::read_too_early, {"wrong", "wrong", kRace}, squares);
  check_seen("squares, written too early", Bug::write_too_early, {"wrong", "wrong", kRace}, squares);
  for (Level level : {Level::sm75, Level::sm80}) {
    check_seen("product, read too early", Bug::read_too_early, {"wrong", "wrong", kRace}, product, level);
    check_seen("product, written too early", Bug::write_too_early, {"wrong", "wrong", kRace}, product, level);
    check_seen("chain, keys read too early", Bug::read_too_early, {"wrong", "wrong", kRace}, chain, level);
    check_seen("chain, keys written too early", Bug::write_too_early, {"wrong", "wrong", kRace}, chain, level);
    check_seen("chain, values read too early", Bug::read_too_early_2, {"wrong", "wrong", kRace}, chain, level);
    check_seen("chain, values written too early", Bug::write_too_early_2, {"wrong", "wrong", kRace}, chain, level);
    if (kBuild == threads) break;
  }
  check_seen("transpose without __syncwarp", Bug::no_syncwarp, {"wrong", "wrong", kRace}, transpose);
}

TEST(misuse_of_asynchronous_copies_is_seen) {
  check_seen("no wait", Bug::no_wait, {"wrong", "wrong", kNothing}, reverse);
  check_seen("a wait for all but two groups", Bug::short_wait, {"wrong", "wrong", kNothing}, reverse);
  check_seen("a buffer filled too early", Bug::write_too_early, {"wrong", "wrong", kRace}, reverse);
}

TEST(barriers_and_warp_operations_that_not_all_reach_are_seen) {
  check_seen("divergent barrier", Bug::divergent_barrier, {kDivergent, kDivergent, kDivergent}, squares);
  check_seen("barrier that two warps skip", Bug::skipped_barrier, {kDivergent, kDivergent, kDivergent}, product);
  check_seen("return before a barrier", Bug::early_return, {"returned", "returned", "returned"}, squares);
  check_seen("shuffle in a branch", Bug::shuffle_in_branch, {"__shfl_xor_sync", "__shfl_xor_sync", "__shfl_xor_sync"}, squares);
  check_seen("shuffle over half the warp", Bug::short_width, {"wrong", "wrong", "wrong"}, squares);
}

TEST(memory_out_of_bounds_is_seen) {
  check_seen("shared row never written", Bug::row_not_written, {"wrong", "wrong", "wrong"}, product);
  check_seen("sums on unset shared memory", Bug::unset_static, {"wrong", "wrong", "wrong"}, rule);
  check_seen("sums on unset dynamic shared memory", Bug::unset_dynamic, {"wrong", "wrong", "wrong"}, rule);
  check_seen("shared array read past its end", Bug::shared_past_end, {kNothing, "out of bounds", kNothing}, squares);
  check_seen("dynamic shared memory read past its end", Bug::dynamic_past_end, {kNothing, "AddressSanitizer: use-after-poison", kNothing}, chain);
  check_seen("global memory read past its end", Bug::global_past_end, {"wrong", kHeap, kNothing}, squares);
  check_seen("no row guard", Bug::no_guard, {kNothing, kHeap, kNothing}, product);
  check_seen("no key guard", Bug::no_guard, {kNothing, kHeap, kNothing}, chain);
  check_seen("ldmatrix past its row", Bug::ldmatrix_past_row, {"", "out of bounds", kNothing}, product);
  check_seen("misaligned 16-byte load", Bug::misaligned, {"", "misaligned", kNothing}, squares);
  check_seen("two blocks write one address", Bug::same_address, {kNothing, kNothing, kRace}, squares);
}

TEST(broken_rules_are_named_with_their_lines) {
  auto everywhere = [](const char* name, Bug bug, const char* pattern, Level level = Level::sm80) { check_seen(name, bug, {pattern, pattern, pattern}, rule, level); };
  everywhere("mask without the caller", Bug::mask_without_caller, "thread (*__shfl_sync at *gpu/test_kernels.cu:*: the mask 0000ffff leaves out the calling lane");
  everywhere("mask of a lane that returned", Bug::mask_of_returned, "__shfl_sync*gpu/test_kernels.cu:");
  everywhere("shuffles at two places", Bug::divergent_shuffle, "warp divergence: lane *__shfl_xor_sync *gpu/test_kernels.cu:*__shfl_xor_sync *gpu/test_kernels.cu:");
  everywhere("mma by half a warp", Bug::partial_mma, "mma needs all 32 lanes");
  everywhere("mma of sm_80 at sm_75", Bug::newer_instruction, "mma.m16n8k16.bf16 at *gpu/test_kernels.cu:*needs sm_80, the launch is for sm_75", Level::sm75);
  everywhere("too much static shared memory", Bug::too_much_static, "static shared memory of 49168 bytes at *gpu/test_kernels.cu:*the limit is 49152");
  everywhere("too much shared memory for sm_75", Bug::too_much_shared, "static shared memory of 256 and dynamic of 65536 bytes", Level::sm75);
  With limit("steps=20000");
  const std::string got = in_child([&] { return run_case(Bug::spin, Level::sm80, rule); });
  check(says(got, "the block spins: over 20000 *32 thread(s) from 32 at __syncthreads *gpu/test_kernels.cu:"), "a kernel that spins: ", got);
}

// ---- right kernels: clean in every build, the same bits whatever the schedule

// Runs the body under many schedules; what it returns must be the same.
template <class Body>
static void check_same_for_all_schedules(const char* name, const Body& body) {
  std::string first;
  for (const char* schedule : {"forward", "reverse", "random", "skew", "mix"})
    for (const char* rest : {"landing=at_issue,streams=eager,seed=1", "landing=at_wait,streams=lazy,seed=2", "landing=either,streams=drawn,seed=3"}) {
      if (kBuild == threads && (*schedule != 'm' || !std::strstr(rest, "drawn"))) continue;  // TSan sees any order in one
      With options(text("schedule=", schedule, ",", rest));
      const std::string got = body();
      if (first.empty()) first = got;
      check(got == first && !got.empty(), name, " with schedule=", schedule, ",", rest, ": ", got, "; before: ", first);
    }
}

TEST(right_kernels_are_clean_under_all_schedules) {
  for (auto [name, run] : {std::pair<const char*, std::string (*)(Case&)>{"squares", squares}, {"product", product}, {"chain", chain}, {"transpose", transpose}, {"reverse", reverse}})
    check_same_for_all_schedules(name, [run = run] {
      std::string got;
      for (Level level : {Level::sm75, Level::sm80}) {
        if (level == Level::sm75 && run == static_cast<std::string (*)(Case&)>(reverse)) continue;  // cp.async
        got += in_child([&] { return run_case(Bug::none, level, run); }) + " ";
        check(got.find_first_not_of("right ") == std::string::npos, got);
        if (kBuild == threads) break;
      }
      return got;
    });
}

TEST(bank_conflicts_of_ldmatrix_are_counted) {
  auto waves = [](bool padded) {
    const auto context = opened();
    emulated::counters() = {};
    check(Case{emulated::test_kernels, *context}.product(padded) == "right", "wrong");
    check(emulated::counters().ldmatrix > 0 && emulated::counters().threads == 4 * 128, "not counted");
    return double(emulated::counters().ldmatrix_waves) / double(emulated::counters().ldmatrix);
  };
  check(waves(true) == 1, "padded rows of 80 bytes: ", waves(true), " waves a matrix, expected 1");
  check(waves(false) == 4, "rows of 64 bytes: ", waves(false), " waves a matrix, expected 4");
}

TEST(tensor_cores_round_or_cut) {
  // 1 + 8 · 2^-25, which is 1 + 2^-22: exact in float32, but each term is lost where it is aligned to 1 and cut to 24 + 1 bits.
  // 1 + 2^-24 + 2^-24: kept beside 1 by the extra bit, cut from what goes on to the next group.
  auto sum = [](const std::string& options, std::initializer_list<float> powers) {
    With with(options);
    const auto context = opened(Level::sm75);
    std::vector<float> a(16 * 8, 0.f), b(8 * 8, 0.f), d(16 * 8, 1.f);
    int k = 0;
    for (float p : powers) a[size_t(3 * 8 + k)] = p * 4096, b[size_t(k++ * 8 + 5)] = 1.f / 4096;
    Array<float> x(*context, a), y(*context, b), z(*context, d);
    emulated::test_kernels.fragments(*context, gpu::Product::m16n8k8_f16, z, x, y);
    const std::vector<float> got = z.values();
    for (int i = 0; i < 128; i++) check(i == 3 * 8 + 5 || got[size_t(i)] == 1, "element ", i, " is ", got[size_t(i)]);
    return got[3 * 8 + 5] - 1.f;
  };
  const float u = 0x1p-25f;
  check(sum("mma=0", {u, u, u, u, u, u, u, u}) == 0x1p-22f, "the exact sum is off");
  check(sum("mma=4", {u, u, u, u, u, u, u, u}) == 0, "terms below the last bit were kept");
  check(sum("mma=4", {2 * u, 2 * u}) == 0x1p-23f, "the extra bit was lost");
  check(sum("mma=4", {2 * u, 0, 0, 0, 2 * u}) == 0 && sum("mma=0", {2 * u, 0, 0, 0, 2 * u}) == 0x1p-23f, "between groups of four the sum has float32's bits");
  check(sum("mma=4", {-u}) == 0 && sum("mma=4", {-2 * u}) == -0x1p-24f, "negative terms are cut towards zero");
}

TEST(fp16_is_converted_exactly_and_rounded_to_even) {
  for (unsigned h = 0; h < 0x7c00; h++) {
    const int exponent = int(h >> 10), fraction = int(h & 1023);
    const double want = exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24), step = std::ldexp(1, (exponent ? exponent : 1) - 25);
    const float middle = float(want + step / 2);  // to the next, which for the largest is 2^16
    for (unsigned sign : {0u, 0x8000u}) {
      const float s = sign ? -1.f : 1.f;
      auto check_rounds = [&](float f, unsigned to) { check(emulated::f16_from_float(s * f) == (sign | to), s * f, " became ", emulated::f16_from_float(s * f), ", expected ", sign | to); };
      check(emulated::float_from_f16(uint16_t(sign | h)) == s * float(want), h, " is ", want);
      check_rounds(float(want), h), check_rounds(middle, h + (h & 1)), check_rounds(std::nextafter(middle, 0.f), h), check_rounds(std::nextafter(middle, 1e9f), h + 1);
    }
  }
  const float inf = INFINITY;
  check(emulated::f16_from_float(-inf) == 0xfc00 && emulated::f16_from_float(1e9f) == 0x7c00 && emulated::float_from_f16(0xfc00) == -inf, "infinity");
  check(std::isnan(emulated::float_from_f16(0x7c01)) && std::isnan(emulated::float_from_f16(emulated::f16_from_float(NAN))), "NaN");
}

TEST(options_are_read_strictly) {
  const emulated::Options o = emulated::parse_options("seed=7,schedule=skew,mma=4,landing=at_wait,streams=lazy,memory=1000000,steps=5");
  check(o.seed == 7 && o.schedule == emulated::Options::skew && o.mma_group == 4 && o.landing == emulated::Options::at_wait && o.streams == emulated::Options::lazy && o.memory == 1000000 && o.steps == 5, "misread");
  check(emulated::parse_options("").seed == emulated::Options().seed, "misread");
  auto refused = [](const char* options, const char* says) { check_throws(Code::kArgument, says, [&] { emulated::parse_options(options); }); };
  refused("sed=7", "GEMMATUNE_EMULATOR is \"sed=7\": it has no \"sed\", expected seed, ");
  refused("seed=7,schedule=fast", "schedule is \"fast\", expected one of forward, reverse, random, skew, mix");
  refused("mma=17", "mma is \"17\", expected a number from 0 to 16");
  refused("seed=", "seed is \"\"");
  refused("seed=-1", "seed is \"-1\"");
  refused("memory=1G", "memory is \"1G\"");
  refused("landing", "landing is \"\"");
}

// ---- the runtime's stand-in

namespace {

struct Streams {  // two of one device, and the pieces of a test
  emulated::cudaStream_t compute, upload;
  emulated::cudaEvent_t event;
  Streams() {
    emulated::cudaSetDevice(0);
    emulated::cudaStreamCreateWithFlags(&compute, 0), emulated::cudaStreamCreateWithFlags(&upload, 0), emulated::cudaEventCreateWithFlags(&event, 0);
  }
  ~Streams() { emulated::cudaStreamDestroy(compute), emulated::cudaStreamDestroy(upload), emulated::cudaEventDestroy(event); }
};
float* device_floats(size_t n) {
  void* p;
  check(emulated::cudaMalloc(&p, n * sizeof(float)) == emulated::cudaSuccess, "no memory");
  return static_cast<float*>(p);
}
void ok(emulated::cudaError_t status) { check(status == emulated::cudaSuccess, emulated::cudaGetErrorString(status)); }
void refused(emulated::cudaError_t status, emulated::cudaError_t expected, const char* says) {
  check(status == expected && std::strstr(emulated::cudaGetErrorString(status), says), "status ", int(status), ": ", emulated::cudaGetErrorString(status), "; expected ", int(expected), ", ", says);
}

}  // namespace

TEST(a_stream_that_does_not_wait_for_an_upload_reads_stale_data) {
  With options("streams=lazy");
  for (bool waits : {true, false}) {
    Streams s;
    float *x = device_floats(1), *y = device_floats(1), up = 5, down = 0;
    ok(emulated::cudaMemcpyAsync(x, &up, 4, emulated::cudaMemcpyHostToDevice, s.upload));
    ok(emulated::cudaEventRecord(s.event, s.upload));
    if (waits) ok(emulated::cudaStreamWaitEvent(s.compute, s.event, 0));
    ok(emulated::cudaMemcpyAsync(y, x, 4, emulated::cudaMemcpyDeviceToDevice, s.compute));
    ok(emulated::cudaMemcpyAsync(&down, y, 4, emulated::cudaMemcpyDeviceToHost, s.compute));
    check(down == 0, "a lazy stream ran before anybody waited");
    ok(emulated::cudaStreamSynchronize(s.compute));
    check(waits ? down == 5 : std::isnan(down), waits ? "with" : "without", " a wait, ", down, " arrived");
    ok(emulated::cudaStreamSynchronize(s.upload));
    ok(emulated::cudaFree(x)), ok(emulated::cudaFree(y));
  }
}

TEST(an_eager_stream_runs_at_once) {
  With options("streams=eager");
  Streams s;
  float *x = device_floats(1), down = 0;
  ok(emulated::cudaMemcpyAsync(&down, x, 4, emulated::cudaMemcpyDeviceToHost, s.compute));
  check(std::isnan(down), down, " arrived, expected the NaN of fresh memory");
  ok(emulated::cudaFree(x));
}

TEST(a_host_buffer_that_is_reused_too_early_is_seen) {
  With options("streams=lazy");
  for (bool waits : {true, false}) {
    Streams s;
    void* pinned;
    ok(emulated::cudaMallocHost(&pinned, 4));
    float *x = device_floats(2), down[2], &up = *static_cast<float*>(pinned);
    up = 1;
    ok(emulated::cudaMemcpyAsync(x, pinned, 4, emulated::cudaMemcpyHostToDevice, s.upload));
    if (waits) ok(emulated::cudaStreamSynchronize(s.upload));
    up = 2;
    ok(emulated::cudaMemcpyAsync(x + 1, pinned, 4, emulated::cudaMemcpyHostToDevice, s.upload));
    ok(emulated::cudaMemcpyAsync(down, x, 8, emulated::cudaMemcpyDeviceToHost, s.upload));
    ok(emulated::cudaStreamSynchronize(s.upload));
    check(down[0] == (waits ? 1 : 2) && down[1] == 2, "got ", down[0], " and ", down[1]);
    ok(emulated::cudaFree(x)), ok(emulated::cudaFreeHost(pinned));
  }
}

TEST(the_ring_waits_before_it_comes_round) {
  With options("streams=lazy");
  const auto c = opened();
  std::vector<int> piece(1 << 18);
  Array<int> copies(*c, std::vector<int>(12 << 18));
  for (int i = 0; i < 12; i++) {  // 12 MB through a ring of 4, and nobody else waits
    piece.assign(1 << 18, i);
    c->copy_within(copies + (i << 18), c->stage(piece.data(), 1 << 20), 1 << 20);
  }
  const std::vector<int> got = copies.values();
  for (size_t i = 0; i < got.size(); i++) check(got[i] == int(i >> 18), "piece ", i >> 18, " holds ", got[i]);
}

TEST(a_staged_piece_used_after_the_ring_came_round_is_seen) {
  for (const char* streams : {"streams=lazy", "streams=eager"}) {
    With options(streams);
    const auto c = opened();
    std::vector<int> piece(256 * 1024, 1);  // a quarter of the ring
    const void* first = c->stage(piece.data(), 1 << 20);
    for (int i = 2; i <= 5; i++) piece.assign(piece.size(), i), c->stage(piece.data(), 1 << 20);
    int got = 0;
    c->copy_to_host(&got, first, 4);
    check(got == 5, "the first piece holds ", got, " after a whole ring of others");
  }
}

TEST(kernels_that_read_freed_memory_are_seen) {
  if (kBuild != address) return;  // whoever has the memory next
  const std::string got = in_child([] {
    With options("streams=lazy");
    const auto c = opened();
    Array<float> y(*c, 4 * 1024);
    float* x = device_floats(4 * 1024);
    ok(emulated::cudaMemsetAsync(x, 0, 4 * 4096, static_cast<emulated::cudaStream_t>(c->stream)));
    c->synchronize();
    emulated::test_kernels.transpose(*c, Bug::none, y, x, 4);
    ok(emulated::cudaFree(x));  // without a wait for the kernel
    return verdict(y.values(), std::vector<float>(4 * 1024, 0.f));
  });
  check(says(got, "AddressSanitizer: heap-use-after-free"), "a kernel that reads freed memory: ", got.substr(0, 1500));
}

TEST(scratch_is_nan_at_every_call) {
  const auto c = opened();
  for (size_t bytes : {4096, 400, 8192}) {
    float* s = static_cast<float*>(c->scratch(bytes));
    float got;
    c->copy_to_host(&got, s, 4);
    check(std::isnan(got), "scratch holds ", got);
    c->zero(s, bytes);
  }
}

TEST(work_behind_the_end_of_scratch_is_seen) {
  if (kBuild != address) return;  // NaN there, and what it was before
  for (const char* streams : {"streams=lazy", "streams=eager"}) {
    const std::string got = in_child([&] {
      With options(streams);
      const auto c = opened();
      c->zero(c->scratch(8192), 8192);
      c->zero(c->scratch(100), 101);
      c->synchronize();
      return std::string("nothing");
    });
    check(says(got, "AddressSanitizer: use-after-poison"), streams, ": ", got.substr(0, 1500));
  }
}

TEST(each_device_has_its_own_memory) {
  With limit("memory=1000000");
  const auto one = opened(Level::sm80, 0), two = opened(Level::sm80, 1);
  check_throws(Code::kDevice, "device 2 does not exist: there are 2, counted from 0", [] { opened(Level::sm80, 2); });
  int64_t free = 0, total = 0;
  void *x = one->allocate(600'000), *y = two->allocate(300'000);
  one->free_memory(&free, &total);
  check(free == 400'000 && total == 1'000'000 && one->description.memory == 1'000'000, free, " of ", total, " bytes free on device 0");
  two->free_memory(&free, &total);
  check(free == 700'000, free, " bytes free on device 1");
  check(!one->allocate(400'001), "more than all was allocated");
  check_throws(Code::kMemory, "emulated GPU 0 has no 500000 bytes left for scratch", [&] { one->scratch(500'000); });
  check_throws(Code::kMemory, "bytes left for uploads", [&] {
    std::vector<char> large(300'000);
    one->stage(large.data(), large.size());
  });

  char host[100] = {};
  check_throws(Code::kDevice, "is byte 0 of 300000 in device 1, expected that many bytes of device 0", [&] { one->copy_to_host(host, y, 100); });
  check_throws(Code::kDevice, "expected that many bytes of device 1", [&] { two->copy_from_host(x, host, 100); });
  check_throws(Code::kDevice, "a fill of 100 bytes", [&] { two->zero(x, 100); });
  check_throws(Code::kDevice, "is byte 599999 of 600000 in device 0", [&] { one->zero(static_cast<char*>(x) + 599'999, 2); });
  check_throws(Code::kDevice, "is no memory of a device", [&] { one->copy_within(x, host, 100); });
  check_throws(Code::kDevice, "expected memory of the host", [&] { one->copy_to_host(static_cast<char*>(x) + 50, x, 10); });

  auto transpose_of = [&](void* from) { emulated::test_kernels.transpose(*one, Bug::none, static_cast<float*>(x), static_cast<float*>(from), 1); };
  check_throws(Code::kDevice, "a kernel on device 0 is given an address that is not that device's: ", [&] { transpose_of(y); });
  check_throws(Code::kDevice, "is no memory of a device", [&] { transpose_of(host); });
  struct Pair { long n; void* p; };
  auto pair_of = [&](void* p) {
    const Pair pair = {640, p};
    emulated::check_parameter(*one, &pair, sizeof pair, false);
  };
  pair_of(x), pair_of(nullptr), pair_of(host);  // host memory could be numbers
  check_throws(Code::kDevice, "in device 1", [&] { pair_of(y); });
  transpose_of(x);

  // From one to the other.
  const auto stream = static_cast<emulated::cudaStream_t>(one->stream);
  one->zero(x, 1000);
  std::memset(host, 9, sizeof host);
  two->copy_from_host(y, host, 100);
  ok(emulated::cudaMemcpyPeerAsync(x, 0, y, 1, 50, stream));
  refused(emulated::cudaMemcpyPeerAsync(x, 1, y, 1, 50, stream), emulated::cudaErrorInvalidValue, "expected that many bytes of device 1");
  one->copy_to_host(host, x, 100);
  check(host[49] == 9 && host[50] == 0, "a copy between devices brought ", int(host[49]), ", ", int(host[50]));
  one->release(x), two->release(y);
  one->free_memory(&free, &total);
  check(free == total, total - free, " bytes are still taken");
  refused(emulated::cudaFree(host), emulated::cudaErrorInvalidValue, "is no memory of a device");
}

TEST(a_failure_is_told_once_and_then_everything_works) {
  for (const char* streams : {"streams=lazy", "streams=eager"}) {
    With options(streams);
    const auto c = opened(), other = opened(Level::sm80, 1);
    Array<int> memory(*c, std::vector<int>(64, -1)), later(*c, std::vector<int>(64, -1));
    auto break_it = [&] { emulated::test_kernels.rule(*c, Bug::mask_without_caller, memory); };
    break_it();
    c->zero(later, 4);  // dropped
    check_throws(Code::kDevice, "block (0,0,0) thread (", [&] { c->synchronize(); });
    c->synchronize();
    check(later.values()[0] == -1, "work behind a failure was done");
    check(Case{emulated::test_kernels, *c}.squares() == "right" && Case{emulated::test_kernels, *other}.squares() == "right", "wrong after a failure");

    // Memory is released by destructors, which cannot throw: the failure waits for somebody who can hear it.
    break_it();
    c->release(c->allocate(100));
    check_throws(Code::kDevice, "leaves out the calling lane", [&] { c->synchronize(); });
    break_it();
    c->fetch(memory, 4);
    check_throws(Code::kDevice, "leaves out the calling lane", [&] { c->wait(); });
    check(Case{emulated::test_kernels, *c}.transpose() == "right", "wrong after a failure");
  }
}

TEST(a_failure_reaches_the_stream_that_waits_for_it) {
  With options("streams=lazy");
  const auto c = opened();
  Array<int> memory(*c, std::vector<int>(64, -1));
  Streams s;
  emulated::test_kernels.rule(*c, Bug::mask_without_caller, memory);
  ok(emulated::cudaEventRecord(s.event, static_cast<emulated::cudaStream_t>(c->stream)));
  ok(emulated::cudaStreamWaitEvent(s.upload, s.event, 0));
  ok(emulated::cudaStreamSynchronize(s.compute));
  refused(emulated::cudaStreamSynchronize(s.upload), emulated::cudaErrorLaunchFailure, "leaves out the calling lane");
  ok(emulated::cudaStreamSynchronize(s.upload));
  c->synchronize();
}

TEST(a_lane_that_does_not_wait_reads_stale_data) {
  With options("streams=lazy");
  const auto c = opened();
  const auto lane = c->open_lane();
  Array<int> x(*c, std::vector<int>(1, 5));
  auto* host = static_cast<int*>(lane->pinned(sizeof(int)));
  for (bool waits : {false, true}) {
    c->zero(x, sizeof(int));
    if (waits) lane->wait_for(c->mark());
    lane->copy_to_host(host, x, sizeof(int));
    lane->synchronize();
    check(*host == (waits ? 0 : 5), waits ? "with" : "without", " a wait, ", *host, " arrived");
  }
}

TEST(foreign_work_holds_up_its_stream_and_those_that_wait_for_it) {
  for (const char* streams : {"streams=lazy", "streams=eager"}) {
    With options(streams);
    const auto one = opened(Level::sm80, 0), two = opened(Level::sm80, 1);
    const auto lane = one->open_lane();
    Array<int> x(*one, std::vector<int>(1, 1)), y(*one, std::vector<int>(1, 1));
    std::atomic<bool> ready = false;
    emulated::enqueue_foreign(lane->stream, [&, p = static_cast<int*>(x)] { return ready ? (*p = 7, true) : false; });
    const gpu::Mark mark = lane->mark();
    one->wait_for(mark);
    one->copy_within(y, x, sizeof(int));
    for (int i = 0; i < 10; i++) check(!lane->passed(mark), "it passed before it was done");
    std::thread other([&] {  // the stream that waits does not keep other threads from the devices
      Array<int>(*two, std::vector<int>(1, 2)).values();
      ready = true;
    });
    check(y.values()[0] == 7, "what was queued behind foreign work brought ", y.values()[0]);
    other.join();
    check(lane->passed(mark), "it is done and has not passed");
  }
}

TEST(launches_over_the_limits_are_refused) {
  const auto c = opened();
  auto refused = [](emulated::dim3 blocks, emulated::dim3 threads, size_t shared, Level level, const char* says) {
    check_throws(Code::kDevice, says, [&] { emulated::check_launch({blocks, threads, shared, level, {}}); });
  };
  emulated::check_launch({{0x7fffffff, 65535, 65535}, {32, 1, 32}, 65536, Level::sm75, {}});
  refused({1, 65536}, 32, 0, Level::sm80, "65535 in y and z");
  refused({0x80000000u}, 32, 0, Level::sm80, "a grid goes to 2147483647 in x");
  refused(1, {512, 3}, 0, Level::sm80, "a block has 1 to 1024 threads");
  refused(1, {4, 1, 65}, 0, Level::sm80, "at most 64 in z");
  refused(1, {65536, 65536}, 0, Level::sm80, "a block has 1 to 1024 threads");
  refused(1, 32, 65537, Level::sm75, "65537 bytes of dynamic shared memory, the limit is 65536");
  refused(1, 32, 99 * 1024 + 1, Level::sm80, "the limit is 101376");
}

TEST(calls_may_come_from_any_thread) {
  const auto c = opened();
  std::string got[4];
  for (auto& g : got) std::thread([&] { g = Case{emulated::test_kernels, *c}.chain(); }).join();  // one after another, on one context
  for (const auto& g : got) check(g == "right", g);
  std::thread both[2];
  for (int i = 0; i < 2; i++)
    both[i] = std::thread([&, i] {  // at once, on a context each
      try {
        const auto own = opened(Level::sm75, i);
        got[i] = Case{emulated::test_kernels, *own}.chain() ;
      } catch (const std::exception& e) {
        got[i] = e.what();
      }
    });
  for (auto& t : both) t.join();
  for (int i = 0; i < 2; i++) check(got[i] == "right", got[i]);
}
