#include "comm/rendezvous.h"

#include <poll.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "comm/clock.h"
#include "comm/rendezvous_server.h"
#include "core/error.h"

namespace gt::comm {

constexpr auto kLook = std::chrono::milliseconds(50);  // between looks at `cancelled`, and between tries to connect
constexpr double kFlush = 2;                           // seconds in which rank 0 must take what a rank says last

// This rank's connection to rank 0's server, and the thread that reads it and says every second that this rank is there.
struct Rendezvous::Impl {
  const RendezvousOptions options;
  std::unique_ptr<RendezvousServer> server;  // on rank 0
  Wake wake;
  std::mutex mutex;  // of all that follows
  std::condition_variable changed;
  std::optional<Connection> connection;
  std::vector<std::string> descriptions;  // by rank, once all have come
  std::string address;                    // Rendezvous::local_address
  std::string failure;                    // about the first rank that was lost
  std::string gone;                       // why gather() cannot end: what came first, a failure or the goodbye
  std::map<std::string, std::optional<std::vector<std::string>>> gathers;  // under way, by channel; with the answer when it has come
  bool left = false, goodbye = false, stop = false;
  std::string reason;  // why this rank left
  std::thread thread;

  explicit Impl(const RendezvousOptions& o) : options(o) {
    require(o.size >= 1 && o.rank >= 0 && o.rank < o.size, Code::kArgument, "rank is ", o.rank, " of ", o.size, " ranks, expected 0 to size - 1");
    require(o.join_timeout > 0 && o.rank_timeout > 0, Code::kArgument, "the timeouts are ", o.join_timeout, " and ", o.rank_timeout, " seconds, expected more than 0");
    const Frame greeting = hello();
    require(greeting.bytes() <= kLargestHello, Code::kArgument, "the run's name and the description of rank ", o.rank, " have ", o.run.size(), " and ", o.description.size(), " bytes, expected at most ", kLargestHello / 2, " together");
  }

  ~Impl() {
    leave("");
    {
      const std::lock_guard lock(mutex);
      stop = true;
    }
    wake.call();
    if (thread.joinable()) thread.join();
    connection.reset();
  }

  Frame hello() const { return {Frame::hello, {kMagic, options.run, std::to_string(options.rank), std::to_string(options.size), options.description}}; }
  bool cancelled() const { return options.cancelled && *options.cancelled; }
  std::string self() const { return text("rank ", options.rank, " of ", options.size); }
  std::string rank_0() const { return rank_name(0, descriptions.empty() ? "at " + options.address : descriptions[0]); }

  void require_not_cancelled() {
    if (!cancelled()) return;
    const std::string why = text(self(), " was cancelled before all ranks had come");
    leave("it was cancelled before all ranks had come");
    throw Error(Code::kCancelled, why);
  }

  void join() {
    if (options.rank == 0) server = std::make_unique<RendezvousServer>(options);
    Connection made(connect(Address(options.address)));
    made.send(hello());
    {
      const std::lock_guard lock(mutex);
      connection.emplace(std::move(made));
    }
    thread = std::thread([this] { loop(); });
    std::unique_lock lock(mutex);
    while (descriptions.empty() && failure.empty()) {
      changed.wait_for(lock, kLook);
      lock.unlock();
      require_not_cancelled();
      lock.lock();
    }
    require(failure.empty(), Code::kRank, failure);
  }

  // Rank 0 may start later, and its host's name may be known later.
  Descriptor connect(const Address& to) {
    const double deadline = now() + options.join_timeout;
    std::string problem;
    do {
      require_not_cancelled();
      if (Descriptor s = connect_to(to, std::min(1.0, options.join_timeout), problem)) return s;
      std::this_thread::sleep_for(kLook);
    } while (now() < deadline);
    throw Error(Code::kRank, text(self(), " did not reach rank 0 at ", options.address, " within ", options.join_timeout, " s (", problem, "); is rank 0 running, and may this machine connect to that address?"));
  }

  void loop() {
    double heard = now(), beaten = 0, stopped = 0;
    std::unique_lock lock(mutex);
    for (;;) {
      if (stop && stopped == 0) stopped = now();
      if (stop && (!connection->unsent() || now() > stopped + kFlush)) return;
      pollfd polled[]{{connection->socket().get(), short(POLLIN | (connection->unsent() ? POLLOUT : 0)), 0}, {wake.ready(), POLLIN, 0}};
      lock.unlock();
      poll(polled, 2, std::max(1, int(beat_interval(options) * 500)));
      if (polled[1].revents) wake.clear();
      lock.lock();
      connection->flush();
      if (polled[0].revents & (POLLIN | POLLHUP | POLLERR)) heard = now(), receive();
      const double time = now();
      if (time - heard > options.rank_timeout && !goodbye) fail(text(rank_0(), " has not been heard of for ", options.rank_timeout, " s"));
      if (connection->ended() && !goodbye && !left) fail(text(rank_0(), " ended without a word: its connection closed"));
      changed.notify_all();
      if (connection->ended()) return;
      if (time - beaten >= beat_interval(options) && !left) connection->send({Frame::beat, {}}), beaten = time;
    }
  }

