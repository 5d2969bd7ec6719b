#include <cstdio>
#include <utility>

#include "comm/connect.h"
#include "comm/gloo.h"
#include "comm/in_process.h"
#include "comm/operands.h"
#include "comm/test_ranks.h"
#include "core/device.h"

namespace gt::comm {

using testing::check_throws;
using testing::Random;
using Body = std::function<void(Communicator&, Device&)>;

#if defined(GEMMATUNE_EMULATED)
static const std::vector<DeviceKind> kKinds{DeviceKind::cpu, DeviceKind::emulated};
#else
static const std::vector<DeviceKind> kKinds{DeviceKind::cpu};
#endif

#if defined(GT_GLOO_PLUGIN)
static const std::string kPlugin = GT_GLOO_PLUGIN;
#else
static const std::string kPlugin;  // none was built
#endif

// False, and said so, where there is no plug-in to test.
static bool has_gloo() {
  static bool told = false;
  if (kPlugin.empty() && !std::exchange(told, true)) std::printf("SKIPPED: tests over Gloo, for this build has no gemmatune_gloo.so (libgloo-dev was not found)\n");
  return !kPlugin.empty();
}

static std::vector<std::string> errors_over_gloo(int size, DeviceKind kind, const std::string& address, const Body& body, double rank_timeout = 30) {
  return errors_of(size, [&](int rank) {
    Rendezvous r(options_of(rank, size, address, 30, rank_timeout));
    Device device(kind, 0, 1);
    try {
      const auto ranks = connect(device, r, "gloo", kPlugin);
      body(*ranks, device);
    } catch (const std::exception& e) {
      r.leave(e.what());  // else the others would only see that it has left
      throw;
    }
  });
}

static void over_threads(int size, DeviceKind kind, const Body& body) {
  std::vector<std::unique_ptr<Device>> devices;
  std::vector<Device*> pointers;
  for (int rank = 0; rank < size; rank++) devices.push_back(std::make_unique<Device>(kind, 0, 1)), pointers.push_back(devices.back().get());
  auto ranks = in_process(pointers);
  on_ranks(size, [&](int rank) {
    // Ends with the thread: the others must not wait for a rank that failed.
    const auto mine = std::move(ranks[size_t(rank)]);
    body(*mine, *pointers[size_t(rank)]);
  });
}

// On every library, kind of device and number of ranks.
static void everywhere(const Body& body) {
  for (DeviceKind kind : kKinds)
    for (int size = 1; size <= 4; size++) {
      over_threads(size, kind, body);
      if (!has_gloo()) continue;
      const Folder folder;
      for (const std::string& address : {folder.address(), tcp_address()})
        for (const std::string& error : errors_over_gloo(size, kind, address, body)) check(error.empty(), size, " ranks of kind ", name_of(kind), ": ", error);
    }
}

// Numbers on a device.
class Numbers {
 public:
  Numbers(Device& device, int64_t n, DType dtype) : device_(device), n_(n), dtype_(dtype), memory_(device.allocate(size_t(bytes()))) {}
  ~Numbers() { device_.release(memory_, size_t(bytes())); }
  Numbers(const Numbers&) = delete;

  Tensor tensor() const { return Tensor(memory_, dtype_, {n_}); }
  // The bytes of what a tensor holds.
  std::string read() const {
    std::string s(size_t(n_ * size_of(dtype_)), 0);
    if (n_) device_.copy_to_host(s.data(), memory_, s.size());
    return s;
  }
  void write(const std::string& s) {
    if (n_) device_.copy_from_host(memory_, s.data(), s.size());
  }

