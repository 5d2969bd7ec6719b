#include "comm/nccl.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>

#include "comm/clock.h"
#include "comm/nccl_library.h"
#include "comm/operands.h"
#include "comm/queue.h"

namespace gt::comm {
namespace {

constexpr auto kSettlePoll = std::chrono::microseconds(50);  // between a call and the work that it queues
constexpr auto kWatchPoll = std::chrono::milliseconds(2);    // for collectives under way; also how finely Traffic::busy is told
constexpr double kNews = 2;                                  // seconds in which a rank hears that another one ended
constexpr double kEnd = 5;                                   // seconds for NCCL to end in order

// NCCL picks algorithm and protocol by size, topology and version, and NVLS adds in the switch in no fixed order: sums would not have the same bits in every
// run. A user's own choice stays. setenv is no friend of threads that read the environment: it is done once, before NCCL, which reads these at its first
// communicator only, is loaded.
void pin_algorithm() {
  static std::once_flag once;
  std::call_once(once, [] {
    setenv("NCCL_ALGO", "Ring", 0);
    setenv("NCCL_PROTO", "Simple", 0);
    setenv("NCCL_NVLS_ENABLE", "0", 0);
  });
}

nccl::Type type_of(const char* op, const char* what, const Tensor& x) {
  switch (x.dtype) {
    case DType::f32: return nccl::kFloat32;
    case DType::bf16: return nccl::kBfloat16;
    case DType::f64: return nccl::kFloat64;
    case DType::i32: return nccl::kInt32;
    case DType::i16: break;
  }
  throw Error(Code::kArgument, text(describe(op, what, x), ": NCCL has no sums of ", name_of(x.dtype)));
}

// A collective that is queued on the lane.
struct UnderWay {
  std::string what;
  gpu::Mark before, after;                // the compute work that it waits for; itself
  std::optional<double> begun;  // seen that `before` had passed
};

// Three threads: the caller's; the queue's, which queues collectives on the lane when all ranks have come to them; and the watch's. NCCL has no timeout: a rank
// that dies leaves kernels of the others spinning, and the compute stream behind them. So the watch looks at what is under way and, where a rank is lost,
// aborts the communicator, which ends those kernels; what waits for them on the host then goes on, with numbers that nobody may use, to a call that throws.
class Nccl final : public Communicator {
 public:
  Nccl(Device& device, Rendezvous& rendezvous, const nccl::Library& library, const nccl::UniqueId& id)
      : Communicator(rendezvous.rank(), rendezvous.size(), "nccl " + nccl::version_text(library.version)), device_(device), rendezvous_(rendezvous), nccl_(library), lane_(device.gpu().open_lane()) {
    nccl::Config config;
    std::unique_lock lock(mutex_);
    settle(lock, nccl_.init_rank(&comm_, size(), id, rank(), &config), "the start of NCCL");
    queue_ = std::make_unique<Queue>();
    watch_ = std::thread([this] { watch(); });
  }

  ~Nccl() override {
    std::unique_lock lock(mutex_);
    const bool unfinished = to_come_ > 0;
    lock.unlock();
    // The queue may stand in gather(), for ranks that wait for something else.
    if (unfinished) rendezvous_.leave(text("rank ", rank(), " ended while collectives were under way"));
    queue_.reset();
    lock.lock();
    changed_.wait(lock, [&] { return under_way_.empty(); });
    stop_ = true;
    changed_.notify_all();
    lock.unlock();
    watch_.join();
    if (comm_) end();
  }

  void all_reduce(const Tensor& x, const char* what) override {
    const nccl::Type type = type_of("all_reduce", what, x);
    collective(describe("all_reduce", what, x), 2 * x.bytes(), [=, this](nccl::Comm* comm) { return nccl_.all_reduce(x.data, x.data, size_t(x.count()), type, nccl::kSum, comm, lane_->stream); });
  }