  void fail(const std::string& sentence) {
    if (failure.empty()) failure = sentence;
    if (gone.empty()) gone = sentence;
  }

  void receive() {
    try {
      for (Frame& frame : connection->receive()) handle(frame);
    } catch (const Error& e) {
      fail(text("what answers at ", options.address, " is not rank 0 of a run: ", e.what(), "; give the address at which rank 0 listens"));
    }
  }

  void handle(Frame& frame) {
    std::vector<std::string>& fields = frame.fields;
    const size_t ranks = size_t(options.size);
    const auto expect = [&](size_t count) { require(fields.size() == count, Code::kRank, "a frame of kind ", int(frame.kind), " has ", fields.size(), " fields, expected ", count); };
    if (frame.kind == Frame::failed) {
      expect(1);
      fail(fields[0]);
    } else if (frame.kind == Frame::started) {
      expect(1 + ranks);
      // From rank 0's host the way to rank 0 is perhaps the loopback, which leads the others nowhere.
      address = own_address(connection->socket());
      if (is_loopback(address)) address = fields[0];
      descriptions.assign(fields.begin() + 1, fields.end());
    } else if (frame.kind == Frame::gathered) {
      expect(1 + ranks);
      const auto found = gathers.find(fields[0]);
      require(found != gathers.end(), Code::kRank, "an answer came that nobody waits for");
      fields.erase(fields.begin());
      found->second = std::move(fields);
    } else if (frame.kind == Frame::goodbye) {
      expect(1);
      goodbye = true;
      if (gone.empty()) gone = fields[0];
    } else {
      require(frame.kind == Frame::beat, Code::kRank, "a frame of kind ", int(frame.kind), " came");
    }
  }

  // Under the lock.
  void send(const Frame& frame) {
    connection->send(frame);
    if (connection->unsent()) wake.call();
  }

  void require_alive(const std::string& what) const {
    const std::string here = text("; ", self(), " was at \"", what, "\"");
    require(gone.empty(), Code::kRank, gone, here);
    require(!left, Code::kRank, self(), " has left", reason.empty() ? "" : ": ", reason, here);
  }

  std::vector<std::string> gather(const std::string& channel, const std::string& what, const std::string& mine) {
    const Frame frame{Frame::gather, {channel, what, mine}};
    require(frame.bytes() <= kLargestFrame, Code::kArgument, self(), " gave ", mine.size(), " bytes to \"", what, "\", expected at most ", kLargestFrame, " of all ranks together");
    std::unique_lock lock(mutex);
    require_alive(what);
    if (options.size == 1) return {mine};
    const auto [mine_here, fresh] = gathers.try_emplace(channel);
    require(fresh, Code::kInternal, "two threads gather on channel \"", channel, "\" at the same time: the second at \"", what, "\"");
    send(frame);
    changed.wait(lock, [&] { return mine_here->second || !gone.empty() || left; });
    const auto answer = gathers.extract(mine_here);
    if (!answer.mapped()) require_alive(what);
    return std::move(*answer.mapped());
  }

  void leave(const std::string& why) {
    const std::lock_guard lock(mutex);
    if (left) return;
    left = true, reason = why;
    if (connection) send({Frame::leave, {why.substr(0, kLargestHello)}});
    changed.notify_all();
  }
};

Rendezvous::Rendezvous(const RendezvousOptions& options) : impl_(std::make_unique<Impl>(options)) {
  if (options.size > 1) impl_->join();
}
Rendezvous::~Rendezvous() = default;

int Rendezvous::rank() const { return impl_->options.rank; }
int Rendezvous::size() const { return impl_->options.size; }
double Rendezvous::rank_timeout() const { return impl_->options.rank_timeout; }

std::string Rendezvous::local_address() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->address;
}

std::vector<std::string> Rendezvous::gather(const std::string& channel, const std::string& what, const std::string& mine) { return impl_->gather(channel, what, mine); }

void Rendezvous::leave(const std::string& reason) { impl_->leave(reason); }

std::string Rendezvous::failure(double seconds) {
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait_for(lock, std::chrono::duration<double>(seconds), [&] { return !impl_->failure.empty(); });
  return impl_->failure;
}

}  // namespace gt::comm