 private:
  int64_t bytes() const { return std::max<int64_t>(1, n_) * size_of(dtype_); }
  Device& device_;
  int64_t n_;
  DType dtype_;
  void* memory_;
};

// Deterministic normal numbers of a rank, as a tensor's bytes.
static std::string numbers_of(int rank, int64_t n, DType dtype) {
  Random random(uint64_t(rank) + 1);
  std::string out;
  for (int64_t i = 0; i < n; i++) {
    const float f = float(random.normal());
    const bf16 b = to_bf16(f);
    out.append(dtype == DType::f32 ? reinterpret_cast<const char*>(&f) : reinterpret_cast<const char*>(&b), size_t(size_of(dtype)));
  }
  return out;
}
static double number_at(const std::string& bytes, int64_t i, DType dtype) {
  if (dtype == DType::f32) return double(reinterpret_cast<const float*>(bytes.data())[i]);
  return double(to_float(reinterpret_cast<const bf16*>(bytes.data())[i]));
}

// Elements [first, end) of `got` are the sum over ranks. Each of size - 1 additions errs by at most u of a partial sum, which is at most the sum of
// magnitudes (and what it erred by before): |error| <= ((1 + u)^(size - 1) - 1) · Σ|x|.
static void check_sum(const std::string& got, int size, int64_t n, int64_t first, int64_t end, DType dtype) {
  const double u = dtype == DType::f32 ? 0x1p-24 : 0x1p-8 + 0x1p-24, factor = std::pow(1 + u, size - 1) - 1;
  std::vector<std::string> all;
  for (int rank = 0; rank < size; rank++) all.push_back(numbers_of(rank, n, dtype));
  for (int64_t i = first; i < end; i++) {
    double sum = 0, magnitude = 0;
    for (const std::string& x : all) sum += number_at(x, i, dtype), magnitude += std::abs(number_at(x, i, dtype));
    const double is = number_at(got, i, dtype);
    check(std::abs(is - sum) <= factor * magnitude, name_of(dtype), " ", i, " of ", n, " is ", is, ", expected ", sum, " of ", size, " ranks, within ", factor * magnitude);
  }
}

// Rank 0's part is empty where there are others, the last one's is the largest.
static std::vector<int64_t> uneven(int64_t n, int size) {
  std::vector<int64_t> parts(size_t(size), n / size);
  parts.front() = 0, parts.back() = 0;
  parts.back() = n - std::accumulate(parts.begin(), parts.end(), int64_t(0));
  return parts;
}

static void for_each_case(const std::function<void(int64_t n, DType dtype)>& body) {
  for (int64_t n : {0, 1, 7, 100003})
    for (DType dtype : {DType::f32, DType::bf16}) body(n, dtype);
}

TEST(all_reduce_sums_with_the_same_bits_on_every_rank) {
  everywhere([](Communicator& ranks, Device& device) {
    for_each_case([&](int64_t n, DType dtype) {
      Numbers x(device, n, dtype);
      x.write(numbers_of(ranks.rank(), n, dtype));
      ranks.all_reduce(x.tensor(), "x");
      ranks.wait();
      const std::string got = x.read();
      check_sum(got, ranks.size(), n, 0, n, dtype);
      for (const std::string& other : ranks.gather(got, "the sums")) check(other == got, "two ranks have different bits");
    });
  });
}

TEST(reduce_scatter_sums_this_ranks_part) {
  everywhere([](Communicator& ranks, Device& device) {
    for_each_case([&](int64_t n, DType dtype) {
      const auto parts = uneven(n, ranks.size());
      Numbers x(device, n, dtype);
      x.write(numbers_of(ranks.rank(), n, dtype));
      ranks.reduce_scatter(x.tensor(), parts, "x");
      ranks.wait();
      const int64_t first = first_of(parts, ranks.rank());
      check_sum(x.read(), ranks.size(), n, first, first + parts[size_t(ranks.rank())], dtype);
    });
  });
}

TEST(all_gather_fills_in_the_other_parts) {
  everywhere([](Communicator& ranks, Device& device) {
    for_each_case([&](int64_t n, DType dtype) {
      const auto parts = uneven(n, ranks.size());
      const size_t first = size_t(first_of(parts, ranks.rank()) * size_of(dtype)), bytes = size_t(parts[size_t(ranks.rank())] * size_of(dtype));
      const std::string whole = numbers_of(0, n, dtype);
      std::string mine(whole.size(), '\xff');
      mine.replace(first, bytes, whole, first, bytes);
      Numbers x(device, n, dtype);
      x.write(mine);
      ranks.all_gather(x.tensor(), parts, "x");
      ranks.wait();
      check(x.read() == whole, "rank ", ranks.rank(), " of ", ranks.size(), " has wrong bits in ", n, " elements");
    });
  });
}

TEST(broadcast_gives_the_roots_bits) {
  everywhere([](Communicator& ranks, Device& device) {
    for_each_case([&](int64_t n, DType dtype) {
      for (int root : {0, ranks.size() - 1}) {
        Numbers x(device, n, dtype);
        x.write(numbers_of(ranks.rank(), n, dtype));
        ranks.broadcast(x.tensor(), root, "x");
        ranks.wait();
        check(x.read() == numbers_of(root, n, dtype), "rank ", ranks.rank(), " has wrong bits from rank ", root);
      }
    });
  });
}

TEST(collectives_are_queued_in_order) {
  everywhere([](Communicator& ranks, Device& device) {
    std::vector<std::unique_ptr<Numbers>> all;
    for (int i = 0; i < 20; i++) {
      all.push_back(std::make_unique<Numbers>(device, 1000 + i, DType::f32));
      all.back()->write(numbers_of(ranks.rank(), 1000 + i, DType::f32));
      ranks.all_reduce(all.back()->tensor(), "x");
      if (i % 5 == 0) ranks.gather("", "something beside");
    }
    ranks.wait();
    for (int i = 0; i < 20; i++) check_sum(all[size_t(i)]->read(), ranks.size(), 1000 + i, 0, 1000 + i, DType::f32);
  });
}

TEST(nobody_passes_a_barrier_alone) {
  for (int size : {2, 4}) {
    std::atomic<int> arrived = 0;
    const auto body = [&](Communicator& ranks, Device&) {
      for (int turn = 1; turn <= 3; turn++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20 * ranks.rank()));
        arrived++;
        ranks.barrier("x");
        check(arrived >= turn * size, arrived, " of ", turn * size, " have arrived");
        ranks.barrier("x");
      }
    };
    over_threads(size, DeviceKind::cpu, body);
    if (!has_gloo()) return;
    arrived = 0;
    const Folder folder;
    for (const std::string& error : errors_over_gloo(size, DeviceKind::cpu, folder.address(), body)) check(error.empty(), error);
  }
}

