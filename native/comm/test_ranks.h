// Ranks for tests of comm: threads of this process, and children of it that can be killed.
#pragma once
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "comm/rendezvous.h"
#include "testing/check.h"

namespace gt::comm {

using testing::check;

// An address of a socket in a fresh folder.
class Folder {
 public:
  Folder() { check(mkdtemp(path_) != nullptr, "no folder could be made"); }
  ~Folder() {
    unlink((std::string(path_) + "/socket").c_str());
    rmdir(path_);
  }
  std::string address() const { return std::string("unix:") + path_ + "/socket"; }

 private:
  char path_[64] = "/tmp/gemmatune-comm-XXXXXX";
};

// A port that was free a moment ago.
inline int free_port() {
  const int s = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in a{};
  socklen_t n = sizeof a;
  a.sin_family = AF_INET, a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  check(bind(s, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0 && getsockname(s, reinterpret_cast<sockaddr*>(&a), &n) == 0, "no port is free");
  close(s);
  return ntohs(a.sin_port);
}
inline std::string tcp_address() { return text("tcp:127.0.0.1:", free_port()); }

inline RendezvousOptions options_of(int rank, int size, const std::string& address, double join_timeout = 30, double rank_timeout = 30) {
  RendezvousOptions o;
  o.rank = rank, o.size = size, o.address = address, o.run = "a run", o.description = text("host n", rank), o.join_timeout = join_timeout, o.rank_timeout = rank_timeout;
  return o;
}

// What body(rank) threw on a thread for each rank of [first, end), "" for nothing; what is no Error is thrown again here.
inline std::vector<std::string> errors_of(int first, int end, const std::function<void(int)>& body) {
  std::vector<std::string> errors(static_cast<size_t>(end));
  std::vector<std::exception_ptr> others(static_cast<size_t>(end));
  std::vector<std::thread> threads;
  for (int rank = first; rank < end; rank++)
    threads.emplace_back([&, rank] {
      try {
        body(rank);
      } catch (const Error& e) {
        errors[size_t(rank)] = e.what();
      } catch (...) {
        others[size_t(rank)] = std::current_exception();
      }
    });
  for (std::thread& t : threads) t.join();
  for (const std::exception_ptr& e : others)
    if (e) std::rethrow_exception(e);
  return errors;
}
inline std::vector<std::string> errors_of(int size, const std::function<void(int)>& body) { return errors_of(0, size, body); }

inline void on_ranks(int size, const std::function<void(int)>& body) {
  for (const std::string& error : errors_of(size, body)) check(error.empty(), error);
}

inline void check_says(const std::string& error, const std::string& part) { check(error.find(part) != std::string::npos, "the error is \"", error, "\", expected one with \"", part, "\""); }

// A rank in a process of its own. Made before this process starts threads.
class Child {
 public:
  explicit Child(const std::function<void()>& body) : pid_(fork()) {
    check(pid_ >= 0, "no process could be started");
    if (pid_ > 0) return;
    try {
      body();
    } catch (...) {
    }
    _exit(0);
  }
  ~Child() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_;
};

}  // namespace gt::comm
