// Where ranks meet, and how they know of each other: rank 0 listens, every rank (0 too) holds one connection to it and says every second that it is
// there. A rank whose connection ends, or that is not heard of for `rank_timeout`, is lost: every other rank then fails with one sentence
// that names it. Carries small host data only; tensors go through a collectives library (communicator.h).
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace gt::comm {

struct RendezvousOptions {
  int rank = 0, size = 1;
  std::string address;         // "unix:/tmp/fresh-folder/socket" on one machine, or "tcp:host:port" of rank 0's
  std::string run;             // whatever the ranks of one run share and others do not know: strangers at the port are turned away
  std::string description;     // of this rank, for the others' errors: "host n1, process 123"
  double join_timeout = 300;   // seconds until all ranks must have come
  double rank_timeout = 30;    // seconds without a sign of life after which a rank is lost
  const std::atomic<bool>* cancelled = nullptr;  // becomes true where this process does not want to wait for the others any longer
};

class Rendezvous {
 public:
  // Returns when all ranks have come. Throws Error(kRank) naming those that have not; Error(kArgument) for options that make no sense.
  // Error(kCancelled) when told so.
  explicit Rendezvous(const RendezvousOptions& options);
  // Leaves in order, if leave() was not called. On rank 0 it waits up to a few seconds for the others to leave: not for an event loop.
  ~Rendezvous();
  Rendezvous(const Rendezvous&) = delete;

  int rank() const;
  int size() const;
  double rank_timeout() const;  // seconds
  // The address of this rank's own end of the connection to rank 0: an interface that the other ranks can reach. Empty for unix sockets.
  std::string local_address() const;

  // Every rank's bytes, by rank. The calls on one `channel` must come in the same order with the same `what` on all ranks: else Error(kRank) says who is
  // where. Calls on different channels may be made from different threads. Waits as long as all ranks live. All ranks' bytes together: 64 MB at most.
  std::vector<std::string> gather(const std::string& channel, const std::string& what, const std::string& mine);

  // Tells the others that this rank goes: "" because all is done (they may go on without it, but for gather(), which fails and names the first who
  // went), else why, in a sentence that they fail with.
  // Wakes gather() in this process, which throws. From any thread.
  void leave(const std::string& reason);

  // The sentence about the first rank that was lost; waits for it up to `seconds`, "" where none was.
  std::string failure(double seconds);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gt::comm