  // Parts may differ in size, which NCCL's own reduce_scatter and all_gather do not take: a group of one reduction, or one broadcast, a rank.
  void reduce_scatter(const Tensor& x, const std::vector<int64_t>& parts, const char* what) override {
    require_parts("reduce_scatter", what, x, parts, size());
    const nccl::Type type = type_of("reduce_scatter", what, x);
    collective(describe("reduce_scatter", what, x), x.bytes(), [=, this](nccl::Comm* comm) {
      return for_each_part(x, parts, [&](char* part, size_t count, int root) { return nccl_.reduce(part, part, count, type, nccl::kSum, root, comm, lane_->stream); });
    });
  }
  void all_gather(const Tensor& x, const std::vector<int64_t>& parts, const char* what) override {
    require_parts("all_gather", what, x, parts, size());
    const nccl::Type type = type_of("all_gather", what, x);
    collective(describe("all_gather", what, x), x.bytes(), [=, this](nccl::Comm* comm) {
      return for_each_part(x, parts, [&](char* part, size_t count, int root) { return nccl_.broadcast(part, part, count, type, root, comm, lane_->stream); });
    });
  }
  void broadcast(const Tensor& x, int root, const char* what) override {
    require_root(what, x, root, size());
    const nccl::Type type = type_of("broadcast", what, x);
    collective(describe("broadcast", what, x), x.bytes(), [=, this](nccl::Comm* comm) { return nccl_.broadcast(x.data, x.data, size_t(x.count()), type, root, comm, lane_->stream); });
  }

  // Also tells whether the collectives before it went well: they are done then.
  void barrier(const char* what) override {
    const double begun = now();
    throw_if_failed();
    queue_->drain(queue_->pushed());
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return under_way_.empty(); });
    lock.unlock();
    exchange(text("barrier, ", what), "");
    add_wait(begun);
  }

  int64_t queued() const override { return queue_->pushed(); }
  void wait(int64_t count) override {
    const double begun = now();
    queue_->drain(count);
    throw_if_failed();
    gpu::Mark last;
    {
      const std::lock_guard lock(mutex_);
      for (; !ends_.empty() && waited_for_ < count; ends_.pop_front(), waited_for_++) last = ends_.front();
    }
    if (last) device_.gpu().wait_for(last);
    add_wait(begun);
  }

  std::vector<std::string> gather(const std::string& mine, const char* what) override {
    const double begun = now();
    std::vector<std::string> all = exchange(text("gather of ", what), mine);
    add_wait(begun);
    return all;
  }

  Traffic traffic() const override {
    const std::lock_guard lock(mutex_);
    return traffic_;
  }

 private:
  template <class Call>
  nccl::Result for_each_part(const Tensor& x, const std::vector<int64_t>& parts, const Call& call) {
    char* at = static_cast<char*>(x.data);
    nccl::Result status = nccl::kSuccess;
    for (int r = 0; r < size() && is_good(status); at += parts[size_t(r++)] * size_of(x.dtype))
      if (parts[size_t(r)]) status = call(at, size_t(parts[size_t(r)]), r);
    return status;
  }
  static bool is_good(nccl::Result status) { return status == nccl::kSuccess || status == nccl::kInProgress; }

  // The caller's part of a collective. `bytes`: what a ring of very many ranks would send.
  void collective(const std::string& what, int64_t bytes, std::function<nccl::Result(nccl::Comm*)> call) {
    throw_if_failed();
    const gpu::Mark before = device_.gpu().mark();
    {
      const std::lock_guard lock(mutex_);
      to_come_++;
      traffic_.collectives++;
      traffic_.bytes += bytes * (size() - 1) / size();
    }
    queue_->push([=, this, call = std::move(call)] { begin(what, before, call); });
  }

  // The queue's part. When all ranks have come, nobody can be missing on the device but by a failure: waiting there may be limited in time.
  void begin(const std::string& what, const gpu::Mark& before, const std::function<nccl::Result(nccl::Comm*)>& call) {
    std::string problem;
    try {
      rendezvous_.gather("collectives", what, "");
    } catch (const Error& e) {
      problem = e.what();
    }
    std::unique_lock lock(mutex_);
    to_come_--;
    try {
      if (!problem.empty()) fail(lock, [&] { return problem; });
      if (failing_) return;
      lane_->wait_for(before);
      nccl::Result status = nccl_.group_start();
      if (is_good(status)) {
        status = call(comm_);
        const nccl::Result ended = nccl_.group_end();  // even where a call was refused: a group left open would swallow the next
        if (is_good(status)) status = ended;
      }
      settle(lock, status, what);
      ends_.push_back(lane_->mark());
      under_way_.push_back({what, before, ends_.back(), {}});
      changed_.notify_all();
    } catch (const Error& e) {
      fail(lock, [&] { return told_to_all(failed_here(what, e.what())); });
    }
  }

