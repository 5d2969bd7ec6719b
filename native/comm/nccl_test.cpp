// NCCL by its stand-in (fake_nccl.cpp): ranks are threads of this process, each with an emulated device.
#include <dlfcn.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "comm/fake_nccl.h"
#include "comm/nccl.h"
#include "comm/nccl_library.h"
#include "comm/operands.h"
#include "comm/test_ranks.h"
#include "core/arena.h"
#include "gpu/emulated_runtime.h"
#include "gpu/emulator.h"
#include "testing/check.h"

using namespace gt;
using namespace gt::testing;
namespace fs = std::filesystem;

namespace {

FakeNccl& fake() {
  static FakeNccl* knobs = [] {
    void* library = dlopen(GT_FAKE_NCCL, RTLD_NOW | RTLD_LOCAL);
    check(library, "no ", GT_FAKE_NCCL);
    auto* k = reinterpret_cast<FakeNccl* (*)()>(dlsym(library, "fake_nccl_knobs"))();
    k->enqueue = emulated::enqueue_foreign;
    setenv("GEMMATUNE_NCCL", GT_FAKE_NCCL, 1);
    return k;
  }();
  return *knobs;
}
void reset() { fake().version = 22304, fake().polls = 0, fake().refuse = 0, fake().async_error = 0, fake().hang = false; }

// A folder of files for the length of a test.
struct Files {
  fs::path path;
  Files() {
    std::string name = (fs::temp_directory_path() / "nccl_test_XXXXXX").string();
    check(mkdtemp(name.data()), "no folder");
    path = name;
  }
  ~Files() { fs::remove_all(path); }
  Files(const Files&) = delete;
  std::string file(const std::string& name) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name) << "no library";
    return (path / name).string();
  }
};

struct Rank {
  int rank, size;
  Device& device;
  comm::Rendezvous& rendezvous;
  comm::Communicator& ranks;
};

// What each rank failed with, "" where it did not.
std::vector<std::string> on_ranks(int size, double rank_timeout, const std::function<void(Rank)>& body) {
  const comm::Folder folder;
  return comm::errors_of(size, [&](int r) {
    comm::Rendezvous rendezvous(comm::options_of(r, size, folder.address(), 30, rank_timeout));
    Device device(DeviceKind::emulated, r % 2, 1);
    std::unique_ptr<comm::Communicator> ranks;
    try {
      ranks = comm::connect_nccl(device, rendezvous);
      body({r, size, device, rendezvous, *ranks});
    } catch (const std::exception& e) {
      rendezvous.leave(e.what());
      throw;
    }
  });
}
void all_well(const std::vector<std::string>& problems) {
  for (size_t r = 0; r < problems.size(); r++) check(problems[r].empty(), "rank ", r, ": ", problems[r]);
}
template <class T> T number(double v) { return T(v); }
template <> bf16 number<bf16>(double v) { return to_bf16(float(v)); }
template <class T> double value(T v) { return double(v); }
template <> double value<bf16>(bf16 v) { return to_float(v); }
template <class T> bool same_bits(T a, T b) { return !std::memcmp(&a, &b, sizeof a); }
template <class T> constexpr double kEpsilon = 0;  // int32 is exact
template <> constexpr double kEpsilon<float> = 0x1p-24;
template <> constexpr double kEpsilon<bf16> = 0x1p-8;
template <> constexpr double kEpsilon<double> = 0x1p-53;

template <class T>
std::vector<T> numbers(int rank, int64_t n) {
  Random random(uint64_t(rank + 1));
  std::vector<T> v(static_cast<size_t>(n));
  for (T& x : v) x = number<T>(1000 * random.normal());
  return v;
}

