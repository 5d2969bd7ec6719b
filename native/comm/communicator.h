// Collectives between ranks: one process (or, in tests, one thread) a device. Which library does them is decided at run time.
//
// Every rank makes the same calls in the same order. Collectives on tensors are queued: one begins when the device work that was queued before it
// is done, they run one after the other beside the device work queued later, and their results are there for what is queued after wait(). Tensors must
// stay as they are until then. Sums are added in an order that depends on the library, the number of ranks and the shapes only: every rank
// gets the same bits, and so does every run.
//
// What fails throws Error(kRank) from the next call or wait(), naming the rank that was lost, the collective (`what`) and this rank. After that
// the communicator is of no use any more.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace gt::comm {

// What a communicator has done so far.
struct Traffic {
  int64_t collectives = 0;
  int64_t bytes = 0;     // that this rank sent, by the algorithm's own count
  double busy = 0;       // seconds in which a collective was under way
  double waited = 0;     // seconds that callers stood still in wait() or gather()
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  // "gloo 0.5.0", "nccl 2.23.4", "in-process", "single"
  const std::string& library() const { return library_; }

  // x = the sum over ranks, in float32 or, for a bfloat16 tensor, each addition rounded to bfloat16.
  virtual void all_reduce(const Tensor& x, const char* what) = 0;
  // `x` is cut into parts[r] elements for each rank r, in order, some perhaps empty; they add up to x.count().
  // This rank's part becomes the sum over ranks; the other parts are undefined.
  virtual void reduce_scatter(const Tensor& x, const std::vector<int64_t>& parts, const char* what) = 0;
  // This rank's part is given, the others' are filled in.
  virtual void all_gather(const Tensor& x, const std::vector<int64_t>& parts, const char* what) = 0;
  virtual void broadcast(const Tensor& x, int root, const char* what) = 0;
  // Returns when every rank has called it.
  virtual void barrier(const char* what) = 0;
  // How many collectives on tensors this rank has queued so far.
  virtual int64_t queued() const = 0;
  // The results of the first `count` of them are there for device work queued from now on. Waits on the host no longer than it must.
  virtual void wait(int64_t count) = 0;
  void wait() { wait(queued()); }

  // Small host data of every rank, by rank. Returns when all have called it; not queued behind tensors' collectives.
  virtual std::vector<std::string> gather(const std::string& mine, const char* what) = 0;

  virtual Traffic traffic() const = 0;

 protected:
  Communicator(int rank, int size, std::string library) : rank_(rank), size_(size), library_(std::move(library)) {}

 private:
  int rank_, size_;

 protected:
  std::string library_;
};

}  // namespace gt::comm