  // Waits until NCCL has queued what a call gave it; the first collective also connects the ranks in this time.
  void settle(std::unique_lock<std::mutex>& lock, nccl::Result status, const std::string& what) {
    const double begun = now();
    while (status == nccl::kInProgress && !failing_) {
      changed_.wait_for(lock, kSettlePoll);
      if (failing_ || fail_if_lost(lock, what)) break;
      if (now() - begun > rendezvous_.rank_timeout()) fail(lock, [&] { return no_progress(what); });
      else if (const nccl::Result asked = nccl_.async_error(comm_, &status); asked != nccl::kSuccess) status = asked;
    }
    if (!is_good(status)) fail(lock, [&] { return explained(what, words(status)); });
    throw_if_failed(lock);
  }

  // ---- the watch

  void watch() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
      if (under_way_.empty() || failing_) {
        changed_.wait(lock);
        continue;
      }
      look(lock);
      changed_.wait_for(lock, kWatchPoll);
    }
  }

  void look(std::unique_lock<std::mutex>& lock) {
    try {
      for (; !under_way_.empty() && lane_->passed(under_way_.front().after); under_way_.pop_front()) {
        if (under_way_.front().begun) traffic_.busy += now() - *under_way_.front().begun;
        changed_.notify_all();
      }
      if (under_way_.empty()) return;
      UnderWay& first = under_way_.front();
      if (!first.begun && lane_->passed(first.before)) first.begun = now();
    } catch (const Error& e) {
      return fail(lock, [&] { return explained(under_way_.front().what, e.what()); });
    }
    const std::string what = under_way_.front().what;
    if (fail_if_lost(lock, what)) return;
    nccl::Result status = nccl::kSuccess;
    if (const nccl::Result asked = nccl_.async_error(comm_, &status); asked != nccl::kSuccess) status = asked;
    if (!is_good(status)) return fail(lock, [&] { return explained(what, words(status)); });
    const std::optional<double> begun = under_way_.front().begun;
    if (begun && now() - *begun > rendezvous_.rank_timeout()) fail(lock, [&] { return no_progress(what); });
  }

  // ---- failure

  bool fail_if_lost(std::unique_lock<std::mutex>& lock, const std::string& what) {
    const std::string lost = rendezvous_.failure(0);
    if (!lost.empty()) fail(lock, [&] { return text(lost, " (rank ", rank(), " of ", size(), " was in ", what, ")"); });
    return !lost.empty();
  }

  // The first failure ends the communicator: NCCL lets go of the device at once, then `sentence` may take its time to find out why. From then on every call
  // throws it.
  void fail(std::unique_lock<std::mutex>& lock, const std::function<std::string()>& sentence) {
    if (failing_) return;
    failing_ = true;
    if (nccl::Comm* comm = std::exchange(comm_, nullptr)) nccl_.abort_comm(comm);
    lock.unlock();
    const std::string told = sentence();
    lock.lock();
    failure_ = told;
    under_way_.clear();
    changed_.notify_all();
  }

  // Where NCCL fails here, another rank is mostly to blame: one that ended without a word is known to the rendezvous in a moment. (One that is silent is known
  // there before NCCL knows.)
  std::string explained(const std::string& what, const std::string& why) {
    const std::string lost = rendezvous_.failure(kNews);
    if (!lost.empty()) return text(lost, " (rank ", rank(), " of ", size(), " was in ", what, ": ", why, ")");
    return told_to_all(failed_here(what, why));
  }
  std::string failed_here(const std::string& what, const std::string& why) { return text(what, " failed on rank ", rank(), " of ", size(), ": ", why); }
  std::string no_progress(const std::string& what) {
    return told_to_all(text(what, " made no progress on rank ", rank(), " of ", size(), " in ", rendezvous_.rank_timeout(),
                            " s though all ranks are alive: the ranks' GPUs do not reach each other; NCCL_DEBUG=INFO says by which network or bus it tried (NCCL_SOCKET_IFNAME, NCCL_P2P_DISABLE=1 change that)"));
  }
  // The others wait for this rank, and know of no failure.
  std::string told_to_all(const std::string& sentence) { return rendezvous_.leave(sentence), sentence; }

  std::string words(nccl::Result status) {
    const char* last = nccl_.last_error(nullptr);
    return text("NCCL says \"", nccl_.error_string(status), last && *last ? ": " : "", last ? last : "", "\"");
  }

  void throw_if_failed() {
    std::unique_lock lock(mutex_);
    throw_if_failed(lock);
  }
  void throw_if_failed(std::unique_lock<std::mutex>& lock) {
    changed_.wait(lock, [&] { return !failing_ || !failure_.empty(); });
    require(!failing_, Code::kRank, failure_);
  }

  std::vector<std::string> exchange(const std::string& what, const std::string& mine) {
    throw_if_failed();
    try {
      return rendezvous_.gather("host", what, mine);
    } catch (const Error&) {
      throw_if_failed();  // it knows more
      throw;
    }
  }

  void add_wait(double begun) {
    const std::lock_guard lock(mutex_);
    traffic_.waited += now() - begun;
  }

  // In order, when all is done: NCCL may still be passing on what others wait for. Without them, not for ever.
  void end() {
    const double begun = now();
    nccl::Result status = nccl_.finalize(comm_);
    while (status == nccl::kInProgress && now() - begun < kEnd) {
      std::this_thread::sleep_for(kSettlePoll);
      nccl_.async_error(comm_, &status);
    }
    if (status == nccl::kSuccess) nccl_.destroy(comm_);
    else nccl_.abort_comm(comm_);
  }

  Device& device_;
  Rendezvous& rendezvous_;
  const nccl::Library nccl_;
  const std::unique_ptr<gpu::Lane> lane_;

  mutable std::mutex mutex_;  // of all that follows, and for calls of NCCL
  std::condition_variable changed_;
  nccl::Comm* comm_ = nullptr;
  std::deque<UnderWay> under_way_;  // oldest first
  std::deque<gpu::Mark> ends_;  // of collectives on the lane that nobody has waited for, oldest first
  int64_t waited_for_ = 0;      // collectives that the compute stream waits for already
  int64_t to_come_ = 0;  // collectives that are not queued on the lane yet
  bool failing_ = false, stop_ = false;
  std::string failure_;
  Traffic traffic_;

  std::unique_ptr<Queue> queue_;
  std::thread watch_;
};

}  // namespace

