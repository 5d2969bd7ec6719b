#include <poll.h>

#include <cstring>
#include <deque>
#include <future>
#include <set>

#include "comm/frames.h"
#include "comm/test_ranks.h"

namespace gt::comm {

using testing::check_throws;

static std::string letters(int rank) { return rank == 1 ? "" : std::string(size_t(100000 * (rank + 1)), char('a' + rank)); }

// Twice; the rank `late` comes last.
static void gather_letters(const std::string& address, int size, int late) {
  on_ranks(size, [&](int rank) {
    Rendezvous r(options_of(rank, size, address));
    for (int turn = 0; turn < 2; turn++) {
      if (rank == late) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      const auto all = r.gather("c", "letters", letters(rank));
      check(int(all.size()) == size, all.size(), " parts");
      for (int from = 0; from < size; from++) check(all[size_t(from)] == letters(from), "rank ", rank, " has a wrong part of ", from);
    }
    check(r.local_address() == (address[0] == 'u' || size == 1 ? "" : "127.0.0.1"), "local address ", r.local_address());
  });
}

TEST(every_rank_gets_every_ranks_bytes) {
  for (int size = 1; size <= 4; size++)
    for (int late = 0; late < size; late++) {
      const Folder folder;
      gather_letters(folder.address(), size, late);
      gather_letters(tcp_address(), size, late);
    }
}

TEST(an_address_is_of_two_forms) {
  for (const char* wrong : {"", "unix:", "tcp:host", "tcp::80", "tcp:host:0", "tcp:host:65536", "tcp:host:8x", "http://host:80"}) check_throws(Code::kArgument, "expected \"tcp:host:port\" or \"unix:path\"", [&] { Address a(wrong); });
  check_throws(Code::kArgument, "at most 107", [] { Address a("unix:/" + std::string(107, 'x')); });
  const Address six("tcp:[::1]:80");
  check(six.host == "::1" && six.port == "80" && six.text() == "tcp:[::1]:80", six.text());
}

TEST(channels_do_not_wait_for_each_other) {
  const Folder folder;
  on_ranks(2, [&](int rank) {
    Rendezvous r(options_of(rank, 2, folder.address()));
    // Each rank begins with another channel: with one order for all, neither would end.
    std::thread beside([&] { r.gather(rank ? "a" : "b", "x", ""); });
    r.gather(rank ? "b" : "a", "x", "");
    beside.join();
  });
}

TEST(two_threads_on_one_channel_are_refused) {
  const Folder folder;
  on_ranks(2, [&](int rank) {
    Rendezvous r(options_of(rank, 2, folder.address()));
    if (rank == 1) {
      r.gather("go", "x", "");
      r.gather("c", "x", "");
      return;
    }
    // Rank 1 answers neither before one of them has been refused.
    std::atomic<int> refused = 0;
    const auto call = [&] {
      try {
        r.gather("c", "x", "");
      } catch (const Error& e) {
        check_says(e.what(), "two threads gather on channel \"c\"");
        refused++;
        r.gather("go", "x", "");
      }
    };
    std::thread beside(call);
    call();
    beside.join();
    check(refused == 1, refused, " were refused");
  });
}

TEST(rank_0_may_come_last) {
  const std::string address = tcp_address();
  on_ranks(3, [&](int rank) {
    if (rank == 0) std::this_thread::sleep_for(std::chrono::milliseconds(300));
    Rendezvous r(options_of(rank, 3, address));
    r.gather("c", "x", "");
  });
}

TEST(missing_ranks_are_named) {
  const Folder folder;
  auto errors = errors_of(4, [&](int rank) {
    if (rank == 3) return;
    Rendezvous r(options_of(rank, 4, folder.address(), 0.5));
  });
  for (int rank = 0; rank < 3; rank++) check(errors[size_t(rank)] == "rank 3 of 4 has not come within 0.5 s (0, 1 and 2 are here)", errors[size_t(rank)]);
  const Folder other;
  errors = errors_of(3, [&](int rank) {
    if (rank == 0) Rendezvous r(options_of(rank, 3, other.address(), 0.3));
  });
  check(errors[0] == "ranks 1 and 2 of 3 have not come within 0.3 s (0 is here)", errors[0]);
}

TEST(rank_0_that_is_not_there_is_named) {
  const std::string address = tcp_address();
  const auto errors = errors_of(1, 2, [&](int) { Rendezvous r(options_of(1, 2, address, 0.3)); });
  check_says(errors[1], "rank 1 of 2 did not reach rank 0 at " + address + " within 0.3 s (Connection refused)");
}

TEST(a_port_in_use_is_told) {
  const int s = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in a{};
  socklen_t n = sizeof a;
  a.sin_family = AF_INET, a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  check(bind(s, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0 && listen(s, 1) == 0 && getsockname(s, reinterpret_cast<sockaddr*>(&a), &n) == 0, "no port");
  const int port = ntohs(a.sin_port);
  check_throws(Code::kArgument, text("port ", port, " of host 127.0.0.1 is in use by another program; give another MASTER_PORT or --address"), [&] { Rendezvous r(options_of(0, 2, text("tcp:127.0.0.1:", port))); });
  close(s);
}

TEST(options_that_make_no_sense_are_refused) {
  check_throws(Code::kArgument, "rank is 2 of 2 ranks", [] { Rendezvous r(options_of(2, 2, "unix:/tmp/x")); });
  check_throws(Code::kArgument, "timeouts are 0", [] { Rendezvous r(options_of(0, 2, "unix:/tmp/x", 0)); });
  auto o = options_of(0, 2, "unix:/tmp/x");
  o.run = std::string(5000, 'x');
  check_throws(Code::kArgument, "have 5000 and 7 bytes", [&] { Rendezvous r(o); });
}

TEST(who_waits_may_be_cancelled) {
  const Folder folder;
  std::atomic<bool> cancelled = false;
  const auto errors = errors_of(3, [&](int rank) {
    if (rank == 2) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      cancelled = true;
      return;
    }
    auto o = options_of(rank, 3, folder.address());
    if (rank == 1) o.cancelled = &cancelled;
    Rendezvous r(o);
  });
  check_says(errors[1], "rank 1 of 3 was cancelled before all ranks had come");
  check_says(errors[0], "rank 1 (host n1) stopped: it was cancelled before all ranks had come");
}

// A connection to rank 0, once it listens.
static Connection connected(const std::string& address) {
  std::string problem;
  for (int i = 0; i < 4000; i++) {
    if (Descriptor s = connect_to(Address(address), 1, problem)) return Connection(std::move(s));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  throw testing::Failure("nobody listens at " + address + ": " + problem);
}

// Sends the bytes to rank 0 once it listens, and gives what the server answers to it: the sentence of the first frame.
static std::string answer_to(const std::string& address, const std::string& bytes, bool quiet = false) {
  Connection connection = connected(address);
  if (!bytes.empty() && send(connection.socket().get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return "nothing could be sent";
  for (int i = 0; i < 400 && !quiet; i++) {
    const auto frames = connection.receive();
    if (!frames.empty()) return frames[0].fields.empty() ? text("a frame of kind ", int(frames[0].kind)) : frames[0].fields[0];
    if (connection.ended()) return "closed";
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return "no answer";
}

// A rank of the test's own: it says what it is told to, and nothing else, not even that it is there.
class Bare {
 public:
  explicit Bare(const RendezvousOptions& o) : connection_(connected(o.address)) { say({Frame::hello, {kMagic, o.run, std::to_string(o.rank), std::to_string(o.size), o.description}}); }

  void say(const Frame& frame) { connection_.send(frame); }

  // The next frame of one of these kinds. What the server handled before it sent that is over then.
  Frame hear(const std::set<Frame::Kind>& kinds) {
    for (;;) {
      while (!heard_.empty()) {
        const Frame frame = std::move(heard_.front());
        heard_.pop_front();
        if (kinds.count(frame.kind)) return frame;
      }
      check(!connection_.ended(), "the connection ended");
      receive();
    }
  }

  void hear_the_end() {
    while (!connection_.ended()) receive();
  }

 private:
  void receive() {
    pollfd polled{connection_.socket().get(), POLLIN, 0};
    check(poll(&polled, 1, 20000) == 1, "nothing came within 20 s");
    for (Frame& frame : connection_.receive()) heard_.push_back(std::move(frame));
  }

  Connection connection_;
  std::deque<Frame> heard_;
};

// Ranks that have met, and whose calls one thread then makes: in the order that the test wants. Those in `bare` are of the test's own.
class Party {
 public:
  explicit Party(int size, const std::set<int>& bare = {}, double rank_timeout = 30) : ranks_(size_t(size)), bares_(size_t(size)) {
    on_ranks(size, [&](int rank) {
      const auto o = options_of(rank, size, address, 30, rank_timeout);
      if (bare.count(rank)) bares_[size_t(rank)] = std::make_unique<Bare>(o);
      else ranks_[size_t(rank)] = std::make_unique<Rendezvous>(o);
    });
  }
  ~Party() {
    bares_.clear();
    while (!ranks_.empty()) ranks_.pop_back();  // rank 0, which waits for the others, last
  }
  Rendezvous& operator[](int rank) { return *ranks_[size_t(rank)]; }
  Bare& bare(int rank) { return *bares_[size_t(rank)]; }

  const std::string address = tcp_address();

  // What rank `rank` is told when it asks the others.
  std::string refusal(int rank) {
    try {
      (*this)[rank].gather("c", "the loss", "");
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }

 private:
  std::vector<std::unique_ptr<Rendezvous>> ranks_;
  std::vector<std::unique_ptr<Bare>> bares_;
};

TEST(strangers_are_turned_away_and_the_run_goes_on) {
  Party party(2);
  const auto answer = [&](const std::string& bytes) { return answer_to(party.address, bytes); };
  check_says(answer("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "turned this process away: what came is no rank's greeting");
  check_says(answer(std::string("\x05\0\0\0\x63\0\0\0\0", 9)), "a frame of kind 99 came");
  check_says(answer(std::string("\x06\0\0\0\x01\xff\xff\xff\xff\0", 10)), "cut off");
  check_says(answer(std::string("\x03\0\0\0\x01\0\0", 7)), "cut off");
  check_says(answer(std::string("\x01\0\0\0\x02", 5)), "a frame of kind 2 came first");
  check_says(answer(std::string("\x01\0\0\0\x01", 5)), "has 0 fields, expected 5");
  check_says(answer(std::string("\x00\x00\x10\x00", 4)), "a frame of 1048576 bytes came, expected 1 to 4092");
  answer_to(party.address, "", true);      // says nothing, and goes
  answer_to(party.address, "\x20", true);  // half a length
  on_ranks(2, [&](int rank) { party[rank].gather("c", "end", ""); });
}

// One who waits to be let in is not told that all ends well: it would wait for ever.
TEST(a_stranger_at_the_end_is_left_with_a_closed_connection) {
  const Folder folder;
  on_ranks(2, [&](int rank) {
    if (rank == 1) check_says(answer_to(folder.address(), ""), "closed");
    else check_throws(Code::kRank, "rank 1 of 2 has not come", [&] { Rendezvous r(options_of(0, 2, folder.address(), 2)); });
  });
}

static std::string error_of(const RendezvousOptions& o) {
  try {
    Rendezvous r(o);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(ranks_that_do_not_belong_are_turned_away_and_the_run_goes_on) {
  Party party(2);
  auto o = options_of(1, 2, party.address);
  o.run = "another run";
  check_says(error_of(o), "it belongs to another run than the rank 0 at " + party.address);
  check_says(error_of(options_of(2, 4, party.address)), "it says that the run has 4 ranks, rank 0 says 2");
  check_says(error_of(options_of(1, 2, party.address)), "the run has a rank 1 (host n1) already; give every process a rank of its own");
  on_ranks(2, [&](int rank) { party[rank].gather("c", "end", ""); });
}

TEST(a_program_that_is_no_rank_0_is_told) {
  const int s = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in a{};
  socklen_t n = sizeof a;
  a.sin_family = AF_INET, a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  check(bind(s, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0 && listen(s, 1) == 0 && getsockname(s, reinterpret_cast<sockaddr*>(&a), &n) == 0, "no port");
  const std::string address = text("tcp:127.0.0.1:", ntohs(a.sin_port));
  const auto errors = errors_of(0, 2, [&](int rank) {
    if (rank == 1) Rendezvous r(options_of(1, 2, address));
    if (rank == 1) return;
    const int other = accept(s, nullptr, nullptr);
    check(write(other, "HTTP/1.1 400 Bad Request\r\n", 26) == 26, "nothing could be sent");
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    close(other);
  });
  close(s);
  check_says(errors[1], "what answers at " + address + " is not rank 0 of a run");
}

TEST(a_killed_rank_is_named_to_all) {
  const std::string address = tcp_address();
  const Child child([&] {
    Rendezvous r(options_of(2, 3, address));
    r.gather("c", "begin", "");
    raise(SIGKILL);
  });
  const auto errors = errors_of(2, [&](int rank) {
    Rendezvous r(options_of(rank, 3, address));
    r.gather("c", "begin", "");
    const std::string lost = "rank 2 (host n2) ended without a word: its connection closed";
    check(r.failure(20) == lost, r.failure(0));
    check_throws(Code::kRank, lost + text("; rank ", rank, " of 3 was at \"the loss\""), [&] { r.gather("c", "the loss", ""); });
    r.gather("c", "the loss", "");
  });
  check_says(errors[0], "rank 2 (host n2)");
  check_says(errors[1], "rank 2 (host n2)");
}

TEST(a_rank_that_waits_hears_of_a_killed_one) {
  const Folder folder;
  const Child child([&] {
    Rendezvous r(options_of(1, 3, folder.address()));
    r.gather("c", "begin", "");
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    raise(SIGKILL);
  });
  const auto errors = errors_of(3, [&](int rank) {
    if (rank == 1) return;
    Rendezvous r(options_of(rank, 3, folder.address()));
    r.gather("c", "begin", "");
    r.gather("c", "the loss", "");
  });
  for (int rank : {0, 2}) check(errors[size_t(rank)] == text("rank 1 (host n1) ended without a word: its connection closed; rank ", rank, " of 3 was at \"the loss\""), errors[size_t(rank)]);
}

TEST(a_frozen_rank_is_named_after_the_timeout) {
  const Folder folder;
  const Child child([&] {
    Rendezvous r(options_of(1, 3, folder.address(), 30, 1));
    r.gather("c", "begin", "");
    raise(SIGSTOP);
  });
  const auto errors = errors_of(3, [&](int rank) {
    if (rank == 1) return;
    Rendezvous r(options_of(rank, 3, folder.address(), 30, 1));
    r.gather("c", "begin", "");
    r.gather("c", "the loss", "");
  });
  for (int rank : {0, 2}) check_says(errors[size_t(rank)], "rank 1 (host n1) has not been heard of for 1 s; rank");
}

TEST(rank_0_killed_or_frozen_is_named_by_all) {
  for (const int signal : {SIGKILL, SIGSTOP}) {
    const std::string address = tcp_address();
    const Child child([&] {
      Rendezvous r(options_of(0, 3, address, 30, 1));
      r.gather("c", "begin", "");
      raise(signal);
    });
    const auto errors = errors_of(1, 3, [&](int rank) {
      Rendezvous r(options_of(rank, 3, address, 30, 1));
      r.gather("c", "begin", "");
      r.gather("c", "the loss", "");
    });
    for (int rank : {1, 2}) check_says(errors[size_t(rank)], signal == SIGKILL ? "rank 0 (host n0) ended without a word: its connection closed; rank" : "rank 0 (host n0) has not been heard of for 1 s; rank");
  }
}

// A rank that is busy for longer than the timeout is not silent: its heartbeat is.
TEST(a_busy_rank_is_not_lost) {
  const Folder folder;
  on_ranks(2, [&](int rank) {
    Rendezvous r(options_of(rank, 2, folder.address(), 30, 1));
    if (rank == 1) std::this_thread::sleep_for(std::chrono::milliseconds(2500));
    r.gather("c", "x", "");
  });
}

TEST(a_reason_to_leave_is_told_to_all) {
  for (int culprit : {0, 1}) {
    const Folder folder;
    const auto errors = errors_of(3, [&](int rank) {
      Rendezvous r(options_of(rank, 3, folder.address()));
      r.gather("c", "begin", "");
      if (rank == culprit) return r.leave("the disk is full");
      r.gather("c", "the loss", "");
    });
    for (int rank = 0; rank < 3; rank++)
      if (rank != culprit) check(errors[size_t(rank)] == text("rank ", culprit, " (host n", culprit, ") stopped: the disk is full; rank ", rank, " of 3 was at \"the loss\""), errors[size_t(rank)]);
  }
}

TEST(leaving_wakes_a_gather_of_this_process) {
  const Folder folder;
  const auto errors = errors_of(2, [&](int rank) {
    Rendezvous r(options_of(rank, 2, folder.address()));
    if (rank == 1) {
      r.failure(20);
      return;
    }
    std::thread leaver([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      r.leave("the user said so");
    });
    try {
      r.gather("c", "the loss", "");
    } catch (...) {
      leaver.join();
      throw;
    }
    leaver.join();
  });
  check(errors[0] == "rank 0 of 2 has left: the user said so; rank 0 of 2 was at \"the loss\"", errors[0]);
}

// The others go on while one has left in order; rank 0 too, whose process holds the server.
TEST(who_leaves_in_order_is_no_failure) {
  for (int first : {0, 1}) {
    const Folder folder;
    on_ranks(3, [&](int rank) {
      Rendezvous r(options_of(rank, 3, folder.address(), 30, 0.5));
      r.gather("c", "begin", "");
      if (rank == first) return;
      check(r.failure(1) == "", r.failure(0));
    });
  }
}

TEST(a_gather_without_one_who_left_fails) {
  for (int first : {0, 1})
    for (bool waiting : {true, false}) {
      const Folder folder;
      const auto errors = errors_of(3, [&](int rank) {
        Rendezvous r(options_of(rank, 3, folder.address()));
        r.gather("c", "begin", "");
        if ((rank == first) == waiting) std::this_thread::sleep_for(std::chrono::milliseconds(200));
        if (rank != first) r.gather("c", "the loss", "");
      });
      for (int rank = 0; rank < 3; rank++)
        if (rank != first) check_says(errors[size_t(rank)], text("rank ", first, " (host n", first, ") has left, all done"));
    }
}

static void check_begins(const std::string& error, const std::string& with) { check(error.rfind(with, 0) == 0, "the error is \"", error, "\", expected one that begins with \"", with, "\""); }

// Rank 1 left, rank 0 learnt of it and left too, with its server: and only now rank 2 asks. Rank 3 sees that all that has reached the server.
TEST(the_first_who_left_is_named_after_one_who_left_because_of_it) {
  for (const char* reason : {"", "it could not go on"}) {
    Party party(4, {3});
    party[1].leave("");
    check_begins(party.refusal(0), "rank 1 (host n1) has left, all done, and takes no part in \"the loss\"; rank 0 of 4");
    party[0].leave(reason);
    party.bare(3).hear({Frame::failed, Frame::goodbye});
    check_begins(party.refusal(2), "rank 1 (host n1) has left, all done");
  }
}

// Nobody asked between the two: the second, rank 0, tells the others that its server may end.
TEST(the_first_who_left_is_named_by_a_server_that_may_end) {
  Party party(4, {1, 3});
  party.bare(1).say({Frame::leave, {""}});
  party.bare(1).hear_the_end();
  party[0].leave("");
  party.bare(3).hear({Frame::goodbye});
  check_begins(party.refusal(2), "rank 1 (host n1) has left, all done");
  party.bare(3).say({Frame::gather, {"c", "the loss", ""}});
  check_begins(party.bare(3).hear({Frame::failed}).fields.at(0), "rank 1 (host n1) has left, all done");
}

// Rank 1 needs not ask to know that rank 0 has left, and fails of it: no reason for rank 2 to name rank 1.
TEST(rank_0_that_left_first_is_named_after_one_who_failed_of_it) {
  Party party(3, {1});
  party[0].leave("");
  party.bare(1).hear({Frame::goodbye});
  party.bare(1).say({Frame::leave, {"it could not go on"}});
  check_begins(party[2].failure(20), "rank 1 (host n1) stopped: it could not go on");
  check_begins(party.refusal(2), "rank 0 (host n0) has left, all done; rank 2 of 3");
}

// Both are found silent at one look, unless it falls between them: one was heard again when the other had been heard for the last time.
TEST(of_two_silent_ranks_the_longer_silent_is_named) {
  for (int silent : {1, 2}) {
    Party party(3, {1, 2}, 2);
    auto asked = std::async(std::launch::async, [&] { party[0].gather("c", "begin", ""); });
    for (int rank : {1, 2}) party.bare(rank).say({Frame::gather, {"c", "begin", ""}});
    for (int rank : {1, 2}) party.bare(rank).hear({Frame::gathered});
    party.bare(3 - silent).say({Frame::beat, {}});
    asked.get();
    check_begins(party[0].failure(20), text("rank ", silent, " (host n", silent, ") has not been heard of for 2 s"));
  }
}

TEST(ranks_at_different_calls_are_told_who_is_where) {
  const Folder folder;
  const auto errors = errors_of(3, [&](int rank) {
    Rendezvous r(options_of(rank, 3, folder.address()));
    if (rank == 2) std::this_thread::sleep_for(std::chrono::milliseconds(200));
    r.gather("c", rank == 2 ? "the norm" : "the loss", "");
  });
  for (const std::string& error : errors) check_says(error, "rank 2 (host n2) is at \"the norm\" while ranks 0 and 1 are at \"the loss\"; every rank must make the same calls in the same order");
}

TEST(too_many_bytes_are_refused) {
  const Folder folder;
  const auto errors = errors_of(2, [&](int rank) {
    Rendezvous r(options_of(rank, 2, folder.address()));
    check_throws(Code::kArgument, "gave 67108864 bytes to \"x\"", [&] { r.gather("c", "x", std::string(kLargestFrame, 'x')); });
    r.gather("c", "x", std::string(kLargestFrame / 2 + 100, 'x'));
  });
  for (const std::string& error : errors) check_says(error, "bytes together to \"x\", expected at most 67108864");
}

}  // namespace gt::comm