TEST(operands_that_do_not_fit_are_refused) {
  everywhere([](Communicator& ranks, Device& device) {
    Numbers x(device, 10, DType::f32);
    std::vector<int64_t> parts(size_t(ranks.size()), 0);
    const std::string said = text("of x, float32 [10]: ", ranks.size(), " parts hold 0 elements, expected ", ranks.size(), " parts that hold 10");
    check_throws(Code::kShape, "all_gather " + said, [&] { ranks.all_gather(x.tensor(), parts, "x"); });
    check_throws(Code::kShape, "reduce_scatter " + said, [&] { ranks.reduce_scatter(x.tensor(), parts, "x"); });
    check_throws(Code::kArgument, text("root is ", ranks.size(), ", expected 0 to ", ranks.size() - 1), [&] { ranks.broadcast(x.tensor(), ranks.size(), "x"); });
    ranks.barrier("all are here still");
  });
}

TEST(every_run_gives_the_same_bits) {
  if (!has_gloo()) return;
  for (int size : {2, 3, 4})
    for (DType dtype : {DType::f32, DType::bf16}) {
      std::string bits;
      for (int run = 0; run < 5; run++) {
        const Folder folder;
        std::string got;
        const auto errors = errors_over_gloo(size, DeviceKind::cpu, folder.address(), [&](Communicator& ranks, Device& device) {
          Numbers x(device, 100003, dtype);
          x.write(numbers_of(ranks.rank(), 100003, dtype));
          ranks.all_reduce(x.tensor(), "x");
          ranks.wait();
          if (ranks.rank() == 0) got = x.read();
        });
        for (const std::string& error : errors) check(error.empty(), error);
        if (run == 0) bits = got;
        check(got == bits, "run ", run, " of ", size, " ranks gave other bits");
      }
    }
}

TEST(traffic_is_counted) {
  if (!has_gloo()) return;
  const Folder folder;
  const auto errors = errors_over_gloo(4, DeviceKind::cpu, folder.address(), [](Communicator& ranks, Device& device) {
    Numbers x(device, 1000, DType::f32);
    x.write(numbers_of(0, 1000, DType::f32));
    ranks.all_reduce(x.tensor(), "x");
    ranks.all_gather(x.tensor(), {100, 200, 300, 400}, "x");
    ranks.wait();
    const Traffic t = ranks.traffic();
    const int64_t neighbours = 100 * ((ranks.rank() + 1) % 4 + 1);
    check(t.collectives == 2 && t.bytes == 2 * 3 * 4000 / 4 + (1000 - neighbours) * 4, t.collectives, " collectives, ", t.bytes, " bytes");
    check(t.busy > 0 && t.waited > 0, "no time has gone by");
    check(ranks.library().rfind("gloo 0.", 0) == 0, ranks.library());
  });
  for (const std::string& error : errors) check(error.empty(), error);
}

TEST(ranks_at_different_collectives_find_out) {
  const auto body = [](Communicator& ranks, Device& device) {
    Numbers x(device, 10 + ranks.rank(), DType::f32);
    ranks.all_reduce(x.tensor(), "the gradient");
    ranks.wait();
  };
  if (has_gloo()) {
    const Folder folder;
    for (const std::string& error : errors_over_gloo(2, DeviceKind::cpu, folder.address(), body)) check_says(error, "all_reduce of the gradient, float32 [11]");
  }
  try {
    over_threads(2, DeviceKind::cpu, body);
  } catch (const testing::Failure& e) {
    check_says(e.what(), "rank 1 is at \"all_reduce of the gradient, float32 [11]\" while rank 0 is at \"all_reduce of the gradient, float32 [10]\"");
    return;
  }
  check(false, "threads did not find out");
}