// A tensor on the device that is written by work which is queued, and read behind what is queued after it.
template <class T>
struct Values {
  Device& device;
  int64_t n;
  Buffer memory;
  char* data = memory.data();
  Values(Device& device, const std::vector<T>& v) : device(device), n(int64_t(v.size())), memory(device, int64_t(2 * bytes())) { device.upload(data, v.data(), bytes()); }
  size_t bytes() const { return size_t(n) * sizeof(T); }
  Tensor tensor() const { return Tensor(data, dtype_of<T>::value, {n}); }
  std::vector<T> read() const {
    device.copy_within(data + bytes(), data, bytes());
    std::vector<T> v(static_cast<size_t>(n));
    device.copy_to_host(v.data(), data + bytes(), bytes());
    return v;
  }
};

template <class T>
void check_sum(const std::vector<T>& got, int size, int64_t first, int64_t count, const char* op) {
  std::vector<std::vector<T>> given;
  for (int r = 0; r < size; r++) given.push_back(numbers<T>(r, int64_t(got.size())));
  for (int64_t i = first; i < first + count; i++) {
    double sum = 0, magnitude = 0;
    for (const auto& v : given) sum += value(v[size_t(i)]), magnitude += std::fabs(value(v[size_t(i)]));
    // Each of size - 1 additions is off by at most half a unit of a partial sum, which is below `magnitude` and what was off before.
    check(std::fabs(value(got[size_t(i)]) - sum) <= 1.01 * (size - 1) * kEpsilon<T> * magnitude, op, ": element ", i, " of ", got.size(), " is ", value(got[size_t(i)]), ", expected ", sum);
  }
}

// Each collective at uneven parts, one of them empty.
template <class T>
void every_collective(const Rank& r, int64_t n) {
  std::vector<int64_t> parts(size_t(r.size), 0);
  parts[0] = n / 3, parts[size_t(r.size - 1)] += n - n / 3;
  const int64_t first = comm::first_of(parts, r.rank), mine = parts[size_t(r.rank)];
  const std::vector<T> given = numbers<T>(r.rank, n);
  Values<T> reduced(r.device, given), scattered(r.device, given), gathered(r.device, given), sent(r.device, given);
  r.ranks.all_reduce(reduced.tensor(), "reduced");
  r.ranks.reduce_scatter(scattered.tensor(), parts, "scattered");
  r.ranks.all_gather(gathered.tensor(), parts, "gathered");
  r.ranks.broadcast(sent.tensor(), r.size - 1, "sent");
  r.ranks.wait();

  const std::vector<T> sum = reduced.read();
  check_sum(sum, r.size, 0, n, "all_reduce");
  const std::string bits(reinterpret_cast<const char*>(sum.data()), sum.size() * sizeof(T));
  for (const std::string& other : r.ranks.gather(bits, "bits")) check(other == bits, "the ranks' sums differ");
  check_sum(scattered.read(), r.size, first, mine, "reduce_scatter");
  const std::vector<T> all = gathered.read();
  for (int from = 0; from < r.size; from++) {
    const std::vector<T> theirs = numbers<T>(from, n);
    const int64_t at = comm::first_of(parts, from);
    check(std::equal(theirs.begin() + at, theirs.begin() + at + parts[size_t(from)], all.begin() + at, same_bits<T>), "all_gather: rank ", from, "'s part is wrong");
  }
  const std::vector<T> last = numbers<T>(r.size - 1, n), got = sent.read();
  check(std::equal(last.begin(), last.end(), got.begin(), got.end(), same_bits<T>), "broadcast: not what rank ", r.size - 1, " gave");
}

}  // namespace

// ---- the library