std::unique_ptr<Communicator> connect_nccl(Device& device, Rendezvous& rendezvous) {
  require(!device.on_host(), Code::kDevice, "NCCL connects GPUs, the device is ", name_of(device.kind), ": use --collectives gloo");
  if (!std::getenv("NCCL_SHM_DISABLE")) nccl::require_shared_memory("/dev/shm");
  pin_algorithm();
  const nccl::Library library = nccl::open(nccl::candidates());
  nccl::UniqueId id{};
  if (rendezvous.rank() == 0) require(library.get_unique_id(&id) == nccl::kSuccess, Code::kDevice, library.path, " could not make an id for this run: ", library.last_error(nullptr));
  // The version is part of the name: NCCL of two versions does not connect, and the rendezvous says who has which.
  const std::string first = rendezvous.gather("nccl", text("the start of NCCL ", nccl::version_text(library.version)), rendezvous.rank() == 0 ? std::string(id.bytes, sizeof id.bytes) : "")[0];
  require(first.size() == sizeof id.bytes, Code::kRank, "rank 0 sent an NCCL id of ", first.size(), " bytes, expected ", sizeof id.bytes);
  std::memcpy(id.bytes, first.data(), sizeof id.bytes);
  return std::make_unique<Nccl>(device, rendezvous, library, id);
}

}  // namespace gt::comm