TEST(a_rank_that_ends_is_lost_to_the_threads) {
  try {
    over_threads(3, DeviceKind::cpu, [](Communicator& ranks, Device&) {
      if (ranks.rank() != 1) ranks.barrier("the end");
    });
  } catch (const testing::Failure& e) {
    return check_says(e.what(), "rank 1 has left; rank 0 of 3 was at \"barrier the end\"");
  }
  check(false, "nobody was lost");
}

// Rank 2 arrives at an all_reduce, so that the others begin to move data, and then dies or freezes in it. The sum after that fails alike.
static void lose_a_rank_inside(int signal, const std::string& said) {
  const std::string address = tcp_address(), what = "all_reduce of the gradient, float32 [1000000]";
  const Child child([&] {
    Rendezvous r(options_of(2, 3, address, 30, 1));
    Device device(DeviceKind::cpu, 0, 1);
    const auto ranks = connect(device, r, "gloo", kPlugin);
    Numbers x(device, 1000, DType::f32);
    ranks->all_reduce(x.tensor(), "something");
    ranks->wait();
    r.gather("collectives", what, "");
    raise(signal);
  });
  const auto errors = errors_of(2, [&](int rank) {
    Rendezvous r(options_of(rank, 3, address, 30, 1));
    Device device(DeviceKind::cpu, 0, 1);
    const auto ranks = connect(device, r, "gloo", kPlugin);
    Numbers x(device, 1000, DType::f32), y(device, 1000000, DType::f32);
    ranks->all_reduce(x.tensor(), "something");
    ranks->wait();
    ranks->all_reduce(y.tensor(), "the gradient");
    try {
      ranks->wait();
    } catch (const Error& e) {
      check(e.code == Code::kRank, "code ", int(e.code));
      for (const auto& again : {std::function<void()>([&] { ranks->all_reduce(x.tensor(), "more"); }), std::function<void()>([&] { ranks->wait(); })}) check_throws(Code::kRank, e.what(), again);
      throw;
    }
  });
  for (int rank : {0, 1}) check_says(errors[size_t(rank)], text("rank 2 (host n2) ", said, "; rank ", rank, " of 3 was in \"", what, "\": "));
}

TEST(a_rank_that_dies_inside_an_all_reduce_is_named) {
  if (has_gloo()) lose_a_rank_inside(SIGKILL, "ended without a word: its connection closed");
}

TEST(a_rank_that_freezes_inside_an_all_reduce_is_named) {
  if (has_gloo()) lose_a_rank_inside(SIGSTOP, "has not been heard of for 1 s");
}

// What `connect` throws on each of two CPU ranks.
static std::vector<std::string> errors_of_connect(const std::vector<std::string>& libraries, const std::string& plugin, Code code) {
  const Folder folder;
  return errors_of(2, [&](int rank) {
    Rendezvous r(options_of(rank, 2, folder.address()));
    Device device(DeviceKind::cpu, 0, 1);
    try {
      connect(device, r, libraries[size_t(rank)], plugin);
    } catch (const Error& e) {
      check(e.code == code, "code ", int(e.code), ": ", e.what());
      r.leave(e.what());
      throw;
    }
  });
}

TEST(a_library_that_is_missing_is_told) {
  for (const std::string& error : errors_of_connect({"gloo", "auto"}, "/nowhere/gemmatune_gloo.so", Code::kDevice)) {
    check_says(error, "Gloo cannot be used: /nowhere/gemmatune_gloo.so: cannot open shared object file");
    check_says(error, "apt install libgloo-dev");
  }
  for (const std::string& error : errors_of_connect({"nccl", "nccl"}, kPlugin, Code::kArgument)) check_says(error, "NCCL is for cuda, the device is cpu");
  for (const std::string& error : errors_of_connect({"mpi", "mpi"}, kPlugin, Code::kArgument)) check_says(error, "the collectives library is \"mpi\", expected \"auto\", \"gloo\" or \"nccl\"");
}

TEST(the_network_interface_can_be_named) {
  if (!has_gloo()) return;
  setenv("GLOO_SOCKET_IFNAME", "nosuch0", 1);
  const auto errors = errors_of_connect({"gloo", "gloo"}, kPlugin, Code::kDevice);
  unsetenv("GLOO_SOCKET_IFNAME");
  for (const std::string& error : errors) check_says(error, "Gloo cannot connect from nosuch0: ");
}

}  // namespace gt::comm
