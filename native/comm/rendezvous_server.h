// Rank 0's side of a rendezvous: a thread that holds a connection to every rank, its own process too, and tells all when one is lost.
#pragma once
#include <algorithm>
#include <atomic>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "comm/frames.h"
#include "comm/rendezvous.h"

namespace gt::comm {

// Seconds between signs of life: several within the time after which silence means that a rank is lost.
inline double beat_interval(const RendezvousOptions& options) { return std::min(1.0, options.rank_timeout / 4); }

// "rank 2 (host n2, process 123)"
std::string rank_name(int rank, const std::string& description);

class RendezvousServer {
 public:
  // Listens. Throws Error(kArgument) where the address cannot be had.
  explicit RendezvousServer(const RendezvousOptions& options);
  // Waits up to a few seconds until the other ranks have left or are lost: what they were told last must reach them.
  ~RendezvousServer();
  RendezvousServer(const RendezvousServer&) = delete;

 private:
  struct Peer {
    Connection connection;
    double heard;   // when bytes last came
    int rank = -1;  // -1: has not said hello
    bool ends = false;  // nothing more is read from it; it goes when what is unsent is sent
  };
  struct Rank {
    enum State { absent, here, left, lost } state = absent;
    std::string description;
    Peer* peer = nullptr;  // while here
  };
  struct Round {  // a gather under way
    std::string what;
    std::vector<std::optional<std::string>> parts;
  };

  void loop();
  void poll_once();
  void accept();
  void read(Peer& peer);
  void handle(Peer& peer, Frame& frame);
  void hello(Peer& peer, const Frame& frame);
  void gather(int rank, Frame& frame);
  void leave(int rank, const std::string& reason);
  void check_times();
  void refuse(Peer& peer, const std::string& sentence);
  void lose(int rank, const std::string& how);
  void fail_all(const std::string& sentence);
  void fail_all_without(const std::string& what);
  bool others_are_gone() const;
  std::string name(int rank) const { return rank_name(rank, ranks_[size_t(rank)].description); }

  const RendezvousOptions options_;
  Descriptor listener_;
  Wake wake_;
  std::atomic<bool> stop_{false};
  // What follows is the thread's alone.
  std::list<Peer> peers_;
  std::vector<Rank> ranks_;
  std::map<std::string, Round> rounds_;  // by channel
  std::string address_;  // of this machine on the network, once it is known
  std::string failure_;  // what all were told, the first time
  std::string left_;     // about the first who left in order
  double begun_, stopped_ = 0, beaten_ = 0;
  bool started_ = false;
  std::thread thread_;
};

}  // namespace gt::comm