TEST(candidates_are_the_named_file_or_the_usual_places_in_order) {
  fake();
  check(comm::nccl::candidates() == std::vector<std::string>{GT_FAKE_NCCL}, "GEMMATUNE_NCCL is not all");
  unsetenv("GEMMATUNE_NCCL");
  const Files folder;
  const std::string conda = folder.file("conda/lib/libnccl.so.2"), torch = folder.file("venv/lib/python3.11/site-packages/torch/lib/libnccl.so.2"),
                    pip = folder.file("venv/lib/python3.11/site-packages/nvidia/nccl/lib/libnccl.so.2"), user = folder.file("home/.local/lib/python3.12/site-packages/nvidia/nccl/lib/libnccl.so.2");
  setenv("VIRTUAL_ENV", (folder.path / "venv").c_str(), 1), setenv("CONDA_PREFIX", (folder.path / "conda").c_str(), 1);
  const std::string home = std::getenv("HOME") ? std::getenv("HOME") : "";
  setenv("HOME", (folder.path / "home").c_str(), 1);
  std::vector<std::string> found = comm::nccl::candidates();
  unsetenv("VIRTUAL_ENV"), unsetenv("CONDA_PREFIX"), setenv("HOME", home.c_str(), 1), setenv("GEMMATUNE_NCCL", GT_FAKE_NCCL, 1);
  std::erase_if(found, [](const std::string& f) { return f.rfind("/usr/", 0) == 0; });  // what this machine has
  check(found == std::vector<std::string>{"libnccl.so.2", conda, pip, torch, user}, "found ", found.size(), ", the second ", found.size() > 1 ? found[1] : "");
}

TEST(the_first_library_that_will_do_is_taken) {
  reset();
  const Files folder;
  const std::string broken = folder.file("libnccl.so.2");
  const comm::nccl::Library l = comm::nccl::open({"libnccl-that-is-not-there.so.2", broken, "libm.so.6", GT_FAKE_NCCL});
  check(l.path == GT_FAKE_NCCL && l.version == 22304 && comm::nccl::version_text(l.version) == "2.23.4", l.path, " ", l.version);
  check_throws(Code::kDevice, "libm.so.6 is not NCCL 2.18.0 or newer: it lacks ncclGetVersion", [] { comm::nccl::open({"libm.so.6"}); });
  check_throws(Code::kDevice, "libnccl-that-is-not-there.so.2: cannot open shared object file", [] { comm::nccl::open({"libnccl-that-is-not-there.so.2"}); });
  check_throws(Code::kDevice, "pip install nvidia-nccl-cu12), or use --collectives gloo", [] { comm::nccl::open({"libnccl-that-is-not-there.so.2"}); });
  fake().version = 21701;
  check_throws(Code::kDevice, " is NCCL 2.17.1, expected 2.18.0 or newer", [] { comm::nccl::open({GT_FAKE_NCCL}); });
  fake().version = 21800;
  comm::nccl::open({GT_FAKE_NCCL});
}

TEST(small_shared_memory_is_refused) {
  comm::nccl::require_shared_memory("/");  // no tmpfs, but large
  check_throws(Code::kDevice, "/no/such/folder is not there", [] { comm::nccl::require_shared_memory("/no/such/folder"); });
  const Files folder;
  for (int mebibytes : {63, 64}) {
    if (mount("tmpfs", folder.path.c_str(), "tmpfs", 0, text("size=", mebibytes, "m").c_str())) return void(std::printf("skipped: a tmpfs of 63 MiB (not allowed to mount)\n"));
    std::string problem;
    try {
      comm::nccl::require_shared_memory(folder.path.string());
    } catch (const Error& e) {
      problem = e.what();
    }
    umount(folder.path.c_str());
    if (mebibytes == 64) check(problem.empty(), problem);
    else comm::check_says(problem, " has 63 MiB free, NCCL needs 64 or more for ranks on one machine: give the container more (docker: --shm-size=1g");
  }
}

// ---- collectives

TEST(collectives_are_right_and_in_order_with_work_before_and_after) {
  reset();
  for (const char* streams : {"lazy", "eager", "drawn"})
    for (int polls : {0, 3}) {
      emulated::options() = emulated::parse_options(text("streams=", streams));
      fake().polls = polls;
      for (int size : {2, 3})
        all_well(on_ranks(size, 20, [](Rank r) {
          check(r.ranks.library() == "nccl 2.23.4", r.ranks.library());
          for (int64_t n : {0, 1, 7, 10007}) every_collective<float>(r, n), every_collective<bf16>(r, n);
          every_collective<int32_t>(r, 7), every_collective<double>(r, 7);
        }));
    }
  emulated::options() = emulated::parse_options("");
  check(fake().started == fake().ended && fake().aborted == 0, fake().started.load(), " communicators started, ", fake().ended.load(), " ended, ", fake().aborted.load(), " aborted");
}

TEST(sums_have_the_same_bits_in_every_run) {
  reset();
  std::vector<float> first;
  for (int run = 0; run < 3; run++) {
    emulated::options() = emulated::parse_options(text("seed=", run + 1));
    all_well(on_ranks(3, 20, [&](Rank r) {
      Values<float> x(r.device, numbers<float>(r.rank, 1001));
      r.ranks.all_reduce(x.tensor(), "x"), r.ranks.all_reduce(x.tensor(), "x again");
      r.ranks.wait();
      const std::vector<float> got = x.read();
      if (r.rank) return;
      if (run == 0) first = got;
      check(got == first, "run ", run, " differs");
    }));
  }
  emulated::options() = emulated::parse_options("");
}

TEST(traffic_counts_what_a_ring_sends) {
  reset();
  all_well(on_ranks(2, 20, [](Rank r) {
    Values<float> x(r.device, numbers<float>(r.rank, 100));
    r.ranks.all_reduce(x.tensor(), "x");
    r.ranks.broadcast(x.tensor(), 0, "x");
    r.ranks.barrier("end");
    const comm::Traffic t = r.ranks.traffic();
    check(t.collectives == 2 && t.bytes == 600 && t.waited > 0 && t.busy >= 0, t.collectives, " collectives, ", t.bytes, " bytes, ", t.waited, " s waited");
  }));
}

TEST(arguments_are_checked_before_anything_is_sent) {
  reset();
  all_well(on_ranks(2, 20, [](Rank r) {
    Values<int16_t> x(r.device, std::vector<int16_t>(4));
    check_throws(Code::kArgument, "all_reduce of x, int16 [4]: NCCL has no sums of int16", [&] { r.ranks.all_reduce(x.tensor(), "x"); });
    Values<float> y(r.device, std::vector<float>(4));
    check_throws(Code::kShape, "reduce_scatter of y, float32 [4]", [&] { r.ranks.reduce_scatter(y.tensor(), {1, 2}, "y"); });
    check_throws(Code::kArgument, "root is 2", [&] { r.ranks.broadcast(y.tensor(), 2, "y"); });
    r.ranks.barrier("end");
  }));
  Device cpu(DeviceKind::cpu, 0, 1);
  comm::Rendezvous alone({});
  check_throws(Code::kDevice, "NCCL connects GPUs, the device is cpu", [&] { comm::connect_nccl(cpu, alone); });
}

// ---- failure

namespace {

// An all_reduce that does not end, and what the caller does until it hears of it.
void stuck(const Rank& r) {
  Values<float> x(r.device, numbers<float>(r.rank, 100));
  r.ranks.all_reduce(x.tensor(), "gradients");
  r.ranks.wait();
  r.device.synchronize();  // behind the collective: ends only because it is aborted
  r.ranks.barrier("the end of the step");
}

}  // namespace

TEST(a_collective_without_progress_is_given_up) {
  for (const char* streams : {"lazy", "eager"}) {
    reset();
    emulated::options() = emulated::parse_options(text("streams=", streams));
    fake().hang = true;
    const int aborted = fake().aborted;
    const auto problems = on_ranks(2, 1, stuck);
    // Whoever sees it first tells the other.
    comm::check_says(problems[0] + problems[1], "all_reduce of gradients, float32 [100] made no progress on rank ");
    for (const std::string& p : problems) check(!p.empty(), "a rank went on");
    check(fake().aborted == aborted + 2, fake().aborted - aborted, " communicators were aborted");
  }
  emulated::options() = emulated::parse_options("");
}

TEST(a_lost_rank_is_named_while_the_device_waits_for_it) {
  reset();
  fake().hang = true;
  const auto problems = on_ranks(2, 5, [](Rank r) {
    Values<float> x(r.device, numbers<float>(r.rank, 100));
    r.ranks.all_reduce(x.tensor(), "gradients");
    r.ranks.wait();
    if (r.rank == 1) r.rendezvous.leave("disk full");
    r.device.synchronize();
    r.ranks.wait();
  });
  comm::check_says(problems[0], "rank 1 (host n1) stopped: disk full (rank 0 of 2 was in all_reduce of gradients, float32 [100])");
  check(!problems[1].empty(), "rank 1 went on");
}

TEST(a_rank_that_does_not_come_to_a_collective_is_named) {
  reset();
  const auto problems = on_ranks(2, 60, [](Rank r) {
    if (r.rank == 1) throw Error(Code::kFile, "disk full");
    Values<float> x(r.device, numbers<float>(r.rank, 100));
    r.ranks.all_reduce(x.tensor(), "gradients");
    check_throws(Code::kRank, "disk full", [&] { r.ranks.wait(); });
    check_throws(Code::kRank, "disk full", [&] { r.ranks.all_reduce(x.tensor(), "more"); });
    check_throws(Code::kRank, "disk full", [&] { r.ranks.gather("", "more"); });
    r.ranks.barrier("more");
  });
  comm::check_says(problems[0], "rank 1 (host n1) stopped: disk full");
}

TEST(calls_that_differ_are_named) {
  reset();
  const auto problems = on_ranks(2, 60, [](Rank r) {
    Values<float> x(r.device, numbers<float>(r.rank, r.rank ? 100 : 99));
    r.ranks.all_reduce(x.tensor(), "x");
    r.ranks.wait();
  });
  for (const std::string& p : problems) comm::check_says(p, "float32 [99]"), comm::check_says(p, "float32 [100]");
}

TEST(what_nccl_reports_is_told_on_all_ranks) {
  for (int polls : {0, 3}) {
    reset();
    const auto problems = on_ranks(2, 10, [&](Rank r) {
      r.ranks.barrier("start");
      if (r.rank == 0) fake().polls = polls, fake().hang = true, fake().async_error = 6;
      r.ranks.gather("", "set");
      stuck(r);
    });
    comm::check_says(problems[0] + problems[1], "all_reduce of gradients, float32 [100] failed on rank ");
    for (const std::string& p : problems) comm::check_says(p, "NCCL says \"remote process exited or there was a network error: socketProgress: connection closed\"");
  }
}

TEST(a_call_that_nccl_refuses_is_told) {
  reset();
  const auto problems = on_ranks(2, 10, [&](Rank r) {
    r.ranks.barrier("start");
    if (r.rank == 0) fake().refuse = 1;
    r.ranks.gather("", "set");
    stuck(r);
  });
  for (const std::string& p : problems) comm::check_says(p, "NCCL says \"unhandled cuda error");
}

TEST(work_of_the_device_that_fails_ends_the_collective_behind_it) {
  reset();
  const auto problems = on_ranks(2, 10, [&](Rank r) {
    if (r.rank == 0) emulated::enqueue_foreign(r.device.gpu().stream, []() -> bool { throw Error(Code::kDevice, "a kernel broke"); });
    stuck(r);
  });
  comm::check_says(problems[0], "a kernel broke");
  check(!problems[1].empty(), "rank 1 went on");
}

TEST(a_communicator_may_end_with_collectives_to_come) {
  reset();
  const auto problems = on_ranks(2, 60, [](Rank r) {
    Values<float> x(r.device, numbers<float>(r.rank, 100));
    if (r.rank == 0) r.ranks.all_reduce(x.tensor(), "gradients");  // and ends without a wait
    else check_throws(Code::kRank, "rank 0 ended while collectives were under way", [&] { r.ranks.gather("", "something else"); });
  });
  all_well(problems);
}

TEST(a_rank_without_nccl_stops_the_others) {
  reset();
  fake().version = 21701;
  const auto problems = on_ranks(2, 60, [](Rank) {});
  for (const std::string& p : problems) comm::check_says(p, "is NCCL 2.17.1, expected 2.18.0 or newer");
}
